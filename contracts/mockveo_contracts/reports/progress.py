"""The progress of a run, on standard error."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import Final, Self, TextIO

from mockveo.text import counted, printable
from mockveo_contracts.reports.terminal import encodable

#: Seconds between two redraws of the bar. Arbitrary: fast enough to look alive.
REFRESH_S: Final = 0.05


class Progress:
    """Shows how far a run is, as a context manager: a bar on a terminal, elsewhere a line for every tenth."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_bar = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._tenth = 0
        self._findings = 0
        self._drawn = float("-inf")

    def __call__(self, number: int, total: int, name: str, findings: int) -> None:
        """Show that a case is done."""
        self._findings += findings
        tenth = number * 10 // max(total, 1)
        now = monotonic()
        if self._is_bar and number >= total:
            self._clear()
        elif self._is_bar and now - self._drawn >= REFRESH_S:
            self._drawn = now
            self._write(f"\r{self._bar_line(number, total, name)}\033[K")
        elif not self._is_bar and tenth > self._tenth:
            self._write(f"{number} of {counted(total, 'case')}, {counted(self._findings, 'finding')}\n")
        self._tenth = max(tenth, self._tenth)

    def _bar_line(self, number: int, total: int, name: str) -> str:
        done = min(20 * number // max(total, 1), 20)
        bar = "\u2588" * done + "\u2591" * (20 - done)
        findings = counted(self._findings, "finding")
        width = max(shutil.get_terminal_size((80, 24)).columns - 1, 20)
        return f"{bar} {number}/{total}  {findings}  {printable(name)}"[:width]

    def _write(self, text: str) -> None:
        # A run is worth more than its progress: it goes on if the reader has left or the disk is full.
        with suppress(OSError):
            self._stream.write(encodable(text, self._stream.encoding))
            self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_bar:
            self._clear()

    def _clear(self) -> None:
        """Remove the bar, so that what is printed next begins on a clean line."""
        self._write("\r\033[K")
