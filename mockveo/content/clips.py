"""The bytes behind the `content` of a finished job: one clip in three variants.

Theory of operation. A clip is a pure function of its `Source`: the job's id, size, prompt and uploaded pictures. There
are two ways to come by it. With PyAV and Pillow installed (`mockveo[video]`) it is drawn and encoded for this job,
which takes about a second of CPU; without them one of two packaged clips stands in. Either way the job's id goes into
the video as a `free` box, which players skip, so that two jobs never share their bytes: a client that mixes up two
downloads is found out by comparing them, with or without PyAV.

Nothing is kept on disk and nothing happens in the background. `Clips.get` makes what is missing in the thread that
asks and keeps it in memory, the least recently used out first; `Clips.at_hand` never blocks, for callers that want to
stay on the event loop when they can. Rendering goes through one lock: threads that ask for the same clip get the one
that was made, and a burst of downloads keeps one core busy, not all of them.

`mockveo.content.rendering`, and with it PyAV, is imported when the first clip is drawn.
"""

import logging
import re
import struct
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

from mockveo.errors import SettingsError

#: Variant -> media type, in the order of the fields of Media.
MEDIA_TYPES: Final = {"video": "video/mp4", "thumbnail": "image/webp", "spritesheet": "image/jpeg"}

_SUFFIXES: Final = {"video": ".mp4", "thumbnail": ".webp", "spritesheet": ".jpg"}
_PACKAGED: Final = Path(__file__).parent
#: Nine digits at most: int() refuses very long ones, and the text comes from a client.
_SIZE: Final = re.compile(r"^\D*(\d{1,9})\D+(\d{1,9})")

_log = logging.getLogger(__name__)


class Media(NamedTuple):
    """A finished clip; its fields are the variants."""

    video: bytes
    thumbnail: bytes
    spritesheet: bytes


class Source(NamedTuple):
    """What a clip is made from."""

    id: str
    #: As the job tells it: "16x9", "9x16", "1280x720".
    size: str
    prompt: str
    #: The uploaded files in order: first frame, last frame.
    images: tuple[bytes, ...] = ()


def portrait(size: str) -> bool:
    """Whether a size such as "9x16", "9:16" or "720*1280" is higher than wide; whatever cannot be read is not."""
    found = _SIZE.match(size)
    return found is not None and int(found[2]) > int(found[1])


class Clips:
    """The clips of a server; see the module's docstring. All methods may be called from any thread."""

    def __init__(self, *, render: bool | None = None, cache_bytes: int = 64 * 2**20) -> None:
        available = all(find_spec(name) is not None for name in ("av", "PIL"))
        if render and not available:
            raise SettingsError('rendering clips needs PyAV and Pillow: pip install "mockveo[video]"')
        self.renders: bool = available if render is None else render
        self._cache = _Cache(cache_bytes)
        self._rendering = threading.Lock()
        self._making: dict[Hashable, threading.Event] = {}
        self._closed = threading.Event()

    def close(self) -> None:
        """Make no more clips: whoever still waits for one gets a packaged one, soon."""
        self._closed.set()

    def get(self, source: Source, variant: str) -> bytes:
        """Return the bytes of a variant. Blocks for a second when the clip must be rendered: call it in a worker."""
        key, mine = _key(source), threading.Event()
        while (ready := self.at_hand(source, variant)) is None:
            making = self._making.setdefault(key, mine)
            if making is mine:
                try:
                    with self._rendering:
                        media = _stand_in(source) if self._closed.is_set() else _rendered(source, self._closed.is_set)
                    self._cache.put(key, media)
                finally:
                    del self._making[key]
                    mine.set()
                return _pick(media, variant)
            making.wait()
        return ready

    def at_hand(self, source: Source, variant: str) -> bytes | None:
        """Return the bytes of a variant if they can be had without rendering."""
        if not self.renders:
            return _pick(_stand_in(source), variant)
        media = self._cache.get(_key(source))
        return None if media is None else _pick(media, variant)


class _Cache:
    """Clips by key, never more than `limit` bytes of them: the least recently used goes first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0
        self._kept: OrderedDict[Hashable, Media] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Media | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: Hashable, media: Media) -> None:
        with self._lock:
            self._bytes += sum(map(len, media)) - sum(map(len, self._kept.pop(key, ())))
            self._kept[key] = media
            while self._bytes > self._limit:
                _, dropped = self._kept.popitem(last=False)
                self._bytes -= sum(map(len, dropped))


def _key(source: Source) -> Hashable:
    # The id alone is not enough: two worlds with the same seed hand out the same ids. The pictures enter by their
    # hash, so that the cache does not keep uploads alive.
    return source._replace(images=()), hash(source.images)


def _pick(media: Media, variant: str) -> bytes:
    return dict(zip(Media._fields, media, strict=True))[variant]


class Stopped(Exception):
    """A clip is not finished since nobody is to have it any more."""


def _rendered(source: Source, stopped: Callable[[], bool]) -> Media:
    first, last = (*source.images[:2], None, None)[:2]
    try:
        from mockveo.content.rendering import render  # PyAV is optional, and slow to import

        media = render(
            portrait=portrait(source.size),
            title=source.id,
            caption=source.prompt,
            first=first,
            last=last,
            stopped=stopped,
        )
    except Stopped:
        return _stand_in(source)
    except Exception:  # noqa: BLE001 - a codec missing in this build of FFmpeg, say: a stand-in is better than a 500
        _log.warning("could not render the clip of %s, a packaged one stands in", source.id, exc_info=True)
        return _stand_in(source)
    return _marked(media, source.id)


def _stand_in(source: Source) -> Media:
    return _marked(_packaged("portrait" if portrait(source.size) else "landscape"), source.id)


@cache
def _packaged(name: str) -> Media:
    return Media(*((_PACKAGED / name).with_suffix(_SUFFIXES[variant]).read_bytes() for variant in MEDIA_TYPES))


def _marked(media: Media, job: str) -> Media:
    # ISO/IEC 14496-12, 8.1.2: the contents of a free-space box are irrelevant and may be ignored.
    content = job.encode("utf-8", "backslashreplace")
    return media._replace(video=media.video + struct.pack(">I4s", 8 + len(content), b"free") + content)
