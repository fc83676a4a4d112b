"""Requests to the servers under test."""

import json
import urllib.error
import urllib.parse
import urllib.request


def get(url, seconds=10, headers=None):
    """GET; gives back (status, body as text). An error status is an answer, not an exception."""
    return request("GET", url, None, seconds, headers)


def request(method, url, body=None, seconds=10, headers=None):
    asked = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(asked, timeout=seconds) as answer:
            return answer.status, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode("utf-8", "replace")


def get_json(url, seconds=10, **parameters):
    """GET with query parameters; the decoded answer, which has to be a 200."""
    if parameters:
        url += "?" + urllib.parse.urlencode(parameters, doseq=True)
    status, body = get(url, seconds)
    if status != 200:
        raise AssertionError(f"GET {url} answered {status}: {body[:500]}")
    return json.loads(body)


def post_json(url, value, seconds=10):
    status, body = request("POST", url, json.dumps(value).encode(), seconds, {"content-type": "application/json"})
    if status not in (200, 201, 202, 204):
        raise AssertionError(f"POST {url} answered {status}: {body[:500]}")
    return json.loads(body) if body else None
