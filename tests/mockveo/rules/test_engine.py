"""The rules as a whole: their book, what judging must never do, and a client that breaks none."""

from __future__ import annotations

import copy
import json
import logging
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import outcome_examples
import pytest
import request_examples
import restart_examples
import sequence_examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import ANY_SCENARIO
from traces import (
    ALL_FEATURES,
    DEFAULTS,
    FIRST,
    LAST,
    PROMPT,
    SECRET,
    Recorder,
    Reference,
    Virtual,
    image,
    outcome,
    timed,
)

import mockveo
from mockveo.errors import RuleError, ScenarioError
from mockveo.rules.client_rules import client_rules, findings, findings_of, judge_traffic
from mockveo.rules.engine import Breach, Checks, RuleBook
from mockveo.rules.trace import MAX_SILENCE_S, CallTrace
from mockveo.server.run import ServerThread
from mockveo.simulator.scenarios import built_in, scenario
from mockveo.traffic.exchange import Exchange, ExchangeJson


def fits(data: Any) -> bool:
    try:
        scenario(data)
    except ScenarioError:
        return False
    return True


SCENARIO = ANY_SCENARIO.filter(fits)
EXAMPLES = [
    *request_examples.EXAMPLES,
    *sequence_examples.EXAMPLES,
    *outcome_examples.EXAMPLES,
    *restart_examples.EXAMPLES,
]
BROKEN = {"must": "violation", "should": "warning", "info": "info"}
VERDICTS = {"pass", "violation", "warning", "info", "not exercised"}


@pytest.fixture(scope="session")
def polled() -> Iterator[ServerThread]:
    """A server whose time goes on with each poll."""
    with mockveo.serve(clock="poll", seed=3, render=False) as running:
        yield running


@pytest.mark.parametrize("rule", client_rules().rules)
def test_rule_has_examples_of_each_verdict(rule: str) -> None:
    verdicts = Counter(example.verdict for example in EXAMPLES if example.rule == rule)
    assert verdicts["pass"]
    assert verdicts[BROKEN[client_rules().rules[rule].severity]]
    assert verdicts["not exercised"]


def test_client_rules_are_complete() -> None:
    assert len(client_rules().rules) == 56
    for rule in client_rules().rules.values():
        assert rule.severity in BROKEN
        for text in (rule.description, rule.why, rule.advice):
            assert text.endswith(".")
        assert rule.example
        assert rule.source
        assert not rule.assumed or rule.severity == "info"


RULE = """{name}:
  severity: must
  description: d
  why: w
  example: e
  advice: a
  source: s
"""


def book(path: Path, *rules: str, text: str = "", checks: Checks[None] | None = None) -> RuleBook[None]:
    path.write_text("".join(RULE.format(name=rule) for rule in rules) + text)
    return RuleBook(path, *([checks] if checks else []), pages="docs")


def checks_of(*rules: str) -> Checks[None]:
    checks = Checks[None]()
    checks.check(*rules)(lambda _: [])
    return checks


def test_rule_book_binds_rules_to_checks(tmp_path: Path) -> None:
    loaded = book(tmp_path / "rules.yaml", "a", "b", checks=checks_of("b", "a"))
    assert [verdict.rule.id for verdict in loaded.judge(None)] == ["a", "b"]
    assert loaded.find("a").page == "docs/a.md"


def test_rule_that_fails_is_not_exercised_and_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_: None) -> list[Breach] | None:
        raise KeyError("id")

    checks = checks_of("other")
    checks.add("mine", fails)
    loaded = book(tmp_path / "rules.yaml", "mine", "other", checks=checks)
    monkeypatch.setattr(logging.getLogger("mockveo.rules"), "handlers", [])  # one of the tests raises it
    assert [verdict.verdict for verdict in loaded.judge(None)] == ["not exercised", "pass"]
    assert "the rule mine failed" in caplog.text


def test_rule_book_with_a_rule_without_a_check_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match=r"rules.yaml: no check decides b; expected one for each rule"):
        book(tmp_path / "rules.yaml", "a", "b", checks=checks_of("a"))


def test_rule_book_with_a_check_without_a_rule_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match=r"rules.yaml: checks exist for unknown rules b; expected an entry for each"):
        book(tmp_path / "rules.yaml", "a", checks=checks_of("a", "b"))


def test_rule_book_with_two_checks_of_a_rule_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(RULE.format(name="a"))
    with pytest.raises(RuleError, match="'a' has two checks"):
        RuleBook(path, checks_of("a"), checks_of("a"), pages="docs")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("b: {severity: must}\n", r"the rule 'b' lacks \['advice', 'description', 'example', 'source', 'why'\]"),
        (RULE.format(name="b") + "  says: x\n", r"the rule 'b' .* has unknown fields \['says'\]"),
        (
            RULE.format(name="b").replace("must", "x"),
            "the severity of 'b' is 'x'; expected one of must, should, info",
        ),
    ],
)
def test_rule_book_with_an_invalid_rule_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RuleError, match=message):
        book(tmp_path / "rules.yaml", text=text)


def test_unknown_rule_is_refused_with_the_valid_ones(recorder: Recorder) -> None:
    with pytest.raises(RuleError, match=r"the rule 'auth' does not exist; .*expected one of auth-bearer, auth-in-url"):
        client_rules().judge(recorder.call(), ["auth"])


def test_finding_has_the_documented_fields(recorder: Recorder) -> None:
    recorder.create(seconds="8")
    assert [finding.to_json() for finding in findings(recorder.trace)] == [
        {
            "rule": "unknown-parts",
            "severity": "should",
            "verdict": "warning",
            "message": "the field 'seconds' is not in the page; the fields are prompt, model, size, input_reference",
            "source": client_rules().rules["unknown-parts"].source,
            "exchanges": [1],
        }
    ]


def test_verdict_with_one_full_breach_is_not_lenient(recorder: Recorder) -> None:
    recorder.create(size="16x9", model="None")
    (verdict,) = client_rules().judge(recorder.call(), ["omit-unset"])
    assert (verdict.verdict, [breach.lenient for breach in verdict.breaches]) == ("violation", [True, False])


def follow(
    server: ServerThread, name: str, http: httpx.Client, data: Any, **case: Any
) -> tuple[CallTrace, list[ExchangeJson]]:
    """Return the call of the reference client under a scenario, and its exchanges as JSON."""
    world = server.app.worlds.reset(name, {"clock": "poll", "step": 10.0}, scenario(data))
    images = case.pop("images", [])
    given = {"prompt": PROMPT, "model": None, "size": None, "images": images, **case}
    base = {"id": "1", "base_url": f"{server.url}/@{name}/v1", "api_key": SECRET, "input": given}
    asked = {**base, "poll_interval_s": 10.0, "deadline_s": 600.0}
    time = Virtual()
    reported = Reference(asked, http, time)()
    trace = timed([record.to_json() for record in world.journal], time.sent)
    assert len(trace) == len(time.sent)
    exchanges = [Exchange.from_json(data) for data in trace]
    return CallTrace(exchanges, case=asked, outcome=reported, features=ALL_FEATURES, defaults=DEFAULTS), trace


INPUTS: list[Mapping[str, Any]] = [
    {},
    {"model": "veo3.1", "size": "9x16"},
    {"images": [{**image(FIRST), "data": FIRST}, {**image(LAST, "last.png"), "data": LAST}]},
]


@pytest.mark.parametrize("more", INPUTS, ids=["text", "set", "images"])
@pytest.mark.parametrize("builtin", list(built_in()), ids=lambda builtin: builtin.name)
def test_correct_client_under_a_builtin_scenario_breaks_no_rule(
    polled: ServerThread, http: httpx.Client, builtin: Any, more: Mapping[str, Any]
) -> None:
    call, trace = follow(polled, builtin.name, http, dict(builtin.data), **more)
    broken = [verdict for verdict in client_rules().judge(call) if verdict.breaches]
    assert not broken, (broken, call.outcome, [exchange.line for exchange in call.exchanges])
    assert judge_traffic(trace) == []


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=SCENARIO)
def test_correct_client_under_any_scenario_breaks_no_rule(polled: ServerThread, http: httpx.Client, data: Any) -> None:
    call, _ = follow(polled, "whatever", http, data)
    broken = [verdict for verdict in client_rules().judge(call) if verdict.verdict in ("violation", "warning")]
    assert not broken, (broken, call.outcome, [exchange.line for exchange in call.exchanges])


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=8)
NAME = st.sampled_from(["prompt", "model", "size", "input_reference", "input_reference[]", "image", "seconds"])
BODY = st.one_of(
    st.fixed_dictionaries({"data": st.dictionaries(NAME, TEXT, max_size=4)}),
    st.fixed_dictionaries(
        {"json": st.dictionaries(NAME, st.none() | st.integers() | TEXT, max_size=4) | st.integers()}
    ),
    st.fixed_dictionaries(
        {"files": st.lists(st.tuples(NAME, st.just((None, "x")) | st.just(("a.png", b"x", "image/png"))), max_size=5)}
    ),
    st.fixed_dictionaries({"content": st.binary(max_size=20)}),
    st.just({"files": [("prompt", (None, PROMPT))]}),
)
PATH = st.sampled_from(
    ["", "/", "/x", "/{job}", "/{job}/content", "/{job}?key=1", "/content", "?ticket=x", "/../models"]
)
HEADERS = st.sampled_from(
    [{"Authorization": f"Bearer {SECRET}"}, {}, {"Authorization": "x"}, {"Cookie": "a=b", "Idempotency-Key": "1"}]
)
REQUEST = st.one_of(
    st.tuples(st.just("POST"), st.just(""), HEADERS, BODY),
    st.tuples(st.sampled_from(["GET", "GET", "HEAD", "DELETE", "POST"]), PATH, HEADERS, st.just({})),
    st.tuples(st.just("GET"), st.just("/{job}"), st.just({"Authorization": f"Bearer {SECRET}"}), st.just({})),
    st.tuples(st.just("follow"), st.just(""), HEADERS, BODY),
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | TEXT,
    lambda nested: st.lists(nested) | st.dictionaries(TEXT, nested),
)
JOB = st.fixed_dictionaries(
    {},
    optional={
        "id": ANYTHING,
        "status": ANYTHING | st.sampled_from(["completed", "failed"]),
        "error": ANYTHING,
        "data": ANYTHING,
        "model": ANYTHING,
    },
)
FAULT = st.fixed_dictionaries(
    {"json": JOB | ANYTHING},
    optional={
        "operation": st.sampled_from(["create", "retrieve", "content"]),
        "status": st.sampled_from([200, 204, 302, 400, 429, 503]),
        "headers": st.fixed_dictionaries(
            {"Retry-After": st.sampled_from(["1", "-1", "nan", "x", "", "1 Jan 2000 -0000"])}
        ),
    },
)
OUTCOME = st.none() | st.builds(
    outcome,
    st.sampled_from(["completed", "failed", "timeout", "error", None]),
    video=st.none() | JOB,
    error=st.none() | TEXT | st.fixed_dictionaries({"type": TEXT, "message": TEXT}),
    content=st.none() | st.just({"sha256": "0" * 64, "bytes": 3}),
    leaks=st.lists(TEXT, max_size=2),
    ended_by=st.none() | TEXT,
)
FEATURES = st.dictionaries(st.sampled_from(list(ALL_FEATURES)), st.booleans())


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=SCENARIO | FAULT.map(lambda fault: {"faults": [fault]}).filter(fits),
    requests=st.lists(REQUEST, max_size=10),
    reported=st.tuples(OUTCOME, FEATURES),
    pauses=st.lists(st.floats(-1, 100), max_size=10),
)
def test_judging_any_traffic_is_pure_and_repeatable(
    recorder: Recorder,
    data: Any,
    requests: list[tuple[str, str, dict[str, str], dict[str, Any]]],
    reported: tuple[Any, dict[str, bool]],
    pauses: list[float],
) -> None:
    """Judging raises nothing, changes nothing, and repeats itself, with a trace from a file too."""
    (result, features), recorder = reported, Recorder(recorder.server, recorder.name, recorder.http)
    recorder.world.use(scenario(data))
    job, where = "none", ""
    for method, path, headers, body in requests:
        target = where if method == "follow" and where else f"/v1/videos{path.replace('{job}', job)}"
        answer = recorder.send("POST" if method == "follow" else method, target, headers=headers, **body)
        job = recorder.job_id(answer) or job
        location = answer.headers.get("location", "") if answer is not None else ""
        where = location if location.startswith("http") else f"{recorder.server.url}{location}" if location else where
    before = timed(recorder.trace, pauses)
    kept = copy.deepcopy(before)
    case = recorder.call().case

    def verdicts(trace: list[dict[str, Any]]) -> list[Any]:
        exchanges = [Exchange.from_json(data) for data in trace]
        call = CallTrace(exchanges, case=case, outcome=result, features=features, defaults=DEFAULTS)
        return [
            client_rules().judge(call),
            client_rules().judge(call),
            client_rules().judge(CallTrace(call.exchanges)),
            judge_traffic(trace),
        ]

    results = verdicts(before)
    assert results[0] == results[1]
    assert verdicts(before) == results
    assert before == kept
    assert verdicts(json.loads(json.dumps(before))) == results
    assert {verdict.verdict for verdict in results[0]} <= VERDICTS
    assert all(verdict.rule.wire for verdict in results[3])
    json.dumps([finding.to_json() for verdict in results[0] for finding in findings_of(verdict)])
    assert SECRET not in str(results)


def test_traffic_is_judged_in_threads(recorder: Recorder) -> None:
    recorder.content(recorder.finished())
    trace, results = recorder.trace, []
    threads = [threading.Thread(target=lambda: results.append(judge_traffic(trace))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[]] * 4


def test_same_form_after_a_long_silence_is_another_call(recorder: Recorder) -> None:
    recorder.play({"operation": "create", "nth": 1, "status": 504})
    for _ in range(2):
        recorder.create()
    trace: list[dict[str, Any]] = [record.to_json() for record in recorder.world.journal]
    assert "no-blind-retry" in {verdict.rule.id for verdict in judge_traffic(trace)}
    trace[1]["time"] = trace[0]["time"] + MAX_SILENCE_S + 1
    assert "no-blind-retry" not in {verdict.rule.id for verdict in judge_traffic(trace)}


def test_retry_after_date_of_a_stopped_clock_is_ignored(recorder: Recorder) -> None:
    recorder.play({"operation": "create", "nth": 1, "status": 429, "retry_after": {"date": 60}})
    for _ in range(2):
        recorder.create()
    assert "retry-after" not in {
        verdict.rule.id for verdict in judge_traffic([record.to_json() for record in recorder.world.journal])
    }


def test_paths_that_browsers_request_break_no_rule(recorder: Recorder) -> None:
    recorder.send("GET", "/favicon.ico")
    assert judge_traffic([record.to_json() for record in recorder.world.journal]) == []
