"""A saved world that was edited is refused if it could not be shown: its values keep their types and bounds."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from mockveo.server.run import ServerThread

KEY = {"Authorization": "Bearer sk-test"}


@pytest.fixture(scope="module")
def document(server: ServerThread) -> Any:
    world = f"{server.url}/@saved-bounds"
    assert httpx.post(f"{world}/v1/videos", json={"prompt": "p"}, headers=KEY).status_code == 200
    return httpx.get(f"{world}/_mockveo/state").json()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("clock", "now"), 1e300),
        (("clock", "date"), 1e20),
        (("parts", 0, 2, 2), [1]),
        (("exchanges", 0, "started"), 1e20),
        (("jobs", 0, 0, 0), 5),
        (("jobs", 0, 0, 1), None),
        (("jobs", 0, 0, 4), [1]),
        (("jobs", 0, 0, 6), 1.5),
        (("jobs", 0, 0, 7), "x"),
        (("jobs", 0, 0, 8), 1e20),
        (("jobs", 0, 0, 9), 5e-324),
        (("exchanges", 0, "started"), "x"),
        (("exchanges", 0, "operation"), [1]),
        (("exchanges", 0, "status"), "200"),
    ],
)
def test_edited_value_is_refused_in_a_sentence(server: ServerThread, document: Any, path: Any, value: Any) -> None:
    edited = httpx.Response(200, json=document).json()
    node = edited
    for part in path[:-1]:
        node = node[part]
    assert node[path[-1]] != value
    node[path[-1]] = value
    answer = httpx.put(f"{server.url}/@saved-bounds/_mockveo/state", json=edited)
    assert answer.status_code == 400
    assert "saved world" in answer.json()["error"]["message"]
    assert len(answer.text) < 2000
    for shown in ("jobs", "journal", "findings", "bill"):
        assert httpx.get(f"{server.url}/@saved-bounds/_mockveo/{shown}").status_code == 200
