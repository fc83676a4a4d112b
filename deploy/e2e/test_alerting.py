"""From a stopped nginx to a message in Slack and back: checks, rules, notifications."""

import json
import threading
import time
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from harness.http import get_json, post_json
from harness.machine import machine
from harness.processes import wait_for
from harness.yagura import Up
from test_containers import LABELS


class Slack:
    """Stands in for Slack's incoming webhook: answers 429 to the first messages, keeps the rest."""

    def __init__(self, refuse):
        self.messages, self.refused_at, self.refuse = [], [], refuse
        slack = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                if len(slack.refused_at) < slack.refuse:
                    slack.refused_at.append(time.monotonic())
                    self.answer(429, b'{"retry_after":2,"ok":false,"error":"rate_limited"}', {"Retry-After": "2"})
                    return
                slack.messages.append((time.monotonic(), json.loads(body)))
                self.answer(200, b"ok", {})

            def answer(self, status, body, headers):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/services/T000/B000/verysecret"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


RULES = """
groups:
  - name: shop
    interval: 1s
    rules:
      - alert: ShopDown
        expr: probe_success{check="shop"} == 0
        for: 3s
        labels: {severity: critical}
        annotations:
          summary: "{{ $labels.check }} does not answer (value {{ $value }})"
"""

NOTIFY = """
route:
  receiver: slack
  group_by: [alertname]
  group_wait: 1s
  group_interval: 2s
  repeat_interval: 1h
receivers:
  - name: slack
    slack_configs:
      - api_url_file: %s
        send_resolved: true
"""


class Alerting(unittest.TestCase):
    def test_a_stopped_nginx_reaches_slack_and_its_return_too(self):
        dockerd, place = machine().dockerd, machine().place("alerting")
        slack = Slack(refuse=1)
        self.addCleanup(slack.stop)
        dockerd.run("shop", machine().nginx, ["/usr/sbin/nginx"], *LABELS)
        self.addCleanup(dockerd.remove, "shop")
        address = dockerd.inspect("shop")["NetworkSettings"]["IPAddress"]
        write(f"{place}/slack-url", slack.url)
        write(f"{place}/rules.yaml", RULES)
        write(f"{place}/notify.yaml", NOTIFY % f"{place}/slack-url")
        write(
            f"{place}/checks.yaml",
            f"""
checks:
  - name: shop
    url: http://{address}/
    interval: 1s
    timeout: 500ms
    allow_private: true
    tags: {{service: shop, env: test}}
    expect: {{status: [200], body_contains: "shop is open"}}
""",
        )
        up = Up(
            place,
            f"""
agent:
  node_name: alerting
  sources: {{docker: {{socket: {dockerd.socket}}}}}
collector:
  rules: [{place}/rules.yaml]
  notify: {place}/notify.yaml
  checks: [{place}/checks.yaml]
""",
        ).start()
        self.addCleanup(lambda: up.process.running() and up.stop())
        state = 'ALERTS{alertname="ShopDown",alertstate="%s"}'

        wait_for("the check to succeed", lambda: up.value('probe_success{check="shop"}') == 1)
        self.assertEqual(up.query('probe_success{check="shop"}')[0][0]["service"], "shop")
        phases = {labels["phase"] for labels, _ in up.query('probe_http_duration_seconds{check="shop"}')}
        self.assertEqual(phases, {"resolve", "connect", "tls", "processing", "transfer"})

        dockerd.docker("stop", "-t", "1", "shop")
        wait_for("the check to fail", lambda: up.value('probe_success{check="shop"}') == 0)
        wait_for("the alert to be pending", lambda: up.query(state % "pending"))
        wait_for("the alert to fire", lambda: up.query(state % "firing"))
        told = wait_for("Slack to be told", lambda: slack.messages)
        self.assertEqual(len(slack.refused_at), 1)
        self.assertGreaterEqual(told[0][0] - slack.refused_at[0], 1.9, "Retry-After was obeyed")
        text = json.dumps(told[0][1])
        self.assertIn("ShopDown", text)
        self.assertIn("shop does not answer (value 0)", text)

        dockerd.docker("start", "shop")
        if dockerd.inspect("shop")["NetworkSettings"]["IPAddress"] != address:
            self.fail("docker gave nginx another address")
        wait_for("the check to succeed again", lambda: up.value('probe_success{check="shop"}') == 1)
        wait_for("the resolved message", lambda: any("esolved" in json.dumps(m) or "RESOLVED" in json.dumps(m) for _, m in slack.messages))

        runs = get_json(f"{up.url}/api/checks")
        self.assertIn("shop", json.dumps(runs))
        up.stop()
        self.assertNotIn("verysecret", up.process.output(), "the webhook's secret is not logged")

    def test_a_silence_holds_the_message_back(self):
        place = machine().place("silence")
        slack = Slack(refuse=0)
        self.addCleanup(slack.stop)
        write(f"{place}/slack-url", slack.url)
        write(f"{place}/notify.yaml", NOTIFY % f"{place}/slack-url")
        write(
            f"{place}/rules.yaml",
            """
groups:
  - name: two
    interval: 1s
    rules:
      - {alert: Quiet, expr: vector(1), for: 5s}
      - {alert: Loud, expr: vector(1), for: 6s}
""",
        )
        up = Up(place, f"agent: {{node_name: silence}}\ncollector:\n  rules: [{place}/rules.yaml]\n  notify: {place}/notify.yaml\n").start()
        self.addCleanup(up.stop)
        now = time.time()
        silence = {
            "matchers": [{"name": "alertname", "value": "Quiet", "isRegex": False, "isEqual": True}],
            "startsAt": stamp(now - 5),
            "endsAt": stamp(now + 600),
            "createdBy": "test",
            "comment": "known",
        }
        made = post_json(f"{up.url}/alertmanager/api/v2/silences", silence)
        self.assertTrue(made["silenceID"])
        wait_for("the loud one", lambda: [m for _, m in slack.messages if "Loud" in json.dumps(m)])
        self.assertEqual([m for _, m in slack.messages if "Quiet" in json.dumps(m)], [])
        alerts = get_json(f"{up.url}/alertmanager/api/v2/alerts")
        states = {alert["labels"]["alertname"]: alert["status"]["state"] for alert in alerts}
        self.assertEqual(states, {"Quiet": "suppressed", "Loud": "active"})


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
