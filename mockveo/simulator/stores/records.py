"""Jobs and exchanges as bytes, and back: JSON, with the images of a job after it.

Not pickle, because a store may be a file from elsewhere or a server that others can write to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from itertools import accumulate, pairwise
from typing import Any, Final

import orjson

from mockveo._paths import built_in_scenarios
from mockveo.http.parts import Part
from mockveo.simulator.jobs import Job, JobPlan, Stage
from mockveo.simulator.scenarios import Style
from mockveo.simulator.stores.store import Plans
from mockveo.traffic.record import Deviation, ExchangeRecord

#: The attributes of an exchange; others of what is read are ignored.
_EXCHANGE_NAMES: Final = frozenset(
    {name for name in vars(ExchangeRecord) if not name.startswith("__") and not callable(getattr(ExchangeRecord, name))}
    | {"started", "method", "path", "query", "_headers", "kept"}
) - {name for name, value in vars(ExchangeRecord).items() if isinstance(value, property)}
#: The attributes of an exchange that are bytes; JSON has them as Latin-1.
_BYTES: Final = ("query", "body", "body_digest", "response_body", "response_digest", "_headers")
#: Where a part has the bytes of a file.
_DATA: Final = Part._fields.index("data")
#: Sets of other fields that jobs share, as a server makes them; bounded, since it is only a saving.
_ECHOES: Final[dict[bytes, Mapping[str, Any]]] = {}
MAX_ECHOES: Final = 10_000


def job_to_bytes(job: Job) -> bytes:
    """Return a job as bytes: a line of JSON, then its images one after the other."""
    chosen = job.chosen
    head = [
        *(job.id, job.owner, job.alias, job.model, job.prompt, job.echo, job.image_count),
        *(job.created, job.created_at, job.pace, _plan_data(job.plan)),
        # Nearly always the same plan or none; a job that was ended has another.
        (job.plan is chosen) if chosen is None or job.plan is chosen else _plan_data(chosen),
        [len(image) for image in job.images],
    ]
    return b"".join([orjson.dumps(head), b"\n", *job.images])


def job_from_bytes(data: bytes, plans: Plans) -> Job:
    """Return the job of `job_to_bytes`. Raises ValueError, TypeError or ScenarioError for other bytes."""
    line, _, images = data.partition(b"\n")
    *values, plan_data, chosen, sizes = orjson.loads(line)
    job_id, owner, alias, model, prompt, echo, image_count, created, created_at, pace = values
    echo = _shared(echo)
    plan = _plan(plan_data, plans)
    own_plan = {True: plan, False: None}[chosen] if isinstance(chosen, bool) else _plan(chosen, plans)
    cuts = pairwise(accumulate(sizes, initial=0))
    kept = tuple([images[start:end] for start, end in cuts]) if sizes else ()
    return Job(
        *(job_id, owner, alias, model, prompt, echo, kept, image_count, created, created_at, pace, plan), own_plan
    )


def _shared(echo: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an equal set that other jobs have too, which saves most of their memory."""
    if len(_ECHOES) >= MAX_ECHOES:
        _ECHOES.clear()
    # By its bytes, since 1 equals True.
    return _ECHOES.setdefault(orjson.dumps(echo), echo)


def _plan_data(plan: JobPlan) -> Any:
    """Return a plan as its key, the name and the data of its scenario, and its course if that is its own."""
    scenario = plan.scenario
    if plan.key in built_in_scenarios() and not plan.cut:
        return plan.key
    data: list[Any] = [plan.key, scenario.name, scenario.data]
    if plan.cut:
        stages = [[*stage[:-1], [_style_data(style) for style in stage.styles]] for stage in plan.stages]
        data.append([stages, plan.final, plan.progress, plan.error, plan.ends])
    return data


def _plan(data: Any, plans: Plans) -> JobPlan:
    if isinstance(data, str):
        return plans(data, data, None)
    key, name, scenario_data, *course = data
    plan = plans(key, name, scenario_data)
    if not course:
        return plan
    stages, final, progress, error, ends = course[0]
    made = tuple([_stage(*stage) for stage in stages])
    return JobPlan(made, final, progress, error, ends, plan.scenario, key, cut=True)


def _stage(*values: Any) -> Stage:
    *numbers, steps, styles = values
    status, shortest, longest, start, end = numbers
    made = tuple([Style(**_tuples(style)) for style in styles])
    return Stage(status, shortest, longest, start, end, tuple(steps), made)


def _style_data(style: Style) -> dict[str, Any]:
    return {field.name: getattr(style, field.name) for field in fields(style)}


def _tuples(style: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in style.items()}


def exchange_to_bytes(exchange: ExchangeRecord) -> bytes:
    """Return an exchange as a line of JSON."""
    data = dict(exchange.__dict__)
    for name in _BYTES:
        value = data.get(name)
        if value:
            data[name] = value.decode("latin-1")
        elif value is not None:
            data[name] = ""
    data["response_headers"] = [
        [name.decode("latin-1"), value.decode("latin-1")] for name, value in exchange.response_headers
    ]
    if exchange.parts:
        # Bare tuples, since orjson would ask for each named one.
        data["parts"] = [(*part[:_DATA], None, *part[_DATA + 1 :]) for part in exchange.parts]
    return orjson.dumps(data, default=_listed)


def exchange_from_bytes(data: bytes) -> ExchangeRecord:
    """Return the exchange of `exchange_to_bytes`. Raises ValueError for other bytes."""
    values = orjson.loads(data)
    exchange = ExchangeRecord.__new__(ExchangeRecord)
    for name in _BYTES:
        if values.get(name) is not None:
            values[name] = values[name].encode("latin-1")
    values["response_headers"] = [
        (name.encode("latin-1"), value.encode("latin-1")) for name, value in values["response_headers"]
    ]
    values["parts"] = [Part(*part) for part in values.get("parts", ())]
    values["deviations"] = [Deviation(*deviation) for deviation in values.get("deviations", ())]
    exchange.__dict__.update({name: value for name, value in values.items() if name in _EXCHANGE_NAMES})
    return exchange


def _listed(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    raise TypeError(value)
