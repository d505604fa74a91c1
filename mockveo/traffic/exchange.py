"""An exchange, a request and its response, in its JSON form.

Logs, the control API, reports and saved traffic share the form. `ExchangeRecord.to_json` writes it and
`Exchange.from_json` reads it.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, Final, Literal, NotRequired, TypeAlias, TypedDict
from urllib.parse import parse_qs

from mockveo.http.statuses import RETRYABLE
from mockveo.spec.errors import ErrorBody
from mockveo.spec.job_body import JobBody
from mockveo.spec.operations import short_name

#: The hint of a request for a job that does not exist; the rule `poll-own-id` recognises such a request by it.
UNKNOWN_JOB: Final = "no job has this id"

#: The times that an exchange has: Unix seconds, and seconds of its world's clock.
ClockName: TypeAlias = Literal["time", "at"]


class FieldJson(TypedDict):
    """A field of a form."""

    name: str
    value: Any


class FileJson(TypedDict):
    """A file of a form; None for no media type. Saved traffic of other tools may lack all but the name."""

    name: str
    filename: str | None
    content_type: NotRequired[str | None]
    bytes: NotRequired[int]
    sha256: NotRequired[str]


class RequestJson(TypedDict):
    """A request; sizes and hashes are those of the body as it came.

    Saved traffic of other tools may lack headers, fields and files: they are unknown.
    """

    method: str
    path: str
    query: str
    headers: NotRequired[list[tuple[str, str]]]
    fields: NotRequired[list[FieldJson]]
    files: NotRequired[list[FileJson]]
    body_bytes: NotRequired[int]
    body_sha256: NotRequired[str | None]


class ResponseJson(TypedDict):
    """A response; `body` is decoded JSON or text, None for bytes and for what was too long to keep.

    Saved traffic of other tools may lack the body or its size: they are unknown.
    """

    status: int
    headers: list[tuple[str, str]]
    body: NotRequired[Any]
    body_bytes: NotRequired[int]
    #: Of the decoded body, which is what a client stores; of the bytes if they cannot be decoded.
    body_sha256: NotRequired[str]
    #: Whether the body is not in the encoding that its Content-Encoding names.
    undecodable: NotRequired[bool]


class DeviationJson(TypedDict):
    """A deviation of a request."""

    code: str
    message: str


class ExchangeJson(TypedDict):
    """An exchange as logs, the control API, reports and saved traffic write it."""

    number: int
    line: NotRequired[str]
    time: float
    at: float
    world: NotRequired[str]
    elsewhere: NotRequired[bool]
    operation: str | None
    key: NotRequired[str | None]
    key_sent: NotRequired[bool]
    client_left: NotRequired[bool]
    request: RequestJson
    response: ResponseJson | None
    error: NotRequired[str | None]
    hint: NotRequired[str | None]
    duration_ms: NotRequired[float]
    job: NotRequired[str | None]
    job_status: NotRequired[str | None]
    job_progress: NotRequired[int | None]
    scenario: NotRequired[str | None]
    faults: NotRequired[list[str]]
    deviations: NotRequired[list[DeviationJson]]


#: Stands in when no response arrived.
_NO_RESPONSE: Final[ResponseJson] = {"status": 0, "headers": [], "body": None, "body_bytes": 0}


@dataclass(kw_only=True, eq=False)
class Exchange:
    """One exchange, read from its JSON form."""

    number: int
    #: Seconds, by the clock that the reader chose: `at`, the world's, or `time`.
    at: float
    #: Unix seconds.
    time: float
    line: str
    #: The name of its world; "" for the main one.
    world: str
    #: create, retrieve, content, models, delivery, or "" for any other request.
    operation: str
    operation_id: str
    #: The fingerprint of the key; None without one.
    key: str | None
    method: str
    path: str
    query: str
    other_origin: bool
    #: By lower-case names.
    headers: dict[str, str]
    #: Whether it is known if the request had a key.
    key_known: bool
    fields: Sequence[FieldJson]
    files: Sequence[FileJson]
    #: Whether the form is in the JSON form; saved traffic may lack it.
    form_known: bool
    #: Messages by code.
    deviations: dict[str, str]
    error: str
    hint: str
    #: The job that was made or asked for, whether or not the response arrived.
    job: str
    #: The status of that job in the document's words, whether or not the response shows it.
    job_status: str
    faults: Sequence[str]
    client_left: bool
    #: Of the response; 0 if none arrived.
    status: int
    #: By lower-case names.
    response_headers: dict[str, str]
    #: The body: decoded JSON, text or None.
    response_body: Any
    #: Whether the body is in the JSON form; saved traffic may lack it.
    body_known: bool
    response_sha256: str
    #: Bytes of the body; -1 if unknown.
    response_bytes: int
    undecodable: bool

    @classmethod
    def from_json(cls, data: ExchangeJson, *, clock: ClockName = "time") -> Exchange:
        """Return the exchange in the JSON form; `clock` is the name of the clock that `at` is read from."""
        request = data["request"]
        response = data.get("response") or _NO_RESPONSE
        headers = _combined(request.get("headers", ()))
        return cls(
            number=data["number"],
            at=data[clock],
            time=data["time"],
            line=data.get("line") or "",
            world=data.get("world") or "",
            operation=short_name(data.get("operation")),
            operation_id=data.get("operation") or "",
            key=data.get("key"),
            method=request["method"],
            path=request["path"],
            query=request.get("query") or "",
            other_origin=data.get("elsewhere") or False,
            headers=headers,
            key_known=data.get("key_sent") is not None or "authorization" in headers,
            fields=request.get("fields", ()),
            files=request.get("files", ()),
            form_known=bool(headers) and "fields" in request,
            deviations={deviation["code"]: deviation["message"] for deviation in data.get("deviations") or ()},
            error=data.get("error") or "",
            hint=data.get("hint") or "",
            job=data.get("job") or "",
            job_status=data.get("job_status") or "",
            faults=data.get("faults") or (),
            client_left=data.get("client_left") or False,
            status=response["status"],
            response_headers={name.lower(): value for name, value in response.get("headers", ())},
            response_body=response.get("body"),
            body_known="body" in response,
            response_sha256=response.get("body_sha256") or "",
            response_bytes=response.get("body_bytes", -1),
            undecodable=response.get("undecodable") or False,
        )

    @cached_property
    def shown(self) -> JobBody:
        """Return the job that the response shows; empty without one."""
        return JobBody.parse(self.response_body) if self.succeeded and self.whole else JobBody()

    @property
    def succeeded(self) -> bool:
        """Return whether the status is 2xx. Source: RFC 9110 section 15.3."""
        return 200 <= self.status < 300

    @cached_property
    def whole(self) -> bool:
        """Return whether the response arrived with all the bytes of its Content-Length, and can be decoded."""
        promised = self.response_headers.get("content-length", str(self.response_bytes))
        complete = self.response_bytes < 0 or self.method == "HEAD" or str(self.response_bytes) == promised
        return self.status > 0 and complete and not self.undecodable

    @property
    def without_json(self) -> bool:
        """Return whether the body is known not to be a JSON object, or to be an empty one."""
        return self.body_known and not (self.response_body and isinstance(self.response_body, dict))

    @property
    def state(self) -> str:
        """Return the status of the job that the response shows, or ""."""
        return self.shown.status

    @cached_property
    def error_body(self) -> ErrorBody:
        """Return the error in the response's body; empty without one."""
        return ErrorBody.parse(self.response_body)

    @property
    def shows_error(self) -> bool:
        """Return whether the response is an error, also one inside a success."""
        return self.status >= 400 or (self.succeeded and self.whole and self.error_body.present and not self.state)

    @property
    def error_code(self) -> str:
        """Return the code of the error in the response's body, or ""."""
        return self.error_body.code

    @property
    def requested_id(self) -> str:
        """Return the id in the path of a request about a job."""
        return self.path.removesuffix("/content").rpartition("/")[2].removesuffix(".mp4")

    @property
    def ticket(self) -> str:
        """Return the ticket of a request that follows a redirect, or ""."""
        return _ticket(self.query)

    @property
    def redirected_to(self) -> str:
        """Return the ticket of the redirect in the response, or ""."""
        location = self.response_headers.get("location", "") if 300 <= self.status < 400 else ""
        return _ticket(location.partition("?")[2])

    @property
    def prompt(self) -> str:
        """Return the prompt of a create, or ""."""
        return next((str(field["value"]) for field in self.fields if field["name"] == "prompt"), "")

    @property
    def retry_after(self) -> str | None:
        """Return the Retry-After header."""
        return self.response_headers.get("retry-after")

    @property
    def retry_after_s(self) -> float | None:
        """Return the seconds that the response asks to wait; None without a readable Retry-After."""
        value = self.retry_after
        if value is None:
            return None
        try:
            return float(value)
        except ValueError:
            pass
        try:
            now = self.response_headers["date"]
            # Both dates are cut to whole seconds, so the wait may be almost a second shorter.
            return max((parsedate_to_datetime(value) - parsedate_to_datetime(now)).total_seconds() - 1, 0.0)
        except (KeyError, OverflowError, TypeError, ValueError):
            return None

    @property
    def transient(self) -> bool:
        """Return whether the exchange met trouble that may pass.

        That is no response or half of one, a retryable status, or a success without a JSON object.
        """
        if not self.whole:
            return True
        if self.status in RETRYABLE:
            return self.error_code != "model_not_found"
        return self.operation in ("create", "retrieve") and self.succeeded and self.without_json

    @cached_property
    def form(self) -> tuple[Hashable, ...] | None:
        """Return the content of the form, by which two creates are compared; None if unknown."""
        hashes = tuple(file.get("sha256") or "" for file in self.files)
        if self.operation == "create" and not (self.form_known and all(hashes)):
            return None
        return tuple(sorted((field["name"], str(field["value"])) for field in self.fields)), hashes


def value_text(field: FieldJson) -> str:
    """Return the value of a form's field as text; JSON if it came as JSON."""
    value = field["value"]
    return value if isinstance(value, str) else json.dumps(value)


def _combined(headers: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return headers by lower-case names; values of the same name are joined, as RFC 9110 section 5.3 says."""
    combined: dict[str, str] = {}
    for name, value in headers:
        lower = name.lower()
        combined[lower] = f"{combined[lower]}, {value}" if lower in combined else value
    return combined


def _ticket(query: str) -> str:
    return parse_qs(query).get("ticket", [""])[0] if "ticket" in query else ""
