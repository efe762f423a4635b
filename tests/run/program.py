"""Listens on port 8080, and prints each signal. USR1 leaves orphans, USR2 closes or opens the port, TERM ends it with 55.

On TERM it prints how many instances Consul has then."""

import json
import os
import signal
import socket
import sys
import urllib.request

# The container of Consul in tests/run/run.
CONSUL = "http://runner-test-consul:8500"
server = None


def say(line):
    # Not print: a handler may interrupt another one.
    os.write(1, f"{line}\n".encode())


def listen():
    global server
    server = socket.create_server(("0.0.0.0", 8080))
    say("listening")


def leave_orphans(count):
    """Each child leaves one child behind, which ends at once: process 1 gets it."""
    for _ in range(count):
        child = os.fork()
        if child == 0:
            if os.fork() == 0:
                os._exit(0)
            os._exit(0)
        os.waitpid(child, 0)


def instances():
    """The number of instances that Consul has now."""
    with urllib.request.urlopen(CONSUL + "/v1/health/service/web") as answer:
        return len(json.load(answer))


def got(number, _):
    global server
    if number == signal.SIGTERM:
        say(f"got SIGTERM, {instances()} instances")
        os._exit(55)
    say(f"got {signal.Signals(number).name}")
    if number == signal.SIGUSR1:
        leave_orphans(50)
        say("left orphans")
    elif number == signal.SIGUSR2 and server:
        server.close()
        server = None
        say("closed")
    elif number == signal.SIGUSR2:
        listen()


for name in ("HUP", "INT", "QUIT", "USR1", "USR2", "ALRM", "TERM", "WINCH", "PWR"):
    signal.signal(getattr(signal, f"SIG{name}"), got)
if "--never-ready" not in sys.argv:
    listen()
while True:
    signal.pause()
