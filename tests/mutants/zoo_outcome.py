"""Mutants that report a wrong outcome."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from mockveo_contracts import DeadlinePassed, Outcome
from zoo_client import PASSING, Answer, CorrectClient, Job, Trouble, error_of, mutant

# The end of a job


@mutant("no-false-success", only=True)
class ErrorsAreSuccess(CorrectClient):
    """A create that was refused is reported as completed."""

    made = False

    def follow(self, created: Job) -> Job:
        self.made = True
        return super().follow(created)

    def went_wrong(self, message: str) -> Outcome:
        return super().went_wrong(message) if self.made else Outcome("completed")


@mutant("no-false-success", "report-failed")
class FailedIsSuccess(CorrectClient):
    """Any end counts as completed."""

    def outcome(self, job: Job) -> Outcome:
        return Outcome("completed", self.video(job)) if self.failed(job) else super().outcome(job)


@mutant("no-false-success", "poll-until-terminal")
class AcceptedIsSuccess(CorrectClient):
    """A create that was answered with 200 counts as completed."""

    def follow(self, created: Job) -> Job:
        return created

    def outcome(self, job: Job) -> Outcome:
        return Outcome("completed", self.video(job))


@mutant("no-false-success", "unknown-status")
class UnknownIsSuccess(CorrectClient):
    """A status other than queued, in progress or failed counts as success, as in SDKs."""

    def succeeded(self, job: Job) -> bool:
        return self.status(job) not in ("queued", "in_progress") and not self.failed(job)


# Failures that the API never reported


class _Fails(CorrectClient):
    """A client that reports `failed` for errors of its own once its job exists."""

    made = False

    def follow(self, created: Job) -> Job:
        self.made = True
        return super().follow(created)

    def went_wrong(self, message: str) -> Outcome:
        return self.as_failed(message) if self.made else super().went_wrong(message)

    def as_failed(self, message: str) -> Outcome:
        return Outcome("failed", error=error_of("failed", message))


@mutant("no-false-failure", only=True)
class RefusedPollIsFailure(_Fails):
    """A poll that is refused, e.g. with 404, is reported as a failed job."""


@mutant("no-false-failure", "survive-transient")
class BusyPollIsFailure(_Fails):
    """A poll that is answered with 5xx is reported as a failed job."""

    def may_poll_again(self, answer: Answer, troubles: int) -> bool:
        return answer.status not in PASSING and super().may_poll_again(answer, troubles)


@mutant("no-false-failure", "bad-json-on-poll")
class UnreadablePollIsFailure(_Fails):
    """A poll that is answered with 200 and without a status is reported as a failed job."""

    def may_poll_again(self, answer: Answer, troubles: int) -> bool:
        return answer.status != 200 and super().may_poll_again(answer, troubles)


@mutant("no-false-failure")
class LostCreateIsFailure(_Fails):
    """A create whose answer is lost is reported as a failed job."""

    def went_wrong(self, message: str) -> Outcome:
        return super().went_wrong(message) if self.made else self.as_failed(message)


@mutant("no-false-failure", "report-completed")
class BrokenDownloadIsFailure(_Fails):
    """A download that does not succeed is reported as a failed job."""

    def outcome(self, job: Job) -> Outcome:
        done = super().outcome(job)
        return self.as_failed(done.error["message"]) if done.outcome == "completed" and done.error else done


@mutant("no-false-failure", "poll-until-terminal")
class DeadlineIsFailure(_Fails):
    """A deadline that passes is reported as a failed job."""

    def timed_out(self, message: str) -> Outcome:
        return self.went_wrong(message)


# Clients that give up at once


@mutant("poll-until-terminal")
class DeadlineInMilliseconds(CorrectClient):
    """The deadline is read in milliseconds, so that the client gives up at once."""

    def deadline(self) -> float:
        return self.case.deadline_s / 1000


@mutant("survive-transient", "poll-until-terminal")
class TroubleIsTimeout(CorrectClient):
    """A poll that is answered with 5xx is reported as a timeout at once."""

    def may_poll_again(self, answer: Answer, troubles: int) -> bool:
        if answer.status in PASSING:
            raise DeadlinePassed(f"an answer of {answer.status}")
        return super().may_poll_again(answer, troubles)


@mutant("unknown-status", only=True)
class UnknownIsFailure(CorrectClient):
    """An unknown status counts as failure."""

    def failed(self, job: Job) -> bool:
        return self.status(job) not in ("queued", "in_progress") and not self.succeeded(job)


@mutant("report-failed", only=True)
class FailedIsTimeout(CorrectClient):
    """A failed job is reported as a timeout."""

    def outcome(self, job: Job) -> Outcome:
        return self.timed_out(self.reason(job)) if self.failed(job) else super().outcome(job)


@mutant("report-failed")
class WaitsForSuccess(CorrectClient):
    """A failed job is polled until the deadline."""

    def failed(self, _job: Job) -> bool:
        return False


@mutant("report-failed")
class ErrorIsNoEnd(CorrectClient):
    """The status `error` does not count as an end."""

    def failed(self, job: Job) -> bool:
        return self.status(job) == "failed"


@mutant("report-completed")
class WaitsForSucceeded(CorrectClient):
    """It waits for another API's word for completed."""

    def succeeded(self, job: Job) -> bool:
        return self.status(job) == "succeeded"


@mutant("report-completed")
class WaitsForUrl(CorrectClient):
    """It waits for a `video_url`, which may never come."""

    def succeeded(self, job: Job) -> bool:
        return super().succeeded(job) and bool(job.get("video_url"))


@mutant("report-completed")
class WaitsForProgress(CorrectClient):
    """It waits for a progress of exactly 100."""

    def succeeded(self, job: Job) -> bool:
        return super().succeeded(job) and job.get("progress") == 100


@mutant("report-completed", only=True)
class WantsUrl(CorrectClient):
    """A completed job without a `video_url` is reported as an error."""

    def outcome(self, job: Job) -> Outcome:
        if self.succeeded(job) and not job.get("video_url"):
            return self.went_wrong("there is no video_url")
        return super().outcome(job)


@mutant("report-completed")
class WantsPolls(CorrectClient):
    """A job that is completed in the answer to the create is reported as an error."""

    def follow(self, created: Job) -> Job:
        if self.succeeded(created):
            raise Trouble("wanted queued")
        return super().follow(created)


# The result


@mutant("result-id", only=True)
class ResultIdInCapitals(CorrectClient):
    """The id is reported in upper case."""

    def video(self, job: Job) -> dict[str, Any]:
        return {**super().video(job), "id": str(job["id"]).upper()}


@mutant("result-id")
class ResultIdOfCase(CorrectClient):
    """The client's own id is reported."""

    def video(self, job: Job) -> dict[str, Any]:
        return {**super().video(job), "id": self.case.id}


@mutant("result-model", only=True)
class ResultModelAsSent(CorrectClient):
    """The alias that was sent is reported as the model."""

    def video(self, job: Job) -> dict[str, Any]:
        return {**super().video(job), "model": self.input.model or "veo3-fast"}


@mutant("result-model")
class ResultModelOfCreate(CorrectClient):
    """The model of the answer to the create is reported, whatever the polls say."""

    def follow(self, created: Job) -> Job:
        return {**super().follow(created), "model": created.get("model")}


@mutant("result-status", only=True)
class ResultStatusOfCreate(CorrectClient):
    """The status of the answer to the create is reported."""

    created: Job = MappingProxyType({})

    def follow(self, created: Job) -> Job:
        self.created = created
        return super().follow(created)

    def video(self, job: Job) -> dict[str, Any]:
        return {**super().video(job), "status": self.created.get("status")}


@mutant("failure-reason", only=True)
class DropsReason(CorrectClient):
    """The reason of a failed job is dropped."""

    def reason(self, _job: Job) -> str:
        return "the video could not be made"


@mutant("failure-reason")
class CodeForReason(CorrectClient):
    """Only the code of the reason is reported."""

    def reason(self, job: Job) -> str:
        error = job.get("error")
        return str(error.get("code")) if isinstance(error, dict) else super().reason(job)


@mutant("failure-reason")
class ReasonOfGateway(CorrectClient):
    """The reason is read from `fail_reason` only."""

    def reason(self, job: Job) -> str:
        return str(job.get("fail_reason") or "it failed")


@mutant("error-envelopes", only=True)
class NestedOnly(CorrectClient):
    """Errors are understood in the nested envelope only."""

    def message(self, answer: Answer) -> str:
        return super().message(answer) if "error" in answer.json else f"an answer of {answer.status}"


@mutant("error-envelopes")
class FlatOnly(CorrectClient):
    """Errors are understood in the flat envelope only."""

    def message(self, answer: Answer) -> str:
        return str(answer.json.get("message") or f"an answer of {answer.status}")
