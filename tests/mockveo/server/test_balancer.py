"""Three servers on a real Redis behind the balancer of deploy/: clients see one server, and so do the logs."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from installed_clients import tool
from paths import CLIENTS, ROOT
from redis_process import free_port, redis_process
from serve_process import run

import mockveo
from mockveo.server.run import ServerThread

KEY = {"Authorization": "Bearer sk-test"}


class Deployment(NamedTuple):
    """The URLs of the balancer for a server's own origin and for the other one, the Redis, and the servers."""

    url: str
    other_url: str
    store: str
    servers: list[ServerThread]


def listens(address: str) -> bool:
    host, _, port = address.partition(":")
    try:
        socket.create_connection((host, int(port))).close()
    except OSError:
        return False
    return True


@contextmanager
def balancer(addresses: list[str], replicas: list[list[str]], directory: Path) -> Iterator[None]:
    """Run nginx with the configuration of deploy/: at each address the replicas of that address."""
    text = (ROOT / "deploy" / "nginx.conf").read_text().replace("/tmp/", f"{directory}/")
    for port, address, servers in zip(("8360", "8361"), addresses, replicas, strict=True):
        text = text.replace(f"server mockveo:{port} ", f"server {' max_fails=0; server '.join(servers)} ")
        text = text.replace(f"listen {port}", f"listen {address}")
    configuration = directory / "nginx.conf"
    configuration.write_text(text)
    process = subprocess.Popen([tool("nginx"), "-c", str(configuration), "-g", "daemon off;"])
    try:
        deadline = time.monotonic() + 20
        while not all(map(listens, addresses)):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    with ExitStack() as stack:
        redis = stack.enter_context(redis_process(tmp_path))
        addresses = [f"127.0.0.1:{free_port()}" for _ in range(2)]
        url, other_url = (f"http://{address}" for address in addresses)
        made = [
            mockveo.serve(store=redis.url, speed=200, render=False, public_url=url, other_url=other_url)
            for _ in range(3)
        ]
        servers = [stack.enter_context(server) for server in made]
        own = [server.url.removeprefix("http://") for server in servers]
        other = [f"127.0.0.1:{server.app.other_port}" for server in servers]
        stack.enter_context(balancer(addresses, [own, other], tmp_path))
        yield Deployment(url, other_url, redis.url, servers)


def test_readme_client_is_served_and_every_server_has_all_logs(deployment: Deployment, tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(import time\n.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "client.py").write_text(code.replace("http://127.0.0.1:8360", deployment.url))
    done = subprocess.run([sys.executable, "client.py"], cwd=tmp_path, env=os.environ, check=False, timeout=60)
    assert done.returncode == 0
    findings = httpx.get(f"{deployment.servers[0].url}/_mockveo/findings").json()["findings"]
    assert findings == []
    logs = [run("logs", "--url", server.url).stdout for server in deployment.servers]
    assert logs[0] == logs[1] == logs[2]
    assert "POST /v1/videos 200" in logs[0]
    assert "/content 200 completed" in logs[0]


def test_dropped_connections_take_no_server_out_of_service(deployment: Deployment) -> None:
    dropped = {"scenario": {"name": "dropped", "faults": [{"operation": "create", "reset": True}]}}
    httpx.put(f"{deployment.servers[0].url}/@mine/_mockveo/scenario", json=dropped).raise_for_status()
    with httpx.Client(base_url=deployment.url, headers=KEY) as http:
        statuses = [http.post("/@mine/v1/videos", files={"prompt": (None, "p")}).status_code for _ in range(6)]
        assert statuses == [502] * 6
        assert http.post("/v1/videos", files={"prompt": (None, "p")}).status_code == 200


@pytest.mark.slow
def test_check_of_a_correct_client_through_the_balancer_is_clean(deployment: Deployment, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    client = [sys.executable, str(CLIENTS / "contract" / "with_httpx.py")]
    servers = ("--store", deployment.store, "--through", deployment.url)
    command = [sys.executable, "-m", "mockveo", "check", *servers, "--report", f"json={report}", "--", *client]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(report.read_text())["findings"] == []
    # All but the rules of restarts were exercised, so the faults of the cases were.
    (unused,) = re.findall(r"not exercised\s+(\d) rules", done.stdout)
    assert int(unused) <= 4


def test_control_api_is_not_passed_on(deployment: Deployment) -> None:
    for path in ("/_mockveo/ready", "/@mine/_mockveo/", "//_mockveo/ready", "/%5fmockveo/jobs", "/v1/../_mockveo/jobs"):
        assert httpx.get(f"{deployment.url}{path}").status_code == 403
    assert httpx.post(f"{deployment.other_url}/_mockveo/reset").status_code == 404


def test_signed_video_url_leads_through_the_balancer_to_any_server(deployment: Deployment) -> None:
    mine = {"scenario": {"name": "signed", "video_url": {"origin": "other"}, "phases": []}}
    httpx.put(f"{deployment.servers[0].url}/_mockveo/scenario", json=mine).raise_for_status()
    with httpx.Client(base_url=deployment.url, headers=KEY) as http:
        job_id = http.post("/v1/videos", files={"prompt": (None, "p")}).json()["id"]
        urls = [http.get(f"/v1/videos/{job_id}").json()["video_url"] for _ in deployment.servers]
    for url in urls:
        assert url.startswith(f"{deployment.other_url}/videos/{job_id}.mp4?")
        assert httpx.get(url).content[4:8] == b"ftyp"
