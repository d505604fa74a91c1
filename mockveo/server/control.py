"""The control API: scenarios, time, jobs and the journal of a running server. `control.yaml` describes it.

It serves the machine on which it runs. Another machine, or a page of another site, could otherwise control a server
behind the back of its user, so both are refused.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, TypeAlias

import orjson
from starlette.types import Receive

from mockveo._paths import built_in_scenarios
from mockveo._version import __version__
from mockveo.errors import MockveoError
from mockveo.http.hosts import Hosts
from mockveo.http.responses import Response, json_response
from mockveo.server.context import ControlError, RequestContext
from mockveo.server.control_requests import ROOT, ControlDocument, ControlRequest, refuse_foreign
from mockveo.server.endpoints import Endpoint, EndpointTable, Route
from mockveo.server.faults import leaves_within
from mockveo.simulator import scenarios
from mockveo.simulator.jobs import Job, end, timeline
from mockveo.simulator.scenarios import Scenario
from mockveo.simulator.worlds import Worlds
from mockveo.spec.openapi import Json
from mockveo.spec.operations import OPERATION_IDS
from mockveo.traffic.har import har
from mockveo.traffic.record import ExchangeRecord
from mockveo.traffic.redaction import fingerprint

#: Scenarios that may wait for a create. Arbitrary: keeps a client in a loop from filling memory.
MAX_WAITING: Final = 100
#: Pause between two looks for new exchanges. Arbitrary: short for a person.
EVENTS_INTERVAL_S: Final = 0.1
#: Longest silence of an event stream. Source: HTML Standard, section 9.2.7, recommends a comment every 15 seconds.
EVENTS_SILENCE_S: Final = 15.0

ControlHandler: TypeAlias = Callable[[RequestContext, ControlRequest], Awaitable[Json | Response]]


class Control:
    """The handlers, one for each operationId; they return JSON or raise ControlError.

    `closing` returns whether the server is about to stop.
    """

    def __init__(self, worlds: Worlds, hosts: Hosts, closing: Callable[[], bool]) -> None:
        self._worlds = worlds
        self._hosts = hosts
        self._closing = closing
        self._document = ControlDocument()

    def endpoints(self) -> EndpointTable:
        """Return the endpoints, below ROOT."""
        by_path: dict[str, dict[str, Route]] = {}
        for path, method, operation_id, pointer in self._document.operations():
            handler = getattr(self, re.sub(r"([A-Z])", r"_\1", operation_id).lower())
            by_path.setdefault(path, {})[method] = Route(None, partial(self._guarded, handler, pointer))
        endpoints = {}
        for path, routes in by_path.items():
            otherwise = Route(None, partial(self._guarded, partial(_not_allowed, sorted(routes)), ""))
            endpoints[path] = Endpoint(routes, self._hosts, otherwise=otherwise)
        unknown = Route(None, partial(self._guarded, self._unknown_path, ""))
        return EndpointTable(endpoints, Endpoint({}, self._hosts, otherwise=unknown))

    async def _guarded(self, handler: ControlHandler, pointer: str, call: RequestContext) -> Response:
        if self._hosts.checked:
            refuse_foreign(call, self._hosts)
        try:
            request = await self._document.read(call, pointer) if pointer else ControlRequest({}, None)
            result = await handler(call, request)
        except MockveoError as error:
            raise ControlError(400, "invalid_request", str(error)) from None
        return result if isinstance(result, Response) else json_response(200, result)

    async def _unknown_path(self, call: RequestContext, _: ControlRequest) -> Json:
        message = f"{call.scope['path']} is unknown; expected one of {', '.join(self._document.paths)}"
        raise ControlError(404, "unknown_path", message)

    async def get_health(self, _: RequestContext, __: ControlRequest) -> Json:
        return {"status": "ok", "version": __version__}

    async def get_ready(self, call: RequestContext, _: ControlRequest) -> Json:
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

    async def list_worlds(self, _: RequestContext, __: ControlRequest) -> Json:
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

    async def get_document(self, _: RequestContext, __: ControlRequest) -> Json:
        return self._document.tree

    async def reset_world(self, call: RequestContext, request: ControlRequest) -> Json:
        changes = dict(request.body)
        # Not as a setting, which may be the path of a file that the caller may not read.
        scenario = _chosen(call, changes.pop("scenario")) if "scenario" in changes else None
        call.world = self._worlds.reset(call.world.name, changes, scenario)
        return await self.get_ready(call, request)

    async def get_scenario(self, call: RequestContext, _: ControlRequest) -> Json:
        return _scenario(call.world.plan.scenario)

    async def set_scenario(self, call: RequestContext, request: ControlRequest) -> Json:
        call.world.use(_chosen(call, request.body["scenario"]))
        return _scenario(call.world.plan.scenario)

    async def list_scenarios(self, call: RequestContext, _: ControlRequest) -> Json:
        return {"scenarios": list(map(_scenario, call.world.scenarios.named()))}

    async def find_scenario(self, call: RequestContext, _: ControlRequest) -> Json:
        try:
            return _scenario(call.world.scenarios.by_name(call.path_value).scenario)
        except MockveoError as error:
            raise ControlError(404, "scenario_not_found", str(error)) from None

    async def define_scenario(self, call: RequestContext, request: ControlRequest) -> Json:
        name = call.path_value
        if name in built_in_scenarios():
            message = f"{name!r} is a built-in scenario; expected another name, e.g. my-{name}"
            raise ControlError(409, "scenario_exists", message)
        defined = scenarios.scenario({**request.body, "name": name}, name)
        call.world.scenarios.remember(defined)
        return _scenario(defined)

    async def get_queue(self, call: RequestContext, _: ControlRequest) -> Json:
        return {"scenarios": list(map(_scenario, call.world.scenarios.waiting()))}

    async def queue_scenario(self, call: RequestContext, request: ControlRequest) -> Json:
        if len(call.world.scenarios.waiting()) >= MAX_WAITING:
            message = f"{MAX_WAITING} scenarios are waiting; expected fewer, or DELETE {ROOT}/queue"
            raise ControlError(409, "queue_full", message)
        call.world.scenarios.enqueue(_chosen(call, request.body["scenario"]))
        return await self.get_queue(call, request)

    async def clear_queue(self, call: RequestContext, request: ControlRequest) -> Json:
        call.world.scenarios.clear_waiting()
        return await self.get_queue(call, request)

    async def get_clock(self, call: RequestContext, _: ControlRequest) -> Json:
        clock = call.world.clock
        return {
            "mode": clock.mode,
            "speed": clock.speed,
            "step": clock.step,
            "now": clock.now(),
            "date": clock.date(),
        }

    async def change_clock(self, call: RequestContext, request: ControlRequest) -> Json:
        for name, value in request.body.items():
            setattr(call.world.clock, name, value)
        return await self.get_clock(call, request)

    async def advance_clock(self, call: RequestContext, request: ControlRequest) -> Json:
        call.world.clock.advance(request.body["seconds"])
        return await self.get_clock(call, request)

    async def list_jobs(self, call: RequestContext, request: ControlRequest) -> Json:
        queries, jobs = request.queries, list(call.world.jobs)
        statuses = call.world.spec.statuses | {stage.status for job in jobs for stage in job.plan.stages}
        if "status" in queries and queries["status"] not in statuses:
            message = f"no job can be {queries['status']!r}; expected {' or '.join(sorted(statuses))}"
            raise ControlError(400, "invalid_request", message)
        shown = [_job(call, job) for job in reversed(jobs)]
        matching = [job for job in shown if _job_matches(job, queries)]
        return {"count": len(matching), "jobs": matching[: int(queries["limit"])]}

    async def get_job(self, call: RequestContext, _: ControlRequest) -> Json:
        job = _find_job(call)
        return {**_job(call, job), "timeline": [moment._asdict() for moment in timeline(job)]}

    async def end_job(self, call: RequestContext, request: ControlRequest) -> Json:
        job = _find_job(call)
        if call.world.view(job).ended_at is not None:
            raise ControlError(409, "job_ended", f"the job {job.id} has ended already; expected one that has not")
        call.world.end(job, scenarios.forced(request.body))
        return await self.get_job(call, request)

    async def list_exchanges(self, call: RequestContext, request: ControlRequest) -> Json:
        matching = [exchange for exchange in call.world.journal if _exchange_matches(exchange, request.queries)]
        latest = matching[max(len(matching) - int(request.queries["limit"]), 0) :]
        return {"count": len(matching), "exchanges": [exchange.to_json() for exchange in latest]}

    async def get_exchange(self, call: RequestContext, _: ControlRequest) -> Json:
        for exchange in call.world.journal:
            if str(exchange.number) == call.path_value:
                return exchange.to_json()
        message = f"the journal of this world has no exchange {call.path_value} (any more)"
        raise ControlError(404, "exchange_not_found", message)

    async def clear_journal(self, call: RequestContext, _: ControlRequest) -> Json:
        call.world.journal.clear()
        return {"count": 0}

    async def export_journal(self, call: RequestContext, _: ControlRequest) -> Json:
        origins, prefix = call.world.origins, call.world.prefix
        return har(call.world.journal, f"{origins.own}{prefix}", f"{origins.other}{prefix}")

    async def list_findings(self, call: RequestContext, _: ControlRequest) -> Json:
        # Imported lazily so that the control API starts fast if nothing asks for findings.
        from mockveo.rules.client_rules import findings

        exchanges = [exchange.to_json() for exchange in call.world.journal]
        return {"findings": [finding.to_json() for finding in findings(exchanges)]}

    async def follow_exchanges(self, call: RequestContext, request: ControlRequest) -> Response:
        since = request.queries.get("since", call.headers.get(b"last-event-id", b"").decode("latin-1"))
        number = call.world.journal.count
        if since.isdecimal() and len(since) < 16:  # int() is slow for thousands of digits.
            number = int(since)
        headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
        if call.scope["method"] == "HEAD":
            return Response(200, headers, b"")
        return Response(200, headers, b"", partial(self._events, call, number))

    async def _events(self, call: RequestContext, number: int, receive: Receive) -> AsyncIterator[bytes]:
        """Yield server-sent events of the exchanges after a number."""
        name = call.world.name
        journal, silence = self._worlds.get(name).journal, 0.0
        yield b": mockveo\n\n"
        while not self._closing():
            present = self._worlds.get(name).journal
            if present is not journal or number > present.count:
                journal, number = present, 0
                yield b"event: reset\ndata: {}\n\n"
            for exchange in journal.since(number):
                data = orjson.dumps(exchange.to_json())
                yield b"event: exchange\nid: %d\ndata: %s\n\n" % (exchange.number, data)
                silence = 0.0
            number = max(number, journal.count)
            if silence >= EVENTS_SILENCE_S:
                yield b": alive\n\n"
                silence = 0.0
            if await leaves_within(EVENTS_INTERVAL_S, call.scope, receive):
                return
            silence += EVENTS_INTERVAL_S


async def _not_allowed(methods: list[str], call: RequestContext, _: ControlRequest) -> Json:
    message = f"{call.scope['method']} is not for this path; expected {' or '.join(methods)}"
    raise ControlError(405, "method_not_allowed", message)


def _chosen(call: RequestContext, name_or_data: Json) -> Scenario:
    if isinstance(name_or_data, str):
        return call.world.scenarios.by_name(name_or_data).scenario
    return scenarios.scenario(name_or_data)


def _scenario(scenario: Scenario) -> Json:
    return {"name": scenario.name, "summary": scenario.summary, "scenario": scenario.data}


def _find_job(call: RequestContext) -> Job:
    job = call.world.jobs.get(call.path_value)
    if job is None:
        message = f"this world has no job {call.path_value!r}; GET {ROOT}/jobs lists them"
        raise ControlError(404, "job_not_found", message)
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


def _job_matches(job: Mapping[str, Any], queries: Mapping[str, str]) -> bool:
    ended = _truth(job["ended_at"] is not None)
    return queries.get("status", job["status"]) == job["status"] and queries.get("ended", ended) == ended


def _exchange_matches(exchange: ExchangeRecord, queries: Mapping[str, str]) -> bool:
    operation, faulty = queries.get("operation"), _truth(bool(exchange.faults))
    return (
        (operation is None or exchange.operation == OPERATION_IDS.get(operation, operation))
        and queries.get("status", str(exchange.status)) == str(exchange.status)
        and queries.get("job", exchange.job_id) == exchange.job_id
        and queries.get("faulty", faulty) == faulty
        and exchange.number > int(queries["since"])
    )


def _truth(value: bool) -> str:
    return "true" if value else "false"
