"""The operations of the API: from a call to an answer or a refusal, and from a spec to routes.

Names of fields, limits, defaults and error texts come from the spec; what is here is what a schema cannot say:
that a create makes a job, that a key sees its own jobs only, that there is content once the job has completed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs

import orjson
from starlette.routing import Route, Router

from mockveo import forms
from mockveo.clips import MEDIA_TYPES, Clips, Source
from mockveo.errors import SpecError
from mockveo.forms import FormError, Part
from mockveo.hosts import Hosts
from mockveo.jobs import Job, View, view
from mockveo.journal import Deviation
from mockveo.settings import Settings
from mockveo.spec import Form, Operation, Problem
from mockveo.wire import Answer, Call, EndedShort, Endpoint, Handler, Play, Refusal, checked_answer
from mockveo.world import World

#: Deviations of one request that are noted, and characters of a name that are shown.
MAX_DEVIATIONS: Final = 20
MAX_SHOWN: Final = 80


class Values(NamedTuple):
    """What a create says: the fields by name, the images in order, and where it departs from the page."""

    fields: dict[str, Any]
    images: list[Part]
    deviations: list[Deviation]


class Api:
    """The handlers of a server: what they need beside the call."""

    def __init__(self, clips: Clips) -> None:
        self.clips = clips

    async def create_video(self, call: Call) -> Answer:
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
        exchange.kept += exchange.body_size - sum([part.size for part in parts])
        if call.settings.strict and values.deviations:
            raise Refusal("invalid_request", detail="; ".join(note.message for note in values.deviations))
        model = self._model(call, form, values)
        world = call.world
        if not world.spend(call.owner):
            raise Refusal("insufficient_quota", hint=f"--credit is {call.settings.credit}")
        images = tuple(part.data for part in values.images if part.data is not None)
        job = world.add(call.owner, model, values.fields, images)
        return self._job_answer(call, job, view(job, job.created))

    async def _read_form(self, call: Call, content_type: str) -> list[Part]:
        try:
            if (
                not content_type
                and call.headers.get(b"content-length", b"0") == b"0"
                and b"transfer-encoding" not in call.headers
            ):
                return []
            reader = forms.reader(content_type, keep_files=self.clips.renders)
            await call.read(reader.feed, call.settings.max_body)
            return reader.finish()
        except FormError as error:
            raise _unreadable(error.kind, error.message) from None
        except EndedShort as error:
            promised = call.headers.get(b"content-length", b"").decode("latin-1")
            wanted = (
                f"of the {promised} bytes that Content-Length promises" if promised else "bytes, without its last chunk"
            )
            raise _unreadable(_kind(content_type), f"the body ended after {error.received} {wanted}") from None

    def _model(self, call: Call, form: Form, values: Values) -> str:
        """The provider's model id. In the gateway's order: model, then whatever else is wrong with the form."""
        problems = form.problems(_as_instance(values, form))
        for problem in problems:
            if problem.field == "model":
                raise _refusal(call.operation, problem)
        model = str(values.fields.get("model", ""))
        aliases = call.world.spec.aliases
        if aliases is not None:
            if model not in aliases:
                raise Refusal("model_not_found", model=model, hint=f"the models are {', '.join(aliases)}")
            model = aliases[model]
        if problems and problems[0].field in form.file_fields:
            name, sent = problems[0].field, len(values.images)
            most = form.fields[name].get("maxItems")
            if most is not None and sent > most:
                problems[0] = Problem(name, False, f"{sent} files were sent as {name}, wanted at most {most}")
        if problems:
            raise _refusal(call.operation, problems[0])
        return model

    async def retrieve_video(self, call: Call) -> Answer:
        """GET /v1/videos/{video_id}."""
        job = call.world.find(call.owner, call.path_value)
        if job is None:
            raise Refusal("task_not_exist", hint=call.world.why_unknown(call.path_value))
        return self._job_answer(call, job, call.world.view(job))

    def _job_answer(self, call: Call, job: Job, now: View) -> Answer:
        exchange = call.exchange
        exchange.job_id, exchange.state, exchange.progress = job.id, now.status, now.progress
        assert call.operation.success is not None
        return checked_answer(call, 200, call.operation.success.render(call.world.values(job, now)))

    async def retrieve_content(self, call: Call) -> Answer:
        """GET /v1/videos/{video_id}/content."""
        queries = _queries(call)
        job = call.world.find(call.owner, call.path_value)
        if job is None:
            raise Refusal("task_not_found", hint=call.world.why_unknown(call.path_value))
        now = call.world.view(job)
        call.exchange.job_id, call.exchange.state = job.id, now.status
        if now.status != call.world.spec.lifecycle[-1]:
            raise Refusal("content_not_ready", status=now.status)
        variant = queries.get("variant", "video")
        data = await self._clip(Source(job.id, str(job.echo.get("size", "")), job.prompt, job.images), variant)
        return content_answer(data, MEDIA_TYPES[variant], call.headers, call.exchange.method)

    async def _clip(self, source: Source, variant: str) -> bytes:
        data = self.clips.at_hand(source, variant)
        if data is None:
            import anyio.to_thread

            data = await anyio.to_thread.run_sync(self.clips.get, source, variant)
        return data

    async def list_models(self, call: Call) -> Answer:
        """GET /v1/models and GET /api/models: the aliases, in the shape that each operation documents."""
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


def bind(world: World, settings: Settings, clips: Clips, hosts: Hosts | None) -> Router:
    """The routes of a spec. Raises SpecError where the document lacks an error that a handler needs."""
    handlers = Api(clips).handlers()
    by_path: dict[str, dict[str, Play]] = {}
    for operation in world.spec.operations.values():
        handler, needed = handlers[operation.id]
        for name in (*needed, *(["invalid_token"] if operation.authorised else [])):
            if name not in operation.errors:
                raise SpecError(f"{operation.id} has no error example named {name!r} among its responses")
        _check(operation)
        by_path.setdefault(operation.path, {})[operation.method] = Play(operation, handler)
    by_path.update(_document_plays(world))
    routes = [Route(path, Endpoint(plays, world, settings, hosts)) for path, plays in by_path.items()]
    templates = [route for route in routes if "{" in route.path]
    concrete = [route for route in routes if "{" not in route.path]
    # A concrete path goes before a template that fits it too (OpenAPI 3.1, section 4.8.8); other than that what is
    # polled goes first, as the router tries one after the other.
    first = [one for one in concrete if any(template.path_regex.match(one.path) for template in templates)]
    routes = [*first, *templates, *(one for one in concrete if one not in first)]
    # No redirect to or from a trailing slash: starlette would build its URL from the Host header.
    return Router(routes, redirect_slashes=False, default=Endpoint({}, world, settings, hosts))


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


def _document_plays(world: World) -> dict[str, dict[str, Play]]:
    async def as_yaml(call: Call) -> Answer:
        return content_answer(world.spec.text, "application/yaml", call.headers)

    async def as_json(call: Call) -> Answer:
        return content_answer(orjson.dumps(world.spec.document.tree), "application/json", call.headers)

    return {"/openapi.yaml": {"GET": Play(None, as_yaml)}, "/openapi.json": {"GET": Play(None, as_json)}}


def _refusal(operation: Operation, problem: Problem) -> Refusal:
    """The error for a problem with a field: its own by name where the document has one, else `invalid_request`."""
    required, invalid = f"{problem.field}_required", f"invalid_{problem.field}"
    candidates = (required, invalid) if problem.missing else (invalid,)
    name = next((name for name in candidates if name in operation.errors), "invalid_request")
    return Refusal(name, detail=problem.message)


def _queries(call: Call) -> dict[str, str]:
    """The query parameters that the document names, with its defaults. Raises Refusal("invalid_NAME")."""
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
            raise Refusal(name if name in call.operation.errors else "invalid_request", detail=problem)
        found[query.name] = value
    return found


def _as_instance(values: Values, form: Form) -> dict[str, Any]:
    """The form as its schema sees it: a file is text, of the file's length where the schema limits that."""
    if not values.images:
        return values.fields
    instance = dict(values.fields)
    for name in form.file_fields:
        files = ["\0" * part.size if name in form.sized else "" for part in values.images if _plain(part.name) == name]
        if files:
            instance[name] = files if "items" in form.fields[name] else files[0]
    return instance


def _unreadable(kind: str, message: str) -> Refusal:
    """The error for a body that is not what its media type says."""
    return Refusal("invalid_multipart_form" if kind == forms.MULTIPART else "invalid_request", detail=message)


def _kind(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _plain(name: str) -> str:
    return name.removesuffix("[]")


def interpret(parts: Sequence[Part], form: Form, content_type: str) -> Values:
    """The parts of a body as the values of a form, and every departure from what the document says of it."""
    values = Values({}, [], [])
    kind = _kind(content_type)
    if parts and kind not in form.media_types:
        message = f"sent as {kind}; the page says {' or '.join(form.media_types)}"
        values.deviations.append(Deviation("content-type", message))
    fields, typed = values.fields, form.typed
    for part in parts:
        name, value = part.name, part.value
        if part.filename is None and name in form.texts and name not in fields and not part.notes:
            if value != "" and value is not None:
                fields[name] = forms.as_json(value) if name in typed and isinstance(value, str) else value
            continue
        for code, message in _take(part, form, values):
            if len(values.deviations) < MAX_DEVIATIONS:
                values.deviations.append(Deviation(code, message))
            elif len(values.deviations) == MAX_DEVIATIONS:
                values.deviations.append(Deviation("more", "and more of this kind"))
    for name, default in form.defaults.items():
        fields.setdefault(name, default)
    return values


def _take(part: Part, form: Form, values: Values) -> Iterator[tuple[str, str]]:
    """Puts a part that is no ordinary field where it belongs, and says what is unusual about it."""
    name, plain = part.name[:MAX_SHOWN], _plain(part.name)
    for note in part.notes:
        yield "encoding", f"the field {name!r} {note}"
    if plain in form.file_fields:
        yield from _take_file(part, plain, form, values)
    elif part.name not in form.fields:
        files = " and ".join(sorted(form.file_fields))
        hint = f"; a file is sent as {files}" if part.is_file else f"; the fields are {', '.join(form.fields)}"
        yield "unknown-part", f"{'the file part' if part.is_file else 'the field'} {name!r} is not in the page{hint}"
    elif part.is_file:
        yield "file-for-text", f"{name!r} was sent as a file; the page says text"
    elif name in values.fields:
        yield "repeated-field", f"{name!r} was sent again; the first one counts"
    else:
        values.fields[name] = part.value


def _take_file(part: Part, plain: str, form: Form, values: Values) -> Iterator[tuple[str, str]]:
    if part.name != plain:
        yield "image-field-name", f"{part.name!r} was sent; the page says {plain!r}, once for each image"
    if not part.is_file:
        yield "text-for-file", f"{part.name!r} was sent as text; the page says a file"
        return
    if any("filename*" in value for key, value in part.headers if key == "Content-Disposition"):
        yield "filename-star", f"{part.name!r} names its file with filename*, which RFC 7578 section 4.2 forbids"
    patterns = form.file_types.get(plain)
    if patterns and part.content_type is not None and not forms.media_type_fits(part.content_type, patterns):
        yield "file-media-type", f"{part.name!r} was sent as {part.content_type}; wanted {' or '.join(patterns)}"
    values.images.append(part)


def content_answer(data: bytes, media_type: str, headers: Mapping[bytes, bytes], method: str = "GET") -> Answer:
    """An answer with bytes: whole, one range of them, or not at all when the client has them.

    Sources: RFC 9110 sections 13.1.2 (If-None-Match), 13.1.5 (If-Range) and 14.2 (Range; more than one is ignored).
    """
    etag = b'"%s"' % sha256(data).hexdigest()[:32].encode()
    common = [(b"etag", etag), (b"accept-ranges", b"bytes")]
    if {etag, b"*"} & set(_tags(headers.get(b"if-none-match", b""))):
        return Answer(304, common, b"")
    wanted = _range(headers.get(b"range", b""), len(data)) if method == "GET" else None
    if wanted is None or headers.get(b"if-range", etag) != etag:
        return _bytes_answer(200, common, media_type, data)
    start, end = wanted
    if start >= end:
        return _bytes_answer(416, [*common, (b"content-range", b"bytes */%d" % len(data))], media_type, b"")
    part = (b"content-range", b"bytes %d-%d/%d" % (start, end - 1, len(data)))
    return _bytes_answer(206, [*common, part], media_type, data[start:end])


def _bytes_answer(status: int, headers: list[tuple[bytes, bytes]], media_type: str, body: bytes) -> Answer:
    described = [(b"content-type", media_type.encode()), (b"content-length", b"%d" % len(body))]
    return Answer(status, [*described, *headers], body)


def _tags(header: bytes) -> list[bytes]:
    return [tag.strip().removeprefix(b"W/") for tag in header.split(b",")]


def _range(header: bytes, size: int) -> tuple[int, int] | None:
    """The bytes that a Range header asks for, from and up to; None where it is to be ignored; empty = unsatisfiable."""
    unit, _, spec = header.replace(b" ", b"").lower().partition(b"=")
    first, dash, last = spec.partition(b"-")
    if unit != b"bytes" or not dash or not all(end.isdigit() or end == b"" for end in (first, last)) or spec == b"-":
        return None
    if not first:
        return max(size - _number(last), 0), size
    start = _number(first)
    if last and _number(last) < start:
        return None
    end = min(_number(last) + 1, size) if last else size
    return min(start, size), max(end, min(start, size))


def _number(digits: bytes) -> int:
    # Larger than anything there is; int() refuses to read thousands of digits.
    return int(digits) if len(digits) < 18 else 10**18
