"""The body of a create as ordered parts: multipart, urlencoded or JSON.

A `Reader` takes the body in chunks as they arrive. Of a file it keeps the size and the SHA-256, and the bytes only with
`room`. An ambiguous or incomplete body is refused with a FormError, since a mock that accepts half a form hides a
client's mistake. A merely unusual one is read, and noted on the part.

Sources: RFC 7578 (multipart/form-data), RFC 2046 section 5.1 (multipart), WHATWG URL section 5 (urlencoded).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

import orjson
from multipart import parse_options_header

from mockveo.http import urlencoded
from mockveo.http.multipart_reader import FileRoom, MultipartReader
from mockveo.http.parts import MAX_PARTS, MAX_TEXT_BYTES, MULTIPART, FormError, ParsedForm, Part, TextTooLarge
from mockveo.text import brief
from mockveo.yamlfiles import parse_json

URLENCODED: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"

#: Values of a JSON body, and percent signs of a urlencoded one that begin no escape: what takes time to read or to
#: refuse. Arbitrary: far more than a form has.
MAX_JSON_VALUES: Final = 10_000
MAX_BARE_PERCENTS: Final = 10_000
#: Characters of a number or a boolean. Arbitrary: any number has fewer.
MAX_SCALAR_CHARACTERS: Final = 400


class Reader(Protocol):
    """A reader of a body in chunks."""

    @property
    def kept_bytes(self) -> int:
        """The bytes of files that it took room for."""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes; raise FormError as soon as they are wrong."""

    def finish(self) -> ParsedForm:
        """Return the whole form; raise FormError if it is incomplete."""


def reader(content_type: str, room: FileRoom | None = None) -> Reader:
    """Return the reader for a Content-Type header; with `room` it keeps files. Raises FormError if unsupported."""
    kind, options = parse_options_header(content_type)
    if kind == MULTIPART:
        return MultipartReader(options.get("boundary", ""), room)
    if kind == URLENCODED:
        return TextReader(kind, _urlencoded)
    if kind == JSON or kind.endswith("+json"):
        return TextReader(kind, _json)
    reason = f"Content-Type {brief(content_type)} is not understood" if content_type else "there is no Content-Type"
    raise FormError(kind, f"{reason}; send the fields as {MULTIPART}")


class TextReader:
    """A reader of bodies parsed in one piece."""

    kept_bytes = 0

    def __init__(self, kind: str, parse: Callable[[bytes], list[Part]]) -> None:
        self._kind = kind
        self._parse = parse
        self._chunks: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self._size += len(chunk)
        if self._size > MAX_TEXT_BYTES:
            raise TextTooLarge(self._kind, f"a body of {self._kind} has at most {MAX_TEXT_BYTES} bytes")
        self._chunks.append(chunk)

    def finish(self) -> ParsedForm:
        """Return the whole form."""
        try:
            return ParsedForm(self._parse(b"".join(self._chunks)))
        except ValueError as error:
            raise FormError(self._kind, f"the body is not {self._kind}: {error}") from None


def _urlencoded(body: bytes) -> list[Part]:
    body.decode("ascii")
    if body.count(b"&") >= MAX_PARTS:
        raise ValueError(f"it has more than {MAX_PARTS} fields")
    if urlencoded.has_more_bare_than(MAX_BARE_PERCENTS, body):
        raise ValueError(f"it has more than {MAX_BARE_PERCENTS} percent signs that begin no escape, e.g. %25")
    return [Part(name, value) for name, value in urlencoded.pairs(body, errors="strict")]


def _json(body: bytes) -> list[Part]:
    value = parse_json(body, most=MAX_JSON_VALUES)
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
    if len(text) > MAX_SCALAR_CHARACTERS:
        return text
    try:
        value = orjson.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, int | float) else text
