"""rng: GET /32 returns 32 random bytes. One request at a time, 0.1 s each."""

import os
import socket
import threading
import time

import answers

BYTES_MAX = 65536
turn = threading.Lock()


def get(path):
    if path == "/":
        return 200, "text/plain", f"RNG running on {socket.gethostname()}\n"
    count = path[1:]
    if not (count.isascii() and count.isdigit() and int(count[:9]) <= BYTES_MAX):
        return 400, "text/plain", f"expected GET /N, with N from 0 to {BYTES_MAX} bytes\n"
    with turn:
        time.sleep(0.1)
        return 200, "application/octet-stream", os.urandom(int(count))


answers.serve(get)
