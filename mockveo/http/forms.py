"""The body of a create as ordered parts: multipart, urlencoded or JSON.

A `Reader` takes the body in chunks as they arrive. Of a file it keeps the size and the SHA-256, and the bytes only with
`keep_files`. An ambiguous or incomplete body is refused with a FormError, since a mock that accepts half a form hides a
client's mistake. A merely unusual one is read, and noted on the part.

Sources: RFC 7578 (multipart/form-data), RFC 2046 section 5.1 (multipart), WHATWG URL section 5 (urlencoded).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import parse_qsl

import orjson
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

MULTIPART: Final = "multipart/form-data"
URLENCODED: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"

#: A deprecated header of parts. Source: RFC 7578 section 4.7.
TRANSFER_ENCODING: Final = "Content-Transfer-Encoding"
#: Bytes of a body that is read in one piece. Precedent: Go's net/http reads at most 10 MB of a urlencoded form.
MAX_TEXT_BYTES: Final = 10 * 2**20
#: Parts of a form. Precedent: Go's mime/multipart, which the gateway family uses, allows 1000.
MAX_PARTS: Final = 1000


class FormError(Exception):
    """The body does not match its Content-Type; `kind` is that media type in lower case."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class Part(NamedTuple):
    """One field or file, in the order of the body."""

    name: str
    #: The text of a field, or its JSON value; None for a file.
    value: Any
    #: The file name, perhaps empty; None for a field.
    filename: str | None = None
    #: The part's own media type, in lower case and without parameters; None without one.
    content_type: str | None = None
    #: Of a file: bytes, their number and their SHA-256 in hex.
    data: bytes | None = None
    size: int = 0
    sha256: str = ""
    headers: Sequence[tuple[str, str]] = ()
    #: What is unusual about it, though not wrong enough to refuse it.
    notes: tuple[str, ...] = ()

    @property
    def is_file(self) -> bool:
        """Return whether the part was sent with a file name."""
        return self.filename is not None


class Reader(Protocol):
    """A reader of a body in chunks."""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes; raise FormError as soon as they are wrong."""

    def finish(self) -> list[Part]:
        """Return the parts of the whole body; raise FormError if it is incomplete."""


def media_type(content_type: str) -> str:
    """Return the media type of a Content-Type, in lower case and without parameters."""
    return content_type.partition(";")[0].strip().lower()


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

    def finish(self) -> list[Part]:
        """Return the parts of the whole body."""
        try:
            return self._parse(b"".join(self._chunks))
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


class MultipartReader:
    """A reader of multipart/form-data in flat memory, with a push parser."""

    def __init__(self, boundary: str, *, keep_files: bool) -> None:
        if not boundary:
            # The text is Go's, as the gateway family shows it.
            raise FormError(MULTIPART, "no multipart boundary param in Content-Type")
        self._opening = b"--" + boundary.encode("utf-8", "surrogateescape")
        self._keep_files = keep_files
        self._begun = False
        self._start = b""
        self._parts: list[Part] = []
        self._segment: Any = None  # a MultipartSegment while inside a part
        self._filename: str | None = None
        self._chunks: list[bytes] = []
        self._hash: Any = None
        try:
            self._parser = PushMultipartParser(boundary, max_segment_count=MAX_PARTS)
        except MultipartError as error:
            raise FormError(MULTIPART, f"the boundary {boundary!r} cannot be used: {error}") from None

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes; an epilogue is ignored (RFC 2046 section 5.1.1)."""
        if not self._begun:
            chunk = self._start + chunk
            if len(chunk) < len(self._opening):
                self._start = chunk
                return
            self._check_opening(chunk)
        if not chunk:
            return  # the parser takes an empty chunk for the end
        try:
            for event in self._parser.parse(chunk):
                if event is None:
                    self._end_part()
                elif isinstance(event, MultipartSegment):
                    self._begin_part(event)
                elif self._hash is None:
                    self._chunks.append(event)
                else:
                    self._hash.update(event)
                    if self._keep_files:
                        self._chunks.append(event)
        except MultipartError as error:
            raise FormError(MULTIPART, _explain(error)) from None

    def finish(self) -> list[Part]:
        """Return the parts of the whole form."""
        if not self._begun:
            self._check_opening(self._start)
        try:
            self._parser.close()
        except MultipartError:
            inside = f" in the part {self._segment.name!r}" if self._segment is not None else ""
            closing = f"{self._opening.decode('utf-8', 'replace')}--"
            raise FormError(MULTIPART, f"the form ends{inside} before its closing boundary {closing}") from None
        return self._parts

    def _check_opening(self, start: bytes) -> None:
        # A preamble is legal in mail, but no form has one: such a body has another boundary than its header names.
        self._begun = True
        if not start.removeprefix(b"\r\n").startswith(self._opening):
            wanted = self._opening.decode("utf-8", "replace")
            raise FormError(MULTIPART, f"the body does not begin with the boundary {wanted} that Content-Type names")

    def _begin_part(self, segment: MultipartSegment) -> None:
        if not segment.name:
            raise FormError(MULTIPART, "a part has no name")
        self._segment = segment
        self._chunks = []
        self._filename = filename = segment.filename
        if filename is None:
            for _, value in segment.headerlist:
                if "filename*" in value:
                    self._filename = filename = _extended_filename(segment.headerlist)
        self._hash = None if filename is None else hashlib.sha256()

    def _end_part(self) -> None:
        segment, filename, chunks = self._segment, self._filename, self._chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._segment = None
        name, kind, headers = segment.name, segment.content_type, segment.headerlist
        if filename is None:
            value, notes = _text(data)
            if len(headers) > 1 and any(key == TRANSFER_ENCODING for key, _ in headers):
                notes = (*notes, f"has a {TRANSFER_ENCODING}")
            self._parts.append(Part(name, value, None, kind, None, 0, "", headers, notes))
        else:
            kept, size, digest = data if self._keep_files else None, segment.bytes_received, self._hash.hexdigest()
            self._parts.append(Part(name, None, filename, kind, kept, size, digest, headers))


def _text(data: bytes) -> tuple[str, tuple[str, ...]]:
    """Return the text of a field and notes on it.

    It is read as UTF-8 whatever charset its part names, as Go does; RFC 7578 section 5.1.2 allows others.
    """
    try:
        return data.decode(), ()
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace"), ("is not UTF-8",)


def _extended_filename(headers: Sequence[tuple[str, str]]) -> str | None:
    # RFC 7578 section 4.2 forbids filename*, yet Go's parser, which the gateway uses, reads it.
    from email.message import Message

    message = Message()
    message["Content-Disposition"] = dict(headers)["Content-Disposition"]
    try:
        return message.get_filename()
    except (LookupError, UnicodeError) as error:
        raise FormError(MULTIPART, f"the form is malformed: filename* cannot be decoded: {error}") from None


def _explain(error: MultipartError) -> str:
    reason = str(error.args[0]) if error.args else type(error).__name__
    if reason == "Maximum segment count exceeded":
        return f"the form has more than {MAX_PARTS} parts"
    return f"the form is malformed: {reason}"


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
