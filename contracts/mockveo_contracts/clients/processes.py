"""A program that is driven through its pipes: its output is read as it comes, and nothing of it stays behind.

It runs in a process group of its own, so that its children end with it; a child that leaves the group (`setsid`) is out
of reach. Pipes are waited for with poll(2), which Linux and macOS have; Windows cannot wait for pipes.
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

from mockveo_contracts.clients.driver import DriverError, isolated

#: Seconds that a program gets after SIGTERM, before it is killed; arbitrary, enough to delete its files.
TERMINATION_S: Final = 0.5
#: Seconds between two looks at whether a program has ended. Its pipes need not show that: children may hold them open.
TICK_S: Final = 0.02
#: Bytes that are read of each pipe at once: more than a pipe holds, so that all that was written before is read.
MAX_READ_BYTES: Final = 2**18
#: Bytes of a line of standard output; arbitrary, no message is nearly as long.
MAX_LINE_BYTES: Final = 2**24
#: Bytes of standard error that are kept; arbitrary, about two screens.
MAX_STDERR_BYTES: Final = 4000
#: Bytes that are seen again before what follows them, as a key may be cut in two: longer than any key.
OVERLAP_BYTES: Final = 200
#: Characters of standard error in an error message; arbitrary.
MAX_SAID_CHARS: Final = 1500
#: The library that makes a program's clocks faster, in its variant for programs with threads.
_LIBFAKETIME: Final = "libfaketimeMT.so.1"
#: Where Linux distributions install it.
LIBFAKETIME_FOLDERS: Final = (
    *("/usr/lib/*/faketime", "/usr/lib/faketime", "/usr/lib64/faketime"),
    "/usr/local/lib/faketime",
)


class Process:
    """A running program. Raises DriverError if it cannot be started, ValueError for an environment that is too large.

    `factor` seconds pass for it in one of ours; the environment has to see to that.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], *, factor: float = 1.0) -> None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self._factor = factor
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
        #: Whole lines of standard output that were not taken yet, and the rest of it once it has ended.
        self.lines: deque[bytes] = deque()
        #: Pieces of standard error that were not taken yet, each after the end of the piece before, of that length.
        self.errors: deque[tuple[bytes, int]] = deque()
        #: The end of standard error.
        self.tail = b""

    @property
    def age(self) -> float:
        """Our own seconds since the start."""
        return time.monotonic() - self._began[0]

    @property
    def date(self) -> float:
        """The program's date, in Unix seconds."""
        return self._began[1] + self.age * self._factor

    @property
    def in_step(self) -> bool:
        """Whether its time passes as it should: programs that are linked statically, as Go links, load no library."""
        if self._factor == 1:
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
        """Send data as soon as the program takes it; after the `last` its input ends."""
        self._unsent += data
        self._last = self._last or last
        self._send()

    def end(self, *, termination_s: float = TERMINATION_S) -> None:
        """End it with its children, and read what it has written up to then."""
        if self._popen.returncode is None:
            if termination_s:
                self._signal(signal.SIGTERM)
                until = time.monotonic() + termination_s
                while self.status is None and time.monotonic() < until:
                    wait([self], TICK_S)
            self.receive()
        # Children may still run; no process is given the number of a group that has members.
        self._signal(signal.SIGKILL)
        self._popen.wait()
        self.receive()
        for number in list(self._open):
            self._close(number)
        self._finish_line()
        for name in (f"faketime_shm_{self._popen.pid}", f"sem.faketime_sem_{self._popen.pid}"):
            # libfaketime leaves them behind if its program is killed, and a later program with this number fails.
            with suppress(OSError):
                Path("/dev/shm", name).unlink()  # noqa: S108 - its own place

    def kill(self) -> None:
        """Kill it with its children, at once. Safe for threads."""
        if self._popen.returncode is None:
            self._signal(signal.SIGKILL)

    def said(self) -> str:
        """Return the end of its standard error, as the last line of an error message."""
        tail = self.tail.decode("utf-8", "replace").strip()
        return f"\n  standard error: {tail[-MAX_SAID_CHARS:] or 'nothing'}"

    def wants(self) -> dict[int, int]:
        """Return the pipes to wait for, each with its events."""
        pipes = {number: selectors.EVENT_READ for number in (self._out, self._err) if number in self._open}
        if self._in in self._open and self._unsent:
            pipes[self._in] = selectors.EVENT_WRITE
        return pipes

    def receive(self) -> None:
        """Read what it has written, and send what it has room for."""
        self._send()
        # In this order: what was written to standard error before a line of standard output is read with that line.
        for number in (self._out, self._err):
            self._read(number)

    def _read(self, number: int) -> None:
        left = MAX_READ_BYTES
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
                before = self.tail[-OVERLAP_BYTES:]
                self.errors.append((before + data, len(before)))
                self.tail = (self.tail + data)[-MAX_STDERR_BYTES:]
            else:
                self._take_output(data)

    def _take_output(self, data: bytes) -> None:
        *ends, rest = data.split(b"\n")
        for end in ends:
            self.lines.append(bytes(self._line) + end)
            self._line.clear()
        self._line += rest
        if len(self._line) > MAX_LINE_BYTES:
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
            except OSError:  # it reads no more, which its results will show
                self._unsent.clear()
                self._close(self._in)
        if self._last and self._in in self._open:
            self._close(self._in)

    def _close(self, number: int) -> None:
        self._open.discard(number)
        files = self._popen.stdin, self._popen.stdout, self._popen.stderr
        next(file for file in files if file is not None and not file.closed and file.fileno() == number).close()

    def _signal(self, number: int) -> None:
        # macOS refuses to signal a group that has only zombies left.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, number)


def how_it_ended(process: Process) -> str:
    """Return how a process ended, or is about to end, as a phrase for "the client ..."."""
    until = time.monotonic() + TERMINATION_S
    while process.status is None and time.monotonic() < until:
        wait([process], TICK_S)
    status = process.status
    if status is None:
        return "closed its standard output"
    return f"ended with exit status {status}" if status >= 0 else f"was ended by signal {-status}"


def wait(processes: Collection[Process], seconds: float) -> None:
    """Wait until a process has written something, or for some seconds at most, and read it."""
    with selectors.PollSelector() as selector:
        for process in processes:
            for number, events in process.wants().items():
                selector.register(number, events)
        selector.select(max(seconds, 0.0))
    for process in processes:
        process.receive()


def environment(more: Mapping[str, str], factor: float = 1.0) -> dict[str, str]:
    """Return the environment of a program: ours, without keys and addresses of the API, and with some more.

    `factor` seconds pass for the program in one of ours. Raises DriverError if that is not possible.
    """
    variables = {name: value for name, value in isolated(os.environ).items() if not name.startswith("MOCKVEO_")}
    # So that a client's `print` arrives when it is called.
    variables.setdefault("PYTHONUNBUFFERED", "1")
    faster = _accelerated(variables, factor) if factor != 1 else {}
    return {**variables, **more, **faster}


def _accelerated(variables: Mapping[str, str], factor: float) -> dict[str, str]:
    if not sys.platform.startswith("linux"):
        raise DriverError(f"--accelerate {factor:g} needs libfaketime as Linux has it; here, leave --accelerate out")
    if factor < 1:
        raise DriverError(f"--accelerate is {factor:g}; expected how many times as fast, e.g. --accelerate 20")
    paths = [path for folder in LIBFAKETIME_FOLDERS for path in Path("/").glob(f"{folder[1:]}/{_LIBFAKETIME}")]
    if not paths:
        remedy = "install the package `faketime` (Debian, Ubuntu) or `libfaketime` (Fedora, Arch)"
        folders = ", ".join(LIBFAKETIME_FOLDERS)
        raise DriverError(f"--accelerate needs libfaketime: no {_LIBFAKETIME} in {folders}; {remedy}")
    preload = ":".join(filter(None, [str(paths[0]), variables.get("LD_PRELOAD")]))
    return {"LD_PRELOAD": preload, "FAKETIME": f"+0 x{factor:g}", "NO_FAKE_STAT": "1"}


def _cannot_start(command: Sequence[str], error: OSError) -> str:
    program = command[0]
    example = f"e.g. mockveo check -- python {program}" if program.endswith(".py") else "e.g. -- python my_client.py"
    path = Path(program)
    if path.is_dir():
        return f"{program!r} is a directory; expected a program, {example}"
    if isinstance(error, FileNotFoundError) and path.is_file():
        if os.sep in program:
            return f"the interpreter in the first line of {program!r} does not exist; expected one that does, {example}"
        return f"{program!r} is not on the PATH, but a file here; expected ./{program}, or {example}"
    if isinstance(error, FileNotFoundError):
        return f"there is no program {program!r}; expected one that can be started, {example}"
    if isinstance(error, PermissionError):
        remedy = "make it executable (chmod +x), or name its interpreter"
        return f"{program!r} may not be started ({error.strerror}); {remedy}, {example}"
    problem = "names no interpreter in its first line" if error.errno == errno.ENOEXEC else error.strerror
    return f"{program!r} cannot be started: it {problem}; expected a program, {example}"
