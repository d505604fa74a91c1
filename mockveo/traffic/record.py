"""The record of an exchange, slim since every request makes one."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple, cast

from mockveo.http.encodings import decode
from mockveo.http.parts import Part
from mockveo.text import counted, printable
from mockveo.traffic.exchange import ExchangeJson, FileJson, ResponseJson
from mockveo.traffic.redaction import (
    Redactor,
    fingerprint,
    is_secret,
    redact_field,
    redact_headers,
    redact_key,
    redact_query,
    redactor,
)
from mockveo.yamlfiles import parse_json

#: Seconds from which on a line shows how long an exchange took; shorter ones are the usual.
SHOWN_DURATION_S: Final = 0.1
#: What a record takes besides the bytes of its request and response. Measured: 900 for a poll, 2000 for a create.
RECORD_BYTES: Final = 1000
#: Bytes of headers whose credentials are remembered. Arbitrary: those of programs fit.
MAX_CACHED_HEAD_BYTES: Final = 1000


class Deviation(NamedTuple):
    """A departure of a request from the documented page. `code` is stable, `message` is for people."""

    code: str
    message: str


class ExchangeRecord:
    """One request and its response. The defaults below hold until the exchange has come that far."""

    # Defaults are class attributes, so that making a record costs a request no more than it must.
    number = 0
    #: The world it was in, and when it was answered, in seconds of that world's clock.
    world = ""
    at = 0.0
    #: Whether it came to the other origin, which redirects and URLs lead to.
    other_origin = False
    duration = 0.0
    operation = ""
    owner = ""
    parts: Sequence[Part] = ()
    #: Images of a create, as files or as text.
    image_count = 0
    body_size = 0
    #: The request's body as it came, if it was short and came in one piece, else its SHA-256.
    body: bytes | None = None
    body_digest = b""
    #: Bytes of the request that are kept.
    kept = 0
    deviations: Sequence[Deviation] = ()
    #: Whether the client went away while a fault kept it waiting.
    client_left = False
    #: Of the response; 0 without one: the client went away before it, or a fault took its place.
    status = 0
    response_bytes = 0
    response_headers: Sequence[tuple[bytes, bytes]] = ()
    #: The response's body; None if it was too long to keep, as videos are, which leaves its SHA-256.
    response_body: bytes | None = None
    response_digest = b""
    #: Whether a body that is not kept is in another encoding than its Content-Encoding names.
    undecodable = False
    #: The scenario that was chosen for the exchange, and what its faults did.
    scenario = ""
    faults: Sequence[str] = ()
    #: The name of the error in the document, or empty.
    error = ""
    #: A hint about the error, for the log alone.
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
        # Joined, since a journal of many small objects costs more time than the joining.
        self._headers = b"\n".join([part for header in headers for part in header])
        self.kept = RECORD_BYTES + len(self._headers) + len(path) + len(query)

    def forget_body(self) -> None:
        """Drop the request's body and keep its size and hash."""
        if self.body is not None:
            self.kept -= len(self.body)
            self.body_digest, self.body = hashlib.sha256(self.body).digest(), None

    @property
    def body_sha256(self) -> str | None:
        """Return the SHA-256 of the request's body as it came, in hex; None without a body."""
        if not self.body_size:
            return None
        return (self.body_digest if self.body is None else hashlib.sha256(self.body).digest()).hex()

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Return the request's headers as they came, credentials included."""
        return _split(self._headers)

    @property
    def _redactor(self) -> Redactor:
        fields = [(part.name, part.value) for part in self.parts if part.filename is None]
        if b"=" in self.query or any(is_secret(name) for name, _ in fields):
            return redactor(self.headers, self.query, fields)
        return (
            _usual_redactor(self._headers)
            if len(self._headers) < MAX_CACHED_HEAD_BYTES
            else redactor(self.headers, b"")
        )

    @property
    def redacted_headers(self) -> list[tuple[str, str]]:
        """Return the request's headers, each credential replaced by its fingerprint."""
        return redact_headers(self.headers)

    @property
    def redacted_query(self) -> str:
        """Return the query string without credentials."""
        return redact_key(redact_query(self.query.decode("latin-1")), self.owner)

    @property
    def redacted_response_headers(self) -> list[tuple[str, str]]:
        """Return the response's headers, without the ticket that a Location may carry."""
        return redact_headers(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in self.response_headers
        )

    def redacted(self, text: str) -> str:
        """Return a text without the credentials of the request."""
        return str(self._redactor.redact(text))

    def to_line(self) -> str:
        """Return the exchange in one short line, and a further line for each deviation."""
        status = str(self.status or ("lost" if self.faults and not self.client_left else "gone"))
        target = self._target()
        line = f"{_clock(int(self.started))} {self.method} {target} {status} {self._outcome()}".rstrip()
        if self.faults:
            line += f" [{self.scenario}: {', '.join(self.faults)}]"
        if self.duration >= SHOWN_DURATION_S:
            line += f" ({self.duration:.1f} s)"
        line += "".join(f"\n         ! {printable(note, single_line=True)}" for note in self.notes)
        return self.redacted(line)

    @property
    def notes(self) -> list[str]:
        """Return what is to say of the request, for people."""
        notes = [deviation.message for deviation in self.deviations]
        return [*notes, self.hint] if self.hint else notes

    def _target(self) -> str:
        query = f"?{self.redacted_query}" if self.query else ""
        world = f"/@{self.world}" if self.world else ""
        origin = "(other origin) " if self.other_origin else ""
        path = redact_key(self.path, self.owner)
        return printable(f"{origin}{world}{path}{query}", single_line=True)

    def _outcome(self) -> str:
        words = [self.error or self.state]
        if self.progress is not None and not self.error:
            words.append(f"{self.progress} %")
        if self.operation == "createVideo" and self.job_id:
            images = counted(self.image_count, "image")
            words.append(f"{self.job_id}, {images}" if self.image_count else self.job_id)
        return " ".join(words)

    def to_json(self) -> ExchangeJson:
        """Return the JSON form, which `control.yaml` describes, without keys."""
        headers = self.redacted_headers
        exchange: ExchangeJson = {
            "number": self.number,
            "line": self.to_line(),
            "time": round(self.started, 6),
            "at": round(self.at, 6),
            "world": self.world,
            "elsewhere": self.other_origin,
            "operation": self.operation or None,
            "key": fingerprint(self.owner) if self.owner else None,
            "key_sent": any(name.lower() == "authorization" for name, _ in headers),
            "client_left": self.client_left,
            "request": {
                "method": self.method,
                "path": redact_key(self.path, self.owner),
                "query": self.redacted_query,
                "headers": headers,
                "fields": [
                    {"name": part.name, "value": redact_field(part.name, part.value)}
                    for part in self.parts
                    if not part.is_file
                ],
                "files": [_file(part) for part in self.parts if part.is_file],
                "body_bytes": self.body_size,
                "body_sha256": self.body_sha256,
            },
            "response": self._response() if self.status else None,
            "error": self.error or None,
            "hint": self.hint or None,
            "duration_ms": round(self.duration * 1000, 3),
            "job": self.job_id or None,
            "job_status": self.state or None,
            "job_progress": self.progress,
            "scenario": self.scenario or None,
            "faults": list(self.faults),
            "deviations": [{"code": deviation.code, "message": deviation.message} for deviation in self.deviations],
        }
        return cast(ExchangeJson, self._redactor.redact(exchange))

    def _response(self) -> ResponseJson:
        digest, body, undecodable = self.response_digest, self.response_body, self.undecodable
        decoded: bytes | None = b""
        if body is not None:
            decoded = decode(body, self.content_encoding)
            undecodable = decoded is None
            digest = hashlib.sha256(body if decoded is None else decoded).digest()
        response: ResponseJson = {
            "status": self.status,
            "headers": self.redacted_response_headers,
            "body": _readable(decoded or b""),
            "body_bytes": self.response_bytes,
            "body_sha256": digest.hex(),
        }
        if undecodable:
            response["undecodable"] = True
        return response

    @property
    def content_encoding(self) -> str:
        """Return the Content-Encoding of the response, or ""."""
        values = [value for name, value in self.response_headers if name.lower() == b"content-encoding"]
        return b", ".join(values).decode("latin-1")


@lru_cache(maxsize=256)  # a client sends the same headers with each poll
def _usual_redactor(headers: bytes) -> Redactor:
    return redactor(_split(headers), b"")


def _split(headers: bytes) -> list[tuple[str, str]]:
    parts = headers.decode("latin-1").split("\n")
    return list(zip(parts[::2], parts[1::2], strict=True)) if headers else []


def _file(part: Part) -> FileJson:
    return {
        "name": part.name,
        "filename": part.filename,
        "content_type": part.content_type,
        "bytes": part.size,
        "sha256": part.sha256,
    }


def _readable(body: bytes) -> Any:
    """Return a body as JSON, else as text; None for other bytes or an empty body."""
    try:
        text = body.decode()
    except ValueError:
        return None
    try:
        return parse_json(body) if text else None
    except ValueError:
        return text


@lru_cache(maxsize=2)  # the latest second; local time is slow to compute
def _clock(second: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(second))
