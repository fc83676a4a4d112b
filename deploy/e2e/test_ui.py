"""Chromium walks every page of the UI; screenshots stay in the artefacts."""

import os
import subprocess
import sys
import unittest

from harness.machine import machine
from harness.processes import wait_for
from harness.yagura import Up
from test_alerting import write
from test_containers import BURN, LABELS, config

HERE = os.path.dirname(os.path.abspath(__file__))

CHECKS = """
checks:
  - {name: ok, url: "%s/live", interval: 1s, allow_private: true}
  - {name: broken, url: "http://127.0.0.1:9/", interval: 1s, allow_private: true}
"""

RULES = """
groups:
  - name: walk
    interval: 1s
    rules:
      - alert: CheckBroken
        expr: probe_success == 0
        annotations: {summary: "{{ $labels.check }} fails"}
      - alert: NeverFires
        expr: vector(0) > 1
"""


class Ui(unittest.TestCase):
    def test_a_walk_through_every_page(self):
        place = machine().place("ui")
        write(f"{place}/rules.yaml", RULES)
        text = config(machine().dockerd) + f"collector:\n  rules: [{place}/rules.yaml]\n  checks: [{place}/checks.yaml]\n"
        up = Up(place, text)
        write(f"{place}/checks.yaml", CHECKS % up.url)
        talk = "i=0; while :; do echo level=info said $i; echo level=error oh no $i >&2; i=$((i+1)); sleep 0.1; done"
        machine().dockerd.run("talker", machine().busybox, ["/bin/sh", "-c", talk], *LABELS)
        machine().dockerd.run("burner", machine().busybox, ["/bin/sh", "-c", BURN], "--cpus", "0.3", *LABELS)
        self.addCleanup(machine().dockerd.remove, "talker", "burner")
        up.start()
        self.addCleanup(up.stop)
        wait_for("containers", lambda: up.query('rate(container_cpu_usage_seconds_total{name="burner"}[10s])'), 40)
        shots = os.path.join(machine().artefacts, "screenshots")
        os.makedirs(shots, exist_ok=True)
        walked = subprocess.run(
            [sys.executable, os.path.join(HERE, "ui_walk.py"), up.url, shots],
            capture_output=True,
            text=True,
            timeout=400,
        )
        self.assertEqual(walked.returncode, 0, walked.stdout[-6000:] + walked.stderr[-6000:])
