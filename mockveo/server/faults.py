"""What a fault does: to an answer, and to the connection that carries it.

`altered` is pure: an answer in, an answer out. `deliver` sends: on a socket of ours it holds the transport, so that a
reset is a TCP reset; in process, where there is none, it raises what a client of that kind would see.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import orjson
from starlette.types import Receive, Scope, Send

from mockveo.http.responses import JSON, Response
from mockveo.server.context import CLOSED, PREFIX, RequestContext
from mockveo.simulator.scenarios import Fault

#: In the state of a scope: the transport of the connection, on sockets of ours.
TRANSPORT: Final = "mockveo.transport"
#: Pieces in a second that a limited bandwidth is sent in.
PIECES: Final = 20
#: Seconds to wait for the end of a connection that was hung up, and hundredths of one for bytes to arrive.
HUNG_UP: Final = 1.0
ARRIVAL: Final = 200

#: The page of a proxy. Source: observed within a message of the service, there with 400.
_PAGE: Final = """<html>\r
<head><title>{title}</title></head>\r
<body>\r
<center><h1>{title}</h1></center>\r
<hr><center>openresty</center>\r
</body>\r
</html>\r
"""


def altered(answer: Response, call: RequestContext) -> Response:
    """The answer as the faults that strike a call leave it."""
    for fault in call.struck:
        answer = _altered(answer, fault, call)
    return answer


def _altered(answer: Response, fault: Fault, call: RequestContext) -> Response:
    if fault.redirect is not None:
        answer = _redirect(fault.redirect, call, elsewhere=fault.elsewhere)
    status, headers, body = answer.status, dict(answer.headers), answer.body
    if fault.redirect is None and (fault.error is not None or fault.status is not None):
        status, error = _error(fault, call)
        if error is not None:
            body, headers = error, dict([JSON])
    body, media_type = _body(fault, status, body)
    if media_type is not None:
        headers[b"content-type"] = media_type
    headers[b"content-length"] = b"%d" % len(body)
    if fault.retry_after is not None:
        headers[b"retry-after"] = _retry_after(fault.retry_after, call if fault.as_date else None)
    if fault.content_type is not None:
        headers[b"content-type"] = fault.content_type.encode("latin-1")
    headers.update((name.lower().encode(), value.encode("latin-1")) for name, value in fault.headers.items())
    if status in (204, 304):  # which have no body; one that came would be read as the next answer
        body = b""
        headers.pop(b"content-length", None)
    return Response(status, list(headers.items()), body)


def _body(fault: Fault, status: int, body: bytes) -> tuple[bytes, bytes | None]:
    """The body that a fault leaves, and its media type where that is another."""
    if fault.json is not None:
        return fault.json, JSON[1]
    if fault.text is not None:
        return fault.text.encode(), b"text/plain; charset=utf-8"
    if fault.html:
        return _PAGE.format(title=f"{status} {_phrase(status)}").encode(), b"text/html"
    if fault.malformed:
        return body[: -max(len(body) // 3, 1)], None
    return (b"" if fault.empty else body), None


def _error(fault: Fault, call: RequestContext) -> tuple[int, bytes | None]:
    """The status and the body of an error; a mere status below 400 leaves the body as it is."""
    spec, operation = call.world.spec, call.known_operation
    example = spec.error(fault.error, operation) if fault.error is not None else None
    told = fault.message is not None or fault.envelope is not None or fault.code != ""
    if example is None and fault.status is not None:
        if fault.status < 400 and not told:
            return fault.status, None
        if not told and operation is not None:
            example = next((one for one in operation.errors.values() if one.status == fault.status), None)
    if example is not None:
        values = {"request_id": call.world.request_id(), **_usual(call), **call.values}
        return fault.status or example.status, orjson.dumps(example.fill(values))
    assert fault.status is not None
    return fault.status, orjson.dumps(_told(fault, fault.status, call))


def _usual(call: RequestContext) -> dict[str, str]:
    """What fills the {braces} of an error that the request gives no reason for."""
    spec = call.world.spec
    return {
        "detail": "the request was refused",
        "model": next(iter(spec.aliases or ()), "veo"),
        "status": spec.lifecycle[-2:][0],
        "method": call.scope["method"],
        "path": call.scope["path"],
    }


def _told(fault: Fault, status: int, call: RequestContext) -> Any:
    """The body of an error that the document does not have."""
    message = (
        fault.message if fault.message is not None else f"{_phrase(status)} (request id: {call.world.request_id()})"
    )
    if fault.envelope == "flat":
        return {"code": fault.code, "message": message, "data": None}
    return {"error": {"code": fault.code, "message": message, "type": "comet_api_error"}}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "A timeout occurred" if status == 524 else f"Status {status}"


def _retry_after(seconds: float, call: RequestContext | None) -> bytes:
    if call is not None:
        return formatdate(int(call.world.clock.date() + seconds), usegmt=True).encode()
    return f"{seconds:.3f}".rstrip("0").rstrip(".").encode()


def _redirect(status: int, call: RequestContext, *, elsewhere: bool) -> Response:
    """A redirect to where the same can be had, with a ticket instead of the key; to the job if a create made one."""
    path, query = call.scope["path"], call.scope["query_string"].decode("latin-1")
    if call.exchange.operation == "createVideo" and call.exchange.job_id:
        path = f"{path}/{call.exchange.job_id}"
    origin = call.world.origins.other if elsewhere else ""
    ticket = f"{f'{query}&' if query else ''}ticket={call.world.tickets.issue(call.owner, path)}"
    location = f"{origin}{call.scope[PREFIX]}{quote(path)}?{ticket}"
    return Response(status, [(b"location", location.encode("latin-1")), (b"content-length", b"0")], b"")


def delivered(answer: Response, faults: Sequence[Fault]) -> int | None:
    """Bytes of the body that get through; None where not even the head does."""
    limits = [fault.truncate for fault in faults if fault.truncate is not None]
    if not limits and any(fault.reset or fault.close for fault in faults):
        return None
    return min([len(answer.body), *limits])


async def waited(call: RequestContext) -> bool:
    """Waits as long as the faults of a call delay its answer; whether the client is still there."""
    delay = sum(fault.delay for fault in call.struck)
    if not delay or not await gone(call.scope, call.receive, delay):
        return True
    await _let_go(call.scope, call.receive)
    return False


async def deliver(answer: Response, call: RequestContext, send: Send) -> int:
    """Sends an answer over a connection that behaves as the faults say. Returns how many bytes of its body it sent."""
    scope, receive = call.scope, call.receive
    reset, length = any(fault.reset for fault in call.struck), delivered(answer, call.struck)
    if length is None:
        await _hang_up(scope, receive, reset=reset)
        return 0
    body, sent = answer.body[:length], 0
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    for piece, pause in _pieces(body, call.struck):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        sent += len(piece)
        # A pause of nothing is one too: others are served, and a client that has gone is noticed.
        if (pause or len(piece) < len(body)) and await gone(scope, receive, pause):
            await _let_go(scope, receive)
            return sent
    if length < len(answer.body) or reset or any(fault.close for fault in call.struck):
        if reset:
            await _arrived(scope, receive)
        await _hang_up(scope, receive, reset=reset)
    else:
        await send({"type": "http.response.body", "body": b""})
    return sent


def _pieces(body: bytes, faults: Sequence[Fault]) -> Iterator[tuple[bytes, float]]:
    """The body in pieces, each with the seconds to wait after it."""
    size, pause = max(len(body), 1), 0.0
    for fault in faults:
        for piece, every in _paces(fault):
            size, pause = min(size, piece), max(pause, every)
    for start in range(0, len(body), size):
        yield body[start : start + size], pause


def _paces(fault: Fault) -> Iterator[tuple[int, float]]:
    if fault.drip is not None:
        yield fault.drip
    if fault.bandwidth is not None:
        piece = max(int(fault.bandwidth / PIECES), 1)
        yield piece, piece / fault.bandwidth


async def gone(scope: Scope, receive: Receive, seconds: float) -> bool:
    """Waits; whether the client went away meanwhile. One that has closed its sending side counts as gone."""
    try:
        async with asyncio.timeout(seconds):
            while CLOSED not in scope and (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return False
    return True


async def _let_go(scope: Scope, receive: Receive) -> None:
    """Closes the connection of a client that has gone, as it may have closed its own side only."""
    if TRANSPORT in scope.get("state", {}):
        await _hang_up(scope, receive, reset=False)


async def _hang_up(scope: Scope, receive: Receive, *, reset: bool) -> None:
    transport = scope.get("state", {}).get(TRANSPORT)
    if transport is None:
        if reset:
            raise _in_process(ConnectionResetError, "the connection was reset")
        raise _in_process(ConnectionAbortedError, "the connection was closed before the end of the answer")
    if reset and not transport.is_closing():
        # With a linger time of zero close() sends RST. Source: socket(7), SO_LINGER.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()
    # Until the server knows that the connection has gone, lest it wonder where the rest of the answer is. With more
    # requests in line only the last of them is told, so not for ever.
    with suppress(TimeoutError):
        async with asyncio.timeout(HUNG_UP):
            while (await receive())["type"] != "http.disconnect":
                pass


async def _arrived(scope: Scope, receive: Receive) -> None:
    """Waits until the client's machine has what was sent, as a reset throws away what is still on its way."""
    try:
        import fcntl
        import termios
    except ImportError:  # not on Windows
        return
    transport = scope.get("state", {}).get(TRANSPORT)
    if transport is None or not hasattr(termios, "TIOCOUTQ"):
        return
    for _ in range(ARRIVAL):
        queued = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, b"    ")
        if not transport.get_write_buffer_size() and not struct.unpack("i", queued)[0]:
            break
        if await gone(scope, receive, 0.01):
            break


def _in_process(kind: type[ConnectionError], message: str) -> Exception:
    """A ConnectionError that is httpx's own error too, where a client of httpx may be in this process."""
    httpx = sys.modules.get("httpx")
    if httpx is None:
        return kind(message)
    name = "ReadError" if kind is ConnectionResetError else "RemoteProtocolError"
    both: type[Exception] = type(name, (kind, getattr(httpx, name)), {})
    return both(message)
