"""The reader of multipart/form-data.

Sources: RFC 7578 (multipart/form-data), RFC 2046 section 5.1 (multipart).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_to_bytes

from multipart import parse_content_disposition

from mockveo.http.parts import (
    MAX_PARTS,
    MAX_TEXT_BYTES,
    MULTIPART,
    TRANSFER_ENCODING,
    FormError,
    ParsedForm,
    Part,
    TextTooLarge,
    media_type,
)
from mockveo.text import MAX_SHOWN_CHARACTERS, brief, truncate

#: Bytes of a line outside parts. Precedent: the buffer of Go's mime/multipart.
MAX_LINE_BYTES: Final = 4096
#: Bytes of the headers of a part. Arbitrary: far above what names and media types need.
MAX_PART_HEAD_BYTES: Final = 32 * 2**10
#: Bytes of a head that is remembered. Arbitrary: those of fields have about 50.
MAX_CACHED_HEAD_BYTES: Final = 200

#: Source: RFC 9110 section 5.1.
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PARAMETER: Final = re.compile(r';\s*([^=;\s]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)', re.DOTALL)
_QUOTED_PAIR: Final = re.compile(r"\\(.)", re.DOTALL)
_USUAL_HEADERS: Final = ("Content-Disposition", "Content-Type")
_AFTER_BOUNDARY: Final = (b"\r", b"\n", b"--", b" ", b"\t")
_EXAMPLE_HEADER: Final = 'Content-Disposition: form-data; name="prompt"'


class FileRoom:
    """Room for the files of forms that are being read. A file that finds none is read, but its bytes are not kept."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    def take(self, size: int) -> bool:
        """Take room for bytes; return False if there is not enough."""
        if size > self._left:
            return False
        self._left -= size
        return True

    def give_back(self, size: int) -> None:
        """Give back what was taken for a form, once it is read or has failed."""
        self._left += size


class MultipartReader:
    """A reader of multipart/form-data in flat memory, which reads what Go's mime/multipart reads.

    Line feeds alone throughout, a preamble and blanks after a boundary are noted, mixed line ends are refused. A form
    without its closing boundary is refused too, although Go reads some: it may have lost a part.
    """

    def __init__(self, boundary: str, room: FileRoom | None = None) -> None:
        if not boundary:
            # The text is Go's, as the gateway family shows it.
            raise FormError(MULTIPART, "no multipart boundary param in Content-Type")
        if "\n" in boundary:
            raise FormError(MULTIPART, f"the boundary is {brief(boundary)}; expected no line break, e.g. boundary=xyz")
        self._opening = b"--" + boundary.encode("utf-8", "surrogateescape")
        #: The line break of the form, and what ends the content of a part: a line break and the boundary.
        self._newline, self._delimiter = b"\r\n", b"\r\n" + self._opening
        self._room = room
        #: Bytes of files that were kept, for which the room has to be given back.
        self.kept_bytes = 0
        #: Reads on, and returns whether the bytes at hand may hold more. Not bound, which would make a circle of it and
        #: all that it holds.
        self._read: Callable[[MultipartReader], bool] = MultipartReader._read_at_once
        self._buffer, self._at = b"", 0
        #: Bytes at hand that are the line break before the content, which may be the boundary's too.
        self._break = 0
        self._first_line = b""
        self._notes: dict[str, str] = {}
        self._parts: list[Part] = []
        #: Of the part that is being read.
        self._head: _Head | None = None
        self._chunks: list[bytes] = []
        #: Whether the bytes of the file are not kept.
        self._is_dropped = False
        self._size = 0
        self._hash: Any = None
        #: Bytes of all fields so far.
        self._text_bytes = 0

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes; an epilogue is ignored (RFC 2046 section 5.1.1)."""
        rest = self._buffer[self._at :]
        self._buffer, self._at = rest + chunk if rest else chunk, 0
        while self._read(self):
            pass

    def finish(self) -> ParsedForm:
        """Return the whole form."""
        if self._read == MultipartReader._read_head:
            raise self._incomplete()
        if self._read != MultipartReader._skip_epilogue:
            self.feed(self._newline)  # which a closing boundary at the end of the body may lack
            if self._read != MultipartReader._skip_epilogue:
                raise self._incomplete()
        return ParsedForm(self._parts, tuple(self._notes.items()))

    def _incomplete(self) -> FormError:
        opening = self._opening.decode("utf-8", "replace")
        if self._read == MultipartReader._read_preamble:
            first = f"begins with {_shown(self._first_line)}" if self._first_line else "is empty"
            return FormError(MULTIPART, f"the body {first}; expected the boundary {opening} that Content-Type names")
        inside = f" in the part {brief(self._head.name)}" if self._head else ""
        return FormError(MULTIPART, f"the form ends{inside} before its closing boundary {opening}--")

    def _read_at_once(self) -> bool:
        """Read a form that has come whole and has nothing but short, usual fields, as most do: half of the time."""
        self._read = MultipartReader._read_preamble
        body = self._buffer
        if len(body) > MAX_TEXT_BYTES or not body.startswith(self._opening):
            return True
        *pieces, end = body[len(self._opening) :].split(self._delimiter, MAX_PARTS)
        if end != b"--\r\n":
            return True
        parts = []
        for piece in pieces:
            head, blank_line, data = piece.partition(b"\r\n\r\n")
            # Anything else than a line break after a boundary, or no head, is for the readers below.
            if head[:2] != b"\r\n" or not blank_line or len(head) > MAX_CACHED_HEAD_BYTES:
                return True
            parsed = _parsed_before(head[2:], b"\r\n")
            if parsed.filename is not None:
                return True
            parts.append(_field(parsed, data))
        self._parts, self._at, self._read = parts, len(body), MultipartReader._skip_epilogue
        return False

    def _read_preamble(self) -> bool:
        """Skip lines until the first boundary."""
        end = self._buffer.find(b"\n", self._at) + 1
        line = self._buffer[self._at : end or None]
        self._first_line = self._first_line or line[:MAX_LINE_BYTES].strip()
        if not end:
            if len(line) > MAX_LINE_BYTES:
                raise _malformed(f"a line before the boundary has more than {MAX_LINE_BYTES} bytes")
            return False
        self._at = end
        rest = line.removeprefix(self._opening)
        if rest is not line and rest.removeprefix(b"--").strip(b" \t\r\n") == b"":
            if rest.strip(b" \t-") == b"\n":
                self._newline, self._delimiter = b"\n", b"\n" + self._opening
                self._notes["line-ends"] = "the lines of the form end in LF alone; RFC 2046 section 5.1 wants CR LF"
            self._begin_after(rest)
        elif not line.isspace():
            self._notes["preamble"] = "there is text before the first boundary; RFC 2046 section 5.1.1 wants it skipped"
        return True

    def _begin_after(self, rest: bytes) -> None:
        """Begin a part, or the epilogue, after a boundary; `rest` is the rest of its line."""
        self._read = MultipartReader._read_head
        if rest != self._newline:
            tail = rest.removeprefix(b"--")
            if len(tail) != len(rest):
                self._read = MultipartReader._skip_epilogue
            if tail.lstrip(b" \t") != self._newline:
                raise _malformed(f"its boundary is followed by {_shown(tail)}; expected {_shown(self._newline)}")
            if tail != self._newline:
                message = "there are blanks after a boundary, which RFC 2046 section 5.1.1 forbids to send"
                self._notes["padding"] = message
        elif len(self._parts) == MAX_PARTS:
            raise FormError(MULTIPART, f"the form has more than {MAX_PARTS} parts")

    def _skip_epilogue(self) -> bool:
        self._at = len(self._buffer)
        return False

    def _read_head(self) -> bool:
        buffer, start, newline = self._buffer, self._at, self._newline
        end = start if buffer.startswith(newline, start) else buffer.find(newline + newline, start)
        size = (end if end >= 0 else len(buffer)) - start
        if size > MAX_PART_HEAD_BYTES:
            raise _malformed(f"the head of a part has more than {MAX_PART_HEAD_BYTES} bytes")
        if end < 0:
            if buffer.count(b"\n", start) != buffer.count(
                newline, start
            ):  # refuse mixed line ends before the whole form has come
                raise _malformed(f"a line of a part does not end as the boundary's does, in {_shown(newline)}")
            return False
        # The line break before the content may be the boundary's too.
        self._at, self._break = end if size == 0 else end + len(newline), len(newline)
        head = (_parsed_before if size <= MAX_CACHED_HEAD_BYTES else _parsed)(buffer[start:end], newline)
        self._head = head
        self._size = 0
        self._hash = None if head.filename is None else hashlib.sha256()
        self._is_dropped = self._room is None
        self._read = MultipartReader._read_content
        return self._read_content()

    def _read_content(self) -> bool:
        """Read on to the boundary, and its whole line. Go takes a boundary with other text after it for content."""
        buffer, delimiter, start = self._buffer, self._delimiter, self._at + self._break
        index = buffer.find(delimiter, self._at)
        after = index + len(delimiter)
        while index >= 0 and after + 1 < len(buffer) and not buffer.startswith(_AFTER_BOUNDARY, after):
            index = buffer.find(delimiter, after)
            after = index + len(delimiter)
        if index < 0:
            # What may be the beginning of a boundary is read again with the next bytes.
            index = buffer.rfind(delimiter[:1], max(self._at, len(buffer) - len(delimiter) + 1))
            if index < 0 or not delimiter.startswith(buffer[index:]):
                index = len(buffer)
            after = len(buffer)
        if index >= start:
            self._take(buffer[start:index] if start or index < len(buffer) else buffer)
            self._break = 0
        self._at = index
        end = buffer.find(b"\n", after) + 1
        if not end:
            if len(buffer) - after > MAX_LINE_BYTES:
                raise _malformed(f"its boundary is followed by more than {MAX_LINE_BYTES} bytes without a line break")
            return False
        self._at = end
        self._end_part()
        self._begin_after(buffer[after:end])
        return True

    def _take(self, content: bytes) -> None:
        if self._hash is not None:
            self._size += len(content)
            self._hash.update(content)
            if self._room is None or self._is_dropped:
                return
            if not self._room.take(len(content)):
                self._is_dropped, self._chunks = True, []
                return
            self.kept_bytes += len(content)
        else:
            self._text_bytes += len(content)
            if self._text_bytes > MAX_TEXT_BYTES:
                raise TextTooLarge(MULTIPART, f"the fields of a form have at most {MAX_TEXT_BYTES} bytes in all")
        if content:
            self._chunks.append(content)

    def _end_part(self) -> None:
        head, chunks = self._head, self._chunks
        assert head is not None
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._head, self._chunks = None, []
        if head.filename is None:
            self._parts.append(_field(head, data))
        else:
            kept, digest = None if self._is_dropped else data, self._hash.hexdigest()
            self._parts.append(
                Part(head.name, None, head.filename, head.content_type, kept, self._size, digest, head.headers)
            )


class _Head(NamedTuple):
    """The head of a part; no name is empty."""

    headers: Sequence[tuple[str, str]]
    name: str
    filename: str | None
    content_type: str | None


def _parsed(head: bytes, newline: bytes) -> _Head:
    """Return the head of a part. Raises FormError."""
    headers = _headers(head, newline)
    by_name = dict(headers)
    disposition = by_name.get("Content-Disposition")
    kind, name, filename = parse_content_disposition(disposition or "")
    if kind != "form-data":
        held = "no Content-Disposition" if disposition is None else f"the Content-Disposition {brief(disposition)}"
        raise _malformed(f"a part has {held}; expected e.g. {_EXAMPLE_HEADER}")
    if not name:
        raise FormError(MULTIPART, "a part has no name")
    if filename is None and disposition is not None and "filename*" in disposition:
        filename = _extended_filename(disposition)
    content_type = by_name.get("Content-Type")
    return _Head(tuple(headers), name, filename, None if content_type is None else media_type(content_type))


#: Short heads are those of fields, and the same in each create.
_parsed_before = lru_cache(maxsize=256)(_parsed)


def _headers(head: bytes, newline: bytes) -> list[tuple[str, str]]:
    """Return the headers of a part. Raises FormError."""
    try:
        lines = head.decode().split(newline.decode()) if head else []
    except UnicodeDecodeError:
        raise _malformed(f"the head {_shown(head)} of a part is not UTF-8") from None
    headers: list[tuple[str, str]] = []
    for line in lines:
        name, colon, value = line.partition(":")
        if "\n" in line or "\r" in line:
            reason = f"does not end as the boundary's does, in {_shown(newline)}"
            raise _malformed(f"the line {brief(line)} of a part {reason}")
        if name in _USUAL_HEADERS:
            headers.append((name, value.strip(" \t")))
        elif line[:1] in (" ", "\t") and headers:  # a header may go on in the next line
            name, value = headers.pop()
            headers.append((name, f"{value} {line.strip()}"))
        elif not colon or not _HEADER_NAME.fullmatch(name.rstrip()):
            raise _malformed(f"the line {brief(line)} of a part is no header; expected e.g. {_EXAMPLE_HEADER}")
        else:
            headers.append((name.rstrip().title(), value.strip(" \t")))
    return headers


def _field(head: _Head, data: bytes) -> Part:
    """Return the part of a field.

    It is read as UTF-8 whatever charset its head names, as Go does; RFC 7578 section 5.1.2 allows others.
    """
    notes: tuple[str, ...] = ()
    try:
        value = data.decode()
    except UnicodeDecodeError:
        value, notes = data.decode("utf-8", "replace"), ("is not UTF-8",)
    if len(head.headers) > 1 and any(key == TRANSFER_ENCODING for key, _ in head.headers):
        notes = (*notes, f"has a {TRANSFER_ENCODING}")
    return Part(head.name, value, None, head.content_type, None, 0, "", head.headers, notes)


def _extended_filename(disposition: str) -> str | None:
    # RFC 7578 section 4.2 forbids filename*, yet Go's parser, which the gateway uses, reads it, in UTF-8 alone.
    values = {match[1].lower(): match[2].strip() for match in _PARAMETER.finditer(disposition)}
    whole = values.get("filename*")
    segments = [] if whole is None else [unquote_to_bytes(_without_charset(whole))]
    for number in range(len(values)):
        plain, escaped = values.get(f"filename*{number}"), values.get(f"filename*{number}*")
        if plain is None and escaped is None:
            break
        if plain is not None:
            segments.append(_QUOTED_PAIR.sub(r"\1", plain.strip('"')).encode())
        else:
            segments.append(unquote_to_bytes(_without_charset(escaped or "") if number == 0 else escaped or ""))
    return b"".join(segments).decode("utf-8", "replace") if segments else None


def _without_charset(value: str) -> str:
    charset, _, rest = value.partition("'")
    if charset.lower() not in ("utf-8", "us-ascii"):
        raise _malformed(f"filename* is in {brief(charset)}; expected UTF-8, e.g. filename*=UTF-8''kite.png")
    return rest.partition("'")[2]


def _malformed(reason: str) -> FormError:
    return FormError(MULTIPART, f"the form is malformed: {reason}")


def _shown(line: bytes) -> str:
    return repr(truncate(line.decode("utf-8", "replace"), MAX_SHOWN_CHARACTERS))
