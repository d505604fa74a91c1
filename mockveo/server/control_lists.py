"""Lists of the control API, built in slices so that other requests are served meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Final, TypeVar, cast

from mockveo.realtime import monotonic
from mockveo.server.context import ControlError, RequestContext
from mockveo.simulator.jobs import Job, end, timeline
from mockveo.simulator.world import World
from mockveo.spec.operations import OPERATION_IDS
from mockveo.spec.structure import Json
from mockveo.text import brief
from mockveo.traffic.record import ExchangeRecord
from mockveo.traffic.redaction import fingerprint, redactor

#: How long a list is built before other requests get their turn. Arbitrary: a tenth of what anybody would notice.
SLICE_S: Final = 0.005
_T = TypeVar("_T")


def job_json(world: World, job: Job, *, with_timeline: bool = False) -> dict[str, Any]:
    """Return a job as the control API shows it."""
    now, ends = world.view(job), end(job)
    price = world.spec.prices.get(job.alias)
    cost = None if price is None else price.of(job.echo)
    shown = {
        "id": job.id,
        "status": now.status,
        "progress": now.progress,
        "model": job.model,
        "alias": job.alias,
        "size": str(job.echo.get("size", "")),
        "prompt": job.prompt,
        "images": job.image_count,
        "kept_images": len(job.images),
        "cost": None if cost is None else str(cost),
        "key": fingerprint(job.owner),
        "created_at": job.created_at,
        "created": job.created,
        "ends": ends if job.plan.ends else None,
        "ended_at": now.ended_at,
        "error": now.error,
        "scenario": (job.chosen or job.plan).scenario.name,
        **({"timeline": [moment._asdict() for moment in timeline(job)]} if with_timeline else {}),
    }
    # A prompt or a field may hold the caller's key.
    return cast(dict[str, Any], redactor([("authorization", job.owner)], b"").redact(shown))


async def listed_jobs(call: RequestContext, queries: Mapping[str, str]) -> Json:
    """Return the latest jobs that fit the queries."""
    world, limit, statuses = call.world, int(queries["limit"]), set(call.world.spec.statuses)
    is_filtered, shown = bool({"status", "ended"} & set(queries)), list[Json]()
    async for job in _in_slices(world.jobs.latest(None if is_filtered else limit)):
        if len(shown) >= limit:
            break
        now = world.view(job)
        statuses.update([stage.status for stage in job.plan.stages])
        if queries.get("status", now.status) == now.status and _fits(queries, "ended", now.ended_at is not None):
            shown.append(job_json(world, job, with_timeline=queries["timeline"] == "true"))
    if not shown and queries.get("status", "queued") not in statuses:
        message = f"no job can be {brief(queries['status'])}; expected {' or '.join(sorted(statuses))}"
        raise ControlError(400, "invalid_request", message)
    return {"count": len(world.jobs), "jobs": shown}


async def listed_exchanges(call: RequestContext, queries: Mapping[str, str]) -> Json:
    """Return the latest exchanges that fit the queries."""
    exchanges = call.world.journal.since(int(queries["since"]))
    matching = [exchange async for exchange in _in_slices(exchanges) if _exchange_matches(exchange, queries)]
    latest = matching[max(len(matching) - int(queries["limit"]), 0) :]
    return {"count": len(matching), "exchanges": [exchange.to_json() async for exchange in _in_slices(latest)]}


async def _in_slices(items: Iterable[_T]) -> AsyncIterator[_T]:
    """Yield items, and let other requests be served in between."""
    begun = monotonic()
    for item in items:
        if monotonic() - begun > SLICE_S:
            await asyncio.sleep(0)
            begun = monotonic()
        yield item


def _exchange_matches(exchange: ExchangeRecord, queries: Mapping[str, str]) -> bool:
    operation = queries.get("operation")
    return (
        (operation is None or exchange.operation == OPERATION_IDS.get(operation, operation))
        and queries.get("status", str(exchange.status)) == str(exchange.status)
        and queries.get("job", exchange.job_id) == exchange.job_id
        and _fits(queries, "faulty", bool(exchange.faults))
    )


def _fits(queries: Mapping[str, str], name: str, value: bool) -> bool:
    """Return whether a query asks for this truth value, or for any."""
    return queries.get(name) in (None, "true" if value else "false")
