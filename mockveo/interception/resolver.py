"""A small name server: it knows the names that are played, and refuses and notes every other.

Source of the format: RFC 1035 section 4.1.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, cast

_TYPE_A: Final = 1
_CLASS_IN: Final = 1
#: QR, AA and RA; the bits of a query that an answer repeats: opcode and RD.
_ANSWER: Final = 0x8480
_IS_ANSWER: Final = 0x8000
_REPEATED: Final = 0x7900
_OPCODE: Final = 0x7800
_FORMAT_ERROR, _NXDOMAIN, _NOT_IMPLEMENTED = 1, 3, 4
#: Seconds that an answer holds. Short: nothing here changes, and nothing here should outlive the run.
_TTL_S: Final = 1
_HEADER: Final = struct.Struct("!HHHHHH")
#: How long a TCP client may take for a query.
_PATIENCE_S: Final = 5.0
#: Names that are noted; a program that asks for more is a flood. Arbitrary.
MAX_NAMES: Final = 1000


class Resolver(asyncio.DatagramProtocol):
    """The answers over UDP and TCP. `names` are lower-case names with their IPv4 addresses."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        self._transport: asyncio.DatagramTransport | None = None
        self._server: asyncio.Server | None = None
        #: Names that were refused -> how often.
        self.refused: Counter[str] = Counter()

    async def start(self, udp: socket.socket, tcp: socket.socket) -> None:
        """Answer on these sockets from now on."""
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, sock=udp)
        self._server = await asyncio.start_server(self._serve_stream, sock=tcp)

    async def stop(self) -> None:
        """Answer no more."""
        if self._transport is not None:
            self._transport.close()
        if self._server is not None:
            self._server.close()
        await asyncio.sleep(0)  # in which the transport closes its socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport for answers."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer a query over UDP."""
        answer = self.answer(data)
        if answer and self._transport is not None:
            self._transport.sendto(answer, addr)

    async def _serve_stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            while True:
                async with asyncio.timeout(_PATIENCE_S):
                    (length,) = struct.unpack("!H", await reader.readexactly(2))
                    answer = self.answer(await reader.readexactly(length))
                writer.write(struct.pack("!H", len(answer)) + answer)
                await writer.drain()
        writer.close()

    def answer(self, query: bytes) -> bytes:
        """Return the answer to a query; empty for what is not a query."""
        if len(query) < _HEADER.size:
            return b""
        number, flags, questions, *_ = _HEADER.unpack_from(query)
        if flags & _IS_ANSWER:
            return b""
        flags_back = _ANSWER | (flags & _REPEATED)
        try:
            name, end = _name(query)
            kind, query_class = struct.unpack_from("!HH", query, end)
        except (struct.error, ValueError):
            return _HEADER.pack(number, flags_back | _FORMAT_ERROR, 0, 0, 0, 0)
        if flags & _OPCODE or questions != 1:
            return _HEADER.pack(number, flags_back | _NOT_IMPLEMENTED, 0, 0, 0, 0)
        question = query[_HEADER.size : end + 4]
        address = self._address(name)
        if address is None:
            return _HEADER.pack(number, flags_back | _NXDOMAIN, 1, 0, 0, 0) + question
        record = b""
        if kind == _TYPE_A and query_class == _CLASS_IN:
            # 0xC00C points at the name of the question.
            record = struct.pack("!HHHIH", 0xC00C, kind, query_class, _TTL_S, 4) + socket.inet_aton(address)
        return _HEADER.pack(number, flags_back, 1, int(bool(record)), 0, 0) + question + record

    def _address(self, name: str) -> str | None:
        """Return the address of a name; None, and a note, for a stranger's."""
        if name == "localhost" or name.endswith(".localhost"):
            return "127.0.0.1"
        if name not in self._names and (len(self.refused) < MAX_NAMES or name in self.refused):
            self.refused[name] += 1
        return self._names.get(name)


def _name(query: bytes) -> tuple[str, int]:
    """Return the name in the question, in lower case, and where it ends. Raises ValueError."""
    labels: list[str] = []
    place = _HEADER.size
    while True:
        if place >= len(query):
            raise ValueError("the name does not end")
        length = query[place]
        if length == 0:
            return ".".join(labels).lower(), place + 1
        if length > 63:
            raise ValueError("a label is too long")
        labels.append(query[place + 1 : place + 1 + length].decode("latin-1"))
        place += 1 + length
