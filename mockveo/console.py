"""A server in the foreground of a terminal: what it prints, the ready file and the log."""

from __future__ import annotations

import gc
import logging
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Final, TextIO

import orjson

from mockveo import __version__
from mockveo.hosts import is_loopback
from mockveo.journal import Exchange, Journal, as_json, as_line
from mockveo.server import SAMPLE_KEY, Application, Server
from mockveo.settings import Settings

_FORMATS: Final[dict[str, Callable[[Exchange], str]]] = {
    "text": as_line,
    "json": lambda exchange: orjson.dumps(as_json(exchange)).decode(),
}


def run(settings: Settings, *, ready_file: str | None, log_format: str, quiet: bool) -> None:
    """Serves until SIGINT or SIGTERM. Raises MockveoError where that cannot begin."""
    logging.basicConfig(format="mockveo: %(message)s", level=logging.WARNING)
    app = Application(settings)
    log = Log(app.world.journal, _FORMATS[log_format], sys.stdout)

    def ready() -> None:
        # What was made to start with stays for good: the collector need not look at it, now or ever.
        gc.freeze()
        gc.enable()
        if not quiet and log_format == "text":
            print(banner(app, server.url), flush=True)
        if ready_file is not None:
            _write_ready(Path(ready_file), server)

    server = Server(app, on_ready=ready, on_beat=(lambda: None) if quiet else log.flush)
    if not is_loopback(settings.host):
        warnings.warn(
            f"--host {settings.host} opens the server to the network; whoever reaches it can use it", stacklevel=1
        )
    try:
        server.run_here()
    finally:
        if not quiet:
            log.flush()
        if ready_file is not None:
            Path(ready_file).unlink(missing_ok=True)


def banner(app: Application, url: str) -> str:
    """What a person sees first: where it listens and the lines to paste."""
    settings = app.settings
    key = settings.key[0] if settings.key else SAMPLE_KEY
    return (
        f"mockveo {__version__} on {url}  (profile {settings.profile}, scenario {settings.scenario},"
        f" speed {settings.speed:g}, seed {app.seed})\n"
        f"  export COMETAPI_BASE_URL={url}/v1\n"
        f"  export COMETAPI_KEY={'(one of those you gave)' if settings.key else key}"
    )


def _write_ready(path: Path, server: Server) -> None:
    """Whole or not at all, so that whoever waits for the file never reads half of it."""
    ready = {"url": server.url, "base_url": f"{server.url}/v1", "port": server.port, "pid": os.getpid()}
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.write_bytes(orjson.dumps(ready, option=orjson.OPT_APPEND_NEWLINE))
    unfinished.replace(path)


class Log:
    """Writes the exchanges of a journal, one line each, in batches: a write for each would double a request's cost."""

    def __init__(self, journal: Journal, line: Callable[[Exchange], str], stream: TextIO) -> None:
        self._journal = journal
        self._line = line
        self._stream = stream
        self._written = 0

    def flush(self) -> None:
        """Writes what is new. Where there is more than the journal holds, it says how much was left out."""
        new = self._journal.count - self._written
        if not new:
            return
        exchanges = self._journal.since(self._written)
        self._written = self._journal.count
        lines = [self._line(exchange) for exchange in exchanges]
        if new > len(exchanges):
            print(f"mockveo: {new - len(exchanges)} exchanges came too fast to be logged", file=sys.stderr)
        print("\n".join(lines), file=self._stream, flush=True)
