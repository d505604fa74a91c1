"""Data that Hypothesis draws in several tests."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

CONDITIONS: dict[str, st.SearchStrategy[Any]] = {
    "operation": st.sampled_from(["create", "retrieve", "content", "any"]),
    "nth": st.integers(1, 4) | st.tuples(st.integers(1, 3), st.integers(3, 9)).map(list),
    "attempt": st.integers(1, 2),
    "probability": st.floats(0, 1),
}
EFFECT = st.sampled_from(
    [
        {"status": 503},
        {"error": "rate_limited", "retry_after": {"date": 3}},
        {"reset": True},
        {"close": True},
        {"truncate": 20},
        {"malformed": True},
        {"redirect": {"status": 307, "origin": "other"}},
    ]
)
FAULT = st.builds(
    lambda conditions, effect: {**conditions, **effect}, st.fixed_dictionaries({}, optional=CONDITIONS), EFFECT
)
ANY_SCENARIO = st.fixed_dictionaries(
    {"faults": st.lists(FAULT, max_size=3)},
    optional={
        "ending": st.sampled_from(["success", "failure", "never"]),
        "phases": st.lists(st.fixed_dictionaries({"duration": st.integers(0, 60)}), max_size=3),
        "video_url": st.booleans(),
        "completed_at": st.sampled_from(["at-end", "early", "never"]),
        "style": st.fixed_dictionaries({}, optional={"model": st.just("flip"), "order": st.just("reversed")}),
    },
)
