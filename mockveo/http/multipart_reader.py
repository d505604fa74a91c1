"""The reader of multipart/form-data.

Sources: RFC 7578 (multipart/form-data), RFC 2046 section 5.1 (multipart).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any, Final

from multipart import parse_content_disposition

from mockveo.http.parts import MAX_PARTS, MULTIPART, TRANSFER_ENCODING, FormError, ParsedForm, Part, media_type
from mockveo.text import truncate

#: Bytes of a line outside parts. Precedent: the buffer of Go's mime/multipart.
MAX_LINE_BYTES: Final = 4096
#: Bytes of the headers of a part. Arbitrary: far above what names and media types need.
MAX_PART_HEAD_BYTES: Final = 32 * 2**10
#: Characters of a line that an error shows. Arbitrary: about one line.
MAX_SHOWN_CHARACTERS: Final = 80

#: Source: RFC 9110 section 5.1.
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_USUAL_HEADERS: Final = ("Content-Disposition", "Content-Type")
_AFTER_BOUNDARY: Final = (b"\r", b"\n", b"--", b" ", b"\t")
_EXAMPLE_HEADER: Final = 'Content-Disposition: form-data; name="prompt"'


class MultipartReader:
    """A reader of multipart/form-data in flat memory, which reads what Go's mime/multipart reads.

    Line feeds alone throughout, a preamble and blanks after a boundary are noted, mixed line ends are refused. A form
    without its closing boundary is refused too, although Go reads some: it may have lost a part.
    """

    def __init__(self, boundary: str, *, keep_files: bool) -> None:
        if not boundary:
            # The text is Go's, as the gateway family shows it.
            raise FormError(MULTIPART, "no multipart boundary param in Content-Type")
        if "\n" in boundary:
            raise FormError(MULTIPART, f"the boundary is {boundary!r}; expected no line break, e.g. boundary=xyz")
        self._opening = b"--" + boundary.encode("utf-8", "surrogateescape")
        #: The line break of the form, and what ends the content of a part: a line break and the boundary.
        self._newline, self._delimiter = b"\r\n", b"\r\n" + self._opening
        self._keep_files = keep_files
        #: Reads on, and returns whether the bytes at hand may hold more.
        self._read: Callable[[], bool] = self._read_preamble
        self._buffer, self._at = b"", 0
        #: Bytes at hand that are the line break before the content, which may be the boundary's too.
        self._break = 0
        self._first_line = b""
        self._notes: dict[str, str] = {}
        self._parts: list[Part] = []
        #: Of the part that is being read.
        self._headers: list[tuple[str, str]] = []
        self._name = ""
        self._filename: str | None = None
        self._content_type: str | None = None
        self._chunks: list[bytes] = []
        self._size = 0
        self._hash: Any = None

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes; an epilogue is ignored (RFC 2046 section 5.1.1)."""
        rest = self._buffer[self._at :]
        self._buffer, self._at = rest + chunk if rest else chunk, 0
        while self._read():
            pass

    def finish(self) -> ParsedForm:
        """Return the whole form."""
        if self._read != self._skip_epilogue:
            self.feed(self._newline)  # which a closing boundary at the end of the body may lack
            if self._read != self._skip_epilogue:
                raise self._incomplete()
        return ParsedForm(self._parts, tuple(self._notes.items()))

    def _incomplete(self) -> FormError:
        opening = self._opening.decode("utf-8", "replace")
        if self._read == self._read_preamble:
            first = f"begins with {_shown(self._first_line)}" if self._first_line else "is empty"
            return FormError(MULTIPART, f"the body {first}; expected the boundary {opening} that Content-Type names")
        inside = f" in the part {self._name!r}" if self._name else ""
        return FormError(MULTIPART, f"the form ends{inside} before its closing boundary {opening}--")

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
        self._read = self._read_head
        if rest != self._newline:
            tail = rest.removeprefix(b"--")
            if len(tail) != len(rest):
                self._read = self._skip_epilogue
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
        self._begin_part(_headers(buffer[start:end], newline))
        return self._read_content()

    def _begin_part(self, headers: list[tuple[str, str]]) -> None:
        self._headers, by_name = headers, dict(headers)
        disposition = by_name.get("Content-Disposition")
        kind, self._name, self._filename = parse_content_disposition(disposition or "")
        if kind != "form-data":
            held = "no Content-Disposition" if disposition is None else f"the Content-Disposition {disposition!r}"
            raise _malformed(f"a part has {held}; expected e.g. {_EXAMPLE_HEADER}")
        if not self._name:
            raise FormError(MULTIPART, "a part has no name")
        if self._filename is None and disposition is not None and "filename*" in disposition:
            self._filename = _extended_filename(disposition)
        content_type = by_name.get("Content-Type")
        self._content_type = None if content_type is None else media_type(content_type)
        self._size = 0
        self._hash = None if self._filename is None else hashlib.sha256()
        self._read = self._read_content

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
            if not self._keep_files:
                return
        if content:
            self._chunks.append(content)

    def _end_part(self) -> None:
        name, kind, headers, chunks = self._name, self._content_type, self._headers, self._chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._name, self._chunks = "", []
        if self._filename is None:
            value, notes = _text(data)
            if len(headers) > 1 and any(key == TRANSFER_ENCODING for key, _ in headers):
                notes = (*notes, f"has a {TRANSFER_ENCODING}")
            self._parts.append(Part(name, value, None, kind, None, 0, "", headers, notes))
        else:
            kept, digest = data if self._keep_files else None, self._hash.hexdigest()
            self._parts.append(Part(name, None, self._filename, kind, kept, self._size, digest, headers))


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
            raise _malformed(f"the line {line!r} of a part does not end as the boundary's does, in {_shown(newline)}")
        if name in _USUAL_HEADERS:
            headers.append((name, value.strip(" \t")))
        elif line[:1] in (" ", "\t") and headers:  # a header may go on in the next line
            name, value = headers.pop()
            headers.append((name, f"{value} {line.strip()}"))
        elif not colon or not _HEADER_NAME.fullmatch(name.rstrip()):
            raise _malformed(f"the line {line!r} of a part is no header; expected e.g. {_EXAMPLE_HEADER}")
        else:
            headers.append((name.rstrip().title(), value.strip(" \t")))
    return headers


def _text(data: bytes) -> tuple[str, tuple[str, ...]]:
    """Return the text of a field and notes on it.

    It is read as UTF-8 whatever charset its part names, as Go does; RFC 7578 section 5.1.2 allows others.
    """
    try:
        return data.decode(), ()
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace"), ("is not UTF-8",)


def _extended_filename(disposition: str) -> str | None:
    # RFC 7578 section 4.2 forbids filename*, yet Go's parser, which the gateway uses, reads it.
    from email.message import Message

    message = Message()
    message["Content-Disposition"] = disposition
    try:
        return message.get_filename()
    except (LookupError, UnicodeError) as error:
        raise FormError(MULTIPART, f"the form is malformed: filename* cannot be decoded: {error}") from None


def _malformed(reason: str) -> FormError:
    return FormError(MULTIPART, f"the form is malformed: {reason}")


def _shown(line: bytes) -> str:
    return repr(truncate(line.decode("utf-8", "replace"), MAX_SHOWN_CHARACTERS))
