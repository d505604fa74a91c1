"""The log of a server in a terminal: each exchange in a line, and the findings of the rules."""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import orjson

from mockveo.console.output import say
from mockveo.text import printable
from mockveo.traffic.journal import Feed
from mockveo.traffic.record import ExchangeRecord

if TYPE_CHECKING:
    from mockveo.rules.live import LiveFinding, LiveFindings

log: Final = logging.getLogger("mockveo")

#: Characters that may wait to be written; a further text is dropped, so that a stuck reader costs little. Arbitrary.
MAX_WAITING_CHARACTERS: Final = 4 * 2**20
#: How long the exit waits for a reader that does not read.
CLOSE_TIMEOUT_S: Final = 1.0
_FORMATS: Final[dict[str, Callable[[ExchangeRecord], str]]] = {
    "text": ExchangeRecord.to_line,
    "json": lambda exchange: orjson.dumps(exchange.to_json()).decode(),
}


class LogWriter:
    """A thread that writes to a file descriptor, so that a stuck or closed reader stops nothing.

    It bypasses `sys.stdout`, because a thread that hangs in a write would hold its lock forever.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._texts: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        #: Characters that were given to the thread, and those that it has written.
        self._given, self._written = 0, 0
        self._thread = threading.Thread(target=self._run, name="mockveo-output", daemon=True)
        self._thread.start()

    @property
    def is_full(self) -> bool:
        """Whether so much waits to be written that more would be dropped."""
        return self._given - self._written > MAX_WAITING_CHARACTERS

    def write(self, text: str) -> None:
        """Queue lines for writing, or drop them if too much waits already."""
        if not self.is_full:
            self._given += len(text)
            self._texts.put(text)

    def close(self) -> None:
        """Wait a moment for what is still queued."""
        self._texts.put(None)
        self._thread.join(timeout=CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        while (text := self._texts.get()) is not None:
            data = memoryview(f"{text}\n".encode("utf-8", "backslashreplace"))
            with suppress(OSError):  # the reader closed the pipe; the server keeps running
                while data:
                    data = data[os.write(self._descriptor, data) :]
            self._written += len(text)


class TerminalLog:
    """The log of a feed's exchanges, written in batches: a write for each would double a request's cost."""

    def __init__(self, feed: Feed, log_format: str, writer: LogWriter, *, findings: bool) -> None:
        self._feed = feed
        self._format = _FORMATS[log_format]
        self._as_json = log_format == "json"
        self._writer = writer
        self._wants_findings = findings
        self._live_findings: LiveFindings | None = None
        self._taken_count = 0
        self._lost_count = 0

    def flush(self) -> None:
        """Write new exchanges, and report how many were lost because they came too fast."""
        new = self._feed.count - self._taken_count
        if not new:
            self._settle(at_end=False)
            return
        exchanges = self._feed.take()
        self._taken_count += new
        self._lost_count += max(new - len(exchanges), 0)
        if self._writer.is_full:
            self._lost_count += len(exchanges)
            return
        self._writer.write("\n".join(self._lines(exchanges)))
        if self._lost_count:
            say(f"mockveo: {self._lost_count} exchanges came too fast to be logged", err=True)
            self._lost_count = 0

    def close(self) -> None:
        """Write what is left to write."""
        self.flush()
        self._settle(at_end=True)

    def _settle(self, *, at_end: bool) -> None:
        live = self._live_findings
        if live is None:
            return
        lines = [self._shown(finding) for finding in self._guarded(lambda: live.settle(at_end=at_end))]
        if lines:
            self._writer.write("\n".join(lines))

    def _guarded(self, find: Callable[[], list[LiveFinding]]) -> list[LiveFinding]:
        """Return findings; look for no more of them after a bug, as a log never stops the server."""
        try:
            return find()
        except Exception:
            log.exception("the log shows no more findings, since looking for them failed; this is a bug of mockveo")
            self._wants_findings, self._live_findings = False, None
            return []

    def _lines(self, exchanges: list[ExchangeRecord]) -> list[str]:
        """Return the lines of exchanges, each finding under the last exchange that shows it."""
        findings: dict[tuple[str, int], list[LiveFinding]] = {}
        for finding in self._findings(exchanges):
            findings.setdefault(finding.place, []).append(finding)
        lines = []
        for exchange in exchanges:
            lines.append(self._line(exchange))
            under = findings.pop((exchange.world, exchange.number), [])
            lines += [self._shown(finding, exchange) for finding in under]
        return [*lines, *(self._shown(finding) for left in findings.values() for finding in left)]

    def _shown(self, finding: LiveFinding, exchange: ExchangeRecord | None = None) -> str:
        if self._as_json:
            return orjson.dumps(finding.to_json()).decode()
        return finding.to_line(exchange.notes if exchange is not None else ())

    def _line(self, exchange: ExchangeRecord) -> str:
        try:
            return self._format(exchange)
        except Exception as error:  # noqa: BLE001 - a log never stops the server
            return printable(f"mockveo: exchange {exchange.number} cannot be shown: {error}", single_line=True)

    def _findings(self, exchanges: list[ExchangeRecord]) -> list[LiveFinding]:
        """Return the new findings of the contract's rules."""
        if not self._wants_findings:
            return []
        # Imported lazily so that the server listens before the rules are loaded.
        from mockveo.rules.live import LiveFindings

        live = self._live_findings = self._live_findings or LiveFindings()
        return self._guarded(lambda: live.add(exchanges))
