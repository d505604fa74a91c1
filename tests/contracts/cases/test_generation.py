from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mockveo_contracts import Case, Outcome
from mockveo_contracts.case import FEATURES
from mockveo_contracts.cases.definitions import canonical, script
from mockveo_contracts.cases.generation import cases, search, smaller
from mockveo_contracts.clients.functions import Functions
from zoo_client import Client

from mockveo.spec.spec import Spec, load

SPEC = load(None)
EVERYTHING = {**FEATURES, "content": True, "deadline": True, "poll_interval": True}


@given(st.data())
@settings(max_examples=300)
def test_whatever_is_drawn_can_be_played(data: st.DataObject) -> None:
    profile = data.draw(st.sampled_from(["docs-2026-03", "docs-2026-10", "gateway"]))
    features = {**EVERYTHING, "images": data.draw(st.integers(0, 2)), "deadline": data.draw(st.booleans())}
    spec = _spec(profile)
    one = script(data.draw(cases(spec, features)), "x")
    assert one.refused_by(spec) == ""
    assert one.missing(features) == []
    assert one.prompt.strip()
    if not features["deadline"]:
        assert one.scenario.ending != "never"
        assert all(fault.nth is None or fault.nth.last is not None for fault in one.scenario.faults)


_SPECS: dict[str, Spec] = {}


def _spec(profile: str) -> Spec:
    if profile not in _SPECS:
        _SPECS[profile] = load(None, profile=profile)
    return _SPECS[profile]


def correct(case: Case) -> Outcome:
    return Client(case)()


correct.features = Client.features  # type: ignore[attr-defined]


def test_the_same_seed_draws_the_same() -> None:
    drawn = []
    for seed in (1, 1, 2):
        names: list[str] = []
        with Functions(correct) as driver:
            search(driver, SPEC, 15, seed, progress=lambda _, name, __, names=names: names.append(name))  # type: ignore[misc]
        drawn.append(names)
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_correct_client_breaks_nothing_and_most_rules_are_exercised() -> None:
    with Functions(correct) as driver:
        found = search(driver, SPEC, 200, 0)
    assert found.found == []
    assert found.played > 150
    exercised = {rule for rule, counts in found.counts.items() if set(counts) - {"not exercised"}}
    assert len(exercised) >= 40, sorted(set(found.counts) - exercised)


def test_what_breaks_a_rule_is_made_small() -> None:
    class Careless(Client):
        """Spoils prompts with a semicolon."""

        def prompt(self) -> str:
            return self.given.prompt.replace(";", ",")

    def client(case: Case) -> Outcome:
        return Careless(case)()

    with Functions(client, features=Client.features) as driver:
        found = search(driver, SPEC, 150, 0)
    ((play, verdict),) = found.found
    assert verdict.rule.id == "prompt-exact", verdict
    assert play.script.data["call"] == {"prompt": ";"}
    assert set(play.script.data["scenario"]) == {"phases"}
    assert play.story.exchanges[0].fields == [{"name": "prompt", "value": ","}]


def test_a_search_costs_no_more_shrinking_than_it_may() -> None:
    def client(_: Case) -> Outcome:
        return Outcome("completed")

    played = Counter[str]()

    class Counting(Functions):
        def play(self, scripts: Any) -> Any:
            scripts = list(scripts)
            played.update(one.name for one in scripts)
            return super().play(scripts)

    with Counting(client) as driver:
        found = search(driver, SPEC, 30, 0, shrinks=10)
    rules = {verdict.rule.id for _, verdict in found.found}
    assert rules == {"did-create", "no-false-success"}
    assert max(played.values()) == 1
    assert len(played) <= 30 + 10 * len(rules)


def test_rules_that_are_known_to_be_broken_are_not_looked_into() -> None:
    with Functions(lambda _: Outcome("completed")) as driver:
        found = search(driver, SPEC, 10, 0, known={"did-create", "no-false-success"})
    assert found.found == []
    assert found.counts["did-create"]["violation"] == found.played


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["prompt", "a"]), inner, max_size=2),
    max_leaves=12,
)  # fmt: skip


@given(JSON)
def test_smaller_is_smaller(data: Any) -> None:
    for one in smaller(data):
        assert len(canonical({"x": one})) < len(canonical({"x": data}))


def test_smaller_keeps_what_tells_when() -> None:
    fault = {"operation": "create", "nth": [1, 4], "status": 503, "retry_after": 1}
    found = [json.dumps(one) for one in smaller({"faults": [fault]})]
    assert json.dumps({"faults": []}) in found
    assert json.dumps({"faults": [{**fault, "nth": 1}]}) in found
    assert not any("operation" not in one for one in found if "status" in one)


@pytest.mark.parametrize("features", [{"images": 0, "model": False, "size": False}, {"images": 2}])
def test_only_what_a_client_can_is_asked_for(features: dict[str, Any]) -> None:
    asked: list[Case] = []

    def client(case: Case) -> Outcome:
        asked.append(case)
        return Client(case)()

    with Functions(client, features=features) as driver:
        search(driver, SPEC, 40, 0)
    assert any(case.input.images for case in asked) == (features["images"] > 0)
    assert any(case.input.model for case in asked) == features.get("model", True)
