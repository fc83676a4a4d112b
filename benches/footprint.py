#!/usr/bin/env python3
"""What the agent costs on a host with many containers: memory at rest and at the peak, CPU at rest.

    footprint.py --bin target/release [--containers 200] [--seconds 120]

Starts its own dockerd and that many real containers, each of which writes a line every few seconds; then the
collector, the agent, and beside them Debian's node_exporter scraped at the agent's interval, for comparison.
Prints one line for each figure. Needs root and the programs that `./check` installs.
"""

import argparse
import os
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "deploy", "e2e"))

from harness.docker import Dockerd  # noqa: E402
from harness.http import get  # noqa: E402
from harness.processes import Process, free_port, wait_for  # noqa: E402
from harness.yagura import Daemon, Server  # noqa: E402

INTERVAL = 10
BURST_LINES = 20_000
TICKS = os.sysconf("SC_CLK_TCK")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--containers", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=120)
    options = parser.parse_args()
    os.environ["YAGURA_BIN"] = os.path.abspath(options.bin)
    with tempfile.TemporaryDirectory(prefix="yagura-footprint-") as folder:
        dockerd = Dockerd(f"{folder}/docker", f"{folder}/dockerd.log")
        dockerd.start()
        try:
            measure(folder, dockerd, options)
        finally:
            dockerd.stop()


def measure(folder, dockerd, options):
    image = dockerd.make_busybox()
    talk = "while :; do echo \"$(date) a line of about one hundred and fifty bytes, as most programs write them, level=info service=shop took=12ms status=200 path=/cart/items\"; sleep 5; done"
    for number in range(options.containers):
        dockerd.run(f"idle-{number}", image, ["/bin/sh", "-c", talk], "--network", "none", "--label", "service=idle")
    print(f"{options.containers} containers run", flush=True)
    api, otlp, admin, exporter_port = free_port(), free_port(), free_port(), free_port()
    collector = Daemon("yagura-collector", folder, f"listen: 127.0.0.1:{api}\notlp: 127.0.0.1:{otlp}\nstorage: {{path: {folder}/store}}\n").start()
    agent = Daemon(
        "yagura-agent",
        folder,
        f"""
node_name: footprint
sources:
  host: {{interval: {INTERVAL}s}}
  cgroup: {{interval: {INTERVAL}s}}
  docker: {{socket: {dockerd.socket}}}
buffer: {{path: {folder}/agent}}
export: {{endpoints: ["http://127.0.0.1:{otlp}"]}}
admin: 127.0.0.1:{admin}
""",
    ).start()
    exporter = Process("node_exporter", ["prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{exporter_port}"], f"{folder}/exporter.log")
    server = Server(api)
    try:
        wait_for("all containers", lambda: server.value('count(container_memory_usage_bytes{name=~"idle-.*"})') == options.containers, 120, every=1)
        settle(20)
        began, agent_began, exporter_began = time.monotonic(), cpu(agent.process.pid), cpu(exporter.pid)
        while time.monotonic() < began + options.seconds:
            get(f"http://127.0.0.1:{exporter_port}/metrics")
            settle(INTERVAL)
        passed = time.monotonic() - began
        say("agent CPU at rest, % of a core", 100 * (cpu(agent.process.pid) - agent_began) / passed)
        say("node_exporter CPU, scraped as often, % of a core", 100 * (cpu(exporter.pid) - exporter_began) / passed)
        say("agent RSS at rest, MiB", rss(agent.process.pid, "VmRSS"))
        say("node_exporter RSS, MiB", rss(exporter.pid, "VmRSS"))
        burst = f"i=0; while [ $i -lt {BURST_LINES} ]; do echo burst $i of lines that come all at once; i=$((i+1)); done"
        for number in range(20):
            dockerd.run(f"burst-{number}", image, ["/bin/sh", "-c", burst], "--network", "none")
        wanted = 20 * BURST_LINES
        counted = 'sum(count_over_time({container=~"burst-.*",stream="stdout"}[10m]))'
        wait_for("the burst to be stored", lambda: loki_sum(server, counted) >= wanted, 180, every=1)
        say("agent RSS, peak so far, MiB", rss(agent.process.pid, "VmHWM"))
        settle(10)
        say("agent RSS 10 s after the burst, MiB", rss(agent.process.pid, "VmRSS"))
        say("collector RSS, MiB", rss(collector.process.pid, "VmRSS"))
    finally:
        for process in (agent, collector, exporter):
            process.stop()


def loki_sum(server, query):
    from harness.http import get_json

    result = get_json(f"{server.url}/loki/api/v1/query", query=query)["data"]["result"]
    return sum(float(item["value"][1]) for item in result)


def settle(seconds):
    """A measurement over time has to let time pass."""
    time.sleep(seconds)


def cpu(pid):
    """Seconds of CPU a process has used."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss(pid, field):
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith(field + ":"):
                return int(line.split()[1]) / 1024
    raise AssertionError(f"no {field} for {pid}")


def say(what, value):
    print(f"{what}: {value:.2f}", flush=True)


if __name__ == "__main__":
    main()
