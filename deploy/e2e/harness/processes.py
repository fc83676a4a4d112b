"""Processes that a test starts: found ports, waited-for conditions, clean stops."""

import os
import signal
import socket
import subprocess
import time


class Failure(AssertionError):
    """A condition that did not come true in time; says what was waited for and what was there instead."""


def wait_for(what, condition, seconds=30.0, every=0.1):
    """Calls `condition` until it gives something true, and gives that back.

    An exception in it counts as "not yet", and is shown when time runs out.
    """
    deadline = time.monotonic() + seconds
    last = None
    while True:
        try:
            last = condition()
            if last:
                return last
        except Exception as error:  # the server may still be starting
            last = error
        if time.monotonic() > deadline:
            raise Failure(f"waited {seconds:.0f} s for {what}; last seen: {last!r}")
        time.sleep(every)


def free_port():
    """A TCP port on 127.0.0.1 that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """One program, its output in a file; ends with the test that started it."""

    def __init__(self, name, command, log_path, env=None, cwd=None):
        self.name, self.command, self.log_path = name, command, log_path
        self.log = open(log_path, "ab")
        self.child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            cwd=cwd,
        )

    @property
    def pid(self):
        return self.child.pid

    def running(self):
        return self.child.poll() is None

    def output(self):
        with open(self.log_path, "r", errors="replace") as log:
            return log.read()

    def kill(self):
        """SIGKILL: no chance to tidy up."""
        if self.running():
            self.child.send_signal(signal.SIGKILL)
        self.child.wait(10)
        self.log.close()

    def stop(self, seconds=20.0):
        """SIGTERM, then waits. Gives back how long it took; raises if it had to be killed."""
        started = time.monotonic()
        if self.running():
            self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait(10)
            raise Failure(f"{self.name} did not stop within {seconds} s of SIGTERM:\n{self.output()[-4000:]}")
        finally:
            self.log.close()
        return time.monotonic() - started


def run(command, seconds=60, **options):
    """Runs a command to its end; gives back (exit code, stdout, stderr) as text."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False, **options)
    return done.returncode, done.stdout, done.stderr


def must(command, seconds=60, **options):
    """Runs a command that has to succeed; gives back its stdout."""
    code, out, err = run(command, seconds, **options)
    if code != 0:
        raise Failure(f"{' '.join(map(str, command))} ended with {code}:\n{out}{err}")
    return out
