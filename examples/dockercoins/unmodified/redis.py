"""Commands to redis, in its protocol: one connection per command."""

import socket

HOST = "redis"


def command(*words):
    with socket.create_connection((HOST, 6379), timeout=2) as connection:
        words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        parts = b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
        connection.sendall(b"*%d\r\n%s" % (len(words), parts))
        with connection.makefile("rb") as answer:
            return reply(answer)


def reply(answer):
    line = answer.readline().rstrip()
    kind, text = line[:1], line[1:]
    if kind == b"+":
        return text
    if kind == b":":
        return int(text)
    if kind == b"$":
        return None if text == b"-1" else answer.read(int(text))
    raise OSError(f"redis: {text.decode(errors='replace') or 'no answer'}")
