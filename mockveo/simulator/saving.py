"""A world as one JSON document, to keep, to move to another store, or to begin a test with."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import orjson

from mockveo._paths import write_whole
from mockveo._version import __version__
from mockveo.errors import MockveoError, SettingsError
from mockveo.realtime import LAST_DATE_S
from mockveo.settings import MAX_SPEED, MAX_WHOLE, MIN_SPEED, Settings
from mockveo.simulator.jobs import Job, end
from mockveo.simulator.stores.records import exchange_from_bytes, exchange_to_bytes, job_from_bytes, job_to_bytes
from mockveo.simulator.world import World
from mockveo.text import MAX_MESSAGE_CHARACTERS, brief, truncate
from mockveo.traffic.importing import check_exchanges

#: The number of the document's form. A newer one is refused.
FORMAT: Final = 1
#: How the names of parts begin that are of those who watch a world, and not saved with it.
UNSAVED: Final = "_"
#: The settings of a world that are saved. Its scenario and its clock are state.
SAVED_SETTINGS: Final = (
    *("profile", "strict", "self_check", "key", "credit", "budget"),
    *("max_body", "max_jobs", "max_image_bytes", "max_exchanges"),
)


def saved(world: World) -> dict[str, Any]:
    """Return a world as JSON."""
    defaults = {field.name: field.default for field in fields(Settings)}
    settings = {name: getattr(world.settings, name) for name in SAVED_SETTINGS}
    seed = str(world.seed).removesuffix(f"/{world.name}") if world.name else world.seed
    return {
        "mockveo": __version__,
        "format": FORMAT,
        "settings": {
            **{name: value for name, value in settings.items() if value != defaults[name]},
            "seed": int(seed),
        },
        "clock": {"now": world.clock.now(), "date": world.clock.date()},
        "parts": [
            [kind, name, _plain(part.saved())]
            for (kind, name), part in world.store.parts().items()
            if not name.startswith(UNSAVED)
        ],
        "jobs": [_job_data(job_to_bytes(job)) for job in world.jobs],
        "exchanges": [orjson.loads(exchange_to_bytes(exchange)) for exchange in world.journal],
        "last_exchange": world.journal.count,
    }


def write(document: Mapping[str, Any], path: Path) -> None:
    """Write a saved world to a file, whole or not at all, that only its owner can read: it holds keys.

    Raises OSError.
    """
    data = orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    write_whole(path, data, private=True)


def changes_of(document: Any) -> dict[str, Any]:
    """Return the settings of a saved world. Raises SettingsError for another document."""
    if not isinstance(document, Mapping) or not isinstance(document.get("settings"), Mapping):
        raise SettingsError("the document is no saved world; expected what `mockveo save FILE` writes")
    if document.get("format") != FORMAT:
        shown = brief(str(document.get("format")))
        raise SettingsError(
            f"the format of the saved world is {shown}; expected {FORMAT}: save it with this version of mockveo,"
            f" {__version__}"
        )
    return {name: value for name, value in document["settings"].items() if name in (*SAVED_SETTINGS, "seed")}


def fill(world: World, document: Mapping[str, Any]) -> None:
    """Bring a new world to the state of a saved one. Raises SettingsError for a document that is broken."""
    try:
        parts = world.store.parts()
        for kind, name, data in document["parts"]:
            if (kind, name) in parts:
                _check_part(kind, name, data)
                parts[kind, name].load(data)
        now, date = float(document["clock"]["now"]), float(document["clock"]["date"])
        _check_time(now, date)
        world.clock.resume(now, date)
        for data in document["jobs"]:
            job = job_from_bytes(_job_bytes(data), world.scenarios.stored_plan)
            _check_job(job)
            world.jobs.put(job)
        exchanges = [exchange_from_bytes(orjson.dumps(data)) for data in document["exchanges"]]
        world.journal.fill(exchanges, int(document["last_exchange"]))
        _try(world)
    except MockveoError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, OSError) as problem:
        reason = truncate(str(problem), MAX_MESSAGE_CHARACTERS)
        raise SettingsError(
            f"the saved world cannot be read: {type(problem).__name__} {reason}; expected what `mockveo save FILE`"
            " writes"
        ) from None


def _plain(data: Any) -> Any:
    """Return data with lists for tuples, named ones too."""
    return orjson.loads(orjson.dumps(data, default=list))


def _try(world: World) -> None:
    """Show everything once, so that what is broken fails now and not while the world serves."""
    world.moment()
    world.scenarios.by_name(world.plan.scenario.name)
    world.scenarios.named()
    world.scenarios.waiting()
    for job in world.jobs:
        orjson.dumps([world.values(job, world.view(job), world.origins), end(job)])
        world.governing(job)
    exchanges = [exchange.to_json() for exchange in world.journal]
    check_exchanges(exchanges, "the saved world")
    orjson.dumps(exchanges)


def _check_part(kind: str, name: str, data: Any) -> None:
    """Raise TypeError or ArithmeticError for counters that are no whole numbers, and for no amount of money."""
    if (kind, name) == ("cell", "budget"):
        spent, _ = Decimal(data[0]) + 0, int(data[1])
        if not spent.is_finite():
            raise TypeError("what was spent is no amount")
    if kind == "counters" and any(isinstance(count, bool) or not isinstance(count, int) for _, count in data):
        raise TypeError("a counter is no whole number")


def _check_time(now: float, date: float) -> None:
    """Raise ValueError for hands of a clock that no clock can reach."""
    if not (0 <= now <= MAX_WHOLE and 0 <= date <= LAST_DATE_S):
        raise ValueError(f"the clock is at {now:g} s and {date:g} s, beyond any date")


def _check_job(job: Job) -> None:
    """Raise TypeError or ValueError for a job with a value of another type, or beyond what can be shown."""
    texts = (job.id, job.owner, job.alias, job.model, job.prompt)
    numbers = (job.image_count, job.created_at, job.created, job.pace)
    if not all(isinstance(text, str) for text in texts) or not isinstance(job.echo, Mapping):
        raise TypeError("a job has a value that is no text")
    if any(isinstance(number, bool) or not isinstance(number, int | float) for number in numbers):
        raise TypeError("a job has a value that is no number")
    if not all(isinstance(number, int) for number in numbers[:2]) or not MIN_SPEED <= job.pace <= MAX_SPEED:
        raise ValueError("a job has a number out of its bounds")
    if not (0 <= job.image_count <= MAX_WHOLE and 0 <= job.created_at <= LAST_DATE_S and abs(job.created) <= MAX_WHOLE):
        raise ValueError("a job has a number out of its bounds")


def _job_data(data: bytes) -> list[Any]:
    line, _, images = data.partition(b"\n")
    return [orjson.loads(line), base64.b64encode(images).decode()]


def _job_bytes(data: Any) -> bytes:
    head, images = data
    return b"\n".join([orjson.dumps(head), base64.b64decode(images)])
