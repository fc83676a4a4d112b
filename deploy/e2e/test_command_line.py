"""The command `yagura`: what a person types, and what a program reads."""

import json
import os
import signal
import time
import unittest

from harness.http import get
from harness.machine import machine
from harness.processes import Process, run, wait_for
from harness.yagura import Up, binary
from test_containers import LABELS, config


class CommandLine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = machine().place("cli")
        cls.up = Up(cls.place, config(machine().dockerd)).start()
        talk = "i=0; while :; do echo \"said $i\"; i=$((i+1)); sleep 0.2; done"
        machine().dockerd.run("talker", machine().busybox, ["/bin/sh", "-c", talk], *LABELS)
        wait_for("the talker", lambda: cls.up.lines('{container="talker"}'))

    @classmethod
    def tearDownClass(cls):
        cls.up.stop()
        machine().dockerd.remove("talker")

    def yagura(self, *arguments):
        code, out, err = run([binary("yagura"), *arguments, "--server", self.up.url], 30)
        self.assertEqual(code, 0, out + err)
        return out

    def test_first_chart_within_three_seconds(self):
        up = Up(self.place, config(machine().dockerd, interval="10s"), name="first")
        began = time.monotonic()
        up.start()
        self.addCleanup(up.stop)
        wait_for("a CPU rate", lambda: up.query("rate(node_cpu_seconds_total[1m])"), 10, every=0.05)
        self.assertLess(time.monotonic() - began, 3.0)

    def test_it_says_what_it_watches_and_where_to_look(self):
        said = self.up.process.output()
        self.assertIn(self.up.url, said)
        self.assertIn("docker", said)
        self.assertIn("cgroup v1", said)

    def test_it_stops_within_five_seconds_and_keeps_history(self):
        up = Up(self.place, config(machine().dockerd), name="again").start()
        self.addCleanup(lambda: up.process.running() and up.stop())
        wait_for("a sample", lambda: up.query("node_boot_time_seconds"))
        wait_for("the talker's first line", lambda: up.lines('{container="talker"} |= "said 0"'))
        before = time.time()
        self.assertLess(up.stop(), 5.0)
        up.start()
        self.assertIsNotNone(wait_for("the old sample", lambda: up.value("node_boot_time_seconds", at=before)))
        self.assertTrue(up.lines('{container="talker"} |= "said 0"'))

    def test_ctrl_c_stops_it(self):
        up = Up(self.place, config(machine().dockerd), name="ctrl-c").start()
        os.kill(up.process.pid, signal.SIGINT)
        wait_for("it to end", lambda: not up.process.running(), 5)
        self.assertEqual(up.process.child.returncode, 0, up.process.output()[-2000:])

    def test_no_docker_socket_is_said_not_fatal(self):
        text = "agent:\n  node_name: lonely\n  sources: {docker: {socket: /nonexistent/docker.sock}}\n"
        up = Up(self.place, text, name="lonely").start()
        self.addCleanup(up.stop)
        wait_for("it to be said", lambda: "/nonexistent/docker.sock" in up.process.output())
        wait_for("host samples", lambda: up.query("node_load1"))

    def test_query(self):
        table = self.yagura("query", "count by (mode) (node_cpu_seconds_total)")
        self.assertIn("idle", table)
        found = json.loads(self.yagura("query", "--output", "json", "node_boot_time_seconds"))
        self.assertTrue(found)
        code, _, err = run([binary("yagura"), "query", "--server", self.up.url, "sum(x"], 30)
        self.assertNotEqual(code, 0)
        self.assertIn("sum(x", err)

    def test_logs(self):
        self.assertIn("said 1", self.yagura("logs", "--container", "talk.*"))
        self.assertIn("said 1", self.yagura("logs", "--service", "shop", "said 1"))
        self.assertNotIn("said", self.yagura("logs", "--container", "nobody"))
        lines = self.yagura("logs", "--container", "talker", "--output", "json").splitlines()
        self.assertEqual(json.loads(lines[0])["labels"]["service"], "shop")

    def test_logs_follow_without_gap_or_repeat(self):
        command = [binary("yagura"), "logs", "-f", "--container", "talker", "--stream", "stdout"]
        command += ["--output", "raw", "--server", self.up.url]
        follow = Process("follow", command, os.path.join(self.place, "follow.log"))
        self.addCleanup(follow.kill)

        def numbers():
            return [int(line.split()[-1]) for line in follow.output().splitlines()]

        wait_for("thirty lines", lambda: len(numbers()) > 30 or None, 30)
        found = numbers()
        self.assertEqual(found, list(range(found[0], found[0] + len(found))))

    def test_top_alerts_checks_agents(self):
        self.assertIn("talker", self.yagura("top", "--once"))
        self.assertIn("node-under-test", self.yagura("agents"))
        for name in ("alerts", "checks", "agents"):
            json.loads(self.yagura(name, "--output", "json"))
            self.yagura(name)

    def test_no_server_is_said(self):
        code, _, err = run([binary("yagura"), "agents", "--server", "http://127.0.0.1:9"], 30)
        self.assertNotEqual(code, 0)
        self.assertIn("127.0.0.1:9", err)
        self.assertIn("yagura up", err)

    def test_help_has_examples(self):
        for command in ([], ["up"], ["logs"], ["query"]):
            code, out, _ = run([binary("yagura"), *command, "--help"])
            self.assertEqual(code, 0)
            self.assertIn("Example", out)
        for program in ("yagura", "yagura-agent", "yagura-collector"):
            self.assertRegex(run([binary(program), "--version"])[1], r"\d+\.\d+\.\d+")

    def test_metrics_page_without_a_collector(self):
        from harness.processes import free_port
        from harness.yagura import Daemon

        admin = free_port()
        text = f"node_name: alone\nadmin: 127.0.0.1:{admin}\nbuffer: {{path: {self.place}/alone}}\nexport: {{endpoints: []}}\n"
        agent = Daemon("yagura-agent", self.place, text).start()
        self.addCleanup(agent.stop)
        page = wait_for("the page", lambda: "node_cpu_seconds_total" in get(f"http://127.0.0.1:{admin}/metrics")[1])
        self.assertTrue(page)
        self.assertEqual(get(f"http://127.0.0.1:{admin}/live")[0], 200)
        wait_for("ready", lambda: get(f"http://127.0.0.1:{admin}/ready")[0] == 200)
