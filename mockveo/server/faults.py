"""What a fault does: to a response, and to the connection that carries it.

`apply_faults` is pure: a response in, a response out. `send_with_faults` sends. On a socket of our server it has the
transport, so a reset is a TCP reset; in process, without a socket, it raises what an in-process client would raise.
"""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import orjson
from starlette.types import Receive, Scope, Send

from mockveo.http.responses import JSON, Response, header_value
from mockveo.realtime import LAST_DATE_S
from mockveo.server.context import CLOSED, CONNECTION, PREFIX, RequestContext
from mockveo.simulator.fault import Fault
from mockveo.simulator.presentation import polled_status
from mockveo.spec.templates import fill

#: Pieces in a second of a limited bandwidth. Arbitrary: smooth enough for a progress bar.
PIECES_PER_S: Final = 20
#: Longest wait for the end of a closed connection. Arbitrary: far longer than a turn of the loop.
CLOSE_TIMEOUT_S: Final = 1.0
#: What a client gets to read half of a body before it is killed. Source: the client protocol.
READING_S: Final = 0.1
#: Pause between two looks at what is still on its way, and how many looks. Arbitrary: 2 s in all.
ARRIVAL_PAUSE_S: Final = 0.01
ARRIVAL_LOOKS: Final = 200

#: Content coding -> its encoder. Source: RFC 9110 section 8.4.1; the time in a gzip header would change bytes.
_ENCODERS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "gzip": lambda body: gzip.compress(body, mtime=0),
    "deflate": zlib.compress,
}

#: The page of a proxy. Source: observed within a message of the service, there with 400.
_PAGE: Final = """<html>\r
<head><title>{title}</title></head>\r
<body>\r
<center><h1>{title}</h1></center>\r
<hr><center>openresty</center>\r
</body>\r
</html>\r
"""


def apply_faults(response: Response, call: RequestContext) -> Response:
    """Return a response as the faults of its exchange leave it."""
    for fault in call.faults:
        response = _apply(fault, response, call)
    return response


def _apply(fault: Fault, response: Response, call: RequestContext) -> Response:
    if fault.redirect is not None:
        response = _redirect(fault.redirect, call, other_origin=fault.other_origin)
    status, headers, body = response.status, dict(response.headers), response.body
    values = _job_values(call)
    if fault.redirect is None and (fault.error is not None or fault.status is not None):
        status, error = _error(fault, call, values)
        if error is not None:
            body, headers = error, dict([JSON])
    body, media_type = _body(fault, status, body, values)
    if media_type is not None:
        headers[b"content-type"] = media_type
    body = _framed(fault, body, headers)
    if fault.retry_after is not None:
        headers[b"retry-after"] = _retry_after(fault.retry_after, call if fault.as_date else None)
    if fault.content_type is not None:
        headers[b"content-type"] = fault.content_type.encode("latin-1")
    headers.update((name.lower().encode(), _header(value, values)) for name, value in fault.headers.items())
    if status in (204, 304):  # They have no body; a client would read one as the next response.
        body = b""
        headers.pop(b"content-length", None)
    return Response(status, list(headers.items()), body)


def _job_values(call: RequestContext) -> dict[str, Any]:
    """Return what fills the {braces} of a fault's body and headers: what a poll says of the job, and the base URL."""
    world, job, values = call.world, call.job, {"base_url": call.base_url}
    if job is None:
        return values
    now, scenario = world.view(job), world.governing(job)
    return {**world.values(job, now, call.origins), "status": polled_status(now, scenario), **values}


def _framed(fault: Fault, body: bytes, headers: dict[bytes, bytes]) -> bytes:
    """Return the body as it is encoded, and set the headers that say so, truly or not."""
    decoded_bytes = len(body)
    if fault.encode is not None:
        body = _ENCODERS[fault.encode](body)
        headers[b"content-encoding"] = fault.encode.encode()
    length = len(body) if fault.content_length is None else fault.content_length
    headers[b"content-length"] = b"%d" % (decoded_bytes if length == "decoded" else int(length))
    return body


def _header(template: str, values: Mapping[str, Any]) -> bytes:
    """Return the value of a header; what fills it is quoted, as a model may have any characters."""
    filled = str(fill(template, values))
    return template.encode("latin-1") if filled == template else header_value(filled)


def _body(fault: Fault, status: int, body: bytes, values: Mapping[str, Any]) -> tuple[bytes, bytes | None]:
    """Return the body that a fault leaves, and its media type if that changes."""
    if fault.json is not None:
        return orjson.dumps(fill(orjson.loads(fault.json), values)), JSON[1]
    if fault.text is not None:
        return str(fill(fault.text, values)).encode(), b"text/plain; charset=utf-8"
    if fault.html:
        return _PAGE.format(title=f"{status} {_phrase(status)}").encode(), b"text/html"
    if fault.malformed:
        return body[: -max(len(body) // 3, 1)], None
    return (b"" if fault.empty else body), None


def _error(fault: Fault, call: RequestContext, job_values: Mapping[str, Any]) -> tuple[int, bytes | None]:
    """Return the status and the body of an error; a mere status below 400 leaves the body as it is."""
    spec, operation = call.world.spec, call.operation_or_none
    example = spec.error(fault.error, operation) if fault.error is not None else None
    has_own_text = fault.message is not None or fault.envelope is not None or fault.code != ""
    if example is None and fault.status is not None and not has_own_text:
        if fault.status < 400:
            return fault.status, None
        if operation is not None:
            documented = (error for error in operation.errors.values() if error.status == fault.status)
            example = next(documented, None)
    if example is not None:
        values = {"request_id": call.world.request_id(), **_usual_values(call), **call.error_values}
        return fault.status or example.status, orjson.dumps(example.fill(values))
    assert fault.status is not None
    return fault.status, orjson.dumps(fill(_undocumented_error(fault, fault.status, call), job_values))


def _usual_values(call: RequestContext) -> dict[str, str]:
    """Return what fills the {braces} of an error for which the request gives no reason."""
    spec = call.world.spec
    return {
        "detail": "the request was refused",
        "model": next(iter(spec.aliases or ()), "veo"),
        "status": spec.lifecycle[-2:][0],
        "method": call.scope["method"],
        "path": call.scope["path"],
    }


def _undocumented_error(fault: Fault, status: int, call: RequestContext) -> Any:
    """Return the body of an error that the document does not have."""
    message = fault.message
    if message is None:
        message = f"{_phrase(status)} (request id: {call.world.request_id()})"
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
        return formatdate(min(int(call.world.clock.date() + seconds), LAST_DATE_S), usegmt=True).encode()
    return f"{seconds:.3f}".rstrip("0").rstrip(".").encode()


def _redirect(status: int, call: RequestContext, *, other_origin: bool) -> Response:
    """Return a redirect to the same path, or to the job of a create, with a ticket instead of the key."""
    path, query = call.scope["path"], call.scope["query_string"].decode("latin-1")
    if call.exchange.operation == "createVideo" and call.exchange.job_id:
        path = f"{path}/{call.exchange.job_id}"
    origin = call.origins.other if other_origin else ""
    ticket = f"ticket={call.world.tickets.issue(call.owner, path)}"
    # The ticket of the redirect before this one is of no use any more.
    kept = [pair for pair in query.split("&") if pair and not pair.startswith("ticket=")]
    query = "&".join([*kept, ticket])
    location = f"{origin}{call.scope[PREFIX]}{quote(path)}?{query}"
    return Response(status, [(b"location", location.encode("latin-1")), (b"content-length", b"0")], b"")


def sent_body_bytes(response: Response, faults: Sequence[Fault]) -> int | None:
    """Return how many bytes of the body faults let through; None if they keep back the head too."""
    limits = [fault.truncate for fault in faults if fault.truncate is not None]
    limits += [len(response.body) // 2 for fault in faults if fault.kill == "during"]
    cut = not limits and any(fault.reset or fault.close for fault in faults)
    if cut or any(fault.kill == "before" for fault in faults):
        return None
    return min([len(response.body), *limits])


async def wait_for_faults(call: RequestContext) -> bool:
    """Wait as long as faults delay the response; return whether the client is still connected."""
    delay = sum(fault.delay for fault in call.faults)
    if not delay or not await leaves_within(delay, call.scope, call.receive):
        return True
    await _release(call.scope, call.receive)
    return False


async def send_with_faults(response: Response, call: RequestContext, send: Send) -> int:
    """Send a response over a connection with faults; return how many bytes of its body were sent."""
    scope, receive = call.scope, call.receive
    reset, length = any(fault.reset or fault.kill for fault in call.faults), sent_body_bytes(response, call.faults)
    if length is None:
        _kill(call)
        await _hang_up(scope, receive, reset=reset)
        return 0
    promised, transport = _promised_bytes(response, call.faults), _transport(scope)
    # uvicorn sends no more than Content-Length promises; what is beyond that goes past it.
    beyond = response.body[promised:length] if transport is not None and scope["method"] != "HEAD" else b""
    body, sent = response.body[: length - len(beyond)], 0
    await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
    for piece, pause in _pieces(body, call.faults):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        sent += len(piece)
        # Even a pause of zero lets the loop serve others and notice that the client has left.
        if (pause or len(piece) < len(body)) and await leaves_within(pause, scope, receive):
            await _release(scope, receive)
            return sent
    is_short = len(response.body) > length or len(response.body) < promised
    if is_short or reset or any(fault.close for fault in call.faults):
        if reset:
            await _wait_for_arrival(scope, receive)
        if any(fault.kill for fault in call.faults):
            await leaves_within(READING_S, scope, receive)
            _kill(call)
        await _hang_up(scope, receive, reset=reset)
    else:
        if beyond:
            transport.write(beyond)
        await send({"type": "http.response.body", "body": b""})
    return sent + len(beyond)


def _kill(call: RequestContext) -> None:
    """Kill the client if a fault says so, before its connection shows anything of it."""
    if call.world.kills is not None and any(fault.kill for fault in call.faults):
        call.world.kills.strike()


def _promised_bytes(response: Response, faults: Sequence[Fault]) -> int:
    """Return how long Content-Length says that the body is."""
    if all(fault.content_length is None for fault in faults):
        return len(response.body)
    return int(dict(response.headers)[b"content-length"])


def _pieces(body: bytes, faults: Sequence[Fault]) -> Iterator[tuple[bytes, float]]:
    """Yield the body in pieces, each with the seconds to wait after it."""
    size, pause = max(len(body), 1), 0.0
    for fault in faults:
        for piece_bytes, interval in _piece_rates(fault):
            size, pause = min(size, piece_bytes), max(pause, interval)
    for start in range(0, len(body), size):
        yield body[start : start + size], pause


def _piece_rates(fault: Fault) -> Iterator[tuple[int, float]]:
    if fault.drip is not None:
        yield fault.drip
    if fault.bandwidth is not None:
        piece_bytes = max(int(fault.bandwidth / PIECES_PER_S), 1)
        yield piece_bytes, piece_bytes / fault.bandwidth


async def leaves_within(seconds: float, scope: Scope, receive: Receive) -> bool:
    """Wait at most `seconds`; return whether the client left or has closed its sending side."""
    try:
        async with asyncio.timeout(seconds):
            while CLOSED not in scope and (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return False
    return True


async def _release(scope: Scope, receive: Receive) -> None:
    """Close the connection of a client that left, because it may have closed its own side only."""
    if _transport(scope) is not None:
        await _hang_up(scope, receive, reset=False)


def _transport(scope: Scope) -> Any:
    """Return the transport of the connection; None in process."""
    connection = scope.get("state", {}).get(CONNECTION)
    return None if connection is None else connection.transport


async def _hang_up(scope: Scope, receive: Receive, *, reset: bool) -> None:
    transport = _transport(scope)
    if transport is None:
        if reset:
            raise _in_process(ConnectionResetError, "the connection was reset")
        raise _in_process(ConnectionAbortedError, "the connection was closed before the end of the answer")
    if reset and not transport.is_closing():
        # With a linger time of zero, close() sends RST. Source: socket(7), SO_LINGER.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()
    # Wait until uvicorn notices the disconnect; otherwise it logs an incomplete response. Bounded, because of several
    # pipelined requests only the last one gets the event.
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            while (await receive())["type"] != "http.disconnect":
                pass


async def _wait_for_arrival(scope: Scope, receive: Receive) -> None:
    """Wait until the client's machine has what was sent, because a reset discards what is still on its way."""
    try:
        import fcntl
        import termios
    except ImportError:  # not on Windows
        return
    transport = _transport(scope)
    if transport is None or not hasattr(termios, "TIOCOUTQ"):
        return
    for _ in range(ARRIVAL_LOOKS):
        queued = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, b"    ")
        if not transport.get_write_buffer_size() and not struct.unpack("i", queued)[0]:
            break
        if await leaves_within(ARRIVAL_PAUSE_S, scope, receive):
            break


def _in_process(kind: type[ConnectionError], message: str) -> Exception:
    """Return a ConnectionError that is also httpx's own error if httpx is loaded in this process."""
    httpx = sys.modules.get("httpx")
    if httpx is None:
        return kind(message)
    name = "ReadError" if kind is ConnectionResetError else "RemoteProtocolError"
    both: type[Exception] = type(name, (kind, getattr(httpx, name)), {})
    return both(message)
