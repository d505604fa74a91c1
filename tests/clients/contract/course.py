"""The course of a correct call - create, poll, download - for whichever library carries its requests.

It does no input and no output: it yields the requests that it wants sent and the seconds that it wants waited, and is
sent the answers. So the same course serves blocking libraries (`played`) and asyncio (`played_async`). It needs nothing
but the standard library, as clients live in environments of their own.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import quote

#: A case and a result, as the client protocol has them.
Case: TypeAlias = Mapping[str, Any]
Result: TypeAlias = dict[str, Any]

FEATURES = {"images": 2, "content": True, "deadline": True, "poll_interval": True}
#: Statuses of trouble that may pass.
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 522, 524})
#: Statuses after which a create was certainly not applied, and may be the next time.
NOT_APPLIED = frozenset({408, 425, 429, 503})
#: Tries of a download, and of a poll for a job that was just made and is not seen yet.
TRIES = 6
#: Seconds that an answer gets at least, however near the deadline.
LEAST = 2.0


class File(NamedTuple):
    """An image to be sent."""

    filename: str
    data: bytes
    content_type: str


@dataclass(frozen=True)
class Request:
    """A request to send: a form if it has fields. The client waits at most `timeout` seconds for the answer.

    SDKs are asked for an `operation` - create, retrieve, content - on a job of that id, at a `base_url`.
    """

    operation: str
    base_url: str
    key: str
    timeout: float
    job: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    files: tuple[File, ...] = ()

    @property
    def method(self) -> str:
        """The method."""
        return "POST" if self.operation == "create" else "GET"

    @property
    def url(self) -> str:
        """The whole URL."""
        parts = [
            self.base_url,
            "videos",
            *filter(None, [quote(self.job, safe="")]),
            *(["content"] if self.operation == "content" else []),
        ]
        return "/".join(parts)

    @property
    def headers(self) -> dict[str, str]:
        """The headers that do not follow from the form."""
        return {"Authorization": f"Bearer {self.key}"}


class Answer(NamedTuple):
    """What came back; status 0 where it did not come, or not whole."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""

    @property
    def whole(self) -> bool:
        """Whether there are as many bytes as were promised."""
        promised = self.header("content-length")
        return self.status > 0 and (not promised or self.header("content-encoding") or int(promised) == len(self.body))

    @property
    def is_video(self) -> bool:
        """Whether it is an MP4, which has this word after the length of its first box."""
        return self.status == 200 and self.whole and self.body[4:8] == b"ftyp"

    def header(self, name: str) -> str:
        """A header by its name in small letters; empty if it is missing."""
        return next((value for key, value in self.headers.items() if key.lower() == name), "")

    @property
    def json(self) -> dict[str, Any]:
        """The JSON object in it; empty without such an object."""
        try:
            data = json.loads(self.body)
        except ValueError:
            return {}
        return data if isinstance(data, dict) else {}

    @property
    def job(self) -> dict[str, Any]:
        """The job in it, out of its outer envelope; empty without a job."""
        body = self.json if self.status == 200 and self.whole else {}
        inner = body.get("data")
        return inner if isinstance(inner, dict) and "id" in inner else body

    @property
    def error(self) -> Mapping[str, Any]:
        """The members that describe an error, in either envelope."""
        nested = self.json.get("error")
        return nested if isinstance(nested, dict) else self.json

    @property
    def message(self) -> str:
        """What went wrong, for the caller."""
        return str(self.error.get("message") or (f"an answer of {self.status}" if self.status else "no whole answer"))

    @property
    def passing(self) -> bool:
        """Whether it is trouble that may pass."""
        return not self.whole or (self.status in PASSING and self.error.get("code") != "model_not_found")

    @property
    def retry_after(self) -> float:
        """The seconds that it asks to wait; 0 without such a header."""
        value = self.header("retry-after")
        try:
            return float(value)
        except ValueError:
            pass
        try:
            return (parsedate_to_datetime(value) - parsedate_to_datetime(self.header("date"))).total_seconds()
        except (TypeError, ValueError):
            return 0.0


LOST = Answer(0)


class GivenUp(Exception):
    """The call has come to its end; the arguments are the outcome and the reason."""


#: Yields requests and seconds, is sent an answer for each request, and returns the result.
Course: TypeAlias = Generator[Request | float, Answer, Result]
_Part: TypeAlias = Generator[Request | float, Answer, Any]


class Call:
    """One call."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._begun = time.monotonic()

    def course(self) -> Course:
        """From the create to the stored video."""
        job: dict[str, Any] = {}
        path = None
        error = None
        outcome = "completed"
        try:
            job = yield from self._create()
            job = yield from self._polled(job)
            if job["status"] != "completed":
                outcome, error = "failed", _error("failed", _reason(job))
        except GivenUp as given_up:
            outcome, message = given_up.args
            error = _error(outcome, message)
        if outcome == "completed":
            try:
                path = yield from self._download(job)
            except GivenUp as given_up:
                error = _error("download", given_up.args[1])
        video = {name: job.get(name) for name in ("id", "status", "model")} if job else None
        return {"outcome": outcome, "video": video, "content_path": path, "error": error}

    def _create(self) -> _Part:
        kept = self._kept()
        if "job" in kept:
            return kept["job"]
        if kept:
            raise GivenUp("error", "the create was sent before, and its answer was lost: a job may exist")
        given = self._case["input"]
        texts = {name: given[name] for name in ("prompt", "model", "size") if given.get(name) is not None}
        files = tuple(
            File(image["filename"], Path(image["path"]).read_bytes(), image["content_type"])
            for image in given["images"]
        )
        troubles = 0
        self._keep({"sent": True})
        while True:
            answer = yield self._request("create", fields=texts, files=files)
            if answer.job.get("id"):
                self._keep({"job": answer.job})
                return answer.job
            # Each create is paid for: it is sent again only where the first was certainly not applied.
            if answer.status not in NOT_APPLIED or not answer.passing:
                raise GivenUp("error", answer.message)
            yield from self._wait(answer, troubles)
            troubles += 1

    def _polled(self, job: dict[str, Any]) -> _Part:
        made, troubles = job, 0
        while job["status"] not in ("completed", "failed", "error"):
            if not troubles:
                yield from self._sleep(float(self._case["poll_interval_s"]))
            answer = yield self._request("retrieve", made["id"])
            if answer.job.get("status"):
                job, troubles = {**made, **answer.job, "id": made["id"]}, 0
                continue
            unseen = answer.error.get("code") == "task_not_exist" and troubles < TRIES
            # An answer of 200 without a job is a proxy's.
            if not (answer.passing or answer.status == 200 or unseen):
                raise GivenUp("error", answer.message)
            yield from self._wait(answer, troubles)
            troubles += 1
        return job

    def _download(self, job: dict[str, Any]) -> _Part:
        for troubles in range(TRIES):
            answer = yield self._request("content", job["id"])
            if answer.is_video:
                path = Path(self._case["state_dir"], "video.mp4")
                path.write_bytes(answer.body)
                return str(path)
            if not answer.passing and answer.status != 200:
                break
            yield from self._wait(answer, troubles)
        raise GivenUp("error", answer.message)

    def _kept(self) -> dict[str, Any]:
        """What an earlier start of the same call has kept."""
        try:
            kept: dict[str, Any] = json.loads(self._state.read_bytes())
        except FileNotFoundError:
            return {}
        except ValueError:
            raise GivenUp("error", f"{self._state} cannot be read: a job may exist") from None
        return kept

    def _keep(self, state: Mapping[str, Any]) -> None:
        """Keep it for the next start, should this one be killed."""
        new = self._state.with_suffix(".new")
        with new.open("w") as file:
            json.dump(state, file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._state)

    @property
    def _state(self) -> Path:
        return Path(self._case["state_dir"], "job.json")

    def _request(self, operation: str, job: str = "", **form: Any) -> Request:
        timeout = max(self._left(), LEAST)
        return Request(operation, self._case["base_url"], self._case["api_key"], timeout, job, **form)

    def _wait(self, answer: Answer, troubles: int) -> _Part:
        pause = float(self._case["poll_interval_s"]) * 2 ** min(troubles, 6)
        yield from self._sleep(max(answer.retry_after, pause))

    def _sleep(self, seconds: float) -> _Part:
        if seconds > self._left():
            raise GivenUp("timeout", f"not done after {self._case['deadline_s']:g} s")
        yield seconds

    def _left(self) -> float:
        return float(self._case["deadline_s"]) - (time.monotonic() - self._begun)


def _error(kind: str, message: str) -> dict[str, str]:
    return {"type": kind, "message": message}


def _reason(job: Mapping[str, Any]) -> str:
    error = job.get("error")
    return str((error.get("message") if isinstance(error, dict) else error) or "it failed without a reason")


def played(case: Case, send: Callable[[Request], Answer]) -> Result:
    """The result of a call whose requests `send` carries."""
    course = Call(case).course()
    try:
        step = next(course)
        while True:
            if isinstance(step, Request):
                step = course.send(send(step))
            else:
                time.sleep(step)
                step = next(course)
    except StopIteration as end:
        result: Result = end.value
        return result


async def played_async(case: Case, send: Callable[[Request], Awaitable[Answer]]) -> Result:
    """The same in a loop of asyncio."""
    course = Call(case).course()
    try:
        step = next(course)
        while True:
            if isinstance(step, Request):
                step = course.send(await send(step))
            else:
                await asyncio.sleep(step)
                step = next(course)
    except StopIteration as end:
        result: Result = end.value
        return result
