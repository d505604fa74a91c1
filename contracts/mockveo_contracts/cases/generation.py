"""Generated cases: strategies of hypothesis that draw a call and the scenario that it meets.

What is drawn is plain data, as the cases of the catalogue are. Ordinary values come first everywhere, since hypothesis
prefers them, so that the odd values in a case are few.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from random import Random
from typing import Any, Final, TypeAlias

from hypothesis import HealthCheck, Phase, Verbosity, find, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from mockveo.http.statuses import AMBIGUOUS
from mockveo.spec.spec import Spec
from mockveo_contracts.cases.definitions import fit_deadline

Json: TypeAlias = Any
Strategy: TypeAlias = st.SearchStrategy[Json]

_TEXTS: Final = (
    *("A kite.\n\tA\u00a0field.", "A kite.\r\nA field.", "  A kite.  ", """"A" kite's "line".""", "a;b; filename=c"),
    *("@kite.png", "<kite", "a=b&c=%20+d", "100 % {0} ${x} %s $HOME", "C:\\new\\table", "<b>&amp;</b>", '{"a": "b"}'),
    *("🪁 👩\u200d🚀", "凧 Drachen e\u0301", "null", "\ta\t"),
)
_PERMANENT_ERRORS: Final = ("model_not_found", "insufficient_quota", "task_not_exist")
_NAMES: Final = ("first.png", "last.png", "a.JPG", "Käfer 凧.png", 'a "b"; c.png')
_IDS: Final = ("00{digits}", "{uuid}", "job:{letters}_1_a+a=b,c.", "job:{letters}%2Ba#b")
_REASONS: Final = ({"code": "generation_failed", "message": "It failed (reason 17)."}, None)


def calls(spec: Spec, features: Mapping[str, Any]) -> Strategy:
    """Draw calls that a client with these features can be asked to make."""
    # Several texts in one prompt: each may be spoilt, and shrinking leaves the one that matters.
    snippets = st.lists(st.sampled_from(_TEXTS), min_size=1, max_size=4).map(" ".join)
    letters = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40).filter(_sendable)
    long = st.builds(lambda text: {"text": text, "times": 3000}, st.sampled_from(["kite ", "é"]))
    optional = {"prompt": (6, st.one_of(snippets, st.sampled_from(_TEXTS), letters, long))}
    form = spec.form.fields
    if features["images"]:
        sizes = st.sampled_from([5000, 4200, 1, 90_000, 2_000_000])
        image = st.fixed_dictionaries({"filename": st.sampled_from(_NAMES)}, optional={"bytes": sizes})
        most = min(features["images"], form.get("input_reference", {}).get("maxItems", 2))
        optional["images"] = (5, st.lists(image, min_size=1, max_size=most))
    if features["model"]:
        optional["model"] = (4, st.sampled_from(list(spec.aliases or ["veo3-fast"])))
    if features["size"]:
        optional["size"] = (4, st.sampled_from(form.get("size", {}).get("examples", ["16x9"])))
    return _some(optional)


def scenarios(spec: Spec, features: Mapping[str, Any]) -> Strategy:
    """Draw scenarios: how a job goes on, how the answers are styled, and faults."""
    durations = st.sampled_from([10, 2, 40, 100])
    progress = st.sampled_from([0, 50, 99, 100, {"from": 0, "to": 99}])
    statuses = st.sampled_from(["unknown", "submitted", "processing"])
    phase = st.fixed_dictionaries({"duration": durations}, optional={"progress": progress, "status": statuses})
    styles = {
        "extra": st.sampled_from([{"trace_id": "abc"}, {"error": None}, {"seconds": ""}, {"data": None}]),
        "omit": st.sampled_from([["progress"], ["created_at"], ["progress", "created_at"]]),
        "order": st.sampled_from(["sorted", "reversed"]),
        "content_type": st.just("application/json; charset=utf-8"),
        "model": st.sampled_from(["echoed", "flip"]),
        "progress": st.just("text"),
        "statuses": st.just({"failed": "error"}),
    }
    optional = {
        "faults": (7, st.lists(faults(spec, features), min_size=1, max_size=3)),
        "ending": (3, st.sampled_from(["failure", "failure", "never"] if features["deadline"] else ["failure"])),
        "phases": (3, st.lists(phase, max_size=3)),
        "style": (3, _some({name: (3, style) for name, style in styles.items()})),
        "ids": (1, st.sampled_from(_IDS)),
        "completed_at": (1, st.sampled_from(["at-end", "early"])),
    }
    if features["content"]:
        optional["video_url"] = (2, st.sampled_from([True, {"expires": 0}]))
    return st.builds(_with_reason, _some(optional), st.sampled_from(_REASONS))


def faults(spec: Spec, features: Mapping[str, Any]) -> Strategy:
    """Draw faults: on which operation, when, and what each does."""
    operations = st.sampled_from(["create", "retrieve", *(["content"] if features["content"] else [])])
    endless = [{"nth": [1, None]}, {"nth": [2, None]}] if features["deadline"] else []
    when = st.sampled_from([{"nth": 1}, {"nth": 2}, {"nth": [1, 2]}, {"nth": [1, 4]}, *endless])
    passing_errors = st.sampled_from(
        [
            *({"status": 503}, {"status": 429}, {"status": 500}, {"status": 504}),
            *({"status": 502, "html": True}, {"status": 524, "text": "error code: 524"}),
        ]
    )
    waits = st.sampled_from([{}, {}, {"retry_after": 1}, {"retry_after": {"date": 3}}])
    permanent_errors = st.one_of(
        st.sampled_from([{"status": 400}, {"status": 401}, {"status": 403}, {"status": 404}, {"status": 410}]),
        st.builds(
            lambda envelope, status: {"status": status, "envelope": envelope, "code": "refused", "message": "No (17)."},
            st.sampled_from(["flat", "nested"]),
            st.sampled_from([400, 403]),
        ),
        st.sampled_from([{"error": name} for name in spec.error_names if name in _PERMANENT_ERRORS]),
    )
    broken_connections = st.sampled_from(
        [{"reset": True}, {"close": True}, {"truncate": 30}, {"truncate": 60, "reset": True}]
    )
    labelled = {"html": True, "content_type": "video/mp4"}
    invalid_bodies = st.sampled_from([{"html": True}, {"malformed": True}, {"empty": True}, labelled])
    redirects = st.builds(
        lambda status, origin: {"redirect": {"status": status, **origin}},
        st.sampled_from([307, 302, 303, 308, 307]),
        st.sampled_from([{}, {"origin": "other"}, {"endless": True}]),
    )
    retryable = st.builds(lambda error, wait: {**error, **wait}, passing_errors, waits)
    # Those that clients handle wrongly most often are drawn twice as often.
    often = [retryable, redirects, broken_connections]
    kinds = [retryable, permanent_errors, broken_connections, invalid_bodies, redirects, *often]
    effect = st.sampled_from(kinds).flatmap(lambda kind: kind)
    return st.builds(_fault, operations, when, effect)


def cases(spec: Spec, features: Mapping[str, Any]) -> Strategy:
    """Draw cases, as data, that a client with these features can play."""
    drawn = st.builds(_case, calls(spec, features), scenarios(spec, features))
    # What other clients meet does not depend on it.
    return st.builds(_with_restarts, drawn, restarts(features)) if features["resume"] else drawn


def restarts(features: Mapping[str, Any]) -> Strategy:
    """Draw why the call of a client with `resume` comes more than once, as keys of a case and a fault; or that not."""
    polls = st.builds(
        lambda nth: {"operation": "retrieve", "nth": nth, "kill": "before"}, st.sampled_from([1, 2, 3, [1, 2]])
    )
    creates = st.builds(
        lambda applied: {"operation": "create", "nth": 1, "kill": "before", "applied": applied},
        st.sampled_from([True, False]),
    )
    downloads = st.builds(
        lambda kill: {"operation": "content", "nth": 1, "kill": kill}, st.sampled_from(["during", "before"])
    )
    faults = st.one_of(polls, polls, creates, *([downloads] if features["content"] else []))
    while_down = _some(
        {
            "down_s": (3, st.sampled_from([0.3, 1.0])),
            "state": (2, st.just("damaged")),
            "images": (3, st.just("gone")),
            "meanwhile": (2, st.just("same-call")),
        }
    )
    kills = st.builds(lambda fault, keys: {**keys, "fault": fault}, faults, while_down)
    words = ["completed", *(["timeout"] if features["deadline"] else [])]
    again = st.builds(lambda word: {"again_after": word}, st.sampled_from(words))
    return st.one_of(st.just({}), kills, kills, again)


def _some(optional: Mapping[str, tuple[int, Strategy]]) -> Strategy:
    """Draw mappings with some of these keys, each in so many of ten."""

    def chosen(dice: Mapping[str, int]) -> Strategy:
        kept = {name: strategy for name, (of_ten, strategy) in optional.items() if dice[name] >= 10 - of_ten}
        return st.fixed_dictionaries(kept)

    return st.fixed_dictionaries({name: st.sampled_from(range(10)) for name in optional}).flatmap(chosen)


def _sendable(text: str) -> bool:
    return bool(text.strip()) and "[mockveo" not in text.lower()


def _with_reason(data: dict[str, Json], reason: Json) -> dict[str, Json]:
    return {**data, "error": reason} if reason and data.get("ending") == "failure" else data


def _fault(operation: str, when: dict[str, Json], effect: dict[str, Json]) -> dict[str, Json]:
    fault = {"operation": operation, **when, **effect}
    # The worst case: a create whose answer is lost was applied.
    ambiguous = effect.get("status", 0) in AMBIGUOUS or effect.get("reset") or effect.get("close")
    lost = ambiguous or effect.get("html") or effect.get("empty")
    return {**fault, "applied": True} if operation == "create" and lost and "truncate" not in effect else fault


def _case(call: dict[str, Json], scenario: dict[str, Json]) -> dict[str, Json]:
    return fit_deadline({"call": call, "scenario": scenario})


def _with_restarts(case: dict[str, Json], restarts: dict[str, Json]) -> dict[str, Json]:
    keys = {name: value for name, value in restarts.items() if name != "fault"}
    scenario = dict(case.get("scenario", {}))
    if "fault" in restarts:
        # First, so that it is the kill that a request meets which others apply to too.
        scenario["faults"] = [restarts["fault"], *scenario.get("faults", ())]
    if keys.get("again_after") == "timeout":
        # Otherwise the job would end before the deadline.
        scenario["ending"] = "never"
        scenario.pop("error", None)
    return fit_deadline({**case, "scenario": scenario, **keys})


def draw(spec: Spec, features: Mapping[str, Any], count: int, seed: int) -> Iterator[dict[str, Json]]:
    """Yield cases for a client with these features, some of them twice; the same seed draws the same."""
    limits = settings(
        # Two examples: the simplest, which is the same each time, and one other. Within one run hypothesis makes most
        # of its examples from parts of earlier ones, and only about fifty of 200 would differ.
        max_examples=2, phases=[Phase.generate], database=None, deadline=None, verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    strategy = cases(spec, features)
    for number in range(count):
        yield from _examples(strategy, limits, Random(f"{seed} {number}"))


def _examples(strategy: Strategy, limits: settings, random: Random) -> list[dict[str, Json]]:
    drawn: list[dict[str, Json]] = []

    def keep(data: dict[str, Json]) -> bool:
        drawn.append(data)
        return False  # not the example to find, so that hypothesis goes on

    with suppress(NoSuchExample):
        find(strategy, keep, settings=limits, random=random)
    return drawn
