from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockveo.spec.errors import ErrorBody

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["error", "code", "message", "type"]), inner),
)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"error": {"code": "c", "message": "m", "type": "t"}}, ErrorBody("c", "m", "t", "nested")),
        ({"error": {"code": None, "message": "m"}}, ErrorBody("", "m", "", "nested")),
        ({"code": "c", "message": "m", "data": None}, ErrorBody("c", "m", "", "flat")),
        ({"code": "c", "message": "m"}, ErrorBody("c", "m", "", "flat")),
        ({"code": 404, "error": "a text"}, ErrorBody("404", "a text", "", "flat")),
        ("<html>", ErrorBody("", "", "", "none")),
        (None, ErrorBody()),
    ],
)
def test_parse_reads_both_envelopes(body: Any, expected: ErrorBody) -> None:
    assert ErrorBody.parse(body) == expected


@given(JSON)
def test_parse_any_json_gives_text(body: Any) -> None:
    assert all(isinstance(part, str) for part in ErrorBody.parse(body))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"code": "c"}, True),
        ({"error": {"message": "m", "code": None}}, True),
        ({"error": "m"}, True),
        ({"code": "success", "message": "ok", "data": {}}, False),
        ({"id": "task_1"}, False),
        (None, False),
    ],
)
def test_present_outer_envelope_of_success_is_no_error(body: Any, *, expected: bool) -> None:
    assert ErrorBody.parse(body).present is expected
