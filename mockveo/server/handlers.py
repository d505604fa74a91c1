"""The operations of the API: from a request to a response or an error.

Names of fields, limits, defaults and error texts come from the spec; what is here is what a schema cannot express:
that a create makes a job, that a key sees its own jobs only, that content exists once the job has completed.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from mockveo.content.clips import Clips
from mockveo.content.media import MEDIA_TYPES, Source
from mockveo.errors import ScenarioError
from mockveo.http import forms, urlencoded
from mockveo.http.multipart_reader import FileRoom
from mockveo.http.parts import MULTIPART, FormError, ParsedForm, Part, TextTooLarge, media_type
from mockveo.http.responses import Response, content_response
from mockveo.server.context import ApiError, ControlError, FaultBeforeEffect, IncompleteBody, RequestContext, in_thread
from mockveo.server.endpoints import checked_answer
from mockveo.server.recording import record_form, record_job
from mockveo.simulator.jobs import Job, JobPlan, View, view
from mockveo.simulator.presentation import apply_style, polled_status, styles_of
from mockveo.simulator.scenarios import Scenario
from mockveo.spec.form import Form, Problem
from mockveo.spec.spec import Operation
from mockveo.text import whole_number
from mockveo.traffic.form_values import CreateRequest

#: Bytes of pictures in forms that are being read. Arbitrary: more than one form has by default.
MAX_UNREAD_FILE_BYTES = 40 * 2**20
#: A model whose name can be copied into a command as it is. Arbitrary: the names of known services fit.
_MODEL_NAME = re.compile(r"[\w.:/@+-]{1,80}", re.ASCII)


class Handlers:
    """The handlers of a server, and the clips that they deliver."""

    def __init__(self, clips: Clips) -> None:
        self.clips = clips
        self._room = FileRoom(MAX_UNREAD_FILE_BYTES)

    def create_video(self, call: RequestContext) -> Response:
        """POST /v1/videos."""
        content_type = _content_type(call)
        form = call.operation.forms.get(media_type(content_type)) or call.operation.form
        assert form is not None
        body: ParsedForm = call.body
        request = CreateRequest.parse(body, form, content_type)
        record_form(call.exchange, self._without_bytes(body.parts), request.deviations)
        _refuse_deviations(call)
        model = _resolve_alias(call, request, form)
        chosen = _choose_scenario(call, request)
        plan = chosen or call.world.scenarios.plan
        _select_faults(call, request, plan)
        job_id = _id_by_key(call, plan)
        earlier = call.world.find(call.owner, job_id) if job_id else None
        if earlier is not None:
            return _job_response(call, earlier, call.world.view(earlier), plan.scenario, created=True)
        _charge(call, request)
        images: list[bytes | None] = [image.data for image in request.images]
        call.exchange.image_count = request.image_count(form)
        images += [None] * (call.exchange.image_count - len(images))
        job = call.world.add(call.owner, model, request.fields, images, chosen, job_id=job_id)
        return _job_response(call, job, view(job, job.created), plan.scenario, created=True)

    async def read_form(self, call: RequestContext) -> None:
        """Read the body of a create. Raises ApiError, or ClientGone."""
        headers, content_type = call.headers, _content_type(call)
        has_body = headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
        if not content_type and not has_body:
            call.body = ParsedForm([])
            return
        reader = None
        try:
            reader = forms.reader(content_type, self._room if self.clips.renders else None)
            await call.read(reader.feed, call.world.settings.max_body)
            call.body = reader.finish()
        except TextTooLarge as error:
            raise ApiError("body_too_large", hint=error.message) from None
        except FormError as error:
            raise _unreadable(error.kind, error.message) from None
        except IncompleteBody as error:
            promised = headers.get(b"content-length", b"").decode("latin-1")
            missing = "bytes, without its last chunk"
            if promised:
                missing = f"of the {promised} bytes that Content-Length promises"
            message = f"the body ended after {error.received} {missing}"
            raise _unreadable(media_type(content_type), message) from None
        finally:
            self._room.give_back(0 if reader is None else reader.kept_bytes)

    def _without_bytes(self, parts: list[Part]) -> list[Part]:
        return [part._replace(data=None) for part in parts] if self.clips.renders else parts

    def retrieve_video(self, call: RequestContext) -> Response:
        """GET /v1/videos/{video_id}."""
        call.world.clock.poll()
        job, scenario = _find_job(call, "retrieve", "task_not_exist")
        return _job_response(call, job, call.world.view(job), scenario)

    def retrieve_content(self, call: RequestContext) -> Response:
        """GET /v1/videos/{video_id}/content."""
        queries = _queries(call)
        job, scenario = _find_job(call, "content", "task_not_found")
        now = call.world.view(job)
        record_job(call.exchange, job.id, now, scenario.name)
        if now.status != call.world.spec.lifecycle[-1]:
            raise ApiError("content_not_ready", status=polled_status(now, scenario))
        variant = queries.get("variant", "video")
        return clip_response(self.clips, call, job, variant)

    def deliver_video(self, call: RequestContext) -> Response:
        """GET of a `video_url`, at the other origin. Source: assumed; stores that sign URLs answer like this."""
        world = call.world
        job = world.jobs.get(call.path_value)
        if job is not None:
            call.exchange.job_id = job.id
            call.job = job
            call.select_faults(world.governing(job), "delivery", scope=job.id, subject=job.id)
        if b"authorization" in call.headers:
            return _xml_error(400, "InvalidArgument", "Only one auth mechanism allowed: the signature of the URL.")
        expires = _signed_until(call, job)
        if job is None or expires is None:
            return _xml_error(403, "SignatureDoesNotMatch", "The signature does not match.")
        if world.clock.date() >= expires:
            return _xml_error(403, "AccessDenied", "Request has expired.")
        if world.view(job).status != world.spec.lifecycle[-1]:
            return _xml_error(404, "NoSuchKey", "The specified key does not exist.")
        return clip_response(self.clips, call, job, "video")

    def list_models(self, call: RequestContext) -> Response:
        """GET /v1/models and GET /api/models: the aliases, in the shape that each operation documents."""
        models = [_catalogued(call, alias) for alias in call.world.spec.aliases or ()]
        return _models_response(call, {"data": models, "total": len(models)})

    def retrieve_model(self, call: RequestContext) -> Response:
        """GET /api/model/{code}."""
        code = call.path_value
        if code not in (call.world.spec.aliases or ()):
            raise ApiError("model_unknown", model=code)
        return _models_response(call, {"data": _catalogued(call, code)})


def clip_response(clips: Clips, call: RequestContext, job: Job, variant: str) -> Response:
    """Return the response with a clip; one that has to be rendered is made later."""

    def response(data: bytes) -> Response:
        return content_response(data, MEDIA_TYPES[variant], call.headers, call.scope["method"])

    async def rendered() -> Response:
        return response(await in_thread(partial(clips.get, source, variant)))

    source = Source(job.id, str(job.echo.get("size", "")), job.prompt, job.images)
    data = clips.at_hand(source, variant)
    if data is None:
        call.later = rendered
        return Response(200, [], b"")
    return response(data)


def _catalogued(call: RequestContext, alias: str) -> dict[str, Any]:
    price = call.world.spec.prices.get(alias)
    pricing = {} if price is None else {"pricing": price.catalogued}
    return {"id": alias, "code": alias, "name": alias, **pricing}


def _content_type(call: RequestContext) -> str:
    return call.headers.get(b"content-type", b"").decode("latin-1")


def _models_response(call: RequestContext, values: dict[str, Any]) -> Response:
    operation, world = call.operation, call.world
    subject = f"{operation.id} {call.owner}"
    call.select_faults(world.plan.scenario, "models", scope=operation.id, subject=subject)
    assert operation.success is not None
    return checked_answer(call, 200, operation.success.render(values))


def _refuse_deviations(call: RequestContext) -> None:
    deviations = call.exchange.deviations
    if deviations and call.world.settings.strict:
        raise ApiError("invalid_request", detail="; ".join(deviation.message for deviation in deviations))


def _resolve_alias(call: RequestContext, request: CreateRequest, form: Form) -> str:
    """Return the provider's model id. Raises ApiError in the gateway's order: the model, then the first other field."""
    problems = form.problems(request.instance(form))
    for problem in problems:
        if problem.field == "model":
            raise _field_error(call.operation, problem)
    request.fill_in(form.defaults)
    model = str(request.fields.get("model", ""))
    aliases = call.world.spec.aliases
    if aliases is not None:
        if model not in aliases:
            name = model if _MODEL_NAME.fullmatch(model) else "NAME"
            hint = f"the models are {', '.join(aliases)}; to serve another one too, start mockveo with --model {name}"
            raise ApiError("model_not_found", model=model, hint=hint)
        model = aliases[model]
    if problems:
        raise _field_error(call.operation, _with_file_count(problems[0], request, form))
    return model


def _with_file_count(problem: Problem, request: CreateRequest, form: Form) -> Problem:
    """Return a problem that names the number of files when there are too many; a schema sees a list only."""
    name, sent = problem.field, len(request.images)
    most = form.fields[name].get("maxItems") if name in form.file_fields else None
    if most is None or sent <= most:
        return problem
    return Problem(name, False, f"{sent} files were sent as {name}, wanted at most {most}")


def _choose_scenario(call: RequestContext, request: CreateRequest) -> JobPlan | None:
    """Return the plan that a create chooses: by header, in its prompt or from the queue; else None."""
    scenarios = call.world.scenarios
    header = call.headers.get(b"x-mockveo-scenario")
    try:
        if header is not None:
            return scenarios.by_name(header.decode("latin-1").strip())
        chosen = scenarios.by_tag(str(request.fields["prompt"]))
    except ScenarioError as error:
        raise ControlError(400, "scenario_not_found", str(error)) from None
    if chosen is None and scenarios.has_waiting:
        return scenarios.take(request.fingerprint(call.owner))
    return chosen


def _select_faults(call: RequestContext, request: CreateRequest, plan: JobPlan) -> None:
    """Select the faults of a create. Raises FaultBeforeEffect if a fault keeps it from making a job."""
    scenarios, scenario = call.world.scenarios, plan.scenario
    if not scenario.faults and not scenarios.has_taken:
        return
    subject = request.fingerprint(call.owner)
    call.error_values = {"model": str(request.fields.get("model", ""))}
    call.files = request.images
    call.select_faults(scenario, "create", scope=plan.key, subject=subject, label=scenario.name)
    if not all(fault.applied for fault in call.faults):
        raise FaultBeforeEffect
    if not any(fault.hides_result for fault in call.faults):
        scenarios.settle(subject)


def _id_by_key(call: RequestContext, plan: JobPlan) -> str | None:
    """Return the id that an Idempotency-Key gives a job; None without one. Raises ApiError if it is refused."""
    policy = plan.scenario.idempotency
    key = call.headers.get(b"idempotency-key") if policy else None
    if key is None:
        return None
    if policy == "refused":
        raise ApiError("invalid_request", detail="Idempotency-Key is not supported")
    return call.world.id_by_key(call.owner, key.decode("latin-1"), plan.scenario)


def _charge(call: RequestContext, request: CreateRequest) -> None:
    world = call.world
    if not world.accounts.charge(call.owner):
        raise ApiError("insufficient_quota", hint=f"--credit is {world.settings.credit}")
    if world.budget is not None:
        problem = world.budget.problem(str(request.fields.get("model", "")), request.fields)
        if problem:
            raise ApiError("insufficient_quota", hint=problem)


def _find_job(call: RequestContext, operation: str, error: str) -> tuple[Job, Scenario]:
    """Return the job of a request, and the scenario whose faults apply. Raises ApiError(error) without a job."""
    world, job_id = call.world, call.path_value
    job = world.find(call.owner, job_id)
    scenario = world.plan.scenario if job is None else world.governing(job)
    if scenario.faults:
        if job is not None:
            call.job = job
            call.error_values = {"status": _status_before_end(call, job, scenario), "model": job.alias}
        # Unknown ids are counted together, because a client may try any number of them.
        counted = job_id if job is not None else ""
        call.select_faults(scenario, operation, scope=counted, subject=counted)
    if job is None:
        raise ApiError(error, hint=world.why_unknown(job_id))
    return job, scenario


def _status_before_end(call: RequestContext, job: Job, scenario: Scenario) -> str:
    """Return the status in a fault's error; "not ready" cannot name the status of a job that has completed."""
    now, lifecycle = call.world.view(job), call.world.spec.lifecycle
    if now.status == lifecycle[-1]:
        now = now._replace(status=lifecycle[-2:][0])
    return polled_status(now, scenario)


def _job_response(call: RequestContext, job: Job, now: View, scenario: Scenario, *, created: bool = False) -> Response:
    world, success = call.world, call.operation.success
    call.job = job
    record_job(call.exchange, job.id, now, scenario.name)
    assert success is not None
    values = world.values(job, now, call.origins)
    if scenario.plain and not now.styles:
        return checked_answer(call, 200, success.render(values), check=now.status in world.spec.statuses)
    operation, date = "create" if created else "retrieve", int(world.clock.date())
    body, values["base_url"] = success.render(values), call.base_url
    body = apply_style(body, values, job, now, scenario, operation=operation, date=date)
    response = checked_answer(call, 200, body, check=False)
    for style in styles_of(scenario, now, operation):
        if style.content_type:
            response.headers[0] = (b"content-type", style.content_type.encode("latin-1"))
    return response


def _signed_until(call: RequestContext, job: Job | None) -> int | None:
    """Return when the URL of a delivery expires, in Unix seconds; None without a job or a valid signature."""
    expires, signature = call.query("expires") or "", call.query("signature") or ""
    if job is None or not expires.isdecimal():
        return None
    seconds = whole_number(expires)
    path = call.world.signed_path(job, seconds)
    return seconds if path.endswith(f"&signature={signature}") else None


def _xml_error(status: int, code: str, message: str) -> Response:
    text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()
    return Response(status, [(b"content-type", b"application/xml"), (b"content-length", b"%d" % len(body))], body)


def _field_error(operation: Operation, problem: Problem) -> ApiError:
    """Return the error for a problem with a field: its own if the document has one, else `invalid_request`."""
    required, invalid = f"{problem.field}_required", f"invalid_{problem.field}"
    candidates = (required, invalid) if problem.missing else (invalid,)
    name = next((name for name in candidates if name in operation.errors), "invalid_request")
    return ApiError(name, detail=problem.message)


def _queries(call: RequestContext) -> dict[str, str]:
    """Return the query parameters of the document, with its defaults. Raises ApiError("invalid_NAME")."""
    sent: dict[str, str] = {}
    if call.scope["query_string"]:
        sent = urlencoded.values(call.scope["query_string"])
    values = {}
    for query in call.operation.queries:
        value = sent.get(query.name, query.default)
        if value is None:
            continue
        problem = query.problem(value)
        if problem is not None:
            name = f"invalid_{query.name}"
            raise ApiError(name if name in call.operation.errors else "invalid_request", detail=problem)
        values[query.name] = value
    return values


def _unreadable(media_type: str, message: str) -> ApiError:
    """Return the error for a body that does not fit its media type."""
    return ApiError("invalid_multipart_form" if media_type == MULTIPART else "invalid_request", detail=message)
