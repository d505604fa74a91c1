"""A connection: uvicorn's, and what uvicorn leaves out.

A client that closes its sending side early still gets a response. A client that stops before its body is complete
gets one that says so. A head that never ends is refused.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mockveo.http.responses import error_of_ours
from mockveo.server.context import BODY_CUT, CLOSED
from mockveo.server.faults import TRANSPORT

#: Silence after which a body counts as cut off. Arbitrary: longer than a slow network pauses.
BODY_TIMEOUT_S: Final = 30.0
#: Largest head of a request. Precedent: nginx takes heads of up to 32 KB by default, Node of 16 KB.
MAX_HEAD_BYTES: Final = 64 * 2**10


class ClientConnection(HttpToolsProtocol):
    """uvicorn's protocol, with a response to a client that stops before its body is complete."""

    #: Seconds without a byte of a body that is not complete.
    stalled_s = 0.0
    #: Bytes of a head that is not complete.
    head_bytes = 0
    #: Whether to close after the response. That has to wait for the whole body: closed earlier, the connection is
    #: reset, and the client loses the response.
    closing = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Keep the transport where faults find it."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, TRANSPORT: transport}

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client."""
        super().data_received(data)
        self.stalled_s = 0.0
        # Any, because both are None before the first request and a scope has no method before its head is complete.
        scope: Any = self.scope
        cycle: Any = self.cycle
        if scope is not None and "method" not in scope:
            self.head_bytes += len(data)
            if self.head_bytes > MAX_HEAD_BYTES:
                self._refuse_head()
            return
        self.head_bytes = 0
        if cycle is not None and cycle.more_body and not cycle.keep_alive:
            self.closing = cycle.keep_alive = True

    def on_message_complete(self) -> None:
        """Close the connection if that had to wait for the body."""
        super().on_message_complete()
        if self.closing:
            self.cycle.keep_alive = False
            if self.cycle.response_complete:
                self.transport.close()

    def wait(self, seconds: float) -> None:
        """Let time pass; a body that stalls for BODY_TIMEOUT_S counts as cut off."""
        cycle = self.cycle
        if cycle is None or not cycle.more_body:  # type: ignore[redundant-expr]  # as below
            self.stalled_s = 0.0
            return
        self.stalled_s += seconds
        if self.stalled_s < BODY_TIMEOUT_S:
            return
        if not cycle.response_complete:
            self._cut_body()
        else:
            self.transport.close()

    def _refuse_head(self) -> None:
        message = f"The head of the request has more than {MAX_HEAD_BYTES} bytes."
        response = error_of_ours(431, "head_too_large", message)
        lines = [b"HTTP/1.1 431 Request Header Fields Too Large", b"connection: close"]
        lines += [name + b": " + value for name, value in response.headers]
        self.transport.write(b"\r\n".join([*lines, b"", response.body]))
        self.transport.close()

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio lets it return whether to stay open
        """Note that the client sends no more; return whether the connection stays open for a response."""
        cycle = self.cycle
        # None before the first request, whatever its annotation says.
        if cycle is None or cycle.response_complete or cycle.disconnected:  # type: ignore[redundant-expr]
            return False
        cycle.keep_alive = False
        if cycle.more_body:
            self._cut_body()
        else:
            cycle.scope[CLOSED] = True  # type: ignore[typeddict-unknown-key]
            cycle.message_event.set()
        return True

    def _cut_body(self) -> None:
        self.cycle.keep_alive = False
        self.cycle.scope[BODY_CUT] = True  # type: ignore[typeddict-unknown-key]
        self.cycle.message_event.set()
