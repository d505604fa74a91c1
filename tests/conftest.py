"""Fixtures of tests that go through a real server on a real socket."""

from __future__ import annotations

import logging
import os
import signal
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


class _Loud(logging.Handler):
    """Lets a rule that fails fail its test, while a run would log that and go on."""

    def emit(self, record: logging.LogRecord) -> None:
        """Raise what was logged."""
        if record.exc_info and record.exc_info[1]:
            raise record.exc_info[1]


logging.getLogger("mockveo.rules").addHandler(_Loud())

# A shell ignores signals for what it starts in the background, and so would the programs that tests interrupt.
for _number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)

KEY = {"Authorization": "Bearer sk-test"}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Many tests wait for another process, so a worker for each core would leave cores idle."""
    return 2 * (os.cpu_count() or 1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerThread]:
    """A shared server whose clock stands still; each test creates its own jobs."""
    corpus = tmp_path_factory.mktemp("corpus")
    with mockveo.serve(clock="manual", seed=1, self_check=True, render=False, corpus=corpus) as running:
        yield running


@pytest.fixture
def client(server: ServerThread) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers=KEY) as http:
        yield http


@pytest.fixture
def clock(server: ServerThread) -> Clock:
    return server.app.world.clock
