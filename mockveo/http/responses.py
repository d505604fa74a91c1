"""HTTP answers as values: JSON, errors of ours, and bytes with ranges and validators."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple

import orjson
from starlette.types import Receive

JSON: Final = (b"content-type", b"application/json")
#: Bytes of a body up to which headers with its length are shared.
SHORT: Final = 2000
_LENGTHS: Final[dict[int, tuple[bytes, bytes]]] = {}


class Response(NamedTuple):
    """A whole HTTP answer."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    #: What goes on after the head for as long as the client listens, instead of the body.
    stream: Callable[[Receive], AsyncIterator[bytes]] | None = None


def json_answer(status: int, body: Any) -> Response:
    """An answer of JSON, compact and in UTF-8 as the gateway's."""
    data = orjson.dumps(body)
    return Response(status, [JSON, _LENGTHS.get(len(data)) or content_length(len(data))], data)


def content_length(size: int) -> tuple[bytes, bytes]:
    """The header. Those of short bodies are kept and shared, as the journal holds on to them."""
    header = (b"content-length", b"%d" % size)
    return _LENGTHS.setdefault(size, header) if size < SHORT else header


def error_of_ours(status: int, code: str, message: str) -> Response:
    """An error that the real service does not know; its type says so."""
    return json_answer(status, {"error": {"message": message, "type": "mockveo_error", "code": code}})


def content_answer(data: bytes, media_type: str, headers: Mapping[bytes, bytes], method: str = "GET") -> Response:
    """An answer with bytes: whole, one range of them, or not at all when the client has them.

    Sources: RFC 9110 sections 13.1.2 (If-None-Match), 13.1.5 (If-Range) and 14.2 (Range; more than one is ignored).
    """
    etag = b'"%s"' % sha256(data).hexdigest()[:32].encode()
    common = [(b"etag", etag), (b"accept-ranges", b"bytes")]
    if {etag, b"*"} & set(_tags(headers.get(b"if-none-match", b""))):
        return Response(304, common, b"")
    wanted = _range(headers.get(b"range", b""), len(data)) if method == "GET" else None
    if wanted is None or headers.get(b"if-range", etag) != etag:
        return _bytes_answer(200, common, media_type, data)
    start, end = wanted
    if start >= end:
        return _bytes_answer(416, [*common, (b"content-range", b"bytes */%d" % len(data))], media_type, b"")
    part = (b"content-range", b"bytes %d-%d/%d" % (start, end - 1, len(data)))
    return _bytes_answer(206, [*common, part], media_type, data[start:end])


def _bytes_answer(status: int, headers: list[tuple[bytes, bytes]], media_type: str, body: bytes) -> Response:
    described = [(b"content-type", media_type.encode()), (b"content-length", b"%d" % len(body))]
    return Response(status, [*described, *headers], body)


def _tags(header: bytes) -> list[bytes]:
    return [tag.strip().removeprefix(b"W/") for tag in header.split(b",")]


def _range(header: bytes, size: int) -> tuple[int, int] | None:
    """The bytes that a Range header asks for, from and up to; None where it is to be ignored; empty = unsatisfiable."""
    unit, _, spec = header.replace(b" ", b"").lower().partition(b"=")
    first, dash, last = spec.partition(b"-")
    if unit != b"bytes" or not dash or not all(end.isdigit() or end == b"" for end in (first, last)) or spec == b"-":
        return None
    if not first:
        return max(size - _number(last), 0), size
    start = _number(first)
    if last and _number(last) < start:
        return None
    end = min(_number(last) + 1, size) if last else size
    return min(start, size), max(end, min(start, size))


def _number(digits: bytes) -> int:
    # Larger than anything there is; int() refuses to read thousands of digits.
    return int(digits) if len(digits) < 18 else 10**18
