"""What a person reads at the end of a check, and while it goes on."""

from __future__ import annotations

import copy
import io
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mockveo_contracts.reports.terminal import Progress, fitting, render, show
from mockveo_contracts.reports.wording import brief
from sample_reports import careful, careless, plain, report_of

from mockveo.text import printable

SWAPPED = """\
VIOLATION  refs-order (MUST)
  Two images arrive in the order in which the caller gave them: first frame, last frame.
  seen      the images arrived in the order 2, 1; expected 1, 2
  source    The API's create page; RFC 7578 section 5.2 (the order of parts is kept).
  case      image/two · Two images.
  call      images: [a.png, b.png]
  exchanges ▶   1    0.000 s  POST /v1/videos with 2 files → 200 queued 0 % task_ID…ID
                2    0.051 s  GET /v1/videos/task_ID…ID → 200 queued 0 %
                3    0.102 s  GET /v1/videos/task_ID…ID → 200 in_progress 18 %
                4    0.153 s  GET /v1/videos/task_ID…ID → 200 in_progress 60 %
                5    0.204 s  GET /v1/videos/task_ID…ID → 200 completed 100 %
  reported  completed, id task_ID, status completed, model veo_3_1-4K
  wrote     a client that prints it
  again     mockveo check --python my_client:client --case image/two
            mockveo replay image/two

skipped  1 case, since the client does not declare deadline: job/never-ends
not exercised  N rules: ...

careless: 1 case (+200 generated) in 1.2 s: 1 violation, 1 skipped · seed 0"""


@pytest.fixture(scope="module")
def swapped(bad: dict[str, Any]) -> dict[str, Any]:
    """The report of one case."""
    data = copy.deepcopy(bad)
    data["findings"] = [one for one in data["findings"] if one["rule"] == "refs-order"]
    data["findings"][0]["output"] = "a client that prints it\n"
    data["stale"] = []
    data["summary"] |= {"cases": 1, "violations": 1, "warnings": 0, "infos": 0, "known": 0}
    return data


def with_ids(text: str) -> str:
    text = re.sub(r"task_\w{4}…\w{4}", "task_ID…ID", re.sub(r"task_\w{32}", "task_ID", text))
    return re.sub(r"exercised  \d+ rules: [^:]*\n\n", "exercised  N rules: ...\n\n", text)


def test_a_broken_rule_is_told_from_its_sentence_to_the_command_that_repeats_it(swapped: dict[str, Any]) -> None:
    assert with_ids(render(swapped, width=100)) == SWAPPED


def test_the_worst_comes_first_and_the_sum_last(bad: dict[str, Any]) -> None:
    text = render(bad, width=100)
    blocks = re.findall(r"^(VIOLATION|WARNING|info) ", text, re.MULTILINE)
    assert blocks == sorted(blocks, key=["VIOLATION", "WARNING", "info"].index)
    assert {"VIOLATION", "WARNING"} <= set(blocks)
    assert text.count("no-blind-retry") == 1
    assert "\nknown  no-blind-retry in create/lost\n" in text
    assert "\nstale  known.txt:4: auth-bearer call/* is not broken any more; take the line out\n" in text
    assert text.splitlines()[-1].startswith("careless: 6 cases (+200 generated) in 1.2 s: ")
    assert "1 stale known failure" in text.splitlines()[-1]


def test_the_smallest_case_is_shown_and_the_others_are_named(bad: dict[str, Any]) -> None:
    data = copy.deepcopy(bad)
    (one,) = [finding for finding in data["findings"] if finding["rule"] == "refs-order"]
    row = one["log"][-1]
    larger = {**one, "case": "image/larger", "log": [*one["log"], row]}
    data["findings"] = [larger, one, {**larger, "case": "image/largest"}]
    text = render(data, width=100)
    assert text.count("VIOLATION") == 1
    assert "  case      image/two" in text
    assert "  also in   image/larger, image/largest\n" in text


def test_a_clean_run_is_short(good: dict[str, Any]) -> None:
    lines = render(good, width=100).splitlines()
    assert lines[-1] == "careful: 4 cases in 1.2 s: nothing is broken · seed 0"
    assert lines[0].startswith("not exercised  ")
    assert len(lines) <= 8


def test_what_stopped_a_check_is_told() -> None:
    data = plain(report_of(careful, ["call/plain"], stopped="the client ended twice"))
    assert "\nThe check stopped before its end: the client ended twice\n" in render(data)


def test_where_nothing_was_judged_nothing_is_praised(adapter: dict[str, Any]) -> None:
    none = plain(report_of(careful, ["none"]))
    assert render(none).splitlines()[-1] == "careful: 0 cases in 1.2 s: nothing was judged \u00b7 seed 0"
    assert render(none, colour=True).splitlines()[-1].startswith("\x1b[1;31mcareful:")
    text = render(adapter)
    assert text.startswith("ADAPTER ERROR\n")
    assert "expected an Outcome" in text
    assert text.splitlines()[-1] == "broken_adapter: 0 cases in 1.2 s: 1 adapter error \u00b7 seed 0"


def test_hostile_texts_cannot_act_on_a_terminal(bad: dict[str, Any]) -> None:
    for colour, wanted in ((False, set()), (True, {"\x1b"})):
        text = render(bad, width=80, colour=colour)
        assert {sign for sign in text if not sign.isprintable()} - {"\n"} == wanted
    # Whatever came from a client is escaped; only our own colours are not.
    assert "\\x1b[31m" in text
    assert not set(re.findall(r"\x1b\[[^m]*m", text)) - {f"\x1b[{code}m" for code in ("0", "2", "1;31", "1;33", "1;36")}
    assert re.sub(r"\x1b\[[^m]*m", "", text) == render(bad, width=80)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_prose_keeps_to_the_width(width: int, good: dict[str, Any]) -> None:
    assert max(map(len, render(good, width=width).splitlines()[:-1])) <= width


def test_of_a_long_log_the_middle_is_counted(swapped: dict[str, Any]) -> None:
    data = copy.deepcopy(swapped)
    (one,) = data["findings"]
    row = one["log"][1]
    # The report itself has left some out, as it does: 21 to 70.
    numbers = [*range(1, 21), *range(71, 101)]
    one["log"] = [{**row, "number": number} for number in numbers]
    one["exchanges"] = [12, 90]
    shown = re.findall(r"^(?:  exchanges| {11}) (.) +(\d+) +\d", render(data), re.MULTILINE)
    assert [(sign, int(number)) for sign, number in shown] == [
        (" ", 1), (" ", 2), (" ", 3), ("▶", 12), ("▶", 90), (" ", 98), (" ", 99), (" ", 100),
    ]  # fmt: skip
    left = [int(number) for number in re.findall(r"… (\d+) more$", render(data), re.MULTILINE)]
    assert left == [8, 77, 7]
    assert sum(left) + len(shown) == 100


class Stream(io.TextIOWrapper):
    """A stream of an encoding, which says that it is a terminal or not."""

    def __init__(self, encoding: str, *, terminal: bool = False) -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    @property
    def text(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode(self.encoding)  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252", "cp437"])
def test_every_encoding_can_show_it(encoding: str, swapped: dict[str, Any]) -> None:
    stream = Stream(encoding)
    show(swapped, stream)
    text = stream.text
    if encoding == "ascii":
        assert "exchanges >   1    0.000 s  POST /v1/videos with 2 files -> 200 queued 0 % task_" in text
        assert "seed 0" in text
    assert "?" not in text


def test_colours_are_for_terminals_that_want_them(swapped: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")

    def coloured(*, terminal: bool) -> bool:
        stream = Stream("utf-8", terminal=terminal)
        show(swapped, stream)
        return "\x1b[" in stream.text

    assert coloured(terminal=True)
    assert not coloured(terminal=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert coloured(terminal=False)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not coloured(terminal=True)


@given(st.text(st.characters()))
def test_what_is_printable_stays_so_in_any_encoding(text: str) -> None:
    shown = printable(text)
    assert shown.replace("\n", "").isprintable()
    assert fitting(shown, "ascii").isascii()
    assert fitting(shown, None).isascii()
    assert fitting(shown, "utf-8") == shown


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ({"operation": "create", "nth": [2, None]}, "{operation: create, nth: [2, null]}"),
        ({"a": True, "b": "true", "c": "two words", "d": "no"}, '{a: true, b: "true", c: "two words", d: "no"}'),
        ("x" * 1000, f'"{"x" * 100}..." (1000 characters)'),
        ("a\nb", '"a\\nb"'),
        ("", '""'),
        (1.5, "1.5"),
    ],
)
def test_data_is_told_in_a_line(value: Any, wanted: str) -> None:
    assert brief(value) == wanted


def test_a_terminal_gets_a_bar_that_is_gone_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("mockveo_contracts.reports.terminal.REFRESH", 0.0)
    stream = Stream("utf-8", terminal=True)
    with Progress(stream) as progress:
        for number in range(1, 5):
            progress(number, 4, f"create/{number}\x1b" + "x" * 99, number % 2)
    pictures = stream.text.split("\r")[1:]
    assert pictures[0].startswith("█████░░░░░░░░░░░░░░░ 1/4  1 finding  create/1\\x1bxxx")
    assert all(len(one.removesuffix("\x1b[K")) <= 59 for one in pictures)
    assert pictures[-1] == "\x1b[K"
    assert "\n" not in stream.text


def test_the_bar_is_ascii_where_it_has_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Stream("ascii", terminal=True)
    Progress(stream)(1, 2, "a", 0)
    assert stream.text.startswith("\r##########.......... 1/2  0 findings  a")


def test_elsewhere_there_is_a_line_at_every_tenth_of_the_way() -> None:
    stream = Stream("utf-8")
    with Progress(stream) as progress:
        for number in range(1, 285):
            progress(number, 284, f"case/{number}", int(number == 50))
    lines = stream.text.splitlines()
    assert len(lines) == 10
    assert lines[0] == "29 of 284 cases, 0 findings"
    assert lines[1] == "57 of 284 cases, 1 finding"
    assert lines[-1] == "284 of 284 cases, 1 finding"
    assert not re.search(r"[\r\x1b]", stream.text)


def test_nothing_to_play_is_no_trouble() -> None:
    stream = Stream("utf-8")
    with Progress(stream) as progress:
        progress(1, 0, "a", 0)
    assert len(stream.text.splitlines()) == 1


def test_swapping_is_found_in_fact() -> None:
    assert "VIOLATION  refs-order (MUST)\n" in render(plain(report_of(careless, ["image/two"])))
