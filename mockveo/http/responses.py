"""HTTP responses as values: JSON, own errors, and bytes with ranges."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import orjson
from starlette.types import Receive

from mockveo.text import whole_number

JSON: Final = (b"content-type", b"application/json")
#: Bodies below this many bytes share the header with their length; arbitrary, above the usual JSON.
SHORT_BYTES: Final = 2000
_LENGTHS: Final[dict[int, tuple[bytes, bytes]]] = {}


#: What a header can carry as it is.
_PRINTABLE: Final = "".join(map(chr, range(ord(" "), ord("~") + 1)))


class Response(NamedTuple):
    """A whole HTTP response."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    #: The chunks of an endless response instead of a body, for as long as the client listens.
    stream: Callable[[Receive], AsyncIterator[bytes]] | None = None


def json_response(status: int, body: Any) -> Response:
    """Return a response of JSON, compact and in UTF-8 as the gateway writes it."""
    data = orjson.dumps(body)
    return Response(status, [JSON, _LENGTHS.get(len(data)) or content_length(len(data))], data)


def content_length(size: int) -> tuple[bytes, bytes]:
    """Return the Content-Length header; those of short bodies are shared, since the journal keeps them."""
    header = (b"content-length", b"%d" % size)
    return _LENGTHS.setdefault(size, header) if size < SHORT_BYTES else header


def header_value(text: str) -> bytes:
    """Return a text as the value of a header, with %XX for what a header cannot carry."""
    return quote(text, safe=_PRINTABLE).encode()


def error_of_ours(status: int, code: str, message: str) -> Response:
    """Return an error that the real service does not have, as its type shows."""
    return json_response(status, {"error": {"message": message, "type": "mockveo_error", "code": code}})


def content_response(data: bytes, media_type: str, headers: Mapping[bytes, bytes], method: str = "GET") -> Response:
    """Return a response with bytes: all, a range, or none for a cached copy.

    Sources: RFC 9110 sections 13.1.2 (If-None-Match), 13.1.5 (If-Range) and 14.2 (Range; more than one is ignored).
    """
    etag = b'"%s"' % sha256(data).hexdigest()[:32].encode()
    common = [(b"etag", etag), (b"accept-ranges", b"bytes")]
    if {etag, b"*"} & set(_tags(headers.get(b"if-none-match", b""))):
        return Response(304, common, b"")
    wanted = _range(headers.get(b"range", b""), len(data)) if method == "GET" else None
    if wanted is None or headers.get(b"if-range", etag) != etag:
        return _bytes_response(200, common, media_type, data)
    start, end = wanted
    if start >= end:
        return _bytes_response(416, [*common, (b"content-range", b"bytes */%d" % len(data))], media_type, b"")
    part = (b"content-range", b"bytes %d-%d/%d" % (start, end - 1, len(data)))
    return _bytes_response(206, [*common, part], media_type, data[start:end])


def _bytes_response(status: int, headers: list[tuple[bytes, bytes]], media_type: str, body: bytes) -> Response:
    described = [(b"content-type", media_type.encode()), (b"content-length", b"%d" % len(body))]
    return Response(status, [*described, *headers], body)


def _tags(header: bytes) -> list[bytes]:
    return [tag.strip().removeprefix(b"W/") for tag in header.split(b",")]


def _range(header: bytes, size: int) -> tuple[int, int] | None:
    """Return the start and end that a Range header asks for; None to ignore it; an empty range is unsatisfiable."""
    unit, _, spec = header.replace(b" ", b"").lower().partition(b"=")
    first, dash, last = spec.partition(b"-")
    if unit != b"bytes" or not dash or not all(end.isdigit() or end == b"" for end in (first, last)) or spec == b"-":
        return None
    if not first:
        return max(size - whole_number(last.decode()), 0), size
    start = whole_number(first.decode())
    if last and whole_number(last.decode()) < start:
        return None
    end = min(whole_number(last.decode()) + 1, size) if last else size
    return min(start, size), max(end, min(start, size))
