#!/usr/bin/env python3
"""Walks every page of the UI as a person does, and fails with what was not seen.

    ui_walk.py URL FOLDER

URL is a collector's that has: containers with logs, one of them called `burner`; a check that fails and an alert that
fires. Screenshots of every page, at two widths, light and dark, are kept in FOLDER.
"""

import json
import os
import sys
import time
import traceback
import urllib.request

from browser import Browser, BrowserError

SIZES = {"wide": (1440, 900), "phone": (360, 740)}
THEMES = ["light", "dark"]
PAGES = {
    "home": ("/", "Containers"),
    "container": ("/?panel=container:burner", "What happened"),
    "metrics-start": ("/ui/metrics", "Start from a question"),
    "metrics": ("/ui/metrics?q=rate(container_cpu_usage_seconds_total%5B1m%5D)", "series"),
    "logs": ("/ui/logs", "lines"),
    "alerts": ("/ui/alerts", "Silences"),
    "checks": ("/ui/checks", "Last 90 runs|Verdict"),
    "agents": ("/ui/agents", "agent"),
    "nowhere": ("/ui/nowhere", "There is no such page"),
}


def ask(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def wait_for(what, condition, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            found = condition()
            if found:
                return found
        except OSError:
            pass
        time.sleep(0.25)
    raise BrowserError(f"waited {seconds} s for {what}")


class Walk:
    """The walk; each method that starts with `sees_` is one thing a person does."""

    def __init__(self, page, url, folder):
        self.page, self.url, self.folder = page, url, folder

    def open(self, path):
        self.page.open(self.url + path)

    def shoot(self, name):
        self.page.screenshot(os.path.join(self.folder, f"{name}.png"))

    def quiet(self, where, allow=()):
        """Nothing was complained of on the console."""
        loud = [line for line in self.page.complaints() if not any(known in line for known in allow)]
        assert not loud, f"the console at {where} says: {loud}"

    # -- every page, at both widths, in both themes

    def sees_every_page_in_every_dress(self):
        for size, (width, height) in SIZES.items():
            self.page.resize(width, height)
            for theme in THEMES:
                self.page.theme(theme)
                for name, (path, text) in PAGES.items():
                    self.open(path)
                    wanted = text.split("|")
                    self.page.until(f"{wanted} at {path}",
                                    lambda wanted=wanted: any(one.lower() in self.page.text().lower() for one in wanted))
                    self.page.until("no skeleton", lambda: self.page.count(".skeleton") == 0)
                    wider = self.page.sideways()
                    assert wider <= 0, f"{name} at {width} px scrolls {wider} px sideways"
                    self.shoot(f"{name}-{size}-{theme}")
                    self.quiet(path)
        self.page.resize(*SIZES["wide"])
        self.page.theme("light")

    def sees_the_first_paint_soon(self):
        self.open("/")
        self.page.wait_text("Containers")
        paint = self.page.script(
            "return performance.getEntriesByName('first-contentful-paint').map(e => e.startTime)[0]")
        # On a machine that also runs everything else; alone it is well below 300 ms.
        assert paint is not None and paint < 1500, f"first paint after {paint} ms"
        outside = self.page.script(
            "return performance.getEntriesByType('resource').map(e => e.name).filter(n => !n.startsWith(location.origin))")
        assert outside == [], f"asked of other places: {outside}"

    # -- home

    def sees_containers_and_finds_one(self):
        self.open("/")
        self.page.wait_text("burner", ".containers")
        self.page.type("[data-filter]", "burner")
        self.page.until("only the burner", lambda: self.page.count(".containers .tr.link") == 1)
        assert "f=burner" in self.page.url(), "the filter stands in the address"
        self.page.click(".containers .tr.link")
        self.page.wait_text("burner", ".panel h2")
        self.page.wait_text("cores", ".panel")
        self.page.until("a drawn chart", lambda: self.page.count(".panel .chart canvas") > 0)
        self.shoot("container-panel")
        self.page.press("Escape")
        self.page.until("no panel", lambda: self.page.count(".panel") == 0)
        self.page.script("history.back()")
        self.page.wait_text("burner", ".panel h2")
        self.quiet("home")

    def sees_groups_and_the_scope(self):
        self.open("/?by=state")
        self.page.until("a group line", lambda: self.page.count(".groupline") > 0)
        self.open("/?scope=service:nobody-has-this")
        self.page.wait_text("No container is in this scope")
        self.page.click(".chip .x")
        self.page.wait_text("burner", ".containers")
        self.quiet("groups")

    def sees_what_is_searched_by_name(self):
        self.open("/ui/agents")
        self.page.wait_text("agent")
        self.page.press("/")
        self.page.find(".dialog input")
        self.page.type(".dialog input", "burner")
        self.page.wait_text("Container", ".dialog .list")
        self.page.press("Enter")
        self.page.wait_text("burner", ".panel h2")
        self.quiet("search")

    # -- metrics

    def sees_a_query_completed_and_drawn(self):
        self.open("/ui/metrics")
        self.page.wait_text("Or from a metric")
        self.page.type(".editor textarea", "container_memory_work")
        self.page.wait_text("container_memory_working_set_bytes", ".completions")
        self.page.press("Enter")
        self.page.press("Enter")
        self.page.wait_text("series", ".results")
        self.page.until("rows of series", lambda: self.page.count(".results .tr") > 0)
        assert "container_memory_working_set_bytes" in self.page.url()
        self.quiet("metrics")

    def sees_where_a_query_is_wrong(self):
        self.open("/ui/metrics?q=sum(rate(up)")
        self.page.wait_text("Could not read the query")
        self.page.wait_text("parse error")
        self.page.find(".editor .fault")
        self.shoot("metrics-wrong")
        self.quiet("a wrong query", allow=["400"])
        self.open("/ui/metrics?q=nobody_has_this_metric")
        self.page.wait_text("No data")

    # -- logs

    def sees_lines_found_marked_and_opened(self):
        self.open("/ui/logs?q=container:talker")
        self.page.wait_text("said", ".loglines")
        before = self.page.text(".logline:last-child .msg")
        self.page.until("new lines", lambda: self.page.text(".loglines") and self.newest() != before)
        self.open("/ui/logs?q=container:talker+%22oh+no%22")
        self.page.until("marked words", lambda: self.page.count(".logline mark") > 0)
        self.page.until("errors counted", lambda: "error" in self.page.text(".facets"))
        self.page.click(".facet[data-level='error']")
        self.page.until("the term in the search", lambda: "level" in self.page.url())
        self.page.until("lines", lambda: self.page.count(".logline") > 0)
        self.page.click(".logline")
        self.page.wait_text("Around it", ".panel")
        self.page.wait_text("Tags and fields".lower(), ".panel")
        self.page.until("lines around it", lambda: self.page.count(".panel .loglist .line") > 1)
        self.shoot("logs-line")
        self.page.press("Escape")
        self.quiet("logs")

    def newest(self):
        return self.page.script(
            "const all = [...document.querySelectorAll('.logline')].sort((a, b) => a.ariaRowIndex - b.ariaRowIndex);"
            "return all.length ? all[all.length - 1].querySelector('.msg').textContent : ''")

    def sees_that_no_line_matches(self):
        self.open("/ui/logs?q=nobody-ever-wrote-this")
        self.page.wait_text("No line matches")
        self.shoot("logs-empty")
        self.open("/ui/logs?q=%7Bservice%3D%22")
        self.page.wait_text("Could not read the logs")
        self.quiet("wrong LogQL", allow=["400"])

    # -- alerts

    def sees_an_alert_and_silences_it_in_two_clicks(self):
        self.open("/ui/alerts?state=firing")
        self.page.wait_text("firing", ".table")
        self.page.click(".table .tr.link")
        self.page.wait_text("Expression", ".panel")
        self.page.wait_text("Who was told", ".panel")
        self.shoot("alert-panel")
        self.page.click(".panel header .btn[aria-haspopup]")
        self.page.click(".menu button.item")
        self.page.wait_text("Silenced", ".panel header")
        self.open("/ui/alerts")
        self.page.wait_text("silenced", ".table")
        self.page.click(".silences .btn")
        self.page.wait_text("Nothing is silenced")
        self.quiet("alerts")

    # -- checks and agents

    def sees_a_failed_run(self):
        failing = next(one for one in ask(self.url + "/api/checks")["checks"] if one["verdict"] in ("down", "failing"))
        self.open("/ui/checks")
        self.page.wait_text(failing["name"], ".table")
        self.open(f"/ui/checks?panel={failing['name']}")
        self.page.wait_text("Latency by phase", ".panel")
        self.page.click(".run summary")
        self.page.wait_text("Attempts" if failing["last"].get("attempts", 1) > 1 else "When", ".rundetails")
        self.shoot("check-panel")
        self.quiet("checks")

    def sees_what_an_agent_cannot(self):
        agent = ask(self.url + "/api/agents")["agents"][0]
        self.open("/ui/agents")
        self.page.wait_text(agent["node"], ".table")
        self.page.click(".table .tr.link")
        self.page.wait_text("Sources", ".panel")
        for source in agent["status"]["sources"]:
            self.page.wait_text(source["name"], ".panel .sources")
        self.page.wait_text("What became of every log byte", ".panel")
        self.shoot("agent-panel")
        self.quiet("agents")

    # -- the frame

    def sees_time_theme_and_keys(self):
        self.open("/ui/metrics?q=up")
        self.page.wait_text("series")
        self.page.click(".btn.time")
        self.page.wait_text("Last 3 hours", ".menu:not([hidden])")
        self.page.script("[...document.querySelectorAll('.menu .item')].find(e => e.textContent === 'Last 3 hours').click()")
        self.page.wait_text("Last 3 hours", ".top")
        assert "from=now-3h" in self.page.url()
        self.page.press("[")
        self.page.wait_text("Fixed", ".top")
        self.page.press("?")
        self.page.wait_text("Keyboard", ".dialog")
        self.page.press("Escape")
        self.page.press("D")
        assert self.page.script("return document.documentElement.dataset.theme") == "dark"
        self.page.press("D")
        self.page.press("g")
        self.page.press("c")
        self.page.until("the checks", lambda: "/ui/checks" in self.page.url())
        self.quiet("keys")

    def sees_what_cannot_be_read(self):
        """Each page says what was asked and offers to ask again, when a part of the collector does not answer."""
        blocked = {"/": "/api/containers", "/ui/metrics?q=up": "/prom/api/v1/query_range",
                   "/ui/logs": "/loki/api/v1/query_range", "/ui/alerts": "/prom/api/v1/rules",
                   "/ui/checks": "/api/checks", "/ui/agents": "/api/agents"}
        self.page.cdp("Network.enable")
        try:
            for path, asked in blocked.items():
                self.page.cdp("Network.setBlockedURLs", urls=[f"*{asked}*", "*/api/live*"])
                self.open(path)
                self.page.wait_text("Could not read")
                self.page.wait_text("The collector does not answer")
                self.shoot("error-" + (path.strip("/").split("/")[-1].split("?")[0] or "home"))
                self.page.cdp("Network.setBlockedURLs", urls=[])
                # What is told by the live feed may have mended the page by now.
                self.page.script("const b = document.querySelector('.note.critical .btn'); if (b) b.click();")
                self.page.until(f"{path} without its error", lambda: "Could not read" not in self.page.text())
        finally:
            self.page.cdp("Network.setBlockedURLs", urls=[])
        self.page.complaints()


def prepared(url):
    """Waits until there is something to see."""
    wait_for("a container called burner",
             lambda: any(one["name"] == "burner" for one in ask(url + "/api/containers")["containers"]))
    wait_for("an agent", lambda: ask(url + "/api/agents")["agents"])
    wait_for("a failing check",
             lambda: any(one["verdict"] in ("down", "failing") for one in ask(url + "/api/checks")["checks"]))
    wait_for("a firing alert",
             lambda: any(one["state"] == "firing" for one in ask(url + "/prom/api/v1/alerts")["data"]["alerts"]), 120)


def main():
    url, folder = sys.argv[1].rstrip("/"), sys.argv[2]
    os.makedirs(folder, exist_ok=True)
    prepared(url)
    failed = 0
    with Browser() as page:
        page.resize(*SIZES["wide"])
        page.theme("light")
        walk = Walk(page, url, folder)
        for name in [name for name in dir(Walk) if name.startswith("sees_")]:
            began = time.monotonic()
            try:
                getattr(walk, name)()
                print(f"ok     {name.replace('_', ' ')} ({time.monotonic() - began:.1f} s)", flush=True)
            except (AssertionError, BrowserError) as error:
                failed += 1
                walk.shoot(f"failed-{name}")
                print(f"FAILED {name.replace('_', ' ')}: {error}", flush=True)
                traceback.print_exc()
                page.complaints()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
