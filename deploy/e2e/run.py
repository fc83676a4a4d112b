#!/usr/bin/env python3
"""Runs the end-to-end tests against real servers and prints one line for each, then `N passed, N failed`.

    run.py --bin target/release --artefacts artefacts [name …]

A name picks the tests whose id contains it. Needs root (dockerd) and the programs that `./check` installs.
"""

import argparse
import os
import signal
import sys
import time
import traceback
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from harness import machine as machines  # noqa: E402

MODULES = [
    "test_containers",
    "test_kills",
    "test_prometheus",
    "test_alerting",
    "test_bad_input",
    "test_command_line",
    "test_dashboards",
    "test_ui",
]


class Report(unittest.TestResult):
    """Prints each test as it ends, with the time it took."""

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()
        print(f"  … {name_of(test)}", flush=True)

    def _say(self, word, test):
        print(f"  {word} {name_of(test)} ({time.monotonic() - self.began:.1f} s)", flush=True)

    def addSuccess(self, test):
        self._say("ok    ", test)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self._say("FAILED", test)
        traceback.print_exception(*error)

    def addError(self, test, error):
        super().addError(test, error)
        print(f"  FAILED {name_of(test)}", flush=True)
        traceback.print_exception(*error)


def name_of(test):
    return str(test.id() if hasattr(test, "id") else test).replace("_", " ")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True, help="folder with the built binaries")
    parser.add_argument("--artefacts", required=True, help="folder for logs and screenshots")
    parser.add_argument("names", nargs="*", help="run only tests whose id contains one of these")
    options = parser.parse_args()
    os.environ["YAGURA_BIN"] = os.path.abspath(options.bin)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `finally` runs

    suite = unittest.TestSuite()
    for test in tests_in(unittest.defaultTestLoader.loadTestsFromNames(MODULES)):
        if not options.names or any(name in test.id() for name in options.names):
            suite.addTest(test)
    machines.MACHINE = machines.Machine(os.path.abspath(options.artefacts))
    report = Report()
    try:
        machines.MACHINE.start()
        suite.run(report)
    finally:
        machines.MACHINE.stop()
    failed = len(report.failures) + len(report.errors)
    print(f"{report.testsRun - failed} passed, {failed} failed", flush=True)
    return 1 if failed or report.testsRun == 0 else 0


def tests_in(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from tests_in(item)
        else:
            yield item


if __name__ == "__main__":
    sys.exit(main())
