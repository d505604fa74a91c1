"""Mutants of the zoo that make something wrong of what they are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mockveo_contracts import Outcome
from zoo_client import Answer, Client, Job, Trouble, mutant

# What came of the job


@mutant("no-false-success", only=True)
class ErrorsAreSuccess(Client):
    """A create that was refused is reported as completed."""

    made = False

    def follow(self, created: Job) -> Job:
        self.made = True
        return super().follow(created)

    def went_wrong(self, message: str) -> Outcome:
        return super().went_wrong(message) if self.made else Outcome("completed")


@mutant("no-false-success", "report-failed")
class FailedIsSuccess(Client):
    """Whatever has ended has completed."""

    def outcome(self, job: Job) -> Outcome:
        return Outcome("completed", self.video(job)) if self.failed(job) else super().outcome(job)


@mutant("no-false-success", "poll-until-terminal")
class AcceptedIsSuccess(Client):
    """A create that was answered 200 has completed."""

    def follow(self, created: Job) -> Job:
        return created

    def outcome(self, job: Job) -> Outcome:
        return Outcome("completed", self.video(job))


@mutant("no-false-success", "unknown-status")
class UnknownIsSuccess(Client):
    """A status that is neither queued nor in progress nor failed is a success, as SDKs have it."""

    def succeeded(self, job: Job) -> bool:
        return self.status(job) not in ("queued", "in_progress") and not self.failed(job)


@mutant("unknown-status", only=True)
class UnknownIsFailure(Client):
    """A status that is not known is a failure."""

    def failed(self, job: Job) -> bool:
        return self.status(job) not in ("queued", "in_progress") and not self.succeeded(job)


@mutant("report-failed", only=True)
class FailedIsTimeout(Client):
    """A job that failed is reported as one that took too long."""

    def outcome(self, job: Job) -> Outcome:
        return self.timed_out(self.reason(job)) if self.failed(job) else super().outcome(job)


@mutant("report-failed")
class WaitsForSuccess(Client):
    """A job that failed is polled for ever."""

    def failed(self, _job: Job) -> bool:
        return False


@mutant("report-failed")
class ErrorIsNoEnd(Client):
    """The status `error` is not known for an end."""

    def failed(self, job: Job) -> bool:
        return self.status(job) == "failed"


@mutant("report-completed")
class WaitsForSucceeded(Client):
    """It waits for the word of another API."""

    def succeeded(self, job: Job) -> bool:
        return self.status(job) == "succeeded"


@mutant("report-completed")
class WaitsForUrl(Client):
    """It waits for a `video_url`, which may never come."""

    def succeeded(self, job: Job) -> bool:
        return super().succeeded(job) and bool(job.get("video_url"))


@mutant("report-completed")
class WaitsForProgress(Client):
    """It waits for a progress of exactly 100."""

    def succeeded(self, job: Job) -> bool:
        return super().succeeded(job) and job.get("progress") == 100


@mutant("report-completed", only=True)
class WantsUrl(Client):
    """A job that completed without a `video_url` is an error."""

    def outcome(self, job: Job) -> Outcome:
        if self.succeeded(job) and not job.get("video_url"):
            return self.went_wrong("there is no video_url")
        return super().outcome(job)


@mutant("report-completed")
class WantsPolls(Client):
    """A job that has completed at its create is an error."""

    def follow(self, created: Job) -> Job:
        if self.succeeded(created):
            raise Trouble("wanted queued")
        return super().follow(created)


# What is told of it


@mutant("result-id", only=True)
class ResultIdInCapitals(Client):
    """The id is told in capitals."""

    def video(self, job: Job) -> dict[str, Any]:
        return {**super().video(job), "id": str(job["id"]).upper()}


@mutant("result-id")
class ResultIdOfCase(Client):
    """The id that is told is the client's own."""

    def video(self, job: Job) -> dict[str, Any]:
        return {**super().video(job), "id": self.case.id}


@mutant("result-model", only=True)
class ResultModelAsSent(Client):
    """The model that is told is the alias that was sent."""

    def video(self, job: Job) -> dict[str, Any]:
        return {**super().video(job), "model": self.given.model or "veo3-fast"}


@mutant("failure-reason", only=True)
class NoReason(Client):
    """Why a job failed is not told."""

    def reason(self, _job: Job) -> str:
        return "the video could not be made"


@mutant("failure-reason")
class CodeForReason(Client):
    """Of the reason the code alone is told."""

    def reason(self, job: Job) -> str:
        error = job.get("error")
        return str(error.get("code")) if isinstance(error, dict) else super().reason(job)


@mutant("failure-reason")
class ReasonOfGateway(Client):
    """The reason is looked for in `fail_reason` alone."""

    def reason(self, job: Job) -> str:
        return str(job.get("fail_reason") or "it failed")


@mutant("error-envelopes", only=True)
class NestedOnly(Client):
    """Of errors the nested envelope alone is understood."""

    def message(self, answer: Answer) -> str:
        return super().message(answer) if "error" in answer.json else f"an answer of {answer.status}"


@mutant("error-envelopes")
class FlatOnly(Client):
    """Of errors the flat envelope alone is understood."""

    def message(self, answer: Answer) -> str:
        return str(answer.json.get("message") or f"an answer of {answer.status}")


# The video


class _Fetches(Client):
    """A client that stores what it should not."""

    def keeps(self, answer: Answer) -> bool:
        raise NotImplementedError

    def ask(self, method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        answer = super().ask(method, url, body, headers)
        return answer._replace(status=200) if "/content" in url and self.keeps(answer) else answer


@mutant("content-exact", only=True)
class StoresHalf(_Fetches):
    """A download that broke off is stored."""

    def keeps(self, answer: Answer) -> bool:
        return answer.status == 0 and bool(answer.body)


@mutant("content-exact")
class StoresErrors(_Fetches):
    """Whatever a download is answered is stored as the video."""

    def keeps(self, answer: Answer) -> bool:
        return answer.status >= 400


@mutant("content-exact")
class StoresText(Client):
    """The video is stored as text."""

    def store(self, data: bytes) -> str:
        return super().store(data.decode("utf-8", "replace").encode())


@mutant("content-exact")
class StoresMore(Client):
    """A line break is put behind the video."""

    def store(self, data: bytes) -> str:
        return super().store(data + b"\n")


@mutant("content-exact")
class StoresBlock(Client):
    """Of the video the first block is stored."""

    def store(self, data: bytes) -> str:
        return super().store(data[:4096])


@mutant("content-exact")
class StoresTheThumbnail(Client):
    """A picture is stored as the video."""

    def content_url(self, job: Job) -> str:
        return f"{super().content_url(job)}?variant=thumbnail"
