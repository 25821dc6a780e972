from flask import Flask, jsonify

app = Flask(__name__)


@app.get("/sum/<int:a>/<int:b>")
def add(a, b):
    return jsonify(sum=a + b)
