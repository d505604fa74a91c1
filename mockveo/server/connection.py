"""A connection: uvicorn's, with what it leaves out.

A client that closes its sending side early still gets an answer, one that stops sending before its body is complete is
answered and told so, and a head without an end is refused.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mockveo.http.responses import error_of_ours
from mockveo.server.context import BODY_CUT, CLOSED
from mockveo.server.faults import TRANSPORT

#: Seconds without a byte after which a body counts as ended short.
BODY_TIMEOUT: Final = 30.0
#: Bytes of the head of a request. Precedent: nginx takes heads of up to 32 KB by default, Node of 16 KB.
MAX_HEAD: Final = 64 * 2**10


class ClientConnection(HttpToolsProtocol):
    """uvicorn's protocol, but a client that stops sending before its body is complete is answered and told so."""

    #: Seconds without a byte of a body that is to come.
    stalled = 0.0
    #: Bytes of a head that is not complete yet.
    head = 0
    #: The client wants the connection closed, which has to wait until it has sent its whole body: closed earlier, the
    #: answer would be lost to a reset.
    closing = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """A client has connected."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, TRANSPORT: transport}

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        super().data_received(data)
        self.stalled = 0.0
        # Any, as both are None before the first request and a scope has no method before its head is complete.
        scope: Any = self.scope
        cycle: Any = self.cycle
        if scope is not None and "method" not in scope:
            self.head += len(data)
            if self.head > MAX_HEAD:
                self._refuse_head()
            return
        self.head = 0
        if cycle is not None and cycle.more_body and not cycle.keep_alive:
            self.closing = cycle.keep_alive = True

    def on_message_complete(self) -> None:
        """The body of a request is complete."""
        super().on_message_complete()
        if self.closing:
            self.cycle.keep_alive = False
            if self.cycle.response_complete:
                self.transport.close()

    def wait(self, seconds: float) -> None:
        """Time has passed. A body of which nothing comes any more has ended short."""
        cycle = self.cycle
        if cycle is None or not cycle.more_body:  # type: ignore[redundant-expr]  # as below
            self.stalled = 0.0
            return
        self.stalled += seconds
        if self.stalled < BODY_TIMEOUT:
            return
        if not cycle.response_complete:
            self._end_short()
        else:
            self.transport.close()

    def _refuse_head(self) -> None:
        answer = error_of_ours(431, "head_too_large", f"The head of the request has more than {MAX_HEAD} bytes.")
        lines = [b"HTTP/1.1 431 Request Header Fields Too Large", b"connection: close"]
        lines += [name + b": " + value for name, value in answer.headers]
        self.transport.write(b"\r\n".join([*lines, b"", answer.body]))
        self.transport.close()

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio lets it return whether to stay open
        """The client sends no more; whether the connection stays open for an answer."""
        cycle = self.cycle
        # None before the first request, whatever its annotation says.
        if cycle is None or cycle.response_complete or cycle.disconnected:  # type: ignore[redundant-expr]
            return False
        cycle.keep_alive = False
        if cycle.more_body:
            self._end_short()
        else:
            cycle.scope[CLOSED] = True  # type: ignore[typeddict-unknown-key]
            cycle.message_event.set()
        return True

    def _end_short(self) -> None:
        self.cycle.keep_alive = False
        self.cycle.scope[BODY_CUT] = True  # type: ignore[typeddict-unknown-key]
        self.cycle.message_event.set()
