"""Mutants that send the right requests in a wrong order or at a wrong pace."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed, wait

from mockveo_contracts import Outcome
from zoo_client import Answer, CorrectClient, Job, Trouble, mutant

# Creates


@mutant("create-once", only=True)
class CreatesTwice(CorrectClient):
    """The create is sent twice, and the second job is polled."""

    def create(self) -> Job:
        super().create()
        return super().create()


@mutant("create-once")
class TriesFailedAgain(CorrectClient):
    """A failed job is created again."""

    def outcome(self, job: Job) -> Outcome:
        return super().outcome(self.follow(self.create()) if self.failed(job) else job)


@mutant("create-once")
class MakesAnother(CorrectClient):
    """A job is created again when a poll fails."""

    def follow(self, created: Job) -> Job:
        try:
            return super().follow(created)
        except Trouble:
            return super().follow(self.create())


@mutant("create-once")
class WarmsUp(CorrectClient):
    """A create is sent for each image."""

    def create(self) -> Job:
        for _ in self.images()[1:]:
            super().create()
        return super().create()


@mutant("no-blind-retry", only=True)
class RetriesLost(CorrectClient):
    """A create whose answer was lost is sent again, as SDKs do."""

    def may_create_again(self, answer: Answer) -> bool:
        return answer.status == 0 or super().may_create_again(answer)


@mutant("no-blind-retry")
class RetriesServerErrors(CorrectClient):
    """A create that was answered with 5xx is sent again."""

    def may_create_again(self, answer: Answer) -> bool:
        return answer.status in (500, 502, 504, 524) or super().may_create_again(answer)


@mutant("no-blind-retry")
class RetriesOdd(CorrectClient):
    """A create that was answered with 200 but no job is sent again."""

    def may_create_again(self, answer: Answer) -> bool:
        return answer.status == 200 or super().may_create_again(answer)


@mutant("no-blind-retry")
class TimesOutSoon(CorrectClient):
    """A create that takes longer than half a second is given up, and sent again."""

    def create_timeout(self) -> float:
        return 0.5

    def may_create_again(self, answer: Answer) -> bool:
        return answer.status == 0 or super().may_create_again(answer)


@mutant("create-once", unlikely="no generated case is slow, since delays take real time")
class Hedges(CorrectClient):
    """A create that takes longer than a quarter of a second gets a rival, and the first answer counts."""

    def create(self) -> Job:
        with ThreadPoolExecutor(2) as pool:
            creates = [pool.submit(self.rival)]
            if not wait(creates, timeout=0.25).done:
                creates.append(pool.submit(self.rival))
            return next(as_completed(creates)).result()

    def rival(self) -> Job:
        client = CorrectClient(self.case)
        try:
            return client.create()
        finally:
            for connection in client.connections.values():
                connection.close()


@mutant("no-retry-4xx", only=True)
class RetriesRefused(CorrectClient):
    """A create that was refused as invalid is sent again."""

    def may_create_again(self, answer: Answer) -> bool:
        return answer.status == 400 or super().may_create_again(answer)


@mutant("no-retry-4xx")
class RetriesForbidden(CorrectClient):
    """A create that was forbidden is sent again."""

    def may_create_again(self, answer: Answer) -> bool:
        return answer.status in (401, 403) or super().may_create_again(answer)


@mutant("no-retry-4xx", unlikely="generated creates are refused with other statuses")
class RetriesUnpaid(CorrectClient):
    """A create that has to be paid for first is sent again."""

    def may_create_again(self, answer: Answer) -> bool:
        return answer.status == 402 or super().may_create_again(answer)


@mutant("no-retry-4xx", unlikely="generated creates are refused with other statuses")
class RetriesTooLarge(CorrectClient):
    """A create that is too large, or says what cannot be done, is sent again."""

    def may_create_again(self, answer: Answer) -> bool:
        return answer.status in (413, 422) or super().may_create_again(answer)


@mutant("no-retry-4xx")
class DownloadsForEver(CorrectClient):
    """A download that was refused is tried again until the deadline."""

    def download(self, job: Job) -> str:
        while True:
            try:
                return super().download(job)
            except Trouble:
                self.sleep(self.interval())


@mutant("no-retry-4xx")
class DownloadsRefused(CorrectClient):
    """A download is tried again whatever its status."""

    def may_fetch_again(self, _answer: Answer) -> bool:
        return True


@mutant("no-retry-4xx", unlikely="a 400 may be repeated 20 times, and few generated ones stay so long")
class PollsForUnknown(CorrectClient):
    """A job that the service does not know is polled until the deadline."""

    def may_poll_again(self, answer: Answer, troubles: int) -> bool:
        return answer.status == 400 or super().may_poll_again(answer, troubles)

    def pause(self, _attempt: int) -> float:
        return self.case.poll_interval_s


@mutant("no-retry-4xx")
class PollsForGone410(CorrectClient):
    """A job that is gone for good is polled until the deadline."""

    def may_poll_again(self, answer: Answer, troubles: int) -> bool:
        return answer.status == 410 or super().may_poll_again(answer, troubles)


@mutant("no-retry-4xx")
class RetriesModel(CorrectClient):
    """A create for a model that no channel serves is sent again, since its status is 503."""

    def may_create_again(self, answer: Answer) -> bool:
        return answer.status == 503 or super().may_create_again(answer)


@mutant("redirect-method", only=True)
class GetAfter307(CorrectClient):
    """A create that is redirected becomes a GET, whatever the status."""

    def method_after(self, _status: int, _method: str) -> str:
        return "GET"


@mutant("redirect-method")
class GetAfter308(CorrectClient):
    """A create that is redirected with 308, which is younger than 307, becomes a GET."""

    def method_after(self, status: int, method: str) -> str:
        return "GET" if status == 308 else super().method_after(status, method)


@mutant("redirect-method")
class LosesImagesAfter307(CorrectClient):
    """A create that is redirected loses its images."""

    def send(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        if method == "POST" and "ticket=" in url:
            boundary = headers["Content-Type"].rpartition("=")[2].encode()
            body = self.joined(boundary, [self.text(name, value) for name, value in self.fields().items()])
        return super().send(method, url, body, headers)


@mutant("redirect-302-get", only=True)
class PostsAfter303(CorrectClient):
    """A create that is redirected is sent again, whatever the status."""

    def method_after(self, _status: int, method: str) -> str:
        return method


@mutant("redirect-bounded", only=True)
class FollowsForEver(CorrectClient):
    """Redirects are followed without end."""

    def redirects(self) -> int:
        return 100


# Polls


@mutant("poll-own-id", only=True)
class UpperCaseId(CorrectClient):
    """The id is polled in upper case."""

    def job_id(self, job: Job) -> str:
        return super().job_id(job).upper()


@mutant("poll-own-id")
class LowerCaseId(CorrectClient):
    """The id is polled in lower case."""

    def job_id(self, job: Job) -> str:
        return super().job_id(job).lower()


@mutant("poll-own-id")
class WithoutPrefix(CorrectClient):
    """The id is polled without its prefix."""

    def job_id(self, job: Job) -> str:
        return super().job_id(job).removeprefix("task_")


@mutant("poll-own-id")
class ShortId(CorrectClient):
    """The id is cut to 32 characters, as in a narrow database column."""

    def job_id(self, job: Job) -> str:
        return super().job_id(job)[:32]


@mutant("poll-own-id")
class FloatId(CorrectClient):
    """An id of digits becomes a float, as in a spreadsheet."""

    def job_id(self, job: Job) -> str:
        job_id = super().job_id(job)
        return f"{float(job_id):g}" if job_id.isdigit() else job_id


@mutant("poll-own-id")
class LettersOfId(CorrectClient):
    """Characters of the id that are no letters, digits or underscores are dropped."""

    def job_id(self, job: Job) -> str:
        return re.sub(r"\W", "", super().job_id(job))


@mutant("poll-own-id")
class IntegerId(CorrectClient):
    """An id of digits becomes a number, which has no leading zeros."""

    def job_id(self, job: Job) -> str:
        text = super().job_id(job)
        return str(int(text)) if text.isdigit() else text


@mutant("poll-own-id")
class TwoWordsOfId(CorrectClient):
    """The id is taken for a word, an underscore and another word."""

    def job_id(self, job: Job) -> str:
        return "_".join(super().job_id(job).split("_")[:2])


@mutant("poll-own-id")
class WithoutFullStop(CorrectClient):
    """The id loses a full stop at its end, as in the text of a log."""

    def job_id(self, job: Job) -> str:
        return super().job_id(job).rstrip(".")


@mutant("id-encoded", only=True)
class PlainId(CorrectClient):
    """The id is put into the path as it is."""

    def segment(self, text: str) -> str:
        return text


@mutant("id-encoded")
class EncodesIdTwice(CorrectClient):
    """The id is encoded by the client and by its HTTP library."""

    def segment(self, text: str) -> str:
        return super().segment(super().segment(text))


@mutant("poll-interval", only=True)
class HalfInterval(CorrectClient):
    """The interval between polls is half the requested one."""

    def interval(self) -> float:
        return super().interval() / 2


@mutant("poll-interval")
class NoPause(CorrectClient):
    """Polls come without a pause."""

    def interval(self) -> float:
        return 0.0


@mutant("poll-interval")
class IntervalInCentiseconds(CorrectClient):
    """The interval is read in hundredths of a second."""

    def interval(self) -> float:
        return super().interval() / 100


@mutant("stop-at-terminal", only=True)
class PollsOn(CorrectClient):
    """The job is polled twice more after its end."""

    def outcome(self, job: Job) -> Outcome:
        for _ in range(2):
            self.sleep(self.interval())
            self.ask("GET", self.job_url(job))
        return super().outcome(job)


@mutant("poll-4xx-stop", only=True)
class PollsWhenForbidden(CorrectClient):
    """A poll that was permanently refused is tried again."""

    def may_poll_again(self, answer: Answer, troubles: int) -> bool:
        return (answer.status in (401, 403, 404) and troubles < 3) or super().may_poll_again(answer, troubles)


@mutant("poll-4xx-stop")
class PollsForGone(CorrectClient):
    """A job that does not exist any more is polled until the deadline."""

    def may_poll_again(self, answer: Answer, troubles: int) -> bool:
        return answer.status == 404 or super().may_poll_again(answer, troubles)


@mutant("content-after-completed")
class FetchesAtOnce(CorrectClient):
    """The video is fetched instead of the status."""

    def follow(self, created: Job) -> Job:
        self.ask("GET", self.content_url(created))
        return super().follow(created)


@mutant("content-after-completed", only=True)
class FetchesInProgress(CorrectClient):
    """The video is fetched when the job has begun, in case it is ready."""

    def ended(self, job: Job) -> bool:
        if self.status(job) == "in_progress":
            self.sleep(self.retry_after(self.ask("GET", self.content_url(job))))
        return super().ended(job)


@mutant("content-after-completed")
class FetchesAt100(CorrectClient):
    """The video is fetched at a progress of 100, before the job has completed."""

    def ended(self, job: Job) -> bool:
        if job.get("progress") == 100 and not super().ended(job):
            self.ask("GET", self.content_url(job))
        return super().ended(job)


# Pauses


@mutant("retry-after", only=True)
class IgnoresRetryAfter(CorrectClient):
    """Retry-After is ignored."""

    def retry_after(self, _answer: Answer) -> float:
        return 0.0


@mutant("retry-after")
class IgnoresDates(CorrectClient):
    """Retry-After is understood in seconds only, not as a date."""

    def seconds_until(self, _date: str, _answer: Answer) -> float:
        return 0.0


@mutant("retry-after")
class RetryAfterInMilliseconds(CorrectClient):
    """Retry-After is read in milliseconds."""

    def retry_after(self, answer: Answer) -> float:
        return super().retry_after(answer) / 1000


@mutant("retry-after")
class RetryAfterOfCreates(CorrectClient):
    """Retry-After is heeded for creates only."""

    def follow(self, created: Job) -> Job:
        self.retry_after = lambda _: 0.0  # type: ignore[assignment, method-assign]
        return super().follow(created)


@mutant("backoff", only=True)
class ConstantPauses(CorrectClient):
    """The pauses between retries do not grow."""

    def pause(self, _attempt: int) -> float:
        return super().pause(1)


@mutant("backoff")
class ShrinkingPauses(CorrectClient):
    """The pauses between retries shrink, as if they had to catch up."""

    def pause(self, attempt: int) -> float:
        return super().pause(4) / (attempt + 1)


@mutant("backoff")
class HastyDownloads(CorrectClient):
    """Downloads are retried without a pause."""

    def download(self, job: Job) -> str:
        self.pause = lambda _: 0.0  # type: ignore[assignment, method-assign]
        return super().download(job)


@mutant("retry-bounded", only=True)
class Hammers(CorrectClient):
    """Pauses grow, but start again at every fourth, so that a hundred of them take no time."""

    def pause(self, attempt: int) -> float:
        return 0.0025 * 2.0 ** (attempt % 4)


# The deadline


@mutant("deadline", only=True)
class NoDeadline(CorrectClient):
    """It waits forever."""

    def deadline(self) -> float:
        return float("inf")


@mutant("deadline")
class DeadlineOfTroubles(CorrectClient):
    """The deadline is checked after failures only."""

    def interval(self) -> float:
        time.sleep(super().interval())
        return 0.0

    def sleep(self, seconds: float) -> None:
        if seconds:
            super().sleep(seconds)


@mutant("deadline")
class DeadlineOfStatus(CorrectClient):
    """The deadline starts again with each answer."""

    def job(self, answer: Answer) -> Job:
        if answer.status == 200:
            self.begun = time.monotonic()
        return super().job(answer)


@mutant("deadline")
class LateDeadline(CorrectClient):
    """It gives up long after its deadline."""

    def deadline(self) -> float:
        return 3 * super().deadline() + 1
