"""The body of a create as ordered parts: multipart, urlencoded or JSON.

A `Reader` takes the body in chunks as they arrive. Of a file it keeps the size and the SHA-256, and the bytes only with
`keep_files`. An ambiguous or incomplete body is refused with a FormError, since a mock that accepts half a form hides a
client's mistake. A merely unusual one is read, and noted on the part.

Sources: RFC 7578 (multipart/form-data), RFC 2046 section 5.1 (multipart), WHATWG URL section 5 (urlencoded).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl

import orjson
from multipart import parse_options_header

from mockveo.http.multipart_reader import MultipartReader
from mockveo.http.parts import MAX_PARTS, MULTIPART, FormError, ParsedForm, Part

URLENCODED: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"

#: Bytes of a body that is read in one piece. Precedent: Go's net/http reads at most 10 MB of a urlencoded form.
MAX_TEXT_BYTES: Final = 10 * 2**20


class Reader(Protocol):
    """A reader of a body in chunks."""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes; raise FormError as soon as they are wrong."""

    def finish(self) -> ParsedForm:
        """Return the whole form; raise FormError if it is incomplete."""


def reader(content_type: str, *, keep_files: bool = False) -> Reader:
    """Return the reader for a Content-Type header; raise FormError for an unsupported one."""
    kind, options = parse_options_header(content_type)
    if kind == MULTIPART:
        return MultipartReader(options.get("boundary", ""), keep_files=keep_files)
    if kind == URLENCODED:
        return TextReader(kind, _urlencoded)
    if kind == JSON or kind.endswith("+json"):
        return TextReader(kind, _json)
    reason = f"Content-Type {content_type!r} is not understood" if content_type else "there is no Content-Type"
    raise FormError(kind, f"{reason}; send the fields as {MULTIPART}")


class TextReader:
    """A reader of bodies parsed in one piece."""

    def __init__(self, kind: str, parse: Callable[[bytes], list[Part]]) -> None:
        self._kind = kind
        self._parse = parse
        self._chunks: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self._size += len(chunk)
        if self._size > MAX_TEXT_BYTES:
            raise FormError(
                self._kind, f"the body has more than {MAX_TEXT_BYTES} bytes; send large ones as {MULTIPART}"
            )
        self._chunks.append(chunk)

    def finish(self) -> ParsedForm:
        """Return the whole form."""
        try:
            return ParsedForm(self._parse(b"".join(self._chunks)))
        except ValueError as error:
            raise FormError(self._kind, f"the body is not {self._kind}: {error}") from None


def _urlencoded(body: bytes) -> list[Part]:
    pairs = parse_qsl(
        body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARTS, separator="&"
    )
    return [Part(name, value) for name, value in pairs]


def _json(body: bytes) -> list[Part]:
    value = orjson.loads(body)
    try:
        orjson.dumps([[[[[[value]]]]]])  # as deep as the value is in the control API's journal
    except TypeError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError(f'it is {_json_type(value)}, wanted an object such as {{"prompt": "A paper kite"}}')
    if len(value) > MAX_PARTS:
        raise ValueError(f"it has more than {MAX_PARTS} members")
    return [Part(name, item) for name, item in value.items()]


def _json_type(value: Any) -> str:
    names = {bool: "a boolean", list: "an array", str: "a string", type(None): "null"}
    return names.get(type(value), "a number")


def media_type_fits(content_type: str, patterns: tuple[str, ...]) -> bool:
    """Return whether a media type fits the patterns of an OpenAPI encoding, e.g. `image/*`."""
    kind = content_type.partition("/")[0]
    return any(pattern in ("*/*", content_type, f"{kind}/*") for pattern in patterns)


def as_json(text: str) -> Any:
    """Return the JSON value of a number or boolean field; validation refuses other text."""
    try:
        return orjson.loads(text)
    except ValueError:
        return text
