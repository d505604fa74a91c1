"""The judge as a whole: its catalogue, what it must never do, and a client that it has nothing to say against."""

from __future__ import annotations

import copy
import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import test_outcome
import test_requests
import test_sequence
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
    Reference,
    Stage,
    Virtual,
    http,
    image,
    outcome,
    stage,
    timed,
)

import mockveo
from mockveo.errors import RuleError, ScenarioError
from mockveo.rules.client_rules import client_rules, findings, findings_of, judge_traffic
from mockveo.rules.engine import Checks, RuleBook
from mockveo.rules.trace import SILENCE, CallTrace
from mockveo.server.app import ServerThread
from mockveo.simulator.scenarios import built_in, scenario
from mockveo.traffic.exchange import Exchange, ExchangeJson

__all__ = ["http", "stage"]  # fixtures


def fits(data: Any) -> bool:
    try:
        scenario(data)
    except ScenarioError:
        return False
    return True


SCENARIO = ANY_SCENARIO.filter(fits)
TALES = [*test_requests.TALES, *test_sequence.TALES, *test_outcome.TALES]
BROKEN = {"must": "violation", "should": "warning", "info": "info"}
VERDICTS = {"pass", "violation", "warning", "info", "not exercised"}


@pytest.fixture(scope="session")
def polled() -> Iterator[ServerThread]:
    """A server whose time goes on with each poll."""
    with mockveo.serve(clock="poll", seed=3, render=False) as running:
        yield running


@pytest.mark.parametrize("rule", client_rules().rules)
def test_each_rule_is_kept_broken_and_not_exercised_in_some_story(rule: str) -> None:
    told = Counter(one.verdict for one in TALES if one.rule == rule)
    assert told["pass"]
    assert told[BROKEN[client_rules().rules[rule].severity]]
    assert told["not exercised"]


def test_the_catalogue() -> None:
    assert len(client_rules().rules) == 44
    for rule in client_rules().rules.values():
        assert rule.severity in BROKEN
        assert rule.description.endswith(".")
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


def test_a_rule_that_does_not_exist(stage: Stage) -> None:
    with pytest.raises(RuleError, match=r"the rule 'auth' does not exist; .*expected one of auth-bearer, auth-in-url"):
        client_rules().judge(stage.story(), ["auth"])


def test_a_verdict_as_a_finding(stage: Stage) -> None:
    stage.create(seconds="8")
    assert [finding.to_json() for finding in findings(stage.trace)] == [
        {
            "rule": "unknown-parts",
            "severity": "should",
            "verdict": "warning",
            "message": "the field 'seconds' is not in the page; the fields are prompt, model, size, input_reference",
            "source": client_rules().rules["unknown-parts"].source,
            "exchanges": [1],
        }
    ]


def test_one_breach_in_full_among_lenient_ones_counts_in_full(stage: Stage) -> None:
    stage.create(size="16x9", model="None")
    (verdict,) = client_rules().judge(stage.story(), ["omit-unset"])
    assert (verdict.verdict, [one.lenient for one in verdict.breaches]) == ("violation", [True, False])


def follow(
    server: ServerThread, name: str, http: httpx.Client, data: Any, **case: Any
) -> tuple[CallTrace, list[ExchangeJson]]:
    """The reference client's story under a scenario, and its exchanges as JSON."""
    world = server.app.worlds.reset(name, {"clock": "poll", "step": 10.0}, scenario(data))
    images = case.pop("images", [])
    given = {"prompt": PROMPT, "model": None, "size": None, "images": images, **case}
    base = {"id": "1", "base_url": f"{server.url}/@{name}/v1", "api_key": SECRET, "input": given}
    known = {**base, "poll_interval_s": 10.0, "deadline_s": 600.0}
    time = Virtual()
    said = Reference(known, http, time)()
    trace = timed([one.to_json() for one in world.journal], time.sent)
    assert len(trace) == len(time.sent)
    exchanges = [Exchange.from_json(data) for data in trace]
    return CallTrace(exchanges, case=known, outcome=said, features=ALL_FEATURES, defaults=DEFAULTS), trace


INPUTS: list[Mapping[str, Any]] = [
    {},
    {"model": "veo3.1", "size": "9x16"},
    {"images": [{**image(FIRST), "data": FIRST}, {**image(LAST, "last.png"), "data": LAST}]},
]


@pytest.mark.parametrize("more", INPUTS, ids=["text", "set", "images"])
@pytest.mark.parametrize("played", list(built_in()), ids=lambda one: one.name)
def test_a_client_as_it_should_be_breaks_nothing(
    polled: ServerThread, http: httpx.Client, played: Any, more: Mapping[str, Any]
) -> None:
    story, trace = follow(polled, played.name, http, dict(played.data), **more)
    broken = [one for one in client_rules().judge(story) if one.breaches]
    assert not broken, (broken, story.outcome, [one.line for one in story.exchanges])
    assert judge_traffic(trace) == []


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=SCENARIO)
def test_a_client_as_it_should_be_breaks_nothing_whatever_happens(
    polled: ServerThread, http: httpx.Client, data: Any
) -> None:
    story, _ = follow(polled, "whatever", http, data)
    broken = [one for one in client_rules().judge(story) if one.verdict in ("violation", "warning")]
    assert not broken, (broken, story.outcome, [one.line for one in story.exchanges])


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
ODD = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | TEXT, lambda one: st.lists(one) | st.dictionaries(TEXT, one)
)
JOB = st.fixed_dictionaries(
    {},
    optional={
        "id": ODD,
        "status": ODD | st.sampled_from(["completed", "failed"]),
        "error": ODD,
        "data": ODD,
        "model": ODD,
    },
)
FAULT = st.fixed_dictionaries(
    {"json": JOB | ODD},
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
    known=st.tuples(OUTCOME, FEATURES),
    pauses=st.lists(st.floats(-1, 100), max_size=10),
)
def test_the_judge_judges_whatever_comes(
    stage: Stage,
    data: Any,
    requests: list[tuple[str, str, dict[str, str], dict[str, Any]]],
    known: tuple[Any, dict[str, bool]],
    pauses: list[float],
) -> None:
    """It raises nothing, changes nothing, and says the same again, of a trace out of a file too."""
    (said, features), stage = known, Stage(stage.server, stage.name, stage.http)
    stage.world.use(scenario(data))
    job, where = "none", ""
    for method, path, headers, body in requests:
        target = where if method == "follow" and where else f"/v1/videos{path.replace('{job}', job)}"
        answer = stage.send("POST" if method == "follow" else method, target, headers=headers, **body)
        job = stage.told(answer) or job
        location = answer.headers.get("location", "") if answer is not None else ""
        where = location if location.startswith("http") else f"{stage.server.url}{location}" if location else where
    before = timed(stage.trace, pauses)
    kept = copy.deepcopy(before)
    case = stage.story().case

    def verdicts(trace: list[dict[str, Any]]) -> list[Any]:
        story = CallTrace(
            [Exchange.from_json(one) for one in trace], case=case, outcome=said, features=features, defaults=DEFAULTS
        )
        return [
            client_rules().judge(story),
            client_rules().judge(story),
            client_rules().judge(CallTrace(story.exchanges)),
            judge_traffic(trace),
        ]

    found = verdicts(before)
    assert found[0] == found[1]
    assert verdicts(before) == found
    assert before == kept
    assert verdicts(json.loads(json.dumps(before))) == found
    assert {one.verdict for one in found[0]} <= VERDICTS
    assert all(one.rule.wire for one in found[3])
    json.dumps([finding.to_json() for verdict in found[0] for finding in findings_of(verdict)])
    assert SECRET not in str(found)


def test_stories_are_judged_in_threads(stage: Stage) -> None:
    stage.content(stage.finished())
    trace, found = stage.trace, []
    threads = [threading.Thread(target=lambda: found.append(judge_traffic(trace))) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert found == [[]] * 4


def test_the_same_form_after_a_long_silence_is_another_call(stage: Stage) -> None:
    stage.play({"operation": "create", "nth": 1, "status": 504})
    for _ in range(2):
        stage.create()
    trace: list[dict[str, Any]] = [one.to_json() for one in stage.world.journal]
    assert "no-blind-retry" in {verdict.rule.id for verdict in judge_traffic(trace)}
    trace[1]["time"] = trace[0]["time"] + SILENCE + 1
    assert "no-blind-retry" not in {verdict.rule.id for verdict in judge_traffic(trace)}


def test_a_date_of_a_clock_that_stands_still_is_no_time_to_wait_for(stage: Stage) -> None:
    stage.play({"operation": "create", "nth": 1, "status": 429, "retry_after": {"date": 60}})
    for _ in range(2):
        stage.create()
    assert "retry-after" not in {
        verdict.rule.id for verdict in judge_traffic([one.to_json() for one in stage.world.journal])
    }


def test_what_browsers_ask_for_by_themselves_is_nobodys_fault(stage: Stage) -> None:
    stage.send("GET", "/favicon.ico")
    assert judge_traffic([one.to_json() for one in stage.world.journal]) == []
