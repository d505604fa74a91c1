"""Snapshots of the requests that a world received."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mockveo.errors import SettingsError
from mockveo.spec.operations import OPERATION_IDS, short_name
from mockveo.traffic.record import Deviation, ExchangeRecord


class ReceivedFile(NamedTuple):
    """A file of a create request: `size` in bytes, `sha256` in hex, `content_type` None if the part had none."""

    name: str
    filename: str
    content_type: str | None
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Request:
    """A request that a world received, and the outcome."""

    #: create, retrieve, content, models, delivery (of a `video_url`), or "" for any other request.
    operation: str
    method: str
    #: Without the prefix of the world, e.g. /v1/videos.
    path: str
    #: Without values whose names sound like credentials.
    query: str
    #: By lower-case names; credentials are replaced by a fingerprint.
    headers: Mapping[str, str] = field(repr=False)
    #: The fields of a readable create request by name (the first of repeated ones), and its files in order.
    fields: Mapping[str, Any]
    files: tuple[ReceivedFile, ...]
    #: Status code of the response; 0 if none was sent.
    status: int
    #: Id of the job that was created or requested, and its status in the response; empty without a job.
    job: str
    state: str
    #: What the faults on this request did, in the keys of a scenario, e.g. ("status", "delay").
    faults: tuple[str, ...]
    #: Where the request deviates from the documented page.
    deviations: tuple[Deviation, ...]
    #: Whether it arrived at the other origin, the target of redirects and video URLs.
    elsewhere: bool
    #: When it was answered, in seconds of the world's clock, and when it arrived, in Unix seconds of real time.
    at: float
    time: float

    def __str__(self) -> str:
        words = [self.operation or f"{self.method} {self.path}", str(self.status or "lost")]
        if self.status == 200 and self.operation in ("create", "retrieve"):
            words.append(self.state)
        return " ".join(words).rstrip()


class Requests(list[Request]):
    """Requests in the order they arrived."""

    def of(self, *operations: str) -> Requests:
        """Return the requests of some operations, e.g. `of("create")`. Raises SettingsError for an unknown name."""
        for name in operations:
            if name not in OPERATION_IDS:
                raise SettingsError(
                    f"the operation is {name!r}; expected one of {', '.join(OPERATION_IDS)}, e.g. of('create')"
                )
        return Requests(request for request in self if request.operation in operations)

    @property
    def summary(self) -> list[str]:
        """Each request in a few words: "create 429", "create 200 queued", "retrieve lost", "GET /v2 404"."""
        return list(map(str, self))


def request_of(exchange: ExchangeRecord) -> Request:
    """Return a snapshot of an exchange."""
    fields: dict[str, Any] = {}
    for part in exchange.parts:
        if not part.is_file:
            fields.setdefault(part.name, part.value)
    headers: dict[str, str] = {}
    for name, value in exchange.redacted_headers:
        headers[name.lower()] = f"{headers[name.lower()]}, {value}" if name.lower() in headers else value
    return Request(
        operation=short_name(exchange.operation),
        method=exchange.method,
        path=exchange.path,
        query=exchange.redacted_query,
        headers=headers,
        fields=fields,
        files=tuple(
            ReceivedFile(part.name, part.filename, part.content_type, part.size, part.sha256)
            for part in exchange.parts
            if part.filename is not None
        ),
        status=exchange.status,
        job=exchange.job_id,
        state=exchange.state,
        faults=tuple(exchange.faults),
        deviations=tuple(exchange.deviations),
        elsewhere=exchange.other_origin,
        at=exchange.at,
        time=exchange.started,
    )
