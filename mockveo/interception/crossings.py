"""The ways through the fence: a CONNECT proxy to the played hosts, and the holes that `--local` and `--allow` make."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

#: Bytes that are passed on at once.
_CHUNK_BYTES: Final = 65536
#: How long a client may take for the head of its request, and its largest size. Precedent: mockveo's server.
_HEAD_TIMEOUT_S: Final = 10.0
_MAX_HEAD_BYTES: Final = 65536
_REQUEST: Final = re.compile(rb"([A-Za-z]+) (\S+) HTTP/1\.[01]\r?\n")
_ABSOLUTE: Final = re.compile(r"http://(\[[^\]]+\]|[^/:?#]+)(?::(\d+))?(?:[/?#]|$)", re.IGNORECASE)
#: Addresses that are noted; a program that tries more is a flood. Arbitrary.
MAX_REFUSED: Final = 1000


@dataclass(frozen=True, slots=True)
class Hole:
    """A way out that was asked for: what the program calls, and where that leads."""

    #: As it was written: `--local 5432` or `--allow db.example:5432`.
    option: str
    host: str
    port: int


@dataclass(slots=True)
class HoleTraffic:
    """What has gone through a hole, in bytes as the program sees it."""

    connections: int = 0
    sent: int = 0
    received: int = 0
    failed: int = 0


class Crossings:
    """Connections of the program that are passed on, and those that are refused."""

    def __init__(self) -> None:
        #: `--local` and `--allow` as they were written -> what went through.
        self.traffic: dict[str, HoleTraffic] = {}
        #: host:port -> how often the proxy refused it.
        self.refused: Counter[str] = Counter()
        self._servers: list[asyncio.Server] = []
        #: Ends of the connections that are open.
        self._open: set[asyncio.StreamWriter] = set()

    async def open_hole(self, listener: socket.socket, hole: Hole) -> None:
        """Pass the connections to a listener on to where a hole leads."""
        traffic = self.traffic.setdefault(hole.option, HoleTraffic())

        async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._connect(reader, writer, (hole.host, hole.port), traffic)

        self._servers.append(await asyncio.start_server(pass_on, sock=listener))

    async def stop(self) -> None:
        """Close every way, and what still passes."""
        for server in self._servers:
            server.close()
        for writer in self._open:
            writer.transport.abort()
        await asyncio.sleep(0)  # in which transports close their sockets

    async def open_proxy(
        self, listener: socket.socket, played: Callable[[str, int], tuple[str, int] | None], holes: Mapping[str, Hole]
    ) -> None:
        """Serve as an HTTP proxy. `played` returns our address for a host and port; `holes` are by "host:port"."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._open.add(writer)
            with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                async with asyncio.timeout(_HEAD_TIMEOUT_S):
                    head = await reader.readuntil(b"\n\r\n")
                await self._pass(head, reader, writer, played, holes)
            self._open.discard(writer)
            writer.close()

        self._servers.append(await asyncio.start_server(serve, sock=listener, limit=_MAX_HEAD_BYTES))

    async def _pass(
        self,
        head: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        played: Callable[[str, int], tuple[str, int] | None],
        holes: Mapping[str, Hole],
    ) -> None:
        target = _target(head)
        if target is None:
            writer.write(_refusal("400 Bad Request", "the request is not one to a proxy"))
            return
        connect, host, port = target
        name = f"{host}:{port}"
        address, traffic = played(host, port), None
        if address is None and name in holes:
            hole = holes[name]
            address, traffic = (hole.host, hole.port), self.traffic.setdefault(hole.option, HoleTraffic())
        if address is None:
            if len(self.refused) < MAX_REFUSED or name in self.refused:
                self.refused[name] += 1
            writer.write(_refusal("403 Forbidden", f"{name} is not played; mockveo run --host {host} plays it"))
            return
        if connect:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            head = b""
        await self._connect(reader, writer, address, traffic or HoleTraffic(), head)

    async def _connect(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        address: tuple[str, int],
        traffic: HoleTraffic,
        head: bytes = b"",
    ) -> None:
        """Pass bytes in both directions between a connection and an address, until both sides have ended."""
        traffic.connections += 1
        try:
            there_reader, there_writer = await asyncio.open_connection(*address)
        except OSError:
            traffic.failed += 1
            writer.transport.abort()
            return
        there_writer.write(head)
        traffic.sent += len(head)

        async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter, attribute: str) -> None:
            try:
                while data := await source.read(_CHUNK_BYTES):
                    setattr(traffic, attribute, getattr(traffic, attribute) + len(data))
                    target.write(data)
                    await target.drain()
                target.write_eof()
            except OSError:
                _reset(target)

        ends = (writer, there_writer)
        self._open.update(ends)
        await asyncio.gather(copy(reader, there_writer, "sent"), copy(there_reader, writer, "received"))
        for end in ends:
            self._open.discard(end)
            end.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Pass a reset on as a reset: a client may treat it unlike an end."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _target(head: bytes) -> tuple[bool, str, int] | None:
    """Return whether a request is a CONNECT, and its host and port; None for any other text."""
    match = _REQUEST.match(head)
    if match is None:
        return None
    method, target = match[1].upper(), match[2].decode("latin-1")
    if method == b"CONNECT":
        host, _, port = target.rpartition(":")
        return (True, host.strip("[]").lower(), int(port)) if port.isdecimal() else None
    absolute = _ABSOLUTE.match(target)
    return None if absolute is None else (False, absolute[1].strip("[]").lower(), int(absolute[2] or 80))


def _refusal(status: str, message: str) -> bytes:
    body = f"mockveo: {message}\n".encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body
