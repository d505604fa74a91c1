"""The bytes behind the `content` of a finished job: one clip in three variants.

Theory of operation. A clip is a pure function of its `Source`: the job's id, size, prompt and uploaded pictures. With
PyAV and Pillow installed (`mockveo[video]`) it is drawn and encoded for this job, which takes about a second of CPU;
without them it is one of two packaged clips. Either way the job's id goes into the video as a `free` box, which players
skip, so two jobs never share their bytes: comparing two downloads exposes a client that mixes them up.

Nothing is kept on disk and nothing happens in the background. `Clips.get` makes a missing clip in the calling thread
and keeps it in memory; the least recently used clip goes first. `Clips.at_hand` never blocks, for callers that want to
stay on the event loop when they can. Rendering holds one lock, so a burst of downloads keeps one core busy, not all of
them, and threads that ask for the same clip share the result.

`mockveo.content.rendering`, and with it PyAV, is imported when the first clip is drawn.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from importlib.util import find_spec
from typing import Final

from mockveo.content.media import Media, Source, Stopped, packaged
from mockveo.errors import SettingsError

#: Rendered clips kept in memory; some 60 of the usual 1 MB, arbitrary.
CACHE_BYTES: Final = 64 * 2**20

_log = logging.getLogger(__name__)


class Clips:
    """The clips of a server; see the module's docstring. All methods may be called from any thread."""

    def __init__(self, *, render: bool | None = None, cache_bytes: int = CACHE_BYTES) -> None:
        available = all(find_spec(name) is not None for name in ("av", "PIL"))
        if render and not available:
            raise SettingsError('rendering clips needs PyAV and Pillow: pip install "mockveo[video]"')
        self.renders: bool = available if render is None else render
        self._cache = _Cache(cache_bytes)
        self._rendering = threading.Lock()
        self._making: dict[Hashable, threading.Event] = {}
        self._closed = threading.Event()

    def close(self) -> None:
        """Stop rendering: threads that still wait for a clip soon get a packaged one."""
        self._closed.set()

    def get(self, source: Source, variant: str) -> bytes:
        """Return the bytes of a variant. Blocks for a second if the clip must be rendered: call it in a worker."""
        key, mine = _key(source), threading.Event()
        while (ready := self.at_hand(source, variant)) is None:
            making = self._making.setdefault(key, mine)
            if making is mine:
                try:
                    with self._rendering:
                        media = packaged(source) if self._closed.is_set() else _rendered(source, self._closed.is_set)
                    self._cache.put(key, media)
                finally:
                    del self._making[key]
                    mine.set()
                return media.pick(variant)
            making.wait()
        return ready

    def at_hand(self, source: Source, variant: str) -> bytes | None:
        """Return the bytes of a variant if they can be had without rendering."""
        if not self.renders:
            return packaged(source).pick(variant)
        media = self._cache.get(_key(source))
        return None if media is None else media.pick(variant)


class _Cache:
    """Clips by key, within `limit` bytes; the least recently used goes first."""

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


def _rendered(source: Source, stopped: Callable[[], bool]) -> Media:
    first, last = (*source.images[:2], None, None)[:2]
    try:
        from mockveo.content.rendering import render  # PyAV is optional, and slow to import

        media = render(
            portrait=source.portrait,
            title=source.id,
            caption=source.prompt,
            first=first,
            last=last,
            stopped=stopped,
        )
    except Stopped:
        return packaged(source)
    except Exception:  # noqa: BLE001 - e.g. a codec missing in this build of FFmpeg: a packaged clip beats a 500
        _log.warning("could not render the clip of %s; serving a packaged one", source.id, exc_info=True)
        return packaged(source)
    return media.marked(source.id)
