"""Generated cases: hypothesis draws calls and scenarios; what breaks a rule is made smaller while it does.

Whatever is drawn is a script like any other, so a failure can be written down, played again and served by hand. Boring
values come first everywhere, so that what is left of a shrunk one is what matters.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, TypeAlias

from hypothesis import HealthCheck, Phase, Verbosity, find, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from mockveo.errors import MockveoError
from mockveo.rules.engine import Verdict
from mockveo.spec.spec import Spec
from mockveo_contracts.cases.definitions import GENERATED, canonical, script
from mockveo_contracts.clients.driver import Driver, DriverError
from mockveo_contracts.clients.testbed import CaseRun
from mockveo_contracts.reports.model import FINDINGS, TOLD

Json: TypeAlias = Any
Drawn: TypeAlias = st.SearchStrategy[Json]

#: Plays that the shrinking of one rule's failure may cost.
SHRINKS: Final = 60
#: Keys without which a case is no smaller: it would say less of when something happens, or last longer.
_TELLING: Final = frozenset(
    {"operation", "nth", "deadline_s", "filename", "duration", "code", "message", "text", "times"}
)
#: Letters of a text up to which each of them is tried without.
MOST_LETTERS: Final = 30
#: Seconds until a client is to give up where nothing ever comes to an end.
BRIEF_DEADLINE: Final = 1.5

_TEXTS: Final = (
    *("A kite.\nA field below.", "A kite.\r\nA field.", "  A kite.  ", """"A" kite's "line".""", "a;b; filename=c"),
    *("@kite.png", "<kite", "a=b&c=%20+d", "100 % {0} ${x} %s", "C:\\new\\table", "<b>&amp;</b>", '{"a": "b"}'),
    *("🪁 👩\u200d🚀", "凧 Drachen e\u0301", "null", "\ta\t"),
)
_FOR_GOOD: Final = ("model_not_found", "insufficient_quota", "task_not_exist")
_NAMES: Final = ("first.png", "last.png", "a.jpg", "Käfer 凧.png", 'a "b"; c.png')
_REASONS: Final = ({"code": "generation_failed", "message": "It failed (reason 17)."}, None)


def calls(spec: Spec, features: Mapping[str, Any]) -> Drawn:
    """What a client with these features can be asked to send."""
    # Several at once, since each is a chance that something is spoilt; what matters is left when it is made smaller.
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


def scenarios(spec: Spec, features: Mapping[str, Any]) -> Drawn:
    """Scenarios of jobs that unfold in some way, answers that look some way, and faults."""
    durations = st.sampled_from([10, 2, 40, 100])
    progress = st.sampled_from([0, 50, 99, 100, {"from": 0, "to": 99}])
    statuses = st.sampled_from(["unknown", "submitted", "processing"])
    phase = st.fixed_dictionaries({"duration": durations}, optional={"progress": progress, "status": statuses})
    looks = {
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
        "style": (3, _some({name: (3, look) for name, look in looks.items()})),
        "completed_at": (1, st.sampled_from(["at-end", "early"])),
    }
    if features["content"]:
        optional["video_url"] = (2, st.sampled_from([True, {"expires": 0}]))
    return st.builds(_with_reason, _some(optional), st.sampled_from(_REASONS))


def faults(spec: Spec, features: Mapping[str, Any]) -> Drawn:
    """One fault: on which operation, when, and what it does."""
    operations = st.sampled_from(["create", "retrieve", *(["content"] if features["content"] else [])])
    ever = [{"nth": [1, None]}, {"nth": [2, None]}] if features["deadline"] else []
    when = st.sampled_from([{"nth": 1}, {"nth": 2}, {"nth": [1, 2]}, {"nth": [1, 4]}, *ever])
    passing = st.sampled_from(
        [
            *({"status": 503}, {"status": 429}, {"status": 500}, {"status": 504}),
            *({"status": 502, "html": True}, {"status": 524, "text": "error code: 524"}),
        ]
    )
    waits = st.sampled_from([{}, {}, {"retry_after": 1}, {"retry_after": {"date": 3}}])
    for_good = st.one_of(
        st.sampled_from([{"status": 400}, {"status": 401}, {"status": 403}, {"status": 404}]),
        st.builds(
            lambda envelope, status: {"status": status, "envelope": envelope, "code": "refused", "message": "No (17)."},
            st.sampled_from(["flat", "nested"]),
            st.sampled_from([400, 403]),
        ),
        st.sampled_from([{"error": name} for name in spec.error_names if name in _FOR_GOOD]),
    )
    broken = st.sampled_from([{"reset": True}, {"close": True}, {"truncate": 30}, {"truncate": 60, "reset": True}])
    odd = st.sampled_from([{"html": True}, {"malformed": True}, {"empty": True}])
    redirects = st.builds(
        lambda status, origin: {"redirect": {"status": status, **origin}},
        st.sampled_from([307, 302, 303, 308, 307]),
        st.sampled_from([{}, {"origin": "other"}]),
    )
    told = st.builds(lambda one, two: {**one, **two}, passing, waits)
    what = st.sampled_from([told, for_good, broken, odd, redirects, told, redirects, broken]).flatmap(lambda kind: kind)
    return st.builds(_fault, operations, when, what)


def cases(spec: Spec, features: Mapping[str, Any]) -> Drawn:
    """Cases that a client with these features can be asked to play, as data."""
    return st.builds(_case, calls(spec, features), scenarios(spec, features))


def _some(optional: Mapping[str, tuple[int, Drawn]]) -> Drawn:
    """Mappings with some of these keys, each as often in ten as is said."""

    def chosen(dice: Mapping[str, int]) -> Drawn:
        kept = {name: one for name, (often, one) in optional.items() if dice[name] >= 10 - often}
        return st.fixed_dictionaries(kept)

    return st.fixed_dictionaries({name: st.sampled_from(range(10)) for name in optional}).flatmap(chosen)


def _sendable(text: str) -> bool:
    return bool(text.strip()) and "[mockveo" not in text.lower()


def _with_reason(data: dict[str, Json], reason: Json) -> dict[str, Json]:
    return {**data, "error": reason} if reason and data.get("ending") == "failure" else data


def _fault(operation: str, when: dict[str, Json], what: dict[str, Json]) -> dict[str, Json]:
    fault = {"operation": operation, **when, **what}
    # A create that may have been applied has been, in the worst case.
    ambiguous = what.get("status", 0) in (500, 502, 504, 524) or what.get("reset") or what.get("close")
    lost = ambiguous or what.get("html") or what.get("empty")
    return {**fault, "applied": True} if operation == "create" and lost and "truncate" not in what else fault


def _case(call: dict[str, Json], scenario: dict[str, Json]) -> dict[str, Json]:
    return _in_time({"call": call, "scenario": scenario})


def _in_time(data: dict[str, Json]) -> dict[str, Json]:
    """A case whose client is to give up soon where nothing ever comes to an end, and as usual where it does."""
    scenario = data.get("scenario", {})
    endless = any(isinstance(one["nth"], list) and one["nth"][1] is None for one in scenario.get("faults", ()))
    call = {name: value for name, value in data.get("call", {}).items() if name != "deadline_s"}
    if endless or scenario.get("ending") == "never":
        call["deadline_s"] = BRIEF_DEADLINE
    return {**({"call": call} if call else {}), **({"scenario": scenario} if scenario else {})}


@dataclass
class Search:
    """What a search found."""

    #: Generated cases that were played.
    played: int = 0
    #: Verdicts, by rule.
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    #: For each rule that was broken, the smallest play that breaks it, with that verdict.
    found: list[tuple[CaseRun, Verdict]] = field(default_factory=list)
    #: A play that an adapter error spoilt.
    adapter_error: CaseRun | None = None
    #: Why it ended before its time, if it did.
    error: DriverError | None = None


def search(
    driver: Driver,
    spec: Spec,
    count: int,
    seed: int,
    *,
    known: AbstractSet[str] = frozenset(),
    shrinks: int = SHRINKS,
    progress: Callable[[int, str, int], None] = lambda *_: None,
) -> Search:
    """Plays `count` generated cases; of the rules they break, other than those `known`, the smallest cases.

    Where the client cannot be driven any more, what was found until then.
    """
    players = _Players(driver, progress)
    _draw(cases(spec, driver.client.features), lambda data: players.count < count and players.play(data), count, seed)
    result = Search(players.count, players.counts, adapter_error=players.spoilt)
    players.quiet = True
    for rule in players.first:
        if rule not in known:
            result.found.append(_smallest(players, rule, shrinks))
    result.error = players.error
    return result


def _draw(drawn: Drawn, play: Callable[[Json], object], count: int, seed: int) -> None:
    """Plays what is drawn; the same seed draws the same."""
    limits = settings(
        # Each time the simplest, which is played once, and one other: within a run hypothesis makes most of its
        # examples of parts of those before, and 200 of them are no more than some fifty cases that differ.
        max_examples=2, phases=[Phase.generate], database=None, deadline=None, verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    for number in range(count):
        with suppress(NoSuchExample):
            # What a failure is is not told: hypothesis would stop at the first, and shrink by thousands of plays.
            find(drawn, lambda data: bool(play(data)) and False, settings=limits, random=Random(f"{seed} {number}"))


def _smallest(players: _Players, rule: str, shrinks: int) -> tuple[CaseRun, Verdict]:
    """The smallest play that breaks a rule, as far as so many plays lead."""
    smallest, limit = players.first[rule], players.count + shrinks
    while True:
        for candidate in map(_in_time, smaller(smallest)):
            if players.count >= limit and not players.has(candidate):
                continue
            if rule in players.play(candidate):
                smallest = candidate
                break
        else:
            return players.told(smallest, rule)


def smaller(data: Json, key: str = "") -> Iterator[Json]:
    """Data with something left out, or something in it made smaller; the largest steps first."""
    if isinstance(data, dict):
        yield from ({one: data[one] for one in data if one != name} for name in data if name not in _TELLING)
        yield from ({**data, name: value} for name in data for value in smaller(data[name], name))
    elif isinstance(data, list) and key == "nth":
        yield data[0]
    elif isinstance(data, list):
        yield from ([*data[:place], *data[place + 1 :]] for place in range(len(data)))
        changed = ((place, value) for place, item in enumerate(data) for value in smaller(item))
        yield from ([*data[:place], value, *data[place + 1 :]] for place, value in changed)
    elif isinstance(data, str) and key in ("prompt", "text") and len(data) > 1:
        half = len(data) // 2
        yield from (data[:half], data[half:])
        if len(data) < MOST_LETTERS:
            yield from (data[:place] + data[place + 1 :] for place in range(len(data)))


class _Players:
    """Plays data, and remembers what came of it."""

    def __init__(self, driver: Driver, progress: Callable[[int, str, int], None]) -> None:
        self._driver = driver
        self._progress = progress
        self._plays: dict[str, tuple[CaseRun, dict[str, Verdict]]] = {}
        self.quiet = False
        self.count = 0
        self.counts: dict[str, Counter[str]] = {}
        #: What broke a rule first.
        self.first: dict[str, Json] = {}
        self.spoilt: CaseRun | None = None
        self.error: DriverError | None = None

    def has(self, data: Json) -> bool:
        return canonical(data) in self._plays

    def told(self, data: Json, rule: str) -> tuple[CaseRun, Verdict]:
        play, broken = self._plays[canonical(data)]
        return play, broken[rule]

    def play(self, data: Json) -> Mapping[str, Verdict]:
        """The verdicts of the rules that are broken."""
        text = canonical(data)
        if text in self._plays:
            return self._plays[text][1]
        if self.error is not None:
            return {}
        try:
            one = script(data, f"{GENERATED}{hashlib.sha256(text.encode()).hexdigest()[:8]}").fitted(self._driver.spec)
        except MockveoError:
            return {}
        try:
            (play,) = self._driver.play([one])
        except DriverError as error:
            # Not raised from here, where hypothesis would try the same again.
            self.error = error
            return {}
        verdicts = play.verdicts()
        broken = {verdict.rule.id: verdict for verdict in verdicts if verdict.verdict in FINDINGS}
        self._plays[text] = play, broken
        self.count += 1
        if play.adapter_error and self.spoilt is None:
            self.spoilt = play
        if not self.quiet:
            for verdict in verdicts:
                self.counts.setdefault(verdict.rule.id, Counter())[verdict.verdict] += 1
            new = [rule for rule in broken if rule not in self.first]
            self.first |= dict.fromkeys(new, data)
            self._progress(self.count, play.script.name, sum(broken[rule].verdict in TOLD for rule in new))
        return broken
