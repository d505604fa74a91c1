"""A world: everything that one namespace of the server remembers - its jobs, clock, dice, keys and journal."""

from __future__ import annotations

import random
import string
import time
from collections.abc import Mapping
from typing import Any, Final

from mockveo.clock import Clock
from mockveo.jobs import Job, Plan, View, plan, view
from mockveo.journal import Journal
from mockveo.scenarios import Scenario
from mockveo.settings import Settings
from mockveo.spec import Spec
from mockveo.stores import Memory, Store

#: The characters of ids and request ids. Source: observed, `task_` + 32 of these.
ALPHANUMERIC: Final = string.digits + string.ascii_letters
_OF_BYTE: Final = "".join(ALPHANUMERIC[byte * len(ALPHANUMERIC) // 256] for byte in range(256)).encode()
#: Distinct keys, and distinct sets of echoed values, that are kept as one object each.
SHARED: Final = 10_000
#: Bytes up to which a key is one of these.
SHORT: Final = 200
#: Request ids carry the time of this zone. Source: observed, "20260205132859798638387SIHCnxzJ", taken as UTC+8.
UTC_PLUS_8: Final = 8 * 3600


class World:
    """The state of one namespace. All methods are quick and none waits."""

    def __init__(
        self, spec: Spec, settings: Settings, scenario: Scenario, *, seed: int, clock: Clock | None = None
    ) -> None:
        self.spec = spec
        self.clock = clock or Clock(settings.speed)
        self.journal = Journal(settings.max_exchanges)
        self.store: Store = Memory(max_jobs=settings.max_jobs, max_bytes=settings.max_image_bytes)
        self.plan: Plan = plan(scenario, spec.lifecycle, spec.failure)
        self._dice = random.Random(seed)
        self._keys = frozenset(settings.key)
        self._credit = settings.credit
        self._spent: dict[str, int] = {}
        self._owners: dict[bytes, str] = {}
        self._echoes: dict[tuple[Any, ...], Mapping[str, Any]] = {}

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

    def add(self, owner: str, model: str, values: Mapping[str, Any], images: tuple[bytes, ...]) -> Job:
        """Makes a job of the values of a form."""
        job = Job(
            id=f"task_{self._characters(32)}",
            owner=owner,
            model=model,
            prompt=values["prompt"],
            echo=self._shared_echo(values),
            images=images,
            created=self.clock.now(),
            created_at=int(self.clock.date()),
            pace=self.clock.pace,
            plan=self.plan,
        )
        self.store.add(job)
        return job

    def find(self, owner: str, job_id: str) -> Job | None:
        """A job of this key. Another key's is as unknown as one that never was."""
        job = self.store.get(job_id)
        return job if job is not None and job.owner == owner else None

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
        return values

    def request_id(self) -> str:
        """A new request id: date and time in UTC+8, nanoseconds, 8 characters."""
        date = self.clock.date()
        moment = time.strftime("%Y%m%d%H%M%S", time.gmtime(date + UTC_PLUS_8))
        return f"{moment}{int(date % 1 * 1e9):09d}{self._characters(8)}"

    def _characters(self, count: int) -> str:
        return self._dice.randbytes(count).translate(_OF_BYTE).decode()

    def _shared_echo(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        names = self.spec.kept
        found = tuple([values.get(name) for name in names])
        shared = self._echoes.get(found)
        if shared is None:
            shared = {name: value for name, value in zip(names, found, strict=True) if value is not None}
            if len(self._echoes) < SHARED and sum([len(str(value)) for value in found]) < SHORT:
                self._echoes[found] = shared
        return shared
