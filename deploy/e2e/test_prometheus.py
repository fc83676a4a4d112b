"""Real Prometheus scrapes both daemons; promtool reads their pages; node_exporter stands beside for comparison."""

import json
import re
import subprocess
import unittest

from harness.http import get, get_json
from harness.machine import machine
from harness.processes import Process, free_port, run, wait_for
from harness.yagura import Up

#: promtool's lints that the exporters we stand in for earn too, because dashboards know these names.
KNOWN_LINTS = re.compile(r"^(node_|container_|machine_)")


class Prometheus(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        place = machine().place("prometheus")
        cls.admin = free_port()
        cls.up = Up(
            place,
            f"""
agent:
  node_name: compared
  sources:
    host: {{interval: 1s}}
    cgroup: {{interval: 1s}}
    docker: {{socket: {machine().dockerd.socket}}}
  admin: 127.0.0.1:{cls.admin}
""",
        ).start()
        cls.port, cls.exporter_port = free_port(), free_port()
        with open(f"{place}/prometheus.yml", "w") as file:
            json.dump(scrape_config(cls.admin, cls.up.port), file)
        cls.prometheus = Process(
            "prometheus",
            [
                "prometheus",
                f"--config.file={place}/prometheus.yml",
                f"--storage.tsdb.path={place}/tsdb",
                f"--web.listen-address=127.0.0.1:{cls.port}",
            ],
            f"{place}/prometheus.log",
        )
        cls.exporter = Process(
            "node_exporter",
            ["prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{cls.exporter_port}"],
            f"{place}/node_exporter.log",
        )
        cls.pages = [f"http://127.0.0.1:{cls.admin}/metrics{page}" for page in ("", "/node", "/cadvisor", "/self")]
        cls.pages.append(f"{cls.up.url}/metrics")

    @classmethod
    def tearDownClass(cls):
        for process in (cls.prometheus, cls.exporter):
            process.stop()
        cls.up.stop()

    def test_prometheus_scrapes_agent_and_collector(self):
        def targets():
            url = f"http://127.0.0.1:{self.port}/api/v1/targets"
            return {item["scrapePool"]: (item["health"], item["lastError"]) for item in get_json(url)["data"]["activeTargets"]}

        wanted = dict.fromkeys(("agent", "node", "cadvisor", "collector", "federate"), ("up", ""))
        wait_for("all targets to be up", lambda: targets() == wanted or None, 40)

    def test_promtool_reads_every_page(self):
        for page in self.pages:
            status, text = wait_for(page, lambda page=page: get(page))
            self.assertEqual(status, 200)
            checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=30)
            said = (checked.stdout + checked.stderr).strip().splitlines()
            own = [line for line in said if not KNOWN_LINTS.match(line)]
            self.assertEqual(own, [], page)
            # 3 is promtool's code for lints only; anything else is a page it cannot read
            self.assertIn(checked.returncode, (0, 3), page)

    def test_values_are_node_exporters(self):
        wait_for("node_exporter", lambda: get(f"http://127.0.0.1:{self.exporter_port}/metrics")[0] == 200)
        before = self.scrape_exporter()
        ours = wait_for("a scrape between", lambda: self.scrape_ours_after(before))
        after = self.scrape_exporter()
        missing, wrong, types = [], [], []
        for name, kind in before.types.items():
            if not name.startswith("node_") or name.startswith("node_scrape_collector"):
                continue
            if name in ours.types and ours.types[name] != kind:
                types.append(f"{name}: {ours.types[name]} instead of {kind}")
        for series, low in before.values.items():
            high = after.values.get(series)
            name = series.split("{")[0]
            if not name.startswith("node_") or name not in ours.types or high is None or not comparable(name):
                continue
            value = ours.values.get(series)
            if value is None:
                missing.append(series)
            elif not between(value, low, high, before.types.get(name)):
                wrong.append(f"{series}: {value} not between {low} and {high}")
        lacking = sorted({name for name in before.types if name.startswith("node_")} - ours.types.keys())
        print("    node_exporter has and we lack:", ", ".join(lacking) or "nothing", flush=True)
        self.assertEqual(types, [])
        self.assertEqual(missing, [])
        self.assertEqual(wrong, [])
        compared = [name for name in before.types if name in ours.types]
        self.assertGreater(len(compared), 150, "most of node_exporter is there")

    def scrape_exporter(self):
        return Page(get(f"http://127.0.0.1:{self.exporter_port}/metrics")[1])

    def scrape_ours_after(self, before):
        """Our page once its clock is past the exporter's first reading."""
        page = Page(get(self.pages[1])[1])
        fresh = page.values.get("node_time_seconds", 0) > before.values["node_time_seconds"]
        return page if fresh else None


class Page:
    """A page in the text format: types by name, values by series (labels sorted, without our tags and empty ones)."""

    TAGS = {"source", "service", "env", "role"}

    def __init__(self, text):
        self.types, self.values = {}, {}
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                self.types[name] = kind
            elif line and not line.startswith("#"):
                series, value = line.rsplit(" ", 1)
                name, _, labels = series.partition("{")
                pairs = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels)
                kept = sorted(f'{label}="{held}"' for label, held in pairs if held and label not in self.TAGS)
                self.values[f"{name}{{{','.join(kept)}}}" if kept else name] = float(value)


#: Gauges that move while three programs take turns reading them: no bound can be given from two readings.
RESTLESS = re.compile(
    r"node_(load\d+|memory_|procs_|filefd_allocated|sockstat_|netstat_Tcp_CurrEstab|filesystem_(avail|free|files_free)"
    r"|disk_io_now|timex_|entropy_available|nf_conntrack_entries$|time_seconds|cpu_scaling|cpu_frequency|textfile|exporter_build)"
)


def comparable(name):
    return not RESTLESS.match(name) and not name.startswith("node_scrape_")


def between(value, low, high, kind):
    """Constants are equal, counters lie between the two readings."""
    if value != value and low != low:
        return True
    if kind == "counter" or kind == "untyped":
        return low - 1e-9 <= value <= high + 1e-9
    return value in (low, high) or min(low, high) <= value <= max(low, high)


def scrape_config(admin, collector):
    def job(name, port, path, **more):
        return {
            "job_name": name,
            "metrics_path": path,
            "scrape_interval": "2s",
            "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
            **more,
        }

    return {
        "scrape_configs": [
            job("agent", admin, "/metrics"),
            job("node", admin, "/metrics/node"),
            job("cadvisor", admin, "/metrics/cadvisor"),
            job("collector", collector, "/metrics"),
            job("federate", collector, "/federate", params={"match[]": ['{__name__=~"node_.*"}']}, honor_labels=True),
        ]
    }
