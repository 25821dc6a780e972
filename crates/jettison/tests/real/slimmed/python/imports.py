"""Imports every module at the top level of the search path and of each installed distribution; says how each went."""
import contextlib
import importlib
import importlib.metadata
import io
import os
import pkgutil
import sys

# The first opens a browser, the second prints; `test` has Python's tests of itself, which are taken away as others are.
LEFT_OUT = {"antigravity", "this", "test", "imports", "main", "__main__"}
os.environ["TERM"] = "dumb"
names = {module.name for module in pkgutil.iter_modules()} | set(sys.builtin_module_names)
for distribution in importlib.metadata.distributions():
    print("distribution", distribution.metadata["Name"], distribution.version)
    names |= set((distribution.read_text("top_level.txt") or "").split())
for name in sorted(names - LEFT_OUT):
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            importlib.import_module(name)
        print(name, "is there")
    except BaseException as error:
        print(name, type(error).__name__)
