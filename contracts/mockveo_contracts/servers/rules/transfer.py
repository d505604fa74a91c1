"""Rules about how a body is transferred: in ranges, encoded, or not at all."""

from __future__ import annotations

import re
from typing import Final

from mockveo.rules.engine import Breach, Checks, breach
from mockveo_contracts.servers.exchanges import Conversation, SentExchange
from mockveo_contracts.servers.rules.content import whole_content

checks: Final = Checks[Conversation]()

#: Content-Range of one range; the length of the file may be unknown. Source: RFC 9110 section 14.4.
_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


@checks.check("content-encoding")
def content_encoding(conversation: Conversation) -> list[Breach] | None:
    # Our requests accept none: http.client sends Accept-Encoding: identity. Generated ones accept gzip.
    exchanges = [exchange for exchange in conversation.settled if exchange.status and exchange.purpose != "generated"]
    breaches = [
        breach(
            f"{exchange.method} {exchange.template} is encoded with {exchange.content_encoding}, but the request has"
            " Accept-Encoding: identity",
            exchange,
        )
        for exchange in exchanges
        if exchange.content_encoding and exchange.data
    ]
    return breaches if exchanges else None


@checks.check("content-range")
def content_range(conversation: Conversation) -> list[Breach] | None:
    exchanges = conversation.about("content-range")
    whole = whole_content(conversation)
    if not exchanges or whole is None:
        return None
    breaches = []
    for exchange in exchanges:
        problem = "" if exchange.content_encoding else _range_problem(exchange, whole.data)
        if problem:
            breaches.append(breach(f"{exchange.headers['Range']}: {problem}", whole, exchange))
    return breaches


def _range_problem(exchange: SentExchange, whole: bytes) -> str:
    """Return what is wrong with the response to a range, or an empty text."""
    actual = exchange.answer_headers.get("content-range", "")
    if exchange.status == 200:
        if exchange.data != whole:
            return f"200 with {len(exchange.data)} bytes; expected the whole file, {len(whole)} bytes"
        return f"200 with Content-Range {actual!r}; expected none, or 206" if actual else ""
    if exchange.status == 416:
        return f"it is answered with 416, but the file has {len(whole)} bytes"
    return _part_problem(exchange, actual, whole) if exchange.status == 206 else ""


def _part_problem(exchange: SentExchange, actual: str, whole: bytes) -> str:
    """Return what is wrong with a 206. It may have fewer bytes than were requested (RFC 9110 section 15.3.7)."""
    first, last = _bounds(exchange.headers["Range"], len(whole))
    part = _CONTENT_RANGE.fullmatch(actual)
    expected = f"expected 'bytes {first}-{last}/{len(whole)}'"
    if part is None:
        return f"206 with Content-Range {actual!r}; {expected}"
    start, end, length = int(part[1]), int(part[2]), part[3]
    if not first <= start <= end <= last or length not in ("*", str(len(whole))):
        return f"206 with Content-Range {actual!r}; {expected}"
    if exchange.data != whole[start : end + 1]:
        return f"206 with Content-Range {actual!r}, but {len(exchange.data)} other bytes arrived"
    return ""


def _bounds(requested: str, length: int) -> tuple[int, int]:
    """Return the first and the last byte that a Range header names. Source: RFC 9110 section 14.1.2."""
    first, _, last = requested.removeprefix("bytes=").partition("-")
    if not first:
        return max(length - int(last), 0), length - 1
    return int(first), min(int(last), length - 1) if last else length - 1


@checks.check("head")
def head(conversation: Conversation) -> list[Breach] | None:
    exchanges = conversation.about("head")
    whole = whole_content(conversation)
    breaches = []
    for exchange in exchanges:
        promised = exchange.answer_headers.get("content-length")
        is_comparable = exchange.succeeded and whole is not None and not exchange.content_encoding
        if is_comparable and whole and promised is not None and promised != str(len(whole.data)):
            message = f"HEAD has the Content-Length {promised}, but GET returns {len(whole.data)} bytes"
            breaches.append(breach(message, whole, exchange))
        elif not exchange.succeeded and not 400 <= exchange.status < 500:
            message = f"HEAD is answered with {exchange.status}; expected the status of GET, or 405"
            breaches.append(breach(message, exchange))
    return breaches if exchanges else None
