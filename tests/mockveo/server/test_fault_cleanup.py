"""Faults in process, and that nothing of a fault stays: no task, no noise, no server that hangs."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from http_clients import BARE, FORM, KEY, NO_TLS, PATIENT, Place
from starlette.testclient import TestClient

import mockveo
from mockveo.server.run import ServerThread
from mockveo.simulator.scenarios import scenario


@pytest.mark.parametrize("kind", ["asgi", "testclient"])
@pytest.mark.parametrize(
    ("fault", "errors"),
    [
        ({"reset": True}, (ConnectionResetError, httpx.ReadError)),
        ({"close": True}, (ConnectionAbortedError, httpx.RemoteProtocolError)),
        ({"truncate": 10}, (ConnectionAbortedError, httpx.RemoteProtocolError)),
        ({"truncate": 10, "reset": True}, (ConnectionResetError, httpx.ReadError)),
    ],
    ids=["reset", "close", "truncate", "truncate-reset"],
)
def test_in_process_a_lost_connection_is_the_error_of_both_kinds_of_client(
    fault: dict[str, Any], errors: tuple[type[Exception], ...], kind: str
) -> None:
    app = mockveo.app(clock="manual", render=False)
    app.world.use(scenario({"faults": [{"operation": "create", "nth": 1, "delay": 0.01, **fault}]}))

    async def twice() -> int:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://mockveo", headers=KEY) as client:
            for error in errors:
                with pytest.raises(error):
                    app.world.use(app.world.plan.scenario)
                    await client.post("/v1/videos", files=FORM)
            return (await client.post("/v1/videos", files=FORM)).status_code

    if kind == "asgi":
        assert asyncio.run(twice()) == 200
        return
    with TestClient(app, headers=KEY) as client:
        for error in errors:
            with pytest.raises(error):
                app.world.use(app.world.plan.scenario)
                client.post("/v1/videos", files=FORM)
        assert client.post("/v1/videos", files=FORM).status_code == 200


@pytest.mark.parametrize(
    ("fault", "least"), [({"delay": 0.2}, 0.2), ({"drip": {"bytes": 100, "every": 0.1}}, 0.2)], ids=["delay", "drip"]
)
def test_in_process_an_answer_takes_its_time(fault: dict[str, Any], least: float) -> None:
    app = mockveo.app(clock="manual", render=False)
    app.world.use(scenario({"faults": [fault]}))
    with TestClient(app, headers=KEY) as client:
        begun = time.monotonic()
        assert client.get("/v1/models").json()["object"] == "list"
        assert time.monotonic() - begun >= least


def hang_up(connection: socket.socket, *, rudely: bool) -> None:
    if rudely:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def tasks(server: ServerThread, wanted: int) -> int:
    """The tasks that a server is busy with, once they are so many, or after a while."""
    deadline = time.monotonic() + 3
    while len(server._server.server_state.tasks) != wanted and time.monotonic() < deadline:
        time.sleep(0.01)
    return len(server._server.server_state.tasks)


NO_PAUSE = {"drip": {"bytes": 100, "every": 0}}


@pytest.fixture
def alone() -> Iterator[Place]:
    """A world of a server that no other test uses."""
    with mockveo.serve(clock="manual", render=False) as server, httpx.Client(headers=KEY, verify=NO_TLS) as client:
        yield Place(server, "alone", client)


@pytest.mark.parametrize("rudely", [False, True], ids=["fin", "rst"])
@pytest.mark.parametrize("fault", [{"delay": 60}, {"drip": {"bytes": 1, "every": 60}}, NO_PAUSE], ids=json.dumps)
def test_nothing_goes_on_once_a_client_has_hung_up(
    alone: Place, caplog: pytest.LogCaptureFixture, fault: dict[str, Any], rudely: bool
) -> None:
    alone.play({"operation": "content", **fault}, phases=[])
    connection, received = alone.connect(f"{alone.job()}/content"), b""
    while "drip" in fault and not received.partition(b"\r\n\r\n")[2]:
        received += connection.recv(1)  # what is left unread makes a reset of the politest end
    assert fault == NO_PAUSE or tasks(alone.server, 1) == 1
    hang_up(connection, rudely=rudely)
    assert tasks(alone.server, 0) == 0
    assert caplog.text == ""


@pytest.mark.parametrize("fault", [{"reset": True}, {"close": True}, {"truncate": 5}], ids=json.dumps)
def test_nothing_goes_on_after_a_fault_that_ended_a_connection_with_requests_in_line(
    alone: Place, fault: dict[str, Any]
) -> None:
    alone.play(fault)
    with alone.connect("any", times=3) as connection, suppress(ConnectionResetError):
        while connection.recv(65536):
            pass
    assert tasks(alone.server, 0) == 0


def test_pauses_of_zero_do_not_delay_other_clients(alone: Place) -> None:
    alone.play({"operation": "content", "drip": {"bytes": 1, "every": 0}}, phases=[])
    with alone.connect(f"{alone.job()}/content") as connection:
        assert connection.recv(1) == b"H"
        begun = time.monotonic()
        assert alone.client.get(f"{alone.url}/v1/models").status_code == 200
        assert time.monotonic() - begun < 1


SERVED = """
phases: []
faults:
  - {operation: retrieve, nth: 1, reset: true}
  - {operation: retrieve, nth: 2, close: true}
  - {operation: retrieve, nth: 3, truncate: 9}
  - {operation: retrieve, nth: 4, truncate: 9, reset: true}
  - {operation: retrieve, nth: 5, delay: 60}
  - {operation: retrieve, nth: 6, drip: {bytes: 1, every: 0.01}}
  - {operation: content, drip: {bytes: 100, every: 0.001}}
"""


def test_server_logs_nothing_of_faults_and_stops_cleanly(tmp_path: Path) -> None:
    ready, played = tmp_path / "ready.json", tmp_path / "bad.yaml"
    played.write_text(SERVED)
    command = [sys.executable, "-m", "mockveo", "serve", "--port", "0", "--quiet", "--no-render"]
    command += ["--ready-file", str(ready), "--scenario", str(played)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=BARE, **pipes) as process, ExitStack() as waiting:
        waiting.callback(process.kill)
        deadline = time.monotonic() + 30
        while not ready.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        url = json.loads(ready.read_text())["base_url"]
        with httpx.Client(headers=KEY, verify=NO_TLS, timeout=PATIENT) as client:
            job = f"{url}/videos/{client.post(f'{url}/videos', files=FORM).json()['id']}"
            for error in (httpx.ReadError, httpx.RemoteProtocolError, httpx.RemoteProtocolError, httpx.ReadError):
                with pytest.raises(error):
                    client.get(job)
            with pytest.raises(httpx.ReadTimeout):
                client.get(job, timeout=0.3)
            for more in ("", "/content"):
                with client.stream("GET", f"{job}{more}") as answer:
                    assert next(answer.iter_raw())
            assert client.get(job).json()["status"] == "completed"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out, err[:1000]) == (0, "", "")
