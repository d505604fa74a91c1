"""The correct client of the zoo, which breaks no rule; each mutant is this client with one defect.

It uses only the standard library, so that a request costs a millisecond, and has a method for each decision, so that a
mutant overrides one.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, IncompleteRead
from itertools import count
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple, TypeAlias, TypeVar
from urllib.parse import quote, urljoin, urlsplit
from uuid import uuid4

from mockveo_contracts import Case, DeadlinePassed, Image, Outcome

from mockveo.rules.client_rules import client_rules
from mockveo.rules.engine import VERDICTS

Job: TypeAlias = Mapping[str, Any]
#: Statuses of failures that may pass, and of redirects.
PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 522, 524})
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
#: Statuses of a create that was certainly not applied, and may succeed next time.
NOT_APPLIED: Final = frozenset({408, 425, 429, 503})
#: Words for an end, in the dialects of real services.
SUCCESS: Final = frozenset({"completed", "success", "succeeded"})
FAILURE: Final = frozenset({"failed", "error", "failure", "expired", "cancelled", "canceled"})
#: Tries of a create and of a download; polls are bounded by the deadline.
TRIES: Final = 6


class Trouble(Exception):
    """An error that the caller learns of."""


class Answer(NamedTuple):
    """An answer; its status is 0 if it did not arrive whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The JSON object in the body; empty without one."""
        try:
            body = json.loads(self.body)
        except ValueError:
            return {}
        return body if isinstance(body, dict) else {}

    @property
    def error(self) -> Mapping[str, Any]:
        """The error in the body, in either envelope."""
        nested = self.json.get("error")
        return nested if isinstance(nested, dict) else self.json


class CorrectClient:
    """One call: from a case to its outcome."""

    features: ClassVar[Mapping[str, Any]] = {"images": 2, "content": True, "deadline": True, "poll_interval": True}

    def __init__(self, case: Case) -> None:
        self.case = case
        self.input = case.input
        self.begun = time.monotonic()
        self.connections: dict[str, HTTPConnection] = {}
        #: The job as it was last seen; None before it is made.
        self.latest: Job | None = None

    def __call__(self) -> Outcome:
        try:
            return self.outcome(self.follow(self.create()))
        except DeadlinePassed as error:
            return self.timed_out(str(error))
        except Trouble as error:
            return self.went_wrong(str(error))
        finally:
            for connection in self.connections.values():
                connection.close()

    # The form

    def form(self) -> tuple[str, bytes]:
        """Return the Content-Type and the body of a create."""
        boundary = uuid4().hex
        parts = [self.text(name, value) for name, value in self.fields().items()]
        parts += [self.part(self.file_headers(image), self.data(image)) for image in self.images()]
        return f"multipart/form-data; boundary={boundary}", self.joined(boundary.encode(), parts)

    def joined(self, boundary: bytes, parts: Sequence[bytes]) -> bytes:
        return b"".join(b"--%b\r\n%b\r\n" % (boundary, part) for part in parts) + b"--%b--\r\n" % boundary

    def part(self, headers: Mapping[str, str], data: bytes) -> bytes:
        return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode() + b"\r\n" + data

    def fields(self) -> dict[str, Any]:
        """Return the text fields that the caller set."""
        values = {"prompt": self.prompt(), "model": self.model(), "size": self.size()}
        return {name: value for name, value in values.items() if value is not None}

    def prompt(self) -> str:
        return self.input.prompt

    def model(self) -> str | None:
        return self.input.model

    def size(self) -> str | None:
        return self.input.size

    def text(self, name: str, value: Any) -> bytes:
        return self.part({"Content-Disposition": f'form-data; name="{name}"'}, self.encoded(value))

    def encoded(self, value: Any) -> bytes:
        return str(value).encode()

    def images(self) -> Sequence[Image]:
        return self.input.images

    def file_headers(self, image: Image) -> dict[str, str]:
        name = image.filename.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        disposition = f'form-data; name="{self.image_name(image)}"; filename="{name}"'
        return {"Content-Disposition": disposition, "Content-Type": image.content_type}

    def image_name(self, _image: Image) -> str:
        return "input_reference"

    def data(self, image: Image) -> bytes:
        return Path(image.path).read_bytes()

    # The order of requests

    def create(self) -> Job:
        content_type, body = self.form()
        for attempt in count():
            answer = self.ask("POST", self.create_url(), body, {"Content-Type": content_type})
            if self.job(answer).get("id"):
                return self.job(answer)
            if attempt >= TRIES or not self.may_create_again(answer):
                raise Trouble(self.message(answer))
            self.wait(answer, attempt)
        raise AssertionError

    def may_create_again(self, answer: Answer) -> bool:
        return answer.status in NOT_APPLIED and answer.error.get("code") != "model_not_found"

    def follow(self, created: Job) -> Job:
        job, troubles = created, 0
        self.latest = created
        while not self.ended(job):
            if not troubles:
                self.sleep(self.interval())
            answer = self.ask("GET", self.job_url(created))
            if self.job(answer).get("status"):
                job, troubles = {**created, **self.job(answer), "id": created["id"]}, 0
                continue
            if not self.may_poll_again(answer, troubles):
                raise Trouble(self.message(answer))
            self.wait(answer, troubles)
            troubles += 1
        return job

    def ended(self, job: Job) -> bool:
        return self.succeeded(job) or self.failed(job)

    def succeeded(self, job: Job) -> bool:
        return self.status(job) in SUCCESS

    def failed(self, job: Job) -> bool:
        return self.status(job) in FAILURE

    def status(self, job: Job) -> str:
        return str(job.get("status")).lower()

    def may_poll_again(self, answer: Answer, troubles: int) -> bool:
        # A new job may not be visible yet.
        invisible = answer.error.get("code") == "task_not_exist" and troubles < TRIES
        return answer.status in (0, 200) or answer.status in PASSING or invisible

    def download(self, job: Job) -> str:
        for attempt in count():
            answer = self.ask("GET", self.content_url(job))
            if answer.status == 200 and self.is_video(answer):
                return self.store(answer.body)
            if attempt >= TRIES or not self.may_fetch_again(answer):
                raise Trouble(self.message(answer))
            self.wait(answer, attempt)
        raise AssertionError

    def may_fetch_again(self, answer: Answer) -> bool:
        return answer.status in (0, 200) or answer.status in PASSING

    def is_video(self, answer: Answer) -> bool:
        # An MP4 has this word after the length of its first box.
        return answer.body[4:8] == b"ftyp"

    def store(self, data: bytes) -> str:
        path = Path(self.case.state_dir, "video.mp4")
        path.write_bytes(data)
        return str(path)

    # Time

    def interval(self) -> float:
        return self.case.poll_interval_s

    def wait(self, answer: Answer, attempt: int) -> None:
        self.sleep(max(self.retry_after(answer), self.pause(attempt)))

    def pause(self, attempt: int) -> float:
        return self.case.poll_interval_s * 2.0 ** min(attempt, 6)

    def retry_after(self, answer: Answer) -> float:
        """Return the seconds that an answer asks to wait; 0 if it does not."""
        value = answer.headers.get("retry-after", "")
        try:
            return float(value)
        except ValueError:
            return self.seconds_until(value, answer)

    def seconds_until(self, date: str, answer: Answer) -> float:
        try:
            return (parsedate_to_datetime(date) - parsedate_to_datetime(answer.headers["date"])).total_seconds()
        except (KeyError, TypeError, ValueError):
            return 0.0

    def sleep(self, seconds: float) -> None:
        if self.spent() + seconds > self.deadline():
            raise DeadlinePassed(f"not done after {self.case.deadline_s:g} s")
        time.sleep(max(seconds, 0.0))

    def spent(self) -> float:
        return time.monotonic() - self.begun

    def deadline(self) -> float:
        return self.case.deadline_s

    # The outcome

    def job(self, answer: Answer) -> Job:
        """Return the job in an answer, out of its outer envelope; empty without one."""
        body = answer.json if answer.status in (200, 201, 202) else {}
        inner = body.get("data")
        return inner if isinstance(inner, dict) else body

    def outcome(self, job: Job) -> Outcome:
        if self.failed(job):
            return Outcome("failed", self.video(job), error=error_of("failed", self.reason(job)))
        try:
            return Outcome("completed", self.video(job), self.download(job))
        except (Trouble, DeadlinePassed) as error:
            return Outcome("completed", self.video(job), error=error_of("download", str(error)))

    def timed_out(self, message: str) -> Outcome:
        return Outcome("timeout", self.late_video(), error=error_of("deadline", message))

    def late_video(self) -> Mapping[str, Any] | None:
        """Return what the caller of a client that gave up needs to fetch the video later."""
        return None if self.latest is None else {"id": self.latest["id"]}

    def went_wrong(self, message: str) -> Outcome:
        return Outcome("error", error=error_of("error", message))

    def video(self, job: Job) -> dict[str, Any]:
        return {name: job.get(name) for name in ("id", "status", "model")}

    def reason(self, job: Job) -> str:
        error = job.get("error")
        message = error.get("message") if isinstance(error, dict) else job.get("fail_reason")
        return str(message or "it failed without a reason")

    def message(self, answer: Answer) -> str:
        return str(answer.error.get("message") or f"an answer of {answer.status}")

    # HTTP

    def create_url(self) -> str:
        return f"{self.case.base_url}/videos"

    def job_url(self, job: Job) -> str:
        return f"{self.case.base_url}/videos/{self.segment(self.job_id(job))}"

    def job_id(self, job: Job) -> str:
        return str(job["id"])

    def content_url(self, job: Job) -> str:
        return f"{self.case.base_url}/videos/{self.segment(str(job['id']))}/content"

    def segment(self, text: str) -> str:
        """Return a text as a segment of a path."""
        return quote(text, safe="")

    def ask(self, method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        """Send a request, and follow redirects."""
        answer = self.send(method, url, body, headers or {})
        for _ in range(self.redirects()):
            if answer.status not in REDIRECTS or "location" not in answer.headers:
                break
            url = urljoin(url, answer.headers["location"])
            method = self.method_after(answer.status, method)
            answer = self.send(method, url, *((body, headers or {}) if method == "POST" else (b"", {})))
        return answer

    def redirects(self) -> int:
        """Return how many redirects are followed at most."""
        return 5

    def method_after(self, status: int, method: str) -> str:
        return method if status in (307, 308) else "GET"

    def send(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        parts = urlsplit(url)
        connection = self.connections.setdefault(parts.netloc, HTTPConnection(parts.netloc, timeout=10))
        if method == "POST":
            connection.timeout = self.create_timeout()
        target = f"{parts.path}?{parts.query}".rstrip("?")
        try:
            connection.request(method, target, body or None, {**headers, **self.own_headers(method, url)})
            response = connection.getresponse()
            answer_headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, answer_headers, response.read())
        except IncompleteRead as error:
            connection.close()
            return Answer(0, answer_headers, error.partial)
        except (OSError, HTTPException):
            connection.close()
            return Answer(0, {}, b"")

    def create_timeout(self) -> float:
        return 10.0

    def own_headers(self, _method: str, url: str) -> dict[str, str]:
        return {"Authorization": self.authorization()} if self.trusted(url) else {}

    def authorization(self) -> str:
        return f"Bearer {self.case.api_key}"

    def trusted(self, url: str) -> bool:
        return urlsplit(url).netloc == urlsplit(self.case.base_url).netloc


def error_of(kind: str, message: str) -> dict[str, str]:
    return {"type": kind, "message": message}


@dataclass(frozen=True)
class ClientMutant:
    """A client with one defect."""

    name: str
    client: type[CorrectClient]
    #: The rules that it breaks, the one that the defect is about first.
    rules: tuple[str, ...]
    #: Whether it breaks only that one, in every case.
    only: bool
    #: The verdict that is expected.
    verdict: str
    #: Why no generated case is expected to show it; empty if one is.
    unlikely: str

    @property
    def why(self) -> str:
        return str(self.client.__doc__)

    @property
    def features(self) -> Mapping[str, Any]:
        return self.client.features

    @property
    def resumes(self) -> bool:
        """Whether it plays cases with restarts."""
        return "resume" in self.features

    def __call__(self, case: Case) -> Outcome:
        return self.client(case)()

    def __str__(self) -> str:
        return self.name


ZOO: Final[dict[str, ClientMutant]] = {}
#: Variants that are right too, by name; no rule may report them.
EQUIVALENT: Final[dict[str, ClientMutant]] = {}
_Kind = TypeVar("_Kind", bound=type[CorrectClient])


def mutant(*rules: str, only: bool = False, verdict: str = "", unlikely: str = "") -> Callable[[_Kind], _Kind]:
    """Register a class as a mutant that breaks these rules; its docstring describes the defect."""

    def keep(client: _Kind) -> _Kind:
        name = _name(client)
        assert name not in ZOO, name
        ZOO[name] = ClientMutant(
            name, client, rules, only, verdict or VERDICTS[client_rules().find(rules[0]).severity], unlikely
        )
        return client

    return keep


def equivalent(client: _Kind) -> _Kind:
    """Register a class as one that breaks nothing; its docstring says why."""
    EQUIVALENT[_name(client)] = ClientMutant(_name(client), client, (), False, "", "")
    return client


def _name(client: type[CorrectClient]) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[a-z])(?=[0-9])", "-", client.__name__).lower()
