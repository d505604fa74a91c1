"""Four real HTTP clients that report what they observe, and a world for each test."""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from installed_clients import missing, tool
from paths import CLIENTS

from mockveo.server.run import ServerThread
from mockveo.simulator.scenarios import scenario
from mockveo.simulator.world import World
from mockveo.traffic.record import ExchangeRecord

PROBE = CLIENTS / "probe.mjs"
KEY = {"Authorization": "Bearer sk-faults"}
FORM = {"prompt": (None, "a kite")}
#: Programs inherit only the PATH, so that no proxy and no configuration file of this machine matters.
BARE = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8"}
PATIENT = 20.0
#: Without a context httpx reads all certificates of the machine for each client, which takes longer than most tests.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Observation(NamedTuple):
    """What a client observed: answered, timed out, reset, closed (no byte came) or cut (within the response)."""

    how: str
    took: float
    status: int = 0
    headers: Mapping[str, str] = {}
    body: bytes = b""
    url: str = ""


class Observe(NamedTuple):
    """A client. `timeout` limits each read of httpx and requests, and the whole exchange of the others."""

    name: str
    send: Callable[[str, str, float, bool], Observation]

    def __call__(self, url: str, method: str = "GET", *, timeout: float = PATIENT, follow: bool = False) -> Observation:
        return self.send(url, method, timeout, follow)


def with_httpx(url: str, method: str, timeout: float, follow: bool) -> Observation:
    begun, how, body, response = time.monotonic(), "answered", b"", None
    options: dict[str, Any] = {"timeout": timeout, "follow_redirects": follow, "trust_env": False, "verify": NO_TLS}
    with httpx.Client(headers=KEY, **options) as client:
        try:
            with client.stream(method, url, files=FORM if method == "POST" else None) as response:
                for chunk in response.iter_bytes():
                    body += chunk
        except httpx.TimeoutException:
            how = "timed out"
        except httpx.ReadError:
            how = "reset"
        except httpx.RemoteProtocolError:
            how = "closed" if response is None else "cut"
    took = time.monotonic() - begun
    if response is None:
        return Observation(how, took)
    return Observation(how, took, response.status_code, response.headers, body, str(response.url))


def with_requests(url: str, method: str, timeout: float, follow: bool) -> Observation:
    if find_spec("requests") is None:
        missing("requests", "pip install requests")
    import requests

    begun, how, body, response = time.monotonic(), "answered", b"", None
    options: dict[str, Any] = {"headers": KEY, "timeout": timeout, "allow_redirects": follow, "stream": True}
    with requests.Session() as session:
        session.trust_env = False
        try:
            with session.request(method, url, files=FORM if method == "POST" else None, **options) as response:
                for byte in response.iter_content(1):
                    body += byte
        except requests.RequestException as error:
            how = unwrapped(error)
    took = time.monotonic() - begun
    if response is None:
        return Observation(how, took)
    return Observation(how, took, response.status_code, response.headers, body, response.url)


def unwrapped(error: BaseException) -> str:
    """Return how an exchange ended, from the innermost exception that requests and urllib3 wrap."""
    endings = {"ReadTimeout": "timed out", "ReadTimeoutError": "timed out", "RemoteDisconnected": "closed"}
    endings |= {"ConnectionResetError": "reset", "IncompleteRead": "cut"}
    how, wrapped = "unknown", [error]
    while wrapped:
        inner = wrapped.pop()
        how = endings.get(type(inner).__name__, how)
        wrapped += [argument for argument in inner.args if isinstance(argument, BaseException)]
    return how


def with_curl(directory: Path, url: str, method: str, timeout: float, follow: bool) -> Observation:
    head, body = directory / "head", directory / "body"
    command = [tool("curl"), "--silent", "--show-error", "--header", f"Authorization: {KEY['Authorization']}"]
    command += ["--dump-header", str(head), "--output", str(body), "--write-out", "%{time_total} %{url_effective}"]
    command += ["--max-time", str(timeout), *(["--location"] if follow else []), url]
    command += ["--form", "prompt=a kite"] if method == "POST" else []
    done = subprocess.run(command, env=BARE, capture_output=True, encoding="utf-8", timeout=60, check=False)
    ends = {0: "answered", 18: "cut", 28: "timed out", 52: "closed", 56: "reset"}
    assert done.returncode in ends, done.stderr
    assert ("Connection reset by peer" in done.stderr) == (done.returncode == 56)
    how, (took, last) = ends[done.returncode], done.stdout.split(" ", 1)
    blocks = head.read_bytes().decode("latin-1").split("\r\n\r\n")[:-1] if head.exists() else []
    if not blocks:
        return Observation(how, float(took))
    first, *lines = blocks[-1].split("\r\n")
    headers = httpx.Headers([(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)])
    return Observation(
        how, float(took), int(first.split()[1]), headers, body.read_bytes() if body.exists() else b"", last
    )


def with_fetch(node: subprocess.Popen[str], url: str, method: str, timeout: float, follow: bool) -> Observation:
    options = {"url": url, "method": method, "headers": KEY, "timeout": int(timeout * 1000)}
    options |= {"redirect": "follow" if follow else "manual"}
    options |= {"form": {"prompt": "a kite"}} if method == "POST" else {}
    assert node.stdin is not None
    assert node.stdout is not None
    node.stdin.write(f"{json.dumps(options)}\n")
    node.stdin.flush()
    result = json.loads(node.stdout.readline())
    ends = {"": "answered", "TimeoutError": "timed out", "ECONNRESET": "reset"}
    ends |= {"UND_ERR_SOCKET": "cut" if result["status"] else "closed"}
    how, headers = ends.get(result["error"], result["error"]), httpx.Headers(result["headers"])
    return Observation(
        how, result["elapsed"] / 1000, result["status"], headers, base64.b64decode(result["body"]), result["url"]
    )


@pytest.fixture(scope="session")
def node() -> Iterator[subprocess.Popen[str]]:
    command = [tool("node"), str(PROBE)]
    with subprocess.Popen(command, env=BARE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


@pytest.fixture(params=["httpx", "requests", "curl", "fetch"])
def see(request: pytest.FixtureRequest, tmp_path: Path) -> Observe:
    if request.param == "fetch":
        return Observe("fetch", partial(with_fetch, request.getfixturevalue("node")))
    sends = {"httpx": with_httpx, "requests": with_requests, "curl": partial(with_curl, tmp_path)}
    return Observe(request.param, sends[request.param])


class Place:
    """A world of its own for a test, and an httpx client for its preparations."""

    def __init__(self, server: ServerThread, name: str, client: httpx.Client) -> None:
        self.name = name
        self.client = client
        self.server = server
        self.world: World = server.app.worlds.reset(name, {"clock": "manual", "seed": 7})
        self.url = f"{server.url}/@{name}"
        self.videos = f"{self.url}/v1/videos"
        self.other = f"{self.world.origins.other}/@{name}"

    def create(self, prompt: str = "a kite", **headers: str) -> httpx.Response:
        return self.client.post(self.videos, files={"prompt": (None, prompt)}, headers=headers)

    def job(self) -> str:
        return self.create().json()["id"]  # type: ignore[no-any-return]

    def poll(self, job: str, more: str = "") -> httpx.Response:
        return self.client.get(f"{self.videos}/{job}{more}")

    def play(self, *faults: dict[str, Any], **more: Any) -> None:
        self.world.use(scenario({"faults": list(faults), **more}))

    @property
    def exchanges(self) -> list[ExchangeRecord]:
        return list(self.world.journal)

    def connect(self, path: str, *, times: int = 1, buffer: int = 0) -> socket.socket:
        """Send requests for a path below a job on a bare socket, `times` of them without waiting for a response."""
        port = int(self.server.url.rpartition(":")[2])
        connection = socket.socket()
        if buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        connection.settimeout(PATIENT)
        connection.connect(("127.0.0.1", port))
        head = f"GET /@{self.name}/v1/videos/{path} HTTP/1.1\r\nHost: localhost\r\n"
        connection.sendall(f"{head}Authorization: {KEY['Authorization']}\r\n\r\n".encode() * times)
        return connection


@pytest.fixture
def place(server: ServerThread, request: pytest.FixtureRequest) -> Iterator[Place]:
    """A world; the connection of another client must survive whatever happens in it."""
    with httpx.Client(headers=KEY, verify=NO_TLS) as client, httpx.Client(verify=NO_TLS) as bystander:
        before = bystander.get(f"{server.url}/api/models").extensions["network_stream"].get_extra_info("socket")
        yield Place(server, re.sub(r"[^A-Za-z0-9._~-]", "-", request.node.name)[-90:], client)
        after = bystander.get(f"{server.url}/api/models")
        assert after.status_code == 200
        assert after.extensions["network_stream"].get_extra_info("socket") is before
