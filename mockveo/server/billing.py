"""The bill of a world, computed when it is asked for: no request pays for it."""

from __future__ import annotations

from dataclasses import replace

from mockveo.rules.bill import Bill, PaidJob
from mockveo.rules.money import bill, paid_jobs
from mockveo.rules.trace import split_calls
from mockveo.simulator.jobs import Job
from mockveo.simulator.world import World
from mockveo.traffic.redaction import fingerprint


def world_bill(world: World, *, place: str = "") -> Bill:
    """Return what became of the jobs of a world, by its journal; `place` is that of each job."""
    trace = (record.to_json() for record in world.journal)
    calls = split_calls(trace, clock="at", pace=world.clock.pace)
    forgotten = [job for job in paid_jobs(calls, world.spec.prices) if world.jobs.get(job.id) is None]
    made = bill([*forgotten, *jobs_of(world)], calls, world.clock.now(), place=place)
    if world.budget is None:
        return made
    return replace(made, budget=str(world.settings.budget), refused=world.budget.refused)


def jobs_of(world: World) -> list[PaidJob]:
    """Return the jobs of a world, each with what it costs."""
    return [_paid_job(world, job) for job in world.jobs]


def _paid_job(world: World, job: Job) -> PaidJob:
    price = world.spec.prices.get(job.alias)
    cost = None if price is None else price.of(job.echo)
    return PaidJob(job.id, fingerprint(job.owner), job.alias, cost)
