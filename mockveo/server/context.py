"""One exchange as a handler sees it, and what a handler may raise instead of returning a response."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Final

from starlette.types import Receive, Scope

from mockveo.http.forms import media_type_fits
from mockveo.http.parts import Part
from mockveo.server.recording import MAX_KEPT_BODY_BYTES, record_faults, record_request_body
from mockveo.simulator.fault import Fault
from mockveo.simulator.jobs import Job
from mockveo.simulator.scenarios import Scenario
from mockveo.simulator.world import World
from mockveo.spec.spec import Operation
from mockveo.traffic.record import ExchangeRecord

#: Key in a scope: the client sends no more although its body is not complete. Set by the protocol.
BODY_CUT: Final = "mockveo.body_cut"
#: Key in a scope: the client has closed its sending side after the request. Set by the protocol.
CLOSED: Final = "mockveo.closed"
#: Keys in every scope: the world that is called, and the prefix of its paths, e.g. "/@mine". Set by the application.
WORLD: Final = "mockveo.world"
PREFIX: Final = "mockveo.prefix"

_NO_VALUES: Final[Mapping[str, str]] = {}


class ApiError(Exception):
    """An error of the document as response. `values` fill the {braces} of its message.

    `hint` is what the service would not say; the log shows it, and a header of the response.
    """

    def __init__(self, name: str, *, hint: str = "", **values: str) -> None:
        super().__init__(name)
        self.name = name
        self.hint = hint
        self.values = values


class ControlError(Exception):
    """An invalid request to mockveo itself; the message says how to correct it."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class FaultBeforeEffect(Exception):
    """A fault that replaces the response before the request has an effect."""


class ClientGone(Exception):
    """The client has closed the connection, so no response can reach it."""


class IncompleteBody(Exception):
    """The body ended or stalled after `received` bytes, before its promised length."""

    def __init__(self, received: int) -> None:
        super().__init__(received)
        self.received = received


class RequestContext:
    """One exchange as a handler sees it."""

    __slots__ = (
        "_operation",
        "error_values",
        "exchange",
        "faults",
        "files",
        "headers",
        "job",
        "owner",
        "receive",
        "scope",
        "world",
    )

    def __init__(self, operation: Operation | None, scope: Scope, receive: Receive) -> None:
        self.world: World = scope[WORLD]
        self.scope = scope
        self.receive = receive
        self.headers: Mapping[bytes, bytes] = dict(scope["headers"])
        self.exchange = ExchangeRecord(scope["method"], scope["path"], scope["query_string"], scope["headers"])
        self.owner = ""
        #: The job that it is about, once the handler has it.
        self.job: Job | None = None
        #: The files of a create.
        self.files: Sequence[Part] = ()
        #: The faults that apply to it.
        self.faults: tuple[Fault, ...] = ()
        #: What fills the {braces} of an error of a fault, as far as the handler knows it.
        self.error_values: Mapping[str, str] = _NO_VALUES
        self._operation = operation

    @property
    def operation(self) -> Operation:
        """The operation of the document; only for requests that have one."""
        assert self._operation is not None
        return self._operation

    @property
    def operation_or_none(self) -> Operation | None:
        """The operation of the document; None for a path outside it."""
        return self._operation

    @property
    def path_value(self) -> str:
        """The value of the path's parameter."""
        return next(iter(self.scope["path_params"].values()))  # type: ignore[no-any-return]

    def select_faults(self, scenario: Scenario, operation: str, *, scope: str, subject: str, label: str = "") -> None:
        """Select the faults of a scenario that apply to this exchange; see FaultSelector.select."""
        if not scenario.faults:
            return
        selected = self.world.faults.select(scenario, operation, scope=scope, subject=subject, label=label)
        faults = [fault for fault in selected if self._has_error_of(fault) and self._has_file_of(fault)]
        if b"ticket=" in self.scope["query_string"] and self.ticket_holder is not None:
            # A request with a ticket has been redirected already.
            faults = [fault for fault in faults if fault.redirect is None or fault.endless]
        self.faults = tuple(faults)
        if faults:
            record_faults(self.exchange, scenario.name, faults)

    def _has_file_of(self, fault: Fault) -> bool:
        """Return whether a file of the request has the media type that a fault waits for."""
        if fault.file_type is None:
            return True
        return any(media_type_fits(part.content_type or "none", (fault.file_type,)) for part in self.files)

    def _has_error_of(self, fault: Fault) -> bool:
        """Return whether the operation has a fault's error; a fault for `any` skips operations without it."""
        return (
            fault.operation != "any"
            or fault.error is None
            or self._operation is None
            or fault.error in self._operation.errors
        )

    async def read(self, feed: Callable[[bytes], None], limit: int) -> None:
        """Pass the body to `feed` as it comes. Raises ApiError("body_too_large"), IncompleteBody or ClientGone."""
        promised = self.headers.get(b"content-length", b"0")
        if promised.isdigit() and int(promised) > limit:
            raise ApiError("body_too_large", hint=f"--max-body is {limit}, the body has {int(promised)} bytes")
        receive, size, body, digest = self.receive, 0, None, None
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                chunk = message.get("body", b"")
                size += len(chunk)
                if size > limit:
                    raise ApiError("body_too_large", hint=f"--max-body is {limit}")
                feed(chunk)
                more = message.get("more_body", False)
                if digest is None and not more and len(chunk) <= MAX_KEPT_BODY_BYTES:
                    body = chunk
                    return
                digest = digest or sha256()
                digest.update(chunk)
                if not more:
                    return
                if BODY_CUT in self.scope:
                    raise IncompleteBody(size)
        finally:
            record_request_body(self.exchange, size, body, digest.digest() if digest else b"")

    @property
    def ticket_holder(self) -> str | None:
        """The key that the ticket of the request stands for; None without a valid ticket."""
        return self.world.tickets.holder(self.query("ticket") or "", self.scope["path"])

    def query(self, name: str) -> str | None:
        """Return the value of a query parameter; of several the first."""
        from urllib.parse import parse_qs

        values = parse_qs(self.scope["query_string"].decode("latin-1"), keep_blank_values=True).get(name)
        return values[0] if values else None
