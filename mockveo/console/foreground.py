"""A server in the foreground of a terminal: its banner and its log."""

from __future__ import annotations

import gc
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mockveo._version import __version__
from mockveo.console.log import LogWriter, TerminalLog
from mockveo.console.output import log_to_terminal
from mockveo.console.ready_file import ReadyFile
from mockveo.environment import exports
from mockveo.http.hosts import is_loopback
from mockveo.server.app import Application
from mockveo.server.run import SAMPLE_KEY, Server
from mockveo.settings import Settings
from mockveo.text import counted, printable
from mockveo.traffic.journal import Feed

if TYPE_CHECKING:
    from mockveo.interception.serving import TlsOptions

#: Exchanges above which the bill at the end of the log leaves out worlds, the least recently called ones. Arbitrary:
#: reading them takes about a second, which a person waits after Ctrl-C.
MAX_BILLED_EXCHANGES: Final = 20_000

#: When the collector runs, in objects and in runs of the younger generation. Requests make few circles, so that looking
#: for them as often as Python does by default would be a twentieth of a create.
GC_THRESHOLDS: Final = (10_000, 20, 20)


def run(
    settings: Settings,
    *,
    ready_file: str | None = None,
    log_format: str = "text",
    quiet: bool = False,
    findings: bool = True,
    opening: Callable[[Application, str], str] | None = None,
    tls: TlsOptions | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM. Raises MockveoError if the server cannot start.

    `opening` prepares the application once its URL is known, and returns the text to print first instead of the banner.
    """
    log_to_terminal()
    feed = None if quiet else Feed(settings.max_exchanges)
    ready = None if ready_file is None else ReadyFile(Path(ready_file))
    app = Application(settings, feed=feed)
    writer = LogWriter(sys.stdout.fileno())
    log = None if feed is None else TerminalLog(feed, log_format, writer, findings=findings)

    def listening() -> None:
        # What was allocated at the start lives as long as the process: the collector need never look at it.
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        gc.enable()
        if not quiet and log_format == "text":
            writer.write(opening_text)
        if ready is not None:
            ready.write(server.url, server.port)

    # Others with the same store go on when it ends, as workers do.
    drains = app.worlds.stores.is_shared
    server = Server(app, on_ready=listening, on_beat=log.flush if log else lambda: None, drains=drains)
    opening_text = (opening or banner)(app, server.url)
    if tls is not None:
        # Imported lazily, because cryptography is an extra.
        from mockveo.interception.serving import serve_tls

        opening_text += f"\n{serve_tls(server, app, tls)}"
    if not is_loopback(settings.host):
        warnings.warn(
            f"--host {settings.host} opens the server to the network; anyone who can reach it can use it", stacklevel=1
        )
    try:
        server.run_here()
    finally:
        if log is not None:
            log.close()
            if bill := _bill(app, log_format):
                writer.write(bill)
        writer.close()
        if ready is not None:
            ready.remove()


def _bill(app: Application, log_format: str) -> str:
    """Return what the log ends with: the bill of the worlds, and the jobs that were wasted; "" without a job."""
    if not any(len(world.jobs) for world in app.worlds):
        return ""
    # Imported lazily so that a server starts fast.
    from mockveo.rules.bill import merged
    from mockveo.server.billing import world_bill

    default, *named = app.worlds
    bills, read = [], 0
    for world in (default, *reversed(named)):
        if len(world.jobs) and read < MAX_BILLED_EXCHANGES:
            bills.append(world_bill(world, place=world.prefix))
            read += len(world.journal)
    bill, left_out = merged(bills), sum(bool(len(world.jobs)) for world in app.worlds) - len(bills)
    if log_format == "json":
        return json.dumps({"bill": bill.to_json()})
    note = f" (without {counted(left_out, 'world')} that were called before)" if left_out else ""
    lines = [f"bill: {bill.line}{note}", *(f"      {line}" for line in bill.wasted.lines)]
    return "\n".join([printable(line, single_line=True) for line in lines])


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
