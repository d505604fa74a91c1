"""What clients do below the API: upgrades, idleness, pipelines, slowness, and more connections than fit."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from installed_clients import tool
from raw_http import BOUNDARY, FIELD, RawResponse, chunked, connect, exchange, head, receive

import mockveo
from mockveo.server import connection as protocol
from mockveo.server.run import ServerThread

POLL = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer k\r\n\r\n"
FORM = FIELD + b"--b--\r\n"
JAVA = Path(__file__).parent / "CreateVideo.java"


def statuses(connection: socket.socket, count: int) -> list[int]:
    """The statuses of the next responses, in order."""
    data = b""
    while len(numbers := re.findall(rb"HTTP/1.1 (\d+)", data)) < count:
        chunk = connection.recv(2**20)
        if not chunk:
            break
        data += chunk
    return [int(status) for status in numbers]


@pytest.fixture
def in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines that a test can wait for."""
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT_S", 0.5)
    monkeypatch.setattr(protocol, "BODY_WINDOW_S", 1.0)


UPGRADE = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")


@pytest.mark.parametrize("transfer", ["whole", "chunked"])
@pytest.mark.parametrize("cut", [0, 1, 20, 300, 10_000])
def test_body_with_an_offer_to_upgrade_is_read(server: ServerThread, transfer: str, cut: int) -> None:
    if transfer == "whole":
        data = head(BOUNDARY, len(FORM), *UPGRADE) + FORM + POLL
    else:
        data = head(BOUNDARY, None, *UPGRADE) + chunked(FORM) + POLL
    with connect(server) as connection:
        for part in (data[:cut], data[cut:]):
            connection.sendall(part)
            time.sleep(0.02)
        assert statuses(connection, 2) == [200, 200]


def test_upgrade_with_connection_close_is_answered_and_closed(server: ServerThread) -> None:
    offer = ("Connection: close, Upgrade", "Upgrade: h2c")
    assert "connection: close" in exchange(server, head(BOUNDARY, len(FORM), *offer) + FORM).head


def test_curl_that_offers_http2_creates_a_video(server: ServerThread, tmp_path: Path) -> None:
    curl = tool("curl")
    if "HTTP2" not in subprocess.run([curl, "--version"], check=True, capture_output=True, text=True).stdout:
        pytest.skip("curl has no HTTP/2")
    image = tmp_path / "a.png"
    image.write_bytes(b"\x89PNG" * 100_000)
    for more in ([], ["-F", f"input_reference=@{image}"]):
        command = [curl, "-sS", "--http2", "--noproxy", "*", "-H", "Authorization: Bearer k", "-F", "prompt=x", *more]
        answer = subprocess.run([*command, f"{server.base_url}/videos"], check=True, capture_output=True, text=True)
        assert '"status":"queued"' in answer.stdout


def test_http_client_of_java_creates_a_video(server: ServerThread) -> None:
    java = shutil.which("java")
    if java is None or shutil.which("javac") is None:
        pytest.skip("there is no Java (default-jdk-headless), which .ci/run does not install for its size")
    command = [java, "-XX:TieredStopAtLevel=1", str(JAVA), server.base_url]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    assert answer.stdout.startswith("200 ")


def test_pipelined_requests_get_the_answer_that_is_due(server: ServerThread) -> None:
    image = b'name="input_reference"; filename="a.png"'
    file = FIELD.replace(b'name="prompt"', image).replace(b"a kite", b"x" * 100_000)
    body = FIELD + file + b"--b--"
    create = head(length=len(body)) + body
    for cut in (0, 10, 30):
        with connect(server) as connection:
            connection.sendall(create + POLL[:cut])
            time.sleep(0.05)
            connection.sendall(POLL[cut:])
            assert statuses(connection, 2) == [200, 200]


def test_many_pipelined_requests_get_as_many_answers(server: ServerThread) -> None:
    with connect(server) as connection:
        connection.sendall(POLL * 2000)
        assert statuses(connection, 2000) == [200] * 2000


@pytest.mark.parametrize(
    ("after", "status"),
    [(b"\0\0\0\r\n\r\n", 400), (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 600_000, 431)],
    ids=["garbage", "large-head"],
)
def test_answers_that_are_due_come_before_a_refusal(server: ServerThread, after: bytes, status: int) -> None:
    with connect(server) as connection:
        connection.sendall(POLL * 2 + after)
        assert statuses(connection, 3) == [200, 200, status]


@pytest.mark.parametrize(("target", "status"), [("localhost", 200), ("evil.example", 421)])
def test_host_of_an_absolute_target_counts(server: ServerThread, target: str, status: int) -> None:
    host = "evil.example" if status == 200 else "localhost"
    request = f"GET http://{target}:80/v1/models HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer k\r\n\r\n"
    assert exchange(server, request.encode()).status == status


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (POLL[:-2] + b"Host: localhost\r\n\r\n", 400),
        (POLL[:-2] + b"Host: evil.example\r\n\r\n", 400),
        (POLL.replace(b"Host: localhost\r\n", b""), 400),
        (POLL.replace(b"Host: localhost\r\n", b"").replace(b"HTTP/1.1", b"HTTP/1.0"), 200),
    ],
)
def test_request_must_have_one_host(server: ServerThread, request_: bytes, status: int) -> None:
    assert exchange(server, request_).status == status


def test_options_of_the_server_lists_its_methods(server: ServerThread) -> None:
    answer = exchange(server, b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert answer.status == 204
    assert "allow: get, options, post\r\n" in answer.head


@pytest.mark.parametrize("start", [b"", b"GET /v1/models HTTP/1.1\r\nX: "], ids=["silent", "slow"])
@pytest.mark.usefixtures("in_haste")
def test_head_that_takes_too_long_is_refused_and_closed(server: ServerThread, start: bytes) -> None:
    with connect(server) as connection:
        connection.sendall(start)
        assert receive(connection).status == 408
        assert connection.recv(1) == b""


@pytest.mark.usefixtures("in_haste")
def test_body_that_drips_is_refused_and_closed(server: ServerThread) -> None:
    with connect(server) as connection:
        connection.sendall(head(length=1000))
        started = time.monotonic()
        connection.settimeout(0.1)
        answer = b""
        while not answer and time.monotonic() - started < 10:
            connection.sendall(b"x")
            try:
                answer = connection.recv(65536)
            except TimeoutError:
                continue
        assert RawResponse(answer).status == 400


def test_body_that_takes_too_long_in_all_is_refused(server: ServerThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "BODY_TIMEOUT_S", 1.0)
    with connect(server) as connection:
        connection.sendall(head(length=1000) + FIELD)
        assert receive(connection).status == 400


@pytest.mark.usefixtures("in_haste")
def test_slow_answer_is_no_slow_client() -> None:
    with mockveo.serve(scenario=str(Path(__file__).parent / "slow.yaml"), render=False) as slow:
        assert exchange(slow, head(length=len(FORM)) + FORM + POLL[:20]).status == 200


def test_trailers_count_as_head(server: ServerThread) -> None:
    trailers = b"x: %s\r\n" % (b"v" * 1000)
    with connect(server) as connection:
        connection.sendall(head() + chunked(FORM)[:-2])
        try:
            for _ in range(5000):
                connection.sendall(trailers)
        except OSError:
            return  # reset, as it sends on
        assert receive(connection).status == 400


def test_idle_connection_is_kept(server: ServerThread) -> None:
    with connect(server) as connection:
        connection.sendall(POLL)
        assert receive(connection).status == 200
        time.sleep(5.5)
        connection.sendall(POLL)
        assert receive(connection).status == 200


def test_idle_connection_is_closed_in_the_end(server: ServerThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "IDLE_TIMEOUT_S", 1.0)
    with connect(server) as connection:
        connection.sendall(POLL)
        assert receive(connection).status == 200
        assert connection.recv(1) == b""


@pytest.fixture
def small(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A server that may open 256 files, and its log."""
    ready, log = tmp_path / "ready.json", tmp_path / "log"
    limited = ["sh", "-c", 'ulimit -n 256 && exec "$@"', "sh", sys.executable, "-m", "mockveo", "--port=0", "--quiet"]
    with log.open("wb") as stream:
        process = subprocess.Popen([*limited, "--ready-file", str(ready)], stderr=stream)
        try:
            while not ready.exists():
                time.sleep(0.05)
            yield httpx.Response(200, content=ready.read_bytes()).json()["url"], log
        finally:
            process.terminate()
            process.wait()


def test_more_connections_than_fit_leave_healthy_clients_served(small: tuple[str, Path]) -> None:
    url, log = small
    host, port = url.removeprefix("http://").split(":")
    silent = [socket.create_connection((host, int(port)), timeout=20) for _ in range(300)]
    with httpx.Client(base_url=url, headers={"Authorization": "Bearer k"}, timeout=5) as kept:
        for _ in range(20):
            assert kept.get("/v1/models").status_code == 200
            assert httpx.get(f"{url}/v1/models", headers=kept.headers, timeout=5).status_code == 200
    for connection in silent:
        connection.close()
    assert len(log.read_text().splitlines()) == 1
    assert "the longest idle go" in log.read_text()
