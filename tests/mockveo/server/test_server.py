from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

import mockveo
from mockveo.environment import client_environment, without_proxy
from mockveo.errors import MockveoError, SettingsError

KEY = {"Authorization": "Bearer sk-test"}
FORM = {"prompt": (None, "a kite")}


def test_a_server_in_a_thread() -> None:
    before = set(threading.enumerate())
    with mockveo.serve(render=False) as server:
        assert server.base_url == f"{server.url}/v1"
        assert server.env["OPENAI_BASE_URL"] == server.env["COMETAPI_BASE_URL"] == server.base_url
        assert server.env["OPENAI_API_KEY"] == server.env["COMETAPI_KEY"] == server.key
        answer = httpx.post(f"{server.base_url}/videos", headers={"Authorization": f"Bearer {server.key}"}, files=FORM)
        assert answer.json()["status"] == "queued"
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url)
    assert not {thread for thread in set(threading.enumerate()) - before if thread.name == "mockveo"}


#: Stands in for freezegun, which replaces these functions of `time`, here before anything of mockveo is imported.
FROZEN = """
import json, sys, time, urllib.request
for name in ("time", "monotonic", "perf_counter", "time_ns", "monotonic_ns", "perf_counter_ns"):
    setattr(time, name, lambda: 0)
import mockveo

def ask(url, data=None):
    with urllib.request.urlopen(urllib.request.Request(url, data, {"Authorization": "Bearer k"})) as answer:
        return json.load(answer)

with mockveo.serve(speed=10000, scenario=sys.argv[1], render=False) as server:
    job = ask(server.base_url + "/videos", b"prompt=a")
    time.sleep(0.1)
    print(ask(f"{server.base_url}/videos/{job['id']}")["status"])
"""


def test_server_runs_and_stops_although_the_clocks_of_the_process_are_frozen(tmp_path: Path) -> None:
    scenario = tmp_path / "delayed.yaml"
    scenario.write_text("faults: [{operation: create, delay: 0.2, applied: true}]")
    started = time.monotonic()
    command = [sys.executable, "-c", FROZEN, str(scenario)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout == "completed\n"
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("proxied", ["", "example.org"])
def test_environment_leads_a_program_past_the_proxy(proxied: str) -> None:
    with mockveo.serve(render=False) as server:
        command = [
            sys.executable,
            "-c",
            "import httpx, os; print(httpx.get(os.environ['OPENAI_BASE_URL']).status_code)",
        ]
        proxy = {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
        env = {**os.environ, **proxy, **client_environment(server.base_url, "k")}
        assert subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout == "404\n"
    assert without_proxy({"NO_PROXY": proxied})["NO_PROXY"] == f"{proxied},127.0.0.1,localhost".lstrip(",")


def test_localhost_is_answered_on_ipv6_too() -> None:
    with mockveo.serve(render=False) as server:
        port = server.url.rpartition(":")[2]
        try:
            answer = httpx.get(f"http://[::1]:{port}/api/models")
        except httpx.ConnectError:
            pytest.skip("this machine has no IPv6 loopback")
        assert answer.status_code == 200


def test_servers_are_isolated() -> None:
    with mockveo.serve(render=False) as first, mockveo.serve(render=False) as other:
        made = httpx.post(f"{first.base_url}/videos", headers=KEY, files=FORM).json()["id"]
        assert httpx.get(f"{first.base_url}/videos/{made}", headers=KEY).status_code == 200
        assert httpx.get(f"{other.base_url}/videos/{made}", headers=KEY).status_code == 400


def test_the_key_of_a_server_that_takes_only_some() -> None:
    with mockveo.serve(key="sk-mine", render=False) as server:
        assert server.key == "sk-mine"


def test_a_server_stops_while_a_client_holds_its_connection() -> None:
    with httpx.Client() as client:
        with mockveo.serve(render=False) as server:
            assert client.get(f"{server.url}/api/models").status_code == 200
        with pytest.raises(httpx.ConnectError):
            client.get(f"{server.url}/api/models")


def test_an_ipv6_address() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with mockveo.serve(host="::1", render=False) as server:
        assert server.url.startswith("http://[::1]:")
        assert httpx.get(f"{server.url}/api/models").status_code == 200


def test_a_taken_port_is_an_error_that_says_what_to_do() -> None:
    with mockveo.serve(render=False) as server:
        port = int(server.url.rpartition(":")[2])
        with pytest.raises(SettingsError, match=f"port {port} of 127.0.0.1 is taken.* --port {port + 1}, or --port 0"):
            mockveo.serve(port=port)


def test_an_address_that_is_not_ours_is_an_error() -> None:
    with pytest.raises(SettingsError, match=r"cannot listen on 192\.0\.2\.1, port 0: .*the default is --host 127"):
        mockveo.serve(host="192.0.2.1")
    with pytest.raises(SettingsError, match="cannot listen on no such host"):
        mockveo.serve(host="no such host")


def test_in_process_with_httpx() -> None:
    async def flow() -> httpx.Response:
        transport = httpx.ASGITransport(app=mockveo.app(clock="manual"))
        async with httpx.AsyncClient(transport=transport, base_url="http://mockveo", headers=KEY) as client:
            made = await client.post("/v1/videos", files=FORM)
            return await client.get(f"/v1/videos/{made.json()['id']}")

    assert asyncio.run(flow()).json()["status"] == "queued"


def test_in_process_with_starlettes_test_client() -> None:
    app = mockveo.app(scenario="instant", render=False)
    client = TestClient(app, headers=KEY)
    made = client.post("/v1/videos", files=FORM).json()
    assert made["status"] == "completed"
    assert client.get(f"/v1/videos/{made['id']}/content").content[4:8] == b"ftyp"


@pytest.mark.parametrize("name", ["serve", "app"])
def test_unknown_setting_is_named(name: str) -> None:
    with pytest.raises(MockveoError, match="'sped' is not a setting; expected one of host, port"):
        getattr(mockveo, name)(sped=3)


def test_the_same_seed_gives_the_same_answers() -> None:
    def transcript() -> list[bytes]:
        client = TestClient(mockveo.app(seed=7, clock="manual"), headers=KEY)
        made = client.post("/v1/videos", files=FORM)
        return [made.content, client.get(f"/v1/videos/{made.json()['id']}").content, client.get("/x").content]

    assert transcript() == transcript()


def test_a_clip_made_for_a_job_does_not_hold_up_other_requests() -> None:
    with mockveo.serve(scenario="instant", render=True) as server, httpx.Client(headers=KEY, timeout=60) as client:
        made = client.post(f"{server.base_url}/videos", files=FORM).json()["id"]
        answers: list[bytes] = []

        def fetch() -> None:
            answers.append(httpx.get(f"{server.base_url}/videos/{made}/content", headers=KEY, timeout=60).content)

        fetchers = [threading.Thread(target=fetch) for _ in range(3)]
        for fetcher in fetchers:
            fetcher.start()
        polls = 0
        while any(fetcher.is_alive() for fetcher in fetchers):
            assert client.get(f"{server.base_url}/videos/{made}").status_code == 200
            polls += 1
        assert polls > 5
    assert len(answers) == 3
    assert len(set(answers)) == 1


def test_uvicorn_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), mockveo.serve(render=False) as server:
        with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as connection:
            connection.sendall(b"\0\0\0\r\n\r\n")
            connection.recv(100)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_it_can_be_mounted_in_another_application() -> None:
    app = Starlette(routes=[Mount("/fake", mockveo.app(clock="manual", render=False))])
    with TestClient(app, headers=KEY) as client:
        for world in ("", "/@mine"):
            made = client.post(f"/fake{world}/v1/videos", files={"prompt": (None, "p")}).json()
            assert client.get(f"/fake{world}/v1/videos/{made['id']}").json()["status"] == "queued"
            assert client.get(f"/fake{world}/_mockveo/jobs").json()["count"] == 1
        assert client.get("/fake/nope").json()["error"]["message"] == "Invalid URL (GET /nope)"
