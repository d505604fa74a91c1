"""The rows of `benchmarks/hostile.py` about what must be refused: forgery, traversal, injection, and odd bodies."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final
from urllib.parse import quote

from hostile_server import JSON, ROOT, HostileServer, form, request, row, served

#: Names of hosts by which a page of an attacker could reach a server on loopback, and invalid ones.
HOSTS: Final = (
    *(
        "evil.com",
        "evil.com:8360",
        "localhost.evil.com",
        "127.0.0.1.evil.com",
        "127.0.0.1.nip.io",
        "evil.localhost.com",
    ),
    *(
        "0.0.0.0.evil.com",
        "xn--localhost-x",
        "localhost@evil.com",
        "[::1].evil.com",
        "evil",
        "rebind.network",
        "a_b",
        "",
    ),
)
#: Calls of the control API that change something.
CHANGES: Final = (
    ("PUT", "/_mockveo/scenario", '{"scenario": "fails"}'),
    ("POST", "/_mockveo/queue", '{"scenario": "fails"}'),
    ("PATCH", "/_mockveo/clock", '{"speed": 2}'),
    ("POST", "/_mockveo/clock/advance", '{"seconds": 1}'),
    ("POST", "/_mockveo/reset", "{}"),
    ("PUT", "/_mockveo/state", "{}"),
)
#: What a browser lets a foreign page send.
FOREIGN: Final = (
    ("Origin: http://evil.com",),
    ("Origin: null",),
    ("Sec-Fetch-Site: cross-site",),
    ("Sec-Fetch-Site: same-site",),
    ("Content-Type: text/plain",),
    ("Content-Type: application/x-www-form-urlencoded",),
    ("Content-Type: multipart/form-data; boundary=b",),
)
#: Bodies that break what is not careful.
ODD_BODIES: Final = (
    *(
        "",
        "null",
        "[]",
        "{",
        '"x"',
        "NaN",
        '{"speed": NaN}',
        '{"speed": 1e400}',
        '{"speed": 5e-324}',
        '{"seconds": 1e308}',
    ),
    *(
        '{"a": 1, "a": 2}',
        '{"scenario": "\\ud800"}',
        '{"scenario": {"style": {"extra": {"x": 1e20}}}}',
        "\x00",
        "1" * 5000,
    ),
    *(
        "[" * 500 + "]" * 500,
        "[" * 100_000,
        '{"a":' * 250 + "1" + "}" * 250,
        '{"x": "' + "y" * 300_000 + '"}',
        "\ufeff{}",
    ),
    *(
        '{"scenario": {"faults": [{"json": 1e20}]}}',
        '{"mode": "poll", "step": -1}',
        '{"seed": 99999999999999999999}',
        "{}",
    ),
)
#: Paths that would leave their folder.
TRAVERSALS: Final = (
    "../x",
    "..%2fx",
    "%2e%2e/x",
    "/etc/passwd",
    "..\\x",
    "a/../../x",
    "\x00",
    "....//x",
    "file:///etc/passwd",
)
_STATUS: Final = re.compile(rb"HTTP/1.1 (\d+)")


def statuses(server: HostileServer, *requests: bytes) -> list[int]:
    """Return the statuses of requests, each on a connection of its own; 0 for none."""
    answers = [server.ask(sent)[0] for sent in requests]
    return [int(match[1]) if (match := _STATUS.match(answer)) else 0 for answer in answers]


def control(method: str, path: str, body: str, *headers: str) -> bytes:
    """Return a call of the control API."""
    data = body.encode("utf-8", "surrogatepass")
    kind = [] if any(header.startswith("Content-Type") for header in headers) else ["Content-Type: application/json"]
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(data)}", *kind, *headers, "", ""]
    return "\r\n".join(lines).encode() + data


@row("5a", f"requests for {len(HOSTS)} foreign hosts on 4 paths that are not refused (421, 403, 400)", 0, "", "0")
def rebinding() -> float:
    """Return the number."""
    paths = ("/v1/models", "/openapi.yaml", "/_mockveo/jobs", "/@new/v1/models")
    asked = [
        request("GET", path).replace(b"Host: 127.0.0.1", f"Host: {host}".encode()) for path in paths for host in HOSTS
    ]
    asked += [request("GET", f"http://evil.com{path}") for path in paths]
    with served("--quiet") as server:
        return sum(status not in (400, 403, 421) for status in statuses(server, *asked))


@row("5b", "changes by a foreign page that are not refused (403, 415)", 0, "", "0")
def forgery() -> float:
    """Return the number, of 6 calls in 7 ways."""
    asked = [control(*change, *headers) for change in CHANGES for headers in FOREIGN]
    with served("--quiet") as server:
        return sum(status not in (403, 415) for status in statuses(server, *asked))


@row("5c", "answers that let a foreign origin read them", 0, "", "0")
def foreign_readers() -> float:
    """Return the number."""
    origins = ("http://evil.com", "null", "http://localhost.evil.com", "http://127.0.0.1.evil.com", "file://")
    asked = [request("GET", "/v1/models", b"", f"Origin: {origin}") for origin in origins]
    with served("--quiet") as server:
        return sum(b"access-control-allow-origin" in server.ask(sent)[0].lower() for sent in asked)


@row(
    "1e",
    f"5xx of the control API for {len(ODD_BODIES)} odd bodies on {len(CHANGES)} paths, and after them",
    0,
    "",
    "7 of 168",
)
def odd_bodies() -> float:
    """Return the number."""
    asked = [control(method, path, body) for method, path, _ in CHANGES for body in ODD_BODIES]
    after = [request("GET", f"/_mockveo/{path}") for path in ("jobs", "scenario", "clock", "journal", "bill")]
    with served("--quiet", "--no-render") as server:
        create = request("POST", "/v1/videos", form(prompt="p"))
        return sum(status >= 500 or status == 0 for status in statuses(server, *asked, *after, create))


@row("5f", "names of worlds, profiles, scenarios, cases and files that leave their folder and are taken", 0, "", "0")
def traversal() -> float:
    """Return the number of requests that are answered with 2xx, and of commands that end with 0."""
    asked = [control("PUT", "/_mockveo/scenario", json.dumps({"scenario": name})) for name in TRAVERSALS]
    for name in TRAVERSALS:
        asked += [control("POST", "/_mockveo/reset", json.dumps({key: name})) for key in ("profile", "spec", "overlay")]
        path = name.replace("\x00", "%00")
        asked += [request("GET", f"/_mockveo/scenarios/{path}"), request("GET", f"/_mockveo/{path}")]
    with served("--quiet") as server:
        taken = sum(200 <= status < 300 for status in statuses(server, *asked))
    for name in TRAVERSALS[:3]:
        for command in (["replay", name], ["cases", "--show", name], ["scenarios", "show", name]):
            done = subprocess.run(
                [sys.executable, "-m", "mockveo", *command], capture_output=True, cwd=ROOT, check=False
            )
            taken += done.returncode == 0 or b"Traceback" in done.stderr
    return taken


@row("5g", "scenarios that put a line break or NUL into a header and are taken", 0, "", "0")
def header_injection() -> float:
    """Return the number."""
    texts = ("a\r\nb: c", "a\nb", "a\x00b", "a\rb")
    faults = [{"status": 500, "headers": {"x-a": text}} for text in texts]
    faults += [{"status": 500, "headers": {text: "x"}} for text in texts]
    faults += [{"status": 500, "text": "x", "content_type": text} for text in texts]
    asked = [control("PUT", "/_mockveo/scenario", json.dumps({"scenario": {"faults": [fault]}})) for fault in faults]
    with served("--quiet") as server:
        return sum(status != 400 for status in statuses(server, *asked))


@row("5h", "escapes and marks of direction that 8 commands print as they are", 0, "", "raw in jobs, use, the log")
def escapes() -> float:
    """Return the number of raw characters in all that is printed of a hostile prompt, key, summary and status."""
    odd = "a\x1b]0;pwned\x07b\u202ec\x9bd"
    with tempfile.TemporaryDirectory() as directory:
        scenario = Path(directory) / "x.yaml"
        scenario.write_text(json.dumps({"summary": odd, "name": odd, "faults": [{"status": 500, "message": odd}]}))
        log = Path(directory) / "log"
        with log.open("wb") as stream, served("--no-render", stdout=stream) as server:
            server.ask(
                request("POST", "/v1/videos", form(prompt=odd), "User-Agent: a\u202eb"),
                request("POST", f"/v1/{quote(odd)}", json.dumps({odd: odd}).encode(), media_type=JSON),
                request("POST", "/v1/videos", json.dumps({"prompt": odd, odd: 1}).encode(), media_type=JSON),
            )
            here = ["--url", f"http://127.0.0.1:{server.port}"]
            commands = [
                ["use", str(scenario)],
                ["jobs"],
                ["logs"],
                ["bill"],
                ["use", odd],
                ["fail", odd],
                ["explain", odd],
            ]
            outputs = b""
            for command in [[*command, *here] if command[0] != "explain" else command for command in commands]:
                done = subprocess.run(
                    [sys.executable, "-m", "mockveo", *command], capture_output=True, cwd=ROOT, check=False
                )
                outputs += done.stdout + done.stderr
        text = (outputs + log.read_bytes()).decode("utf-8", "replace")
    return sum(text.count(mark) for mark in "\x1b\x07\u202e\x9b")


@row("5i", "pages that let a script in: a report, the dashboard", 0, "", "0")
def scripts_in_pages() -> float:
    """Return the number of pages with a raw `<script>alert` of ours, or without a policy against foreign scripts."""
    odd = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    with served("--no-render", "--quiet") as server:
        server.ask(request("POST", "/v1/videos", form(prompt=odd), "X-A: <script>alert(1)</script>"))
        (page,) = server.ask(request("GET", "/_mockveo/"))
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.html"
        code = f"import os,sys; print({odd!r}, file=sys.stderr); sys.exit({odd!r})"
        command = ["check", "--mode", "run", "--case", "poll/503", "--report", f"html={report}", "--quiet", "--"]
        subprocess.run(
            [sys.executable, "-m", "mockveo", *command, sys.executable, "-c", code], capture_output=True, check=False
        )
        written = report.read_bytes()
    pages = [page.partition(b"\r\n\r\n")[2], written]
    is_open = [b"Content-Security-Policy" not in written, b"content-security-policy" not in page.lower()]
    return sum(b"<script>alert" in text or b"<img src=x" in text for text in pages) + sum(is_open)
