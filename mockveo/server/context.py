"""One exchange as a handler sees it, and what a handler may raise instead of an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Final

from starlette.types import Receive, Scope

from mockveo.simulator.scenarios import Fault, Scenario
from mockveo.simulator.world import World
from mockveo.spec.spec import Operation
from mockveo.traffic.record import ExchangeRecord

#: In the scope of a request whose client will send no more although it promised to; set by the server's protocol.
ENDED_SHORT: Final = "mockveo.ended_short"
#: In the scope of a request whose client has closed its sending side after it; set by the server's protocol.
CLOSED: Final = "mockveo.closed"
#: Bytes of a body that the journal keeps as it came.
KEPT_BODY: Final = 64 * 2**10
#: In every scope: the world that is called, and what stands before its paths, e.g. "/@mine"; set by the application.
WORLD: Final = "mockveo.world"
PREFIX: Final = "mockveo.prefix"


_NOTHING: Final[Mapping[str, str]] = {}


class ApiError(Exception):
    """The request is answered with an error of the document. `values` fill the {braces} of its message.

    `hint` is what the service would not say; it goes to the log alone.
    """

    def __init__(self, name: str, *, hint: str = "", **values: str) -> None:
        super().__init__(name)
        self.name = name
        self.hint = hint
        self.values = values


class ControlError(Exception):
    """The request asks mockveo itself for something that is not there; the message teaches."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class FaultBeforeEffect(Exception):
    """A fault is to answer; the request has done nothing."""


class ClientGone(Exception):
    """The client closed the connection; there is nobody to answer."""


class IncompleteBody(Exception):
    """The body ended before its promised length, or stalled; `received` bytes came."""

    def __init__(self, received: int) -> None:
        super().__init__(received)
        self.received = received


class RequestContext:
    """One exchange as a handler sees it."""

    __slots__ = ("_operation", "exchange", "headers", "owner", "receive", "scope", "struck", "values", "world")

    def __init__(self, operation: Operation | None, scope: Scope, receive: Receive) -> None:
        self.world: World = scope[WORLD]
        self.scope = scope
        self.receive = receive
        self.headers: Mapping[bytes, bytes] = dict(scope["headers"])
        self.exchange = ExchangeRecord(scope["method"], scope["path"], scope["query_string"], scope["headers"])
        self.owner = ""
        #: The faults that strike it.
        self.struck: tuple[Fault, ...] = ()
        #: What fills the {braces} of an error, as far as it is known.
        self.values: Mapping[str, str] = _NOTHING
        self._operation = operation

    @property
    def operation(self) -> Operation:
        """The operation that is played; only for calls that are one."""
        assert self._operation is not None
        return self._operation

    @property
    def known_operation(self) -> Operation | None:
        """The operation that is played; None for what is not the document's."""
        return self._operation

    @property
    def path_value(self) -> str:
        """The value of the path's parameter."""
        return next(iter(self.scope["path_params"].values()))  # type: ignore[no-any-return]

    def strike(self, scenario: Scenario, operation: str, scope: str, subject: str, label: str = "") -> None:
        """Lets the faults of a scenario strike; see World.strike."""
        if scenario.faults:
            self.struck = tuple(
                filter(
                    self._knows,
                    self.world.faults.select(scenario, operation, scope=scope, subject=subject, label=label),
                )
            )
            if b"ticket=" in self.scope["query_string"] and self.ticket_holder is not None:
                # Whoever holds a ticket has been redirected already.
                self.struck = tuple(fault for fault in self.struck if fault.redirect is None)
            if self.struck:
                self.exchange.scenario = scenario.name
                self.exchange.faults = [name for fault in self.struck for name in fault.names]

    def _knows(self, fault: Fault) -> bool:
        """Whether the operation has a fault's error; an error for `any` is for those that have it."""
        return (
            fault.operation != "any"
            or fault.error is None
            or self._operation is None
            or fault.error in self._operation.errors
        )

    async def read(self, feed: Callable[[bytes], None], limit: int) -> None:
        """Feeds the body to `feed` as it comes. Raises ApiError("body_too_large"), IncompleteBody or ClientGone."""
        promised = self.headers.get(b"content-length", b"0")
        if promised.isdigit() and int(promised) > limit:
            raise ApiError("body_too_large", hint=f"--max-body is {limit}, the body has {int(promised)} bytes")
        exchange, receive, digest = self.exchange, self.receive, None
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            chunk = message.get("body", b"")
            exchange.body_size += len(chunk)
            if exchange.body_size > limit:
                raise ApiError("body_too_large", hint=f"--max-body is {limit}")
            feed(chunk)
            more = message.get("more_body", False)
            if digest is None and not more and len(chunk) <= KEPT_BODY:
                exchange.body = chunk
                exchange.kept += len(chunk)
                return
            digest = digest or sha256()
            digest.update(chunk)
            exchange.body_digest = digest.digest()
            if not more:
                return
            if ENDED_SHORT in self.scope:
                raise IncompleteBody(exchange.body_size)

    @property
    def ticket_holder(self) -> str | None:
        """The key that the ticket of the request stands for; None where it has no good one."""
        return self.world.tickets.holder(self.query("ticket") or "", self.scope["path"])

    def query(self, name: str) -> str | None:
        """The value of a query parameter; of several the first."""
        from urllib.parse import parse_qs

        found = parse_qs(self.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        return found[name][0] if name in found else None
