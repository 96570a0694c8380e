"""A program that does what a test tells it, one Python statement or expression at a time.

Usage: puppet.py NAME; it is told over the socket NAME.sock in its working directory.
"""
import array
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

NAME = sys.argv[1]


def notify(text, *descriptors):
    """Sends a message to the guard: a text, or bytes, with these descriptors."""
    data = text.encode() if isinstance(text, str) else text
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        sender.sendmsg([data], rights, 0, os.environ["NOTIFY_SOCKET"])


def beat(interval, text="WATCHDOG=1"):
    """Sends the same message again and again, until it is unset."""
    stop = threading.Event()

    def run():
        while not stop.is_set():
            notify(text)
            stop.wait(interval)

    threading.Thread(target=run, daemon=True).start()
    return stop


def fork(run):
    """Runs a function in a child; the child's number."""
    child = os.fork()
    if child == 0:
        try:
            run()
        finally:
            os._exit(0)
    return child


def sleep_on():
    """Does nothing for longer than any test."""
    while True:
        time.sleep(3600)


def answer(statement, names):
    try:
        code = compile(statement, NAME, "eval")
    except SyntaxError:
        exec(compile(statement, NAME, "exec"), names)
        return None
    value = eval(code, names)
    return value if isinstance(value, (str, int, float, list, dict, bool, type(None))) else str(value)


def serve():
    path = f"{NAME}.sock"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path + ".new")
    listener.listen(16)
    os.rename(path + ".new", path)
    while True:
        connection, _ = listener.accept()
        with connection, connection.makefile("rw") as stream:
            statement = json.loads(stream.readline())
            try:
                reply = {"value": answer(statement, globals())}
            except Exception as error:
                reply = {"error": repr(error)}
            stream.write(json.dumps(reply) + "\n")


def clear():
    try:
        os.unlink(f"{NAME}.sock.new")
    except FileNotFoundError:
        pass


clear()
# What a service does by itself when it starts stands in a file beside it.
if os.path.exists(f"{NAME}.begin.py"):
    with open(f"{NAME}.begin.py") as begin:
        exec(begin.read(), globals())
serve()
