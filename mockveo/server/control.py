"""The control API: scenarios, time, jobs and the journal of a running server. `control.yaml` describes it.

It is for the machine the server runs on: another one, and a page of another site, is refused, as either could
otherwise make somebody's server do things.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs

import orjson
from starlette.types import Receive

from mockveo import yamlfiles
from mockveo._paths import built_in_scenarios
from mockveo._version import __version__
from mockveo.errors import MockveoError, SpecError
from mockveo.http import forms
from mockveo.http.hosts import LOOPBACK_ORIGIN, Hosts
from mockveo.http.responses import Response, json_answer
from mockveo.server.context import ApiError, ControlError, IncompleteBody, RequestContext
from mockveo.server.endpoints import Endpoint, EndpointTable, Route
from mockveo.server.faults import leaves_within
from mockveo.simulator import scenarios
from mockveo.simulator.jobs import Job, end, timeline
from mockveo.simulator.scenarios import Scenario
from mockveo.simulator.worlds import Worlds
from mockveo.spec.openapi import Document, Json, escape
from mockveo.spec.operations import OPERATION_IDS
from mockveo.traffic.har import har
from mockveo.traffic.record import ExchangeRecord
from mockveo.traffic.redaction import fingerprint

#: Where it is, below the root of each world.
ROOT: Final = "/_mockveo"
#: Bytes a body of it may have, and scenarios that may wait.
MAX_BODY: Final = 2**18
MAX_QUEUE: Final = 100
#: Seconds between two looks for new exchanges, and between two signs of life.
LOOK: Final = 0.1
ALIVE: Final = 15.0


class Control:
    """The handlers; each answers with JSON, or raises Misuse. `closing` tells whether the server is about to stop."""

    def __init__(self, worlds: Worlds, hosts: Hosts | None, closing: Callable[[], bool]) -> None:
        self._worlds = worlds
        self._hosts = hosts
        self._closing = closing
        path = Path(__file__).with_name("control.yaml")
        self._document = Document(yamlfiles.parse(path.read_bytes(), path.name, SpecError))

    def endpoints(self) -> EndpointTable:
        """The routes, below ROOT."""
        found = {}
        for path, item in self._document.at("/paths").items():
            plays = {}
            for method, operation in item.items():
                if method != "parameters":
                    pointer = f"/paths/{escape(path)}/{method}"
                    play = getattr(self, re.sub(r"([A-Z])", r"_\1", operation["operationId"]).lower())
                    plays[method.upper()] = Route(None, partial(self._guarded, play, pointer))
            otherwise = Route(None, partial(self._guarded, partial(_not_allowed, sorted(plays)), ""))
            found[f"{ROOT}{path}"] = Endpoint(plays, self._hosts, otherwise=otherwise)
        unknown = Route(None, partial(self._guarded, self._unknown, ""))
        return EndpointTable(found, Endpoint({}, self._hosts, otherwise=unknown))

    async def _guarded(
        self, play: Callable[..., Awaitable[Json | Response]], pointer: str, call: RequestContext
    ) -> Response:
        if self._hosts is not None:
            _refuse_strangers(call)
        try:
            operation = self._document.at(pointer) if pointer else {}
            body = await self._body(call, pointer) if "requestBody" in operation else None
            answer = await play(call, _Asked(self._queries(call, pointer) if pointer else {}, body))
        except MockveoError as error:
            raise ControlError(400, "invalid_request", str(error)) from None
        return answer if isinstance(answer, Response) else json_answer(200, answer)

    async def _body(self, call: RequestContext, pointer: str) -> Json:
        """The body as JSON that fits its schema."""
        chunks: list[bytes] = []
        content_type = call.headers.get(b"content-type", b"").decode("latin-1")
        length = call.headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > MAX_BODY:
            raise ControlError(413, "body_too_large", f"The body has {int(length)} bytes, wanted at most {MAX_BODY}.")
        try:
            await call.read(chunks.append, MAX_BODY)
        except ApiError:
            raise ControlError(
                413, "body_too_large", f"The body has more than {MAX_BODY} bytes, wanted fewer."
            ) from None
        except IncompleteBody as short:
            raise ControlError(
                400, "body_ended", f"The body ended after {short.received} bytes, before its length."
            ) from None
        data = b"".join(chunks)
        required = self._document.at(f"{pointer}/requestBody").get("required", False)
        content = f"{pointer}/requestBody/content/application~1json/schema"
        example = orjson.dumps(self._document.at(content).get("examples", [{}])[0]).decode()
        if not data and not required:
            return {}
        if forms.media_type(content_type) != forms.JSON:
            raise ControlError(
                415, "not_json", f"The Content-Type is {content_type!r}, wanted application/json with e.g. {example}"
            )
        try:
            body = orjson.loads(data)
        except ValueError as mistake:
            raise ControlError(400, "not_json", f"The body is not JSON: {mistake}; wanted e.g. {example}") from None
        for error in self._document.validator(content).iter_errors(body):
            place = ".".join(map(str, error.instance_path)) or "the body"
            raise ControlError(400, "invalid_request", f"{place}: {error.message}; wanted e.g. {example}")
        return body

    def _queries(self, call: RequestContext, pointer: str) -> dict[str, str]:
        """The query parameters, with their defaults."""
        sent = parse_qs(call.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        known = {one["name"]: one for one in self._document.at(pointer).get("parameters", []) if one["in"] == "query"}
        for name in sent:
            if name not in known:
                wanted = f"wanted one of {', '.join(known)}" if known else "there is none here"
                raise ControlError(400, "invalid_request", f"{name!r} is no parameter; {wanted}")
        found = {}
        for name, parameter in known.items():
            schema = parameter["schema"]
            value = sent[name][0] if name in sent else schema.get("default")
            if value is not None:
                for error in self._document.compiled(schema, name).iter_errors(value):
                    raise ControlError(400, "invalid_request", f"{name}: {error.message}")
                found[name] = value
        return found

    async def _unknown(self, call: RequestContext, _: _Asked) -> Json:
        paths = ", ".join(f"{ROOT}{path}" for path in self._document.at("/paths"))
        raise ControlError(404, "unknown_path", f"{call.scope['path']} is not there; wanted one of {paths}")

    async def get_health(self, _: RequestContext, __: _Asked) -> Json:
        return {"status": "ok", "version": __version__}

    async def get_ready(self, call: RequestContext, _: _Asked) -> Json:
        world = call.world
        url = f"{world.origins.own}{world.prefix}"
        return {
            "ready": True,
            "world": world.name,
            "url": url,
            "base_url": f"{url}/v1",
            "other_origin": world.origins.other,
            "profile": world.settings.profile,
            "seed": world.seed,
            "worlds": len(self._worlds),
        }

    async def list_worlds(self, _: RequestContext, __: _Asked) -> Json:
        return {
            "worlds": [
                {
                    "name": world.name,
                    "jobs": len(world.jobs),
                    "exchanges": world.journal.count,
                    "scenario": world.plan.scenario.name,
                }
                for world in self._worlds
            ]
        }

    async def get_document(self, _: RequestContext, __: _Asked) -> Json:
        return self._document.tree

    async def reset_world(self, call: RequestContext, asked: _Asked) -> Json:
        changes = dict(asked.body)
        # Not as a setting, which may be a file's path: who may call this need not be who may read the file.
        scenario = _chosen(call, changes.pop("scenario")) if "scenario" in changes else None
        call.world = self._worlds.reset(call.world.name, changes, scenario)
        return await self.get_ready(call, asked)

    async def get_scenario(self, call: RequestContext, _: _Asked) -> Json:
        return _scenario(call.world.plan.scenario)

    async def set_scenario(self, call: RequestContext, asked: _Asked) -> Json:
        call.world.use(_chosen(call, asked.body["scenario"]))
        return _scenario(call.world.plan.scenario)

    async def list_scenarios(self, call: RequestContext, _: _Asked) -> Json:
        return {"scenarios": [_scenario(one) for one in call.world.scenarios.named()]}

    async def find_scenario(self, call: RequestContext, _: _Asked) -> Json:
        try:
            return _scenario(call.world.scenarios.by_name(call.path_value).scenario)
        except MockveoError as error:
            raise ControlError(404, "scenario_not_found", str(error)) from None

    async def define_scenario(self, call: RequestContext, asked: _Asked) -> Json:
        name = call.path_value
        if name in built_in_scenarios():
            raise ControlError(
                409, "scenario_exists", f"{name!r} is a built-in scenario; wanted another name, e.g. my-{name}"
            )
        defined = scenarios.scenario({**asked.body, "name": name}, name)
        call.world.scenarios.remember(defined)
        return _scenario(defined)

    async def get_queue(self, call: RequestContext, _: _Asked) -> Json:
        return {"scenarios": [_scenario(one) for one in call.world.scenarios.waiting()]}

    async def queue_scenario(self, call: RequestContext, asked: _Asked) -> Json:
        if len(call.world.scenarios.waiting()) >= MAX_QUEUE:
            raise ControlError(
                409, "queue_full", f"{MAX_QUEUE} scenarios are waiting; wanted fewer, or DELETE {ROOT}/queue"
            )
        call.world.scenarios.enqueue(_chosen(call, asked.body["scenario"]))
        return await self.get_queue(call, asked)

    async def clear_queue(self, call: RequestContext, asked: _Asked) -> Json:
        call.world.scenarios.clear_waiting()
        return await self.get_queue(call, asked)

    async def get_clock(self, call: RequestContext, _: _Asked) -> Json:
        clock = call.world.clock
        return {name: getattr(clock, name) for name in ("mode", "speed", "step")} | {
            "now": clock.now(),
            "date": clock.date(),
        }

    async def change_clock(self, call: RequestContext, asked: _Asked) -> Json:
        for name, value in asked.body.items():
            setattr(call.world.clock, name, value)
        return await self.get_clock(call, asked)

    async def advance_clock(self, call: RequestContext, asked: _Asked) -> Json:
        call.world.clock.advance(asked.body["seconds"])
        return await self.get_clock(call, asked)

    async def list_jobs(self, call: RequestContext, asked: _Asked) -> Json:
        found = []
        known = call.world.spec.statuses | {one.status for job in call.world.jobs for one in job.plan.stages}
        if asked.queries.get("status", min(known)) not in known:
            raise ControlError(
                400,
                "invalid_request",
                f"no job can be {asked.queries['status']!r}; wanted {' or '.join(sorted(known))}",
            )
        for job in reversed(list(call.world.jobs)):
            shown = _job(call, job)
            is_so = {"status": shown["status"], "ended": _truth(shown["ended_at"] is not None)}
            if all(asked.queries.get(name, value) == value for name, value in is_so.items()):
                found.append(shown)
        return {"count": len(found), "jobs": found[: int(asked.queries["limit"])]}

    async def get_job(self, call: RequestContext, _: _Asked) -> Json:
        job = _found_job(call)
        return {**_job(call, job), "timeline": [moment._asdict() for moment in timeline(job)]}

    async def end_job(self, call: RequestContext, asked: _Asked) -> Json:
        job = _found_job(call)
        if call.world.view(job).ended_at is not None:
            raise ControlError(
                409, "job_ended", f"the job {job.id} has come to its end already; wanted one that has not"
            )
        call.world.end(job, scenarios.forced(asked.body))
        return await self.get_job(call, asked)

    async def list_exchanges(self, call: RequestContext, asked: _Asked) -> Json:
        found = [one for one in call.world.journal if _fits(one, asked.queries)]
        limit = int(asked.queries["limit"])
        return {"count": len(found), "exchanges": [one.to_json() for one in found[max(len(found) - limit, 0) :]]}

    async def get_exchange(self, call: RequestContext, _: _Asked) -> Json:
        for exchange in call.world.journal:
            if str(exchange.number) == call.path_value:
                return exchange.to_json()
        raise ControlError(
            404, "exchange_not_found", f"the journal of this world has no exchange {call.path_value} (any more)"
        )

    async def clear_journal(self, call: RequestContext, _: _Asked) -> Json:
        call.world.journal.clear()
        return {"count": 0}

    async def export_journal(self, call: RequestContext, _: _Asked) -> Json:
        origins, prefix = call.world.origins, call.world.prefix
        return har(call.world.journal, f"{origins.own}{prefix}", f"{origins.other}{prefix}")

    async def list_findings(self, call: RequestContext, _: _Asked) -> Json:
        # Here, not above: a world that nobody judges does not wait for the rules.
        from mockveo.rules.client_rules import findings

        return {
            "findings": [
                finding.to_json() for finding in findings(exchange.to_json() for exchange in call.world.journal)
            ]
        }

    async def follow_exchanges(self, call: RequestContext, asked: _Asked) -> Response:
        since = asked.queries.get("since", call.headers.get(b"last-event-id", b"").decode("latin-1"))
        seen = int(since) if since.isdecimal() and len(since) < 16 else call.world.journal.count
        headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
        if call.scope["method"] == "HEAD":
            return Response(200, headers, b"")
        return Response(200, headers, b"", partial(self._events, call, seen))

    async def _events(self, call: RequestContext, seen: int, receive: Receive) -> AsyncIterator[bytes]:
        name = call.world.name
        journal, waited = self._worlds.get(name).journal, 0.0
        yield b": mockveo\n\n"
        while not self._closing():
            now = self._worlds.get(name).journal
            if now is not journal or seen > now.count:
                journal, seen = now, 0
                yield b"event: reset\ndata: {}\n\n"
            for exchange in journal.since(seen):
                data = orjson.dumps(exchange.to_json())
                yield b"event: exchange\nid: %d\ndata: %s\n\n" % (exchange.number, data)
                waited = 0.0
            seen = max(seen, journal.count)
            if waited >= ALIVE:
                yield b": alive\n\n"
                waited = 0.0
            if await leaves_within(LOOK, call.scope, receive):
                return
            waited += LOOK


class _Asked(NamedTuple):
    """What is asked for: the query parameters and the body, held against the document."""

    queries: Mapping[str, str]
    body: Json


async def _not_allowed(methods: list[str], call: RequestContext, _: _Asked) -> Json:
    raise ControlError(
        405, "method_not_allowed", f"{call.scope['method']} is not for this path; wanted {' or '.join(methods)}"
    )


def _refuse_strangers(call: RequestContext) -> None:
    """Raises Misuse for another machine and for a page of another site."""
    client = call.scope.get("client")
    address = ipaddress.ip_address(client[0].partition("%")[0]) if client else None
    mapped = getattr(address, "ipv4_mapped", None)
    if address is not None and not (mapped or address).is_loopback:
        raise ControlError(
            403, "not_local", f"{ROOT} serves the machine it runs on only; the request came from {address}"
        )
    origin = call.headers.get(b"origin", b"").decode("latin-1")
    if origin:
        if re.fullmatch(LOOPBACK_ORIGIN, origin) is None:
            raise ControlError(403, "cross_site", f"{ROOT} serves no page of another site; the Origin is {origin}")
    elif call.headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin", b"same-site"):
        raise ControlError(403, "cross_site", f"{ROOT} serves no page of another site; Sec-Fetch-Site says this is one")


def _chosen(call: RequestContext, what: Json) -> Scenario:
    return call.world.scenarios.by_name(what).scenario if isinstance(what, str) else scenarios.scenario(what)


def _scenario(scenario: Scenario) -> Json:
    return {"name": scenario.name, "summary": scenario.summary, "scenario": scenario.data}


def _found_job(call: RequestContext) -> Job:
    job = call.world.jobs.get(call.path_value)
    if job is None:
        raise ControlError(
            404, "job_not_found", f"this world has no job {call.path_value!r}; GET {ROOT}/jobs lists them"
        )
    return job


def _job(call: RequestContext, job: Job) -> dict[str, Any]:
    now, ends = call.world.view(job), end(job)
    return {
        "id": job.id,
        "status": now.status,
        "progress": now.progress,
        "model": job.model,
        "alias": job.alias,
        "prompt": job.prompt,
        "images": job.image_count,
        "key": fingerprint(job.owner),
        "created_at": job.created_at,
        "created": job.created,
        "ends": ends if job.plan.ends else None,
        "ended_at": now.ended_at,
        "error": now.error,
        "scenario": job.plan.scenario.name,
    }


def _truth(value: bool) -> str:
    return "true" if value else "false"


def _fits(exchange: ExchangeRecord, queries: Mapping[str, str]) -> bool:
    operation = queries.get("operation")
    return (
        (operation is None or exchange.operation == OPERATION_IDS.get(operation, operation))
        and queries.get("status", str(exchange.status)) == str(exchange.status)
        and queries.get("job", exchange.job_id) == exchange.job_id
        and queries.get("faulty", _truth(bool(exchange.faults))) == _truth(bool(exchange.faults))
        and exchange.number > int(queries["since"])
    )
