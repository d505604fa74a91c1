"""Mutants of the small server in what they show of a job and its lifecycle."""

from __future__ import annotations

import json
from typing import Any

from small_server import LIFECYCLE, Small, SmallJob, breaks
from starlette.requests import Request
from starlette.responses import Response

# Fields and types.


def _edited(**changes: Any) -> type[Small]:
    """Return a server whose responses about jobs differ: by values, by functions of the response; None = missing."""

    class Edited(Small):
        def describe(self, job: SmallJob) -> dict[str, Any]:
            body = super().describe(job)
            for name, change in changes.items():
                body[name] = change(body, job) if callable(change) else change
                if body[name] is None:
                    del body[name]
            return body

    return Edited


@breaks("answer-schema")
class SecondsInt(Small):
    def created(self, job: SmallJob) -> dict[str, Any]:
        return {**super().created(job), "seconds": 8}


@breaks("answer-schema")
class LacksCreatedAt(_edited(created_at=None)):  # type: ignore[misc]
    pass


@breaks("answer-schema")
class LacksTaskId(Small):
    async def retrieve(self, request: Request) -> Response:
        body = json.loads((await super().retrieve(request)).body)
        del body["task_id"]
        return self.json(200, body)


@breaks("answer-schema")
class DateAsText(_edited(created_at=lambda _, __: "2026-03-12T06:33:49Z")):  # type: ignore[misc]
    pass


@breaks("answer-schema")
class ProgressAsText(_edited(progress=lambda body, _: f"{body['progress']}%")):  # type: ignore[misc]
    pass


@breaks("answer-schema", "starts-queued")
class UpperCase(_edited(status=lambda body, _: body["status"].upper())):  # type: ignore[misc]
    pass


@breaks("created-at")
class CreatedAtMilliseconds(_edited(created_at=lambda body, _: body["created_at"] * 1000)):  # type: ignore[misc]
    pass


@breaks("created-at-stable")
class DatesDrift(_edited(created_at=lambda body, job: body["created_at"] + job.polls)):  # type: ignore[misc]
    pass


@breaks("model-answered")
class EchoesAlias(_edited(model=lambda _, job: job.alias)):  # type: ignore[misc]
    pass


@breaks("model-stable", "model-answered")
class ModelFlips(Small):
    def created(self, job: SmallJob) -> dict[str, Any]:
        return {**super().created(job), "model": job.alias}


@breaks("id-agrees")
class OtherTaskId(_edited(task_id=lambda _, job: job.id.removeprefix("task_"))):  # type: ignore[misc]
    pass


@breaks("id-agrees")
class LowerCaseIds(Small):
    def new_id(self) -> str:
        return super().new_id().upper()

    async def retrieve(self, request: Request) -> Response:
        body = json.loads((await super().retrieve(request)).body)
        return self.json(200, {**body, "id": body["id"].lower()})


@breaks(size_answered="warning")
class OtherSize(_edited(size="1280x720")):  # type: ignore[misc]
    pass


@breaks("completed-at")
class CompletedBeforeCreated(_edited(completed_at=lambda body, _: body["created_at"] - 5)):  # type: ignore[misc]
    pass


# The course of jobs.


def _course(*course: tuple[str, int]) -> type[Small]:
    class Course(Small):
        def progress_of(self, job: SmallJob) -> tuple[str, int]:
            status, progress = course[min(job.polls, len(course) - 1)]
            return ("failed", course[-2:][0][1]) if job.fails and status == "completed" else (status, progress)

    return Course


DONE = ("completed", 100)


@breaks("status-order")
class StatusRegress(
    _course(("queued", 0), ("queued", 0), ("in_progress", 0), ("queued", 0), ("in_progress", 60), DONE)
):  # type: ignore[misc]
    pass


@breaks("progress-order")
class ProgressRegress(_course(("queued", 0), ("queued", 0), ("in_progress", 60), ("in_progress", 30), DONE)):  # type: ignore[misc]
    pass


@breaks("progress-complete")
class HundredEarly(_course(("queued", 0), ("queued", 0), ("in_progress", 100), ("in_progress", 100), DONE)):  # type: ignore[misc]
    pass


@breaks("progress-complete")
class CompletedAt99(_course(("queued", 0), ("queued", 0), ("in_progress", 99), ("completed", 99))):  # type: ignore[misc]
    pass


@breaks("job-ends")
class StuckAt99(_course(("queued", 0), ("queued", 0), ("in_progress", 99))):  # type: ignore[misc]
    pass


@breaks("job-ends")
class NeverStarts(_course(("queued", 0))):  # type: ignore[misc]
    pass


@breaks("starts-queued")
class CompletesBeforeItStarts(_course(DONE)):  # type: ignore[misc]
    pass


@breaks("starts-queued")
class StartsInProgress(_course(("in_progress", 5), ("in_progress", 5), DONE)):  # type: ignore[misc]
    pass


@breaks(progress_start="warning")
class QueuedAt30(_course(("queued", 0), ("queued", 30), ("in_progress", 30), DONE)):  # type: ignore[misc]
    pass


@breaks("status-final")
class FailsAfterwards(Small):
    def progress_of(self, job: SmallJob) -> tuple[str, int]:
        return ("failed", 99) if job.polls > len(LIFECYCLE) else super().progress_of(job)


@breaks("id-unique")
class DuplicateIds(Small):
    def new_id(self) -> str:
        return f"task_{'0' * 32}1"


@breaks("job-known")
class ForgetsJobs(Small):
    def describe(self, job: SmallJob) -> dict[str, Any]:
        if self.progress_of(job)[0] == "completed" and job.polls > len(LIFECYCLE) - 1:
            self.jobs.pop(job.id, None)
        return super().describe(job)


@breaks(visible_at_once="warning")
class Lags(Small):
    def __init__(self) -> None:
        super().__init__()
        self.polled: set[str] = set()

    async def retrieve(self, request: Request) -> Response:
        self.owner(request)
        job = self.find(request)
        if job.id not in self.polled:
            self.polled.add(job.id)
            raise self.unknown()
        return await super().retrieve(request)


@breaks(failed_error="warning")
class FailsWithoutReason(Small):
    def reason(self) -> dict[str, Any]:
        return {}


@breaks(answer_schema="warning")
class NullFields(Small):
    """Has null for what does not apply yet."""

    def describe(self, job: SmallJob) -> dict[str, Any]:
        body = super().describe(job)
        return {**body, "progress": None} if body["status"] == "queued" else body


@breaks("answer-schema")
class NullStatus(Small):
    def describe(self, job: SmallJob) -> dict[str, Any]:
        body = super().describe(job)
        return {**body, "status": None} if body["status"] == "queued" else body


@breaks("job-known")
class ReplicasWithoutSharedState(Small):
    """Every third poll meets a replica that does not know the job."""

    async def retrieve(self, request: Request) -> Response:
        response = await super().retrieve(request)
        if self.find(request).polls % 3 == 2:
            raise self.unknown()
        return response
