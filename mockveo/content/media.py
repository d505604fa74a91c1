"""A clip as bytes, and what it is made from."""

import re
import struct
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple, Self

#: Variant -> media type, in the order of the fields of Media.
MEDIA_TYPES: Final = {"video": "video/mp4", "thumbnail": "image/webp", "spritesheet": "image/jpeg"}

_SUFFIXES: Final = {"video": ".mp4", "thumbnail": ".webp", "spritesheet": ".jpg"}
_PACKAGED: Final = Path(__file__).parent
#: Nine digits at most: int() refuses very long ones, and the text comes from a client.
_SIZE: Final = re.compile(r"^\D*(\d{1,9})\D+(\d{1,9})")


class Media(NamedTuple):
    """A finished clip; its fields are the variants."""

    video: bytes
    thumbnail: bytes
    spritesheet: bytes

    def pick(self, variant: str) -> bytes:
        """Return the bytes of a variant."""
        return dict(zip(self._fields, self, strict=True))[variant]

    def marked(self, job: str) -> Self:
        """Return a copy with the job's id in a box of the video."""
        # ISO/IEC 14496-12, 8.1.2: the contents of a free-space box are irrelevant and may be ignored.
        content = job.encode("utf-8", "backslashreplace")
        return self._replace(video=self.video + struct.pack(">I4s", 8 + len(content), b"free") + content)


class Source(NamedTuple):
    """What a clip is made from."""

    id: str
    #: As the job shows it: "16x9", "9x16", "1280x720".
    size: str
    prompt: str
    #: The uploaded files in order: first frame, last frame.
    images: tuple[bytes, ...] = ()

    @property
    def portrait(self) -> bool:
        """Return whether the clip is higher than wide."""
        return portrait(self.size)


class Stopped(Exception):
    """A clip was abandoned because the server stops."""


def portrait(size: str) -> bool:
    """Return whether a size such as "9x16", "9:16" or "720*1280" is higher than wide; unreadable sizes are not."""
    match = _SIZE.match(size)
    return match is not None and int(match[2]) > int(match[1])


def packaged(source: Source) -> Media:
    """Return the packaged clip of a source's shape, marked with its job."""
    return _read("portrait" if source.portrait else "landscape").marked(source.id)


@cache
def _read(name: str) -> Media:
    return Media(*((_PACKAGED / name).with_suffix(_SUFFIXES[variant]).read_bytes() for variant in MEDIA_TYPES))
