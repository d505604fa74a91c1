from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockveo.text import counted, ending, printable, truncate


@pytest.mark.parametrize(("text", "expected"), [("", ""), ("abc", "abc"), ("abcd", "abc...")])
def test_truncate_marks_a_cut(text: str, expected: str) -> None:
    assert truncate(text, 3) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("a\nb", "a\nb"), ("first\nsecond", "second"), ("a\nb\nc\nd", "c\nd"), ("x" * 20, "x" * 9)]
)
def test_ending_begins_with_a_whole_line(text: str, expected: str) -> None:
    assert ending(text, 9 if len(text) > 7 else 5) == expected


def test_noun_follows_its_number() -> None:
    assert [counted(number, "case") for number in (0, 1, 2)] == ["0 cases", "1 case", "2 cases"]


@pytest.mark.parametrize(
    ("text", "expected", "single_line"),
    [
        ("a kite \U0001faa1", "a kite \U0001faa1", "a kite \U0001faa1"),
        ("\x1b[31mred\r\n", "\\x1b[31mred\\x0d\n", "\\x1b[31mred\\x0d\\x0a"),
        ("\u202eturned", "\\u202eturned", "\\u202eturned"),
        ("\U000e0041", "\\U000e0041", "\\U000e0041"),
        ("\U0001f469\u200d\U0001f692", "\U0001f469\u200d\U0001f692", "\U0001f469\u200d\U0001f692"),
    ],
)
def test_printable_escapes_what_acts_on_a_terminal(text: str, expected: str, single_line: str) -> None:
    assert printable(text) == expected
    assert printable(text, single_line=True) == single_line


@given(st.text())
def test_printable_single_line_is_one_line(text: str) -> None:
    assert len(printable(text, single_line=True).splitlines()) <= 1
