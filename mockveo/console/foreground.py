"""A server in the foreground of a terminal: its banner and its log."""

from __future__ import annotations

import gc
import logging
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from mockveo._version import __version__
from mockveo.console.log import LogWriter, TerminalLog
from mockveo.console.ready_file import ReadyFile
from mockveo.environment import exports
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
    ready = None if ready_file is None else ReadyFile(Path(ready_file))
    app = Application(settings, feed=feed)
    writer = LogWriter(sys.stdout.fileno())
    log = None if feed is None else TerminalLog(feed, log_format, writer, findings=findings)

    def listening() -> None:
        # What was allocated at the start lives as long as the process: the collector need never look at it.
        gc.freeze()
        gc.enable()
        if not quiet and log_format == "text":
            writer.write(opening_text)
        if ready is not None:
            ready.write(server.url, server.port)

    server = Server(app, on_ready=listening, on_beat=log.flush if log else lambda: None)
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
        if ready is not None:
            ready.remove()


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
