"""Exchanges with a server under test, and what is known of the conversation they are part of: what the checks read.

Plain data and pure functions: nothing here sends, waits, or knows a clock.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any, Final, NamedTuple

from mockveo.http.statuses import RETRYABLE
from mockveo.rules.engine import Breach
from mockveo.spec.errors import ErrorBody
from mockveo.spec.spec import Spec
from mockveo.text import truncate
from mockveo.traffic.redaction import redact_headers, redact_query

#: Bytes of an answer that reports show.
SHOWN: Final = 2000
#: Characters of a path in a line; arbitrary.
MAX_PATH: Final = 100
#: Levels of JSON that are read.
MOST_DEEP: Final = 64
#: What a request is for where nothing unusual is expected of its answer.
USUAL: Final = "usual"


class UploadFile(NamedTuple):
    """A file of a form."""

    name: str
    filename: str
    content_type: str
    data: bytes

    @property
    def sha256(self) -> str:
        """Of its bytes, in hex."""
        return sha256(self.data).hexdigest()


class Body(NamedTuple):
    """The body of a request. `curl` are the words by which curl sends it, where curl can."""

    content_type: str | None
    data: bytes
    fields: tuple[tuple[str, str], ...] = ()
    files: tuple[UploadFile, ...] = ()
    curl: tuple[str, ...] = ()


@dataclass(frozen=True)
class SentExchange:
    """One request and its answer; `status` is 0 where there was none, and `trouble` says why."""

    number: int
    #: Of the document; empty for what is none.
    operation: str
    method: str
    #: Below the server's root, query included.
    path: str
    #: The headers that were sent, the key included.
    headers: Mapping[str, str] = field(repr=False)
    body: Body | None = field(repr=False)
    #: USUAL, or the rule that this request is about.
    purpose: str
    #: The error of the document that is expected, by its name; empty where success is.
    expected: str
    #: Whose key it carries: ours, other, or none that is good.
    key: str
    #: The job that is asked for.
    job: str
    #: Seconds on the run's clock, and Unix seconds, when it was answered.
    at: float
    time: float
    took: float
    status: int
    answer_headers: Mapping[str, str] = field(repr=False)
    data: bytes = field(repr=False)
    trouble: str = ""
    #: What is odd about the request, for people, e.g. "no key".
    note: str = ""

    @cached_property
    def json(self) -> Any:
        """The answer as JSON; None where it is none."""
        try:
            found = json.loads(self.data)
        except (ValueError, RecursionError):
            return None
        return found if _depth_fits(found) else None

    @property
    def answer(self) -> Mapping[str, Any]:
        """The answer as an object; empty where it is none."""
        return self.json if isinstance(self.json, dict) else {}

    @property
    def media_type(self) -> str:
        """The answer's media type, without parameters."""
        return self.answer_headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def succeeded(self) -> bool:
        """Whether it was answered with 2xx."""
        return 200 <= self.status < 300

    @property
    def error_code(self) -> str:
        """The code of the error in the answer, from either envelope."""
        return ErrorBody.parse(self.answer).code

    @property
    def made(self) -> str:
        """The id of the job that a create made; empty where it made none, or did not say."""
        found = self.answer.get("id") if self.operation == "createVideo" and self.succeeded else None
        return found if isinstance(found, str) else ""

    @property
    def tells_of(self) -> str:
        """The id of the job of ours that an answer to a create or a poll tells of."""
        if self.key != "ours":
            return ""
        told = self.succeeded and self.operation == "retrieveVideo" and self.answer
        return self.made or (self.job if told else "")

    @property
    def state(self) -> str:
        """The status of the job in the answer; empty where it is not text."""
        found = self.answer.get("status") if self.tells_of else None
        return found if isinstance(found, str) else ""

    @property
    def progress(self) -> int | None:
        """The progress in the answer; None where it is no whole number."""
        found = self.answer.get("progress") if self.tells_of else None
        return found if isinstance(found, int) and not isinstance(found, bool) else None

    @property
    def template(self) -> str:
        """The path with {id} in the place of the job's."""
        return self.path.replace(f"/{self.job}", "/{id}") if self.job else self.path

    @property
    def line_sent(self) -> str:
        """The request in a line, without what follows from an answer."""
        path = self.template
        key = "" if self.key == "ours" or self.note else f" ({self.key or 'no'} key)"
        note = f" ({self.note})" if self.note else ""
        images = len(self.body.files) if self.body else 0
        files = f", {images} image{'s' if images > 1 else ''}" if images else ""
        return f"{self.method} {redact_query(path)}{files}{key}{note}"

    @property
    def line(self) -> str:
        """It in a line."""
        what = self.state if self.tells_of else self.error_code or self.media_type or "no Content-Type"
        if self.progress is not None:
            what += f" {self.progress} %"
        if self.made:
            what += f" {self.made}"
        elif self.succeeded and not self.tells_of:
            what += f", {len(self.data)} bytes"
        path = truncate(redact_query(self.path), MAX_PATH)
        note = f" ({self.note})" if self.note else ""
        files = (
            f", {len(self.body.files)} image{'s' * (len(self.body.files) > 1)}" if self.body and self.body.files else ""
        )
        answer = f"{self.status} {what}" if self.status else f"no answer: {self.trouble}"
        return f"{self.method} {path}{files}{note} {answer}"

    def to_json(self) -> dict[str, Any]:
        """It as reports write it, the key hidden."""
        body = self.body
        return {
            "number": self.number,
            "line": self.line,
            "time": round(self.time, 6),
            "at": round(self.at, 6),
            "operation": self.operation or None,
            "purpose": self.purpose,
            "expected": self.expected or None,
            "job": self.job or self.made or None,
            "request": {
                "method": self.method,
                "path": self.path.partition("?")[0],
                "query": redact_query(self.path.partition("?")[2]),
                "headers": redact_headers(self.headers.items()),
                "fields": [{"name": name, "value": value[:SHOWN]} for name, value in (body.fields if body else ())],
                "files": [
                    {
                        "name": one.name,
                        "filename": one.filename,
                        "content_type": one.content_type,
                        "bytes": len(one.data),
                        "sha256": one.sha256,
                    }
                    for one in (body.files if body else ())
                ],
                "body_bytes": len(body.data) if body else 0,
            },
            "response": {
                "status": self.status,
                "headers": redact_headers(self.answer_headers.items()),
                "body": self._shown_body(),
                "body_bytes": len(self.data),
                "body_sha256": sha256(self.data).hexdigest(),
            }
            if self.status
            else None,
            "trouble": self.trouble or None,
            "duration_ms": round(self.took * 1000, 3),
        }

    def _shown_body(self) -> Any:
        if self.json is not None and len(self.data) <= SHOWN:
            return self.json
        try:
            return self.data[:SHOWN].decode() if self.data else None
        except ValueError:  # bytes
            return None


def _depth_fits(data: Any) -> bool:
    """Whether data is nested no deeper than reports can carry; what is deeper is no answer of an API."""
    level = [data]
    for _ in range(MOST_DEEP):
        level = [
            one
            for outer in level
            if isinstance(outer, dict | list)
            for one in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return not level


@dataclass(frozen=True)
class Conversation:
    """The exchanges of one probe, in order, and what is known beside them."""

    exchanges: Sequence[SentExchange]
    spec: Spec
    #: Ids that the server gave to other probes.
    earlier: frozenset[str] = frozenset()
    #: Jobs that were followed and did not end -> the seconds they were given.
    unended: Mapping[str, float] = field(default_factory=dict)
    #: Jobs -> the SHA-256 of the images that arrived with them, in order, where somebody can tell.
    arrived: Mapping[str, Sequence[str]] = field(default_factory=dict)
    #: Rules -> their breaches in generated requests, as the generator found them.
    generated: Mapping[str, list[Breach]] = field(default_factory=dict)

    @cached_property
    def settled(self) -> list[SentExchange]:
        """The exchanges but for those that met trouble which a later try at the same did not."""

        def same(one: SentExchange) -> Any:
            return one.method, one.path, one.key, one.purpose, id(one.body)

        last = {
            same(one): one.number for one in self.exchanges if one.status not in (0, *RETRYABLE) and not one.trouble
        }
        troubled = (
            one
            for one in self.exchanges
            if (one.status in (0, *RETRYABLE) or one.trouble) and last.get(same(one), 0) > one.number
        )
        passed = {one.number for one in troubled}
        return [one for one in self.exchanges if one.number not in passed]

    def of(self, *operations: str) -> list[SentExchange]:
        """The answered exchanges of these operations."""
        return [one for one in self.settled if one.operation in operations and one.status]

    def about(self, purpose: str) -> list[SentExchange]:
        """The answered exchanges that are about a rule."""
        return [one for one in self.settled if one.purpose == purpose and one.status]

    @cached_property
    def courses(self) -> Mapping[str, list[SentExchange]]:
        """Jobs of ours -> the answers that tell of them, in order."""
        found: dict[str, list[SentExchange]] = {}
        for one in self.exchanges:
            if one.tells_of:
                found.setdefault(one.tells_of, []).append(one)
        return found

    @cached_property
    def creates(self) -> Mapping[str, SentExchange]:
        """Jobs of ours -> the create that made them."""
        return {one.made: one for one in reversed(self.exchanges) if one.made and one.tells_of}
