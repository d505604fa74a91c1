"""A writer of logs that keeps their lines."""

from __future__ import annotations

from mockveo.console.log import LogWriter


class Lines(LogWriter):
    """A writer that keeps the lines."""

    is_full = False

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, text: str) -> None:
        self.lines += text.split("\n")
