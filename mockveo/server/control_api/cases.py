"""The control API's operations that save what was seen as a contract case. `control.yaml` describes them."""

from __future__ import annotations

from pathlib import Path

from mockveo._paths import write_whole
from mockveo.dashboard.cases import SavedCase, case_of_create, case_of_job
from mockveo.errors import MockveoError
from mockveo.server.context import ControlError, RequestContext
from mockveo.server.control_api.exchanges import find_exchange
from mockveo.server.control_api.jobs import find_job
from mockveo.server.control_requests import ControlRequest
from mockveo.spec.structure import Json


class CaseControl:
    """The handlers of saved cases."""

    def get_job_case(self, call: RequestContext, _: ControlRequest) -> Json:
        return _job_case(call).to_json()

    def save_job_case(self, call: RequestContext, _: ControlRequest) -> Json:
        return _write(call, _job_case(call))

    def get_create_case(self, call: RequestContext, _: ControlRequest) -> Json:
        return _create_case(call).to_json()

    def save_create_case(self, call: RequestContext, _: ControlRequest) -> Json:
        return _write(call, _create_case(call))


def _job_case(call: RequestContext) -> SavedCase:
    world, job = call.world, find_job(call)
    creates = (each for each in world.journal if each.operation == "createVideo" and each.job_id == job.id)
    created = next((each.to_json() for each in creates), None)
    return case_of_job(job, world.governing(job), created, world.spec.lifecycle)


def _create_case(call: RequestContext) -> SavedCase:
    exchange = find_exchange(call)
    if exchange.operation != "createVideo":
        message = f"exchange {exchange.number} is no create; expected one, e.g. from GET /journal?operation=create"
        raise ControlError(409, "not_a_create", message)
    try:
        scenario = call.world.scenarios.by_name(exchange.scenario or call.world.plan.scenario.name).scenario
    except MockveoError as error:
        raise ControlError(
            409, "scenario_not_found", f"the scenario of the create is not known any more: {error}"
        ) from None
    return case_of_create(exchange.to_json(), scenario)


def _write(call: RequestContext, saved: SavedCase) -> Json:
    corpus = call.world.settings.corpus
    if not corpus:
        message = (
            "there is no directory to save cases in; expected mockveo with --corpus DIR, e.g. --corpus mockveo-cases"
        )
        raise ControlError(409, "no_corpus", message)
    path = Path(corpus) / saved.file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, saved.to_json()["case"].encode())
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}; expected a directory in which files can be made"
        raise ControlError(409, "not_written", message) from None
    return {**saved.to_json(), "path": str(path)}
