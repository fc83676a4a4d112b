"""A headless Chromium, driven through chromedriver by the W3C WebDriver protocol. Standard library only.

    with Browser(log_folder) as page:
        page.open("http://127.0.0.1:7400/")
        page.wait_text("containers")
"""

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
KEYS = {"Enter": "\ue007", "Escape": "\ue00c", "ArrowDown": "\ue015", "ArrowUp": "\ue013", "Tab": "\ue004",
        "Backspace": "\ue003"}
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
         "--hide-scrollbars", "--force-color-profile=srgb"]


class BrowserError(Exception):
    """WebDriver said no, or what was waited for did not come."""


class Browser:
    """One window. Everything a test does goes through here."""

    def __init__(self, wait=15.0):
        self.wait = wait
        self.profile = tempfile.mkdtemp(prefix="yagura-walk-")
        self.port = free_port()
        self.driver = subprocess.Popen(
            [shutil.which("chromedriver") or "chromedriver", f"--port={self.port}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        self.session = None
        self._start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _start(self):
        deadline = time.monotonic() + 30
        while True:
            try:
                self._request("GET", "/status")
                break
            except (OSError, BrowserError):
                if time.monotonic() > deadline:
                    self.close()
                    raise BrowserError("chromedriver did not come up within 30 s") from None
                time.sleep(0.05)
        options = {"args": FLAGS + [f"--user-data-dir={self.profile}"]}
        chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if chromium:
            options["binary"] = chromium
        always = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        answer = self._request("POST", "/session", {"capabilities": {"alwaysMatch": always}})
        self.session = answer["sessionId"]

    def close(self):
        """Ends the window and the driver, and removes the profile."""
        if self.session:
            try:
                self._request("DELETE", f"/session/{self.session}")
            except (OSError, BrowserError):
                pass
            self.session = None
        if self.driver.poll() is None:
            # The driver leads a group of its own, so this ends its browser too and nothing else.
            os.killpg(self.driver.pid, signal.SIGTERM)
            self.driver.wait(timeout=10)
        shutil.rmtree(self.profile, ignore_errors=True)

    def _request(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=data, method=method,
                                         headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            value = json.load(error).get("value", {})
            raise BrowserError(f"{value.get('error')}: {value.get('message', '')[:400]}") from None

    def _call(self, method, path, body=None):
        return self._request(method, f"/session/{self.session}{path}", body)

    def cdp(self, command, **params):
        """A command of Chromium's own protocol."""
        return self._call("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    # -- what a person does

    def resize(self, width, height):
        """The size of the page, also below what a window may have."""
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                 mobile=width < 600)
        self.cdp("Emulation.setTouchEmulationEnabled", enabled=width < 600)

    def theme(self, theme):
        """`light` or `dark`, as the system would say it."""
        self.cdp("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": theme}, {"name": "prefers-reduced-motion", "value": "reduce"}])

    def open(self, url):
        """Loads a page."""
        self._call("POST", "/url", {"url": url})

    def url(self):
        """Where we are."""
        return self._call("GET", "/url")

    def script(self, text, *arguments):
        """Runs JavaScript in the page and gives what it returns."""
        return self._call("POST", "/execute/sync", {"script": text, "args": list(arguments)})

    def find(self, selector):
        """The first element of a CSS selector, waited for."""
        return self.until(f"an element {selector}", lambda: self._find_now(selector))

    def _find_now(self, selector):
        found = self._call("POST", "/elements", {"using": "css selector", "value": selector})
        return found[0][ELEMENT] if found else None

    def count(self, selector):
        """How many elements there are now."""
        return len(self._call("POST", "/elements", {"using": "css selector", "value": selector}))

    def click(self, selector):
        """Clicks, once the element can be clicked."""
        def attempt():
            element = self._find_now(selector)
            if not element:
                return None
            self._call("POST", f"/element/{element}/click", {})
            return True
        self.until(f"a click on {selector}", attempt)

    def type(self, selector, text):
        """Types into a field."""
        self._call("POST", f"/element/{self.find(selector)}/value", {"text": text})

    def press(self, *keys):
        """Presses keys wherever the focus is."""
        actions = []
        for key in keys:
            value = KEYS.get(key, key)
            actions += [{"type": "keyDown", "value": value}, {"type": "keyUp", "value": value}]
        self._call("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    # -- what a person sees

    def text(self, selector="body"):
        """The visible text of an element; empty when there is no such element now."""
        return self.script("const e = document.querySelector(arguments[0]); return e ? e.innerText : ''", selector)

    def until(self, what, condition):
        """Waits until `condition` gives something true; says what was missing when it does not."""
        deadline = time.monotonic() + self.wait
        last = None
        while time.monotonic() < deadline:
            try:
                found = condition()
                if found:
                    return found
            except BrowserError as error:
                last = error
            time.sleep(0.05)
        seen = self.text()[:600]
        raise BrowserError(f"waited {self.wait:.0f} s for {what} at {self.url()}; {last or ''}\nthe page says:\n{seen}")

    def wait_text(self, text, selector="body"):
        """Waits until a text can be read, in whatever case the style shows it."""
        self.until(f"the text {text!r} in {selector}", lambda: text.lower() in self.text(selector).lower())

    def complaints(self):
        """Errors and warnings of the console since the last call, with the failed loads."""
        entries = self._call("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] in ("SEVERE", "WARNING")]

    def sideways(self):
        """How many pixels the page is wider than its window."""
        return self.script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")

    def screenshot(self, path):
        """Saves what the window shows."""
        with open(path, "wb") as file:
            file.write(base64.b64decode(self._call("GET", "/screenshot")))


def free_port():
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
