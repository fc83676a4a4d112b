"""Yagura itself, started as a user starts it, and asked through the APIs that its users use."""

import os
import time

from .http import get, get_json
from .processes import Process, free_port, wait_for


def binary(name):
    """The built binary; `./check` says where they are."""
    return os.path.join(os.environ["YAGURA_BIN"], name)


class Server:
    """The collector's APIs at one address."""

    def __init__(self, port):
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def query(self, promql, at=None):
        """An instant query: a list of (labels, value) for a vector, the raw `result` for anything else."""
        parameters = {"query": promql}
        if at is not None:
            parameters["time"] = f"{at:.3f}"
        data = get_json(f"{self.url}/prom/api/v1/query", **parameters)["data"]
        if data["resultType"] != "vector":
            return data["result"]
        return [(item["metric"], float(item["value"][1])) for item in data["result"]]

    def value(self, promql, at=None):
        """The value of the only series that a query gives; `None` when there is none."""
        found = self.query(promql, at)
        if len(found) > 1:
            raise AssertionError(f"{promql} gave {len(found)} series: {[labels for labels, _ in found][:5]}")
        return found[0][1] if found else None

    def samples(self, selector, seconds):
        """The raw samples of the only series of a range selector, as (time, value)."""
        result = get_json(f"{self.url}/prom/api/v1/query", query=f"{selector}[{seconds}s]")["data"]["result"]
        if len(result) != 1:
            raise AssertionError(f"{selector} gave {len(result)} series")
        return [(float(at), float(value)) for at, value in result[0]["values"]]

    def lines(self, logql, since=3600, limit=5000):
        """Every record of a LogQL query, oldest first, page by page: (nanoseconds, labels, line)."""
        end = time.time_ns() + 60 * 10**9
        start = end - (since + 60) * 10**9
        found = []
        while True:
            page = self._page(logql, start, end, limit)
            found += page
            if len(page) < limit:
                return found
            # The last instant may be cut in two: take it again as a whole.
            start = page[-1][0]
            while found and found[-1][0] == start:
                found.pop()
            if page[0][0] == start:
                raise AssertionError(f"{limit} records of {logql} at one instant")

    def _page(self, logql, start, end, limit):
        answer = get_json(
            f"{self.url}/loki/api/v1/query_range",
            seconds=30,
            query=logql,
            start=start,
            end=end,
            limit=limit,
            direction="forward",
        )
        page = []
        for stream in answer["data"]["result"]:
            page += [(int(entry[0]), stream["stream"], entry[1]) for entry in stream["values"]]
        return sorted(page, key=lambda entry: entry[0])


class Up(Server):
    """`yagura up`: both daemons on this machine, in one process."""

    def __init__(self, folder, config="", arguments=(), name="up", env=None):
        super().__init__(free_port())
        self.folder, self.name, self.env = folder, name, env
        self.data = os.path.join(folder, f"{name}-data")
        self.log_path = os.path.join(folder, f"{name}.log")
        self.config_path = os.path.join(folder, f"{name}.yaml")
        with open(self.config_path, "w") as file:
            file.write(config)
        self.arguments = list(arguments)
        self.process = None

    def start(self):
        command = [binary("yagura"), "up", "--data", self.data, "--listen", f"127.0.0.1:{self.port}"]
        command += ["--config", self.config_path, *self.arguments]
        self.process = Process(self.name, command, self.log_path, env=self.env)
        self.wait_ready()
        return self

    def wait_ready(self):
        def ready():
            if not self.process.running():
                raise AssertionError(f"{self.name} ended:\n{self.process.output()[-4000:]}")
            return get(f"{self.url}/ready")[0] == 200

        wait_for(f"{self.name} to be ready", ready, 30)

    def kill(self):
        self.process.kill()

    def stop(self):
        return self.process.stop()


class Daemon:
    """`yagura-agent` or `yagura-collector` on its own."""

    def __init__(self, program, folder, config, name=None):
        self.program, self.folder, self.name = program, folder, name or program
        self.config_path = os.path.join(folder, f"{self.name}.yaml")
        self.log_path = os.path.join(folder, f"{self.name}.log")
        with open(self.config_path, "w") as file:
            file.write(config)
        self.process = None

    def start(self):
        command = [binary(self.program), "--config", self.config_path]
        self.process = Process(self.name, command, self.log_path)
        return self

    def kill(self):
        self.process.kill()

    def stop(self):
        return self.process.stop()
