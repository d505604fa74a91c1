"""The seam between HTTP and the API: every exchange passes through one `Endpoint`, and is journalled there.

Handlers never send. They return an `Response` or raise a `ApiError` (the name of an error of the document); the
endpoint alone writes to the socket. So whatever a fault does to an answer on its way out is done in one place.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from time import perf_counter
from typing import Any, Final, NamedTuple

import orjson
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import compile_path
from starlette.types import Receive, Scope, Send

from mockveo.http.hosts import LOOPBACK_ORIGIN, Hosts
from mockveo.http.responses import Response, error_of_ours, json_answer
from mockveo.server.context import ApiError, ClientGone, ControlError, FaultBeforeEffect, RequestContext
from mockveo.server.faults import altered, deliver, delivered, waited
from mockveo.simulator.world import World
from mockveo.spec.spec import ErrorExample, Operation
from mockveo.traffic.record import ExchangeRecord

log = logging.getLogger("mockveo")

#: Bytes of an answer that the journal keeps; longer ones are videos.
KEPT_ANSWER: Final = 64 * 2**10

Handler = Callable[[RequestContext], Awaitable[Response]]


class Route(NamedTuple):
    """What plays a request. One that is neither an operation nor named is not journalled."""

    operation: Operation | None
    handler: Handler
    name: str = ""


class Endpoint:
    """An ASGI application that plays the operations of one path, by method, and others with `otherwise`."""

    def __init__(
        self,
        plays: Mapping[str, Route],
        hosts: Hosts | None,
        *,
        elsewhere: bool = False,
        otherwise: Route | None = None,
    ) -> None:
        self._plays = {**({"HEAD": plays["GET"]} if "GET" in plays else {}), **plays}
        self._hosts = hosts
        self._elsewhere = elsewhere
        self._otherwise = otherwise
        self._for_browsers = CORSMiddleware(
            self._play,
            allow_origin_regex=LOOPBACK_ORIGIN,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["*"],
            allow_private_network=True,
        )

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Plays one exchange, when awaited. What CORS costs only browsers pay: nobody else sends Origin."""
        for name, _ in scope["headers"]:
            if name == b"origin" and self._serves(dict(scope["headers"])):
                return self._for_browsers(scope, receive, send)
        return self._play(scope, receive, send)

    def _serves(self, headers: Mapping[bytes, bytes]) -> bool:
        return self._hosts is None or self._hosts.serve(headers.get(b"host"))

    async def _play(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = perf_counter()
        play = self._plays.get(scope["method"], self._otherwise)
        call = RequestContext(play.operation if play else None, scope, receive)
        exchange = call.exchange
        answer = await self._answer(call, play)
        if answer is not None and call.struck and not await waited(call):
            answer, exchange.left = None, True
        if answer is not None:
            exchange.at, date = call.world.moment()
            sent: int | None = len(answer.body)
            if call.struck:
                answer = self._altered(answer, call)
                sent = delivered(answer, call.struck)
            if not call.struck or all(name != b"date" for name, _ in answer.headers):
                answer.headers.append(date)
            if sent is not None:
                _note(exchange, answer, sent)
        exchange.duration = perf_counter() - begun
        # Before the answer goes out: who has it may look at once.
        if play is None or play.operation is not None or play.name:
            call.world.journal.add(exchange)
        if answer is None:
            return
        if call.struck:
            await self._strike(answer, call, send)
            exchange.duration = perf_counter() - begun
        elif answer.stream is not None:
            await _stream(answer, receive, send)
        else:
            await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
            await send({"type": "http.response.body", "body": answer.body})

    def _altered(self, answer: Response, call: RequestContext) -> Response:
        try:
            return altered(answer, call)
        except Exception as error:  # noqa: BLE001 - it is told, in the log and to the client
            call.struck = ()
            return self._refused(call, error)

    async def _strike(self, answer: Response, call: RequestContext, send: Send) -> None:
        exchange = call.exchange
        sent = await deliver(answer, call, send)
        if sent < exchange.sent:
            exchange.left, exchange.sent = True, sent

    async def _answer(self, call: RequestContext, play: Route | None) -> Response | None:
        """The answer; None where there is nobody to have it any more."""
        if self._hosts is not None and not self._hosts.serve(call.headers.get(b"host")):
            return self._refuse_host(call)
        if play is None:
            return self._unplayed(call)
        exchange, operation = call.exchange, play.operation
        exchange.elsewhere, exchange.operation = self._elsewhere, play.name
        try:
            if operation is not None:
                exchange.operation = operation.id
                if operation.authorised:
                    call.owner = self._authorise(call)
            return await play.handler(call)
        except ClientGone:
            return None
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told apart there
            return self._refused(call, error)

    def _refused(self, call: RequestContext, error: Exception) -> Response:
        if isinstance(error, ApiError):
            return self._refusal(call, error)
        if isinstance(error, ControlError):
            call.exchange.error = error.code
            return error_of_ours(error.status, error.code, error.message)
        if isinstance(error, FaultBeforeEffect):
            return Response(200, [], b"")
        log.error(
            "mockveo failed to answer %s %s; this is a bug of mockveo",
            call.scope["method"],
            call.scope["path"],
            exc_info=error,
        )
        return error_of_ours(500, "internal_error", "mockveo failed to answer; this is a bug of mockveo, see its log")

    def _authorise(self, call: RequestContext) -> str:
        authorization = call.headers.get(b"authorization", b"")
        owner = call.world.accounts.owner(authorization)
        if not authorization and b"ticket=" in call.scope["query_string"]:
            owner = call.ticket_holder or None
        if owner is None:
            wrong = (
                "the key is none of --key" if authorization[:7].lower() == b"bearer " else "it does not say Bearer KEY"
            )
            raise ApiError("invalid_token", hint=wrong if authorization else "there is no Authorization header")
        call.exchange.owner = owner
        return owner

    def _unplayed(self, call: RequestContext) -> Response:
        method, path = call.scope["method"], call.scope["path"]
        if method == "OPTIONS" and self._plays:
            allow = ", ".join(sorted({*self._plays, "OPTIONS"}))
            return Response(204, [(b"allow", allow.encode())], b"")
        call.exchange.error = "unknown_path"
        known = ", ".join(f"{one.method} {one.path}" for one in call.world.spec.operations.values())
        call.exchange.hint = f"there is {known}"
        return json_answer(*_filled(call.world, call.world.spec.unknown_path, {"method": method, "path": path}))

    def _refusal(self, call: RequestContext, refusal: ApiError) -> Response:
        call.exchange.error, call.exchange.hint = refusal.name, refusal.hint
        status, body = _filled(call.world, call.operation.errors[refusal.name], refusal.values)
        return checked_answer(call, status, body)

    def _refuse_host(self, call: RequestContext) -> Response:
        host = call.headers[b"host"].decode("latin-1")
        call.exchange.error = "host_not_allowed"
        name = host.partition(":")[0]
        return error_of_ours(
            421,
            "host_not_allowed",
            f"The Host header is {host!r}, which is neither loopback nor an IP address. If that is meant, start"
            f" mockveo with --allow-host {name}",
        )


class Routes:
    """An ASGI application that plays the endpoints of a set of paths, and `otherwise` for any other path.

    It leaves compiling templates to Starlette, not the looking up, which costs more there than answering a poll does
    here. A path without parameters goes before a template that fits it too. Source: OpenAPI 3.1, section 4.8.8.
    """

    def __init__(self, endpoints: Mapping[str, Endpoint], otherwise: Endpoint) -> None:
        self._concrete = {path: endpoint for path, endpoint in endpoints.items() if "{" not in path}
        self._templates = [(compile_path(path)[0], one) for path, one in endpoints.items() if "{" in path]
        self._otherwise = otherwise

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Plays one exchange, when awaited."""
        path = scope["path"]
        endpoint = self._concrete.get(path)
        if endpoint is None:
            for template, one in self._templates:
                found = template.match(path)
                if found is not None:
                    scope["path_params"] = found.groupdict()
                    endpoint = one
                    break
            else:
                endpoint = self._otherwise
        return endpoint(scope, receive, send)


def _note(exchange: ExchangeRecord, answer: Response, sent: int) -> None:
    """Notes an answer, of whose body so many bytes are to be sent."""
    exchange.status, exchange.sent, exchange.answer_headers = answer.status, sent, answer.headers
    if sent <= KEPT_ANSWER:
        exchange.answer_body = answer.body[:sent]
        exchange.kept += sent
    else:
        exchange.answer_digest = sha256(answer.body[:sent]).digest()


async def _stream(answer: Response, receive: Receive, send: Send) -> None:
    assert answer.stream is not None
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    async for chunk in answer.stream(receive):
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _filled(world: World, example: ErrorExample, values: Mapping[str, str]) -> tuple[int, Any]:
    return example.status, example.fill({"request_id": world.request_id(), **values})


def checked_answer(call: RequestContext, status: int, body: Any, *, check: bool = True) -> Response:
    """A JSON answer, held against the document first where --self-check asks for it."""
    problem = call.operation.answer_problem(status, body) if check and call.world.settings.self_check else None
    if problem is not None:
        log.error("self-check: %s: %s", problem, orjson.dumps(body).decode())
        call.exchange.error = "self_check"
        return error_of_ours(500, "self_check", f"The answer would break the document: {problem}")
    return json_answer(status, body)
