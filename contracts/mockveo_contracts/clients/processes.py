"""A program that is driven through its pipes: what it writes is read as it comes, and nothing of it stays behind.

It runs in a process group of its own, so that its children end with it; one that leaves the group (`setsid`) is out of
reach. Pipes are waited for with poll(2), which Linux and macOS have; Windows cannot wait for pipes.
"""

from __future__ import annotations

import errno
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from mockveo_contracts.clients.driver import DriverError, nobodys

#: Seconds that a program gets after SIGTERM, before it is killed.
GENTLY: Final = 0.5
#: Seconds between two looks at whether a program has ended; its pipes, which children may hold open, need not tell.
TICK: Final = 0.02
#: Bytes that are read at once of each pipe: more than one can hold, so that whatever was written before is seen.
MOST: Final = 2**18
#: Bytes of a line; what is longer is no message.
LONGEST_LINE: Final = 2**24
#: Bytes that are kept of what is written to standard error, and of it in front of what follows, as a key may be cut.
TAIL: Final = 4000
_OVERLAP: Final = 200
#: What may send a client elsewhere, or lend it a key that is none of ours.
_LIBRARY: Final = "libfaketimeMT.so.1"
#: Where it is looked for.
LIBRARIES: Final = ("/usr/lib/*/faketime", "/usr/lib/faketime", "/usr/lib64/faketime", "/usr/local/lib/faketime")


class Process:
    """A program that runs. Raises DriverError where it cannot be started, ValueError for an environment that cannot be.

    `seconds` pass for it in one of ours, which its environment has to see to.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], *, seconds: float = 1.0) -> None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self._seconds = seconds
        self._began = time.monotonic(), time.time()
        try:
            self._popen = subprocess.Popen(command, **pipes, bufsize=0, env=environment, start_new_session=True)  # type: ignore[call-overload]  # noqa: S603
        except OSError as error:
            if error.errno == errno.E2BIG:
                raise ValueError("a value is longer than an environment variable may be") from None
            raise DriverError(_cannot_start(command, error)) from None
        files = self._popen.stdin, self._popen.stdout, self._popen.stderr
        self._in, self._out, self._err = (file.fileno() for file in files)
        for number in (self._in, self._out, self._err):
            os.set_blocking(number, False)
        self._open = {self._in, self._out, self._err}
        self._unsent, self._last = bytearray(), False
        self._line = bytearray()
        #: Whole lines of standard output that nobody has taken yet, and the rest of it once it has ended.
        self.lines: deque[bytes] = deque()
        #: What came on standard error that nobody has taken yet, each piece with the end of the one before.
        self.errors: deque[tuple[bytes, int]] = deque()
        #: The end of standard error.
        self.tail = b""

    @property
    def age(self) -> float:
        """Our own seconds since it was started."""
        return time.monotonic() - self._began[0]

    @property
    def date(self) -> float:
        """What its calendar says, in Unix seconds."""
        return self._began[1] + self.age * self._seconds

    @property
    def in_step(self) -> bool:
        """Whether its time can pass as it is to: what is linked statically, as Go links, loads no library for that."""
        if self._seconds == 1:
            return True
        try:
            return "libfaketime" in Path(f"/proc/{self._popen.pid}/maps").read_text(errors="replace")
        except OSError:
            return True

    @property
    def status(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        status: int | None = self._popen.poll()
        return status

    @property
    def dumb(self) -> bool:
        """Whether it has closed its standard output, or has ended."""
        return self._out not in self._open or self.status is not None

    def write(self, data: bytes, *, last: bool = False) -> None:
        """Sends it something as soon as it takes it; after the `last` its input ends."""
        self._unsent += data
        self._last = self._last or last
        self._send()

    def end(self, *, gently: float = GENTLY) -> None:
        """Ends it with its children, and reads what it has written up to then."""
        if self._popen.returncode is None:
            if gently:
                self._signal(signal.SIGTERM)
                until = time.monotonic() + gently
                while self.status is None and time.monotonic() < until:
                    wait([self], TICK)
            self.receive()
        # Children may be there still; no process is given the number of a group that has members.
        self._signal(signal.SIGKILL)
        self._popen.wait()
        self.receive()
        for number in list(self._open):
            self._close(number)
        self._finish_line()
        for name in (f"faketime_shm_{self._popen.pid}", f"sem.faketime_sem_{self._popen.pid}"):
            # libfaketime leaves them where its program is killed, and stumbles over them later.
            with suppress(OSError):
                Path("/dev/shm", name).unlink()  # noqa: S108 - its own place

    def wants(self) -> dict[int, int]:
        """The pipes to wait for."""
        found = {number: selectors.EVENT_READ for number in (self._out, self._err) if number in self._open}
        return found | ({self._in: selectors.EVENT_WRITE} if self._in in self._open and self._unsent else {})

    def receive(self) -> None:
        """Takes what it has written, and sends what it has room for."""
        self._send()
        # In this order: what was written to standard error before a line of standard output is seen with that line.
        for number in (self._out, self._err):
            self._read(number)

    def _read(self, number: int) -> None:
        left = MOST
        while number in self._open and left > 0:
            try:
                data = os.read(number, 2**16)
            except BlockingIOError:
                return
            left -= len(data)
            if not data:
                self._close(number)
                if number == self._out:
                    self._finish_line()
            elif number == self._err:
                before = self.tail[-_OVERLAP:]
                self.errors.append((before + data, len(before)))
                self.tail = (self.tail + data)[-TAIL:]
            else:
                *whole, rest = data.split(b"\n")
                for one in whole:
                    self.lines.append(bytes(self._line) + one)
                    self._line.clear()
                self._line += rest
                if len(self._line) > LONGEST_LINE:
                    self._finish_line()

    def _finish_line(self) -> None:
        if self._line:
            self.lines.append(bytes(self._line))
            self._line.clear()

    def _send(self) -> None:
        while self._unsent and self._in in self._open:
            try:
                del self._unsent[: os.write(self._in, self._unsent[: 2**16])]
            except BlockingIOError:
                return
            except OSError:  # it reads no more, which its answers show
                self._unsent.clear()
                self._close(self._in)
        if self._last and self._in in self._open:
            self._close(self._in)

    def _close(self, number: int) -> None:
        self._open.discard(number)
        files = self._popen.stdin, self._popen.stdout, self._popen.stderr
        next(file for file in files if file is not None and not file.closed and file.fileno() == number).close()

    def _signal(self, number: int) -> None:
        # macOS refuses to signal a group of which only the dead are left.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, number)


def wait(processes: Collection[Process], seconds: float) -> None:
    """Waits until one of them has written something, or for some seconds at most, and takes what there is."""
    with selectors.PollSelector() as selector:
        for process in processes:
            for number, events in process.wants().items():
                selector.register(number, events)
        selector.select(max(seconds, 0.0))
    for process in processes:
        process.receive()


def environment(more: Mapping[str, str], seconds: float = 1.0) -> dict[str, str]:
    """The environment of a program: ours, without keys and addresses of the API, and with some more.

    `seconds` are those that are to pass for it in one of ours. Raises DriverError where that cannot be had.
    """
    found = {name: value for name, value in nobodys(os.environ).items() if not name.startswith("MOCKVEO_")}
    # A client's `print` is to arrive when it is called.
    found.setdefault("PYTHONUNBUFFERED", "1")
    return {**found, **more, **(_faster(found, seconds) if seconds != 1 else {})}


def _faster(found: Mapping[str, str], seconds: float) -> dict[str, str]:
    if not sys.platform.startswith("linux"):
        raise DriverError(f"--accelerate {seconds:g} needs libfaketime as Linux has it; here, leave --accelerate out")
    if seconds < 1:
        raise DriverError(f"--accelerate is {seconds:g}; wanted how many times as fast, e.g. --accelerate 20")
    places = [place for pattern in LIBRARIES for place in Path("/").glob(f"{pattern[1:]}/{_LIBRARY}")]
    if not places:
        remedy = "install the package `faketime` (Debian, Ubuntu) or `libfaketime` (Fedora, Arch)"
        where = ", ".join(LIBRARIES)
        raise DriverError(f"--accelerate needs libfaketime: no {_LIBRARY} in {where}; {remedy}")
    preload = ":".join(filter(None, [str(places[0]), found.get("LD_PRELOAD")]))
    return {"LD_PRELOAD": preload, "FAKETIME": f"+0 x{seconds:g}", "NO_FAKE_STAT": "1"}


def _cannot_start(command: Sequence[str], error: OSError) -> str:
    program = command[0]
    example = f"e.g. mockveo check -- python {program}" if program.endswith(".py") else "e.g. -- python my_client.py"
    path = Path(program)
    if path.is_dir():
        return f"{program!r} is a directory; wanted a program, {example}"
    if isinstance(error, FileNotFoundError) and path.is_file():
        if os.sep in program:
            return (
                f"{program!r} names in its first line an interpreter that is not there; wanted one that is, {example}"
            )
        return f"there is no program {program!r} on the PATH, yet a file here; wanted ./{program}, or {example}"
    if isinstance(error, FileNotFoundError):
        return f"there is no program {program!r}; wanted one that can be started, {example}"
    if isinstance(error, PermissionError):
        remedy = "make it executable (chmod +x), or name its interpreter"
        return f"{program!r} may not be started ({error.strerror}); {remedy}, {example}"
    what = "names no interpreter in its first line" if error.errno == errno.ENOEXEC else error.strerror
    return f"{program!r} cannot be started: it {what}; wanted a program, {example}"
