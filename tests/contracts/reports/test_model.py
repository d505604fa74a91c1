"""The data of a report: what is counted, what is kept, the exit statuses, and reading it back."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mockveo_contracts import Case, Outcome
from mockveo_contracts.clients.client_report import MOST_EXCHANGES
from mockveo_contracts.clients.wire_log import MAX_LINES, kept
from mockveo_contracts.reports.known_failures import Entry
from mockveo_contracts.reports.model import ReportError, as_text, read
from sample_reports import KNOWN, careful, careless, form_of, http_of, plain, report_of

GOOD_CASES = ["call/plain", "image/two", "poll/429-retry-after", "job/fails"]


def test_findings_are_counted_but_for_the_known(bad: dict[str, Any]) -> None:
    found = {(one["rule"], one["case"], one["verdict"]) for one in bad["findings"]}
    assert {
        ("refs-order", "image/two", "violation"),
        ("no-false-success", "job/fails", "violation"),
        ("retry-after", "poll/429-retry-after", "warning"),
        ("no-blind-retry", "create/lost", "warning"),
    } <= found
    known = [one for one in bad["findings"] if one["known"]]
    assert [(one["rule"], one["known"]) for one in known] == [
        ("no-blind-retry", {"place": "known.txt:3", "reason": "ticket 4711"})
    ]
    summary = bad["summary"]
    assert summary["cases"] == 6
    assert summary["known"] == summary["skipped"] == 1
    assert summary["violations"] == sum(one["verdict"] == "violation" for one in bad["findings"])
    assert summary["warnings"] == sum(one["verdict"] == "warning" and not one["known"] for one in bad["findings"])
    assert bad["rules"]["refs-order"]["violation"] == 1
    assert bad["rules"]["refs-order"]["not exercised"] == 5
    order = [one["verdict"] for one in bad["findings"]]
    assert order == sorted(order, key=["violation", "warning", "info"].index)


@pytest.mark.parametrize(
    ("client", "cases", "settings", "wanted"),
    [
        (careful, GOOD_CASES, {}, 0),
        (careless, ["image/two"], {}, 1),
        (careless, ["poll/429-retry-after"], {}, 0),
        (careless, ["poll/429-retry-after"], {"strict": True}, 1),
        (careless, ["poll/429-retry-after"], {"stopped": "the client died twice"}, 2),
        (lambda case: case.id, ["call/plain"], {}, 2),
        (careful, ["call/plain"], {"known": KNOWN}, 3),
        (careless, ["image/two"], {"known": [Entry("refs-order", "image/*", "", "k:1")]}, 0),
        # A violation counts more than a stale entry.
        (careless, ["image/two"], {"known": [Entry("auth-bearer", "image/two", "", "k:1")]}, 1),
    ],
)  # fmt: skip
def test_the_exit_status_says_it_all(client: Any, cases: list[str], settings: dict[str, Any], wanted: int) -> None:
    report = report_of(client, cases, **settings)
    assert report.exit_status == wanted
    assert report.data["exit_status"] == wanted


def test_nothing_played_is_no_success() -> None:
    assert report_of(careful, ["none"]).exit_status == 2


def test_a_pattern_is_not_stale_where_only_some_cases_were_played() -> None:
    pattern, exact = Entry("auth-bearer", "call/*", "", "k:1"), Entry("auth-bearer", "call/plain", "", "k:2")
    assert report_of(careful, ["call/plain"], known=[pattern, exact]).stale == [pattern, exact]
    assert report_of(careful, ["call/plain"], known=[pattern, exact], whole=False).stale == [exact]


def test_an_adapter_that_breaks_is_no_verdict(adapter: dict[str, Any]) -> None:
    (finding,) = adapter["findings"]
    assert (finding["rule"], finding["verdict"]) == (None, "adapter error")
    assert "expected an Outcome" in finding["message"]
    assert adapter["summary"] | {"seconds": 0} == {
        "cases": 0, "generated": 0, "violations": 0, "warnings": 0, "infos": 0, "known": 0, "skipped": 0,
        "adapter_errors": 1, "seconds": 0,
    }  # fmt: skip
    assert not any(rule["pass"] for rule in adapter["rules"].values())


def test_the_log_says_what_the_client_was_told(bad: dict[str, Any]) -> None:
    logs = {one["name"]: [row["line"] for row in one["log"]] for one in bad["cases"]}
    lost, again, *polls = logs["create/lost"]
    assert lost == "POST /v1/videos \u2192 no answer  [reset]"
    assert again.startswith("POST /v1/videos \u2192 200 queued 0 % task_")
    assert polls[-1].endswith(" \u2192 200 completed 100 %")
    job = again.rpartition(" ")[2]
    assert all(line.startswith(f"GET /v1/videos/{job} ") for line in polls)
    assert logs["image/two"][0].startswith("POST /v1/videos with 2 files \u2192 200 queued")
    refused = logs["poll/429-retry-after"][2]
    # The job has got on meanwhile, but that is not what the client was told.
    assert "429 " in refused
    assert "Retry-After: 1" in refused
    assert "in_progress" not in refused
    times = [row["at"] for one in bad["cases"] for row in one["log"] if one["name"] == "image/two"]
    assert times[0] == 0
    assert times[1] == pytest.approx(0.05, abs=0.01)


def hasty(case: Case) -> Outcome:
    """Polls without a pause, a few hundred times."""
    with http_of(case) as http:
        job = http.post("/videos", files=form_of(case, ())).json()
        for _ in range(300):
            job = http.get(f"/videos/{job['id']}").json()
        time.sleep(5)
        http.get("/nope")
        return Outcome("completed", video=http.get(f"/videos/{job['id']}").json())


def test_of_very_many_exchanges_the_ends_and_the_marked_are_kept() -> None:
    report = plain(report_of(hasty, ["call/plain"]))
    (unknown,) = [one for one in report["findings"] if one["rule"] == "known-operation"]
    (number,) = unknown["exchanges"]
    numbers = [one["number"] for one in unknown["log"]]
    assert len(numbers) <= MAX_LINES
    assert {1, 2, number, 303} <= set(numbers)
    assert len(unknown["trace"]) <= MOST_EXCHANGES
    assert number in {one["number"] for one in unknown["trace"]}


@given(st.integers(0, 300), st.sets(st.integers(1, 300)), st.integers(4, 100))
def test_never_more_is_kept_than_may_be(count: int, marked: set[int], most: int) -> None:
    numbers = range(1, count + 1)
    found = kept(numbers, {one for one in marked if one <= count}, most)
    assert len(found) <= max(most, min(count, most))
    assert found <= set(numbers)
    assert not count or {1, count} <= found


def test_a_report_is_read_as_it_was_written(bad: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(as_text(bad), encoding="utf-8")
    assert read(tmp_path / "report.json") == bad


@given(st.text(st.characters()))
def test_any_text_is_json_in_utf_8(text: str) -> None:
    assert json.loads(as_text({"x": text}).encode()) == {"x": text}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("\xff", "not JSON"),
        ("[]", "no report: the whole"),
        ('{"log": {"entries": []}}', '"client" is a required property'),
        (lambda data: data["findings"][0].update(verdict="bad"), "no report: findings.0.verdict"),
        (lambda data: data["cases"][0].pop("log"), "no report: cases.0"),
        (lambda data: data["summary"].update(cases="x" * 999), "no report: summary.cases"),
    ],
)
def test_what_is_no_report_is_told(text: Any, wanted: str, bad: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    if callable(text):
        data = json.loads(json.dumps(bad))
        text(data)
        text = json.dumps(data)
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ReportError) as told:
        read(path)
    assert wanted in str(told.value)
    assert str(path) in str(told.value)
    assert "--report json=FILE" in str(told.value)
    assert len(str(told.value)) < 500


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="cannot be read: No such file"):
        read(tmp_path / "none.json")
