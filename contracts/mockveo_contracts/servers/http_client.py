"""The HTTP client of a verification: sends requests, unusual ones too, within the budget, and records each exchange."""

from __future__ import annotations

import base64
import http.client
import random
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode, urljoin, urlsplit

from mockveo.control_client import Deadline
from mockveo.errors import SettingsError
from mockveo.http.encodings import decode
from mockveo.spec.spec import Spec
from mockveo.text import truncate
from mockveo_contracts.servers.budget import Budget, OutOfBudget
from mockveo_contracts.servers.exchanges import USUAL, Body, SentExchange, UploadFile
from mockveo_contracts.servers.pacing import Pace

#: Time for a whole exchange. Arbitrary, well above what the pages show.
PATIENCE_S: Final = 60.0
#: Maximum of a content that is read; a clip of 8 s in 4K has some 50 MB.
MAX_CONTENT_BYTES: Final = 128 * 2**20
#: Maximum of any other response that is read. Arbitrary.
MAX_JSON_BYTES: Final = 4 * 2**20
#: Inaccuracy of timers: a timeout may come this much before the budget ends. Arbitrary.
TIMER_TOLERANCE_S: Final = 0.05
#: Bytes that are kept of a response that has too many, and characters of a problem in a message. Arbitrary.
MAX_KEPT_BYTES: Final = 2**16
MAX_TROUBLE: Final = 200
#: Characters of a name in a message. Arbitrary.
MAX_SHOWN_NAME: Final = 40
#: Bytes that are read at a time. Arbitrary.
_CHUNK_BYTES: Final = 2**18


@dataclass(frozen=True)
class Keys:
    """The keys of a run; no server can know `bad`."""

    ours: str = field(repr=False)
    #: The key of another customer, if available.
    other: str | None = field(repr=False)
    bad: str = field(repr=False)

    def headers(self, whose: str) -> dict[str, str]:
        """Return the header of a key: ours, other, bad, or ours by another scheme: basic, raw; else no header."""
        basic = base64.b64encode(f":{self.ours}".encode()).decode()
        values = {
            "ours": f"Bearer {self.ours}",
            "other": f"Bearer {self.other or self.bad}",
            "bad": f"Bearer {self.bad}",
            "basic": f"Basic {basic}",
            "raw": self.ours,
        }
        return {"Authorization": values[whose]} if whose in values else {}


class _Request(NamedTuple):
    """A request as http.client sends it, and how much of the response is read."""

    method: str
    path: str
    body: bytes | None
    headers: dict[str, str]
    max_bytes: int


class _Received(NamedTuple):
    """What arrived of a response; `trouble` says what is wrong with it."""

    status: int
    headers: dict[str, str]
    data: bytes
    trouble: str


_NOTHING: Final = _Received(0, {}, b"", "")


class RecordingClient:
    """An HTTP client that records its exchanges; `url` is the server's root or its base URL."""

    def __init__(self, url: str, keys: Keys, spec: Spec, pace: Pace, budget: Budget) -> None:
        self.root = root_of(url)
        self.keys = keys
        self.spec = spec
        self.pace = pace
        self.budget = budget
        #: All exchanges so far.
        self.exchanges: list[SentExchange] = []
        #: Each body once: a video arrives several times.
        self._bodies: dict[bytes, bytes] = {}
        self._connection: http.client.HTTPConnection | None = None

    def ask(
        self,
        operation: str,
        job: str = "",
        body: Body | None = None,
        *,
        purpose: str = USUAL,
        expected: str = "",
        key: str = "ours",
        query: str = "",
        note: str = "",
        headers: Mapping[str, str] | None = None,
        method: str = "",
    ) -> SentExchange:
        """Send a request for an operation of the document. Raises OutOfBudget."""
        documented = self.spec.operations[operation]
        path = documented.path.replace("{video_id}", job) + (f"?{query}" if query else "")
        return self.send(
            method or documented.method, path, body, operation=operation, job=job, purpose=purpose, expected=expected,
            key=key, note=note, headers=headers,
        )  # fmt: skip

    def send(
        self,
        method: str,
        path: str,
        body: Body | None = None,
        *,
        operation: str = "",
        job: str = "",
        purpose: str = USUAL,
        expected: str = "",
        key: str = "ours",
        note: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> SentExchange:
        """Send any request. Raises OutOfBudget."""
        creates = operation == "createVideo" and method == "POST"
        self.budget.take(creates=creates)
        sent_headers = {"Accept": "*/*", **self.keys.headers(key), **(headers or {})}
        if body is not None and body.content_type is not None:
            sent_headers["Content-Type"] = body.content_type
        is_content = operation == "retrieveVideoContent" or purpose == "video-url"
        max_bytes = MAX_CONTENT_BYTES if is_content else MAX_JSON_BYTES
        request = _Request(method, path, body.data if body else None, sent_headers, max_bytes)
        received, duration_s = self._charged(request, creates=creates)
        exchange = SentExchange(
            number=len(self.exchanges) + 1,
            operation=operation,
            method=method,
            path=path,
            headers=sent_headers,
            body=body,
            purpose=purpose,
            expected=expected,
            key=key,
            job=job,
            at=self.pace.now(),
            time=time.time(),
            duration_s=duration_s,
            status=received.status,
            answer_headers=received.headers,
            data=self._bodies.setdefault(received.data, received.data),
            trouble=received.trouble,
            note=note,
        )
        self.exchanges.append(exchange)
        return exchange

    def fetch(self, url: str, *, purpose: str) -> SentExchange | None:
        """Get a URL from a response, with the key only at the server's origin; None for a URL of another kind."""
        parts = urlsplit(urljoin(self.root, url))
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return None
        origin = f"{parts.scheme}://{parts.netloc}"
        is_ours = (parts.scheme, parts.netloc) == urlsplit(self.root)[:2]
        other = RecordingClient(origin, self.keys, self.spec, self.pace, self.budget)
        other.root = origin
        other.exchanges, other._bodies = self.exchanges, self._bodies
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            return other.send(
                "GET", path, purpose=purpose, key="ours" if is_ours else "", note="" if is_ours else "elsewhere"
            )
        finally:
            other.close()

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _charged(self, request: _Request, *, creates: bool) -> tuple[_Received, float]:
        """Send a request and charge the budget; return the response and the seconds. Raises OutOfBudget."""
        begun, received = time.perf_counter(), _NOTHING
        try:
            received = self._exchange(request)
        finally:
            # An interrupted create may have made a job, too.
            if creates:
                self.budget.note(received.status)
        duration_s = time.perf_counter() - begun
        self.budget.receive(len(received.data), duration_s if received.trouble else 0.0)
        if received.trouble and self.budget.left <= TIMER_TOLERANCE_S:
            # We cut it off ourselves, so it is not the server's fault.
            raise OutOfBudget(f"--max-seconds {self.budget.seconds:g} are over")
        return received, duration_s

    def _exchange(self, request: _Request) -> _Received:
        # The server may have closed a kept connection meanwhile; only a request without effects may be sent twice.
        kept = self._connection if request.method in ("GET", "HEAD") else None
        patience_s = patience_of(self.budget)
        with Deadline(patience_s) as deadline:
            if kept is not None:
                with suppress(OSError, http.client.HTTPException, ValueError):
                    return self._receive(kept, request, deadline)
            self.close()
            self._connection = self._connected(patience_s)
            try:
                return self._receive(self._connection, request, deadline)
            except (OSError, http.client.HTTPException, ValueError) as problem:
                self.close()
                trouble = truncate(f"{type(problem).__name__}: {problem}".removesuffix(": "), MAX_TROUBLE)
                if deadline.over:
                    trouble = f"no answer after {patience_s:.3g} s"
                return _Received(0, {}, b"", trouble)

    def _receive(self, connection: http.client.HTTPConnection, request: _Request, deadline: Deadline) -> _Received:
        if connection.sock is None:
            connection.connect()
        deadline.watch(connection.sock)
        connection.request(request.method, urlsplit(self.root).path + request.path, request.body, request.headers)
        response = connection.getresponse()
        headers: dict[str, str] = {}
        for name, value in response.getheaders():
            lower = name.lower()
            headers[lower] = f"{headers[lower]}, {value}" if lower in headers else value
        data, trouble = _read(response, request.max_bytes, deadline)
        # A part of an encoded file cannot be decoded.
        if data and not trouble and response.status != http.HTTPStatus.PARTIAL_CONTENT:
            data, trouble = _decoded(data, headers.get("content-encoding", ""), request.max_bytes)
        # Until then the connection is not free for the next request.
        response.close()
        if trouble:
            self.close()
        return _Received(response.status, headers, data, trouble)

    def _connected(self, patience_s: float) -> http.client.HTTPConnection:
        parts = urlsplit(self.root)
        host, port = parts.hostname or "", parts.port
        if parts.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=patience_s, context=ssl.create_default_context())
        return http.client.HTTPConnection(host, port, timeout=patience_s)


class OpenConnections:
    """The connections that pools of urllib3 open, so that a request in another thread can be cut off."""

    def __init__(self) -> None:
        self._opened: list[Any] = []
        self._are_shut = False

    @contextmanager
    def noted(self, *pools: Any) -> Iterator[None]:
        """Note each connection that these classes of pools open within the block."""
        usual = {pool: pool.ConnectionCls for pool in pools}
        for pool, connection_class in usual.items():
            pool.ConnectionCls = self._noting(connection_class)
        try:
            yield
        finally:
            for pool, connection_class in usual.items():
                pool.ConnectionCls = connection_class

    def _noting(self, connection_class: Any) -> Any:
        def connect(connection: Any) -> None:
            connection_class.connect(connection)
            self._opened.append(connection)
            if self._are_shut:
                self.shut()

        return type(connection_class.__name__, (connection_class,), {"connect": connect})

    def shut(self) -> None:
        """Shut them all, and those that are opened later; the requests that wait for an answer end at once."""
        self._are_shut = True
        for connection in self._opened:
            with suppress(OSError, AttributeError):  # one that is closed has no socket
                connection.sock.shutdown(socket.SHUT_RDWR)


def limited(stream: Callable[..., Iterator[bytes]], error: type[Exception]) -> Callable[..., Iterator[bytes]]:
    """Return a stream of a body that fails with an error when the body has too many bytes."""

    def pieces(*arguments: Any, **keywords: Any) -> Iterator[bytes]:
        size = 0
        for chunk in stream(*arguments, **keywords):
            size += len(chunk)
            if size > MAX_CONTENT_BYTES:
                raise error(f"the answer has more than {MAX_CONTENT_BYTES} bytes")
            yield chunk

    return pieces


def shut(raw: Any) -> None:
    """Shut the connection of a response of urllib3."""
    # A body that was read completely, or that cannot be shut, needs nothing.
    with suppress(OSError, RuntimeError, ValueError, AttributeError):
        raw.shutdown()


def patience_of(budget: Budget) -> float:
    """Return the seconds that the next exchange may take."""
    return max(min(PATIENCE_S, budget.left, budget.patience_s), 0.001)


def _read(response: http.client.HTTPResponse, max_bytes: int, deadline: Deadline) -> tuple[bytes, str]:
    """Return the body of a response, as much as arrives, and what is wrong with it."""
    chunks, size = [], 0
    try:
        while size <= max_bytes and (chunk := response.read1(_CHUNK_BYTES)):
            chunks.append(chunk)
            size += len(chunk)
        short = bool(response.length)
    except (OSError, http.client.HTTPException, ValueError):
        short = True
    data = b"".join(chunks)
    if size > max_bytes:
        return data[:MAX_KEPT_BYTES], f"the answer has more than {max_bytes} bytes"
    if deadline.over:
        return data, f"the answer had not ended in time, after {size} bytes"
    return data, f"the answer ended after {size} bytes" if short else ""


def _decoded(data: bytes, content_encoding: str, max_bytes: int) -> tuple[bytes, str]:
    """Return a body without its Content-Encoding, and what is wrong with it."""
    decoded = decode(data, content_encoding, max_bytes)
    if decoded is None:
        encoding = truncate(content_encoding, MAX_SHOWN_NAME)
        return b"", f"its {len(data)} bytes cannot be decoded by its Content-Encoding, {encoding!r}"
    return decoded, ""


def root_of(url: str) -> str:
    """Return the root of a server from its root or base URL. Raises SettingsError."""
    expected = "expected the root or base URL of a server, e.g. http://127.0.0.1:8360/v1"
    if not (url.isascii() and url.isprintable()) or " " in url:
        raise SettingsError(f"the URL has a blank, a line break or another invalid character; {expected}")
    try:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_valid = False
    # A world has an @ in its path. In an invalid URL any @ may be the end of a password.
    if "@" in (parts.netloc if is_valid else url):
        raise SettingsError(f"the URL has a user, or a password, before an @; {expected}, and the key in COMETAPI_KEY")
    if not is_valid or parts.query or parts.fragment:
        raise SettingsError(f"the URL is {url!r}; {expected}")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/v1')}"


def multipart(fields: Mapping[str, str], files: Sequence[UploadFile] = (), *, dice: random.Random) -> Body:
    """Return a form as multipart/form-data. Source: RFC 7578."""
    boundary = f"{dice.getrandbits(96):024x}"
    chunks = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    for file in files:
        disposition = f'form-data; name="{file.name}"; filename="{file.filename}"'
        head = f"--{boundary}\r\nContent-Disposition: {disposition}\r\nContent-Type: {file.content_type}\r\n\r\n"
        chunks.append(head.encode() + file.data + b"\r\n")
    words = [f"--form-string {name}={value}" for name, value in fields.items()]
    words += [f"-F {file.name}=@{file.filename};type={file.content_type}" for file in files]
    return Body(
        f"multipart/form-data; boundary={boundary}",
        b"".join(chunks) + f"--{boundary}--\r\n".encode(),
        tuple(fields.items()),
        tuple(files),
        tuple(words),
    )


def urlencoded(fields: Mapping[str, str]) -> Body:
    """Return a form as application/x-www-form-urlencoded."""
    words = tuple(f"--data-urlencode {name}={value}" for name, value in fields.items())
    return Body("application/x-www-form-urlencoded", urlencode(fields).encode(), tuple(fields.items()), curl=words)
