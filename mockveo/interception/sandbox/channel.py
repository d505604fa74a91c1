"""The messages between `mockveo run` and its supervisor: lines of JSON on a Unix socket, some with open sockets."""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Mapping, Sequence
from typing import Any, Final

#: Bytes of one read, and most sockets that come with it; far more than a run opens.
_READ_BYTES: Final = 65536
_MAX_SOCKETS: Final = 250


class Channel:
    """One end of the channel. Standard library only, as the supervisor needs it."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._buffer = b""
        self._sockets: list[int] = []

    def fileno(self) -> int:
        """Return the descriptor, to wait for messages."""
        return self._end.fileno()

    def send(self, message: Mapping[str, Any], sockets: Sequence[socket.socket] = ()) -> None:
        """Send a message and open sockets with it. A peer that is gone is no error: its end is seen in `receive`."""
        data = json.dumps(message).encode() + b"\n"
        try:
            if sockets:
                sent = socket.send_fds(self._end, [data], [item.fileno() for item in sockets])
                data = data[sent:]
            self._end.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return

    def receive(self) -> dict[str, Any] | None:
        """Return the next message; None once the peer is gone."""
        while b"\n" not in self._buffer:
            try:
                data, sockets, _, _ = socket.recv_fds(self._end, _READ_BYTES, _MAX_SOCKETS)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self._buffer += data
            self._sockets += sockets
        line, _, self._buffer = self._buffer.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def has_message(self, seconds: float) -> bool:
        """Return whether a message, or the end of the peer, comes within some seconds."""
        return b"\n" in self._buffer or bool(select.select([self._end], [], [], seconds)[0])

    def take_sockets(self) -> list[socket.socket]:
        """Return the sockets that came with the messages so far, in the order they were sent."""
        taken, self._sockets = self._sockets, []
        return [socket.socket(fileno=descriptor) for descriptor in taken]

    def close(self) -> None:
        """Close this end."""
        self._end.close()
