"""The control API's operations on jobs. `control.yaml` describes them."""

from __future__ import annotations

from functools import partial
from typing import Final

from mockveo.content.clips import Clips
from mockveo.http.responses import Response, content_response
from mockveo.server.context import ControlError, RequestContext
from mockveo.server.control_api.changes import JobChanges
from mockveo.server.control_lists import job_json, listed_jobs
from mockveo.server.control_requests import ROOT, ControlRequest, Later
from mockveo.server.handlers import clip_response
from mockveo.simulator import scenarios
from mockveo.simulator.jobs import Job
from mockveo.simulator.scenarios import Scenario
from mockveo.spec.structure import Json
from mockveo.text import brief

#: First bytes of the pictures that a page may show -> their media type. Sources: PNG 5.2, JFIF, RFC 9649.
_PICTURES: Final = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp"}


class JobControl:
    """The handlers of jobs; `changes` takes note of what they change."""

    def __init__(self, clips: Clips, changes: JobChanges) -> None:
        self._clips = clips
        self._changes = changes

    def list_jobs(self, call: RequestContext, request: ControlRequest) -> Later:
        return partial(listed_jobs, call, request.queries)

    def get_job(self, call: RequestContext, _: ControlRequest) -> Json:
        return job_json(call.world, find_job(call), with_timeline=True)

    def end_job(self, call: RequestContext, request: ControlRequest) -> Json:
        job = find_job(call)
        if call.world.view(job).ended_at is not None:
            raise ControlError(409, "job_ended", f"the job {job.id} has ended already; expected one that has not")
        call.world.end(job, scenarios.forced(request.body))
        self._changes.note(call.world, job.id)
        return self.get_job(call, request)

    def forget_job(self, call: RequestContext, _: ControlRequest) -> Json:
        job = find_job(call)
        call.world.jobs.remove(job.id)
        self._changes.note(call.world, job.id)
        return {"id": job.id}

    def set_job_scenario(self, call: RequestContext, request: ControlRequest) -> Json:
        job = find_job(call)
        call.world.choose(job, chosen(call, request.body["scenario"]))
        self._changes.note(call.world, job.id)
        return self.get_job(call, request)

    def get_job_content(self, call: RequestContext, request: ControlRequest) -> Response:
        job = find_job(call)
        if call.world.view(job).status != call.world.spec.lifecycle[-1]:
            raise ControlError(409, "job_not_completed", f"the job {job.id} has not completed; expected one that has")
        return clip_response(self._clips, call, job, request.queries["variant"])

    def get_job_image(self, call: RequestContext, _: ControlRequest) -> Response:
        job, place = find_job(call), int(call.scope["path_params"]["place"])
        data = job.images[place - 1] if 0 < place <= len(job.images) else b""
        kind = next((kind for start, kind in _PICTURES.items() if data.startswith(start)), None)
        if kind is None:
            message = f"the job {job.id} has no picture {place}, or its bytes are not kept; see kept_images"
            raise ControlError(404, "image_not_found", message)
        return content_response(data, kind, call.headers, call.scope["method"])


def find_job(call: RequestContext) -> Job:
    """Return the job that a path names. Raises ControlError."""
    job = call.world.jobs.get(call.scope["path_params"]["id"])
    if job is None:
        message = f"this world has no job {brief(call.scope['path_params']['id'])}; GET {ROOT}/jobs lists them"
        raise ControlError(404, "job_not_found", message)
    return job


def chosen(call: RequestContext, name_or_data: Json) -> Scenario:
    """Return the scenario of a name, or in data. Raises ScenarioError."""
    if isinstance(name_or_data, str):
        return call.world.scenarios.by_name(name_or_data).scenario
    return scenarios.scenario(name_or_data)
