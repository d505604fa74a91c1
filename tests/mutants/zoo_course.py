"""Mutants of the zoo that go wrong between requests: what follows what, and after how long."""

from __future__ import annotations

import time
from collections.abc import Mapping

from mockveo_contracts import Outcome
from zoo_client import Answer, Client, Job, Trouble, mutant

# Creates


@mutant("create-once", only=True)
class CreatesTwice(Client):
    """The create is sent twice, and the second job followed."""

    def create(self) -> Job:
        super().create()
        return super().create()


@mutant("create-once")
class TriesFailedAgain(Client):
    """A job that failed is made again."""

    def outcome(self, job: Job) -> Outcome:
        return super().outcome(self.follow(self.create()) if self.failed(job) else job)


@mutant("create-once")
class MakesAnother(Client):
    """A job whose poll is in trouble is made again."""

    def follow(self, created: Job) -> Job:
        try:
            return super().follow(created)
        except Trouble:
            return super().follow(self.create())


@mutant("create-once")
class WarmsUp(Client):
    """For each image there is a create."""

    def create(self) -> Job:
        for _ in self.images()[1:]:
            super().create()
        return super().create()


@mutant("no-blind-retry", only=True)
class RetriesLost(Client):
    """A create whose answer was lost is sent again, as SDKs do."""

    def may_create_again(self, answer: Answer) -> bool:
        return answer.status == 0 or super().may_create_again(answer)


@mutant("no-blind-retry")
class RetriesServerErrors(Client):
    """A create that met 5xx is sent again."""

    def may_create_again(self, answer: Answer) -> bool:
        return answer.status in (500, 502, 504, 524) or super().may_create_again(answer)


@mutant("no-blind-retry")
class RetriesOdd(Client):
    """A create that was answered 200 without a job is sent again."""

    def may_create_again(self, answer: Answer) -> bool:
        return answer.status == 200 or super().may_create_again(answer)


@mutant("no-retry-4xx", only=True)
class RetriesRefused(Client):
    """A create that was refused as invalid is sent again."""

    def may_create_again(self, answer: Answer) -> bool:
        return answer.status == 400 or super().may_create_again(answer)


@mutant("no-retry-4xx")
class RetriesForbidden(Client):
    """A create that is not allowed is sent again."""

    def may_create_again(self, answer: Answer) -> bool:
        return answer.status in (401, 403) or super().may_create_again(answer)


@mutant("no-retry-4xx")
class RetriesModel(Client):
    """A create for a model that no channel serves is sent again, since its status is 503."""

    def may_create_again(self, answer: Answer) -> bool:
        return answer.status == 503 or super().may_create_again(answer)


@mutant("redirect-method", only=True)
class GetAfter307(Client):
    """A create that is redirected becomes a GET, whatever the status."""

    def method_after(self, _status: int, _method: str) -> str:
        return "GET"


@mutant("redirect-method")
class LosesImagesAfter307(Client):
    """A create that is redirected loses its images."""

    def send(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        if method == "POST" and "ticket=" in url:
            boundary = headers["Content-Type"].rpartition("=")[2].encode()
            body = self.joined(boundary, [self.text(name, value) for name, value in self.fields().items()])
        return super().send(method, url, body, headers)


@mutant("redirect-302-get", only=True)
class PostsAfter303(Client):
    """A create that is redirected is sent again, whatever the status."""

    def method_after(self, _status: int, method: str) -> str:
        return method


# Polls


@mutant("poll-own-id", only=True)
class UpperCaseId(Client):
    """The id is asked for in capitals."""

    def job_id(self, job: Job) -> str:
        return super().job_id(job).upper()


@mutant("poll-own-id")
class LowerCaseId(Client):
    """The id is asked for in small letters."""

    def job_id(self, job: Job) -> str:
        return super().job_id(job).lower()


@mutant("poll-own-id")
class WithoutPrefix(Client):
    """The id is asked for without what is in front of it."""

    def job_id(self, job: Job) -> str:
        return super().job_id(job).removeprefix("task_")


@mutant("poll-own-id")
class ShortId(Client):
    """The id is kept in a column of 32 characters."""

    def job_id(self, job: Job) -> str:
        return super().job_id(job)[:32]


@mutant("poll-interval", only=True)
class HalfInterval(Client):
    """Polls are twice as close as was asked for."""

    def interval(self) -> float:
        return super().interval() / 2


@mutant("poll-interval")
class NoPause(Client):
    """Polls come without a pause."""

    def interval(self) -> float:
        return 0.0


@mutant("poll-interval")
class Milliseconds(Client):
    """Seconds are taken for hundredths."""

    def interval(self) -> float:
        return super().interval() / 100


@mutant("stop-at-terminal", only=True)
class PollsOn(Client):
    """The job is polled twice more when it has ended."""

    def outcome(self, job: Job) -> Outcome:
        for _ in range(2):
            self.sleep(self.interval())
            self.ask("GET", self.job_url(job))
        return super().outcome(job)


@mutant("poll-4xx-stop", only=True)
class PollsWhenForbidden(Client):
    """A poll that is refused for good is tried again."""

    def may_poll_again(self, answer: Answer, troubles: int) -> bool:
        return (answer.status in (401, 403, 404) and troubles < 3) or super().may_poll_again(answer, troubles)


@mutant("poll-4xx-stop")
class PollsForGone(Client):
    """A job that is gone is polled until the deadline."""

    def may_poll_again(self, answer: Answer, troubles: int) -> bool:
        return answer.status == 404 or super().may_poll_again(answer, troubles)


@mutant("content-after-completed")
class FetchesAtOnce(Client):
    """The video is fetched instead of the status."""

    def follow(self, created: Job) -> Job:
        self.ask("GET", self.content_url(created))
        return super().follow(created)


@mutant("content-after-completed", only=True)
class FetchesInProgress(Client):
    """The video is fetched when the job has begun, in case it is there."""

    def ended(self, job: Job) -> bool:
        if self.status(job) == "in_progress":
            self.sleep(self.retry_after(self.ask("GET", self.content_url(job))))
        return super().ended(job)


@mutant("content-after-completed")
class FetchesAt100(Client):
    """The video is fetched when the progress is 100, completed or not."""

    def ended(self, job: Job) -> bool:
        if job.get("progress") == 100 and not super().ended(job):
            self.ask("GET", self.content_url(job))
        return super().ended(job)


# Pauses


@mutant("retry-after", only=True)
class IgnoresRetryAfter(Client):
    """Retry-After is not looked at."""

    def retry_after(self, _answer: Answer) -> float:
        return 0.0


@mutant("retry-after")
class IgnoresDates(Client):
    """Of Retry-After only seconds are understood."""

    def seconds_until(self, _date: str, _answer: Answer) -> float:
        return 0.0


@mutant("retry-after")
class RetryAfterInMilliseconds(Client):
    """Seconds of Retry-After are taken for milliseconds."""

    def retry_after(self, answer: Answer) -> float:
        return super().retry_after(answer) / 1000


@mutant("retry-after")
class RetryAfterOfCreates(Client):
    """Retry-After is heeded at the create alone."""

    def follow(self, created: Job) -> Job:
        self.retry_after = lambda _: 0.0  # type: ignore[assignment, method-assign]
        return super().follow(created)


@mutant("backoff", only=True)
class ConstantPauses(Client):
    """Trouble is met with pauses that do not grow."""

    def pause(self, _attempt: int) -> float:
        return super().pause(1)


@mutant("backoff")
class HastyDownloads(Client):
    """Downloads are tried again at once."""

    def download(self, job: Job) -> str:
        self.pause = lambda _: 0.0  # type: ignore[assignment, method-assign]
        return super().download(job)


@mutant("retry-bounded", only=True)
class Hammers(Client):
    """Pauses grow, but anew from every fourth on, so that a hundred of them are no time."""

    def pause(self, attempt: int) -> float:
        return 0.0025 * 2.0 ** (attempt % 4)


# The deadline


@mutant("deadline", only=True)
class NoDeadline(Client):
    """It waits for ever."""

    def deadline(self) -> float:
        return float("inf")


@mutant("deadline")
class DeadlineOfTroubles(Client):
    """The deadline is looked at in trouble only."""

    def interval(self) -> float:
        time.sleep(super().interval())
        return 0.0

    def sleep(self, seconds: float) -> None:
        if seconds:
            super().sleep(seconds)


@mutant("deadline")
class DeadlineOfStatus(Client):
    """The deadline begins anew with each answer."""

    def job(self, answer: Answer) -> Job:
        if answer.status == 200:
            self.begun = time.monotonic()
        return super().job(answer)


@mutant("deadline")
class LateDeadline(Client):
    """It gives up long after its deadline."""

    def deadline(self) -> float:
        return 3 * super().deadline() + 1
