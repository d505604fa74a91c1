"""The seam between HTTP and the API: every exchange passes through one `Endpoint`, and is journalled there.

Handlers never send. They return an `Answer` or raise a `Refusal` (the name of an error of the document); the
endpoint alone writes to the socket. So whatever is to be done to an answer on its way out is done in one place.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from typing import Any, Final, NamedTuple

import orjson
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Receive, Scope, Send

from mockveo.hosts import LOOPBACK_ORIGIN, Hosts
from mockveo.journal import Exchange
from mockveo.settings import Settings
from mockveo.spec import ErrorExample, Operation
from mockveo.world import World

log = logging.getLogger("mockveo")

#: In the scope of a request whose client will send no more although it promised to; set by the server's protocol.
ENDED_SHORT: Final = "mockveo.ended_short"

_JSON: Final = (b"content-type", b"application/json")


class Answer(NamedTuple):
    """A whole HTTP answer."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Refusal(Exception):
    """The request is answered with an error of the document. `values` fill the {braces} of its message.

    `hint` is what the service would not say; it goes to the log alone.
    """

    def __init__(self, name: str, *, hint: str = "", **values: str) -> None:
        super().__init__(name)
        self.name = name
        self.hint = hint
        self.values = values


class ClientGone(Exception):
    """The client closed the connection; there is nobody to answer."""


class EndedShort(Exception):
    """The body ended before its promised length, or stalled; `received` bytes came."""

    def __init__(self, received: int) -> None:
        super().__init__(received)
        self.received = received


class Call:
    """One exchange as a handler sees it."""

    __slots__ = ("_operation", "exchange", "headers", "owner", "receive", "scope", "settings", "world")

    def __init__(
        self, world: World, settings: Settings, operation: Operation | None, scope: Scope, receive: Receive
    ) -> None:
        self.world = world
        self.settings = settings
        self.scope = scope
        self.receive = receive
        self.headers: Mapping[bytes, bytes] = dict(scope["headers"])
        self.exchange = Exchange(scope["method"], scope["path"], scope["query_string"], scope["headers"])
        self.owner = ""
        self._operation = operation

    @property
    def operation(self) -> Operation:
        """The operation that is played; only for calls that are one."""
        assert self._operation is not None
        return self._operation

    @property
    def path_value(self) -> str:
        """The value of the path's parameter."""
        return next(iter(self.scope["path_params"].values()))  # type: ignore[no-any-return]

    async def read(self, feed: Callable[[bytes], None], limit: int) -> None:
        """Feeds the body to `feed` as it comes. Raises Refusal("body_too_large"), EndedShort or ClientGone."""
        promised = self.headers.get(b"content-length", b"0")
        if promised.isdigit() and int(promised) > limit:
            raise Refusal("body_too_large", hint=f"--max-body is {limit}, the body has {int(promised)} bytes")
        exchange, receive = self.exchange, self.receive
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            chunk = message.get("body", b"")
            exchange.body_size += len(chunk)
            if exchange.body_size > limit:
                raise Refusal("body_too_large", hint=f"--max-body is {limit}")
            feed(chunk)
            if not message.get("more_body", False):
                return
            if ENDED_SHORT in self.scope:
                raise EndedShort(exchange.body_size)


Handler = Callable[[Call], Awaitable[Answer]]


class Play(NamedTuple):
    """An operation and what plays it. A route that is not the document's has no operation and is not journalled."""

    operation: Operation | None
    handler: Handler


class Endpoint:
    """An ASGI application that plays the operations of one path, by method."""

    def __init__(self, plays: Mapping[str, Play], world: World, settings: Settings, hosts: Hosts | None) -> None:
        self._plays = {**({"HEAD": plays["GET"]} if "GET" in plays else {}), **plays}
        self._world = world
        self._settings = settings
        self._hosts = hosts
        self._for_browsers = CORSMiddleware(
            self._play,
            allow_origin_regex=LOOPBACK_ORIGIN,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["*"],
            allow_private_network=True,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Plays one exchange. What CORS costs only browsers pay: nobody else sends Origin."""
        for name, _ in scope["headers"]:
            if name == b"origin" and self._serves(dict(scope["headers"])):
                await self._for_browsers(scope, receive, send)
                return
        await self._play(scope, receive, send)

    def _serves(self, headers: Mapping[bytes, bytes]) -> bool:
        return self._hosts is None or self._hosts.serve(headers.get(b"host"))

    async def _play(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = perf_counter()
        play = self._plays.get(scope["method"])
        call = Call(self._world, self._settings, play.operation if play else None, scope, receive)
        exchange = call.exchange
        answer: Answer | None = None
        try:
            answer = await self._answer(call, play)
            exchange.status = answer.status
            exchange.sent = len(answer.body)
        except ClientGone:
            pass
        exchange.duration = perf_counter() - begun
        # Before the answer goes out: who has it may look at once.
        if play is None or play.operation is not None:
            self._world.journal.add(exchange)
        if answer is not None:
            await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
            await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, call: Call, play: Play | None) -> Answer:
        if not self._serves(call.headers):
            return self._refuse_host(call)
        try:
            if play is None:
                return self._unplayed(call)
            if play.operation is not None:
                call.exchange.operation = play.operation.id
                if play.operation.authorised:
                    call.owner = self._authorise(call)
            return await play.handler(call)
        except Refusal as refusal:
            return self._refusal(call, refusal)
        except ClientGone:
            raise
        except Exception:
            log.exception(
                "mockveo failed to answer %s %s; this is a bug of mockveo", call.scope["method"], call.scope["path"]
            )
            return error_of_ours(
                500, "internal_error", "mockveo failed to answer; this is a bug of mockveo, see its log"
            )

    def _authorise(self, call: Call) -> str:
        authorization = call.headers.get(b"authorization", b"")
        owner = self._world.owner(authorization)
        if owner is None:
            wrong = (
                "the key is none of --key" if authorization[:7].lower() == b"bearer " else "it does not say Bearer KEY"
            )
            raise Refusal("invalid_token", hint=wrong if authorization else "there is no Authorization header")
        call.exchange.owner = owner
        return owner

    def _unplayed(self, call: Call) -> Answer:
        method, path = call.scope["method"], call.scope["path"]
        if method == "OPTIONS" and self._plays:
            allow = ", ".join(sorted({*self._plays, "OPTIONS"}))
            return Answer(204, [(b"allow", allow.encode())], b"")
        call.exchange.error = "unknown_path"
        known = ", ".join(f"{one.method} {one.path}" for one in self._world.spec.operations.values())
        call.exchange.hint = f"there is {known}"
        return json_answer(*_filled(self._world, self._world.spec.unknown_path, {"method": method, "path": path}))

    def _refusal(self, call: Call, refusal: Refusal) -> Answer:
        call.exchange.error, call.exchange.hint = refusal.name, refusal.hint
        status, body = _filled(self._world, call.operation.errors[refusal.name], refusal.values)
        return checked_answer(call, status, body)

    def _refuse_host(self, call: Call) -> Answer:
        host = call.headers[b"host"].decode("latin-1")
        call.exchange.error = "host_not_allowed"
        name = host.partition(":")[0]
        return error_of_ours(
            421,
            "host_not_allowed",
            f"The Host header is {host!r}, which is neither loopback nor an IP address. If that is meant, start"
            f" mockveo with --allow-host {name}",
        )


def _filled(world: World, example: ErrorExample, values: Mapping[str, str]) -> tuple[int, Any]:
    return example.status, example.fill({"request_id": world.request_id(), **values})


def json_answer(status: int, body: Any) -> Answer:
    """An answer of JSON, compact and in UTF-8 as the gateway's."""
    data = orjson.dumps(body)
    return Answer(status, [_JSON, (b"content-length", b"%d" % len(data))], data)


def checked_answer(call: Call, status: int, body: Any) -> Answer:
    """A JSON answer, held against the document first where --self-check asks for it."""
    if call.settings.self_check:
        problem = call.operation.answer_problem(status, body)
        if problem is not None:
            log.error("self-check: %s: %s", problem, orjson.dumps(body).decode())
            call.exchange.error = "self_check"
            return error_of_ours(500, "self_check", f"The answer would break the document: {problem}")
    return json_answer(status, body)


def error_of_ours(status: int, code: str, message: str) -> Answer:
    """An error that the real service does not know; its type says so."""
    return json_answer(status, {"error": {"message": message, "type": "mockveo_error", "code": code}})
