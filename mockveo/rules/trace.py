"""What a client did, as its exchanges tell it: the trace of a call, read for the rules.

A trace is the exchanges as JSON, as the journal, the control API and the reports write them (`journal.as_json`). So it
can be saved, and judged again. Nothing here knows a clock, a server or a client.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, Final
from urllib.parse import parse_qs

from mockveo.http.statuses import RETRYABLE
from mockveo.spec.errors import ErrorBody
from mockveo.spec.operations import short_name

#: Statuses that are an end, by the pages of both generations.
SUCCESS: Final = frozenset({"completed"})
FAILURE: Final = frozenset({"failed", "error"})
#: Statuses on the way, by the pages.
GOING: Final = frozenset({"queued", "in_progress"})
#: Seconds without an exchange after which the same form is another call. Longer than any pause the pages advise.
SILENCE: Final = 120.0


class Exchange:
    """One exchange of a trace."""

    def __init__(self, data: Mapping[str, Any], *, clock: str = "time") -> None:
        self.data = data
        self.number: int = data["number"]
        #: Seconds, by the clock that the trace is judged by.
        self.at: float = data[clock]
        #: create, retrieve, content, models, delivery, or "" for what is none of these.
        self.operation: str = short_name(data.get("operation"))
        self.method: str = data["request"]["method"]
        self.path: str = data["request"]["path"]
        self.query: str = data["request"]["query"]
        self.elsewhere: bool = data.get("elsewhere", False)
        self.headers: dict[str, str] = {name.lower(): value for name, value in data["request"]["headers"]}
        self.fields: list[dict[str, Any]] = data["request"]["fields"]
        self.files: list[dict[str, Any]] = data["request"]["files"]
        self.deviations: dict[str, str] = {one["code"]: one["message"] for one in data.get("deviations", ())}
        self.error: str = data.get("error") or ""
        self.hint: str = data.get("hint") or ""
        #: The job that was made or asked for, whether or not its answer arrived.
        self.job: str = data.get("job") or ""
        self.faults: list[str] = data.get("faults", [])
        answer = data.get("response")
        #: Of the answer; 0 where none arrived.
        self.status: int = answer["status"] if answer else 0
        self.answer_headers: dict[str, str] = (
            {name.lower(): value for name, value in answer["headers"]} if answer else {}
        )
        self._body: Any = answer["body"] if answer else None
        self.sent: int = answer["body_bytes"] if answer else 0

    @cached_property
    def body(self) -> dict[str, Any]:
        """The job in the answer, out of its outer envelope; empty where there is none."""
        body = self._body
        if isinstance(body, dict) and isinstance(body.get("data"), dict) and "id" in body["data"]:
            body = body["data"]
        return body if isinstance(body, dict) and self.whole else {}

    @property
    def whole(self) -> bool:
        """Whether the answer arrived with all the bytes that its Content-Length promises."""
        promised = self.answer_headers.get("content-length", str(self.sent))
        return self.status > 0 and (self.method == "HEAD" or str(self.sent) == promised)

    @property
    def state(self) -> str:
        """The status of the job that the answer shows; empty where it shows none."""
        state = self.body.get("status") if self.status == 200 else None
        return state if isinstance(state, str) else ""

    @property
    def error_body(self) -> ErrorBody:
        """The error in the response's body; empty without one."""
        return ErrorBody.parse(self._body)

    @property
    def error_code(self) -> str:
        """The code of the error in the answer."""
        return self.error_body.code

    @property
    def ticket(self) -> str:
        """What a request carries that follows a redirect of this server; empty for any other."""
        return _ticket(self.query)

    @property
    def redirected_to(self) -> str:
        """The ticket of the redirect in the answer; empty where there is none."""
        return _ticket(self.answer_headers.get("location", "").partition("?")[2]) if 300 <= self.status < 400 else ""

    @property
    def retry_after(self) -> str | None:
        """The Retry-After header."""
        return self.answer_headers.get("retry-after")

    @property
    def transient(self) -> bool:
        """Whether it met trouble that may pass: no answer, half of one, 429 or 5xx, or what is no JSON."""
        if not self.whole:
            return True
        if self.status in RETRYABLE:
            return self.error_code != "model_not_found"
        return self.operation in ("create", "retrieve") and self.status == 200 and not self.body

    @property
    def form(self) -> tuple[Any, ...]:
        """What tells two creates apart."""
        fields = tuple(sorted((one["name"], str(one["value"])) for one in self.fields))
        return fields, tuple(one["sha256"] for one in self.files)


def _ticket(query: str) -> str:
    return parse_qs(query).get("ticket", [""])[0]


@dataclass(frozen=True)
class CallTrace:
    """The exchanges of one call, and what is known of the call beside them.

    `case` is what the client was asked to do, `outcome` what it said came of it; each as in the client protocol, None
    where it is not known.
    """

    exchanges: Sequence[Exchange]
    case: Mapping[str, Any] | None = None
    outcome: Mapping[str, Any] | None = None
    features: Mapping[str, Any] = field(default_factory=dict)
    #: What the document has for fields that are left out.
    defaults: Mapping[str, Any] = field(default_factory=dict)
    #: Seconds of the trace's clock in one of the client's.
    pace: float = 1.0

    def of(self, *operations: str) -> list[Exchange]:
        """The exchanges of these operations."""
        return [one for one in self.exchanges if one.operation in operations]

    @cached_property
    def creates(self) -> list[Exchange]:
        """The creates at the server's own origin and elsewhere."""
        return self.of("create")

    @cached_property
    def polls(self) -> list[Exchange]:
        """The polls."""
        return self.of("retrieve")

    @cached_property
    def made(self) -> list[Exchange]:
        """The creates whose answer, with a job in it, arrived."""
        return [one for one in self.creates if one.status == 200 and one.body.get("id")]

    @cached_property
    def ids(self) -> list[str]:
        """The ids that the client was told."""
        return [str(one.body["id"]) for one in self.made]

    @cached_property
    def end(self) -> Exchange | None:
        """The first answer to a create or a poll that told of an end."""
        told = self.of("create", "retrieve")
        return next((one for one in told if one.state in SUCCESS | FAILURE), None)

    @property
    def input(self) -> Mapping[str, Any]:
        """What the client was asked to send."""
        found: Mapping[str, Any] = (self.case or {}).get("input", {})
        return found

    def seconds(self, first: Exchange, second: Exchange) -> float:
        """The client's seconds between two exchanges."""
        return (second.at - first.at) / self.pace

    def out_of_time(self, wait: float = 0.0) -> bool:
        """Whether the deadline leaves no time for another try, after a `wait` or after what it has waited so far."""
        limit = (self.case or {}).get("deadline_s")
        if limit is None or not self.exchanges:
            return False
        # Pauses may grow, so the next one may be twice the longest.
        pauses = [self.seconds(*pair) for pair in pairwise(self.exchanges)]
        spent = self.seconds(self.exchanges[0], self.exchanges[-1])
        return spent + max([wait, *(2 * pause for pause in pauses)]) >= float(limit)


def split_calls(trace: Iterable[Mapping[str, Any]], *, clock: str = "time", pace: float = 1.0) -> list[CallTrace]:
    """The calls that are in the traffic of a world, each with its own exchanges.

    A call is a form and a key: the creates that send it, and what is asked about their jobs. The same form after a long
    silence is another call. What belongs to no create goes to a story of its own.
    """
    calls: dict[Any, list[Exchange]] = {}
    latest: dict[Any, Any] = {}
    of: dict[str, Any] = {}
    for data in trace:
        seen = Exchange(data, clock=clock)
        # Whatever follows a redirect belongs to what was redirected, even as another method or with another form.
        call = of.get(seen.ticket) if seen.ticket else None
        if call is None and seen.operation == "create":
            what = (data.get("key"), seen.form)
            call = latest.get(what)
            if call is None or seen.at - calls[call][-1].at > SILENCE * pace:
                call = latest[what] = (*what, seen.number)
        elif call is None:
            call = of.get(seen.job) or of.get(seen.path.split("/")[-1].removesuffix(".mp4"))
        if seen.operation == "create" and seen.job:
            of[seen.job] = call
        if seen.redirected_to:
            of[seen.redirected_to] = call
        calls.setdefault(call, []).append(seen)
    return [CallTrace(exchanges, pace=pace) for exchanges in calls.values()]
