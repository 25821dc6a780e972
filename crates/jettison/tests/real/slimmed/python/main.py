"""Uses what is only seen when it runs: a library by its name, one that a wheel brings, a page that the program shows."""
import ctypes
import io

import flask
import PIL.Image
import yaml
from cryptography.fernet import Fernet

app = flask.Flask(__name__)


@app.route("/")
def index():
    return flask.jsonify(yaml.safe_load("answer: 42"))


magic = ctypes.CDLL("libmagic.so.1")
magic.magic_open.restype = ctypes.c_void_p
cookie = ctypes.c_void_p(magic.magic_open(0))
magic.magic_file.restype = ctypes.c_char_p
print("magic:", magic.magic_load(cookie, None), magic.magic_file(cookie, b"/etc/passwd"))
image = io.BytesIO()
PIL.Image.new("RGB", (2, 2)).save(image, "JPEG")
print("image:", PIL.Image.open(image).size)
print("secret:", Fernet(Fernet.generate_key()).encrypt(b"x")[:1])
print("page:", open("/usr/share/man/man1/app.1").read())
print("web:", app.test_client().get("/").get_data(as_text=True))
