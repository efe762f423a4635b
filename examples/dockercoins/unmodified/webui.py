"""webui: the page, and the totals that it reads. It does not know the instances, so the page has no table of them."""

import json
import pathlib
import time

import answers
import redis

FOLDER = pathlib.Path(__file__).parent
FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}


def totals():
    return {
        "coins": redis.command("HLEN", "wallet"),
        "hashes": int(redis.command("GET", "hashes") or 0),
        "now": time.time(),
    }


def get(path):
    if path in FILES:
        name, kind = FILES[path]
        return 200, kind, (FOLDER / name).read_bytes()
    if path in ("/history", "/instances"):
        return 200, "application/json", "[]"
    if path != "/json":
        return 404, "text/plain", f"no such path: {path}\n"
    try:
        return 200, "application/json", json.dumps(totals())
    except OSError as error:
        return 503, "text/plain", f"redis does not answer: {error}\n"


answers.serve(get)
