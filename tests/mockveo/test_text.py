from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockveo.errors import nearest_word
from mockveo.text import brief, counted, ending, is_unicode, printable, truncate


@pytest.mark.parametrize(("text", "expected"), [("", ""), ("abc", "abc"), ("abcd", "abc...")])
def test_truncate_marks_a_cut(text: str, expected: str) -> None:
    assert truncate(text, 3) == expected


def test_brief_cuts_before_it_escapes() -> None:
    assert brief("kite's\n") == '"kite\'s\\n"'
    assert brief("\n" * 1000) == repr("\n" * 80 + "...")


@pytest.mark.parametrize(("word", "expected"), [("fales", "fails"), ("x" * 30, ""), ("fails" * 10_000_000, "")])
def test_nearest_word_is_found_among_short_words_only(word: str, expected: str) -> None:
    assert nearest_word(word, ["normal", "x" * 200, "fails"]) == expected


def test_nearest_word_looks_at_the_first_thousand() -> None:
    looked_at: list[int] = []

    def words() -> Iterator[str]:
        for number in range(2000):
            looked_at.append(number)
            yield f"word{number}"

    assert nearest_word("word5", words()) == "word5"
    assert len(looked_at) == 1000


def test_lone_surrogates_are_no_unicode() -> None:
    assert is_unicode("a kite \U0001faa1")
    assert not is_unicode("a\udcff")


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
