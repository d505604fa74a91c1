"""What the rows of `benchmarks/hostile.py` share: the table, a server in a process of its own, requests as bytes."""

from __future__ import annotations

import os
import re
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parent.parent
BOUNDARY: Final = "5dfffed2148d37cebcff109bc2c0c726"
MULTIPART: Final = f"multipart/form-data; boundary={BOUNDARY}"
JSON: Final = "application/json"


class Row(NamedTuple):
    """A row of the table: what is measured, the figure that must hold, and the one of before.

    `goal` is the number of the goal in the note of what was measured first.
    """

    goal: str
    name: str
    subject: str
    limit: float
    unit: str
    before: str
    measure: Callable[[], float]


class NotMeasured(Exception):
    """A row cannot be measured on this machine."""


ROWS: Final[dict[str, Row]] = {}


def row(
    goal: str, subject: str, limit: float, unit: str, before: str
) -> Callable[[Callable[[], float]], Callable[[], float]]:
    """Add a function that measures to the table, under its own name; at most `limit` of the unit must hold."""

    def add(measure: Callable[[], float]) -> Callable[[], float]:
        ROWS[measure.__name__] = Row(goal, measure.__name__, subject, limit, unit, before, measure)
        return measure

    return add


class HostileServer(NamedTuple):
    """A server in a process of its own."""

    process: subprocess.Popen[bytes]
    port: int

    def resident(self) -> float:
        """Return its resident memory in MB."""
        return self._status("VmRSS")

    def peak(self) -> float:
        """Return the most resident memory that it had since `forget_peak`, in MB."""
        return self._status("VmHWM")

    def forget_peak(self) -> None:
        """Let the peak begin anew."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5", encoding="ascii")

    def descriptors(self) -> int:
        """Return how many files and sockets it has open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def cpu_s(self) -> float:
        """Return the seconds of CPU time that it took."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _status(self, name: str) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(re.findall(rf"{name}:\s+(\d+)", status)[0]) / 1024

    def connect(self) -> socket.socket:
        """Return a connection to it."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=300)

    def ask(self, *requests: bytes) -> list[bytes]:
        """Send requests on one connection, and return their responses."""
        with self.connect() as connection:
            answers = []
            for request in requests:
                connection.sendall(request)
                answers.append(read_response(connection))
            return answers


@contextmanager
def served(
    *flags: str, stdout: Any = subprocess.DEVNULL, stderr: Any = None, files: int | None = None
) -> Iterator[HostileServer]:
    """Start a server, perhaps with a limit of open files, and wait until it is ready."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "mockveo", "serve", "--port", str(port), "--seed", "1", *flags]
    limit = None if files is None else lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    process = subprocess.Popen(command, cwd=ROOT, stdout=stdout, stderr=stderr, preexec_fn=limit)  # noqa: PLW1509
    server = HostileServer(process, port)
    try:
        for _ in range(200):
            try:
                server.connect().close()
                break
            except OSError:
                time.sleep(0.05)
        yield server
    finally:
        process.terminate()
        process.wait()


def read_response(connection: socket.socket) -> bytes:
    """Return the next whole response of a connection."""
    response = b""
    while True:
        data = connection.recv(2**20)
        response += data
        head, blank_line, body = response.partition(b"\r\n\r\n")
        lengths = re.findall(rb"content-length: (\d+)", head)
        if not data or (blank_line and len(body) >= int(lengths[0] if lengths else b"0")):
            return response


def form(**fields: str | bytes) -> bytes:
    """Return a multipart form; bytes are sent as files."""
    body = b""
    for name, value in fields.items():
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"'
        if isinstance(value, bytes):
            head += f'; filename="{name}.png"\r\nContent-Type: image/png'
        body += f"{head}\r\n\r\n".encode() + (value if isinstance(value, bytes) else value.encode()) + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode()


def request(
    method: str, path: str, body: bytes = b"", *headers: str, key: str = "sk-test", media_type: str = MULTIPART
) -> bytes:
    """Return a request as bytes."""
    kind = [f"Content-Type: {media_type}", f"Content-Length: {len(body)}"] if body else []
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {key}", *kind, *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body
