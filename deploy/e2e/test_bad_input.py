"""Bad configs are refused with the place and the way out; damage on disk is set aside and named."""

import glob
import os
import random
import socket
import unittest

from harness.machine import machine
from harness.processes import free_port, run, wait_for
from harness.yagura import Server, Up, Daemon, binary
from test_containers import LABELS, config

CONFIG_ERROR = 78


class BadConfig(unittest.TestCase):
    def setUp(self):
        self.place = machine().place(f"bad-{self._testMethodName}")

    def refused(self, program, text, *wanted, code=CONFIG_ERROR, more=()):
        path = os.path.join(self.place, "config.yaml")
        with open(path, "w") as file:
            file.write(text)
        ended, out, err = run([binary(program), "--config", path, *more], 30)
        said = out + err
        self.assertEqual(ended, code, said)
        for part in wanted:
            self.assertIn(part, said)
        self.assertNotIn("panicked", said)

    def test_an_unknown_key_names_file_line_and_column(self):
        text = "node_name: a\nsources:\n  host: {intervall: 10s}\n"
        self.refused("yagura-agent", text, "config.yaml:3:", "intervall", "interval")
        self.refused("yagura-collector", "listen: 127.0.0.1:0\nstorag: {}\n", "config.yaml:2:1", "storag", "storage")

    def test_a_wrong_type_says_what_was_expected(self):
        self.refused("yagura-agent", "sources:\n  host: {interval: soon}\n", "config.yaml:2:", "interval", "soon")
        self.refused("yagura-collector", "storage: {size: [1]}\n", "config.yaml:1:", "size")

    def test_bad_promql_in_a_rule_names_the_rule(self):
        rules = os.path.join(self.place, "rules.yaml")
        with open(rules, "w") as file:
            file.write("groups:\n  - name: g\n    rules:\n      - alert: Broken\n        expr: sum(rate(x[5m])\n")
        text = f"storage: {{path: {self.place}/store}}\nrules: [{rules}]\n"
        self.refused("yagura-collector", text, "rules.yaml:", "Broken")
        self.refused("yagura-collector", text, "rules.yaml:", "Broken", more=["--check-config"])

    def test_a_taken_main_port_ends_with_1(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            text = f"listen: 127.0.0.1:{port}\notlp: 127.0.0.1:0\nstorage: {{path: {self.place}/store}}\n"
            self.refused("yagura-collector", text, f"127.0.0.1:{port}", "in use", code=1)

    def test_a_data_directory_that_cannot_be_written_is_named(self):
        text = f"listen: 127.0.0.1:{free_port()}\notlp: 127.0.0.1:0\nstorage: {{path: /proc/yagura}}\n"
        path = os.path.join(self.place, "config.yaml")
        with open(path, "w") as file:
            file.write(text)
        ended, out, err = run([binary("yagura-collector"), "--config", path], 30)
        self.assertIn(ended, (1, CONFIG_ERROR), out + err)
        self.assertIn("/proc/yagura", out + err)

    def test_a_listener_for_everybody_needs_a_token(self):
        text = f"listen: 0.0.0.0:{free_port()}\nstorage: {{path: {self.place}/store}}\n"
        self.refused("yagura-collector", text, "listen", "token")


class Damage(unittest.TestCase):
    """A store with bytes flipped and cut still starts, says what was set aside, and goes on taking data."""

    def test_a_damaged_store_still_starts(self):
        place = machine().place("damage")
        up = Up(place, config(machine().dockerd)).start()
        self.addCleanup(lambda: up.process.running() and up.stop())
        machine().dockerd.run("before-damage", machine().busybox, ["/bin/echo", "written before"], *LABELS)
        self.addCleanup(machine().dockerd.remove, "before-damage", "after-damage")
        wait_for("the line", lambda: up.lines('{container="before-damage",stream="stdout"}'))
        up.kill()
        hurt = damage(up.data, random.Random(7))
        self.assertGreater(len(hurt), 1)
        up.start()
        said = up.process.output()
        self.assertIn("set aside", said)
        machine().dockerd.run("after-damage", machine().busybox, ["/bin/echo", "written after"], *LABELS)
        wait_for("a line written after", lambda: up.lines('{container="after-damage",stream="stdout"}'))

    def test_a_damaged_checkpoint_still_starts(self):
        place = machine().place("damaged-checkpoint")
        up = Up(place, config(machine().dockerd)).start()
        self.addCleanup(lambda: up.process.running() and up.stop())
        machine().dockerd.run("checkpointed", machine().busybox, ["/bin/echo", "only once"], *LABELS)
        self.addCleanup(machine().dockerd.remove, "checkpointed")
        wait_for("the line", lambda: up.lines('{container="checkpointed",stream="stdout"}'))
        up.kill()
        for path in glob.glob(f"{up.data}/**/*checkpoint*", recursive=True):
            if os.path.isfile(path):
                flip(path, random.Random(3))
        up.start()
        wait_for("the collector to answer", lambda: up.lines('{container="checkpointed",stream="stdout"}'))
        found = [line for _, _, line in up.lines('{container="checkpointed",stream="stdout"}')]
        self.assertEqual(found, ["only once"], "a second reading is known by its byte range")


def damage(folder, chance):
    """Flips bytes in one file in two and cuts the tail off the others, files of the store only."""
    hurt = []
    paths = [path for path in glob.glob(f"{folder}/collector/**/*", recursive=True) if os.path.isfile(path)]
    for number, path in enumerate(sorted(paths)):
        size = os.path.getsize(path)
        if size < 64 or path.endswith(("lock", "token")):
            continue
        if number % 2:
            flip(path, chance)
        else:
            os.truncate(path, size - size // 4)
        hurt.append(path)
    return hurt


def flip(path, chance):
    size = os.path.getsize(path)
    if not size:
        return
    with open(path, "r+b") as file:
        for _ in range(4):
            place = chance.randrange(size)
            file.seek(place)
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes([byte ^ 0x40]))
