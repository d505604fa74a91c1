"""The commands of a finding repeat exactly what was sent."""

from __future__ import annotations

import random
import shutil
import subprocess
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from mockveo_contracts.servers.curl import curl_lines
from mockveo_contracts.servers.exchanges import Body, SentExchange
from mockveo_contracts.servers.http_client import multipart, urlencoded

BODIES = {
    "control characters": multipart({"prompt": " \t\x01'\\ ", "size": "9x16"}, dice=random.Random(1)),
    "scripts": multipart({"prompt": "紙の凧 🪁 'kite' $HOME `x`"}, dice=random.Random(1)),
    "urlencoded": urlencoded({"prompt": "a\nb%=&'"}),
    "binary": Body("application/octet-stream", bytes(range(256))),
    "not UTF-8": Body("text/plain", b"\xff\xfe'%s\\n"),
    "an at sign": Body("text/plain", b"@/etc/hosts"),
    "no type": Body(None, b"x"),
}


@pytest.mark.parametrize("name", BODIES)
def test_command_sends_the_same_bytes(name: str) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    received: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    body = BODIES[name]
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        (line,) = curl_lines(f"http://127.0.0.1:{server.server_port}", [exchange(body=body)])
        subprocess.run(["bash", "-c", line], env={"no_proxy": "*", "PATH": "/usr/bin:/bin"}, check=True)
        thread.join()
    assert line.isprintable()
    if body.content_type and body.content_type.startswith("multipart"):
        # curl chooses its own boundary.
        assert dict(body.fields)["prompt"].encode() in received[0]
    else:
        assert received == [body.data]


def exchange(**more: Any) -> SentExchange:
    usual: dict[str, Any] = {
        "number": 1, "operation": "createVideo", "method": "POST", "path": "/v1/videos", "headers": {}, "body": None,
        "purpose": "usual", "expected": "", "key": "ours", "job": "", "at": 0.0, "time": 0.0, "duration_s": 0.0,
        "status": 400, "answer_headers": {}, "data": b"",
    }  # fmt: skip
    return SentExchange(**{**usual, **more})


def test_long_body_is_named_and_not_shown() -> None:
    (line,) = curl_lines("http://127.0.0.1:1", [exchange(body=Body("text/plain", b"x" * 5000))])
    assert "@body.bin  # 5000 bytes, SHA-256 " in line
    assert len(line) < 400


def test_path_is_sent_as_it_is() -> None:
    (line,) = curl_lines("http://127.0.0.1:1", [exchange(method="GET", path="/v1/videos/[a]{b}/../c?x='$y'")])
    assert "-g --path-as-is 'http://127.0.0.1:1/v1/videos/[a]{b}/../c?x='\\''$y'\\'''" in line
