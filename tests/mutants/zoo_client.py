"""The zoo's correct client: what it does must break no rule, and each mutant of the zoo is this with one defect.

Nothing but the standard library, so that a request costs a millisecond; and a method for each decision, so that a
mutant has one to do otherwise.
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
from tempfile import gettempdir
from typing import Any, ClassVar, Final, NamedTuple, TypeAlias, TypeVar
from urllib.parse import urljoin, urlsplit
from uuid import uuid4

from mockveo_contracts import Case, DeadlinePassed, Image, Outcome

from mockveo.rules.client_rules import client_rules
from mockveo.rules.engine import VERDICTS

Job: TypeAlias = Mapping[str, Any]
#: Statuses of trouble that may pass, and of redirects.
PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 522, 524})
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
#: Statuses of a create that was certainly not applied, and may be the next time.
NOT_APPLIED: Final = frozenset({408, 425, 429, 503})
#: Words for an end, in the dialects that were seen.
SUCCESS: Final = frozenset({"completed", "success", "succeeded"})
FAILURE: Final = frozenset({"failed", "error", "failure", "expired", "cancelled", "canceled"})
#: Tries of a create and of a download; polls are bounded by the deadline.
TRIES: Final = 6


class Trouble(Exception):
    """Whatever the caller is to be told."""


class Answer(NamedTuple):
    """An answer: status 0 where no whole one came, with what there is of its body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The object of JSON in it; empty where there is none."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def error(self) -> Mapping[str, Any]:
        """What tells of an error, in either envelope."""
        nested = self.json.get("error")
        return nested if isinstance(nested, dict) else self.json


class Client:
    """One call: from a case to what came of it."""

    features: ClassVar[Mapping[str, Any]] = {"images": 2, "content": True, "deadline": True, "poll_interval": True}

    def __init__(self, case: Case) -> None:
        self.case = case
        self.given = case.input
        self.begun = time.monotonic()
        self.connections: dict[str, HTTPConnection] = {}

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
        """The Content-Type and the body of a create."""
        boundary = uuid4().hex
        parts = [self.text(name, value) for name, value in self.fields().items()]
        parts += [self.part(self.file_headers(image), self.data(image)) for image in self.images()]
        return f"multipart/form-data; boundary={boundary}", self.joined(boundary.encode(), parts)

    def joined(self, boundary: bytes, parts: Sequence[bytes]) -> bytes:
        return b"".join(b"--%b\r\n%b\r\n" % (boundary, part) for part in parts) + b"--%b--\r\n" % boundary

    def part(self, headers: Mapping[str, str], data: bytes) -> bytes:
        return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode() + b"\r\n" + data

    def fields(self) -> dict[str, Any]:
        """The fields of text, without what the caller left out."""
        given = {"prompt": self.prompt(), "model": self.model(), "size": self.size()}
        return {name: value for name, value in given.items() if value is not None}

    def prompt(self) -> str:
        return self.given.prompt

    def model(self) -> str | None:
        return self.given.model

    def size(self) -> str | None:
        return self.given.size

    def text(self, name: str, value: Any) -> bytes:
        return self.part({"Content-Disposition": f'form-data; name="{name}"'}, self.encoded(value))

    def encoded(self, value: Any) -> bytes:
        return str(value).encode()

    def images(self) -> Sequence[Image]:
        return self.given.images

    def file_headers(self, image: Image) -> dict[str, str]:
        name = image.filename.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        disposition = f'form-data; name="{self.image_name(image)}"; filename="{name}"'
        return {"Content-Disposition": disposition, "Content-Type": image.content_type}

    def image_name(self, _image: Image) -> str:
        return "input_reference"

    def data(self, image: Image) -> bytes:
        return Path(image.path).read_bytes()

    # The course

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
        # A job that was just made may not be seen yet.
        unseen = answer.error.get("code") == "task_not_exist" and troubles < TRIES
        return answer.status in (0, 200) or answer.status in PASSING or unseen

    def download(self, job: Job) -> str:
        for attempt in count():
            answer = self.ask("GET", self.content_url(job))
            if answer.status == 200:
                return self.store(answer.body)
            if attempt >= TRIES or not self.may_fetch_again(answer):
                raise Trouble(self.message(answer))
            self.wait(answer, attempt)
        raise AssertionError

    def may_fetch_again(self, answer: Answer) -> bool:
        return answer.status == 0 or answer.status in PASSING

    def store(self, data: bytes) -> str:
        path = Path(gettempdir(), f"mockveo-zoo-{uuid4().hex}.mp4")
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
        """Seconds that an answer asks to wait; 0 where it asks for nothing."""
        told = answer.headers.get("retry-after", "")
        try:
            return float(told)
        except ValueError:
            return self.seconds_until(told, answer)

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

    # What came of it

    def job(self, answer: Answer) -> Job:
        """The job in an answer, out of its outer envelope; empty where there is none."""
        body = answer.json if answer.status == 200 else {}
        inner = body.get("data")
        return inner if isinstance(inner, dict) else body

    def outcome(self, job: Job) -> Outcome:
        if self.failed(job):
            return Outcome("failed", self.video(job), error=told("failed", self.reason(job)))
        try:
            return Outcome("completed", self.video(job), self.download(job))
        except (Trouble, DeadlinePassed) as error:
            return Outcome("completed", self.video(job), error=told("download", str(error)))

    def timed_out(self, message: str) -> Outcome:
        return Outcome("timeout", error=told("deadline", message))

    def went_wrong(self, message: str) -> Outcome:
        return Outcome("error", error=told("error", message))

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
        return f"{self.case.base_url}/videos/{self.job_id(job)}"

    def job_id(self, job: Job) -> str:
        return str(job["id"])

    def content_url(self, job: Job) -> str:
        return f"{self.case.base_url}/videos/{job['id']}/content"

    def ask(self, method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        """Sends a request, and follows redirects."""
        answer = self.send(method, url, body, headers or {})
        for _ in range(5):
            if answer.status not in REDIRECTS or "location" not in answer.headers:
                break
            url = urljoin(url, answer.headers["location"])
            method = self.method_after(answer.status, method)
            answer = self.send(method, url, *((body, headers or {}) if method == "POST" else (b"", {})))
        return answer

    def method_after(self, status: int, method: str) -> str:
        return method if status in (307, 308) else "GET"

    def send(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        parts = urlsplit(url)
        connection = self.connections.setdefault(parts.netloc, HTTPConnection(parts.netloc, timeout=10))
        target = f"{parts.path}?{parts.query}".rstrip("?")
        try:
            connection.request(method, target, body or None, {**headers, **self.own_headers(method, url)})
            response = connection.getresponse()
            known = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, known, response.read())
        except IncompleteRead as error:
            connection.close()
            return Answer(0, known, error.partial)
        except (OSError, HTTPException):
            connection.close()
            return Answer(0, {}, b"")

    def own_headers(self, _method: str, url: str) -> dict[str, str]:
        return {"Authorization": self.authorization()} if self.trusted(url) else {}

    def authorization(self) -> str:
        return f"Bearer {self.case.api_key}"

    def trusted(self, url: str) -> bool:
        return urlsplit(url).netloc == urlsplit(self.case.base_url).netloc


def told(kind: str, message: str) -> dict[str, str]:
    return {"type": kind, "message": message}


@dataclass(frozen=True)
class Mutant:
    """A client with one defect."""

    name: str
    client: type[Client]
    #: The rules that it breaks, that which the defect is about first.
    rules: tuple[str, ...]
    #: Whether it breaks that one alone, whatever it meets.
    only: bool
    #: What the judge is to say of it.
    verdict: str
    #: Why no generated case is expected to show it; empty where one is.
    unlikely: str

    @property
    def why(self) -> str:
        return str(self.client.__doc__)

    @property
    def features(self) -> Mapping[str, Any]:
        return self.client.features

    def __call__(self, case: Case) -> Outcome:
        return self.client(case)()

    def __str__(self) -> str:
        return self.name


ZOO: Final[dict[str, Mutant]] = {}
#: Departures that are no defects, by name, and why no rule may tell them from the correct client.
EQUIVALENT: Final[dict[str, Mutant]] = {}
_Kind = TypeVar("_Kind", bound=type[Client])


def mutant(*rules: str, only: bool = False, verdict: str = "", unlikely: str = "") -> Callable[[_Kind], _Kind]:
    """Keeps a class as a mutant that breaks these rules; its docstring says what the defect is."""

    def keep(client: _Kind) -> _Kind:
        name = _name(client)
        assert name not in ZOO, name
        ZOO[name] = Mutant(
            name, client, rules, only, verdict or VERDICTS[client_rules().find(rules[0]).severity], unlikely
        )
        return client

    return keep


def equivalent(client: _Kind) -> _Kind:
    """Keeps a class as one that breaks nothing; its docstring says why."""
    EQUIVALENT[_name(client)] = Mutant(_name(client), client, (), False, "", "")
    return client


def _name(client: type[Client]) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[a-z])(?=[0-9])", "-", client.__name__).lower()
