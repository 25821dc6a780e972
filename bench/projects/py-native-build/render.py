import markupsafe
from jinja2 import Template
from markupsafe import _speedups

print(Template("{{ a }} & {{ b|e }}").render(a=1, b="<2>"), _speedups.escape("<"))
