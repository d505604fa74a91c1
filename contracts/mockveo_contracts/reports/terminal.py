"""A report for a terminal: the worst first, a block for each rule that is broken, and a line of sum."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from textwrap import TextWrapper
from time import monotonic
from types import TracebackType
from typing import Any, Final, Self, TextIO

from mockveo.text import printable
from mockveo_contracts.reports import wording
from mockveo_contracts.reports.wording import Broken

#: Lines of output of a client, and exchanges of a case, that are shown; the whole is in the other formats.
MOST_OUTPUT: Final = 5
MOST_EXCHANGES: Final = 14
#: Names in a list before the rest is counted.
MOST_NAMES: Final = 12
#: Seconds between two pictures of the bar.
REFRESH: Final = 0.05
_STYLES: Final = {"violation": "1;31", "adapter error": "1;35", "warning": "1;33", "info": "1;36", "good": "1;32"}
_DIM: Final = "2"
_COLOUR: Final = re.compile("\033\\[[0-9;]*m")
_MARK: Final = "\u25b6"
#: Our signs -> what stands for them where they cannot be shown.
_SIGNS: Final = str.maketrans(
    {_MARK: ">", "\u2192": "->", "\u00b7": "-", "\u2026": "...", "\u2588": "#", "\u2591": "."}
)


def show(data: Mapping[str, Any], stream: TextIO) -> None:
    """Writes a report to a stream, as that stream can show it."""
    width = shutil.get_terminal_size((100, 24)).columns if stream.isatty() else 100
    stream.write(fitting(f"{render(data, width=min(width, 120), colour=_coloured(stream))}\n", stream.encoding))
    stream.flush()


def fitting(text: str, encoding: str | None) -> str:
    """Text of which an encoding can show everything."""
    try:
        text.encode(encoding or "ascii")
    except UnicodeEncodeError:
        return text.translate(_SIGNS).encode(encoding or "ascii", "backslashreplace").decode(encoding or "ascii")
    return text


def _coloured(stream: TextIO) -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (stream.isatty() and os.environ.get("TERM") != "dumb")


def render(data: Mapping[str, Any], *, width: int = 100, colour: bool = False) -> str:
    """A report as text for people."""
    return "\n".join(_Text(max(width, 40), colour).lines(data))


def told(findings: Iterable[Mapping[str, Any]], *, width: int = 100) -> str:
    """Some findings as text, each as `render` shows it."""
    text = _Text(width, colour=False)
    return "\n".join(line for one in findings for line in text.block(Broken(one["rule"], one["verdict"], [one])))


class _Text:
    """Writes blocks of a width, with or without colours."""

    def __init__(self, width: int, colour: bool) -> None:
        self._width = width
        self._colour = colour

    def lines(self, data: Mapping[str, Any]) -> Iterator[str]:
        """The whole report."""
        found = wording.broken(data)
        for one in found:
            if one.verdict != "info":
                yield from self.block(one)
                yield ""
        yield from self._infos([one for one in found if one.verdict == "info"])
        yield from self._rest(data)
        if data.get("stopped"):
            yield from self._wrapped("The check stopped before its end: ", data["stopped"], style="violation")
        clean = not data.get("stopped") and not data["stale"] and data["summary"]["cases"]
        style = next((one.verdict for one in found), "good" if clean else "violation")
        # In one line, however long: it is what is looked for in a log.
        yield f"{self._styled(style, f'{printable(wording.client_of(data))}:')} {wording.sum_of(data)}"

    def block(self, one: Broken) -> Iterator[str]:
        """A rule that is broken, with its smallest case in full."""
        first = one.first
        name = f"{one.rule} ({first['severity'].upper()})" if one.rule else ""
        yield f"{self._styled(one.verdict, one.verdict.upper())}  {name}".rstrip()
        yield from self._wrapped("  ", first["says"])
        yield from self._wrapped("  seen      ", first["message"], style=one.verdict)
        yield from self._wrapped("  source    ", first["source"], style="dim")
        yield from self._case(first)
        if one.others:
            yield from self._wrapped("  also in   ", few(one.others))

    def _case(self, first: Mapping[str, Any]) -> Iterator[str]:
        """A case of a finding: what was asked and met, what happened, and how to see it again."""
        says = f" \u00b7 {first['case_says']}" if first["case_says"] else ""
        yield from self._wrapped("  case      ", f"{first['case']}{says}")
        yield from self._listed("  call      ", wording.call_of(first))
        yield from self._listed("  scenario  ", wording.scenario_of(first))
        yield from self._log(first)
        if first["outcome"] is not None:
            yield from self._wrapped("  reported  ", wording.reported(first["outcome"]))
        output = printable(first["output"]).strip().splitlines()
        yield from self._listed("  wrote     ", output[-MOST_OUTPUT:])
        yield from self._listed("  again     ", first["again"], wrap=False)

    def _log(self, finding: Mapping[str, Any]) -> Iterator[str]:
        label = "  exchanges "
        if not finding["log"]:
            yield f"{label}none"
        for mark, one in _shortened(list(wording.marked(finding))):
            if isinstance(one, int):
                yield f"{'':{len(label)}}    \u2026 {one} more"
                continue
            sign = self._styled(finding["verdict"], _MARK) if mark else " "
            first, *notes = one["line"].split("\n")
            head = f"{label}{sign} {one['number']:>3} {one['at']:>8.3f} s  "
            yield from self._wrapped(head, first)
            label = " " * len(label)
            pad = " " * len(_COLOUR.sub("", head))
            for note in notes:
                yield from self._wrapped(pad, note.strip(), style="dim")

    def _infos(self, found: Sequence[Broken]) -> Iterator[str]:
        for one in found:
            more = f" (and in {wording.counted(len(one.others), 'other case')})" if one.others else ""
            text = f"{one.rule}: {one.first['message']} \u00b7 {one.first['case']}{more}"
            yield from self._wrapped(f"{self._styled('info', 'info')}  ", text, indent=6)
        if found:
            yield ""

    def _rest(self, data: Mapping[str, Any]) -> Iterator[str]:
        rest = [(self._styled("violation", "stale"), wording.stale(one)) for one in data["stale"]]
        lived_with = [f"{one['rule']} in {one['case']}" for one in wording.known(data)]
        if lived_with:
            rest.append(("known", few(lived_with)))
        for why, names in wording.skipped(data).items():
            rest.append(("skipped", f"{wording.counted(len(names), 'case')}, since {why}: {few(names)}"))
        missed = wording.unexercised(data)
        if missed:
            rest.append(("not exercised", f"{wording.counted(len(missed), 'rule')}: {few(missed)}"))
        for label, text in rest:
            yield from self._wrapped(f"{label}  ", text, indent=2)
        if rest:
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
        """Text after a label, further rows below each other."""
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


def few(names: Sequence[str]) -> str:
    """Names in a list, as many as are of use."""
    more = len(names) - MOST_NAMES
    shown = ", ".join(names[:MOST_NAMES])
    return shown if more <= 0 else f"{shown} and {more} more"


def _shortened(rows: list[tuple[bool, Any]]) -> Iterator[tuple[bool, Any]]:
    """Rows of a log without the middle of long stretches that show nothing wrong, and of those that repeat it."""
    if len(rows) <= MOST_EXCHANGES:
        yield from rows
        return
    most = MOST_EXCHANGES // 4
    wrong = [place for place, (mark, _) in enumerate(rows) if mark][: 2 * most]
    kept = {*range(most), *range(len(rows) - most, len(rows)), *wrong}
    left = 0
    for place, row in enumerate(rows):
        if place not in kept or isinstance(row[1], int):
            left += row[1] if isinstance(row[1], int) else 1
            continue
        if left:
            yield False, left
        left = 0
        yield row


class Progress:
    """Tells how far a check is: a bar on a terminal, a line at every tenth of the way elsewhere. A context manager."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bar = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._tenth = 0
        self._findings = 0
        self._drawn = float("-inf")

    def __call__(self, number: int, total: int, name: str, findings: int) -> None:
        """A case is done."""
        self._findings += findings
        tenth = number * 10 // max(total, 1)
        now = monotonic()
        if self._bar and number >= total:
            self._clear()
        elif self._bar and now - self._drawn >= REFRESH:
            self._drawn = now
            self._write(f"\r{self._picture(number, total, name)}\033[K")
        elif not self._bar and tenth > self._tenth:
            self._write(f"{number} of {wording.counted(total, 'case')}, {wording.counted(self._findings, 'finding')}\n")
        self._tenth = max(tenth, self._tenth)

    def _picture(self, number: int, total: int, name: str) -> str:
        done = min(20 * number // max(total, 1), 20)
        bar = "\u2588" * done + "\u2591" * (20 - done)
        found = wording.counted(self._findings, "finding")
        width = max(shutil.get_terminal_size((80, 24)).columns - 1, 20)
        return f"{bar} {number}/{total}  {found}  {printable(name)}"[:width]

    def _write(self, text: str) -> None:
        self._stream.write(fitting(text, self._stream.encoding))
        self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._clear()

    def _clear(self) -> None:
        """Takes the bar away, so that what is printed next begins on a clean line."""
        self._write("\r\033[K")
