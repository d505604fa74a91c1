"""A server in the foreground of a terminal: what it prints, the ready file and the log."""

from __future__ import annotations

import gc
import logging
import os
import queue
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from mockveo._version import __version__
from mockveo.errors import SettingsError
from mockveo.http.hosts import is_loopback
from mockveo.server.app import SAMPLE_KEY, Application, Server
from mockveo.settings import Settings
from mockveo.traffic.journal import ExchangeRecord, Feed, as_json, as_line

if TYPE_CHECKING:
    from mockveo.rules.live import LiveFindings

_FORMATS: Final[dict[str, Callable[[ExchangeRecord], str]]] = {
    "text": as_line,
    "json": lambda exchange: orjson.dumps(as_json(exchange)).decode(),
}


def run(
    settings: Settings,
    *,
    ready_file: str | None = None,
    log_format: str = "text",
    quiet: bool = False,
    findings: bool = True,
    opening: Callable[[Application, str], str] | None = None,
) -> None:
    """Serves until SIGINT or SIGTERM. Raises MockveoError where that cannot begin.

    `opening` makes the application ready, once it is known where it listens, and returns what is printed first.
    """
    logging.basicConfig(format="mockveo: %(message)s", level=logging.WARNING)
    feed = None if quiet else Feed(settings.max_exchanges)
    app = Application(settings, feed=feed)
    out = LogWriter(sys.stdout.fileno())
    log = None if feed is None else Log(feed, log_format, out, findings=findings)
    if ready_file is not None:
        _check_ready_file(Path(ready_file))

    def ready() -> None:
        # What was made to start with stays for good: the collector need not look at it, now or ever.
        gc.freeze()
        gc.enable()
        if not quiet and log_format == "text":
            out.write(opened)
        if ready_file is not None:
            _write_ready(Path(ready_file), server)

    server = Server(app, on_ready=ready, on_beat=log.flush if log else lambda: None)
    opened = (opening or banner)(app, server.url)
    if not is_loopback(settings.host):
        warnings.warn(
            f"--host {settings.host} opens the server to the network; whoever reaches it can use it", stacklevel=1
        )
    try:
        server.run_here()
    finally:
        if log is not None:
            log.flush()
        out.close()
        if ready_file is not None:
            Path(ready_file).unlink(missing_ok=True)


def banner(app: Application, url: str) -> str:
    """What a person sees first: where it listens and the lines to paste."""
    settings = app.settings
    pace = f"speed {settings.speed:g}" if settings.clock == "wall" else f"clock {settings.clock}"
    return (
        f"mockveo {__version__} on {url}  (profile {settings.profile}, scenario {app.world.plan.scenario.name},"
        f" {pace}, seed {app.seed})\n"
        f"  export COMETAPI_BASE_URL={url}/v1\n"
        + (
            "  export COMETAPI_KEY=...  # one of those you gave"
            if settings.key
            else f"  export COMETAPI_KEY={SAMPLE_KEY}"
        )
    )


def _check_ready_file(path: Path) -> None:
    """Raises SettingsError where the file cannot be written; one of an earlier run is taken away."""
    try:
        path.unlink(missing_ok=True)
        path.touch()
        path.unlink()
    except OSError as error:
        raise SettingsError(
            f"--ready-file {str(path)!r} cannot be written: {error.strerror}; wanted a file in a directory that exists,"
            " e.g. --ready-file ready.json"
        ) from None


def _write_ready(path: Path, server: Server) -> None:
    """Whole or not at all, so that whoever waits for the file never reads half of it."""
    ready = {"url": server.url, "base_url": f"{server.url}/v1", "port": server.port, "pid": os.getpid()}
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.write_bytes(orjson.dumps(ready, option=orjson.OPT_APPEND_NEWLINE))
    unfinished.replace(path)


class LogWriter:
    """Writes to a file descriptor from a thread, so that a reader who does not read, or has gone, stops nothing.

    It goes past `sys.stdout`, whose lock a thread that is stuck in a write would keep for ever.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._texts: queue.Queue[str | None] = queue.Queue(maxsize=100)
        self._thread = threading.Thread(target=self._run, name="mockveo-output", daemon=True)
        self._thread.start()

    def write(self, text: str) -> bool:
        """Takes lines to be written; False where too much is waiting already, and they are lost."""
        try:
            self._texts.put_nowait(text)
        except queue.Full:
            return False
        return True

    def close(self) -> None:
        """Waits a moment for what has not been written yet."""
        with suppress(queue.Full):
            self._texts.put_nowait(None)
        self._thread.join(timeout=1)

    def _run(self) -> None:
        while (text := self._texts.get()) is not None:
            data = f"{text}\n".encode("utf-8", "backslashreplace")
            with suppress(OSError):  # whoever read has gone; the server stays
                while data:
                    data = data[os.write(self._descriptor, data) :]


class Log:
    """Writes the exchanges of a feed, one line each, in batches: a write for each would double a request's cost."""

    def __init__(self, feed: Feed, log_format: str, out: LogWriter, *, findings: bool) -> None:
        self._feed = feed
        self._line = _FORMATS[log_format]
        self._as_json = log_format == "json"
        self._findings = findings
        self._watch: LiveFindings | None = None
        self._out = out
        self._seen = 0
        self._lost = 0

    def flush(self) -> None:
        """Writes what is new, and says how much was lost where it came faster than it could be kept or written."""
        new = self._feed.count - self._seen
        if not new:
            return
        exchanges = self._feed.take()
        self._seen += new
        self._lost += max(new - len(exchanges), 0)
        lines = [*map(self._told, exchanges), *self._found(exchanges)]
        if not self._out.write("\n".join(lines)):
            self._lost += len(exchanges)
        elif self._lost:
            print(f"mockveo: {self._lost} exchanges came too fast to be logged", file=sys.stderr)
            self._lost = 0

    def _told(self, exchange: ExchangeRecord) -> str:
        try:
            return self._line(exchange)
        except Exception as error:  # noqa: BLE001 - a log never stops the server
            return f"mockveo: exchange {exchange.number} cannot be shown: {error}"

    def _found(self, exchanges: list[ExchangeRecord]) -> list[str]:
        """What the rules of the contract have to say of it, a line for each finding."""
        if not self._findings:
            return []
        # Here, not above: the server is to listen before the rules are loaded.
        from mockveo.rules.live import LiveFindings

        self._watch = self._watch or LiveFindings()
        # What a line about the exchange says already is not said again.
        said = {note.message for exchange in exchanges for note in exchange.deviations}
        found = self._watch.add(exchanges)
        if self._as_json:
            return [orjson.dumps({"finding": live.to_json()}).decode() for live in found]
        return [str(live) for live in found if live.finding.message not in said]
