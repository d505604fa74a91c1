"""The process between `mockveo run` and the program: it isolates, starts, signals and ends the program.

It lives as long as mockveo or the program, whichever ends first, and leaves nothing: no process, no file. It is a
process of its own, because a process with threads can neither fork safely nor enter a user namespace. It starts with
the standard library alone, and has a child, the keeper, which is the first process of the program's namespace:

    mockveo run  --channel-->  supervisor  --pipe-->  keeper  -->  program, and what the program starts
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from mockveo.interception.sandbox import kernel, namespace
from mockveo.interception.sandbox.channel import Channel

#: Signals that a person or another program sends to `mockveo run`, and that the program is to get.
FORWARDED: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
)
#: A signal that the keeper has got itself this short a time ago went to the whole group, and so to the program too.
_SAME_SIGNAL_S: Final = 0.3
#: How long processes that outlive the program may take to end, e.g. a `tee` at the end of its output.
_GRACE_S: Final = 1.0
_TURN_S: Final = 0.02


def main() -> None:
    """Serve mockveo at the other end of the channel, whose descriptor is the first argument."""
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    command = sys.argv[2:]
    _expect_signals()
    plan = channel.receive()
    if plan is None:
        return
    try:
        listeners = namespace.enter(plan) if plan["isolation"] == "namespace" else []
    except (namespace.RefusedError, OSError) as refusal:  # OSError e.g. without /proc
        channel.send({"refused": str(refusal)})
        return
    channel.send({"ready": True}, listeners)
    for listener in listeners:
        listener.close()
    if channel.receive() is not None:
        _Supervisor(channel, plan, command).run()
    _remove(plan)


def _expect_signals() -> None:
    """Survive the signals of a terminal, which the whole group gets. A signal that is ignored stays ignored."""
    for number in FORWARDED:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


def _remove(plan: dict[str, Any]) -> None:
    shutil.rmtree(plan["directory"], ignore_errors=True)


class _Supervisor:
    def __init__(self, channel: Channel, plan: dict[str, Any], command: list[str]) -> None:
        self._channel = channel
        self._plan = plan
        self._command = command

    def run(self) -> None:
        """Start the keeper and pass signals on; report the end. If mockveo goes first, end everything."""
        in_namespace = self._plan["isolation"] == "namespace"
        if not in_namespace and sys.platform == "linux":
            kernel.become_subreaper()
        orders_read, orders = os.pipe()
        reports, reports_write = os.pipe()
        keeper = os.fork()
        if keeper == 0:
            os.close(orders)
            os.close(reports)
            self._channel.close()
            _Keeper(self._plan, self._command, orders_read, reports_write).run()
        os.close(orders_read)
        os.close(reports_write)
        report = self._wait(orders, reports)
        if report is None and in_namespace:
            os.kill(keeper, signal.SIGKILL)  # with which the kernel ends its whole namespace
        os.close(orders)  # whereupon the keeper ends the program, if that still runs
        os.waitpid(keeper, 0)
        if not in_namespace:
            _end_descendants()
        if report is not None:
            counters = namespace.counters() if in_namespace else None
            self._channel.send({**report, "counters": counters})

    def _wait(self, orders: int, reports: int) -> dict[str, Any] | None:
        """Return the keeper's last report; None if mockveo is gone."""
        text = b""
        while True:
            ready: list[Any] = select.select([self._channel.fileno(), reports], [], [])[0]
            if self._channel.fileno() in ready:
                message = self._channel.receive()
                if message is None:
                    return None
                with suppress(BrokenPipeError):
                    os.write(orders, bytes([message["signal"]]))
            if reports in ready:
                data = os.read(reports, 65536)
                text += data
                while b"\n" in text:
                    line, _, text = text.partition(b"\n")
                    message = json.loads(line)
                    if "started" not in message:
                        return dict(message)
                    self._channel.send(message)
                if not data:
                    return {"exited": 128 + signal.SIGKILL, "left": 0, "keeper": "killed"}


class _Keeper:
    """The parent of the program, and of the orphans it makes."""

    def __init__(self, plan: dict[str, Any], command: list[str], orders: int, reports: int) -> None:
        self._plan = plan
        self._command = command
        self._orders = orders
        self._reports = reports
        self._in_namespace = plan["isolation"] == "namespace"
        #: Signal -> when it came to the keeper itself, on the monotonic clock.
        self._received: dict[int, float] = {}

    def run(self) -> None:
        """Run the program to its end, and exit."""
        try:
            self._run()
        finally:
            os._exit(0)

    def _run(self) -> None:
        if self._in_namespace:
            namespace.mount_own_processes()
        elif sys.platform == "linux":
            kernel.become_subreaper()
        wakeups, wakeup = os.pipe()
        os.set_blocking(wakeup, False)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in FORWARDED:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._note)
        try:
            program = subprocess.Popen(self._command, preexec_fn=self._restrict)  # noqa: PLW1509, S603
        except (OSError, subprocess.SubprocessError) as error:
            self._report({"failed": getattr(error, "strerror", None) or str(error)})
            return
        self._report({"started": program.pid})
        status = self._wait(program.pid, wakeups)
        self._report({"exited": status, "left": self._end_orphans()})

    def _note(self, number: int, _: object) -> None:
        self._received[number] = time.monotonic()

    def _restrict(self) -> None:
        if self._plan["isolation"] == "landlock":
            kernel.restrict_tcp(self._plan["ports"])

    def _report(self, message: dict[str, Any]) -> None:
        os.write(self._reports, json.dumps(message).encode() + b"\n")

    def _wait(self, program: int, wakeups: int) -> int:
        """Return the exit status of the program, as a shell shows it; reap orphans meanwhile."""
        while True:
            ready, _, _ = select.select([self._orders, wakeups], [], [])
            if self._orders in ready:
                orders = os.read(self._orders, 16)
                if not orders:  # mockveo is gone, or the supervisor was killed.
                    _remove(self._plan)
                    os.kill(program, signal.SIGKILL)
                    if not self._in_namespace:
                        _end_descendants()
                    os._exit(0)
                for number in orders:
                    if time.monotonic() - self._received.get(number, -1) > _SAME_SIGNAL_S:
                        with suppress(ProcessLookupError):
                            os.kill(program, number)
            if wakeups in ready:
                os.read(wakeups, 4096)
                status = _reap(program)
                if status is not None:
                    return status if status >= 0 else 128 - status

    def _end_orphans(self) -> int:
        """End what outlives the program after a moment; return how many processes that were."""
        deadline = time.monotonic() + _GRACE_S
        while self._has_orphans():
            if time.monotonic() > deadline:
                if not self._in_namespace:
                    return _end_descendants()
                os.kill(-1, signal.SIGKILL)
                return _reap_all()
            time.sleep(_TURN_S)
        return 0

    def _has_orphans(self) -> bool:
        """Return whether a process is left, after reaping those that have ended."""
        _reap(0)
        if self._in_namespace:
            # A process whose parent still lives is not a child of the keeper, but its parent is.
            try:
                os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return False
            return True
        return bool(descendants(os.getpid()))


def _reap(program: int) -> int | None:
    """Reap every child that has ended; return the program's status if it is among them."""
    result = None
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == program:
                result = os.waitstatus_to_exitcode(status)
    return result


def _reap_all() -> int:
    """Wait for every child; return how many there were."""
    count = 0
    with suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
            count += 1
    return count


def _end_descendants() -> int:
    """Kill every descendant of this process, also those that are born meanwhile; return how many there were."""
    killed: set[int] = set()
    while alive := descendants(os.getpid()):
        for pid in alive:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if alive <= killed:
            time.sleep(_TURN_S)
        killed |= alive
        _reap(0)
    return len(killed)


def descendants(ancestor: int) -> set[int]:
    """Return the processes below a process, except those that have ended; empty where /proc does not show them."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir() if Path("/proc/self/stat").exists() else ():
        if entry.name.isdecimal():
            with suppress(OSError):
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if state != "Z":
                    parents[int(entry.name)] = int(parent)
    below: set[int] = set()
    waiting = [ancestor]
    while waiting:
        children = {pid for pid, parent in parents.items() if parent in waiting}
        waiting = sorted(children - below)
        below |= children
    return below
