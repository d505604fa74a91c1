"""The user's key is in no output of `check` and `verify`, whatever a client prints and a server answers."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest
from commands import CLEAN
from mockveo_contracts.reports.formats import FORMATS

#: It has characters that JSON, URLs and HTML escape.
CANARY = 'sk-c4n4ry/+&<"quoted">=0123456789'
LEAKING_CLIENT = """
import os, sys, httpx
key = os.environ["COMETAPI_KEY"]
print("keys are", {name: value for name, value in os.environ.items() if "KEY" in name}, file=sys.stderr)
print("the key is", key)
http = httpx.Client(base_url=os.environ["COMETAPI_BASE_URL"], headers={"Authorization": "Bearer " + key, "X-Foo": key})
http.post("/videos", params={"x": key}, files={"prompt": (None, os.environ["MOCKVEO_PROMPT"]), "api_key": (None, key)})
sys.exit("failed with " + key)
"""


class RepeatingServer(BaseHTTPRequestHandler):
    """Answers each request with its key, in every way that a server has."""

    def do_GET(self) -> None:
        self._answer(200)

    def do_POST(self) -> None:
        self._answer(400)

    def _answer(self, status: int) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        key = self.headers.get("Authorization", "").removeprefix("Bearer ")
        encoded = base64.b64encode(key.encode()).decode()
        texts = [key, json.dumps(key), quote(key, safe=""), encoded, f"Bearer {key}"]
        body = json.dumps({"id": key, "status": "queued", key: key, "error": {"code": key, "message": " ".join(texts)}})
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Echo", key)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def echo() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), RepeatingServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def assert_hidden(place: Path, *arguments: str) -> None:
    """Run a command with every report; the canary must be in none of its outputs and files, in no spelling."""
    reports = [part for kind in FORMATS for part in ("--report", f"{kind}={place / kind}")]
    keys = {"COMETAPI_KEY": CANARY, "OPENAI_API_KEY": CANARY, "COMETAPI_OTHER_KEY": f"sk-other{CANARY}"}
    command = [sys.executable, "-m", "mockveo", arguments[0], *reports, *arguments[1:]]
    summary = {"GITHUB_STEP_SUMMARY": str(place / "summary.md")}
    done = subprocess.run(
        command, cwd=place, env=CLEAN | keys | summary, capture_output=True, timeout=120, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    files = {path: path.read_bytes() for path in place.rglob("*") if path.is_file() and path.name != "client.py"}
    assert {place / kind for kind in FORMATS} <= set(files)
    outputs = {"stdout": done.stdout, "stderr": done.stderr, **files}
    spellings = [CANARY, json.dumps(CANARY)[1:-1], quote(CANARY, safe=""), base64.b64encode(CANARY.encode()).decode()]
    for name, output in outputs.items():
        for spelling in [*spellings, CANARY[-10:]]:
            assert spelling.encode() not in output, name


def test_key_of_the_user_is_in_no_output_of_a_check_whose_client_prints_its_keys(tmp_path: Path) -> None:
    program = tmp_path / "client.py"
    program.write_text(LEAKING_CLIENT)
    assert_hidden(tmp_path, "check", "--mode", "run", "--case", "poll/503", "--", sys.executable, os.fspath(program))


def test_key_of_the_user_is_in_no_output_of_verify_against_a_server_that_echoes_it(tmp_path: Path, echo: str) -> None:
    assert_hidden(tmp_path, "verify", echo, "--examples", "3", "--histories", "2", "--max-seconds", "20")
