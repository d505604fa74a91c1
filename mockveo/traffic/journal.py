"""The journal of a world: its exchanges, the latest `limit` of them, for people and for assertions."""

from __future__ import annotations

import hashlib
import re
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

import orjson

from mockveo.http.forms import Part
from mockveo.text import printable

#: Names of headers and parameters whose values are credentials.
_SECRET: Final = re.compile(r"key|token|auth|secret|sig|passw|credential|cookie|ticket", re.IGNORECASE)
#: Bytes of request bodies that a journal keeps in parsed form.
KEPT_BYTES = 32 * 2**20


class Deviation(NamedTuple):
    """A departure of a request from the documented page. `code` is stable, `message` is for people."""

    code: str
    message: str


class ExchangeRecord:
    """One request and its answer. Filled in as the exchange goes on; until then it has the values below."""

    number = 0
    #: The world it was in, and when it was answered, in seconds of that one's clock.
    world = ""
    at = 0.0
    #: Whether it came to the other origin, which redirects and URLs lead to.
    elsewhere = False
    duration = 0.0
    operation = ""
    owner = ""
    parts: Sequence[Part] = ()
    body_size = 0
    #: The request's body as it came, where it was short and came in one piece, else its SHA-256.
    body: bytes | None = None
    body_digest = b""
    #: Bytes of the request that are kept.
    kept = 0
    deviations: Sequence[Deviation] = ()
    #: Whether the client went away while a fault kept it waiting.
    left = False
    #: Of the answer; 0 where there was none: the client went away before it, or a fault took its place.
    status = 0
    sent = 0
    answer_headers: Sequence[tuple[bytes, bytes]] = ()
    #: None where it was too long to be kept, as videos are.
    answer_body: bytes | None = None
    #: Its SHA-256 then.
    answer_digest = b""
    #: The scenario that was chosen for it, and what the faults that struck it did.
    scenario = ""
    faults: Sequence[str] = ()
    #: The name of the error in the document, or empty.
    error = ""
    #: What the log alone says about the error.
    hint = ""
    job_id = ""
    #: Status and progress of the job, as answered.
    state = ""
    progress: int | None = None

    def __init__(self, method: str, path: str, query: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self.started = time.time()
        self.method = method
        self.path = path
        self.query = query
        # In one piece, since a journal of many small objects costs each request more than the joining.
        self._headers = b"\n".join([part for header in headers for part in header])
        self.kept = len(self._headers)

    def forget_body(self) -> None:
        """Keeps of the request's body no more than its size and hash."""
        if self.body is not None:
            self.kept -= len(self.body)
            self.body_digest, self.body = hashlib.sha256(self.body).digest(), None

    @property
    def body_sha256(self) -> str | None:
        """SHA-256 of the request's body as it came, in hex; None where there was none."""
        if not self.body_size:
            return None
        return (self.body_digest if self.body is None else hashlib.sha256(self.body).digest()).hex()

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The request's headers as they came, credentials included."""
        parts = self._headers.decode("latin-1").split("\n")
        return list(zip(parts[::2], parts[1::2], strict=True)) if self._headers else []

    @property
    def shown_headers(self) -> list[tuple[str, str]]:
        """The request's headers with the credentials replaced by a fingerprint."""
        return shown_headers(self.headers)


def shown_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Headers with the credentials replaced by a fingerprint."""
    return [(name, _shown_value(name, value)) for name, value in headers]


def _shown_value(name: str, value: str) -> str:
    if _SECRET.search(name):
        return _without_key(value)
    head, mark, query = value.partition("?")
    return f"{head}?{without_secrets(query)}" if mark and name.lower() in ("location", "referer") else value


def _without_key(value: str) -> str:
    """Credentials with their scheme, and a fingerprint instead of the rest: "Bearer (key 0f2c10bf)"."""
    scheme, blank, rest = value.partition(" ")
    shown = f"{scheme} " if blank and scheme.isalpha() and len(scheme) < len("negotiate_") else ""
    return f"{shown}({fingerprint(rest if shown else value)})"


def fingerprint(key: str) -> str:
    """What may be shown of a key: eight hex digits of its SHA-256."""
    secret = key.removeprefix("Bearer ").removeprefix("bearer ")
    return f"key {hashlib.sha256(secret.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


class Feed:
    """Exchanges of all worlds on their way to a log: the latest `limit` that have not been taken."""

    def __init__(self, limit: int) -> None:
        self.waiting: deque[ExchangeRecord] = deque(maxlen=limit)
        #: Exchanges there have been.
        self.count = 0

    def take(self) -> list[ExchangeRecord]:
        """Those that wait, oldest first."""
        return [self.waiting.popleft() for _ in range(len(self.waiting))]


class Journal:
    """The exchanges of a world, numbered from 1: a ring, bounded in number and in the bytes that are kept of them.

    What it takes goes to `feed` too.
    """

    def __init__(self, limit: int, feed: Feed | None = None, world: str = "") -> None:
        self._exchanges: deque[ExchangeRecord] = deque()
        self._limit = limit
        self._bytes = 0
        self._feed = feed
        self._world = world
        #: Exchanges there have been, forgotten ones included.
        self.count = 0

    def add(self, exchange: ExchangeRecord) -> None:
        """Keeps an exchange under its number, and forgets the oldest where there are too many."""
        self.count = exchange.number = self.count + 1
        exchange.world = self._world
        self._exchanges.append(exchange)
        self._bytes += exchange.kept
        while len(self._exchanges) > self._limit or (self._bytes > KEPT_BYTES and len(self._exchanges) > 1):
            self._bytes -= self._exchanges.popleft().kept
        feed = self._feed
        if feed is not None:
            feed.count += 1
            feed.waiting.append(exchange)

    def since(self, number: int) -> list[ExchangeRecord]:
        """The exchanges after the one of that number, as far as they are still there, oldest first."""
        return list(islice(reversed(self._exchanges), max(self.count - number, 0)))[::-1]

    def clear(self) -> None:
        """Forgets all exchanges; numbers go on."""
        self._exchanges.clear()
        self._bytes = 0

    def __iter__(self) -> Iterator[ExchangeRecord]:
        # A copy, made in one step: a server in another thread may add to it meanwhile.
        return iter(list(self._exchanges))

    def __len__(self) -> int:
        return len(self._exchanges)


def as_line(exchange: ExchangeRecord) -> str:
    """An exchange in one short line for a terminal, a further line for each deviation."""
    clock = _clock(int(exchange.started))
    what = exchange.error or exchange.state
    if exchange.progress is not None and not exchange.error:
        what = f"{what} {exchange.progress} %"
    if exchange.operation == "createVideo" and exchange.job_id:
        images = sum(part.is_file for part in exchange.parts)
        what = f"{what} {exchange.job_id}{f', {images} image' if images else ''}{'s' if images > 1 else ''}"
    status = str(exchange.status or ("lost" if exchange.faults and not exchange.left else "gone"))
    query = f"?{shown_query(exchange)}" if exchange.query else ""
    path = f"/@{exchange.world}{exchange.path}" if exchange.world else exchange.path
    path = f"(other origin) {path}" if exchange.elsewhere else path
    line = f"{clock} {exchange.method} {printable(path + query, single_line=True)} {status} {what}".rstrip()
    if exchange.faults:
        line += f" [{exchange.scenario}: {', '.join(exchange.faults)}]"
    took = f" ({exchange.duration:.1f} s)" if exchange.duration >= 0.1 else ""
    notes = [*(note.message for note in exchange.deviations), *([exchange.hint] if exchange.hint else [])]
    return "".join([line, took, *(f"\n         ! {printable(note, single_line=True)}" for note in notes)])


@lru_cache(maxsize=2)
def _clock(second: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(second))


def without_secrets(query: str) -> str:
    """A query string with the values of whatever sounds like a credential left out."""
    if "=" not in query:
        return query
    pairs = [pair.partition("=") for pair in query.split("&")]
    return "&".join(
        f"{name}=..." if mark and _SECRET.search(unquote(name)) else name + mark + value for name, mark, value in pairs
    )


def as_json(exchange: ExchangeRecord) -> dict[str, Any]:
    """An exchange as the JSON log and the control API show it; `ExchangeRecord` in `control.yaml` describes it."""
    return {
        "number": exchange.number,
        "line": as_line(exchange),
        "time": round(exchange.started, 6),
        "at": round(exchange.at, 6),
        "world": exchange.world,
        "elsewhere": exchange.elsewhere,
        "operation": exchange.operation or None,
        "key": fingerprint(exchange.owner) if exchange.owner else None,
        "key_sent": any(name.lower() == "authorization" for name, _ in exchange.headers),
        "client_left": exchange.left,
        "request": {
            "method": exchange.method,
            "path": _without_owner(exchange.path, exchange),
            "query": shown_query(exchange),
            "headers": exchange.shown_headers,
            "fields": [{"name": part.name, "value": part.value} for part in exchange.parts if not part.is_file],
            "files": [_file(part) for part in exchange.parts if part.is_file],
            "body_bytes": exchange.body_size,
            "body_sha256": exchange.body_sha256,
        },
        "response": _response(exchange) if exchange.status else None,
        "error": exchange.error or None,
        "hint": exchange.hint or None,
        "duration_ms": round(exchange.duration * 1000, 3),
        "job": exchange.job_id or None,
        "job_status": exchange.state or None,
        "job_progress": exchange.progress,
        "scenario": exchange.scenario or None,
        "faults": list(exchange.faults),
        "deviations": [note._asdict() for note in exchange.deviations],
    }


def shown_query(exchange: ExchangeRecord) -> str:
    """The query string without credentials."""
    return _without_owner(without_secrets(exchange.query.decode("latin-1")), exchange)


def _without_owner(text: str, exchange: ExchangeRecord) -> str:
    """Text without the key that the request carried."""
    return text.replace(exchange.owner, f"({fingerprint(exchange.owner)})") if len(exchange.owner) > 3 else text


def _file(part: Part) -> dict[str, Any]:
    known = {"name": part.name, "filename": part.filename, "content_type": part.content_type}
    return {**known, "bytes": part.size, "sha256": part.sha256}


def shown_answer_headers(exchange: ExchangeRecord) -> list[tuple[str, str]]:
    """The answer's headers, without the credentials that a Location may carry."""
    return shown_headers((name.decode("latin-1"), value.decode("latin-1")) for name, value in exchange.answer_headers)


def _response(exchange: ExchangeRecord) -> dict[str, Any]:
    headers = shown_answer_headers(exchange)
    body: Any = None
    digest = exchange.answer_digest if exchange.answer_body is None else hashlib.sha256(exchange.answer_body).digest()
    if exchange.answer_body:
        try:
            body = exchange.answer_body.decode()
            body = orjson.loads(body)
        except ValueError:  # text, or bytes
            pass
    return {
        "status": exchange.status,
        "headers": headers,
        "body": body,
        "body_bytes": exchange.sent,
        "body_sha256": digest.hex(),
    }
