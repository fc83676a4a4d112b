"""Nothing acknowledged is lost, nothing stored twice: `kill -9` in the middle of everything."""

import time
import unittest

from harness.machine import machine
from harness.processes import wait_for
from harness.yagura import Daemon, Server, Up, free_port
from test_containers import LABELS, config, first_difference

WRITE = """i=0
while [ $i -lt %d ]; do
  echo "numbered $i"
  i=$((i + 1))
  [ $((i %% 100)) = 0 ] && sleep 0.05
done
sleep 600"""

RULES = """
groups:
  - name: kills
    interval: 1s
    rules:
      - alert: AlwaysFiring
        expr: vector(1)
        for: 2s
"""


def writer(name, lines):
    machine().dockerd.run(
        name,
        machine().busybox,
        ["/bin/sh", "-c", WRITE % lines],
        *("--log-opt", "max-size=5m", "--log-opt", "max-file=3"),
        *LABELS,
    )


class Kills(unittest.TestCase):
    def check_lines(self, server, name, lines):
        query = '{container="%s",stream="stdout"}' % name
        wait_for("the last line", lambda: server.lines(f'{query} |= "numbered {lines - 1}"'), 120, every=1)
        found = [line for _, _, line in server.lines(query)]
        self.assertIsNone(first_difference(found, [f"numbered {number}" for number in range(lines)]))

    def test_both_daemons_in_one_process_killed_several_times(self):
        lines = 40_000
        up = Up(machine().place("kill-up"), config(machine().dockerd)).start()
        self.addCleanup(lambda: up.process.running() and up.stop())
        self.addCleanup(machine().dockerd.remove, "killed-up")
        writer("killed-up", lines)
        for pause in (2.0, 0.5, 3.0, 1.0):
            wait_until(time.monotonic() + pause)
            up.kill()
            wait_until(time.monotonic() + pause)
            up.start()
        self.check_lines(up, "killed-up", lines)

    def test_agent_and_collector_killed_apart(self):
        lines = 60_000
        place = machine().place("kill-apart")
        api, otlp, admin = free_port(), free_port(), free_port()
        rules = f"{place}/rules.yaml"
        with open(rules, "w") as file:
            file.write(RULES)
        collector = Daemon(
            "yagura-collector",
            place,
            f"listen: 127.0.0.1:{api}\notlp: 127.0.0.1:{otlp}\nstorage: {{path: {place}/store}}\nrules: [{rules}]\n",
        ).start()
        agent = Daemon(
            "yagura-agent",
            place,
            f"""
node_name: killed
sources:
  host: {{interval: 1s}}
  cgroup: {{interval: 1s}}
  docker: {{socket: {machine().dockerd.socket}}}
buffer: {{path: {place}/agent}}
export: {{endpoints: ["http://127.0.0.1:{otlp}"]}}
admin: 127.0.0.1:{admin}
""",
        ).start()
        self.addCleanup(lambda: collector.process.running() and collector.stop())
        self.addCleanup(lambda: agent.process.running() and agent.stop())
        self.addCleanup(machine().dockerd.remove, "killed-apart")
        server = Server(api)
        writer("killed-apart", lines)
        wait_for("the alert to fire", lambda: server.query('ALERTS{alertname="AlwaysFiring",alertstate="firing"}'))
        since = active_at(server)
        for turn in range(4):
            for daemon, down in ((agent, 0.3 + turn), (collector, 0.2 + 2 * turn)):
                wait_until(time.monotonic() + 1.5)
                daemon.kill()
                wait_until(time.monotonic() + down)
                daemon.start()
        self.check_lines(server, "killed-apart", lines)
        self.assertEqual(active_at(server), since, "the alert's start survived")


def active_at(server):
    from harness.http import get_json

    def found():
        alerts = get_json(f"{server.url}/prom/api/v1/alerts")["data"]["alerts"]
        return [alert["activeAt"] for alert in alerts if alert["labels"]["alertname"] == "AlwaysFiring"]

    return wait_for("the alert", found)


def wait_until(moment):
    """The tests kill at chosen moments, so here time itself is what is waited for."""
    wait_for("the moment", lambda: time.monotonic() >= moment, 60, every=0.02)
