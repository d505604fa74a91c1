"""Mutants of the zoo that take something for the end of a job that is none: trouble, a field, a word."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

from mockveo_contracts import Outcome
from zoo_client import Answer, Client, Job, Trouble, mutant

# Trouble


class _GivesUp(Client):
    """A client that takes some trouble of polls for the end."""

    def is_fatal(self, answer: Answer) -> bool:
        raise NotImplementedError

    def may_poll_again(self, answer: Answer, troubles: int) -> bool:
        return not self.is_fatal(answer) and super().may_poll_again(answer, troubles)


@mutant("survive-transient", only=True)
class GivesUpAtTrouble(_GivesUp):
    """A poll that meets anything but 200 loses the job."""

    def is_fatal(self, answer: Answer) -> bool:
        return answer.status != 200


@mutant("survive-transient")
class GivesUpAt429(_GivesUp):
    """A poll that is one too many loses the job."""

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
    """A page of HTML loses the job."""

    def is_fatal(self, answer: Answer) -> bool:
        return answer.body.startswith(b"<html")


@mutant("survive-transient")
class OneTry(_GivesUp):
    """The second trouble in a row loses the job."""

    def may_poll_again(self, answer: Answer, troubles: int) -> bool:
        return troubles < 1 and super().may_poll_again(answer, troubles)

    def is_fatal(self, _answer: Answer) -> bool:
        return False


@mutant("survive-transient")
class OneDownload(Client):
    """A download that meets trouble is not tried again, and the job taken for lost."""

    def may_fetch_again(self, _answer: Answer) -> bool:
        return False

    def outcome(self, job: Job) -> Outcome:
        done = super().outcome(job)
        return self.went_wrong(done.error["message"]) if done.outcome == "completed" and done.error else done


@mutant("bad-json-on-poll", only=True)
class GivesUpAtBadJson(_GivesUp):
    """A poll that is answered 200 without JSON loses the job."""

    def is_fatal(self, answer: Answer) -> bool:
        return answer.status == 200


# Whatever an answer holds


@mutant("poll-until-terminal", only=True)
class FewPolls(Client):
    """It gives up after three polls."""

    def follow(self, created: Job) -> Job:
        self.polls = count(1)
        return super().follow(created)

    def interval(self) -> float:
        if next(self.polls) > 3:
            raise Trouble("it takes too long")
        return super().interval()


class _Strict(Client):
    """A client that takes something about an answer for an error."""

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
    """It takes the id from `task_id`, which the create has not."""

    def check(self, job: Mapping[str, Any]) -> None:
        job["task_id"]


@mutant("poll-until-terminal")
class SecondsAsNumber(_Strict):
    """`seconds` is read as a number, and is an empty text."""

    def check(self, job: Mapping[str, Any]) -> None:
        int(job.get("seconds", "0"))


@mutant("poll-until-terminal")
class ProgressAsNumber(_Strict):
    """`progress` is read as a number, and may be a text."""

    def check(self, job: Mapping[str, Any]) -> None:
        int(job.get("progress", 0))


@mutant("poll-until-terminal")
class WantsProgress(_Strict):
    """`progress` has to be there."""

    def check(self, job: Mapping[str, Any]) -> None:
        job["progress"]


@mutant("poll-until-terminal")
class KnownFieldsOnly(_Strict):
    """A field that is not known is an error."""

    def check(self, job: Mapping[str, Any]) -> None:
        known = "id object model status progress created_at seconds size task_id completed_at video_url error"
        unknown = set(job) - set(known.split())
        if unknown:
            raise ValueError(unknown)


@mutant("poll-until-terminal")
class ErrorIsThere(_Strict):
    """An `error` that is there is one, null or not."""

    def check(self, job: Mapping[str, Any]) -> None:
        if "error" in job:
            raise ValueError(job["error"])


@mutant("poll-until-terminal")
class ModelAsSent(_Strict):
    """A model that is not the one that was sent is an error."""

    def check(self, job: Mapping[str, Any]) -> None:
        if self.given.model not in (None, job["model"]):
            raise ValueError(job["model"])


@mutant("poll-until-terminal")
class KnowsOrder(Client):
    """The id is looked for in front of everything else."""

    def job(self, answer: Answer) -> Job:
        job = super().job(answer)
        if job.get("status") == "in_progress" and next(iter(job)) != "id":
            raise Trouble("no id")
        return job


@mutant("poll-until-terminal")
class PlainJson(Client):
    """A Content-Type with a charset is not known."""

    def job(self, answer: Answer) -> Job:
        if answer.status == 200 and "charset" in answer.headers.get("content-type", ""):
            raise Trouble("no JSON")
        return super().job(answer)


@mutant("poll-until-terminal")
class QueuedIsAnError(_Strict):
    """A job that is queued when it is polled is stuck."""

    def check(self, job: Mapping[str, Any]) -> None:
        if job["status"] == "queued" and "task_id" in job:
            raise ValueError("queued")


@mutant("poll-until-terminal", "no-false-success")
class EndsAt99(Client):
    """A progress of 99 is the end."""

    def succeeded(self, job: Job) -> bool:
        return job.get("progress") in (99, 100) or super().succeeded(job)


@mutant("poll-until-terminal", "no-false-success")
class EndsAtCompletedAt(Client):
    """`completed_at` is the end."""

    def succeeded(self, job: Job) -> bool:
        return "completed_at" in job or super().succeeded(job)


@mutant("poll-until-terminal", "no-false-success")
class EndsWhenNotQueued(Client):
    """Whatever is not queued is the end."""

    def succeeded(self, job: Job) -> bool:
        return self.status(job) == "in_progress" or super().succeeded(job)


@mutant("poll-until-terminal", "no-false-success")
class DeadlineIsSuccess(Client):
    """At its deadline it says that all is well."""

    def timed_out(self, _message: str) -> Outcome:
        return Outcome("completed")
