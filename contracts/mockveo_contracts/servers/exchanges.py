"""Exchanges with a server under test, and the conversation that the rules for servers read.

Plain data and pure functions: nothing here sends, waits, or knows a clock.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any, Final, NamedTuple, Self

from mockveo.http import forms
from mockveo.http.parts import FormError
from mockveo.http.statuses import RETRYABLE
from mockveo.rules.engine import Breach
from mockveo.spec.errors import ErrorBody
from mockveo.spec.job_body import JobBody
from mockveo.spec.spec import Spec
from mockveo.text import truncate
from mockveo.traffic.exchange import Exchange, ExchangeJson, FieldJson, FileJson, RequestJson, ResponseJson
from mockveo.traffic.redaction import redact_headers, redact_query
from mockveo.yamlfiles import parse_foreign_json

#: Bytes of a response, and characters of a field, that reports show. Arbitrary.
MAX_SHOWN: Final = 2000
#: Characters of a path in a line. Arbitrary.
MAX_PATH: Final = 100
#: Characters of what a server says in a line. Arbitrary.
MAX_RESULT: Final = 120
#: Levels of JSON that are read. Arbitrary: deeper data is no response of an API.
MAX_DEPTH: Final = 64
#: The purpose of a request whose response should be ordinary.
USUAL: Final = "usual"


class UploadFile(NamedTuple):
    """A file of a form."""

    name: str
    filename: str
    content_type: str
    data: bytes

    @property
    def sha256(self) -> str:
        """The hash of its bytes, in hex."""
        return sha256(self.data).hexdigest()

    def to_json(self) -> FileJson:
        """Return it as reports write it."""
        return {
            "name": self.name,
            "filename": self.filename,
            "content_type": self.content_type,
            "bytes": len(self.data),
            "sha256": self.sha256,
        }


class Body(NamedTuple):
    """The body of a request; `curl` are the options by which curl sends it, if it can."""

    content_type: str | None
    data: bytes
    fields: tuple[tuple[str, str], ...] = ()
    files: tuple[UploadFile, ...] = ()
    curl: tuple[str, ...] = ()

    def with_fields(self) -> Self:
        """Return it with the fields that its bytes hold; none if it is no form, or a name comes twice."""
        try:
            reader = forms.reader(self.content_type or "")
            reader.feed(self.data)
            parts = reader.finish().parts
        except FormError:
            return self
        fields = [(part.name, part.value) for part in parts if isinstance(part.value, str)]
        return self._replace(fields=tuple(fields)) if len({name for name, _ in fields}) == len(fields) else self


class SentExchangeJson(ExchangeJson):
    """A sent exchange in the common JSON form, with what only the sender knows."""

    purpose: str
    expected: str | None
    trouble: str | None


@dataclass(frozen=True)
class SentExchange:
    """A request that was sent, and its response; `status` is 0 without one, and `trouble` says why."""

    number: int
    #: Of the document; empty for other requests.
    operation: str
    method: str
    #: Below the server's root, query included.
    path: str
    #: The headers that were sent, the key included.
    headers: Mapping[str, str] = field(repr=False)
    body: Body | None = field(repr=False)
    #: USUAL, or the rule that this request is about.
    purpose: str
    #: The expected error of the document, by its name; empty if success is expected.
    expected: str
    #: Whose key it carries: ours, other, or an invalid one.
    key: str
    #: The requested job.
    job: str
    #: Seconds on the run's clock, and Unix seconds, of the response.
    at: float
    time: float
    duration_s: float
    status: int
    #: By lower-case names.
    answer_headers: Mapping[str, str] = field(repr=False)
    data: bytes = field(repr=False)
    trouble: str = ""
    #: What is unusual about the request, for people, e.g. "no key".
    note: str = ""

    @cached_property
    def json(self) -> Any:
        """The response as JSON; None if it is not JSON."""
        try:
            return parse_foreign_json(self.data, depth=MAX_DEPTH)
        except ValueError:
            return None

    @property
    def answer(self) -> Mapping[str, Any]:
        """The response as a JSON object; empty if it is not one."""
        return self.json if isinstance(self.json, dict) else {}

    @property
    def media_type(self) -> str:
        """The media type of the response, without parameters."""
        return self.answer_headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def content_encoding(self) -> str:
        """The Content-Encoding of the response; empty for none, or for identity."""
        encoding = self.answer_headers.get("content-encoding", "").strip().lower()
        return "" if encoding == "identity" else encoding

    @property
    def succeeded(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def failed(self) -> bool:
        """Whether it met trouble that a retry may settle."""
        return self.status in (0, *RETRYABLE) or bool(self.trouble)

    @property
    def error(self) -> ErrorBody:
        """The error in the response, from either envelope."""
        return ErrorBody.parse(self.answer)

    @property
    def error_code(self) -> str:
        """The code of the error in the response."""
        return self.error.code

    @cached_property
    def shown(self) -> JobBody:
        """The job that the response shows; empty if it is not about a job of ours."""
        return JobBody.parse(self.json) if self.shown_job else JobBody()

    @property
    def members(self) -> Mapping[str, Any]:
        """The members of that job, without an outer envelope."""
        return self.shown.members

    @property
    def made(self) -> str:
        """The id of the job that a create made; empty if the response shows none."""
        return JobBody.parse(self.json).id if self.operation == "createVideo" and self.succeeded else ""

    @property
    def shown_job(self) -> str:
        """The id of our job that the response to a create or a poll shows."""
        if self.key != "ours":
            return ""
        is_poll = self.succeeded and self.operation == "retrieveVideo" and bool(self.answer)
        return self.made or (self.job if is_poll else "")

    @property
    def state(self) -> str:
        """The status of the job in the response; empty if it is not text."""
        return self.shown.status

    @property
    def progress(self) -> int | None:
        """The progress in the response; None without one."""
        return self.shown.progress

    @property
    def template(self) -> str:
        """The path with {id} instead of the job's id."""
        return self.path.replace(f"/{self.job}", "/{id}") if self.job else self.path

    @property
    def line_sent(self) -> str:
        """The request in a line, without anything that depends on a response."""
        key = "" if self.key == "ours" or self.note else f" ({self.key or 'no'} key)"
        return f"{self.method} {redact_query(self.template)}{self._images}{key}{self._note}"

    @property
    def line(self) -> str:
        """The exchange in a line."""
        path = truncate(redact_query(self.path), MAX_PATH)
        trouble = f", but {self.trouble}" if self.trouble else ""
        result = truncate(self._result, MAX_RESULT)
        answer = f"{self.status} {result}{trouble}" if self.status else f"no answer: {self.trouble}"
        return f"{self.method} {path}{self._images}{self._note} \u2192 {answer}"

    @property
    def _images(self) -> str:
        count = len(self.body.files) if self.body else 0
        if not count:
            return ""
        return ", 1 image" if count == 1 else f", {count} images"

    @property
    def _note(self) -> str:
        return f" ({self.note})" if self.note else ""

    @property
    def _result(self) -> str:
        result = self.state if self.shown_job else self.error_code or self.media_type or "no Content-Type"
        if self.progress is not None:
            result += f" {self.progress} %"
        if self.made:
            return f"{result} {self.made}"
        return f"{result}, {len(self.data)} bytes" if self.succeeded and not self.shown_job else result

    def to_json(self) -> SentExchangeJson:
        """Return it as reports write it, without the key."""
        return {
            "number": self.number,
            "line": self.line,
            "time": round(self.time, 6),
            "at": round(self.at, 6),
            "operation": self.operation or None,
            "purpose": self.purpose,
            "expected": self.expected or None,
            "job": truncate(self.job or self.made, MAX_SHOWN) or None,
            "request": self._request(),
            "response": self._response() if self.status else None,
            "trouble": self.trouble or None,
            "duration_ms": round(self.duration_s * 1000, 3),
        }

    def _request(self) -> RequestJson:
        path, _, query = self.path.partition("?")
        body = self.body or Body(None, b"")
        fields: list[FieldJson] = [{"name": name, "value": value[:MAX_SHOWN]} for name, value in body.fields]
        return {
            "method": self.method,
            "path": truncate(path, MAX_SHOWN),
            "query": redact_query(query),
            "headers": redact_headers(self.headers.items()),
            "fields": fields,
            "files": [file.to_json() for file in body.files],
            "body_bytes": len(body.data),
        }

    def _response(self) -> ResponseJson:
        headers = ((name, truncate(value, MAX_SHOWN)) for name, value in self.answer_headers.items())
        return {
            "status": self.status,
            "headers": redact_headers(headers),
            "body": self._shown_body(),
            "body_bytes": len(self.data),
            "body_sha256": sha256(self.data).hexdigest(),
        }

    def _shown_body(self) -> Any:
        if self.json is not None and len(self.data) <= MAX_SHOWN:
            return self.json
        try:
            return self.data[:MAX_SHOWN].decode() if self.data else None
        except ValueError:  # bytes
            return None


@dataclass(frozen=True)
class Conversation:
    """The exchanges of one check, in order, and what is known besides them."""

    exchanges: Sequence[SentExchange]
    spec: Spec
    #: Ids that the server gave to earlier checks.
    earlier_ids: frozenset[str] = frozenset()
    #: Jobs that were followed and did not end -> the seconds that they were given.
    unended: Mapping[str, float] = field(default_factory=dict)
    #: Jobs -> the SHA-256 of the images that arrived with them, in order, if available.
    arrived: Mapping[str, Sequence[str]] = field(default_factory=dict)
    #: Numbers of creates -> what arrived upstream from each to the next, if the server is a gateway to a mockveo.
    upstream: Mapping[int, Sequence[Exchange]] = field(default_factory=dict)
    #: The gateway's own key for its upstream; None if unknown.
    upstream_key: str | None = field(default=None, repr=False)
    #: Rules -> their breaches in generated requests, as the generator found them.
    generated: Mapping[str, list[Breach]] = field(default_factory=dict)

    @cached_property
    def settled(self) -> list[SentExchange]:
        """The exchanges without the failures that a retry of the same request settled."""
        last_success = {_request_of(exchange): exchange.number for exchange in self.exchanges if not exchange.failed}
        return [
            exchange
            for exchange in self.exchanges
            if not exchange.failed or last_success.get(_request_of(exchange), 0) <= exchange.number
        ]

    def of(self, *operations: str) -> list[SentExchange]:
        """Return the answered exchanges of these operations."""
        return [exchange for exchange in self.settled if exchange.operation in operations and exchange.status]

    def about(self, purpose: str) -> list[SentExchange]:
        """Return the answered exchanges about a rule."""
        return [exchange for exchange in self.settled if exchange.purpose == purpose and exchange.status]

    @cached_property
    def lifecycles(self) -> Mapping[str, list[SentExchange]]:
        """Our jobs -> the responses that show them, in order."""
        lifecycles: dict[str, list[SentExchange]] = {}
        for exchange in self.exchanges:
            if exchange.shown_job:
                lifecycles.setdefault(exchange.shown_job, []).append(exchange)
        return lifecycles

    @cached_property
    def creates(self) -> Mapping[str, SentExchange]:
        """Our jobs -> the creates that made them."""
        creates = (exchange for exchange in reversed(self.exchanges) if exchange.made and exchange.shown_job)
        return {create.made: create for create in creates}


def _request_of(exchange: SentExchange) -> Hashable:
    """Return what two tries of the same request have in common."""
    requested_range = exchange.headers.get("Range")
    return exchange.method, exchange.path, exchange.key, exchange.purpose, requested_range, id(exchange.body)
