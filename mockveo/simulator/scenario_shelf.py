"""The scenarios of a world: its own, those that have a name, and those that wait for a create."""

from __future__ import annotations

import re
from hashlib import sha256
from itertools import islice
from typing import Any, Final, NamedTuple

import orjson

from mockveo._paths import built_in_scenarios
from mockveo.errors import ScenarioError, did_you_mean
from mockveo.simulator.jobs import JobPlan, plan
from mockveo.simulator.scenarios import Scenario, built_in, named, scenario
from mockveo.simulator.stores.store import Cell, Fifo, Store, Table
from mockveo.spec.spec import Spec
from mockveo.text import brief

#: Named scenarios and plans that are kept. Arbitrary: far more than a test uses.
MAX_SCENARIOS: Final = 100
#: Creates that may hold a scenario from the queue until they succeed. Arbitrary.
MAX_TAKEN: Final = 10_000
#: Tags of a prompt, each of which must name a scenario. Arbitrary: one is enough.
MAX_TAGS: Final = 100
#: The name of a scenario in a prompt, and the beginning of such a tag.
TAG: Final = re.compile(r"\[\s*mockveo\s*:([^\[\]]*)\]", re.IGNORECASE)
TAG_START: Final = re.compile(r"\[\s*mockveo\b", re.IGNORECASE)


class StoredScenario(NamedTuple):
    """A scenario as a store keeps it. `key` separates the counts of scenarios with the same name."""

    key: str
    name: str
    data: Any


class ScenarioShelf:
    """The scenarios of a world. Methods that take one raise ScenarioError if it does not fit the spec.

    `may_kill` says that a checker owns the client's process, so that faults may kill it.
    """

    def __init__(self, store: Store, spec: Spec, initial: Scenario, *, may_kill: bool = False) -> None:
        self._spec = spec
        self._may_kill = may_kill
        # Two caches of plans: by scenario and by key. Both can be rebuilt from what is stored.
        self._plans: dict[Scenario, JobPlan] = {}
        self._plans_by_key: dict[str, JobPlan] = {}
        first = _stored(self.plan_of(initial)) if store.is_new else None
        self._own: Cell[StoredScenario] = store.cell("scenario", first)
        self._named: Table[StoredScenario] = store.table("named_scenarios", MAX_SCENARIOS)
        self._waiting: Fifo[StoredScenario] = store.queue("waiting_scenarios")
        self._taken: Table[StoredScenario] = store.table("taken_scenarios", MAX_TAKEN)
        if store.is_new:
            self.remember(initial)

    @property
    def plan(self) -> JobPlan:
        """The plan of jobs whose create chooses no scenario."""
        stored = self._own.value
        try:
            return self._plans_by_key[stored[0]]
        except KeyError:
            return self.stored_plan(*stored)

    @property
    def has_waiting(self) -> bool:
        """Whether a scenario waits for a create, or for a create to succeed."""
        return len(self._waiting) > 0 or len(self._taken) > 0

    @property
    def has_taken(self) -> bool:
        """Whether a create has taken a scenario and not succeeded yet."""
        return len(self._taken) > 0

    def use(self, new: Scenario) -> None:
        """Make a scenario the world's own."""
        self._own.value = _stored(self.plan_of(new))
        self.remember(new)
        self._taken.clear()

    def remember(self, new: Scenario) -> None:
        """Let a scenario be chosen by its name, like the built-in ones."""
        self._named.put(new.name, _stored(self.plan_of(new)))

    def by_name(self, name: str) -> JobPlan:
        """Return the plan of a named scenario; a built-in name cannot be taken. Raises ScenarioError."""
        stored = None if name in built_in_scenarios() else self._named.get(name)
        if stored is None:
            return self.plan_of(named(name))
        return self.stored_plan(*stored)

    def by_tag(self, prompt: str) -> JobPlan | None:
        """Return the plan that a prompt chooses, or None. Raises ScenarioError for an invalid tag or unknown name."""
        if "[" not in prompt or not TAG_START.search(prompt):
            return None
        tags = [match[1] for match in islice(TAG.finditer(prompt), MAX_TAGS + 1)]
        if len(tags) > MAX_TAGS:
            raise ScenarioError(f"the prompt has more than {MAX_TAGS} tags; expected one, e.g. [mockveo:fails]")
        if next(islice(TAG_START.finditer(prompt), len(tags), None), None) is not None:
            raise ScenarioError(
                "the prompt has a tag that is not closed or has no colon; expected e.g. [mockveo:fails]"
            )
        plans = [self.by_name(tag.strip()) for tag in tags]
        return plans[0]

    def named(self) -> list[Scenario]:
        """Return the scenarios that can be chosen by name."""
        own = {stored[1]: self.stored_plan(*stored).scenario for stored in self._named.values()}
        return list({**own, **{each.name: each for each in built_in()}}.values())

    def enqueue(self, new: Scenario) -> None:
        """Let one create have a scenario, after those that wait already."""
        self._waiting.push(_stored(self.plan_of(new)))

    def waiting(self) -> list[Scenario]:
        """Return the scenarios that wait for a create, the next one first."""
        return [self.stored_plan(*stored).scenario for stored in self._waiting.values()]

    def clear_waiting(self) -> None:
        """Forget the scenarios that wait for a create, or for a create to succeed."""
        self._waiting.clear()
        self._taken.clear()

    def take(self, subject: str) -> JobPlan | None:
        """Return the plan of the first waiting scenario, or None.

        It stays with its subject, so that retries of a create get it too, until `settle`.
        """
        stored = self._taken.get(subject)
        if stored is None:
            stored = self._waiting.pop()
            if stored is None:
                return None
            self._taken.put(subject, stored)
        return self.stored_plan(*stored)

    def settle(self, subject: str) -> None:
        """Use up what a subject has taken, because its create succeeded."""
        self._taken.remove(subject)

    def stored_plan(self, key: str, name: str, data: Any) -> JobPlan:
        """Return the plan of a scenario as a store keeps it; `data` is None for a built-in one."""
        made = self._plans_by_key.get(key)
        if made is None:
            made = self.plan_of(named(name)) if data is None else self._plan(scenario(data, name), key)
        return made

    def plan_of(self, new: Scenario) -> JobPlan:
        """Return the plan of a scenario. Raises ScenarioError if the scenario does not fit the spec."""
        made = self._plans.get(new)
        if made is None:
            key = new.name
            if key not in built_in_scenarios() or named(key) is not new:
                key = f"{key}#{sha256(orjson.dumps(new.data, option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]}"
            made = self._plan(new, key)
        return made

    def check(self, new: Scenario) -> None:
        """Raise ScenarioError for an error that the document does not have, and for a kill where none is possible."""
        for place, fault in enumerate(new.faults):
            if fault.kill is not None and not self._may_kill:
                raise ScenarioError(
                    f"scenario {new.name}: faults[{place}].kill is {fault.kill}, and this server does not own the"
                    " process of the client; expected it in a case of a check, which does, e.g."
                    " mockveo check --case 'restart/*' -- python my_client.py, or reset: true for a lost connection"
                )
            if fault.error is not None and self._spec.error(fault.error) is None:
                raise ScenarioError(
                    f"scenario {new.name}: faults[{place}].error is {brief(fault.error)}, which the document does not"
                    f" have; {self._suggestion(fault.error)}expected one of {', '.join(self._spec.error_names)}"
                )

    def _plan(self, new: Scenario, key: str) -> JobPlan:
        self.check(new)
        if len(self._plans) >= MAX_SCENARIOS:
            self._plans.clear()
            self._plans_by_key.clear()
        made = plan(new, self._spec.lifecycle, self._spec.failure, key)
        self._plans[new] = self._plans_by_key[key] = made
        return made

    def _suggestion(self, error: str) -> str:
        """Return a question for the error that a wrong name, or the code of an error, may stand for."""
        codes = {code: name for name, code in self._spec.error_codes.items() if code}
        return did_you_mean(codes.get(error, error), self._spec.error_names)


def _stored(made: JobPlan) -> StoredScenario:
    return StoredScenario(made.key, made.scenario.name, made.scenario.data)
