"""Content codings: whether a body is in the encoding that its Content-Encoding names. Source: RFC 9110 section 8.4."""

from __future__ import annotations

import zlib
from typing import Final

#: Bytes of a decoded body above which it counts as undecodable. Arbitrary: more than any video of the API.
MAX_DECODED_BYTES: Final = 256 * 2**20
#: Coding -> the formats that clients read it as. Source: RFC 9110 section 8.4.1, which knows deflate without zlib too.
_WINDOW_BITS: Final = {"gzip": (31,), "x-gzip": (31,), "deflate": (15, -15)}


def decode(body: bytes, content_encoding: str, max_bytes: int = MAX_DECODED_BYTES) -> bytes | None:
    """Return the decoded body; None if it is larger, not in that encoding, or in one that is not gzip or deflate."""
    codings = [coding.strip().lower() for coding in content_encoding.split(",")]
    decoded: bytes | None = body
    for coding in reversed(codings):
        if decoded is not None and coding not in ("", "identity"):
            decoded = _decode(decoded, coding, max_bytes)
    return decoded


def _decode(body: bytes, coding: str, max_bytes: int) -> bytes | None:
    for bits in _WINDOW_BITS.get(coding, ()):
        stream = zlib.decompressobj(bits)
        try:
            decoded = stream.decompress(body, max_bytes)
        except zlib.error:
            continue
        if stream.eof:
            return decoded
    return None
