from __future__ import annotations

from itertools import islice

from hypothesis import given, settings
from hypothesis import strategies as st
from mockveo_contracts.case import FEATURES
from mockveo_contracts.cases.definitions import parse_case
from mockveo_contracts.cases.generation import cases, draw

from mockveo.spec.spec import Spec, load

SPEC = load(None)
EVERYTHING = {**FEATURES, "content": True, "deadline": True, "poll_interval": True}


@given(st.data())
@settings(max_examples=300)
def test_every_drawn_case_can_be_played(data: st.DataObject) -> None:
    profile = data.draw(st.sampled_from(["docs-2026-03", "docs-2026-10", "gateway"]))
    features = {**EVERYTHING, "images": data.draw(st.integers(0, 2)), "deadline": data.draw(st.booleans())}
    spec = _spec(profile)
    case = parse_case(data.draw(cases(spec, features)), "x")
    assert case.refused_by(spec) == ""
    assert case.missing(features) == []
    assert case.prompt.strip()
    if not features["deadline"]:
        assert case.scenario.ending != "never"
        assert all(fault.nth is None or fault.nth.last is not None for fault in case.scenario.faults)


_SPECS: dict[str, Spec] = {}


def _spec(profile: str) -> Spec:
    if profile not in _SPECS:
        _SPECS[profile] = load(None, profile=profile)
    return _SPECS[profile]


def test_draw_with_equal_seeds_yields_equal_cases() -> None:
    first, again, other = (list(draw(SPEC, EVERYTHING, 15, seed)) for seed in (1, 1, 2))
    assert first == again != other


def test_draw_is_lazy() -> None:
    assert len(list(islice(draw(SPEC, EVERYTHING, 10**9, 0), 3))) == 3
