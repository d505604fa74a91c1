"""Worlds of a server, to control and to inspect, and their jobs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import chain, count
from pathlib import Path, PurePath
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Self, TypeAlias, TypedDict, Unpack

from mockveo.durations import seconds
from mockveo.environment import client_environment
from mockveo.errors import MockveoError, ScenarioError
from mockveo.keywords import ErrorKeywords, RunKeywords, ScenarioKeywords, WorldKeywords
from mockveo.rules.bill import Bill
from mockveo.rules.client_rules import findings
from mockveo.server.billing import world_bill
from mockveo.server.run import ServerThread
from mockveo.simulator import jobs
from mockveo.simulator.clock import Clock
from mockveo.simulator.saving import saved, write
from mockveo.simulator.scenarios import Scenario, find, forced, scenario
from mockveo.simulator.stores.store import StoredExchanges
from mockveo.simulator.world import World
from mockveo.testing.requests import Requests, request_of
from mockveo.traffic.record import ExchangeRecord
from mockveo.yamlfiles import parse_json, read

if TYPE_CHECKING:
    from mockveo.testing.programs import ProgramResult

#: A scenario: its name, its file, its data, or the object.
ScenarioSource: TypeAlias = str | PurePath | Mapping[str, Any] | Scenario | None


class _DefaultKeywords(TypedDict):
    clock: Literal["poll"]
    seed: int
    render: bool


#: Settings of a server for tests: each poll advances the time, runs repeat, and no clip has to be drawn.
DEFAULTS: Final[_DefaultKeywords] = {"clock": "poll", "seed": 0, "render": False}
#: Exchanges, and jobs, of a world that a failing test shows. Arbitrary: they fill a screen.
MAX_SHOWN: Final = 50
#: Characters of a test's id that the name of its world keeps. Arbitrary: the name is part of every URL.
MAX_NAME_LENGTH: Final = 80
#: Characters of a prompt that a failing test shows.
MAX_PROMPT_LENGTH: Final = 60
_NAME: Final = re.compile(rf"[A-Za-z0-9_~-][A-Za-z0-9._~-]{{0,{MAX_NAME_LENGTH - 1}}}")


@dataclass(frozen=True, slots=True)
class JobHandle:
    """A snapshot of a job."""

    id: str
    #: The document's status, whatever words a scenario's `style` shows instead.
    status: str
    #: 0 to 100.
    progress: int
    prompt: str
    #: The model as it was sent, and the provider's id that responses show.
    alias: str
    model: str
    #: Number of reference images of the create request.
    images: int
    #: In Unix seconds of the world's dates.
    created_at: int
    #: `code` and `message` of a job that failed with a reason, else None.
    error: Mapping[str, str] | None
    #: The name of its scenario.
    scenario: str
    _world: Mockveo = field(repr=False, compare=False)

    def end(self, ending: Literal["success", "failure"] = "success", **error: Unpack[ErrorKeywords]) -> None:
        """End the job now; `code` and `message` are the reason of a failure.

        Raises MockveoError if the job has ended already or has been forgotten.
        """
        if ending not in ("success", "failure"):
            raise ScenarioError(f"ending is {ending!r}; expected 'success' or 'failure', e.g. end('failure')")
        world = self._world.world
        job = world.jobs.get(self.id)
        if job is None:
            raise MockveoError(f"the job {self.id} is gone; expected one of `jobs`, e.g. mockveo.jobs[-1]")
        if world.view(job).ended_at is not None:
            raise MockveoError(f"the job {self.id} has ended already; expected a queued or running job")
        ending_scenario = forced({"ending": ending, **({"error": error} if error else {})})
        world.store.change(lambda: world.end(job, ending_scenario))


class Mockveo:
    """A world of a server: an isolated instance, with jobs, faults, time and ids of its own.

    `settings` are those of WorldKeywords; the scenario may be a mapping too. Raises MockveoError,
    whose message says what to fix. Leaving `with` frees its name for the next world.
    """

    def __init__(self, worlds: MockveoWorlds, server: ServerThread, name: str, settings: WorldKeywords) -> None:
        self._worlds = worlds
        self._server = server
        self._settings = settings
        self._closed: World | None = None
        #: Its name, from which its ids are derived.
        self.name = name
        #: Its root, e.g. http://127.0.0.1:40123/@mine.
        self.url = f"{server.url}/@{name}"
        #: The base URL for clients; ends in /v1.
        self.base_url = f"{self.url}/v1"
        server.app.worlds.hold(name)
        self.reset()

    def reset(self, **settings: Unpack[WorldKeywords]) -> None:
        """Start over: no jobs, no requests, the clock at 0, the same ids again. `settings` override earlier ones."""
        changes: dict[str, Any] = {**self._settings, **settings}
        own = None
        if isinstance(changes.get("scenario"), Mapping | Scenario):
            own = self._scenario(changes.pop("scenario"), {})
        world = self._server.app.worlds.reset(self.name, changes)
        if own is not None:
            world.store.change(lambda: world.use(own))

    @property
    def world(self) -> World:
        """The world itself; its methods are quick and may be called while the server serves."""
        return self._closed or self._server.app.worlds.get(self.name)

    @property
    def key(self) -> str:
        """A key that the world accepts."""
        keys = self.world.settings.key
        return keys[0] if keys else self._server.key

    @property
    def env(self) -> dict[str, str]:
        """Environment for a client program: `subprocess.run(..., env={**os.environ, **mockveo.env})`.

        It holds COMETAPI_BASE_URL and COMETAPI_KEY, the same values as OPENAI_BASE_URL and OPENAI_API_KEY, and
        NO_PROXY with this machine.
        """
        return client_environment(self.base_url, self.key)

    def scenario(self, source: ScenarioSource = None, /, **keys: Unpack[ScenarioKeywords]) -> None:
        """Switch to a scenario: a name, a file, a mapping or keywords.

        Keywords are keys of a scenario, e.g. `ending="failure"`; together with a name or a file they override its
        keys. Raises ScenarioError, whose message says what was expected.
        """
        world, chosen = self.world, self._scenario(source, keys)
        world.store.change(lambda: world.use(chosen))

    def next(self, source: ScenarioSource = None, /, **keys: Unpack[ScenarioKeywords]) -> None:
        """Queue a scenario, given as in `scenario`, for one create request, after those already queued."""
        world, chosen = self.world, self._scenario(source, keys)
        world.store.change(lambda: world.scenarios.enqueue(chosen))

    def advance(self, duration: float | str) -> None:
        """Let time pass at once, in seconds of the world's clock or as "1m30s". Raises SettingsError."""
        world, passed = self.world, seconds(duration)
        world.store.change(lambda: world.clock.advance(passed))

    def save(self, path: str | PurePath) -> None:
        """Write the world to a file, as `mockveo save` does, keys of clients included. Raises OSError."""
        write(saved(self.world), Path(path))

    def load(self, source: str | PurePath | Mapping[str, Any]) -> None:
        """Replace the world by a saved one, from a file or as data. Raises MockveoError for another document."""
        if not isinstance(source, Mapping):
            try:
                source = parse_json(read(Path(source), MockveoError))
            except ValueError as error:
                raise MockveoError(f"{source} cannot be loaded: {error}; expected what `mockveo save` wrote") from None
        world = self._server.app.worlds.load(self.name, source)
        world.store.change(lambda: None)

    @property
    def clock(self) -> Clock:
        """The world's clock: `now()` in seconds since its start, `date()` in Unix seconds, `mode`, `step`, `speed`."""
        return self.world.clock

    @property
    def jobs(self) -> list[JobHandle]:
        """Snapshots of all jobs, in the order they were created."""
        return [_job(job, self) for job in list(self.world.jobs)]

    @property
    def requests(self) -> Requests:
        """All requests so far, at most the latest 1000 (`max_exchanges`). A response that arrived is among them."""
        return Requests(map(request_of, self.world.journal))

    @property
    def findings(self) -> list[dict[str, Any]]:
        """Where clients broke the contract, as far as requests alone show it.

        Each has `rule`, `severity`, `verdict`, `message`, `source` and `exchanges`.
        """
        return [finding.to_json() for finding in findings(exchange.to_json() for exchange in self.world.journal)]

    @property
    def bill(self) -> Bill:
        """The jobs that were made, and what became of each: `assert mockveo.bill.wasted == 0`.

        Its numbers are `made`, `delivered`, `wasted`, `open` (the client may still come back: let time pass with
        `advance`), `lost` (no answer to the create) and `forgotten`. A failing assertion on one shows its jobs.
        """
        return world_bill(self.world)

    def run(self, command: Sequence[str], **keywords: Unpack[RunKeywords]) -> ProgramResult:
        """Run a program with the real URL written in, on a server of its own with the settings of this world.

        The result has `exit_status`, `stdout`, `stderr`, `requests`, `findings`, `proof` and `bill`; `keywords` are
        those of `mockveo.run`. Raises MockveoError.
        """
        # Imported lazily because it costs what few tests need.
        from mockveo.testing.programs import run

        return run(command, self.world.settings, {"scenario": self.world.plan.scenario, **keywords})

    def close(self) -> None:
        """Free its name and URL for the next world. It can still be inspected."""
        self._closed = self.world
        self._server.app.worlds.release(self.name)
        self._worlds.release(self)

    def __repr__(self) -> str:
        return f"<Mockveo {self.base_url}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _scenario(self, source: ScenarioSource, keys: Mapping[str, Any]) -> Scenario:
        base = self._named(str(source)) if isinstance(source, str | PurePath) else source
        if not isinstance(base, Scenario):
            return scenario(_merged({} if base is None else base, keys), "unnamed")
        return scenario(_merged(base.data, keys), base.name) if keys else base

    def _named(self, name: str) -> Scenario:
        try:
            return self.world.scenarios.by_name(name).scenario
        except ScenarioError:
            return find(name)


class WatchedWorld(NamedTuple):
    """A world of the running test, with its journal before the test."""

    world: Mockveo
    #: None if the world did not exist before the test. A reset replaces the journal.
    journal: StoredExchanges | None
    exchange_count: int


class MockveoWorlds:
    """A source of worlds of one server. `test` is the id of the running test, from which names are derived."""

    def __init__(self, server: ServerThread, test: str = "") -> None:
        self._server = server
        self._test = test
        self._open: dict[str, Mockveo] = {}
        #: Names of worlds that outlive a test.
        self._lasting: set[str] = set()
        self._watched: dict[str, WatchedWorld] = {}

    def new(self, name: str = "", /, **settings: Unpack[WorldKeywords]) -> Mockveo:
        """Return a new world. Raises MockveoError for an invalid setting.

        It is named after the running test, so that its ids repeat from run to run, and closed when the test ends. Give
        a `name` to a world that should outlive the test, as in a fixture of a module. Closing a world (at the end of
        `with`) frees its name, so worlds that follow one another, such as the examples of a property test, have the
        same ids.
        """
        base = safe_name(name or self._test or "world")
        candidates = chain([base], (f"{base}.{number}" for number in count(2)))
        free = next(candidate for candidate in candidates if candidate not in self._open)
        world = Mockveo(self, self._server, free, settings)
        self._open[free] = world
        self._watched[free] = WatchedWorld(world, None, 0)
        if name:
            self._lasting.add(free)
        return world

    def release(self, world: Mockveo) -> None:
        """Free a world's name; see Mockveo.close."""
        if self._open.get(world.name) is world:
            del self._open[world.name]
            self._lasting.discard(world.name)

    def begin(self, test: str) -> None:
        """Begin a test, by its id, and close the unnamed worlds of the one before."""
        self._test = test
        for name in self._open.keys() - self._lasting:
            self._open[name].close()
        self._watched = {}
        for name, world in self._open.items():
            journal = world.world.journal
            self._watched[name] = WatchedWorld(world, journal, journal.count)

    def report(self) -> list[tuple[str, str]]:
        """Return what the test did to its worlds, as titles and texts: the exchanges, and the jobs as they are now."""
        sections = []
        for name, (world, former, before) in self._watched.items():
            journal = world.world.journal
            exchanges = journal.since(before if journal is former else 0)
            if exchanges or name not in self._lasting:
                missing = f"no request arrived; clients must call {world.base_url}"
                sections.append((f"mockveo: exchanges of {name}", _last(map(_line, exchanges)) or missing))
                sections.append((f"mockveo: jobs of {name}", _last(map(_job_line, world.jobs)) or "no job was created"))
        return sections


def safe_name(text: str) -> str:
    """Return a text as a world's name; unsafe characters are replaced, and a hash keeps names distinct."""
    if _NAME.fullmatch(text):
        return text
    stem = re.sub(r"[^A-Za-z0-9._~-]+", "-", text)[-MAX_NAME_LENGTH:].strip("-.")
    return f"{stem}-{sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def _merged(base: Mapping[str, Any], keys: Mapping[str, Any]) -> Any:
    """Return the data of a scenario with some keys replaced, copied through JSON so that tuples become lists."""
    try:
        data = json.loads(json.dumps({**base, **keys}, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as problem:
        raise ScenarioError(f"a scenario must be JSON data, e.g. ending='failure'; {problem}") from None
    if keys and "name" not in keys:
        data.pop("name", None)
    return data


def _job(job: jobs.Job, world: Mockveo) -> JobHandle:
    view = world.world.view(job)
    return JobHandle(
        id=job.id,
        status=view.status,
        progress=view.progress,
        prompt=job.prompt,
        alias=job.alias,
        model=job.model,
        images=job.image_count,
        created_at=job.created_at,
        error=view.error,
        scenario=job.plan.scenario.name,
        _world=world,
    )


def _line(exchange: ExchangeRecord) -> str:
    shown = copy(exchange)
    shown.world = ""  # the section's title names it
    return shown.to_line()


def _job_line(job: JobHandle) -> str:
    reason = f" {job.error['code']}" if job.error else ""
    prompt = repr(job.prompt[:MAX_PROMPT_LENGTH])
    return f"{job.id} {job.status} {job.progress} %{reason}, {job.alias}, {job.scenario}, {prompt}"


def _last(lines: Iterable[str]) -> str:
    shown = list(lines)
    earlier = [f"({len(shown) - MAX_SHOWN} earlier)"] if len(shown) > MAX_SHOWN else []
    return "\n".join([*earlier, *shown[-MAX_SHOWN:]])
