"""An exchange in short, and two side by side."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockveo.dashboard.exchanges import Summary, compared, summary_of
from mockveo.testing import Mockveo

KEY = {"Authorization": "Bearer sk-test", "User-Agent": "kites/1.2"}


FORM = {"prompt": (None, "A paper kite floats.")}


def summaries(mockveo: Mockveo, **fault: Any) -> list[Summary]:
    """Return a create, a poll that may have a fault, and a download."""
    mockveo.scenario(faults=[{"operation": "retrieve", **fault}] if fault else [])
    with httpx.Client(base_url=mockveo.base_url, headers=KEY, timeout=10) as http:
        http.post("/videos", files=FORM)
        (job,) = mockveo.jobs
        with suppress(httpx.HTTPError):
            http.get(f"/videos/{job.id}")
        job.end("success")
        http.get(f"/videos/{job.id}/content")
    return [summary_of(exchange.to_json()) for exchange in mockveo.world.journal]


def test_summary_says_what_was_asked_and_answered(mockveo: Mockveo) -> None:
    create, poll, content = summaries(mockveo)
    said = {"operation": "create", "status": 200, "answer": "queued 0 %", "tone": "good", "fate": "", "files": 0}
    assert {**said, "prompt": "A paper kite floats.", "client": "kites/1.2"}.items() <= create.items()
    assert (poll["job"], poll["transient"]) == (create["job"], False)
    assert content["answer"].endswith(" bytes")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"reset": True}, ("lost", "answer lost: reset", "bad", True)),
        ({"truncate": 10}, ("cut", "answer cut off after 10 bytes", "good", True)),
        ({"delay": 1.0}, ("late", "answered after 1 s", "good", False)),
        ({"status": 503, "retry_after": 2}, ("", "", "bad", True)),
        ({"status": 404}, ("", "", "warn", False)),
    ],
)
def test_summary_says_what_became_of_the_answer(
    mockveo: Mockveo, fault: dict[str, Any], said: tuple[object, ...]
) -> None:
    _, poll, _ = summaries(mockveo, **fault)
    assert (poll["fate"], poll["trouble"], poll["tone"], poll["transient"]) == said
    assert poll["wait"] == fault.get("retry_after")
    assert ("\u00b7 wait 2 s" in poll["answer"]) == ("retry_after" in fault)


_LINES = st.lists(st.sampled_from("abc"), max_size=8).map("\n".join)


@given(_LINES, _LINES)
def test_rows_are_the_lines_of_both_and_say_which_are_the_same(ours: str, others: str) -> None:
    def exchange(body: str) -> Any:
        request = {"method": "GET", "path": "/v1/videos/a", "query": ""}
        response = {"status": 200, "headers": [], "body": body, "body_bytes": len(body)}
        return {"number": 1, "time": 0.0, "at": 0.0, "operation": None, "request": request, "response": response}

    rows = compared(exchange(ours), exchange(others))
    assert [left for left, _, _ in rows if left is not None][-ours.count("\n") - 1 :] == ours.split("\n")
    assert [right for _, right, _ in rows if right is not None][-others.count("\n") - 1 :] == others.split("\n")
    assert all((left == right) == same for left, right, same in rows)
