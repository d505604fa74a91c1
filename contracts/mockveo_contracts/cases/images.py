"""Reference images: bytes that differ from case to case, of any size, and valid pictures if that is large enough."""

from __future__ import annotations

import base64
import random
import struct
import zlib
from typing import Final

#: Extensions -> media types of the images that a case can ask for.
MEDIA_TYPES: Final = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}
#: Bytes of an image by default: more than 4 KiB, the block that many programs read at once.
DEFAULT_BYTES: Final = 5000
#: A JPEG of one grey pixel, made with Pillow.
_JPEG: Final = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAFA3PEY8MlBGQUZaVVBfeMiCeG5uePWvuZHI////////////////////////////////"
    "////////////////////wAALCAABAAEBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAAP/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAI"
    "AQEAAD8AP//Z"
)


def picture(content_type: str, size: int, seed: str) -> bytes:
    """Return a picture of exactly `size` bytes that no other seed has; noise if a picture needs more."""
    dice = random.Random(seed)
    made = _png(size, dice) if content_type == "image/png" else _jpeg(size, dice)
    return made if made is not None else dice.randbytes(size)


def png(width: int, height: int, rows: bytes, *chunks: tuple[bytes, bytes], level: int = -1) -> bytes:
    """Return a PNG of 8-bit RGB rows, each after a filter byte, with further chunks before the pixels.

    Source: PNG specification, sections 5 and 11.
    """
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows, level)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def _png(size: int, dice: random.Random) -> bytes | None:
    pixel = b"\0" + dice.randbytes(3)
    room = size - len(png(1, 1, pixel, level=0)) - len(_chunk(b"noIs", b""))
    # A private chunk that programs skip; PNG specification, 4.7.
    return None if room < 0 else png(1, 1, pixel, (b"noIs", dice.randbytes(room)), level=0)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _jpeg(size: int, dice: random.Random) -> bytes | None:
    room, comments = size - len(_JPEG), b""
    if room < 4:
        return None
    while room:
        # A comment begins with its length, at most 65535; the rest must have room for another comment.
        length = room if room <= 65537 else 60000
        comments += b"\xff\xfe" + struct.pack(">H", length - 2) + dice.randbytes(length - 4)
        room -= length
    return _JPEG[:2] + comments + _JPEG[2:]
