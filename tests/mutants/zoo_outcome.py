"""Mutants that report a wrong outcome, or store a wrong video."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mockveo_contracts import Outcome
from zoo_client import Answer, CorrectClient, Job, Trouble, mutant

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


# The video


class _Fetches(CorrectClient):
    """A client that stores something other than the video."""

    def keeps(self, answer: Answer) -> bool:
        raise NotImplementedError

    def ask(self, method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        answer = super().ask(method, url, body, headers)
        return answer._replace(status=200) if "/content" in url and self.keeps(answer) else answer


@mutant("content-exact", only=True)
class StoresHalf(_Fetches):
    """A truncated download is stored."""

    def keeps(self, answer: Answer) -> bool:
        return answer.status == 0 and bool(answer.body)


@mutant("content-exact")
class StoresErrors(_Fetches):
    """The body of any answer to a download is stored as the video."""

    def keeps(self, answer: Answer) -> bool:
        return answer.status >= 400


@mutant("content-exact")
class StoresText(CorrectClient):
    """The video is stored as text."""

    def store(self, data: bytes) -> str:
        return super().store(data.decode("utf-8", "replace").encode())


@mutant("content-exact")
class StoresMore(CorrectClient):
    """A line break is appended to the video."""

    def store(self, data: bytes) -> str:
        return super().store(data + b"\n")


@mutant("content-exact")
class StoresBlock(CorrectClient):
    """Only the first block of the video is stored."""

    def store(self, data: bytes) -> str:
        return super().store(data[:4096])


@mutant("content-exact")
class StoresTheThumbnail(CorrectClient):
    """A picture is stored as the video."""

    def content_url(self, job: Job) -> str:
        return f"{super().content_url(job)}?variant=thumbnail"
