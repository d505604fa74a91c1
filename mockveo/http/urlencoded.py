"""application/x-www-form-urlencoded: the pairs of a body or a query.

`urllib.parse` takes a second for a megabyte of percent signs, during which all other
clients of a server wait. Here the standard library's decoder of quoted-printable does the work, which is written in C.

Source: WHATWG URL section 5.
"""

from __future__ import annotations

import re
from binascii import a2b_qp
from itertools import islice
from typing import Final

#: A percent sign that begins no escape; it stands for itself.
_BARE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def pairs(text: bytes, errors: str = "replace") -> list[tuple[str, str]]:
    """Return the names and values of a text, in order; those of bytes that are not UTF-8 follow `errors`."""
    if b"%" in text:
        text = _BARE.sub(b"%25", text)
    named = [pair.partition(b"=") for pair in text.split(b"&") if pair]
    return [(_decoded(name).decode(errors=errors), _decoded(value).decode(errors=errors)) for name, _, value in named]


def values(text: bytes) -> dict[str, str]:
    """Return the first value of each name in a query."""
    return dict(reversed(pairs(text)))


def has_more_bare_than(most: int, text: bytes) -> bool:
    """Return whether more percent signs of a text than `most` begin no escape."""
    return next(islice(_BARE.finditer(text), most, None), None) is not None


def _decoded(text: bytes) -> bytes:
    text = text.replace(b"+", b" ")
    # After this each equals sign begins an escape, so none of the other rules of quoted-printable applies.
    return a2b_qp(text.replace(b"=", b"=3D").replace(b"%", b"=")) if b"%" in text else text
