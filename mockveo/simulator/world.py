"""A world: one namespace of the server with its own jobs, time, scenarios, keys and journal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from email.utils import formatdate
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote

from mockveo.http.origins import Origins, ServerOrigins
from mockveo.settings import Settings
from mockveo.simulator import identifiers
from mockveo.simulator.accounts import Accounts, SpendingLimit
from mockveo.simulator.clock import Clock
from mockveo.simulator.fault_selection import FaultSelector, Kills
from mockveo.simulator.identifiers import Dice
from mockveo.simulator.jobs import Job, JobPlan, View, ended, view
from mockveo.simulator.scenario_shelf import ScenarioShelf
from mockveo.simulator.scenarios import Scenario, VideoUrl
from mockveo.simulator.stores.kinds import memory_store
from mockveo.simulator.stores.store import Store
from mockveo.simulator.tickets import Tickets
from mockveo.spec.spec import Spec
from mockveo.spec.templates import fill
from mockveo.traffic.exchange import UNKNOWN_JOB
from mockveo.traffic.journal import Journal

#: Sets of echoed values that jobs share. Arbitrary: a test run has a few.
MAX_SHARED_ECHOES: Final = 10_000
#: Longest text of a set that is shared; longer ones are unlikely to come again.
MAX_SHARED_ECHO_CHARACTERS: Final = 200
#: The sets of echoed values of all worlds, by their names and values.
_ECHOES: Final[dict[tuple[Any, ...], Mapping[str, Any]]] = {}


class World:
    """The state of one namespace. No method waits.

    `name` is empty for the world without a prefix. Ids, pace and chance follow from `seed`. Everything that must not
    be lost lies in `store`.
    Raises ScenarioError if the scenario does not fit the spec, SettingsError if the budget does not fit its prices.
    """

    def __init__(
        self,
        spec: Spec,
        settings: Settings,
        scenario: Scenario,
        *,
        seed: int | str,
        name: str = "",
        origins: ServerOrigins | None = None,
        store: Store | None = None,
        kills: Kills | None = None,
    ) -> None:
        self.name = name
        #: What kills the client's process; None if it is not a checker's.
        self.kills = kills
        self.spec = spec
        self.settings = settings
        self.seed = seed
        self.origins = origins or ServerOrigins()
        #: Returns the world as it is now if another process has replaced it.
        self.reopened: Callable[[], World] = lambda: self
        self.store = store or memory_store(settings, Journal(settings.max_exchanges))
        self.jobs = self.store.jobs
        self.journal = self.store.journal
        self.clock = Clock(settings.clock, speed=settings.speed, step=settings.step, store=self.store)
        self.scenarios = ScenarioShelf(self.store, spec, scenario, may_kill=kills is not None)
        self.store.read_jobs(self.scenarios.stored_plan)
        self.faults = FaultSelector(self.store, seed)
        self.accounts = Accounts(self.store, accepted=settings.key, credit=settings.credit, raw=spec.raw_keys)
        #: What all keys may spend together; None without a limit.
        self.budget = None if settings.budget is None else SpendingLimit(self.store, settings.budget, spec.prices)
        # Two sources of chance, so that the errors that a client meets do not change the ids of its jobs.
        self._dice = Dice(self.store, "ids", seed)
        self._noise = Dice(self.store, "noise", f"{seed}/noise")
        self.tickets = Tickets(self.store, self._noise)
        self._date_header = (-1, (b"date", b""))

    @property
    def prefix(self) -> str:
        """What stands before the paths of this world, e.g. "/@mine"; empty for the default world."""
        return f"/@{self.name}" if self.name else ""

    @property
    def plan(self) -> JobPlan:
        """The plan of jobs whose create chooses no scenario."""
        return self.scenarios.plan

    def use(self, scenario: Scenario) -> None:
        """Make a scenario the world's own. Raises ScenarioError if it does not fit the spec."""
        self.scenarios.use(scenario)
        self.faults.clear()

    def governing(self, job: Job) -> Scenario:
        """Return the scenario of a job's exchanges: the one chosen for it, else the world's own at present."""
        return job.chosen.scenario if job.chosen else self.scenarios.plan.scenario

    def add(
        self,
        owner: str,
        model: str,
        values: Mapping[str, Any],
        images: Sequence[bytes | None],
        chosen: JobPlan | None = None,
        *,
        job_id: str | None = None,
    ) -> Job:
        """Make a job from the values of a form, by the chosen plan or the world's own.

        `images` are the bytes of each image, or None if they are not kept; `job_id` is its id if that is not random.
        """
        plan = chosen or self.scenarios.plan
        now, date = self.clock.read()
        job = Job(
            id=job_id or identifiers.job_id(self._dice, plan.scenario.ids),
            owner=owner,
            alias=str(values.get("model", "")),
            model=model,
            prompt=values["prompt"],
            echo=self._shared_echo(values),
            images=tuple([image for image in images if image is not None]),
            image_count=len(images),
            created=now,
            created_at=int(date),
            pace=self.clock.pace,
            plan=plan,
            chosen=chosen,
        )
        self.jobs.put(job)
        return job

    def id_by_key(self, owner: str, key: str, scenario: Scenario) -> str:
        """Return the id of the job that a create with an idempotency key makes, the same each time."""
        seed = repr((self.settings.seed, self.name, owner, key))
        return identifiers.job_id(identifiers.OneThrow(seed), scenario.ids)

    def find(self, owner: str, job_id: str) -> Job | None:
        """Return a job of this key, or None; a job of another key is as unknown as one that never existed."""
        job = self.jobs.get(job_id)
        return job if job is not None and job.owner == owner else None

    def end(self, job: Job, scenario: Scenario) -> Job:
        """End a job now, with the ending of a scenario."""
        job = ended(job, self.scenarios.plan_of(scenario), self.clock.now())
        self.jobs.put(job)
        return job

    def choose(self, job: Job, scenario: Scenario) -> Job:
        """Let the exchanges of a job have the faults and styles of a scenario; how the job unfolds stays."""
        job = job._replace(chosen=self.scenarios.plan_of(scenario))
        self.jobs.put(job)
        return job

    def why_unknown(self, job_id: str) -> str:
        """Return what the log says when `find` returns None."""
        return "the job exists but belongs to another key" if self.jobs.get(job_id) else UNKNOWN_JOB

    def view(self, job: Job) -> View:
        """Return the job as it is now."""
        return view(job, self.clock.now())

    def values(self, job: Job, now: View, origins: Origins) -> dict[str, Any]:
        """Return all that a response could say of a job, by the names that the documents use.

        Its URLs are at the origins that the client knows.
        """
        values = {
            "id": job.id,
            "task_id": job.id,
            "model": job.model,
            "prompt": job.prompt,
            "status": now.status,
            "progress": now.progress,
            "created_at": job.created_at,
            **job.echo,
        }
        if now.error is not None:
            values["error"] = now.error
        elif now.ended_at is not None:
            values["completed_at"] = now.ended_at
            url = self.governing(job).video_url
            if url is None and self.spec.has_video_url:
                url = VideoUrl()
            if url and now.status == self.spec.lifecycle[-1]:
                values["video_url"] = self._video_url(job, url, origins)
        else:
            url = self.governing(job).video_url
            if url and url.early:
                values["video_url"] = self._video_url(job, url, origins)
        return values

    def _video_url(self, job: Job, url: VideoUrl, origins: Origins) -> str:
        if url.origin == "other":
            return origins.other + self.signed_path(job, int(self.clock.date() + url.expires / job.pace))
        origin = origins.own if url.origin == "own" else ""
        path = fill(self.spec.operations["retrieveVideoContent"].path, {"video_id": quote(job.id, safe="")})
        return f"{origin}{self.prefix}{path}"

    def signed_path(self, job: Job, expires: int) -> str:
        """Return the signed path of a job's video at the other origin, valid until `expires`, in Unix seconds."""
        signature = sha256(repr((self.seed, job.id, expires)).encode()).hexdigest()
        path = f"/videos/{quote(job.id, safe='')}.mp4"
        return f"{self.prefix}{path}?expires={expires}&signature={signature}"

    def moment(self) -> tuple[float, tuple[bytes, bytes]]:
        """Return the seconds of the world's time, and the Date header of a response that is sent now."""
        now, date = self.clock.read()
        second = int(date)
        if self._date_header[0] != second:
            self._date_header = (second, (b"date", formatdate(second, usegmt=True).encode()))
        return now, self._date_header[1]

    def request_id(self) -> str:
        """Return a new request id."""
        return identifiers.request_id(self._noise, self.clock.date())

    def _shared_echo(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        names = self.spec.kept
        echoed = tuple([values.get(name) for name in names])
        shared = _ECHOES.get((names, echoed))
        if shared is None:
            shared = {name: value for name, value in zip(names, echoed, strict=True) if value is not None}
            is_short = sum([len(str(value)) for value in echoed]) < MAX_SHARED_ECHO_CHARACTERS
            if is_short:
                if len(_ECHOES) >= MAX_SHARED_ECHOES:
                    _ECHOES.clear()
                _ECHOES[names, echoed] = shared
        return shared
