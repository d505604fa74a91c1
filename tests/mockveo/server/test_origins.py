"""The URLs in responses lead a client back the way its request came."""

from __future__ import annotations

import socket

import httpx
import pytest

import mockveo
from mockveo.server.run import ServerThread
from mockveo.simulator.scenarios import scenario

KEY = {"Authorization": "Bearer sk-test"}
REDIRECT = {"operation": "models", "redirect": {"status": 307, "origin": "other"}}


def finished(server: ServerThread, url: str, **headers: str) -> str:
    """Return the signed video_url of a job that is created and polled at a URL."""
    server.app.world.use(scenario({"video_url": {"origin": "other"}}))
    with httpx.Client(base_url=url, headers=KEY | headers, trust_env=False) as http:
        job_id = http.post("/v1/videos", files={"prompt": (None, "p")}).raise_for_status().json()["id"]
        server.app.world.clock.advance(1000)
        return str(http.get(f"/v1/videos/{job_id}").raise_for_status().json()["video_url"])


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::1]"])
def test_video_url_has_the_name_by_which_the_server_is_called(name: str) -> None:
    with mockveo.serve(clock="manual", render=False) as server:
        port = server.url.rpartition(":")[2]
        if name == "[::1]":
            try:
                socket.create_connection(("::1", int(port)), 1).close()
            except OSError:
                pytest.skip("this machine has no IPv6")
        url = finished(server, f"http://{name}:{port}")
        assert url.startswith(f"http://{name}:{server.app.other_port}/videos/")
        assert httpx.get(url, trust_env=False).content[4:8] == b"ftyp"
        assert httpx.get(f"http://{name}:{port}/_mockveo/ready").json()["base_url"] == f"http://{name}:{port}/v1"


def test_redirect_has_the_name_by_which_the_server_is_called() -> None:
    with mockveo.serve(allow_host="mock.example") as server:
        server.app.world.use(scenario({"faults": [REDIRECT]}))
        headers = KEY | {"Host": "mock.example:80"}
        place = httpx.get(f"{server.base_url}/models", headers=headers).headers["location"]
        assert place.startswith(f"http://mock.example:{server.app.other_port}/v1/models?ticket=")


def test_public_urls_take_precedence_and_their_hosts_are_served() -> None:
    urls = {"public_url": "https://mock.example", "other_url": "https://videos.example"}
    with mockveo.serve(clock="manual", render=False, **urls) as server:
        url = finished(server, server.url, Host="mock.example")
        assert url.startswith("https://videos.example/videos/")
        path = url.removeprefix("https://videos.example")
        answer = httpx.get(f"http://127.0.0.1:{server.app.other_port}{path}", headers={"Host": "videos.example"})
        assert answer.content[4:8] == b"ftyp"
        assert httpx.get(f"{server.url}/_mockveo/ready").json()["base_url"] == "https://mock.example/v1"
