"""Every query of the shipped dashboards gives data from a running pipeline; the shipped rules load."""

import glob
import json
import os
import re
import unittest

from harness.http import get_json
from harness.machine import machine
from harness.processes import must, wait_for
from harness.yagura import Up, binary
from test_containers import BURN, LABELS, config

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

#: What a dashboard's variables stand for here.
VARIABLES = {
    "$__rate_interval": "15s",
    "$__interval": "15s",
    "$__range": "60s",
    "$node": "node-under-test",
    "$name": ".+",
    "$service": ".*",
    "$env": ".*",
}


class Dashboards(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.up = Up(machine().place("dashboards"), config(machine().dockerd)).start()
        write = "while :; do dd if=/dev/zero of=/tmp/x bs=64k count=4 conv=fsync; echo level=error wrote; sleep 0.5; done"
        machine().dockerd.run("burner", machine().busybox, ["/bin/sh", "-c", BURN], "--cpus", "0.2", *LABELS)
        machine().dockerd.run("writer", machine().busybox, ["/bin/sh", "-c", write], "-m", "64m", *LABELS)

    @classmethod
    def tearDownClass(cls):
        cls.up.stop()
        machine().dockerd.remove("burner", "writer")

    def test_every_query_gives_data(self):
        dashboards = glob.glob(f"{ROOT}/dashboards/*.json")
        self.assertTrue(dashboards)
        count = 0
        for path in dashboards:
            with open(path) as file:
                dashboard = json.load(file)
            for panel in panels(dashboard["panels"]):
                for target in panel.get("targets", []):
                    count += 1
                    self.check_target(os.path.basename(path), panel["title"], target)
        self.assertGreater(count, 15)

    def check_target(self, file, title, target):
        expression = target["expr"]
        for name, value in VARIABLES.items():
            expression = expression.replace(name, value)
        self.assertNotRegex(expression, r"\$\w", f"{file}: {title}: a variable that this test does not know")
        loki = target.get("datasource", {}).get("type") == "loki"

        def found():
            if loki:
                url = f"{self.up.url}/loki/api/v1/query_range"
                return get_json(url, query=expression, limit=10)["data"]["result"]
            return get_json(f"{self.up.url}/prom/api/v1/query", query=expression)["data"]["result"]

        wait_for(f"data for {file}: {title}: {expression}", found, 40)

    def test_shipped_rules_pass_promtool_and_our_own_check(self):
        ours = sorted(glob.glob(f"{ROOT}/deploy/rules/*.yaml"))
        self.assertTrue(ours)
        for path in ours:
            if not path.endswith(".yagura.yaml"):
                must(["promtool", "check", "rules", path])
        text = "rules:\n" + "".join(f"  - {path}\n" for path in ours)
        path = os.path.join(self.up.folder, "rules-check.yaml")
        with open(path, "w") as file:
            file.write(text)
        must([binary("yagura-collector"), "--config", path, "--check-config"])


def panels(items):
    for item in items:
        yield item
        yield from panels(item.get("panels", []))
