from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

from hypothesis import given
from hypothesis import strategies as st

from mockveo.http.urlencoded import has_more_bare_than, pairs, values

PIECES = [
    "%",
    "%4",
    "%41",
    "%zz",
    "=",
    "&",
    "+",
    "a",
    "\n",
    "\r\n",
    " ",
    "_",
    "%0A",
    "%ff",
    "%C3%A9",
    "%3D",
    "=\n",
    "\t",
]


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_pairs_are_those_of_the_standard_library(text: str) -> None:
    assert pairs(text.encode()) == parse_qsl(text, keep_blank_values=True)


@given(st.lists(st.tuples(st.text(min_size=1), st.text())))
def test_pairs_read_what_urlencode_writes(written: list[tuple[str, str]]) -> None:
    assert pairs(urlencode(written).encode(), errors="strict") == written


def test_first_value_of_a_name_counts() -> None:
    assert values(b"a=1&b=2&a=3&c") == {"a": "1", "b": "2", "c": ""}


def test_bare_percent_signs_are_counted_up_to_the_limit() -> None:
    assert has_more_bare_than(2, b"%%41%zz%")
    assert not has_more_bare_than(3, b"%%41%zz%")
