"""Requests that met passing trouble and were not sent again."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import httpx
import pytest

from mockveo.dashboard.unrepeated import QUIET_S, unrepeated
from mockveo.testing import Mockveo

KEY = {"Authorization": "Bearer sk-test"}


def messages(mockveo: Mockveo, later_s: float = QUIET_S + 1) -> list[str]:
    exchanges = [record.to_json() for record in mockveo.world.journal]
    return [finding["message"] for finding in unrepeated(exchanges, exchanges[-1]["time"] + later_s)]


@pytest.mark.parametrize(("fault", "fate"), [({"status": 503}, "was answered 503"), ({"reset": True}, "got no answer")])
def test_latest_request_that_met_trouble_is_shown_until_it_is_repeated(
    mockveo: Mockveo, fault: dict[str, Any], fate: str
) -> None:
    mockveo.scenario(faults=[{"operation": "retrieve", "nth": 1, **fault}])
    with httpx.Client(base_url=mockveo.base_url, headers=KEY) as http:
        job = http.post("/videos", files={"prompt": (None, "A kite.")}).json()["id"]
        with suppress(httpx.TransportError):
            http.get(f"/videos/{job}")
        assert messages(mockveo) == [f"GET /v1/videos/{job} {fate}, and was not sent again"]
        assert messages(mockveo, QUIET_S / 2) == []
        http.get(f"/videos/{job}")
    assert messages(mockveo) == []


def test_creates_of_one_prompt_are_one_and_may_wait_as_long_as_they_are_asked_to(mockveo: Mockveo) -> None:
    mockveo.scenario(faults=[{"operation": "create", "nth": [1, 2], "status": 429, "retry_after": 30}])
    with httpx.Client(base_url=mockveo.base_url, headers=KEY) as http:
        for prompt in ("A kite.", "A fox.", "A kite."):
            http.post("/videos", files={"prompt": (None, prompt)})
    assert messages(mockveo) == []
    assert messages(mockveo, QUIET_S + 31) == ["POST /v1/videos was answered 429, and was not sent again"]
    client = httpx.Client(base_url=f"{mockveo.url}/_mockveo")
    with client:
        assert client.get("/findings").json() == client.get("/findings?unrepeated=true").json()
