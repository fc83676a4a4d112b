"""Containers with known behaviour, seen through `yagura up`: figures against the kernel's own, every line once."""

import os
import time
import unittest

from harness.machine import machine
from harness.processes import wait_for
from harness.yagura import Up

LINES = 20_000
PAGE = os.sysconf("SC_PAGE_SIZE")
#: The kernel batches memory accounting per CPU: a cgroup's usage may be off by this much.
MEMORY_SLACK = 64 * PAGE * os.cpu_count()

TAGS = {"service": "shop", "env": "test", "role": "worker"}
LABELS = [option for name, value in TAGS.items() for option in ("--label", f"{name}={value}")]

BURN = "while :; do :; done"
HOLD = "dd if=/dev/zero of=/dev/shm/held bs=1M count=64; while :; do sleep 1; done"
WRITE = """i=0
while [ $i -lt %d ]; do
  echo "line $i of the writer"
  i=$((i + 1))
  [ $((i %% 200)) = 0 ] && sleep 0.1
done
sleep 600"""


def config(dockerd, interval="1s"):
    return f"""
agent:
  node_name: node-under-test
  sources:
    host: {{interval: {interval}}}
    cgroup: {{interval: {interval}}}
    docker: {{socket: {dockerd.socket}}}
"""


class Containers(unittest.TestCase):
    """One `yagura up` watches six containers; each test looks at one of them."""

    @classmethod
    def setUpClass(cls):
        cls.dockerd, cls.busybox = machine().dockerd, machine().busybox
        cls.up = Up(machine().place("containers"), config(cls.dockerd)).start()
        shell = ["/bin/sh", "-c"]
        run = cls.dockerd.run
        run("burn", cls.busybox, [*shell, BURN], "--cpus", "0.5", *LABELS)
        run("hold", cls.busybox, [*shell, HOLD], "-m", "128m", "--shm-size", "100m", *LABELS)
        run("write", cls.busybox, [*shell, WRITE % LINES], "--log-opt", "max-size=100k", "--log-opt", "max-file=3", *LABELS)
        run("short", cls.busybox, [*shell, "echo I was here; sleep 0.3"], *LABELS)
        run("oom", cls.busybox, [*shell, "echo eating; dd if=/dev/zero of=/dev/null bs=100M"], "-m", "32m", *LABELS)
        run("web", machine().nginx, ["/usr/sbin/nginx"], *LABELS)

    @classmethod
    def tearDownClass(cls):
        cls.up.stop()
        cls.dockerd.remove("burn", "hold", "write", "short", "oom", "web")

    def cgroup_file(self, container, controller, file):
        path = f"/sys/fs/cgroup/{controller}/docker/{self.dockerd.inspect(container)['Id']}/{file}"
        with open(path) as text:
            return text.read()

    def test_cpu_rate_is_the_kernels(self):
        def kernel():
            return time.time(), int(self.cgroup_file("burn", "cpuacct", "cpuacct.usage")) / 1e9

        selector = 'container_cpu_usage_seconds_total{name="burn",cpu="total"}'
        wait_for("the burner's first samples", lambda: self.up.value(selector))
        readings = [kernel()]

        def twenty_seconds_of_readings():
            readings.append(kernel())
            return readings[-1][0] > readings[0][0] + 20

        wait_for("20 s to pass", twenty_seconds_of_readings, 40, every=0.05)
        began, ended = readings[0][0], readings[-1][0]
        wait_for("a sample after the end", lambda: self.up.samples(selector, 5)[-1][0] >= ended)
        samples = [sample for sample in self.up.samples(selector, 60) if began <= sample[0] <= ended]
        (first_at, first), (last_at, last) = samples[0], samples[-1]
        ours = (last - first) / (last_at - first_at)
        kernels = (at_time(readings, last_at) - at_time(readings, first_at)) / (last_at - first_at)
        self.assertAlmostEqual(ours, kernels, delta=0.02 * kernels)
        asked = self.up.value(f"rate({selector}[20s])", at=ended)
        self.assertAlmostEqual(asked, kernels, delta=0.1 * kernels, msg="rate() extrapolates to its window's ends")

    def test_throttling_is_seen(self):
        query = 'increase(container_cpu_cfs_throttled_periods_total{name="burn"}[30s])'
        self.assertGreater(wait_for("throttled periods", lambda: self.up.value(query)), 0)

    def test_memory_is_the_kernels(self):
        def kernel():
            return int(self.cgroup_file("hold", "memory", "memory.usage_in_bytes"))

        wait_for("the holder to hold 64 MiB", lambda: kernel() > 64 << 20)
        selector = 'container_memory_usage_bytes{name="hold"}'

        def agrees():
            before, at = kernel(), time.time()
            sample = wait_for("the next sample", lambda: next((s for s in self.up.samples(selector, 5) if s[0] > at), None))
            after = kernel()
            return min(before, after) - MEMORY_SLACK <= sample[1] <= max(before, after) + MEMORY_SLACK

        self.assertTrue(agrees())
        limit = self.up.value('container_spec_memory_limit_bytes{name="hold"}')
        self.assertEqual(limit, 128 << 20)

    def test_the_oom_kill_is_counted_and_logged(self):
        self.assertEqual(wait_for("the OOM flag", lambda: self.up.value('yagura_container_oom_killed{name="oom"}')), 1)
        wait_for("the OOM event", lambda: [line for _, _, line in self.up.lines('{container="oom"} |= "oom"')])

    def test_every_line_once_in_order_and_tagged(self):
        wanted = [f"line {number} of the writer" for number in range(LINES)]
        query = '{container="write",stream="stdout"}'
        wait_for("the last line", lambda: self.up.lines(query + f' |= "line {LINES - 1} "'), 120, every=1)
        found = self.up.lines(query)
        self.assertEqual(first_difference([line for _, _, line in found], wanted), None)
        for _, labels, _ in found[:: LINES // 10]:
            self.assertEqual({name: labels.get(name) for name in TAGS}, TAGS)

    def test_a_container_of_300_ms_is_seen_with_its_log_and_tags(self):
        found = wait_for("its line", lambda: self.up.lines('{container="short",stream="stdout"}'))
        self.assertEqual([line for _, _, line in found], ["I was here"])
        self.assertEqual({name: found[0][1].get(name) for name in TAGS}, TAGS)
        state = wait_for("its state", lambda: self.up.query('yagura_container_state{name="short",state="exited"}'))
        self.assertEqual(state[0][0]["service"], "shop")
        events = [line for _, _, line in self.up.lines('{container="short"}')]
        self.assertTrue(any("started" in line for line in events), events)
        self.assertTrue(any("exited with code 0" in line for line in events), events)

    def test_nginx_has_its_source_and_network(self):
        address = self.dockerd.inspect("web")["NetworkSettings"]["IPAddress"]
        self.dockerd.docker("exec", "web", "/bin/wget", "-q", "-O", "/dev/null", f"http://{address}/")
        found = wait_for("the access log", lambda: self.up.lines('{container="web"} |= "GET /"'))
        self.assertEqual(found[0][1]["source"], "nginx")
        query = 'container_network_receive_bytes_total{name="web",interface="eth0"}'
        self.assertIsNotNone(wait_for("network figures", lambda: self.up.query(query)))

    def test_the_container_api_lists_them(self):
        from harness.http import get_json

        def listed():
            answer = get_json(f"{self.up.url}/api/containers")
            return {item["name"]: item for item in answer["containers"]}.keys() >= {"burn", "hold", "web"}

        wait_for("the list of containers", listed)


def at_time(readings, moment):
    """A counter at a moment between two of its readings."""
    for (before, low), (after, high) in zip(readings, readings[1:]):
        if before <= moment <= after:
            return low + (high - low) * (moment - before) / (after - before)
    raise AssertionError(f"no reading around {moment}")


def first_difference(found, wanted):
    """Where two lists part, in words; `None` when they are equal."""
    for place, (one, other) in enumerate(zip(found, wanted)):
        if one != other:
            return f"place {place}: {one!r} instead of {other!r} ({len(found)} lines, {len(wanted)} wanted)"
    if len(found) != len(wanted):
        return f"{len(found)} lines instead of {len(wanted)}; the extra or missing ones are at the end"
    return None
