"""The log of a server in a terminal: each exchange in a line, and the findings of the rules."""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import orjson

from mockveo.traffic.journal import Feed
from mockveo.traffic.record import ExchangeRecord

if TYPE_CHECKING:
    from mockveo.rules.live import LiveFindings

#: Texts that wait to be written; a further one is dropped, so that a stuck reader costs no memory. Arbitrary.
MAX_WAITING_TEXTS: Final = 100
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
        self._texts: queue.Queue[str | None] = queue.Queue(maxsize=MAX_WAITING_TEXTS)
        self._thread = threading.Thread(target=self._run, name="mockveo-output", daemon=True)
        self._thread.start()

    def write(self, text: str) -> bool:
        """Queue lines for writing; return False if the queue is full and they are dropped."""
        try:
            self._texts.put_nowait(text)
        except queue.Full:
            return False
        return True

    def close(self) -> None:
        """Wait a moment for what is still queued."""
        with suppress(queue.Full):
            self._texts.put_nowait(None)
        self._thread.join(timeout=CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        while (text := self._texts.get()) is not None:
            data = f"{text}\n".encode("utf-8", "backslashreplace")
            with suppress(OSError):  # the reader closed the pipe; the server keeps running
                while data:
                    data = data[os.write(self._descriptor, data) :]


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
            return
        exchanges = self._feed.take()
        self._taken_count += new
        self._lost_count += max(new - len(exchanges), 0)
        lines = [*map(self._line, exchanges), *self._findings(exchanges)]
        if not self._writer.write("\n".join(lines)):
            self._lost_count += len(exchanges)
        elif self._lost_count:
            sys.stderr.write(f"mockveo: {self._lost_count} exchanges came too fast to be logged\n")
            self._lost_count = 0

    def _line(self, exchange: ExchangeRecord) -> str:
        try:
            return self._format(exchange)
        except Exception as error:  # noqa: BLE001 - a log never stops the server
            return f"mockveo: exchange {exchange.number} cannot be shown: {error}"

    def _findings(self, exchanges: list[ExchangeRecord]) -> list[str]:
        """Return a line for each new finding of the contract's rules."""
        if not self._wants_findings:
            return []
        # Imported lazily so that the server listens before the rules are loaded.
        from mockveo.rules.live import LiveFindings

        if self._live_findings is None:
            self._live_findings = LiveFindings()
        findings = self._live_findings.add(exchanges)
        if self._as_json:
            return [orjson.dumps({"finding": finding.to_json()}).decode() for finding in findings]
        # The line of an exchange shows its deviations, which a finding must not repeat.
        deviations = {deviation.message for exchange in exchanges for deviation in exchange.deviations}
        return [str(finding) for finding in findings if finding.finding.message not in deviations]
