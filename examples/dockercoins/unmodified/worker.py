"""worker: asks rng for bytes and hasher for their hash; what begins with 0 is a coin, and goes to redis."""

import socket
import sys
import threading
import time
import urllib.request

import answers
import redis

total = 0


def read(url, body=None):
    with urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=10) as answer:
        return answer.read()


def mine():
    time.sleep(0.1)
    random = read("http://rng/32")
    hashed = read("http://hasher/", random)
    if hashed.startswith(b"0"):
        redis.command("HSET", "wallet", hashed, random)


def work():
    global total
    unsaved, saved_at = 0, time.monotonic()
    while True:
        try:
            mine()
            total += 1
            unsaved += 1
            if time.monotonic() > saved_at + 1:
                redis.command("INCRBY", "hashes", unsaved)
                unsaved, saved_at = 0, time.monotonic()
        except OSError as error:
            print(f"{error}; trying again", file=sys.stderr, flush=True)
            time.sleep(1)


threading.Thread(target=work, daemon=True).start()
answers.serve(lambda _path: (200, "text/plain", f"WORKER running on {socket.gethostname()}: {total} hashes\n"))
