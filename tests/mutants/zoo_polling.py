"""Mutants that stop polling too early: after a failure, or because of a field or a word."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import count
from typing import Any

from mockveo_contracts import Outcome
from zoo_client import Answer, CorrectClient, Job, Trouble, mutant

# Failures of polls


class _GivesUp(CorrectClient):
    """A client that gives a job up after some failures of polls."""

    def is_fatal(self, answer: Answer) -> bool:
        raise NotImplementedError

    def may_poll_again(self, answer: Answer, troubles: int) -> bool:
        return not self.is_fatal(answer) and super().may_poll_again(answer, troubles)


@mutant("survive-transient", only=True)
class GivesUpAtTrouble(_GivesUp):
    """Any status but 200 loses the job."""

    def is_fatal(self, answer: Answer) -> bool:
        return answer.status != 200


@mutant("survive-transient")
class GivesUpAt429(_GivesUp):
    """A poll that is rate limited loses the job."""

    def is_fatal(self, answer: Answer) -> bool:
        return answer.status == 429


@mutant("survive-transient")
class GivesUpAtReset(_GivesUp):
    """A poll whose connection breaks loses the job."""

    def is_fatal(self, answer: Answer) -> bool:
        return answer.status == 0


@mutant("survive-transient")
class GivesUpAt524(_GivesUp):
    """A status that http.HTTPStatus does not know loses the job."""

    def is_fatal(self, answer: Answer) -> bool:
        return answer.status == 524


@mutant("survive-transient")
class GivesUpAtPages(_GivesUp):
    """An HTML page loses the job."""

    def is_fatal(self, answer: Answer) -> bool:
        return answer.body.startswith(b"<html")


@mutant("survive-transient")
class OneTry(_GivesUp):
    """The second failed poll in a row loses the job."""

    def may_poll_again(self, answer: Answer, troubles: int) -> bool:
        return troubles < 1 and super().may_poll_again(answer, troubles)

    def is_fatal(self, _answer: Answer) -> bool:
        return False


@mutant("survive-transient")
class OneDownload(CorrectClient):
    """A failed download is not retried, and the job is reported as lost."""

    def may_fetch_again(self, _answer: Answer) -> bool:
        return False

    def outcome(self, job: Job) -> Outcome:
        done = super().outcome(job)
        return self.went_wrong(done.error["message"]) if done.outcome == "completed" and done.error else done


@mutant("bad-json-on-poll", only=True)
class GivesUpAtBadJson(_GivesUp):
    """A poll that is answered with 200 but not JSON loses the job."""

    def is_fatal(self, answer: Answer) -> bool:
        return answer.status == 200 and not answer.json


# Fields of answers


@mutant("poll-until-terminal", only=True)
class FewPolls(CorrectClient):
    """It gives up after three polls."""

    def follow(self, created: Job) -> Job:
        self.polls = count(1)
        return super().follow(created)

    def interval(self) -> float:
        if next(self.polls) > 3:
            raise Trouble("it takes too long")
        return super().interval()


class _Strict(CorrectClient):
    """A client that takes something in an answer as an error."""

    def check(self, job: Mapping[str, Any]) -> None:
        raise NotImplementedError

    def ended(self, job: Job) -> bool:
        if not super().ended(job):
            try:
                self.check(job)
            except (KeyError, TypeError, ValueError) as error:
                raise Trouble(repr(error)) from error
        return super().ended(job)


@mutant("poll-until-terminal")
class WantsTaskId(_Strict):
    """It reads the id from `task_id`, which the answer to the create lacks."""

    def check(self, job: Mapping[str, Any]) -> None:
        job["task_id"]


@mutant("poll-until-terminal", unlikely="no generated style leaves out the object")
class WantsObject(_Strict):
    """What does not call itself a video is no job."""

    def check(self, job: Mapping[str, Any]) -> None:
        if job["object"] != "video":
            raise ValueError(job["object"])


@mutant("poll-until-terminal")
class KnowsIds(_Strict):
    """An id that does not look like those of the page is an error."""

    def check(self, job: Mapping[str, Any]) -> None:
        if not re.fullmatch("task_[A-Za-z0-9]{32}", job["id"]):
            raise ValueError(job["id"])


@mutant("poll-until-terminal")
class SecondsAsNumber(_Strict):
    """`seconds` is read as a number, but is an empty string."""

    def check(self, job: Mapping[str, Any]) -> None:
        int(job.get("seconds", "0"))


@mutant("poll-until-terminal")
class ProgressAsNumber(_Strict):
    """`progress` is read as a number, but may be a string."""

    def check(self, job: Mapping[str, Any]) -> None:
        int(job.get("progress", 0))


@mutant("poll-until-terminal")
class WantsProgress(_Strict):
    """`progress` is required."""

    def check(self, job: Mapping[str, Any]) -> None:
        job["progress"]


@mutant("poll-until-terminal")
class KnownFieldsOnly(_Strict):
    """An unknown field is an error."""

    def check(self, job: Mapping[str, Any]) -> None:
        documented = "id object model status progress created_at seconds size task_id completed_at video_url error"
        unknown = set(job) - set(documented.split())
        if unknown:
            raise ValueError(unknown)


@mutant("poll-until-terminal")
class ErrorIsThere(_Strict):
    """The key `error` counts as an error, even if it is null."""

    def check(self, job: Mapping[str, Any]) -> None:
        if "error" in job:
            raise ValueError(job["error"])


@mutant("poll-until-terminal")
class ModelAsSent(_Strict):
    """A model other than the one that was sent is an error."""

    def check(self, job: Mapping[str, Any]) -> None:
        if self.input.model not in (None, job["model"]):
            raise ValueError(job["model"])


@mutant("poll-until-terminal")
class KnowsOrder(CorrectClient):
    """The id must be the first key."""

    def job(self, answer: Answer) -> Job:
        job = super().job(answer)
        if job.get("status") == "in_progress" and next(iter(job)) != "id":
            raise Trouble("no id")
        return job


@mutant("poll-until-terminal")
class PlainJson(CorrectClient):
    """A Content-Type with a charset is an error."""

    def job(self, answer: Answer) -> Job:
        if answer.status == 200 and "charset" in answer.headers.get("content-type", ""):
            raise Trouble("no JSON")
        return super().job(answer)


@mutant("poll-until-terminal")
class QueuedIsAnError(_Strict):
    """A job that is still queued when it is polled counts as stuck."""

    def check(self, job: Mapping[str, Any]) -> None:
        if job["status"] == "queued" and "task_id" in job:
            raise ValueError("queued")


@mutant("poll-until-terminal", "no-false-success")
class EndsAt99(CorrectClient):
    """A progress of 99 counts as the end."""

    def succeeded(self, job: Job) -> bool:
        return job.get("progress") in (99, 100) or super().succeeded(job)


@mutant("poll-until-terminal", "no-false-success")
class EndsAtCompletedAt(CorrectClient):
    """`completed_at` counts as the end."""

    def succeeded(self, job: Job) -> bool:
        return "completed_at" in job or super().succeeded(job)


@mutant("poll-until-terminal", "no-false-success")
class EndsWhenNotQueued(CorrectClient):
    """Any status but queued counts as the end."""

    def succeeded(self, job: Job) -> bool:
        return self.status(job) == "in_progress" or super().succeeded(job)


@mutant("poll-until-terminal", "no-false-success")
class DeadlineIsSuccess(CorrectClient):
    """At its deadline it reports success."""

    def timed_out(self, _message: str) -> Outcome:
        return Outcome("completed")
