"""A recorder of real traffic for the rules to judge."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from http_clients import NO_TLS
from traces import Recorder

from mockveo.server.run import ServerThread


@pytest.fixture(scope="session")
def http() -> Iterator[httpx.Client]:
    # A kept connection that a fault has closed would fail the next request before it reaches the server.
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(verify=NO_TLS, trust_env=False, limits=limits) as client:
        yield client


@pytest.fixture
def recorder(server: ServerThread, http: httpx.Client, request: pytest.FixtureRequest) -> Recorder:
    return Recorder(server, re.sub(r"[^A-Za-z0-9._~-]", "-", request.node.name)[-90:], http)
