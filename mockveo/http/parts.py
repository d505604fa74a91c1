"""The parts of a form, whatever it was sent as, and the error of one that cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

MULTIPART: Final = "multipart/form-data"

#: A deprecated header of parts. Source: RFC 7578 section 4.7.
TRANSFER_ENCODING: Final = "Content-Transfer-Encoding"
#: Bytes of all that a body says besides files. Arbitrary: hundreds of pages; the form is read in one piece, and all
#: other callers wait meanwhile. Precedent: Express reads 100 KB.
MAX_TEXT_BYTES: Final = 2**20
#: Parts of a form. Precedent: Go's mime/multipart, which the gateway family uses, allows 1000.
MAX_PARTS: Final = 1000


class FormError(Exception):
    """The body does not match its Content-Type; `kind` is that media type in lower case."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class TextTooLarge(FormError):
    """The fields of the body have more than MAX_TEXT_BYTES; the error of its own is that the body is too large."""


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


class ParsedForm(NamedTuple):
    """The parts of a body, and what is unusual about the form as a whole, as codes and messages."""

    parts: list[Part]
    notes: tuple[tuple[str, str], ...] = ()


def media_type(content_type: str) -> str:
    """Return the media type of a Content-Type, in lower case and without parameters."""
    return content_type.partition(";")[0].strip().lower()
