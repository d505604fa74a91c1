"""The report and the progress on a terminal."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mockveo_contracts.reports.case_result import as_yaml
from mockveo_contracts.reports.finding import Finding
from mockveo_contracts.reports.model import Report
from mockveo_contracts.reports.progress import Progress
from mockveo_contracts.reports.terminal import as_ranges, encodable, render, show
from sample_reports import careful, careless, report_of, reread, with_findings

from mockveo.text import printable

SWAPPED = """\
VIOLATION  refs-order (MUST)
  Two images arrive in the order in which the caller gave them: first frame, last frame.
  problem   the images arrived in the order 2, 1; expected 1, 2
  fix       Keep the images in a list and add the parts in its order.
  source    The API's create page; RFC 7578 section 5.2 (the order of parts is kept).
  more      mockveo explain refs-order, or docs/rules/refs-order.md
  case      image/two · Two images.
  call      images: [a.png, b.png]
  exchanges ▶   1    0.000 s  POST /v1/videos with 2 files → 200 queued 0 % task_ID…ID
                2    0.051 s  GET /v1/videos/task_ID…ID → 200 queued 0 %
                3    0.102 s  GET /v1/videos/task_ID…ID → 200 in_progress 52 %
                4    0.153 s  GET /v1/videos/task_ID…ID → 200 completed 100 %
  reported  completed, id task_ID, status completed, model veo_3_1-4K
  output    a client that prints it
  reproduce mockveo check --python my_client:client --case image/two
            mockveo replay image/two

skipped  1 case: the client does not declare deadline: job/never-ends
not exercised  N rules: ...

violation  refs-order  in 1 case

bill  6 made, 5 delivered, 1 wasted (1 doubled by the retry of a lost answer); the price of
      veo3-fast is unknown
      wasted in create/lost
careless: 1 case (+200 generated) in 1.2 s: violations of 1 rule in 1 case, 1 skipped · seed 0"""


@pytest.fixture(scope="module")
def swapped(bad: Report) -> Report:
    """A report with one finding."""
    (finding,) = [finding for finding in bad.findings if finding.rule == "refs-order"]
    report = with_findings(bad, replace(finding, output="a client that prints it\n"))
    return replace(report, known_failures=())


def with_ids(text: str) -> str:
    text = re.sub(r"task_\w{4}…\w{4}", "task_ID…ID", re.sub(r"task_\w{32}", "task_ID", text))
    return re.sub(r"exercised  \d+ rules: [^:]*?\n\n", "exercised  N rules: ...\n\n", text)


def test_broken_rule_is_shown_from_its_description_to_the_command(swapped: Report) -> None:
    assert with_ids(render(swapped, width=100)) == SWAPPED


def test_advice_and_page_are_shown(swapped: Report) -> None:
    (finding,) = swapped.findings
    text = render(with_findings(swapped, replace(finding, advice="Keep the order.", page="docs/rules/x.md")))
    assert "\n  fix       Keep the order.\n" in text
    assert "\n  more      mockveo explain refs-order, or docs/rules/x.md\n" in text


def test_worst_finding_comes_first_and_the_headline_last(bad: Report) -> None:
    text = render(bad, width=100)
    blocks = re.findall(r"^(VIOLATION|WARNING|info) ", text, re.MULTILINE)
    assert blocks == sorted(blocks, key=["VIOLATION", "WARNING", "info"].index)
    assert {"VIOLATION", "WARNING"} <= set(blocks)
    assert text.count("no-blind-retry") == 1
    assert "\nknown  no-blind-retry in create/lost\n" in text
    assert "\nstale known failure  known.txt:4: auth-bearer call/* is not broken any more; remove the line\n" in text
    assert text.splitlines()[-1].startswith("careless: 6 cases (+200 generated) in 1.2 s: ")
    assert "1 stale known failure" in text.splitlines()[-1]


def test_smallest_case_is_shown_and_the_others_are_named(bad: Report) -> None:
    (finding,) = [finding for finding in bad.findings if finding.rule == "refs-order"]
    log = (*finding.case.log, finding.case.log[-1])
    larger, largest = (
        replace(finding, case=replace(finding.case, name=name, log=log)) for name in ("image/larger", "image/largest")
    )
    text = render(with_findings(bad, larger, finding, largest), width=100)
    assert text.count("VIOLATION") == 1
    assert "  case      image/two" in text
    assert "  also in   image/larger, image/largest\n" in text


def in_cases(finding: Finding, **names: dict[str, Any]) -> list[Finding]:
    """Return a finding as it is in other cases, by their names and what differs in them."""
    return [replace(finding, case=replace(finding.case, name=name, **more)) for name, more in names.items()]


def test_rules_broken_by_the_same_exchanges_are_one_block(swapped: Report) -> None:
    (finding,) = swapped.findings
    same = replace(finding, rule="refs-exact", message="the bytes differ", verdict="warning", severity="should")
    wider = replace(finding, rule="deadline", message="it took too long", exchanges=(1, 3, 4))
    apart = replace(finding, rule="poll-interval", exchanges=(2,))
    text = render(with_findings(swapped, finding, same, wider, apart))
    first, second, *_ = text.split("\n\n")
    assert re.findall(r"^(?:VIOLATION|WARNING)  .*", first, re.MULTILINE) == [
        "VIOLATION  refs-order (MUST)",
        "VIOLATION  deadline (MUST), in the same case",
        "WARNING  refs-exact (SHOULD), in the same case",
    ]
    assert first.count("  shown by  exchange 1\n") == 2
    assert first.count("  exchanges ") == first.count("  case      ") == first.count("  reproduce ") == 1
    assert re.findall(r"▶ +(\d+) ", first) == ["1", "3", "4"]
    assert re.findall(r"▶ +(\d+) ", second) == ["2"]
    assert second.startswith("VIOLATION  poll-interval (MUST)\n")


def test_rule_joins_the_block_of_a_case_that_represents_it_as_well(swapped: Report) -> None:
    (finding,) = swapped.findings
    faults = {"scenario": {"faults": [{"operation": "retrieve", "nth": 1, "status": 503}]}}
    large, small, faulty = in_cases(finding, large={"log": finding.case.log * 2}, small={}, faulty=faults)
    deadline = {"rule": "deadline", "verdict": "warning"}
    joined = with_findings(swapped, large, replace(small, **deadline), replace(large, **deadline))
    assert [[rule.rule for rule in problem.rules] for problem in joined.problems] == [["refs-order", "deadline"]]
    assert joined.problems[0].first.case.name == "large"
    assert joined.problems[0].other_cases == ["small"]
    # The deadline is missed without faults too, which says more of its cause.
    apart = with_findings(swapped, faulty, replace(small, **deadline), replace(faulty, **deadline))
    assert [problem.first.case.name for problem in apart.problems] == ["faulty", "small"]


def test_case_without_faults_represents_a_rule_before_a_smaller_one_with(swapped: Report) -> None:
    (finding,) = swapped.findings
    faulty, named, plain = in_cases(
        finding,
        faulty={"scenario": {"faults": [{"operation": "create", "status": 503}]}, "log": finding.case.log[:1]},
        named={"scenario": "retry-after", "log": finding.case.log[:1]},
        plain={"scenario": {}, "call": {"prompt": "a longer case", "images": finding.case.call["images"]}},
    )
    text = render(with_findings(swapped, faulty, named, plain))
    assert "  case      plain · Two images.\n" in text
    assert "\nviolation  refs-order  in 3 cases\n" in text
    assert ": violations of 1 rule in 3 cases, 1 skipped" in text.splitlines()[-1]


def test_rules_that_are_broken_are_listed_again_at_the_end(bad: Report) -> None:
    *_, listed, headline = render(bad, width=100).split("\n\n")
    broken = [rule for rule in bad.broken_rules if rule.verdict != "info"]
    assert [line.split()[:2] for line in listed.splitlines()[-len(broken) :]] == [
        [rule.verdict, rule.rule] for rule in broken
    ]
    cases = {id(finding.case) for finding in bad.counted_findings if finding.verdict == "violation"}
    rules = {finding.rule for finding in bad.counted_findings if finding.verdict == "violation"}
    assert f"violations of {len(rules)} rules in {len(cases)} cases, " in headline


def test_case_of_the_default_scenario_represents_a_rule_before_a_shorter_one(swapped: Report) -> None:
    (finding,) = swapped.findings
    short, plain = in_cases(
        finding, short={"scenario": {"ending": "failure"}, "log": finding.case.log[:2]}, plain={"scenario": {}}
    )
    assert with_findings(swapped, short, plain).broken_rules[0].first.case.name == "plain"


@pytest.mark.parametrize("count", [12, 13, 40])
def test_long_output_is_shown_from_both_ends(swapped: Report, count: int) -> None:
    (finding,) = swapped.findings
    output = "".join(f"line {number}\n" for number in range(count))
    shown = re.findall(
        r"(line \d+|\u2026 \d+ more lines)\n", render(with_findings(swapped, replace(finding, output=output)))
    )
    assert shown[:6] == [f"line {number}" for number in range(6)]
    assert shown[-6:] == [f"line {number}" for number in range(count - 6, count)]
    assert shown[6:-6] == ([] if count == 12 else [f"\u2026 {count - 12} more lines"])


def test_breach_milder_than_its_rule_says_so(swapped: Report) -> None:
    (finding,) = swapped.findings
    text = render(with_findings(swapped, replace(finding, verdict="warning")))
    assert text.startswith("WARNING  refs-order (MUST; this breach is mild)\n")


def test_numbers_are_shown_as_ranges() -> None:
    assert as_ranges([1, 3, 4, 5, 9]) == "1, 3-5, 9"
    assert as_ranges([1, 2]) == "1-2"


def test_clean_report_is_short(good: Report) -> None:
    lines = render(good, width=100).splitlines()
    assert lines[-1] == "careful: 4 cases in 1.2 s: nothing is broken · seed 0"
    assert lines[0].startswith("not exercised  ")
    assert len(lines) <= 8


def test_aborted_report_says_why() -> None:
    report = report_of(careful, ["call/plain"], aborted="the client ended twice")
    assert "\nAborted: the client ended twice\n" in render(report)


def test_report_without_judged_cases_is_no_praise(adapter: Report) -> None:
    empty = report_of(careful, ["none"])
    assert render(empty).splitlines()[-1] == "careful: 0 cases in 1.2 s: nothing was judged \u00b7 seed 0"
    assert render(empty, colour=True).splitlines()[-1].startswith("\x1b[1;31mcareful:")
    text = render(adapter)
    assert text.startswith("ADAPTER ERROR\n  The adapter failed, not your client.\n")
    assert "expected an Outcome" in text
    assert text.splitlines()[-1] == "broken_adapter: 0 cases in 1.2 s: adapter errors in 1 case \u00b7 seed 0"


def test_hostile_text_cannot_act_on_a_terminal(bad: Report) -> None:
    for colour, expected in ((False, set()), (True, {"\x1b"})):
        text = render(bad, width=80, colour=colour)
        assert {sign for sign in text if not sign.isprintable()} - {"\n"} == expected
    # Text from a client is escaped; only our own colours are not.
    assert "\\x1b[31m" in text
    assert not set(re.findall(r"\x1b\[[^m]*m", text)) - {f"\x1b[{code}m" for code in ("0", "2", "1;31", "1;33", "1;36")}
    assert re.sub(r"\x1b\[[^m]*m", "", text) == render(bad, width=80)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_rendered_text_keeps_to_the_width(width: int, good: Report) -> None:
    assert max(map(len, render(good, width=width).splitlines()[:-1])) <= width


def test_long_log_is_shortened_and_counted(swapped: Report) -> None:
    (finding,) = swapped.findings
    line = finding.case.log[1]
    # The report itself leaves some out, here 21 to 70.
    numbers = [*range(1, 21), *range(71, 101)]
    case = replace(finding.case, log=tuple(line._replace(number=number) for number in numbers))
    text = render(with_findings(swapped, replace(finding, case=case, exchanges=(12, 90))))
    shown = re.findall(r"^(?:  exchanges| {11}) (.) +(\d+) +\d", text, re.MULTILINE)
    assert [(sign, int(number)) for sign, number in shown] == [
        (" ", 1), (" ", 2), (" ", 3), ("▶", 12), ("▶", 90), (" ", 98), (" ", 99), (" ", 100),
    ]  # fmt: skip
    omitted = [int(number) for number in re.findall(r"… (\d+) more$", text, re.MULTILINE)]
    assert omitted == [8, 77, 7]
    assert sum(omitted) + len(shown) == 100


class Stream(io.TextIOWrapper):
    """A stream with an encoding, that claims to be a terminal or not."""

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
def test_report_can_be_shown_in_any_encoding(encoding: str, swapped: Report) -> None:
    stream = Stream(encoding)
    show(swapped, stream)
    text = stream.text
    if encoding == "ascii":
        assert "exchanges >   1    0.000 s  POST /v1/videos with 2 files -> 200 queued 0 % task_" in text
        assert "seed 0" in text
    assert "?" not in text


def test_colours_follow_the_terminal_and_the_environment(swapped: Report, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_printable_text_stays_printable_in_any_encoding(text: str) -> None:
    shown = printable(text)
    assert shown.replace("\n", "").isprintable()
    assert encodable(shown, "ascii").isascii()
    assert encodable(shown, None).isascii()
    assert encodable(shown, "utf-8") == shown


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ({"operation": "create", "nth": [2, None]}, "{operation: create, nth: [2, null]}"),
        ({"a": True, "b": "true", "c": "two words", "d": "no"}, '{a: true, b: "true", c: "two words", d: "no"}'),
        ("x" * 1000, f'"{"x" * 100}..." (1000 characters)'),
        ("a\nb", '"a\\nb"'),
        ("", '""'),
        (1.5, "1.5"),
    ],
)
def test_data_is_shown_as_a_line_of_yaml(value: Any, line: str) -> None:
    assert as_yaml(value) == line


def test_progress_on_a_terminal_is_a_bar_that_disappears(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("mockveo_contracts.reports.progress.REFRESH_S", 0.0)
    stream = Stream("utf-8", terminal=True)
    with Progress(stream) as progress:
        for number in range(1, 5):
            progress(number, 4, f"create/{number}\x1b" + "x" * 99, number % 2)
    bars = stream.text.split("\r")[1:]
    assert bars[0].startswith("█████░░░░░░░░░░░░░░░ 1/4  1 finding  create/1\\x1bxxx")
    assert all(len(bar.removesuffix("\x1b[K")) <= 59 for bar in bars)
    assert bars[-1] == "\x1b[K"
    assert "\n" not in stream.text


def test_progress_on_an_ascii_terminal_is_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Stream("ascii", terminal=True)
    Progress(stream)(1, 2, "a", 0)
    assert stream.text.startswith("\r##########.......... 1/2  0 findings  a")


def test_progress_without_a_terminal_is_ten_lines() -> None:
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


def test_progress_without_cases_is_one_line() -> None:
    stream = Stream("utf-8")
    with Progress(stream) as progress:
        progress(1, 0, "a", 0)
    assert len(stream.text.splitlines()) == 1


def test_swapped_images_break_refs_order() -> None:
    assert "VIOLATION  refs-order (MUST)\n" in render(reread(report_of(careless, ["image/two"])))
