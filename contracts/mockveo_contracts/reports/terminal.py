"""A report for a terminal: a block for each problem, the worst first; at the end the broken rules and a headline."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from textwrap import TextWrapper
from typing import Final, TextIO

from mockveo.text import counted, printable
from mockveo_contracts.reports.case_result import LogLine
from mockveo_contracts.reports.finding import BrokenRule, Finding, RuleGroup, problems
from mockveo_contracts.reports.model import Report

#: Lines of a client's output, and exchanges of a case, that are shown; the other formats have all of them. Of the
#: output they are half from the beginning, where Node has the error, and half from the end, where Python has it.
MAX_OUTPUT_LINES: Final = 12
MAX_EXCHANGES: Final = 14
#: Names in a list before the rest is counted. Arbitrary: two rows.
MAX_NAMES: Final = 12
#: Columns of text that is not shown on a terminal, and at most on one: longer rows are hard to read.
WIDTH: Final = 100
MAX_WIDTH: Final = 120
MIN_WIDTH: Final = 40
_STYLES: Final = {"violation": "1;31", "adapter error": "1;35", "warning": "1;33", "info": "1;36", "good": "1;32"}
_DIM: Final = "2"
_COLOUR: Final = re.compile("\033\\[[0-9;]*m")
_MARK: Final = "\u25b6"
#: Our signs -> what replaces them if an encoding does not have them.
_SIGNS: Final = str.maketrans(
    {_MARK: ">", "\u2192": "->", "\u00b7": "-", "\u2026": "...", "\u2588": "#", "\u2591": "."}
)


def show(report: Report, stream: TextIO) -> None:
    """Write a report to a stream, in signs and colours that it can show."""
    width = shutil.get_terminal_size((WIDTH, 24)).columns if stream.isatty() else WIDTH
    text = render(report, width=min(width, MAX_WIDTH), colour=_is_coloured(stream))
    stream.write(encodable(f"{text}\n", stream.encoding))
    stream.flush()


def encodable(text: str, encoding: str | None) -> str:
    """Return text with everything replaced that an encoding does not have."""
    encoding = encoding or "ascii"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_SIGNS).encode(encoding, "backslashreplace").decode(encoding)
    return text


def _is_coloured(stream: TextIO) -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (stream.isatty() and os.environ.get("TERM") != "dumb")


def render(report: Report, *, width: int = WIDTH, colour: bool = False) -> str:
    """Return a report as text for people."""
    return "\n".join(_Renderer(max(width, MIN_WIDTH), colour).report(report))


def render_findings(findings: Iterable[Finding], *, width: int = WIDTH) -> str:
    """Return findings as text for people, each as `render` shows it."""
    renderer = _Renderer(width, colour=False)
    grouped = problems(BrokenRule(finding.rule, [finding]) for finding in findings)
    return "\n".join(line for problem in grouped for line in renderer.block(problem))


class _Renderer:
    """Renders parts of a report in a width, with or without colours."""

    def __init__(self, width: int, colour: bool) -> None:
        self._width = width
        self._colour = colour

    def report(self, report: Report) -> Iterator[str]:
        """Yield the lines of the whole report."""
        for problem in report.problems:
            yield from self.block(problem)
            yield ""
        broken = report.broken_rules
        yield from self._infos([rule for rule in broken if rule.verdict == "info"])
        if report.judged:
            yield from self._rest(report)
        if report.aborted:
            yield from self._wrapped("Aborted: ", report.aborted, style="violation")
        yield from self._list([rule for rule in broken if rule.verdict != "info"])
        yield from self._bill(report)
        # In one line, however long: it is what people search a log for.
        yield f"{self._styled(_tone(report), f'{printable(report.subject.title)}:')} {report.headline}"

    def block(self, problem: RuleGroup) -> Iterator[str]:
        """Yield the rules of a problem, and the case that shows them in full."""
        marked = problem.first.exchanges
        for place, rule in enumerate(problem.rules):
            also = "" if place == 0 else ", in the same case"
            yield from self._rule(rule.first, also, numbered=rule.first.exchanges != marked)
        yield from self._case(problem.first)
        if problem.other_cases:
            yield from self._wrapped("  also in   ", few(problem.other_cases))

    def _rule(self, finding: Finding, also: str, *, numbered: bool) -> Iterator[str]:
        """Yield a broken rule; `numbered` if further exchanges of the case break others."""
        mild = "; this breach is mild" if finding.is_mild else ""
        name = f"{finding.rule} ({str(finding.severity).upper()}{mild}){also}" if finding.rule else ""
        yield f"{self._styled(finding.verdict, finding.verdict.upper())}  {name}".rstrip()
        yield from self._wrapped("  ", finding.description)
        yield from self._wrapped("  problem   ", finding.message, style=finding.verdict)
        if numbered and finding.exchanges:
            yield from self._wrapped("  shown by  ", f"exchange {as_ranges(finding.exchanges)}")
        if finding.advice:
            yield from self._wrapped("  fix       ", finding.advice)
        yield from self._wrapped("  source    ", finding.source, style="dim")
        if finding.page:
            yield from self._wrapped("  more      ", f"mockveo explain {finding.rule}, or {finding.page}", style="dim")

    def _case(self, finding: Finding) -> Iterator[str]:
        """Yield what was asked in the case of a finding, what happened, and how to reproduce it."""
        case = finding.case
        description = f" \u00b7 {case.description}" if case.description else ""
        yield from self._wrapped("  case      ", f"{case.name}{description}")
        yield from self._listed("  call      ", case.call_lines)
        yield from self._listed("  scenario  ", case.scenario_lines)
        yield from self._log(finding)
        if case.outcome_line:
            yield from self._wrapped("  reported  ", case.outcome_line)
        yield from self._listed("  output    ", _ends(printable(finding.output).strip("\n").splitlines()))
        yield from self._listed("  reproduce ", finding.reproduce, wrap=False)

    def _log(self, finding: Finding) -> Iterator[str]:
        label = "  exchanges "
        if not finding.case.log:
            yield f"{label}none"
        for marked, line in _shortened(list(finding.marked_log)):
            if isinstance(line, int):
                yield f"{'':{len(label)}}    \u2026 {line} more"
                continue
            sign = self._styled(finding.verdict, _MARK) if marked else " "
            first, *notes = line.line.split("\n")
            head = f"{label}{sign} {line.number:>3} {line.at:>8.3f} s  "
            yield from self._wrapped(head, first)
            label = " " * len(label)
            pad = " " * len(_COLOUR.sub("", head))
            for note in notes:
                yield from self._wrapped(pad, note.strip(), style="dim")

    def _infos(self, infos: Sequence[BrokenRule]) -> Iterator[str]:
        for info in infos:
            others = len(info.other_cases)
            more = f" (and in {counted(others, 'other case')})" if others else ""
            text = f"{info.rule}: {info.first.message} \u00b7 {info.first.case.name}{more}"
            yield from self._wrapped(f"{self._styled('info', 'info')}  ", text, indent=6)
        if infos:
            yield ""

    def _list(self, rules: Sequence[BrokenRule]) -> Iterator[str]:
        """Yield the broken rules, a line each: the blocks above may have scrolled away."""
        names = [rule.rule or "the adapter" for rule in rules]
        wide = max(map(len, names), default=0)
        for name, rule in zip(names, rules, strict=True):
            verdict = self._styled(rule.verdict, f"{rule.verdict:9}")
            yield f"{verdict}  {name:{wide}}  in {counted(rule.number_of_cases, 'case')}"
        if rules:
            yield ""

    def _bill(self, report: Report) -> Iterator[str]:
        """Yield what the jobs came to, and the cases in which some were wasted."""
        bill = report.bill
        if bill is None or not (bill.made or bill.refused):
            return
        yield from self._wrapped("bill  ", bill.line)
        places = list(dict.fromkeys(job.place for job in bill.wasted.jobs))
        if places:
            yield from self._wrapped("      ", f"wasted in {few(places)}")

    def _rest(self, report: Report) -> Iterator[str]:
        lines = [(self._styled("violation", kind), text) for kind, text in report.remarks]
        known_names = [f"{finding.rule} in {finding.case.name}" for finding in report.known_findings]
        if known_names:
            lines.append(("known", few(known_names)))
        newer = [f"{finding.rule or 'the adapter'} in {finding.case.name}" for finding in report.newer_findings]
        if newer:
            lines.append((f"new since {report.requirements}, not counted", few(newer)))
        for reason, names in report.skipped_by_reason.items():
            lines.append(("skipped", f"{counted(len(names), 'case')}: {reason}: {few(names)}"))
        if report.unexercised:
            lines.append(("not exercised", f"{counted(len(report.unexercised), 'rule')}: {few(report.unexercised)}"))
        for label, text in lines:
            yield from self._wrapped(f"{label}  ", text, indent=2)
        if lines:
            yield ""

    def _listed(self, label: str, items: Iterable[str], *, wrap: bool = True) -> Iterator[str]:
        for item in items:
            if wrap:
                yield from self._wrapped(label, item)
            else:
                # A command is copied, so it stays in one piece.
                yield label + printable(item)
            label = " " * len(label)

    def _wrapped(self, label: str, text: str, *, style: str = "", indent: int | None = None) -> Iterator[str]:
        """Yield text after a label, further rows below each other."""
        lead = len(_COLOUR.sub("", label))
        indent = lead if indent is None else indent
        for line in printable(text).split("\n"):
            for row in self._wrapper(lead, indent).wrap(line) or [""]:
                yield label + self._styled(style, row[lead:])
                label, lead = " " * indent, indent

    def _wrapper(self, lead: int, indent: int) -> TextWrapper:
        # However narrow a window is, there is room for a word.
        return TextWrapper(
            max(self._width, indent + 20, lead + 20),
            initial_indent=" " * lead,
            subsequent_indent=" " * indent,
            break_long_words=False,
            break_on_hyphens=False,
        )

    def _styled(self, style: str, text: str) -> str:
        code = _DIM if style == "dim" else _STYLES.get(style)
        return f"\033[{code}m{text}\033[0m" if self._colour and code else text


def _tone(report: Report) -> str:
    """Return the style of the headline."""
    if report.broken_rules:
        return report.broken_rules[0].verdict
    return "violation" if report.aborted or report.stale or not report.judged else "good"


def few(names: Sequence[str]) -> str:
    """Return names as a list, the rest counted after the first ones."""
    more = len(names) - MAX_NAMES
    shown = ", ".join(names[:MAX_NAMES])
    return shown if more <= 0 else f"{shown} and {more} more"


def as_ranges(numbers: Sequence[int]) -> str:
    """Return ascending numbers as a list of ranges, e.g. "1, 3-5"."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][-1] + 1:
            ranges[-1][1:] = [number]
        else:
            ranges.append([number])
    return few(["-".join(map(str, ends)) for ends in ranges])


def _ends(lines: list[str]) -> list[str]:
    """Return the first and the last of many lines, with the number left out between."""
    if len(lines) <= MAX_OUTPUT_LINES:
        return lines
    half = MAX_OUTPUT_LINES // 2
    return [*lines[:half], f"\u2026 {len(lines) - 2 * half} more lines", *lines[-half:]]


def _shortened(rows: list[tuple[bool, LogLine | int]]) -> Iterator[tuple[bool, LogLine | int]]:
    """Yield rows of a log; of a long one the ends and the first marked rows, and the number left out between."""
    if len(rows) <= MAX_EXCHANGES:
        yield from rows
        return
    most = MAX_EXCHANGES // 4
    marked = [place for place, (mark, _) in enumerate(rows) if mark][: 2 * most]
    kept = {*range(most), *range(len(rows) - most, len(rows)), *marked}
    omitted = 0
    for place, (mark, line) in enumerate(rows):
        if isinstance(line, int):
            omitted += line
        elif place not in kept:
            omitted += 1
        else:
            if omitted:
                yield False, omitted
            omitted = 0
            yield mark, line
