"""Hostile requests through the front door: no error of ours, no traceback, and no key shown, whatever comes."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from fuzz_runs import fuzz_in_process
from wild_requests import Wild

import mockveo
from mockveo.server.run import ServerThread

#: Seconds that a fuzzed connection may stay silent before it is closed.
PATIENCE_S = 0.05


@pytest.mark.parametrize("part", range(2))
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"strict": True, "clock": "manual"},
        {"self_check": True, "profile": "docs-2026-10"},
        {"profile": "gateway", "clock": "poll"},
        {"credit": 5, "max_jobs": 20, "max_exchanges": 20},
    ],
    ids=lambda settings: "-".join(settings) or "default",
)
def test_hostile_requests_in_process_meet_no_error_of_ours(part: int, settings: dict[str, Any], tmp_path: Path) -> None:
    verdict = fuzz_in_process(part, 1800, tmp_path, **settings)
    assert verdict.requests == 1800
    assert not verdict.faults, "\n".join(verdict.faults[:5])
    assert verdict.statuses[200] > 200  # so that it reaches what lies behind the checks


@pytest.fixture
def quiet_server(tmp_path: Path) -> Iterator[ServerThread]:
    with mockveo.serve(seed=1, render=False, corpus=tmp_path) as running:
        yield running


@pytest.mark.parametrize("seed", range(2))
def test_hostile_bytes_over_sockets_meet_no_error_of_ours(
    quiet_server: ServerThread, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    host, port = quiet_server.url.removeprefix("http://").split(":")
    wild, received = Wild(seed), b""
    with caplog.at_level(logging.ERROR):
        for _ in range(100):
            data = b"".join(wild.mutated() for _ in range(10))
            with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection, suppress(OSError):
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                while chunk := connection.recv(2**20):
                    received += chunk
        assert httpx.get(f"{quiet_server.url}/_mockveo/health").json()["status"] == "ok"
    assert not [record.getMessage() for record in caplog.records]
    assert received.count(b"HTTP/1.1 ") > 50
    assert b'"internal_error"' not in received
