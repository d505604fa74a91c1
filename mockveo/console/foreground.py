"""A server in the foreground of a terminal: its banner, its ready file and its log."""

from __future__ import annotations

import gc
import logging
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import orjson

from mockveo._version import __version__
from mockveo.console.log import LogWriter, TerminalLog
from mockveo.environment import exports
from mockveo.errors import SettingsError
from mockveo.http.hosts import is_loopback
from mockveo.server.app import Application
from mockveo.server.run import SAMPLE_KEY, Server
from mockveo.settings import Settings
from mockveo.traffic.journal import Feed


def run(
    settings: Settings,
    *,
    ready_file: str | None = None,
    log_format: str = "text",
    quiet: bool = False,
    findings: bool = True,
    opening: Callable[[Application, str], str] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM. Raises MockveoError if the server cannot start.

    `opening` prepares the application once its URL is known, and returns the text to print first instead of the banner.
    """
    logging.basicConfig(format="mockveo: %(message)s", level=logging.WARNING)
    feed = None if quiet else Feed(settings.max_exchanges)
    app = Application(settings, feed=feed)
    writer = LogWriter(sys.stdout.fileno())
    log = None if feed is None else TerminalLog(feed, log_format, writer, findings=findings)
    if ready_file is not None:
        _check_ready_file(Path(ready_file))

    def ready() -> None:
        # What was allocated at the start lives as long as the process: the collector need never look at it.
        gc.freeze()
        gc.enable()
        if not quiet and log_format == "text":
            writer.write(opening_text)
        if ready_file is not None:
            _write_ready(Path(ready_file), server)

    server = Server(app, on_ready=ready, on_beat=log.flush if log else lambda: None)
    opening_text = (opening or banner)(app, server.url)
    if not is_loopback(settings.host):
        warnings.warn(
            f"--host {settings.host} opens the server to the network; anyone who can reach it can use it", stacklevel=1
        )
    try:
        server.run_here()
    finally:
        if log is not None:
            log.close()
        writer.close()
        if ready_file is not None:
            Path(ready_file).unlink(missing_ok=True)


def banner(app: Application, url: str) -> str:
    """Return the text printed first: where the server listens and the lines to paste."""
    settings = app.settings
    pace = f"speed {settings.speed:g}" if settings.clock == "wall" else f"clock {settings.clock}"
    key = "...  # one of the keys you configured" if settings.key else SAMPLE_KEY
    title = (
        f"mockveo {__version__} on {url}  (profile {settings.profile}, scenario {app.world.plan.scenario.name},"
        f" {pace}, seed {app.seed})"
    )
    return "\n".join([title, *exports(f"{url}/v1", key)])


def _check_ready_file(path: Path) -> None:
    """Remove the file of an earlier run. Raises SettingsError if the path cannot be written."""
    try:
        path.unlink(missing_ok=True)
        path.touch()
        path.unlink()
    except OSError as error:
        raise SettingsError(
            f"--ready-file {str(path)!r} cannot be written: {error.strerror}; expected a file in an existing directory,"
            " e.g. --ready-file ready.json"
        ) from None


def _write_ready(path: Path, server: Server) -> None:
    """Write the ready file in one step, so that a reader never sees half of it."""
    ready = {"url": server.url, "base_url": f"{server.url}/v1", "port": server.port, "pid": os.getpid()}
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.write_bytes(orjson.dumps(ready, option=orjson.OPT_APPEND_NEWLINE))
    unfinished.replace(path)
