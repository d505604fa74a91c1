"""What the pytest fixtures hand out: worlds of a server, to be steered and looked into.

It is of use without pytest too:

    with mockveo.serve(**DEFAULTS) as server, MockveoWorlds(server).new("mine", scenario="retry-after") as world:
        my_client(world.base_url, world.key)
        assert world.requests.summary[:3] == ["create 429", "create 429", "create 200 queued"]

A test runs in one thread and the server in another; whatever is handed out is a snapshot that does not change.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import chain, count
from pathlib import PurePath
from types import TracebackType
from typing import Any, Final, NamedTuple, Self, TypeAlias

from mockveo.durations import seconds
from mockveo.errors import MockveoError, ScenarioError, SettingsError
from mockveo.rules.client_rules import findings
from mockveo.server.app import ServerThread
from mockveo.simulator import jobs
from mockveo.simulator.clock import Clock
from mockveo.simulator.scenarios import Scenario, find, forced, scenario
from mockveo.simulator.stores.store import ExchangeLog
from mockveo.simulator.world import World
from mockveo.spec.operations import OPERATION_IDS, short_name
from mockveo.traffic.record import Deviation, ExchangeRecord

#: What a scenario may be given as: its name, its file, its data, or itself.
Given: TypeAlias = str | PurePath | Mapping[str, Any] | Scenario | None

#: Settings of a server for tests: each poll moves the time on, a run can be repeated, and no clip has to be drawn.
DEFAULTS: Final[Mapping[str, Any]] = {"clock": "poll", "seed": 0, "render": False}
#: Exchanges, and jobs, that are shown of a world where a test fails.
SHOWN: Final = 50
#: Characters of a test's id that the name of its world keeps.
KEPT_NAME: Final = 80
_NAME: Final = re.compile(rf"[A-Za-z0-9_~-][A-Za-z0-9._~-]{{0,{KEPT_NAME - 1}}}")


class ReceivedFile(NamedTuple):
    """A file of a create: `size` in bytes, `sha256` in hex, `content_type` None where the part had none."""

    name: str
    filename: str
    content_type: str | None
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Request:
    """A request that a world got, and what became of it."""

    #: create, retrieve, content, models, delivery (of a `video_url`), or "" for what is none of these.
    operation: str
    method: str
    #: Without the prefix of the world, e.g. /v1/videos.
    path: str
    #: With what sounds like a credential left out.
    query: str
    #: By lower-case names; credentials are replaced by a fingerprint.
    headers: Mapping[str, str] = field(repr=False)
    #: Of a create whose form could be read: the fields by name, of repeated ones the first, and the files in order.
    fields: Mapping[str, Any]
    files: tuple[ReceivedFile, ...]
    #: Of the answer; 0 where there was none.
    status: int
    #: The job that was made or asked for, by its id, and its status as answered; empty where there is none.
    job: str
    state: str
    #: What the faults that struck it did, in the words of a scenario, e.g. ("status", "delay").
    faults: tuple[str, ...]
    #: Where it departs from the documented page.
    deviations: tuple[Deviation, ...]
    #: Whether it came to the other origin, which redirects and video URLs lead to.
    elsewhere: bool
    #: When it was answered, in seconds of the world's clock, and when it came, in Unix seconds of our own.
    at: float
    time: float

    def __str__(self) -> str:
        what = self.operation or f"{self.method} {self.path}"
        shows = self.status == 200 and self.operation in ("create", "retrieve")
        return f"{what} {self.status or 'lost'} {self.state if shows else ''}".rstrip()


class Requests(list[Request]):
    """Requests in the order they came."""

    def of(self, *operations: str) -> Requests:
        """Those of these operations, e.g. `of("create")`. Raises SettingsError for a name that is none."""
        for name in operations:
            if name not in OPERATION_IDS:
                raise SettingsError(f"{name!r} is no operation; wanted one of {', '.join(OPERATION_IDS)}")
        return Requests(request for request in self if request.operation in operations)

    @property
    def summary(self) -> list[str]:
        """Each in a few words: "create 429", "create 200 queued", "retrieve lost", "GET /v2 404"."""
        return list(map(str, self))


@dataclass(frozen=True, slots=True)
class JobHandle:
    """A job as it was when it was looked at."""

    id: str
    #: The document's status, whatever words a scenario's `style` shows instead.
    status: str
    #: 0 to 100.
    progress: int
    prompt: str
    #: The model as it was sent, and the provider's id that answers carry.
    alias: str
    model: str
    #: How many came with the create.
    images: int
    #: In Unix seconds of the world's dates.
    created_at: int
    #: `code` and `message` of a job that failed with a reason, else None.
    error: Mapping[str, str] | None
    #: The name of its scenario.
    scenario: str
    _world: Mockveo = field(repr=False, compare=False)

    def end(self, ending: str = "success", **error: str) -> None:
        """Ends the job now, with "success" or "failure"; `code` and `message` are the reason of a failure.

        Raises MockveoError where it has ended already, or has been forgotten.
        """
        if ending == "never":
            raise MockveoError("a job cannot be made to end never; wanted success or failure")
        world = self._world.world
        found = world.jobs.get(self.id)
        if found is None or world.view(found).ended_at is not None:
            what = "is gone" if found is None else "has come to its end already"
            raise MockveoError(f"the job {self.id} {what}; wanted one that is under way")
        world.end(found, forced({"ending": ending, **({"error": error} if error else {})}))


class Mockveo:
    """A world of a server: whoever has its `base_url` meets nobody else's jobs, faults and time.

    `settings` are those of a world (`simulator.worlds.OWN`); its scenario may be a mapping too. Raises MockveoError,
    whose text says what to mend. `with` leaves its name to the next world.
    """

    def __init__(self, worlds: MockveoWorlds, server: ServerThread, name: str, settings: Mapping[str, Any]) -> None:
        self._worlds = worlds
        self._server = server
        self._settings = dict(settings)
        self._closed: World | None = None
        #: Its name, which its ids follow from.
        self.name = name
        #: Its root, e.g. http://127.0.0.1:40123/@mine.
        self.url = f"{server.url}/@{name}"
        #: What clients take as base URL; ends in /v1.
        self.base_url = f"{self.url}/v1"
        server.app.worlds.hold(name)
        self.reset()

    def reset(self, **settings: Any) -> None:
        """Begins anew: no jobs, no journal, the clock at 0, the same ids again. `settings` go before those it had."""
        wanted = {**self._settings, **settings}
        own = None
        if isinstance(wanted.get("scenario"), Mapping | Scenario):
            own = self._scenario(wanted.pop("scenario"), {})
        world = self._server.app.worlds.reset(self.name, wanted)
        if own is not None:
            world.use(own)

    @property
    def world(self) -> World:
        """What clients meet at its URL; its methods are quick, and may be called while the server serves."""
        return self._closed or self._server.app.worlds.get(self.name)

    @property
    def key(self) -> str:
        """A key that the world accepts."""
        keys = self.world.settings.key
        return keys[0] if keys else self._server.key

    @property
    def env(self) -> dict[str, str]:
        """For the environment of a program that is a client: `subprocess.run(..., env={**os.environ, **mockveo.env})`.

        COMETAPI_BASE_URL and COMETAPI_KEY, and the same as OPENAI_BASE_URL and OPENAI_API_KEY.
        """
        ours = {"COMETAPI_BASE_URL": self.base_url, "COMETAPI_KEY": self.key}
        return {**ours, "OPENAI_BASE_URL": self.base_url, "OPENAI_API_KEY": self.key}

    def scenario(self, what: Given = None, /, **keys: Any) -> None:
        """Makes a scenario the world's own: a name, a file, a mapping or keywords.

        Keywords are keys of a scenario, e.g. `ending="failure"`; beside a name or a file they go before its keys.
        Raises ScenarioError, which says what was wanted.
        """
        self.world.use(self._scenario(what, keys))

    def next(self, what: Given = None, /, **keys: Any) -> None:
        """Queues a scenario, given as in `scenario`, for one create: the next, or the next after those queued."""
        self.world.scenarios.enqueue(self._scenario(what, keys))

    def advance(self, duration: float | str) -> None:
        """Lets time pass at once, in seconds of the world's clock or as "1m30s". Raises SettingsError."""
        self.world.clock.advance(seconds(duration))

    @property
    def clock(self) -> Clock:
        """The world's clock: `now()` in seconds since it began, `date()` in Unix seconds, `mode`, `step`, `speed`."""
        return self.world.clock

    @property
    def jobs(self) -> list[JobHandle]:
        """All jobs as they are now, in the order they were made."""
        return [_job(job, self) for job in list(self.world.jobs)]

    @property
    def requests(self) -> Requests:
        """All requests so far, the latest 1000 (`max_exchanges`). An answer that arrived is among them."""
        return Requests(map(_request, self.world.journal))

    @property
    def findings(self) -> list[dict[str, Any]]:
        """What clients got wrong, by the rules that requests decide: `rule`, `verdict`, `message`, `exchanges`."""
        return [finding.to_json() for finding in findings(exchange.to_json() for exchange in self.world.journal)]

    def close(self) -> None:
        """Leaves its name and its URL to the next world. It can still be looked into."""
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

    def _scenario(self, what: Given, keys: Mapping[str, Any]) -> Scenario:
        found = self._found(str(what)) if isinstance(what, str | PurePath) else what
        if isinstance(found, Scenario) and not keys:
            return found
        base, name = (found.data, found.name) if isinstance(found, Scenario) else (found, "unnamed")
        return scenario(_merged(base if base is not None else {}, keys), name)

    def _found(self, what: str) -> Scenario:
        try:
            return self.world.scenarios.by_name(what).scenario
        except ScenarioError:
            return find(what)


class MockveoWorlds:
    """Hands out worlds of a server. `test` is the id of the test that runs, which names follow from."""

    def __init__(self, server: ServerThread, test: str = "") -> None:
        self._server = server
        self._test = test
        self._open: dict[str, Mockveo] = {}
        #: Those that outlive a test, by name.
        self._lasting: set[str] = set()
        #: Those the test has had, with the journals that had exchanges before it, and how many.
        self._had: dict[str, tuple[Mockveo, ExchangeLog | None, int]] = {}

    def new(self, name: str = "", /, **settings: Any) -> Mockveo:
        """A new world. Raises MockveoError where a setting cannot be used.

        It is named after the test that runs, so that its ids repeat from run to run, and is the test's alone. Give a
        `name` where it is to outlive the test, as in a fixture of a module. A name is used again once its world
        is closed (at the end of `with`): worlds that follow one another, as the examples of a property test
        do, have the same ids.
        """
        base = safe_name(name or self._test or "world")
        free = next(one for one in chain([base], (f"{base}.{number}" for number in count(2))) if one not in self._open)
        world = Mockveo(self, self._server, free, settings)
        self._open[free], self._had[free] = world, (world, None, 0)
        if name:
            self._lasting.add(free)
        return world

    def release(self, world: Mockveo) -> None:
        """Leaves a world's name to the next one; see Mockveo.close."""
        if self._open.get(world.name) is world:
            del self._open[world.name]
            self._lasting.discard(world.name)

    def begin(self, test: str) -> None:
        """A test begins, by its id: worlds without a name of their own were the former one's."""
        self._test = test
        for name in self._open.keys() - self._lasting:
            self._open[name].close()
        journals = {name: world.world.journal for name, world in self._open.items()}
        self._had = {name: (self._open[name], journal, journal.count) for name, journal in journals.items()}

    def report(self) -> list[tuple[str, str]]:
        """What the test has done to its worlds, as titles and texts: the exchanges, and the jobs as they are now."""
        sections = []
        for name, (world, former, before) in self._had.items():
            journal = world.world.journal
            exchanges = journal.since(before if journal is former else 0)
            if exchanges or name not in self._lasting:
                none = f"none came; clients are to call {world.base_url}"
                sections.append((f"mockveo: exchanges of {name}", _last(map(_line, exchanges)) or none))
                sections.append((f"mockveo: jobs of {name}", _last(map(_job_line, world.jobs)) or "none was made"))
        return sections


def safe_name(text: str) -> str:
    """The name of a world for a text: the text itself where it can be one, else what is left of it and a hash."""
    if _NAME.fullmatch(text):
        return text
    left = re.sub(r"[^A-Za-z0-9._~-]+", "-", text)[-KEPT_NAME:].strip("-.")
    return f"{left}-{sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def _merged(base: Mapping[str, Any], keys: Mapping[str, Any]) -> Any:
    """The data of a scenario with some keys in place of its own, and a copy as JSON has it: tuples are lists."""
    try:
        data = json.loads(json.dumps({**base, **keys}, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as problem:
        raise ScenarioError(f"a scenario is what JSON can say, wanted e.g. ending='failure': {problem}") from None
    if keys and "name" not in keys:
        data.pop("name", None)
    return data


def _job(job: jobs.Job, world: Mockveo) -> JobHandle:
    now, name = world.world.view(job), job.plan.scenario.name
    what = (job.prompt, job.alias, job.model, job.image_count, job.created_at)
    return JobHandle(job.id, now.status, now.progress, *what, now.error, name, world)


def _request(exchange: ExchangeRecord) -> Request:
    fields: dict[str, Any] = {}
    for part in exchange.parts:
        if not part.is_file:
            fields.setdefault(part.name, part.value)
    headers: dict[str, str] = {}
    for name, value in exchange.redacted_headers:
        headers[name.lower()] = f"{headers[name.lower()]}, {value}" if name.lower() in headers else value
    return Request(
        operation=short_name(exchange.operation),
        method=exchange.method,
        path=exchange.path,
        query=exchange.redacted_query,
        headers=headers,
        fields=fields,
        files=tuple(
            ReceivedFile(part.name, part.filename, part.content_type, part.size, part.sha256)
            for part in exchange.parts
            if part.filename is not None
        ),
        status=exchange.status,
        job=exchange.job_id,
        state=exchange.state,
        faults=tuple(exchange.faults),
        deviations=tuple(exchange.deviations),
        elsewhere=exchange.elsewhere,
        at=exchange.at,
        time=exchange.started,
    )


def _line(exchange: ExchangeRecord) -> str:
    shown = copy(exchange)
    shown.world = ""  # the title says it
    return shown.to_line()


def _job_line(job: JobHandle) -> str:
    reason = f" {job.error['code']}" if job.error else ""
    return f"{job.id} {job.status} {job.progress} %{reason}, {job.alias}, {job.scenario}, {job.prompt[:60]!r}"


def _last(lines: Iterable[str]) -> str:
    shown = list(lines)
    earlier = [f"({len(shown) - SHOWN} earlier ones)"] if len(shown) > SHOWN else []
    return "\n".join([*earlier, *shown[-SHOWN:]])
