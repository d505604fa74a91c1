"""The recorder: sends requests to a server under test, odd ones too, within the budget, and keeps each exchange."""

from __future__ import annotations

import base64
import http.client
import random
import ssl
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode, urlsplit

from mockveo.control_client import Deadline
from mockveo.errors import SettingsError
from mockveo.spec.spec import Operation, Spec
from mockveo_contracts.servers.budget import Budget, OutOfBudget
from mockveo_contracts.servers.exchanges import USUAL, Body, SentExchange, UploadFile
from mockveo_contracts.servers.pacing import Pace

#: Seconds to wait for an answer.
PATIENCE: Final = 60.0
#: Headers that a command does without, or has another way: those of curl itself, and those of schemathesis.
OWN_HEADERS: Final = frozenset(
    {"accept", "accept-encoding", "authorization", "connection", "content-length", "content-type", "user-agent"}
    | {"x-schemathesis-testcaseid"}
)
#: Bytes of an answer that are read: of content, where a clip of 8 s in 4K has some 50 MB, and of everything else.
MOST: Final = 128 * 2**20
MOST_JSON: Final = 4 * 2**20
#: Seconds by which a timeout may come before the time is over that it was made of.
SHORTLY: Final = 0.05
#: Bytes that are read at a time.
_PIECE: Final = 2**18


@dataclass(frozen=True)
class Keys:
    """The keys of a run. `bad` is none that a server can know."""

    ours: str = field(repr=False)
    #: Of another customer, where there is one.
    other: str | None = field(repr=False)
    bad: str = field(repr=False)

    def headers(self, whose: str) -> dict[str, str]:
        """The header that carries a key: ours, other, bad, or as another scheme: basic, raw; empty for none."""
        basic = base64.b64encode(f":{self.ours}".encode()).decode()
        values = {
            "ours": f"Bearer {self.ours}",
            "other": f"Bearer {self.other or self.bad}",
            "bad": f"Bearer {self.bad}",
            "basic": f"Basic {basic}",
            "raw": self.ours,
        }
        return {"Authorization": values[whose]} if whose in values else {}


class RecordingClient:
    """A connection to a server that keeps what it exchanges. `url` is the server's root or its base URL."""

    def __init__(self, url: str, keys: Keys, spec: Spec, pace: Pace, budget: Budget) -> None:
        self.root = root_of(url)
        self.keys = keys
        self.spec = spec
        self.pace = pace
        self.budget = budget
        #: All exchanges so far.
        self.exchanges: list[SentExchange] = []
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
        """Sends a request for an operation of the document."""
        known: Operation = self.spec.operations[operation]
        path = known.path.replace("{video_id}", job) + (f"?{query}" if query else "")
        method = method or known.method
        told = {"operation": operation, "job": job, "purpose": purpose, "expected": expected, "key": key, "note": note}
        return self.send(method, path, body, headers=headers, **told)

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
        """Sends any request. Raises OutOfBudget."""
        creates = operation == "createVideo" and method == "POST"
        self.budget.take(creates=creates)
        sent = {"Accept": "*/*", **self.keys.headers(key), **(headers or {})}
        if body is not None and body.content_type is not None:
            sent["Content-Type"] = body.content_type
        begun = time.perf_counter()
        most = MOST if operation == "retrieveVideoContent" or not operation else MOST_JSON
        status, answered, data, trouble = self._exchange(method, path, body.data if body else None, sent, most)
        if creates:
            self.budget.note(status)
        if trouble and self.budget.left <= SHORTLY:
            # It was cut off by us, so the server is not to blame.
            raise OutOfBudget(f"--max-seconds {self.budget.seconds:g} are over")
        exchange = SentExchange(
            number=len(self.exchanges) + 1,
            operation=operation,
            method=method,
            path=path,
            headers=sent,
            body=body,
            purpose=purpose,
            expected=expected,
            key=key,
            job=job,
            at=self.pace.now(),
            time=time.time(),
            took=time.perf_counter() - begun,
            status=status,
            answer_headers=answered,
            data=data,
            trouble=trouble,
            note=note,
        )
        self.exchanges.append(exchange)
        return exchange

    def fetch(self, url: str, *, purpose: str) -> SentExchange | None:
        """Gets a URL that the server gave, without the key; None where it is none that can be got."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return None
        elsewhere = RecordingClient(f"{parts.scheme}://{parts.netloc}", self.keys, self.spec, self.pace, self.budget)
        elsewhere.root = f"{parts.scheme}://{parts.netloc}"
        elsewhere.exchanges = self.exchanges
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            return elsewhere.send("GET", path, purpose=purpose, key="", note="elsewhere")
        finally:
            elsewhere.close()

    def close(self) -> None:
        """Ends the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], most: int
    ) -> tuple[int, dict[str, str], bytes, str]:
        # A kept connection may have been closed meanwhile; only what changes nothing is sent a second time.
        kept = self._connection if method in ("GET", "HEAD") else None
        patience = patience_of(self.budget)
        with Deadline(patience) as deadline:
            for connection in [kept] if kept else []:
                with suppress(OSError, http.client.HTTPException, ValueError):
                    return self._answer(connection, (method, path, body, headers), most, deadline)
            self.close()
            self._connection = self._connected(patience)
            try:
                return self._answer(self._connection, (method, path, body, headers), most, deadline)
            except (OSError, http.client.HTTPException, ValueError) as problem:
                self.close()
                told = f"{type(problem).__name__}: {problem}".removesuffix(": ")
                return 0, {}, b"", f"no answer after {patience:.3g} s" if deadline.over else told

    def _answer(
        self,
        connection: http.client.HTTPConnection,
        request: tuple[str, str, bytes | None, Mapping[str, str]],
        most: int,
        deadline: Deadline,
    ) -> tuple[int, dict[str, str], bytes, str]:
        if connection.sock is None:
            connection.connect()
        deadline.watch(connection.sock)
        method, path, body, headers = request
        connection.request(method, urlsplit(self.root).path + path, body, dict(headers))
        answer = connection.getresponse()
        found: dict[str, str] = {}
        for name, value in answer.getheaders():
            name = name.lower()  # noqa: PLW2901 - names of headers have no case
            found[name] = f"{found[name]}, {value}" if name in found else value
        data, trouble = _read(answer, most, deadline)
        # The connection is free again only then.
        answer.close()
        if trouble:
            self.close()
        return answer.status, found, data, trouble

    def _connected(self, patience: float) -> http.client.HTTPConnection:
        parts = urlsplit(self.root)
        host, port = parts.hostname or "", parts.port
        if parts.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=patience, context=ssl.create_default_context())
        return http.client.HTTPConnection(host, port, timeout=patience)


def patience_of(budget: Budget) -> float:
    """Seconds that the next exchange may take."""
    return max(min(PATIENCE, budget.left), 0.001)


def _read(answer: http.client.HTTPResponse, most: int, deadline: Deadline) -> tuple[bytes, str]:
    """The body of an answer, as much of it as comes, and what is wrong with that."""
    pieces, size = [], 0
    try:
        while size <= most and (piece := answer.read1(_PIECE)):
            pieces.append(piece)
            size += len(piece)
        short = bool(answer.length)
    except (OSError, http.client.HTTPException, ValueError):
        short = True
    if size > most:
        return b"".join(pieces)[:most], f"the answer has more than {most} bytes"
    if deadline.over:
        return b"".join(pieces), f"the answer had not ended in time, after {size} bytes"
    return b"".join(pieces), f"the answer ended after {size} bytes" if short else ""


def root_of(url: str) -> str:
    """The root of a server, from that or from its base URL. Raises SettingsError."""
    wanted = "wanted the root or base URL of a server, e.g. http://127.0.0.1:8360/v1"
    if not (url.isascii() and url.isprintable()) or " " in url:
        raise SettingsError(f"the URL has a blank, a line break or another character that no URL has; {wanted}")
    try:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    # A world has an @ in its path. Where a URL is not understood, any @ may be what a password ends with.
    if "@" in (parts.netloc if fits else url):
        raise SettingsError(f"the URL has a user, or a password, before an @; {wanted}, and the key in COMETAPI_KEY")
    if not fits or parts.query or parts.fragment:
        raise SettingsError(f"the URL is {url!r}; {wanted}")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/v1')}"


def multipart(fields: Mapping[str, str], files: Sequence[UploadFile] = (), *, dice: random.Random) -> Body:
    """A form as multipart/form-data. Source: RFC 7578."""
    boundary = f"{dice.getrandbits(96):024x}"
    chunks = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    for one in files:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{one.name}"; filename="{one.filename}"\r\n'
        chunks.append(f"{head}Content-Type: {one.content_type}\r\n\r\n".encode() + one.data + b"\r\n")
    words = [f"--form-string {name}={value}" for name, value in fields.items()]
    words += [f"-F {one.name}=@{one.filename};type={one.content_type}" for one in files]
    return Body(
        f"multipart/form-data; boundary={boundary}",
        b"".join(chunks) + f"--{boundary}--\r\n".encode(),
        tuple(fields.items()),
        tuple(files),
        tuple(words),
    )


def urlencoded(fields: Mapping[str, str]) -> Body:
    """A form as application/x-www-form-urlencoded."""
    words = tuple(f"--data-urlencode {name}={value}" for name, value in fields.items())
    return Body("application/x-www-form-urlencoded", urlencode(fields).encode(), tuple(fields.items()), curl=words)


def curl_lines(root: str, exchanges: Iterable[SentExchange]) -> list[str]:
    """The commands that repeat exchanges. The id of a job goes on from its create as $ID, $ID2 and so on."""
    names: dict[str, str] = {}
    lines, before = [], None
    for one in exchanges:
        if before is not None and one.at - before >= 1:
            lines.append(f"# {one.at - before:.0f} s later")
        lines.append(_curl(root, one, names))
        before = one.at
    return lines


def _curl(root: str, one: SentExchange, names: dict[str, str]) -> str:
    path = one.template.replace("{id}", names[one.job]) if one.job in names else one.path
    words = ["curl -sS"]
    if one.method == "HEAD":
        words.append("-I")
    elif one.method != ("POST" if one.body else "GET"):
        words.append(f"-X {one.method}")
    words.append(f'"{root}{path}"')
    carried = one.headers.get("Authorization", "")
    key = {"ours": "$COMETAPI_KEY", "other": "$OTHER_KEY", "bad": "sk-no-such-key"}.get(one.key)
    if key:
        words.append(f'-H "Authorization: Bearer {key}"')
    elif one.key == "basic":
        words.append('-u ":$COMETAPI_KEY"')
    elif carried:
        words.append('-H "Authorization: $COMETAPI_KEY"')
    words += [f'-H "{name}: {value}"' for name, value in one.headers.items() if name.lower() not in OWN_HEADERS]
    words += _body_words(one.body)
    line = " ".join(words)
    if one.made:
        names[one.made] = f"$ID{len(names) + 1 if names else ''}"
        line = f"{names[one.made][1:]}=$({line} | jq -r .id)"
    return line


def _body_words(body: Body | None) -> list[str]:
    if body is None:
        return []
    if body.curl:
        return [_quoted(word) for word in body.curl]
    words = [f"-H 'Content-Type: {body.content_type}'"] if body.content_type else ["-H 'Content-Type:'"]
    text = body.data.decode("utf-8", "backslashreplace")
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\r", "\\r").replace("\n", "\\n")
    return [*words, f"--data-binary $'{escaped[:1000]}'"]


def _quoted(word: str) -> str:
    flag, _, value = word.partition(" ")
    plain = value.replace("'", "'\\''")
    return f"{flag} '{plain}'"
