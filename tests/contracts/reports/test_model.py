"""The report: what is counted and kept, the exit statuses, and its form in JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mockveo_contracts import Case, Outcome
from mockveo_contracts.clients.recorder import MAX_EXCHANGES
from mockveo_contracts.clients.wire_log import MAX_LINES, kept
from mockveo_contracts.reports.case_result import CaseResult, LogLine, SkippedCase
from mockveo_contracts.reports.finding import COPIED_FROM_CASE, RULE_VERDICTS, Finding, RuleResult
from mockveo_contracts.reports.json_report import SCHEMA, as_text, read
from mockveo_contracts.reports.known_failures import KnownFailure
from mockveo_contracts.reports.model import ClientSubject, Report, ServerSubject
from sample_reports import KNOWN, careful, careless, form_of, http_of, report_of, reread

from mockveo.errors import ReportError

GOOD_CASES = ["call/plain", "image/two", "poll/429-retry-after", "job/fails"]


def test_known_findings_are_not_counted(bad: Report) -> None:
    assert {
        ("refs-order", "image/two", "violation"),
        ("no-false-success", "job/fails", "violation"),
        ("retry-after", "poll/429-retry-after", "warning"),
        ("no-blind-retry", "create/lost", "warning"),
    } <= {(finding.rule, finding.case.name, finding.verdict) for finding in bad.findings}
    assert [(finding.rule, finding.known_failure) for finding in bad.known_findings] == [("no-blind-retry", KNOWN[0])]
    summary = bad.data["summary"]
    assert summary["cases"] == 6
    assert summary["known"] == summary["skipped"] == 1
    assert summary["violations"] == sum(finding.verdict == "violation" for finding in bad.findings)
    assert summary["warnings"] == sum(finding.verdict == "warning" for finding in bad.counted_findings)
    assert bad.rules["refs-order"].counts["violation"] == 1
    assert bad.rules["refs-order"].counts["not exercised"] == 5


def test_findings_in_json_are_sorted_by_verdict(bad: Report) -> None:
    order = [finding["verdict"] for finding in bad.data["findings"]]
    assert order == sorted(order, key=["violation", "warning", "info"].index)


@pytest.mark.parametrize(
    ("client", "cases", "settings", "status"),
    [
        (careful, GOOD_CASES, {}, 0),
        (careless, ["image/two"], {}, 1),
        (careless, ["poll/429-retry-after"], {}, 0),
        (careless, ["poll/429-retry-after"], {"strict": True}, 1),
        (careless, ["poll/429-retry-after"], {"aborted": "the client died twice"}, 2),
        (lambda case: case.id, ["call/plain"], {}, 2),
        (careful, ["call/plain"], {"known_failures": KNOWN}, 3),
        (careless, ["image/two"], {"known_failures": (KnownFailure("refs-order", "image/*", "", "k:1"),)}, 0),
        # A violation counts more than a stale entry.
        (careless, ["image/two"], {"known_failures": (KnownFailure("auth-bearer", "image/two", "", "k:1"),)}, 1),
    ],
)  # fmt: skip
def test_exit_status_follows_from_the_findings(
    client: Any, cases: list[str], settings: dict[str, Any], status: int
) -> None:
    report = report_of(client, cases, **settings)
    assert report.exit_status == status
    assert report.data["exit_status"] == status


def test_exit_status_without_cases_is_no_success() -> None:
    assert report_of(careful, ["none"]).exit_status == 2


def test_pattern_is_not_stale_if_only_some_cases_were_run() -> None:
    pattern, exact = KnownFailure("auth-bearer", "call/*", "", "k:1"), KnownFailure("auth-bearer", "call/plain", "", "")
    both = pattern, exact
    assert report_of(careful, ["call/plain"], known_failures=both).stale == [pattern, exact]
    assert report_of(careful, ["call/plain"], known_failures=both, complete=False).stale == [exact]


def test_adapter_error_is_no_verdict(adapter: Report) -> None:
    (finding,) = adapter.findings
    assert (finding.rule, finding.verdict) == (None, "adapter error")
    assert "expected an Outcome" in finding.message
    assert adapter.data["summary"] | {"seconds": 0} == {
        "cases": 0, "generated": 0, "violations": 0, "warnings": 0, "infos": 0, "known": 0, "newer": 0, "skipped": 0,
        "adapter_errors": 1, "seconds": 0,
    }  # fmt: skip
    assert not any(rule.counts["pass"] for rule in adapter.rules.values())


def test_log_shows_what_the_client_received(bad: Report) -> None:
    logs = {case.name: [line.line for line in case.log] for case in bad.cases}
    lost, again, *polls = logs["create/lost"]
    assert lost == "POST /v1/videos \u2192 no answer  [reset]"
    assert again.startswith("POST /v1/videos \u2192 200 queued 0 % task_")
    assert polls[-1].endswith(" \u2192 200 completed 100 %")
    job = again.rpartition(" ")[2]
    assert all(line.startswith(f"GET /v1/videos/{job} ") for line in polls)
    assert logs["image/two"][0].startswith("POST /v1/videos with 2 files \u2192 200 queued")
    refused = logs["poll/429-retry-after"][2]
    # The job has made progress meanwhile, but the client did not see that.
    assert "429 " in refused
    assert "Retry-After: 1" in refused
    assert "in_progress" not in refused
    times = [line.at for case in bad.cases for line in case.log if case.name == "image/two"]
    assert times[0] == 0
    assert times[1] == pytest.approx(0.05, abs=0.01)


def hasty(case: Case) -> Outcome:
    """Poll without a pause, a few hundred times."""
    with http_of(case) as http:
        job = http.post("/videos", files=form_of(case, ())).json()
        for _ in range(300):
            job = http.get(f"/videos/{job['id']}").json()
        time.sleep(5)
        http.get("/nope")
        return Outcome("completed", video=http.get(f"/videos/{job['id']}").json())


def test_long_log_keeps_the_ends_and_the_marked_exchanges() -> None:
    report = reread(report_of(hasty, ["call/plain"]))
    (unknown,) = [finding for finding in report.findings if finding.rule == "known-operation"]
    (number,) = unknown.exchanges
    numbers = [line.number for line in unknown.case.log]
    assert len(numbers) <= MAX_LINES
    assert {1, 2, number, 303} <= set(numbers)
    assert len(unknown.trace) <= MAX_EXCHANGES
    assert number in {exchange["number"] for exchange in unknown.trace}


@given(st.integers(0, 300), st.sets(st.integers(1, 300)), st.integers(4, 100))
def test_kept_exchanges_never_exceed_the_limit(count: int, marked: set[int], most: int) -> None:
    numbers = range(1, count + 1)
    chosen = kept(numbers, {number for number in marked if number <= count}, most)
    assert len(chosen) <= max(most, min(count, most))
    assert chosen <= set(numbers)
    assert not count or {1, count} <= chosen


# In JSON.


def server_report() -> Report:
    """Return a report of a server with one finding."""
    case = CaseResult(name="job/a", description="A job.", log=(LogLine(1, 0.0, "GET /v1/videos/a 200"),))
    rule = RuleResult(severity="must", description="It ends.", source="the page")
    finding = Finding(
        rule="job-ends", severity="must", verdict="violation", description="It ends.", message="it did not",
        source="the page", exchanges=(1,), case=case, reproduce=("mockveo verify",),
    )  # fmt: skip
    return Report(
        subject=ServerSubject("a server", "http://127.0.0.1:1"), rules={"job-ends": rule}, seed=0, profile="gateway",
        findings=[finding], cases=[case], spent={"jobs": 1, "requests": 2}, notes=["a note"],
    )  # fmt: skip


@pytest.mark.parametrize("is_server", [False, True])
def test_report_is_read_as_it_was_written(is_server: bool, bad: Report, tmp_path: Path) -> None:
    report = server_report() if is_server else bad
    (tmp_path / "report.json").write_text(as_text(report.data), encoding="utf-8")
    assert read(tmp_path / "report.json") == report
    assert read(tmp_path / "report.json").data == report.data


def json_type(annotation: Any) -> set[str]:
    """Return the types of JSON that the values of an annotation have."""
    if isinstance(annotation, UnionType) or str(annotation).startswith("typing.Union"):
        return set().union(*map(json_type, get_args(annotation)))
    if get_origin(annotation) is Literal:
        return set().union(*(json_type(type(value)) for value in get_args(annotation)))
    origin = get_origin(annotation) or annotation
    names = {bool: "boolean", int: "integer", float: "number", str: "string", NoneType: "null", tuple: "array"}
    return {names.get(origin, "object")}


def schema_types(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> set[str]:
    """Return the types of JSON that a schema allows."""
    if "$ref" in schema:
        return schema_types(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in schema:
        return set().union(*(schema_types(option, definitions) for option in schema["anyOf"]))
    if "enum" in schema:
        return {next(iter(json_type(type(value)))) for value in schema["enum"]}
    types = schema["type"]
    return {types} if isinstance(types, str) else set(types)


@pytest.mark.parametrize(
    ("type_", "place", "changed"),
    [
        (ClientSubject, ("properties", "client"), {}),
        (ServerSubject, ("properties", "server"), {}),
        (SkippedCase, ("properties", "skipped", "items"), {}),
        (KnownFailure, ("$defs", "known_failure"), {}),
        (LogLine, ("$defs", "log", "items"), {}),
        (CaseResult, ("$defs", "case"), {"adapter_error": {"string", "null"}}),
        (RuleResult, ("$defs", "rule"), {"counts": None, **{verdict: {"integer"} for verdict in RULE_VERDICTS}}),
        (
            Finding,
            ("$defs", "finding"),
            {
                "case": {"string"},
                "case_description": {"string"},
                **{name: json_type(get_type_hints(CaseResult)[name]) for name in COPIED_FROM_CASE},
            },
        ),
    ],
)
def test_schema_has_the_fields_of_the_types(
    type_: Any, place: tuple[str, ...], changed: dict[str, set[str] | None]
) -> None:
    schema = whole = json.loads(SCHEMA.read_text(encoding="utf-8"))
    for step in place:
        schema = schema[step]
    names = type_._fields if type_ is LogLine else [field.name for field in fields(type_)]
    hints = get_type_hints(type_)
    expected = {name: json_type(hints[name]) for name in names} | changed
    expected = {name: types for name, types in expected.items() if types is not None}
    assert {name: schema_types(part, whole["$defs"]) for name, part in schema["properties"].items()} == expected
    assert set(schema["required"]) == set(expected)
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("is_server", [False, True])
def test_schema_has_the_keys_of_the_report(is_server: bool, bad: Report) -> None:
    data = (server_report() if is_server else bad).data
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert set(schema["required"]) == set(data) - {"client", "server"}
    assert set(schema["properties"]) == set(data) | {"client", "server"}
    summary = schema["properties"]["summary"]
    assert set(summary["required"]) == set(data["summary"]) - {"jobs", "requests"}
    assert set(summary["properties"]) == set(data["summary"]) | {"jobs", "requests"}


@given(st.text(st.characters()))
def test_json_of_any_text_is_utf_8(text: str) -> None:
    assert json.loads(as_text({"x": text}).encode()) == {"x": text}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("\xff", "is not JSON"),
        ("[" * 100_000, "is not JSON (it is nested more than 400 levels deep)"),
        ('{"a": NaN}', "is not JSON (NaN is not a number of JSON)"),
        ("[]", "is not a report: the whole file"),
        ('{"log": {"entries": []}}', "is not a report: the whole file"),
        (lambda data: data.pop("client"), "is not a report: the whole file"),
        (lambda data: data["findings"][0].update(verdict="bad"), "is not a report: findings.0.verdict"),
        (lambda data: data["findings"][0].update(case="bad"), "is not a report: the case bad, in which"),
        (lambda data: data["cases"][0].pop("log"), "is not a report: cases.0"),
        (lambda data: data["cases"][0].update(says="x"), "is not a report: cases.0"),
        (lambda data: data["summary"].update(cases="x" * 999), "is not a report: summary.cases"),
    ],
)
def test_read_of_no_report_says_what_is_wrong(text: Any, message: str, bad: Report, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    if callable(text):
        data = json.loads(json.dumps(bad.data))
        text(data)
        text = json.dumps(data)
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ReportError) as raised:
        read(path)
    assert message in str(raised.value)
    assert str(path) in str(raised.value)
    assert "--report json=FILE" in str(raised.value)
    assert len(str(raised.value)) < 600


def test_read_of_a_missing_file_fails(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="cannot be read: No such file"):
        read(tmp_path / "none.json")


# In words.


@pytest.mark.parametrize(
    ("outcome", "line"),
    [
        (None, ""),
        ({"outcome": None}, "no result"),
        ({"outcome": None, "ended_by": "10 s"}, "no result; killed 10 s after its deadline"),
        ({"outcome": "error", "error": {"type": "A", "message": "b"}}, "error, A: b"),
        ({"outcome": "completed", "video": {"id": "a"}, "content": {"bytes": 3}}, "completed, id a, stored 3 bytes"),
    ],
)
def test_outcome_is_shown_in_a_line(outcome: dict[str, Any] | None, line: str) -> None:
    assert CaseResult(name="a", description="", outcome=outcome).outcome_line == line


def test_default_phases_are_not_shown() -> None:
    case = CaseResult(name="a", description="", scenario={"phases": [{"duration": 8}], "ending": "failure"})
    assert case.scenario_lines == ["phases:", "- {duration: 8}", "ending: failure"]
    assert replace(case, default_phases=True).scenario_lines == ["ending: failure"]
