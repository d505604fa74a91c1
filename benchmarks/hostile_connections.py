"""The rows of `benchmarks/hostile.py` about connections: slow, silent, idle, pipelined and many ones."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from typing import Final

from hostile_server import BOUNDARY, HostileServer, form, request, row, served

POLL: Final = request("GET", "/v1/videos/task_x")
#: What slow clients begin with; then they send a byte a second.
SLOW_HEAD: Final = b"GET /v1/videos/x HTTP/1.1\r\nHost: localhost\r\nX-a: "
SLOW_BODY: Final = request("POST", "/v1/videos", b"x").replace(b"Content-Length: 1", b"Content-Length: 1000000")[:-1]
#: Connections of each kind.
SILENT, LORIS, BODIES = 300, 1000, 500
#: Second requests of each idle client, and the pauses before them: around what servers close at, in seconds.
IDLE_CLIENTS: Final = 60
PAUSES_S: Final = (4.9, 4.99, 5.0, 5.01, 60.0, 73.0)


async def asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> bytes:
    """Send a request, and return its response's head once its body has come too."""
    writer.write(data)
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(int(re.findall(rb"content-length: (\d+)", head)[0]))
    return head


async def latencies(port: int, seconds: float) -> list[float]:
    """Return the milliseconds of polls by four healthy clients, sorted; one that is not served counts 10,000."""
    times: list[float] = []
    end = time.perf_counter() + seconds

    async def healthy() -> None:
        while time.perf_counter() < end:
            begun = time.perf_counter()
            try:
                async with asyncio.timeout(5):
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    for _ in range(20):
                        await asked(reader, writer, POLL)
                        times.append((time.perf_counter() - begun) * 1000)
                        await asyncio.sleep(0.005)
                        begun = time.perf_counter()
                writer.close()
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                times.append(10_000)

    await asyncio.gather(*(healthy() for _ in range(4)))
    return sorted(times)


class Slow:
    """Connections that send a byte a second, and when the last of them was closed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open: list[asyncio.StreamWriter] = []
        self._readers: list[asyncio.Task[None]] = []
        self.begun = time.perf_counter()

    async def connect(self, count: int, data: bytes) -> None:
        """Open connections that begin with some bytes."""
        for _ in range(count):
            with suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                writer.write(data)
                self._open.append(writer)
                self._readers.append(asyncio.create_task(self._read(reader)))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with suppress(OSError):
            while await reader.read(2**16):
                pass

    async def drip(self) -> None:
        """Send on, a byte a second."""
        while True:
            await asyncio.sleep(1)
            for writer in self._open:
                if not writer.is_closing():
                    writer.write(b"b")

    async def gone_s(self, patience_s: float) -> float:
        """Return after how many seconds all were closed; the patience if they were not."""
        await asyncio.wait(self._readers, timeout=patience_s)
        seconds = time.perf_counter() - self.begun
        for reader in self._readers:
            reader.cancel()
        for writer in self._open:
            writer.close()
        return seconds


async def _among_slow(server: HostileServer, *, files_are_few: bool) -> tuple[float, float]:
    """Return the p99 of healthy clients among slow ones in ms, and the seconds until all slow ones were gone."""
    slow = Slow(server.port)
    if files_are_few:
        await slow.connect(SILENT, b"")
    await slow.connect(LORIS, SLOW_HEAD)
    await slow.connect(BODIES, SLOW_BODY)
    slow.begun = time.perf_counter()
    dripping = asyncio.create_task(slow.drip())
    measured = asyncio.create_task(latencies(server.port, 8))
    gone_s = await slow.gone_s(40)
    dripping.cancel()
    times = await measured
    return times[int(len(times) * 0.99)], gone_s


def _slow(place: int, files: int | None) -> float:
    with served("--no-render", "--quiet", files=files, stderr=subprocess.DEVNULL) as server:
        return asyncio.run(_among_slow(server, files_are_few=files is not None))[place]


@row("2a", f"until {LORIS} slow-loris and {BODIES} slow bodies are gone", 15, "s", "never")
def slow_gone() -> float:
    """Return seconds."""
    return _slow(1, None)


@row("2b", "p99 of healthy clients meanwhile", 25, "ms", "5-17")
def slow_p99() -> float:
    """Return ms."""
    return _slow(0, None)


@row("2c", f"until they and {SILENT} silent ones are gone, with ulimit -n 256", 15, "s", "never")
def few_files_gone() -> float:
    """Return seconds."""
    return _slow(1, 256)


@row("2c", "p99 of healthy clients with ulimit -n 256", 25, "ms", "none was served")
def few_files_p99() -> float:
    """Return ms."""
    return _slow(0, 256)


@row("2c", f"log of a server with ulimit -n 256 and {SILENT} silent connections, in 5 s", 2, "lines", "250,000")
def few_files_log() -> float:
    """Return lines."""
    with (
        tempfile.TemporaryFile() as log,
        served("--quiet", files=256, stderr=log) as server,
        ExitStack() as stack,
    ):
        for _ in range(SILENT):
            with suppress(OSError):
                stack.enter_context(server.connect())
        time.sleep(5)
        log.seek(0)
        return log.read().count(b"\n")


async def _many(port: int) -> list[float]:
    opened = []
    for number in range(8000):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        if number % 2:
            await asked(reader, writer, POLL)
        opened.append(writer)
    times = await latencies(port, 3)
    for writer in opened:
        writer.close()
    return times


@row("2d", "RSS with 8,000 connections, half of them silent (descriptors end at 20,000 here)", 120, "MB", "86")
def many_connections() -> float:
    """Return MB; the silent ones end while the others open, after 10 s."""
    with served("--no-render", "--quiet") as server:
        asyncio.run(_many(server.port))
        return server.peak()


async def _idle(port: int) -> float:
    lost = 0

    async def client(pause_s: float) -> None:
        nonlocal lost
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await asked(reader, writer, POLL)
            await asyncio.sleep(pause_s)
            await asked(reader, writer, request("POST", "/v1/videos", form(prompt="p")))
        except (OSError, asyncio.IncompleteReadError):
            lost += 1
        writer.close()

    await asyncio.gather(*(client(pause_s) for pause_s in PAUSES_S for _ in range(50)))
    return lost


@row("2e", "creates lost of 300 on connections idle for 4.9 to 73 s, raw", 0, "", "13 of 100 at 5.0 s")
def idle_raw() -> float:
    """Return the number."""
    with served("--no-render", "--quiet") as server:
        return asyncio.run(_idle(server.port))


@row("1d", "responses of 3,000 pipelined requests that are not the one due, and creates answered 431", 0, "", "14")
def pipelined() -> float:
    """Return the number."""
    create = request("POST", "/v1/videos", form(prompt="p", input_reference=b"x" * 100_000))
    with served("--no-render", "--quiet") as server:
        wrong = 0
        for cut in (1, 10, 30, len(POLL)):
            with server.connect() as connection:
                connection.sendall(create + POLL[:cut])
                time.sleep(0.2)
                connection.sendall(POLL[cut:])
                wrong += _statuses(connection, 2) != [b"200", b"400"]
        with server.connect() as connection:
            connection.sendall(POLL * 3000)
            statuses = _statuses(connection, 3000)
            return wrong + sum(status != b"400" for status in statuses) + 3000 - len(statuses)


def _statuses(connection: socket.socket, count: int) -> list[bytes]:
    connection.settimeout(20)
    received, statuses = b"", list[bytes]()
    with suppress(OSError):
        while len(statuses) < count and (data := connection.recv(2**20)):
            received += data
            statuses = re.findall(rb"HTTP/1.1 (\d+) ", received)
    return statuses


@row("1c", "descriptors left after 300 event streams that vanish, half of them by a reset", 0, "", "0")
def vanished_events() -> float:
    """Return the number."""
    with served("--no-render", "--quiet") as server:
        server.ask(POLL)
        before = server.descriptors()
        streams = [server.connect() for _ in range(300)]
        for stream in streams:
            stream.sendall(request("GET", "/_mockveo/events?since=0"))
        time.sleep(1)
        for number, stream in enumerate(streams):
            if number % 2:
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            stream.close()
        time.sleep(3)
        return max(server.descriptors() - before, 0)


def _flood(server: HostileServer, parts: Callable[[socket.socket], None]) -> float:
    """Return the MB by which a server grows while a connection sends."""
    server.ask(request("POST", "/v1/videos", form(prompt="p")))
    before = server.resident()
    server.forget_peak()
    with server.connect() as connection, suppress(OSError):
        parts(connection)
    time.sleep(0.5)
    return server.peak() - before


@row("3a", "growth by an upload of 1 GB", 10, "MB", "+3")
def upload() -> float:
    """Return MB."""
    head = request("POST", "/v1/videos", b"x").replace(b"Content-Length: 1", b"Content-Length: 1000000000")[:-1]

    def send(connection: socket.socket) -> None:
        connection.sendall(head + f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="a"\r\n\r\n'.encode())
        for _ in range(1000):
            connection.sendall(b"x" * 1_000_000)

    with served("--no-render", "--quiet") as server:
        return _flood(server, send)


@row("3b", "growth by 50 MB of headers, and by a million parts of a form", 10, "MB", "+0")
def heads_and_parts() -> float:
    """Return MB, the larger of the two."""
    parts = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'.encode() * 300_000

    def headers(connection: socket.socket) -> None:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        for _ in range(50):
            connection.sendall(b"X-a: b\r\n" * 125_000)

    def many(connection: socket.socket) -> None:
        connection.sendall(request("POST", "/v1/videos", parts))

    with served("--no-render", "--quiet", "--max-body", "100000000") as server:
        return max(_flood(server, headers), _flood(server, many))


async def _soak(port: int, count: int, work: Callable[[int], bytes]) -> None:
    async def client(share: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in range(share):
            await asked(reader, writer, work(number))
        writer.close()

    clients: list[Awaitable[None]] = [client(count // 4) for _ in range(4)]
    await asyncio.gather(*clients)


@row("4b", "growth by 40,000 polls after 40,000, JSON log and findings on", 3, "MB", "+2, of which jobs 1.9")
def soak() -> float:
    """Return MB."""
    with served("--no-render", "--log", "json") as server:
        asyncio.run(_soak(server.port, 40_000, lambda _: POLL))
        before = server.resident()
        asyncio.run(_soak(server.port, 40_000, lambda _: POLL))
        return server.resident() - before


@row("4a", "growth by 20,000 creates with images after 20,000, jobs bounded", 5, "MB", "flat")
def creates() -> float:
    """Return MB."""
    create = request("POST", "/v1/videos", form(prompt="p", input_reference=b"x" * 500))
    with served("--quiet", "--max-jobs", "5000", "--max-image-bytes", "1000000") as server:
        asyncio.run(_soak(server.port, 20_000, lambda _: create))
        before = server.resident()
        asyncio.run(_soak(server.port, 20_000, lambda _: create))
        return server.resident() - before
