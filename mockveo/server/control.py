"""The control API: scenarios, time, jobs and the journal of a running server. `control.yaml` describes it.

It serves the machine on which it runs. Another machine, or a page of another site, could otherwise control a server
behind the back of its user, so both are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from time import time
from typing import TYPE_CHECKING, Final

from starlette.types import ASGIApp

from mockveo import yamlfiles
from mockveo._paths import built_in_scenarios
from mockveo._version import __version__
from mockveo.content.clips import Clips
from mockveo.errors import MockveoError, ScenarioError, StoreError
from mockveo.http.hosts import Hosts
from mockveo.http.responses import Response, json_response
from mockveo.server.context import ControlError, RequestContext, in_thread, refreshed
from mockveo.server.control_api.cases import CaseControl
from mockveo.server.control_api.changes import JobChanges
from mockveo.server.control_api.events import EventControl
from mockveo.server.control_api.exchanges import ExchangeControl
from mockveo.server.control_api.jobs import JobControl, chosen
from mockveo.server.control_api.measures import MetricsControl
from mockveo.server.control_api.pages import PAGES, protecting
from mockveo.server.control_lists import listed_exchanges
from mockveo.server.control_requests import (
    ROOT,
    ControlDocument,
    ControlHandler,
    ControlRequest,
    Later,
    refuse_foreign,
)
from mockveo.server.endpoints import Endpoint, EndpointTable, Route
from mockveo.simulator import scenarios
from mockveo.simulator.scenarios import Scenario
from mockveo.simulator.world import World
from mockveo.simulator.worlds import Worlds
from mockveo.spec.structure import Json
from mockveo.text import brief
from mockveo.traffic.har import har

if TYPE_CHECKING:
    from mockveo.server.control_api.prometheus import Metrics

#: Scenarios that may wait for a create. Arbitrary: keeps a client in a loop from filling memory.
MAX_WAITING: Final = 100


class Control:
    """The handlers, one for each operationId; they return JSON or raise ControlError.

    Those of jobs, of the event stream and of the dashboard are in `control_api`. `closing` returns whether the server
    is about to stop.
    """

    def __init__(
        self, worlds: Worlds, hosts: Hosts, clips: Clips, closing: Callable[[], bool], metrics: Metrics | None = None
    ) -> None:
        self._worlds = worlds
        self._hosts = hosts
        self._document = ControlDocument()
        self._changes = JobChanges()
        events = EventControl(worlds, self._changes, closing, self.state_of)
        measures = MetricsControl(worlds, metrics)
        self._parts = (self, JobControl(clips, self._changes), CaseControl(), ExchangeControl(), events, measures)
        #: Handlers that have to answer also when the store does not, and one that other machines may call.
        self._stateless = (self.get_health, measures.get_metrics)
        self._open = (measures.get_metrics,)

    def app(self) -> ASGIApp:
        """Return the application, below ROOT."""
        endpoints = self._endpoints()
        return lambda scope, receive, send: endpoints(scope, receive, protecting(send))

    def _endpoints(self) -> EndpointTable:
        by_path: dict[str, dict[str, Route]] = {}
        for path, method, operation_id, pointer in self._document.operations():
            name = re.sub(r"([A-Z])", r"_\1", operation_id).lower()
            (handler,) = (getattr(part, name) for part in self._parts if hasattr(part, name))
            by_path.setdefault(path, {})[method] = self._route(handler, pointer)
        for path, page in PAGES.items():
            by_path[path] = {"GET": self._route(page, is_page=True)}
        endpoints = {}
        for path, routes in by_path.items():
            otherwise = self._route(partial(_not_allowed, sorted(routes)))
            endpoints[path] = Endpoint(routes, self._hosts, otherwise=otherwise, shared=False)
        unknown = self._route(self._unknown_path)
        return EndpointTable(endpoints, Endpoint({}, self._hosts, otherwise=unknown, shared=False))

    def _route(self, handler: ControlHandler, pointer: str = "", *, is_page: bool = False) -> Route:
        """Return the route of a handler, whose requests the operation at `pointer` of the document describes.

        A page may be opened by a link from anywhere: without requests of its own origin it shows nothing.
        """

        async def read(call: RequestContext) -> None:
            if self._hosts.checked:
                refuse_foreign(call, is_page=is_page, is_open=handler in self._open)
            call.body = await self._document.read(call, pointer) if pointer else ControlRequest({}, None)
            call.touches_state = handler not in self._stateless
            if call.touches_state and self._worlds.stores.is_shared:
                call.world = await refreshed(call.world)

        def decide(call: RequestContext) -> Response:
            try:
                result = handler(call, call.body)
            except StoreError:
                raise
            except MockveoError as error:
                raise ControlError(400, "invalid_request", str(error)) from None
            if isinstance(result, Response):
                return result
            if not callable(result):
                return json_response(200, result)
            call.later = partial(_made, result)
            return Response(200, [], b"")

        return Route(None, decide, read=read)

    def _unknown_path(self, call: RequestContext, _: ControlRequest) -> Json:
        message = f"{brief(call.scope['path'])} is unknown; expected one of {', '.join(self._document.paths)}"
        raise ControlError(404, "unknown_path", message)

    def get_health(self, _: RequestContext, __: ControlRequest) -> Later:
        stores = self._worlds.stores
        return partial(in_thread, lambda: {"status": "ok", "version": __version__, "store": stores.state()})

    def get_ready(self, call: RequestContext, _: ControlRequest) -> Json:
        world = call.world
        url = f"{call.origins.own}{world.prefix}"
        return {
            "ready": True,
            "world": world.name,
            "url": url,
            "base_url": call.base_url,
            "other_origin": call.origins.other,
            "profile": world.settings.profile,
            "seed": world.seed,
            "worlds": len(self._worlds),
            "run": self._changes.run_of(world),
            "corpus": world.settings.corpus or None,
        }

    def list_worlds(self, _: RequestContext, __: ControlRequest) -> Later:
        return self._listed_worlds

    async def _listed_worlds(self) -> Json:
        if self._worlds.stores.is_shared:
            for name in await in_thread(self._worlds.stores.all_names):
                await refreshed(await in_thread(partial(self._worlds.get, name)))
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

    def state_of(self, call: RequestContext) -> Json:
        """Return what the event stream shows of a world besides exchanges and jobs."""
        nothing = ControlRequest({}, None)
        return {
            "clock": self.get_clock(call, nothing),
            "scenario": self.get_scenario(call, nothing),
            "queue": self.get_queue(call, nothing)["scenarios"],
        }

    def get_document(self, _: RequestContext, __: ControlRequest) -> Json:
        return self._document.tree

    def reset_world(self, call: RequestContext, request: ControlRequest) -> Later:
        changes = dict(request.body)
        # Not as a setting, which may be the path of a file that the caller may not read.
        scenario = chosen(call, changes.pop("scenario")) if "scenario" in changes else None
        return partial(self._replaced, call, request, partial(self._worlds.reset, call.world.name, changes, scenario))

    def save_world(self, call: RequestContext, _: ControlRequest) -> Json:
        # Imported lazily, as most servers never save a world.
        from mockveo.simulator.saving import saved

        return saved(call.world)

    def load_world(self, call: RequestContext, request: ControlRequest) -> Later:
        return partial(self._replaced, call, request, partial(self._worlds.load, call.world.name, request.body))

    async def _replaced(self, call: RequestContext, request: ControlRequest, make: Callable[[], World]) -> Json:
        call.world = await in_thread(make) if self._worlds.stores.is_shared else make()
        return self.get_ready(call, request)

    def get_scenario(self, call: RequestContext, _: ControlRequest) -> Json:
        return _scenario(call.world.plan.scenario)

    def set_scenario(self, call: RequestContext, request: ControlRequest) -> Json:
        call.world.use(chosen(call, request.body["scenario"]))
        return _scenario(call.world.plan.scenario)

    def list_scenarios(self, call: RequestContext, _: ControlRequest) -> Json:
        return {"scenarios": list(map(_scenario, call.world.scenarios.named()))}

    def find_scenario(self, call: RequestContext, _: ControlRequest) -> Json:
        try:
            return _scenario(call.world.scenarios.by_name(call.path_value).scenario)
        except MockveoError as error:
            raise ControlError(404, "scenario_not_found", str(error)) from None

    def define_scenario(self, call: RequestContext, request: ControlRequest) -> Json:
        name = call.path_value
        if name in built_in_scenarios():
            message = f"{brief(name)} is a built-in scenario; expected another name, e.g. my-{name}"
            raise ControlError(409, "scenario_exists", message)
        defined = scenarios.scenario({**request.body, "name": name}, name)
        call.world.scenarios.remember(defined)
        return _scenario(defined)

    def check_scenario(self, call: RequestContext, request: ControlRequest) -> Json:
        data = yamlfiles.parse(request.body["text"].encode(), "the text", ScenarioError)
        checked = scenarios.scenario(data)
        call.world.scenarios.check(checked)
        return _scenario(checked)

    def get_queue(self, call: RequestContext, _: ControlRequest) -> Json:
        return {"scenarios": list(map(_scenario, call.world.scenarios.waiting()))}

    def queue_scenario(self, call: RequestContext, request: ControlRequest) -> Json:
        if len(call.world.scenarios.waiting()) >= MAX_WAITING:
            message = f"{MAX_WAITING} scenarios are waiting; expected fewer, or DELETE {ROOT}/queue"
            raise ControlError(409, "queue_full", message)
        call.world.scenarios.enqueue(chosen(call, request.body["scenario"]))
        return self.get_queue(call, request)

    def clear_queue(self, call: RequestContext, request: ControlRequest) -> Json:
        call.world.scenarios.clear_waiting()
        return self.get_queue(call, request)

    def get_clock(self, call: RequestContext, _: ControlRequest) -> Json:
        clock = call.world.clock
        return {
            "mode": clock.mode,
            "speed": clock.speed,
            "step": clock.step,
            "now": clock.now(),
            "date": clock.date(),
        }

    def change_clock(self, call: RequestContext, request: ControlRequest) -> Json:
        for name, value in request.body.items():
            setattr(call.world.clock, name, value)
        return self.get_clock(call, request)

    def advance_clock(self, call: RequestContext, request: ControlRequest) -> Json:
        call.world.clock.advance(request.body["seconds"])
        return self.get_clock(call, request)

    def list_exchanges(self, call: RequestContext, request: ControlRequest) -> Later:
        return partial(listed_exchanges, call, request.queries)

    def clear_journal(self, call: RequestContext, _: ControlRequest) -> Json:
        call.world.journal.clear()
        return {"count": 0}

    def export_journal(self, call: RequestContext, _: ControlRequest) -> Later:
        origins, prefix = call.world.origins, call.world.prefix
        exchanges = list(call.world.journal)
        return partial(in_thread, lambda: har(exchanges, f"{origins.own}{prefix}", f"{origins.other}{prefix}"))

    def list_findings(self, call: RequestContext, request: ControlRequest) -> Later:
        # Imported lazily so that the control API starts fast if nothing asks for findings.
        from mockveo.rules.client_rules import findings

        records = list(call.world.journal)

        def judged() -> Json:
            exchanges = [record.to_json() for record in records]
            listed = [finding.to_json() for finding in findings(exchanges)]
            if request.queries["unrepeated"] == "true":
                from mockveo.dashboard.unrepeated import unrepeated

                listed += unrepeated(exchanges, time())
            return {"findings": listed}

        return partial(in_thread, judged)

    def list_rules(self, _: RequestContext, __: ControlRequest) -> Json:
        from mockveo.rules.client_rules import client_rules

        return {"rules": [asdict(rule) for rule in client_rules().rules.values()]}

    def get_bill(self, call: RequestContext, _: ControlRequest) -> Later:
        # Imported lazily for the same reason.
        from mockveo.server.billing import world_bill

        return partial(in_thread, lambda: world_bill(call.world).to_json())


async def _made(later: Later) -> Response:
    try:
        return json_response(200, await later())
    except StoreError:
        raise
    except MockveoError as error:
        raise ControlError(400, "invalid_request", str(error)) from None


def _not_allowed(methods: list[str], call: RequestContext, _: ControlRequest) -> Json:
    message = f"{call.scope['method']} is not for this path; expected {' or '.join(methods)}"
    raise ControlError(405, "method_not_allowed", message)


def _scenario(scenario: Scenario) -> Json:
    return {"name": scenario.name, "summary": scenario.summary, "scenario": scenario.data}
