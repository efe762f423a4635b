"""hasher: POST / returns the SHA-256 of the body in hex. It takes 0.1 s."""

import hashlib
import socket
import time

import answers


def get(_path):
    return 200, "text/plain", f"HASHER running on {socket.gethostname()}\n"


def post(body):
    time.sleep(0.1)
    return 200, "text/plain", hashlib.sha256(body).hexdigest()


answers.serve(get, post)
