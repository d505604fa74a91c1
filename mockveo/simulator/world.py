"""A world: all that one namespace of the server remembers - jobs, clock, dice, scenario, keys and journal."""

from __future__ import annotations

import random
import re
import string
import time
from collections import OrderedDict, deque
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from hashlib import sha256
from typing import Any, Final

from mockveo._paths import built_in_scenarios
from mockveo.errors import ScenarioError, did_you_mean
from mockveo.settings import Settings
from mockveo.simulator.clock import Clock
from mockveo.simulator.jobs import Job, JobPlan, View, ended, plan, view
from mockveo.simulator.scenarios import Fault, Scenario, built_in, named
from mockveo.simulator.stores.memory import Memory, Store
from mockveo.spec.spec import Spec
from mockveo.traffic.journal import Feed, Journal

#: The characters of ids and request ids. Source: observed, `task_` + 32 of these.
ALPHANUMERIC: Final = string.digits + string.ascii_letters
_OF_BYTE: Final = "".join(ALPHANUMERIC[byte * len(ALPHANUMERIC) // 256] for byte in range(256)).encode()
#: Distinct keys, sets of echoed values, counts and tickets that are kept.
SHARED: Final = 10_000
#: Scenarios whose plans are kept.
PLANS: Final = 100
#: Bytes up to which a key is one of these.
SHORT: Final = 200
#: Request ids carry the time of this zone. Source: observed, "20260205132859798638387SIHCnxzJ", taken as UTC+8.
UTC_PLUS_8: Final = 8 * 3600
#: The name of a scenario in a prompt, and what is meant to begin one.
TAG: Final = re.compile(r"\[\s*mockveo\s*:([^\[\]]*)\]", re.IGNORECASE)
MARK: Final = re.compile(r"\[\s*mockveo\b", re.IGNORECASE)


@dataclass(slots=True)
class Origins:
    """Where a server is, once it listens: its own origin, and the other one, which redirects and URLs lead to."""

    own: str = "http://127.0.0.1:8360"
    other: str = "http://127.0.0.1:8361"


class World:
    """The state of one namespace. All methods are quick and none waits.

    `name` is empty for the one without a prefix. `seed` is what ids, pace and chance follow from, `feed` takes
    exchanges beside the journal. Raises ScenarioError where the scenario does not fit the spec.
    """

    def __init__(
        self,
        spec: Spec,
        settings: Settings,
        scenario: Scenario,
        *,
        seed: int | str,
        name: str = "",
        origins: Origins | None = None,
        feed: Feed | None = None,
    ) -> None:
        self.name = name
        self.spec = spec
        self.settings = settings
        self.seed = seed
        self.origins = origins or Origins()
        self.clock = Clock(settings.clock, speed=settings.speed, step=settings.step)
        self.journal = Journal(settings.max_exchanges, feed, name)
        self.store: Store = Memory(max_jobs=settings.max_jobs, max_bytes=settings.max_image_bytes)
        #: Scenarios for the next creates, the first of them first.
        self.queue: deque[Scenario] = deque()
        self._plans: dict[Scenario, JobPlan] = {}
        self._named: dict[str, Scenario] = {}
        self._begun: OrderedDict[Hashable, JobPlan] = OrderedDict()
        self._counts: OrderedDict[Hashable, int] = OrderedDict()
        self._attempts: OrderedDict[Hashable, int] = OrderedDict()
        self._tickets: OrderedDict[str, tuple[str, str]] = OrderedDict()
        self._date = (-1, (b"date", b""))
        self.use(scenario)
        #: What ids of jobs come from, and what request ids and tickets do: how many errors a client has met is not to
        #: change the ids of its jobs.
        self._dice, self._noise = random.Random(seed), random.Random(f"{seed}/noise")
        self._keys = frozenset(settings.key)
        self._credit = settings.credit
        self._spent: dict[str, int] = {}
        self._owners: dict[bytes, str] = {}
        self._echoes: dict[tuple[Any, ...], Mapping[str, Any]] = {}

    @property
    def prefix(self) -> str:
        """What stands before the paths of this world, e.g. "/@mine"; empty for the default one."""
        return f"/@{self.name}" if self.name else ""

    @property
    def expects_faults(self) -> bool:
        """Whether a create may be struck though it has chosen no scenario."""
        return bool(self.queue or self._begun or self.plan.scenario.faults)

    def use(self, scenario: Scenario) -> None:
        """Makes a scenario the world's own. Raises ScenarioError where it does not fit the spec."""
        self.plan: JobPlan = self._planned(scenario)
        self.remember(scenario)
        self._counts.clear()
        self._attempts.clear()
        self._begun.clear()

    def remember(self, scenario: Scenario) -> None:
        """Lets a scenario be chosen by its name, as the built-in ones can. Raises ScenarioError as `use` does."""
        self._planned(scenario)
        self._named[scenario.name] = scenario
        if len(self._named) > PLANS:
            del self._named[next(iter(self._named))]

    def named(self, name: str) -> Scenario:
        """A scenario by its name; that of a built-in one is always that one's. Raises ScenarioError."""
        return self._named[name] if name in self._named and name not in built_in_scenarios() else named(name)

    def scenarios(self) -> list[Scenario]:
        """Those that can be chosen by name."""
        return list({**self._named, **{one.name: one for one in built_in()}}.values())

    def clear_queue(self) -> None:
        """Forgets the scenarios of the next creates, and those that creates have taken and not used up."""
        self.queue.clear()
        self._begun.clear()

    def enqueue(self, scenario: Scenario) -> None:
        """Lets a create have a scenario, after those that wait already. Raises ScenarioError as `use` does."""
        self._planned(scenario)
        self.queue.append(scenario)

    def _planned(self, scenario: Scenario) -> JobPlan:
        if scenario not in self._plans:
            for place, fault in enumerate(scenario.faults):
                if fault.error is not None and self.spec.error(fault.error) is None:
                    raise ScenarioError(
                        f"scenario {scenario.name}: faults[{place}].error is {fault.error!r}, which the document has"
                        f" not; {self._meant(fault.error)}wanted one of {', '.join(self.spec.error_names)}"
                    )
            if len(self._plans) >= PLANS:
                self._plans.clear()
            planned = self._plans[scenario] = plan(scenario, self.spec.lifecycle, self.spec.failure)
            return planned
        return self._plans[scenario]

    def _meant(self, error: str) -> str:
        """The error that somebody meant who named it by its code, or nearly right."""
        codes = {code: name for name, code in self.spec.error_codes.items() if code}
        return did_you_mean(codes.get(error, error), self.spec.error_names)

    def choose(self, header: bytes | None, prompt: str, subject: Hashable) -> JobPlan | None:
        """The plan that a create has chosen: by header, in its prompt, or from the queue; None for the world's own.

        What is taken from the queue stays with its `subject` until a create of that gets its job's own answer.
        Raises ScenarioError for a name that does not exist.
        """
        if header is not None:
            return self._planned(self.named(header.decode("latin-1").strip()))
        if MARK.search(prompt):
            named = [self.named(name) for name in _tags(prompt)]
            return self._planned(named[0])
        begun = self._begun.get(subject)
        if begun is not None or not self.queue:
            return begun
        chosen = self._planned(self.queue.popleft())
        _keep(self._begun, subject, chosen)
        return chosen

    def settled(self, subject: Hashable) -> None:
        """A create gets its job's own answer: what its subject took from the queue is used up."""
        self._begun.pop(subject, None)

    def governing(self, job: Job) -> Scenario:
        """The scenario whose style and faults a job's exchanges have: the one chosen for it, or the world's own now."""
        return job.chosen.scenario if job.chosen else self.plan.scenario

    def strike(self, scenario: Scenario, operation: str, scope: Hashable, subject: Hashable) -> tuple[Fault, ...]:
        """The faults that strike an exchange: `scope` is what it is counted among, `subject` what it is about."""
        if not any(fault.operation in (operation, "any") for fault in scenario.faults):
            return ()
        told = scope.name if isinstance(scope, Scenario) else scope
        count = self._counts.get((operation, scope), 0) + 1
        attempt = self._attempts.get((operation, subject), 0) + 1
        _keep(self._counts, (operation, scope), count)
        struck = []
        for place, fault in enumerate(scenario.faults):
            fits = (
                fault.operation in (operation, "any")
                and (fault.nth is None or count in fault.nth)
                and (fault.every is None or count % fault.every == 0)
                and (fault.attempt is None or attempt in fault.attempt)
                and (fault.probability is None or self._chance(place, operation, told, count) < fault.probability)
            )
            if fits:
                struck.append(fault)
        _keep(self._attempts, (operation, subject), attempt if struck else 0)
        return tuple(struck)

    def _chance(self, *what: object) -> float:
        # Not from the dice: how requests about different jobs are interleaved is not to change what strikes each. Nor a
        # CRC, which is linear: two jobs, or two faults, would be struck alike or exactly otherwise.
        return int.from_bytes(sha256(repr((self.seed, *what)).encode()).digest()[:8]) / 2**64

    def ticket(self, owner: str, path: str) -> str:
        """A ticket for whoever follows a redirect to a path without the key."""
        ticket = _characters(self._noise, 16)
        _keep(self._tickets, ticket, (owner, path))
        return ticket

    def holder(self, ticket: str, path: str) -> str | None:
        """The key whose request was redirected to this path with this ticket."""
        owner, good_for = self._tickets.get(ticket, ("", ""))
        return owner if good_for == path else None

    def owner(self, authorization: bytes) -> str | None:
        """The key that an Authorization header carries; None where it carries none or one that is not accepted."""
        known = self._owners.get(authorization)
        if known is not None:
            return known
        scheme, _, key = authorization.partition(b" ")
        owner = key.strip().decode("latin-1")
        if scheme.lower() != b"bearer" or not owner or (self._keys and owner not in self._keys):
            return None
        if len(self._owners) < SHARED and len(authorization) < SHORT:
            self._owners[authorization] = owner
        return owner

    def spend(self, owner: str) -> bool:
        """Takes the price of one job from a key's credit; False where none is left."""
        if self._credit is None:
            return True
        spent = self._spent.get(owner, 0)
        if spent >= self._credit:
            return False
        if len(self._spent) >= SHARED:
            del self._spent[next(iter(self._spent))]
        self._spent[owner] = spent + 1
        return True

    def add(
        self,
        owner: str,
        model: str,
        values: Mapping[str, Any],
        images: Sequence[bytes | None],
        chosen: JobPlan | None = None,
    ) -> Job:
        """Makes a job of the values of a form, by the plan that was chosen for it or else the world's own.

        `images` are their bytes, or None for each where they are not kept.
        """
        job = Job(
            id=f"task_{_characters(self._dice, 32)}",
            owner=owner,
            alias=str(values.get("model", "")),
            model=model,
            prompt=values["prompt"],
            echo=self._shared_echo(values),
            images=tuple([image for image in images if image is not None]),
            image_count=len(images),
            created=self.clock.now(),
            created_at=int(self.clock.date()),
            pace=self.clock.pace,
            plan=chosen or self.plan,
            chosen=chosen,
        )
        self.store.add(job)
        return job

    def find(self, owner: str, job_id: str) -> Job | None:
        """A job of this key. Another key's is as unknown as one that never was."""
        job = self.store.get(job_id)
        return job if job is not None and job.owner == owner else None

    def end(self, job: Job, scenario: Scenario) -> Job:
        """Ends a job now, as the jobs of a scenario end."""
        job = ended(job, self._planned(scenario), self.clock.now())
        self.store.replace(job)
        return job

    def why_unknown(self, job_id: str) -> str:
        """What the log says where `find` found nothing."""
        return "there is such a job, but it is another key's" if self.store.get(job_id) else "there is no such job"

    def view(self, job: Job) -> View:
        """The job as it is now."""
        return view(job, self.clock.now())

    def values(self, job: Job, now: View) -> dict[str, Any]:
        """All that an answer could say of a job, by the names the documents use."""
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
            scenario = self.governing(job)
            if scenario.video_url or (scenario.video_url is None and self.spec.has_video_url):
                values["video_url"] = self.video_url(job, int(self.clock.date() + scenario.url_life / job.pace))
        return values

    def video_url(self, job: Job, expires: int) -> str:
        """A signed URL of a job's video at the other origin, good until `expires`, in Unix seconds."""
        signature = sha256(repr((self.seed, job.id, expires)).encode()).hexdigest()
        return f"{self.origins.other}{self.prefix}/videos/{job.id}.mp4?expires={expires}&signature={signature}"

    def moment(self) -> tuple[float, tuple[bytes, bytes]]:
        """Seconds of the world's time, and the Date header of an answer that is sent now."""
        now, date = self.clock.read()
        second = int(date)
        if self._date[0] != second:
            self._date = (second, (b"date", formatdate(second, usegmt=True).encode()))
        return now, self._date[1]

    def request_id(self) -> str:
        """A new request id: date and time in UTC+8, nanoseconds, 8 characters."""
        date = self.clock.date()
        moment = time.strftime("%Y%m%d%H%M%S", time.gmtime(date + UTC_PLUS_8))
        return f"{moment}{int(date % 1 * 1e9):09d}{_characters(self._noise, 8)}"

    def _shared_echo(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        names = self.spec.kept
        found = tuple([values.get(name) for name in names])
        shared = self._echoes.get(found)
        if shared is None:
            shared = {name: value for name, value in zip(names, found, strict=True) if value is not None}
            if len(self._echoes) < SHARED and sum([len(str(value)) for value in found]) < SHORT:
                self._echoes[found] = shared
        return shared


def _characters(dice: random.Random, count: int) -> str:
    return dice.randbytes(count).translate(_OF_BYTE).decode()


def _tags(prompt: str) -> list[str]:
    """The names of scenarios in a prompt. Raises ScenarioError for a tag that has none."""
    names = [name.strip() for name in TAG.findall(prompt)]
    if len(names) < len(MARK.findall(prompt)):
        raise ScenarioError("the prompt has a tag that is not closed or has no colon; wanted e.g. [mockveo:fails]")
    return names


def _keep(kept: OrderedDict[Any, Any], key: Hashable, value: Any) -> None:
    """Puts a value into a mapping that forgets the oldest where there are too many."""
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > SHARED:
        kept.popitem(last=False)
