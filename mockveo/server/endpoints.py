"""The seam between HTTP and the API: every exchange passes through one `Endpoint`, and is recorded there.

Handlers never send. They return a `Response` or raise an `ApiError` (the name of an error of the document); the
endpoint alone writes to the socket. So whatever a fault does to a response happens in one place.

An exchange is a reading of its body, a decision, and a delivery. Only the decision touches the world's state, and it
does not wait, so a store that is shared can repeat it when another process was first.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from typing import Any, Final, NamedTuple

import orjson
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import compile_path
from starlette.types import Receive, Scope, Send

from mockveo.errors import StoreError
from mockveo.http.hosts import Hosts
from mockveo.http.responses import Response, error_of_ours, header_value, json_response
from mockveo.server.context import CONNECTION, ApiError, ClientGone, ControlError, FaultBeforeEffect, RequestContext
from mockveo.server.faults import apply_faults, send_with_faults, sent_body_bytes, wait_for_faults
from mockveo.server.recording import record_error, record_response
from mockveo.simulator.world import World
from mockveo.spec.spec import ErrorExample, Operation
from mockveo.text import MAX_SHOWN_CHARACTERS, brief, truncate
from mockveo.traffic.form_values import misplaced_parameters
from mockveo.traffic.redaction import redactor

log: Final = logging.getLogger("mockveo")
#: The header with what the service would not say: how to correct a request, or how to start mockveo for it.
HINT: Final = b"x-mockveo-hint"

Handler = Callable[[RequestContext], Response]


class Route(NamedTuple):
    """The handler of a request. Requests of a route without a name are not journalled."""

    operation: Operation | None
    handler: Handler
    name: str = ""
    #: Reads the body into the context, before the handler decides.
    read: Callable[[RequestContext], Awaitable[None]] | None = None


class Endpoint:
    """An ASGI application for one path: a route for each method, and `otherwise` for other methods.

    Pages of other origins may read the responses of one that is `shared`.
    """

    def __init__(
        self,
        routes: Mapping[str, Route],
        hosts: Hosts,
        *,
        other_origin: bool = False,
        otherwise: Route | None = None,
        shared: bool = True,
    ) -> None:
        self._routes = {**({"HEAD": routes["GET"]} if "GET" in routes else {}), **routes}
        self._hosts = hosts
        self._other_origin = other_origin
        self._otherwise = otherwise
        self._shared = shared
        self._for_browsers = CORSMiddleware(
            self._serve,
            allow_origin_regex=hosts.origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["*"],
            allow_private_network=True,
        )

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Return an awaitable that serves one exchange."""
        # Only browsers send Origin, so only they pay for CORS.
        for name, value in scope["headers"]:
            if name == b"origin" and self._shared and self._is_served(dict(scope["headers"])):
                if scope["method"] == "OPTIONS" and not self._hosts.allow_origin(value):
                    break  # Starlette would refuse the preflight too, but without a line in the log.
                return self._for_browsers(scope, receive, send)
        return self._serve(scope, receive, send)

    def _is_served(self, headers: Mapping[bytes, bytes]) -> bool:
        return self._hosts.serve(headers.get(b"host"))

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._exchange(scope, receive, send)
        except OSError:  # in process, a fault of the connection
            raise
        except Exception as error:
            _log_bug(scope, error)
            raise

    async def _exchange(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = perf_counter()
        route = self._routes.get(scope["method"], self._otherwise)
        call = RequestContext(route.operation if route else None, scope, receive)
        exchange = call.exchange
        if route is not None and route.read is not None:
            await self._read(call, route)
        try:
            response = await call.decide(lambda: self._decided(call, route, started))
            if call.faults or call.later is not None:
                response = await self._completed(call, route, started, response)
        except StoreError as error:
            call.faults = ()
            response = error_of_ours(503, "store_unavailable", str(error))
            response.headers.append(call.world.moment()[1])
        if response is None:
            return
        if call.faults:
            sent = await send_with_faults(response, call, send)
            if sent < exchange.response_bytes:
                exchange.client_left, exchange.response_bytes = True, sent
            exchange.duration = perf_counter() - started
            call.world.journal.amend(exchange)
        elif response.stream is not None:
            await _stream(response, receive, send)
        else:
            state = scope.get("state")
            if state and CONNECTION in state and state[CONNECTION].send_whole(response, send):
                return
            await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
            await send({"type": "http.response.body", "body": response.body})

    async def _read(self, call: RequestContext, route: Route) -> None:
        """Read the body if the request may go on to its handler; an error waits for its turn in `_respond`."""
        assert route.read is not None
        if self._refused(call) is not None:
            return
        has_ticket = b"ticket=" in call.scope["query_string"]
        authorization = call.headers.get(b"authorization", b"")
        operation, accounts = route.operation, call.world.accounts
        if operation is not None and operation.authorised and not has_ticket and accounts.owner(authorization) is None:
            return
        try:
            await route.read(call)
        except Exception as error:  # noqa: BLE001 - raised again where the request is decided
            call.problem = error

    def _decided(self, call: RequestContext, route: Route | None, started: float) -> Response | None:
        """Return the response, recorded unless a fault or a clip still has to come; None if the client is gone."""
        response = self._respond(call, route)
        if not call.faults and call.later is None:
            self._finish(call, route, started, response)
        return response

    async def _completed(
        self, call: RequestContext, route: Route | None, started: float, response: Response | None
    ) -> Response | None:
        """Make what takes time, wait as long as faults delay it, and return the response as they leave it."""
        if call.later is not None:
            try:
                response = await call.later()
            except StoreError:
                raise
            except Exception as error:  # noqa: BLE001 - distinguished by _error_response
                failure = error
                response = await call.decide(lambda: self._error_response(call, failure))
        if call.faults and response is not None and not await wait_for_faults(call):
            response, call.exchange.client_left = None, True
        if response is None:
            return await call.decide(lambda: self._finish(call, route, started, None))
        # A copy, since a decision that is made again adds its headers again.
        made = response
        return await call.decide(lambda: self._finish(call, route, started, made._replace(headers=list(made.headers))))

    def _finish(
        self, call: RequestContext, route: Route | None, started: float, response: Response | None
    ) -> Response | None:
        """Date and record a response, with its faults, before it is sent: a client that has it may read the journal."""
        exchange = call.exchange
        if response is not None:
            exchange.at, date_header = call.world.moment()
            if call.faults:
                response = self._with_faults(response, call, date_header)
            else:
                response.headers.append(date_header)
                record_response(exchange, response, len(response.body))
        exchange.duration = perf_counter() - started
        if route is None or route.name:
            call.world.journal.add(exchange)
        return response

    def _with_faults(self, response: Response, call: RequestContext, date_header: tuple[bytes, bytes]) -> Response:
        try:
            response = apply_faults(response, call)
        except Exception as error:  # noqa: BLE001 - reported in the log and to the client
            call.faults = ()
            response = self._error_response(call, error)
        # A fault may have set a Date of its own.
        if all(name != b"date" for name, _ in response.headers):
            response.headers.append(date_header)
        sent_bytes = sent_body_bytes(response, call.faults)
        if sent_bytes is not None:
            record_response(call.exchange, response, sent_bytes)
        return response

    def _refused(self, call: RequestContext) -> Response | None:
        """Return the response to a request that is not for this server; None for others."""
        headers = call.scope["headers"]
        problem = ""
        if b"host" not in call.headers and call.scope["http_version"] == "1.1":
            problem = "no Host header"
        elif len(call.headers) < len(headers) and [name for name, _ in headers].count(b"host") > 1:
            problem = "two Host headers"
        if problem:
            record_error(call.exchange, "not_one_host")
            message = f"The request has {problem}; expected one, e.g. Host: localhost (RFC 9112 section 3.2)"
            return error_of_ours(400, "not_one_host", message)
        return None if self._hosts.serve(call.headers.get(b"host")) else self._host_refused(call)

    def _respond(self, call: RequestContext, route: Route | None) -> Response | None:
        """Return the response; None if the client is gone."""
        refusal = self._refused(call)
        if refusal is not None:
            return refusal
        if route is None:
            return self._without_route(call)
        exchange, operation = call.exchange, route.operation
        exchange.operation = route.name
        if self._other_origin:
            exchange.other_origin = True
        if operation is not None and (operation.form is not None or call.scope["query_string"]):
            exchange.deviations = [*misplaced_parameters(operation, call.scope["query_string"], call.headers)]
        try:
            if operation is not None and operation.authorised:
                call.owner = exchange.owner = self._authenticate(call)
            if call.problem is not None:
                raise call.problem  # noqa: TRY301 - it waited for its turn
            return route.handler(call)
        except ClientGone:
            return None
        except Exception as error:  # noqa: BLE001 - distinguished by _error_response
            return self._error_response(call, error)

    def _error_response(self, call: RequestContext, error: Exception) -> Response:
        if isinstance(error, ApiError):
            record_error(call.exchange, error.name, error.hint)
            status, body = _filled(call.world, call.operation.errors[error.name], error.values)
            response = checked_answer(call, status, body)
            if error.hint:
                response.headers.append((HINT, header_value(error.hint)))
            return response
        if isinstance(error, ControlError):
            record_error(call.exchange, error.code)
            return error_of_ours(error.status, error.code, error.message)
        if isinstance(error, FaultBeforeEffect):
            return Response(200, [], b"")
        _log_bug(call.scope, error)
        return error_of_ours(500, "internal_error", "mockveo failed to answer; this is a bug of mockveo, see its log")

    def _authenticate(self, call: RequestContext) -> str:
        """Return the key of a request. Raises ApiError("invalid_token")."""
        authorization = call.headers.get(b"authorization", b"")
        owner = call.world.accounts.owner(authorization)
        if not authorization and b"ticket=" in call.scope["query_string"]:
            owner = call.ticket_holder or None
        if owner is not None:
            return owner
        if not authorization:
            raise ApiError("invalid_token", hint="there is no Authorization header")
        if authorization[:7].lower() == b"bearer ":
            raise ApiError("invalid_token", hint="the key is not one of --key")
        raise ApiError("invalid_token", hint="the Authorization header does not say Bearer KEY")

    def _without_route(self, call: RequestContext) -> Response:
        method, path = call.scope["method"], call.scope["path"]
        origin = call.headers.get(b"origin")
        is_preflight = method == "OPTIONS" and b"access-control-request-method" in call.headers
        if is_preflight and origin is not None and not self._hosts.allow_origin(origin):
            return _origin_refused(call, origin.decode("latin-1"))
        operations = call.world.spec.operations.values()
        # "*" asks for the server in general. Source: RFC 9110 section 9.3.7.
        methods = {operation.method for operation in operations} if path == "*" else {*self._routes}
        if method == "OPTIONS" and methods:
            allow = ", ".join(sorted({*methods, "OPTIONS"}))
            return Response(204, [(b"allow", allow.encode())], b"")
        paths = ", ".join(f"{operation.method} {operation.path}" for operation in operations)
        record_error(call.exchange, "unknown_path", f"the paths are {paths}")
        return json_response(*_filled(call.world, call.world.spec.unknown_path, {"method": method, "path": path}))

    def _host_refused(self, call: RequestContext) -> Response:
        host = call.headers[b"host"].decode("latin-1")
        record_error(call.exchange, "host_not_allowed")
        name = truncate(host.partition(":")[0], MAX_SHOWN_CHARACTERS)
        return error_of_ours(
            421,
            "host_not_allowed",
            f"The Host header is {brief(host)}, which is neither loopback nor an IP address. If that is intended, start"
            f" mockveo with --allow-host {name}",
        )


class EndpointTable:
    """An ASGI application that passes each request to the endpoint of its path, or to `otherwise`.

    Starlette compiles the templates, but its own lookup would cost more than a whole poll does here. A path without
    parameters takes precedence over a template that matches too. Source: OpenAPI 3.1, section 4.8.8.
    """

    def __init__(self, endpoints: Mapping[str, Endpoint], otherwise: Endpoint) -> None:
        self._concrete = {path: endpoint for path, endpoint in endpoints.items() if "{" not in path}
        self._templates = [(compile_path(path)[0], endpoint) for path, endpoint in endpoints.items() if "{" in path]
        self._otherwise = otherwise

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Return an awaitable that serves one exchange."""
        path = scope["path"]
        endpoint = self._concrete.get(path)
        if endpoint is not None:
            return endpoint(scope, receive, send)
        for template, candidate in self._templates:
            match = template.match(path)
            if match is not None:
                scope["path_params"] = match.groupdict()
                return candidate(scope, receive, send)
        return self._otherwise(scope, receive, send)


def _log_bug(scope: Scope, error: Exception) -> None:
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    trace = "".join(traceback.format_exception(error)).rstrip()
    text = f"mockveo failed to answer {scope['method']} {scope['path']}; this is a bug of mockveo\n{trace}"
    log.error("%s", redactor(headers, scope["query_string"]).redact(text))


def _origin_refused(call: RequestContext, origin: str) -> Response:
    remedy = (
        f"start mockveo with --allow-origin {truncate(origin, MAX_SHOWN_CHARACTERS)} if its pages may read responses"
    )
    record_error(call.exchange, "origin_not_allowed", remedy)
    return error_of_ours(
        400, "origin_not_allowed", f"The Origin is {brief(origin)}, which is not of this machine; {remedy}"
    )


async def _stream(response: Response, receive: Receive, send: Send) -> None:
    assert response.stream is not None
    await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
    async for chunk in response.stream(receive):
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _filled(world: World, example: ErrorExample, values: Mapping[str, str]) -> tuple[int, Any]:
    return example.status, example.fill({"request_id": world.request_id(), **values})


def checked_answer(call: RequestContext, status: int, body: Any, *, check: bool = True) -> Response:
    """Return a JSON response, checked against the document first with --self-check."""
    problem = call.operation.answer_problem(status, body) if check and call.world.settings.self_check else None
    if problem is not None:
        log.error("self-check: %s: %s", problem, call.exchange.redacted(orjson.dumps(body).decode()))
        record_error(call.exchange, "self_check", call.exchange.hint)
        return error_of_ours(500, "self_check", f"The answer would break the document: {problem}")
    return json_response(status, body)
