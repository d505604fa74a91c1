"""A connection: uvicorn's, and what uvicorn leaves out.

A client that closes its sending side early still gets a response. A client that stops, or is too slow, before its
request is complete gets one that says so. An offer to upgrade is ignored, and the body that comes with it is read.
Responses come in the order of their requests, also those that refuse what cannot be read.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from enum import IntEnum
from itertools import count
from typing import Any, ClassVar, Final

import httptools
from starlette.types import Send
from uvicorn.protocols.http.httptools_impl import HEADER_VALUE_RE, STATUS_LINE, HttpToolsProtocol

from mockveo.http.responses import Response, error_of_ours
from mockveo.server.context import BODY_CUT, CLOSED, CONNECTION

#: Largest head of a request, and its trailers. Precedent: nginx takes heads of up to 32 KB by default, Node of 16 KB.
MAX_HEAD_BYTES: Final = 64 * 2**10
#: How long a head may take, from the connection or its first byte. Precedent: Go servers usually set 5 to 10 s.
HEAD_TIMEOUT_S: Final = 10.0
#: The least rate of a body, as an average over each BODY_WINDOW_S. Precedent: Apache's mod_reqtimeout, 500 bytes/s.
BODY_WINDOW_S: Final = 10.0
MIN_BODY_RATE: Final = 500
#: How long a body may take. Precedent: Node's requestTimeout.
BODY_TIMEOUT_S: Final = 300.0
#: How long a connection may be idle. Precedent: nginx, 75 s; common poll intervals of 5 to 60 s have to be below.
IDLE_TIMEOUT_S: Final = 75.0
#: How a client begins that speaks HTTP/2 without asking first. Source: RFC 9113 section 3.4.
HTTP_2_PREFACE: Final = b"PRI * HTTP/2.0"
#: Descriptors that are left for listeners, files and what is accepted in one turn of the loop.
SPARE_DESCRIPTORS: Final = 96


def max_connections() -> int:
    """Return how many connections the limit of descriptors of this process allows."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return sys.maxsize
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if limit == resource.RLIM_INFINITY else max(limit - SPARE_DESCRIPTORS, limit // 2)


MAX_CONNECTIONS: Final = max_connections()

log: Final = logging.getLogger("mockveo")


class Awaited(IntEnum):
    """What a connection is waiting for. The larger, the sooner it is closed for others."""

    RESPONSE = 0
    REQUEST = 1
    BODY = 2
    HEAD = 3


class ClientConnection(HttpToolsProtocol):
    """uvicorn's protocol, with a response to a client that stops before its request is complete."""

    #: Whether a connection had to be closed for another.
    full: ClassVar[bool] = False
    numbers: ClassVar = count()
    #: How many connections came before it.
    number = 0
    #: Bytes that have come.
    received = 0
    #: Bytes of a head, of trailers or of chunk sizes since the last byte of a body or the last request.
    head_bytes = 0
    #: Whether the bytes that are being read hold the end of a request or a byte of a body.
    progressed = False
    #: Whether to close after the response. That has to wait for the whole body: closed earlier, the connection is
    #: reset, and the client loses the response.
    closing = False
    #: The response to what cannot be read, sent after those to earlier requests; no more is read then.
    refusal: Response | None = None
    #: The phase when time passed last, the scope of its request, how long it has lasted, and `received` at the
    #: beginning of a window of its body.
    phase = Awaited.HEAD
    phase_scope: Any = None
    phase_s = 0.0
    window_s = 0.0
    window_start = 0
    #: The port that requests seem to come to, if that is not the socket's.
    seeming_port: int | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Let the application find the connection."""
        super().connection_made(transport)
        if self.seeming_port is not None:
            self.server = ("", self.seeming_port)
        self.number = next(ClientConnection.numbers)
        if len(self.connections) > MAX_CONNECTIONS:
            self._make_room()
        self.app_state = {**self.app_state, CONNECTION: self}

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of the application's way to it, which is a circle."""
        super().connection_lost(exc)
        self.app_state = {}

    def _make_room(self) -> None:
        """Close the connection that has waited longest for its client, or this one if all are being answered."""
        if not ClientConnection.full:
            ClientConnection.full = True
            log.warning(
                "%d connections are open, the most for the limit of open files (ulimit -n); the longest idle go",
                MAX_CONNECTIONS,
            )
        waiting = [other for other in self.connections if isinstance(other, ClientConnection) and other.is_waiting]
        max(waiting, key=ClientConnection.patience, default=self).transport.close()

    def patience(self) -> tuple[float, Awaited, int]:
        """Return what orders connections by how long they have waited for their clients; within a second, by age."""
        return self.phase_s, self._current_phase(), -self.number

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for its client, and is not closing yet."""
        return self._current_phase() is not Awaited.RESPONSE and not self.transport.is_closing()

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client."""
        if self.refusal is not None:
            return
        self.received += len(data)
        self.progressed = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError:
            if data.startswith(HTTP_2_PREFACE):
                log.warning("a client speaks HTTP/2 without asking; expected HTTP/1.1, e.g. curl --http1.1")
            self._refuse(error_of_ours(400, "invalid_http", "The request is not HTTP/1.1 that can be read."))
            return
        if self.progressed:
            self.head_bytes = 0
        else:
            self.head_bytes += len(data)
            if self.head_bytes > MAX_HEAD_BYTES:
                message = f"The head of the request, or its trailers, have more than {MAX_HEAD_BYTES} bytes."
                self._refuse(error_of_ours(431, "head_too_large", message))
                return
        # Any, because it is None before the first request.
        cycle: Any = self.cycle
        if cycle is not None and cycle.more_body and not cycle.keep_alive:
            self.closing = cycle.keep_alive = True

    def on_headers_complete(self) -> None:
        """Begin a request, unless it offers an upgrade, whose body the parser would not read."""
        if self._offers_upgrade():
            return
        if not self.url.startswith(b"/"):
            self._take_host_of_target()
        super().on_headers_complete()

    def _take_host_of_target(self) -> None:
        """Replace the Host header by that of an absolute target. Source: RFC 9112 section 3.2.2."""
        target: Any = httptools.parse_url(self.url)  # Any, because its port may be None
        if target.host:
            port = b"" if target.port is None else b":%d" % target.port
            host = b"[" + target.host + b"]" if b":" in target.host else target.host
            self.headers[:] = [header for header in self.headers if header[0] != b"host"]
            self.headers.append((b"host", host + port))

    def on_body(self, body: bytes) -> None:
        """Take bytes of a body."""
        self.progressed = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Close the connection if that had to wait for the body."""
        if self._offers_upgrade():
            return
        self.progressed = True
        super().on_message_complete()
        if self.closing:
            self.cycle.keep_alive = False
            if self.cycle.response_complete:
                self.transport.close()

    def _offers_upgrade(self) -> bool:
        return self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Read a request again without its offer to upgrade, and what follows it. Source: RFC 9110 section 7.8."""
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        lines = [method + b" " + self.url + b" HTTP/" + version]
        for name, value in self.headers:
            if name == b"connection":
                options = [option.strip() for option in value.split(b",")]
                value = b", ".join(option for option in options if option.lower() != b"upgrade")  # noqa: PLW2901
            lines.append(name + b": " + value)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self.data_received(b"\r\n".join([*lines, b"", rest]))

    def send_whole(self, response: Response, send: Send) -> bool:
        """Send a response in one piece, and return whether that could be done; else `send` has to.

        uvicorn's `send` takes it in two and writes twice, a second system call. It has to for an
        earlier request than the latest, for a middleware that looks at what is sent, and for a slow reader.
        """
        cycle = self.cycle
        if send != cycle.send or cycle.disconnected or cycle.default_headers or self.flow.write_paused:
            return False
        if not response.body or cycle.scope["method"] == "HEAD":
            return False
        if HEADER_VALUE_RE.search(b"\t".join([value for _, value in response.headers])):
            return False
        lines = [name + b": " + value for name, value in response.headers]
        if not cycle.keep_alive:
            lines.append(b"connection: close")
        cycle.response_started = cycle.response_complete = True
        self.transport.write(STATUS_LINE[response.status] + b"\r\n".join([*lines, b"", response.body]))
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()
        return True

    def on_response_complete(self) -> None:
        """Go on to the next request. uvicorn would set a timer; `wait` closes what is idle."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.refusal is None:
            self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif self.refusal is not None:
            self._send_refusal(self.refusal)

    def wait(self, seconds: float) -> None:
        """Let time pass: close what is idle, and end a request that takes too long."""
        phase, scope = self._current_phase(), self.scope
        if phase is not self.phase or scope is not self.phase_scope:
            self.phase, self.phase_scope, self.phase_s = phase, scope, 0.0
            self.window_s, self.window_start = 0.0, self.received
            return
        self.phase_s += seconds
        if phase is Awaited.HEAD and self.phase_s > HEAD_TIMEOUT_S:
            message = f"The head of the request was not complete after {HEAD_TIMEOUT_S:g} s."
            self._refuse(error_of_ours(408, "head_timeout", message))
        elif phase is Awaited.REQUEST and self.phase_s > IDLE_TIMEOUT_S:
            self.transport.close()
        elif phase is Awaited.BODY and self._is_slow(seconds):
            if self.cycle.response_complete:
                self.transport.close()
            else:
                self._cut_body()

    def _current_phase(self) -> Awaited:
        # Any, because both are None before the first request.
        scope: Any = self.scope
        cycle: Any = self.cycle
        if self.pipeline or self.flow.read_paused:
            return Awaited.RESPONSE
        if scope is None or "method" not in scope:  # which it has once its head is complete
            return Awaited.HEAD if cycle is None or cycle.response_complete else Awaited.RESPONSE
        if cycle.more_body:
            return Awaited.BODY
        return Awaited.REQUEST if cycle.response_complete else Awaited.RESPONSE

    def _is_slow(self, seconds: float) -> bool:
        """Return whether a body comes too slowly, in the window that now ends or in all."""
        self.window_s += seconds
        if self.window_s < BODY_WINDOW_S:
            return self.phase_s > BODY_TIMEOUT_S
        size = self.received - self.window_start
        self.window_s, self.window_start = 0.0, self.received
        return size < MIN_BODY_RATE * BODY_WINDOW_S or self.phase_s > BODY_TIMEOUT_S

    def _refuse(self, response: Response) -> None:
        """Read no more, and send a response once earlier requests have theirs."""
        cycle: Any = self.cycle
        self.refusal = response
        if cycle is None or (cycle.response_complete and not cycle.more_body):
            self._send_refusal(response)
        elif not cycle.more_body:
            self.flow.pause_reading()
        elif cycle.response_complete:
            self.transport.close()
        else:
            self._cut_body()

    def _send_refusal(self, response: Response) -> None:
        lines = [b"connection: close", *(name + b": " + value for name, value in response.headers)]
        self.transport.write(STATUS_LINE[response.status] + b"\r\n".join([*lines, b"", response.body]))
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
        # TLS of asyncio cannot keep one side open, and warns of the wish.
        return self.scheme != "https"

    def _cut_body(self) -> None:
        self.cycle.keep_alive = False
        self.cycle.scope[BODY_CUT] = True  # type: ignore[typeddict-unknown-key]
        self.cycle.message_event.set()
