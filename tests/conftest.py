"""Fixtures of tests that go through a real server on a real socket."""

from __future__ import annotations

import os
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import settings

import mockveo
from mockveo.server.run import ServerThread
from mockveo.simulator.clock import Clock

#: Fixtures: real HTTP clients, and a world for each test.
pytest_plugins = ["http_clients"]

settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("dev", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

KEY = {"Authorization": "Bearer sk-test"}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Many tests wait for another process, so a worker for each core would leave cores idle."""
    return 2 * (os.cpu_count() or 1)


@pytest.fixture(scope="session")
def server() -> Iterator[ServerThread]:
    """A shared server whose clock stands still; each test creates its own jobs."""
    with mockveo.serve(clock="manual", seed=1, self_check=True, render=False) as running:
        yield running


@pytest.fixture
def client(server: ServerThread) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers=KEY) as http:
        yield http


@pytest.fixture
def clock(server: ServerThread) -> Clock:
    return server.app.world.clock
