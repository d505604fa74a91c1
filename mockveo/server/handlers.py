"""The operations of the API: from a call to an answer or a refusal, and from a spec to routes.

Names of fields, limits, defaults and error texts come from the spec; what is here is what a schema cannot say:
that a create makes a job, that a key sees its own jobs only, that there is content once the job has completed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from urllib.parse import parse_qs

import orjson

from mockveo.content.clips import Clips
from mockveo.content.media import MEDIA_TYPES, Source
from mockveo.errors import ScenarioError, SpecError
from mockveo.http import forms
from mockveo.http.forms import FormError, Part
from mockveo.http.hosts import Hosts
from mockveo.http.responses import Response, content_answer
from mockveo.server.context import ApiError, ControlError, FaultBeforeEffect, IncompleteBody, RequestContext
from mockveo.server.endpoints import Endpoint, Handler, Route, Routes, checked_answer
from mockveo.server.form_values import Values, as_instance, interpret
from mockveo.simulator.jobs import Job, JobPlan, View, view
from mockveo.simulator.presentation import dressed, shown_status
from mockveo.simulator.scenario_shelf import TAG_START
from mockveo.simulator.scenarios import Scenario
from mockveo.spec.spec import Form, Operation, Problem, Spec


class Api:
    """The handlers of a server: what they need beside the call."""

    def __init__(self, clips: Clips) -> None:
        self.clips = clips

    async def create_video(self, call: RequestContext) -> Response:
        """POST /v1/videos."""
        form = call.operation.form
        assert form is not None
        content_type = call.headers.get(b"content-type", b"").decode("latin-1")
        parts = await self._read_form(call, content_type)
        values = interpret(parts, form, content_type)
        exchange = call.exchange
        # The journal knows files by their size and hash; their bytes are the job's alone.
        exchange.parts = [part._replace(data=None) for part in parts] if self.clips.renders else parts
        exchange.deviations = values.deviations
        of_files = sum([part.size for part in parts])
        if of_files:
            exchange.forget_body()
        exchange.kept += exchange.body_size - of_files
        world = call.world
        if world.settings.strict and values.deviations:
            raise ApiError("invalid_request", detail="; ".join(note.message for note in values.deviations))
        model = self._model(call, form, values)
        chosen = self._strike(call, values)
        if not world.accounts.charge(call.owner):
            raise ApiError("insufficient_quota", hint=f"--credit is {world.settings.credit}")
        job = world.add(call.owner, model, values.fields, [part.data for part in values.images], chosen)
        scenario = chosen.scenario if chosen else world.plan.scenario
        return self._job_answer(call, job, view(job, job.created), scenario, created=True)

    def _strike(self, call: RequestContext, values: Values) -> JobPlan | None:
        """The plan that a create has chosen. Raises FaultBeforeEffect where a fault keeps it from making a job."""
        world, prompt = call.world, str(values.fields["prompt"])
        header = call.headers.get(b"x-mockveo-scenario")
        if header is None and not (
            world.scenarios.has_waiting or world.plan.scenario.faults or TAG_START.search(prompt)
        ):
            return None
        told = (call.owner, *map(str, values.fields.values()), *(part.sha256 for part in values.images))
        subject = sha256(repr(told).encode("utf-8", "surrogatepass")).hexdigest()
        chosen: JobPlan | None
        try:
            if header is not None:
                chosen = world.scenarios.by_name(header.decode("latin-1").strip())
            else:
                chosen = world.scenarios.by_tag(prompt) or world.scenarios.take(subject)
        except ScenarioError as error:
            raise ControlError(400, "scenario_not_found", str(error)) from None
        scenario = chosen.scenario if chosen else world.plan.scenario
        call.values = {"model": str(values.fields.get("model", ""))}
        call.strike(scenario, "create", (chosen or world.plan).key, subject, scenario.name)
        if not all(fault.applied for fault in call.struck):
            raise FaultBeforeEffect
        if not any(fault.loses_the_answer for fault in call.struck):
            world.scenarios.settle(subject)
        return chosen

    async def _read_form(self, call: RequestContext, content_type: str) -> list[Part]:
        try:
            if (
                not content_type
                and call.headers.get(b"content-length", b"0") == b"0"
                and b"transfer-encoding" not in call.headers
            ):
                return []
            reader = forms.reader(content_type, keep_files=self.clips.renders)
            await call.read(reader.feed, call.world.settings.max_body)
            return reader.finish()
        except FormError as error:
            raise _unreadable(error.kind, error.message) from None
        except IncompleteBody as error:
            promised = call.headers.get(b"content-length", b"").decode("latin-1")
            wanted = (
                f"of the {promised} bytes that Content-Length promises" if promised else "bytes, without its last chunk"
            )
            raise _unreadable(
                forms.media_type(content_type), f"the body ended after {error.received} {wanted}"
            ) from None

    def _model(self, call: RequestContext, form: Form, values: Values) -> str:
        """The provider's model id. In the gateway's order: model, then whatever else is wrong with the form."""
        problems = form.problems(as_instance(values, form))
        for problem in problems:
            if problem.field == "model":
                raise _refusal(call.operation, problem)
        model = str(values.fields.get("model", ""))
        aliases = call.world.spec.aliases
        if aliases is not None:
            if model not in aliases:
                raise ApiError("model_not_found", model=model, hint=f"the models are {', '.join(aliases)}")
            model = aliases[model]
        if problems and problems[0].field in form.file_fields:
            name, sent = problems[0].field, len(values.images)
            most = form.fields[name].get("maxItems")
            if most is not None and sent > most:
                problems[0] = Problem(name, False, f"{sent} files were sent as {name}, wanted at most {most}")
        if problems:
            raise _refusal(call.operation, problems[0])
        return model

    async def retrieve_video(self, call: RequestContext) -> Response:
        """GET /v1/videos/{video_id}."""
        call.world.clock.poll()
        job, scenario = self._job(call, "retrieve", "task_not_exist")
        return self._job_answer(call, job, call.world.view(job), scenario)

    def _job(self, call: RequestContext, operation: str, otherwise: str) -> tuple[Job, Scenario]:
        """The job that a call is about, and the scenario whose faults strike it. Raises ApiError(otherwise)."""
        world, job_id = call.world, call.path_value
        job = world.find(call.owner, job_id)
        scenario = world.plan.scenario if job is None else world.governing(job)
        if scenario.faults:
            if job is not None:
                # Of a job that has completed, content that is not ready says what it was before.
                status, way = world.view(job).status, world.spec.lifecycle
                shown = shown_status(status if status != way[-1] else way[-2:][0], scenario)
                call.values = {"status": shown, "model": job.alias}
            # Ids that are none are counted together: there is no end to them.
            counted = job_id if job is not None else ""
            call.strike(scenario, operation, counted, counted)
        if job is None:
            raise ApiError(otherwise, hint=world.why_unknown(job_id))
        return job, scenario

    def _job_answer(
        self, call: RequestContext, job: Job, now: View, scenario: Scenario, *, created: bool = False
    ) -> Response:
        exchange, world, success = call.exchange, call.world, call.operation.success
        exchange.job_id, exchange.state, exchange.progress = job.id, now.status, now.progress
        exchange.scenario = scenario.name
        assert success is not None
        values = world.values(job, now)
        if scenario.plain:
            return checked_answer(call, 200, success.render(values), check=now.status in world.spec.statuses)
        body = dressed(
            success.render(values), values, job, now, scenario, created=created, date=int(world.clock.date())
        )
        answer = checked_answer(call, 200, body, check=False)
        if scenario.style and scenario.style.content_type:
            answer.headers[0] = (b"content-type", scenario.style.content_type.encode("latin-1"))
        return answer

    async def retrieve_content(self, call: RequestContext) -> Response:
        """GET /v1/videos/{video_id}/content."""
        queries = _queries(call)
        job, scenario = self._job(call, "content", "task_not_found")
        now = call.world.view(job)
        call.exchange.job_id, call.exchange.state, call.exchange.scenario = job.id, now.status, scenario.name
        if now.status != call.world.spec.lifecycle[-1]:
            raise ApiError("content_not_ready", status=shown_status(now.status, scenario))
        variant = queries.get("variant", "video")
        data = await self.clip(job, variant)
        return content_answer(data, MEDIA_TYPES[variant], call.headers, call.scope["method"])

    async def deliver_video(self, call: RequestContext) -> Response:
        """GET of a `video_url`, at the other origin. Source: assumed; stores that sign URLs answer like this."""
        job = call.world.jobs.get(call.path_value)
        expires, signature = call.query("expires") or "", call.query("signature") or ""
        if job is not None:
            call.exchange.job_id = job.id
            call.strike(call.world.governing(job), "delivery", job.id, job.id)
        signed = (
            job is not None
            and expires.isdecimal()
            and len(expires) < 18
            and (call.world.video_url(job, int(expires)).endswith(f"&signature={signature}"))
        )
        if b"authorization" in call.headers:
            return _xml_error(400, "InvalidArgument", "Only one auth mechanism allowed: the signature of the URL.")
        if job is None or not signed:
            return _xml_error(403, "SignatureDoesNotMatch", "The signature does not match.")
        if call.world.clock.date() >= int(expires):
            return _xml_error(403, "AccessDenied", "Request has expired.")
        data = await self.clip(job, "video")
        return content_answer(data, MEDIA_TYPES["video"], call.headers, call.scope["method"])

    async def clip(self, job: Job, variant: str) -> bytes:
        """The bytes of a job's variant."""
        source = Source(job.id, str(job.echo.get("size", "")), job.prompt, job.images)
        data = self.clips.at_hand(source, variant)
        if data is None:
            import anyio.to_thread

            data = await anyio.to_thread.run_sync(self.clips.get, source, variant)
        return data

    async def list_models(self, call: RequestContext) -> Response:
        """GET /v1/models and GET /api/models: the aliases, in the shape that each operation documents."""
        call.strike(call.world.plan.scenario, "models", call.operation.id, f"{call.operation.id} {call.owner}")
        models = [{"id": alias} for alias in call.world.spec.aliases or ()]
        assert call.operation.success is not None
        return checked_answer(call, 200, call.operation.success.render({"data": models, "total": len(models)}))

    def handlers(self) -> dict[str, tuple[Handler, Sequence[str]]]:
        """For each operation of the document its handler and the errors that it cannot do without."""
        return {
            "createVideo": (
                self.create_video,
                (
                    "invalid_request",
                    "invalid_multipart_form",
                    "body_too_large",
                    "model_not_found",
                    "insufficient_quota",
                ),
            ),
            "retrieveVideo": (self.retrieve_video, ("task_not_exist",)),
            "retrieveVideoContent": (self.retrieve_content, ("task_not_found", "content_not_ready")),
            "listModels": (self.list_models, ()),
            "listPublicModels": (self.list_models, ()),
        }


def bind(spec: Spec, clips: Clips, hosts: Hosts | None) -> tuple[Routes, Routes]:
    """The routes of a spec, at the server's own origin and at the other one.

    Raises SpecError where the document lacks an error that a handler needs.
    """
    api = Api(clips)
    handlers = api.handlers()
    by_path: dict[str, dict[str, Route]] = {}
    for operation in spec.operations.values():
        handler, needed = handlers[operation.id]
        for name in (*needed, *(["invalid_token"] if operation.authorised else [])):
            if name not in operation.errors:
                raise SpecError(f"{operation.id} has no error example named {name!r} among its responses")
        _check(operation)
        by_path.setdefault(operation.path, {})[operation.method] = Route(operation, handler)
    delivered = {"/videos/{video_id}.mp4": {"GET": Route(None, api.deliver_video, "deliverVideo")}}
    own = _routes({**by_path, **_document_plays(spec)}, hosts, elsewhere=False)
    return own, _routes({**by_path, **delivered}, hosts, elsewhere=True)


def _routes(by_path: Mapping[str, Mapping[str, Route]], hosts: Hosts | None, *, elsewhere: bool) -> Routes:
    endpoints = {path: Endpoint(plays, hosts, elsewhere=elsewhere) for path, plays in by_path.items()}
    return Routes(endpoints, Endpoint({}, hosts, elsewhere=elsewhere))


def _check(operation: Operation) -> None:
    """What a handler takes for granted of its operation. Raises SpecError."""
    if operation.id in ("retrieveVideo", "retrieveVideoContent") and operation.path.count("{") != 1:
        raise SpecError(
            f"the path of {operation.id} is {operation.path}, wanted one parameter: /v1/videos/{{video_id}}"
        )
    if operation.id != "retrieveVideoContent" and operation.success is None:
        raise SpecError(f"{operation.id} has no response 200 with a schema for application/json")
    for query in operation.queries:
        if query.name == "variant" and not query.only(MEDIA_TYPES):
            raise SpecError(f"the variants of {operation.id} are not all among {', '.join(MEDIA_TYPES)}")


def _document_plays(spec: Spec) -> dict[str, dict[str, Route]]:
    async def as_yaml(call: RequestContext) -> Response:
        return content_answer(spec.text, "application/yaml", call.headers)

    async def as_json(call: RequestContext) -> Response:
        return content_answer(orjson.dumps(spec.document.tree), "application/json", call.headers)

    return {"/openapi.yaml": {"GET": Route(None, as_yaml)}, "/openapi.json": {"GET": Route(None, as_json)}}


def _xml_error(status: int, code: str, message: str) -> Response:
    text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()
    return Response(status, [(b"content-type", b"application/xml"), (b"content-length", b"%d" % len(body))], body)


def _refusal(operation: Operation, problem: Problem) -> ApiError:
    """The error for a problem with a field: its own by name where the document has one, else `invalid_request`."""
    required, invalid = f"{problem.field}_required", f"invalid_{problem.field}"
    candidates = (required, invalid) if problem.missing else (invalid,)
    name = next((name for name in candidates if name in operation.errors), "invalid_request")
    return ApiError(name, detail=problem.message)


def _queries(call: RequestContext) -> dict[str, str]:
    """The query parameters that the document names, with its defaults. Raises ApiError("invalid_NAME")."""
    sent = (
        parse_qs(call.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if call.scope["query_string"]
        else {}
    )
    found = {}
    for query in call.operation.queries:
        value = sent[query.name][0] if query.name in sent else query.default
        if value is None:
            continue
        problem = query.problem(value)
        if problem is not None:
            name = f"invalid_{query.name}"
            raise ApiError(name if name in call.operation.errors else "invalid_request", detail=problem)
        found[query.name] = value
    return found


def _unreadable(kind: str, message: str) -> ApiError:
    """The error for a body that is not what its media type says."""
    return ApiError("invalid_multipart_form" if kind == forms.MULTIPART else "invalid_request", detail=message)
