"""What commands print: nothing of others acts on a terminal, and no line of theirs looks like another of ours."""

from __future__ import annotations

import pytest

from mockveo.console.output import print_table, print_wrapped, say

EVIL = "a\x1b]0;pwned\x07b\u202ec"


def test_say_makes_what_acts_on_a_terminal_visible(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"{EVIL}\nd")
    say(f"{EVIL}\nd", single_line=True, err=True)
    out, err = capsys.readouterr()
    assert out == "a\\x1b]0;pwned\\x07b\\u202ec\nd\n"
    assert err == "a\\x1b]0;pwned\\x07b\\u202ec\\x0ad\n"


def test_say_cuts_a_text_without_end(capsys: pytest.CaptureFixture[str]) -> None:
    say("x" * 10_000_000)
    assert len(capsys.readouterr().out) < 200_000


def test_table_keeps_a_row_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([[EVIL, "x\ny"]], ("JOB", "PROMPT"))
    print_wrapped(EVIL)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert not any(character in "".join(lines) for character in "\x1b\x07\u202e")
