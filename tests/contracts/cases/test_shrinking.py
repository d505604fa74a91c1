from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mockveo_contracts.case import FEATURES
from mockveo_contracts.cases.definitions import canonical, fit_deadline
from mockveo_contracts.cases.generation import cases
from mockveo_contracts.cases.shrinking import candidates, size, smaller

from mockveo.spec.spec import load

CASES = cases(load(None), {**FEATURES, "content": True, "deadline": True, "poll_interval": True})
ENDLESS = [{"faults": [{"operation": "retrieve", "nth": [1, None], "html": True}]}, {"ending": "never"}]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["prompt", "a"]), inner, max_size=2),
    max_leaves=12,
)  # fmt: skip


@given(JSON)
def test_smaller_data_has_fewer_characters(data: Any) -> None:
    for candidate in smaller(data):
        assert len(canonical({"x": candidate})) < len(canonical({"x": data}))


def test_smaller_keeps_the_keys_that_say_when_a_fault_applies() -> None:
    fault = {"operation": "create", "nth": [1, 4], "status": 503, "retry_after": 1}
    texts = [json.dumps(data) for data in smaller({"faults": [fault]})]
    assert json.dumps({"faults": []}) in texts
    assert json.dumps({"faults": [{**fault, "nth": 1}]}) in texts
    assert not any("operation" not in text for text in texts if "status" in text)


@given(CASES)
@settings(max_examples=200, deadline=None)
def test_every_candidate_of_a_case_is_smaller_and_fits_its_deadline(case: dict[str, Any]) -> None:
    for candidate in candidates(case):
        assert size(candidate) < size(case)
        assert candidate == fit_deadline(candidate)


@given(CASES)
@settings(max_examples=50, deadline=None)
def test_taking_the_first_candidate_again_and_again_ends(case: dict[str, Any]) -> None:
    for _ in range(size(case)):
        following = next(candidates(case), None)
        if following is None:
            return
        case = following
    pytest.fail("a step was no progress")


@pytest.mark.parametrize("scenario", ENDLESS)
def test_endless_case_is_no_candidate_of_itself(scenario: dict[str, Any]) -> None:
    """Leaving the call out is undone by the deadline that the case needs."""
    case = {"call": {"deadline_s": 1.5}, "scenario": scenario}
    assert {"scenario": scenario} in list(smaller(case))
    assert case not in list(candidates(case))
