"""Runs one program of a tap so that it never outlives Rescore, and never runs twice at once.

    guard.py <lock file> <program> [argument ...]

stdin   what Rescore asks for, a line each: go, term, kill. Its end, which the kernel brings about however Rescore ends,
        ends the program.
stdout, stderr   the program's own.
fd 3    what happened, a line each: locked, started <pid>, failed <why>, exit <code, or minus the signal>.

The program gets a session of its own, so that a signal reaches everything it started. The lock (flock) is held until
stdin ends, so that Rescore can look at what the program left behind before another one starts; the kernel gives it back
however this process ends.
"""

import fcntl
import os
import select
import signal
import subprocess
import sys
import threading


def say(text):
    try:
        os.write(3, (text + "\n").encode())
    except OSError:
        # Nobody listens any more: the end of stdin says the same.
        pass


def signal_group(group, number):
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        pass


def close_output():
    """Only the program may hold it open: its end is the program's."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)


def take(path):
    """False: Rescore has gone while another run held the lock."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            readable, _, _ = select.select([0], [], [], 0.05)
            if readable and os.read(0, 1) == b"":
                return False


def main():
    path, command = sys.argv[1], sys.argv[2:]
    orders = os.fdopen(0, "rb", buffering=0, closefd=False)
    if not take(path):
        return
    say("locked")
    if orders.readline() != b"go\n":
        return
    try:
        program = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        say("failed " + str(error))
        close_output()
        orders.read()
        return
    say("started %d" % program.pid)
    close_output()

    def obey():
        for order in iter(orders.readline, b""):
            if program.returncode is None:
                signal_group(program.pid, signal.SIGTERM if order == b"term\n" else signal.SIGKILL)
        if program.returncode is None:
            signal_group(program.pid, signal.SIGKILL)

    thread = threading.Thread(target=obey, daemon=True)
    thread.start()
    code = program.wait()
    # What it started and left behind.
    signal_group(program.pid, signal.SIGKILL)
    say("exit %d" % code)
    thread.join()


main()
