"""The supervisor of several workers: they share its sockets, their exchanges make one log, and dead ones are replaced.

SIGTERM and SIGINT end all: each worker takes no new connections, finishes what is under way, and ends. SIGHUP replaces
one worker after the other, and no request is lost.
"""

from __future__ import annotations

import os
import random
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Final

import orjson

from mockveo.console.log import LogWriter, TerminalLog
from mockveo.console.output import say
from mockveo.console.ready_file import ReadyFile
from mockveo.console.worker import WorkerOrder
from mockveo.errors import SettingsError
from mockveo.server.run import DRAIN_S, SHUTDOWN_GRACE_S, listening_sockets
from mockveo.settings import REDIS_URL, Settings
from mockveo.simulator.stores.records import exchange_from_bytes
from mockveo.traffic.journal import Feed

#: Pause between two looks at the workers and the log. Arbitrary: short for a person.
BEAT_S: Final = 0.1
#: How long workers may take to end before they are killed.
END_S: Final = DRAIN_S + SHUTDOWN_GRACE_S + 2
#: A worker that lives shorter could not start. After so many in a row the supervisor gives up, unless one has served:
#: then the settings are right, and it tries again after a pause, e.g. until the store is back. Arbitrary.
SHORT_LIFE_S: Final = 2.0
MAX_SHORT_LIVES: Final = 3
RETRY_PAUSE_S: Final = 1.0
#: Bytes that are read from a pipe at once.
CHUNK_BYTES: Final = 2**16


@dataclass(eq=False)
class WorkerProcess:
    """A worker, and what it has written that is not a whole line yet."""

    number: int
    process: subprocess.Popen[bytes]
    pipe: int
    started: float
    is_ready: bool = False
    #: Whether it was asked to end.
    is_ending: bool = False
    rest: bytes = field(default=b"", repr=False)


class Supervisor:
    """The workers of one server. Raises SettingsError if their state would not be the same."""

    def __init__(self, settings: Settings, *, log: TerminalLog | None, feed: Feed | None) -> None:
        if settings.store is None or not REDIS_URL.match(settings.store):
            raise SettingsError(
                f"--workers is {settings.workers}, and --store is {settings.store or 'not given'}; expected a store"
                " that processes share, e.g. --store redis://localhost"
            )
        self._sockets = listening_sockets(settings)
        ports = [each.getsockname()[1] for each in self._sockets]
        seed = random.SystemRandom().randrange(2**32) if settings.seed is None else settings.seed
        self._count = settings.workers
        self._settings = replace(settings, port=ports[0], other_port=ports[1], seed=seed, workers=1)
        self._log, self._feed = log, feed
        self._environment = dict(os.environ)
        self._directory = TemporaryDirectory() if settings.metrics else None
        if self._directory is not None:
            # Where prometheus_client finds what all workers count.
            self._environment["PROMETHEUS_MULTIPROC_DIR"] = self._directory.name
        self._selector = selectors.DefaultSelector()
        self._workers: list[WorkerProcess] = []
        #: Workers that wait for their replacement to be ready.
        self._outgoing: list[WorkerProcess] = []
        self._short_lives = 0
        self._has_served = False
        #: When to start workers again that could not start, by their numbers.
        self._due: dict[int, float] = {}
        self._asked: set[int] = set()
        self.banner = ""
        self.port = ports[0]

    def run(self, on_ready: Callable[[str], None]) -> int:
        """Keep the workers running until a signal; return the exit status. `on_ready` gets the banner."""
        status, is_reported = 0, False
        with self._signals():
            for number in range(1, self._count + 1):
                self._start(number)
            while not self._asked & {signal.SIGTERM, signal.SIGINT} and not status:
                self._look()
                status = self._replace_dead()
                if not is_reported and not self._due and all(worker.is_ready for worker in self._workers):
                    is_reported = True
                    on_ready(self.banner)
                if signal.SIGHUP in self._asked:
                    self._asked.discard(signal.SIGHUP)
                    self._begin_rolling()
            self._end_all()
        return status

    def _start(self, number: int) -> WorkerProcess:
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        descriptors = [each.fileno() for each in self._sockets]
        process = subprocess.Popen(
            [sys.executable, "-m", "mockveo.console.worker"],
            stdin=subprocess.PIPE,
            pass_fds=(*descriptors, writing),
            env=self._environment,
            start_new_session=True,  # Ctrl-C of a terminal reaches the supervisor alone
        )
        os.close(writing)
        order = WorkerOrder.of(self._settings, descriptors, writing, logs=self._feed is not None)
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.write(order.line())
            process.stdin.flush()
        worker = WorkerProcess(number, process, reading, time.monotonic())
        self._selector.register(reading, selectors.EVENT_READ, worker)
        self._workers.append(worker)
        return worker

    def _look(self) -> None:
        """Read what workers have written, for one beat at most, and write the log."""
        for key, _ in self._selector.select(BEAT_S):
            self._read(key.data)
        if self._log is not None:
            self._log.flush()

    def _read(self, worker: WorkerProcess) -> None:
        with suppress(BlockingIOError, KeyError):
            while chunk := os.read(worker.pipe, CHUNK_BYTES):
                *lines, worker.rest = (worker.rest + chunk).split(b"\n")
                for line in lines:
                    self._take(worker, line)
            self._selector.unregister(worker.pipe)  # its end, after the worker's

    def _take(self, worker: WorkerProcess, line: bytes) -> None:
        if line.startswith(b'{"banner"'):
            worker.is_ready, self.banner = True, orjson.loads(line)["banner"]
            self._short_lives, self._has_served = 0, True
            for old in [old for old in self._outgoing if old.number == worker.number]:
                self._outgoing.remove(old)
                self._ask_to_end(old)
        elif self._feed is not None:
            self._feed.add(exchange_from_bytes(line))

    def _replace_dead(self) -> int:
        """Start a worker for each that has died; return the exit status if that is of no use, else 0."""
        for number in [number for number, due in self._due.items() if time.monotonic() >= due]:
            del self._due[number]
            self._start(number)
        for worker in list(self._workers):
            status = worker.process.poll()
            if status is None:
                continue
            self._forget(worker)
            if worker.is_ending:
                continue
            # Not one that was killed: that says nothing about the next.
            if status > 0 and time.monotonic() - worker.started < SHORT_LIFE_S and not worker.is_ready:
                if self._has_served:
                    self._due[worker.number] = time.monotonic() + RETRY_PAUSE_S
                    continue
                self._short_lives += 1
                if self._short_lives >= MAX_SHORT_LIVES:
                    say(f"mockveo: {MAX_SHORT_LIVES} workers could not start; the reason is above", err=True)
                    return 1
            reason = f"signal {-status}" if status < 0 else f"status {status}"
            say(f"mockveo: worker {worker.number} ended with {reason}; another takes its place", err=True)
            self._start(worker.number)
        return 0

    def _begin_rolling(self) -> None:
        """Start another worker for each; the old one ends once the new one serves."""
        for worker in [worker for worker in self._workers if not worker.is_ending and worker not in self._outgoing]:
            self._outgoing.append(worker)
            self._start(worker.number)

    def _ask_to_end(self, worker: WorkerProcess) -> None:
        worker.is_ending = True
        worker.process.terminate()

    def _end_all(self) -> None:
        for worker in self._workers:
            self._ask_to_end(worker)
        deadline = time.monotonic() + END_S
        while self._workers:
            self._look()
            for worker in list(self._workers):
                if worker.process.poll() is not None:
                    self._forget(worker)
                elif time.monotonic() > deadline:
                    worker.process.kill()
        for each in self._sockets:
            each.close()
        self._selector.close()
        if self._directory is not None:
            self._directory.cleanup()

    def _forget(self, worker: WorkerProcess) -> None:
        self._read(worker)
        with suppress(KeyError):
            self._selector.unregister(worker.pipe)
        os.close(worker.pipe)
        assert worker.process.stdin is not None
        with suppress(BrokenPipeError):  # what a worker did not read that died at once
            worker.process.stdin.close()
        self._workers.remove(worker)
        if worker in self._outgoing:
            self._outgoing.remove(worker)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Note signals, for the next beat."""

        def note(number: int, _: FrameType | None) -> None:
            self._asked.add(number)

        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        before = [signal.signal(number, note) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)


def run_workers(settings: Settings, *, ready_file: str | None, log_format: str, quiet: bool, findings: bool) -> int:
    """Serve by several workers until SIGINT or SIGTERM; return the exit status. Raises MockveoError."""
    feed = None if quiet else Feed(settings.max_exchanges)
    ready = None if ready_file is None else ReadyFile(Path(ready_file))
    writer = LogWriter(sys.stdout.fileno())
    log = None if feed is None else TerminalLog(feed, log_format, writer, findings=findings)
    supervisor = Supervisor(settings, log=log, feed=feed)

    def on_ready(banner: str) -> None:
        url = banner.partition(" on ")[2].partition("  ")[0]
        if not quiet and log_format == "text":
            writer.write(f"{banner}\n  {settings.workers} workers")
        if ready is not None:
            ready.write(url, supervisor.port)

    try:
        return supervisor.run(on_ready)
    finally:
        if log is not None:
            log.close()
        writer.close()
        if ready is not None:
            ready.remove()
