"""One of several workers: a server on sockets that it inherits, which sends its exchanges to the supervisor.

It reads one line of JSON, `WorkerOrder`, from standard input, and ends when that is closed. It writes lines to a pipe:
the banner once it listens, then exchanges.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
from dataclasses import asdict, dataclass
from typing import Any, Self

import orjson

from mockveo.console.foreground import GC_THRESHOLDS, banner
from mockveo.console.log import LogWriter
from mockveo.console.output import log_to_terminal, say
from mockveo.errors import MockveoError
from mockveo.server.app import Application
from mockveo.server.run import Server
from mockveo.settings import Settings, of
from mockveo.simulator.stores.records import exchange_to_bytes
from mockveo.traffic.journal import Feed


@dataclass(frozen=True, slots=True)
class WorkerOrder:
    """What a supervisor sends a worker: settings, and the descriptors of its sockets and of its pipe."""

    settings: dict[str, Any]
    sockets: list[int]
    pipe: int
    logs: bool

    @classmethod
    def of(cls, settings: Settings, sockets: list[int], pipe: int, *, logs: bool) -> Self:
        """Return the order for a worker with these settings."""
        return cls(asdict(settings), sockets, pipe, logs)

    def line(self) -> bytes:
        """Return the order as a line."""
        return orjson.dumps(asdict(self)) + b"\n"


def main() -> None:
    """Serve until SIGTERM, or until the supervisor is gone."""
    log_to_terminal()
    order = WorkerOrder(**orjson.loads(sys.stdin.buffer.readline()))
    settings = of(**order.settings)
    feed = Feed(settings.max_exchanges) if order.logs else None
    writer = LogWriter(order.pipe)
    app = Application(settings, feed=feed)
    sockets = [socket.socket(fileno=number) for number in order.sockets]

    def listening() -> None:
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        assert server.loop is not None
        server.loop.add_reader(sys.stdin.fileno(), supervisor_is_gone)
        writer.write(orjson.dumps({"banner": banner(app, server.url)}).decode())

    def supervisor_is_gone() -> None:
        if not os.read(sys.stdin.fileno(), 1):
            server.should_exit = True

    def send_log() -> None:
        exchanges = feed.take() if feed is not None else []
        if exchanges:
            writer.write("\n".join([exchange_to_bytes(exchange).decode() for exchange in exchanges]))

    server = Server(app, on_ready=listening, on_beat=send_log, sockets=sockets, drains=True)
    try:
        server.run_here()
    finally:
        send_log()
        writer.close()


if __name__ == "__main__":
    try:
        main()
    except MockveoError as error:
        say(f"mockveo: {error}", err=True)
        sys.exit(error.exit_status)
