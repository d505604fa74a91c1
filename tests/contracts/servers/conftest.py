"""Servers to verify: the broken ones, and mockveo itself."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from broken_servers import Small, application
from verification import PROFILES

import mockveo
from mockveo.server.run import ServerThread


@pytest.fixture(scope="session")
def servers() -> Iterator[tuple[str, dict[str, Small]]]:
    """The URL that all broken servers are under, and the memory of each."""
    app, memory = application()
    # Without IPPROTO_TCP asyncio leaves Nagle's algorithm on: 40 ms for each response.
    with socket.socket(proto=socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.005)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", memory
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def fakes() -> Iterator[dict[str, ServerThread]]:
    """A mockveo for each profile, whose time stands still."""
    running = {
        name: mockveo.serve(profile=name, clock="manual", seed=3, render=False, self_check=False) for name in PROFILES
    }
    for server in running.values():
        server.start()
    yield running
    for server in running.values():
        server.stop()
