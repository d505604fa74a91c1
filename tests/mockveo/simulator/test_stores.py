"""Any Store keeps what it is given; Memory also keeps within its bounds."""

from __future__ import annotations

import math

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mockveo.simulator.jobs import Job, end, plan
from mockveo.simulator.scenarios import named
from mockveo.simulator.stores.memory import KEPT_PROMPT, Memory

PLANS = {
    name: plan(named(name), ("queued", "in_progress", "completed"), "failed")
    for name in ("instant", "normal", "slow", "stuck-queued")
}


def job(
    name: str, images: tuple[bytes, ...] = (), prompt: str = "p", *, created: float = 0.0, pace: str = "normal"
) -> Job:
    return Job(name, "sk", "veo3", "veo_3_1", prompt, {}, images, len(images), created, 0, 1.0, PLANS[pace], None)


def second(one: Job) -> float:
    return end(one) // 1 if one.plan.ends else math.inf


class Bounded(RuleBasedStateMachine):
    """Against a model: the list of all jobs ever added."""

    MAX_JOBS, MAX_BYTES = 5, 3000

    def __init__(self) -> None:
        super().__init__()
        self.store = Memory(max_jobs=self.MAX_JOBS, max_bytes=self.MAX_BYTES)
        self.added: list[Job] = []
        self.now = 0.0

    @rule(
        size=st.integers(0, 2000),
        prompt=st.sampled_from(["short", "long " * 400]),
        pace=st.sampled_from(sorted(PLANS)),
        later=st.floats(0, 100),
    )
    def add(self, size: int, prompt: str, pace: str, later: float) -> None:
        self.now += later
        before = list(self.store)
        images = (b"x" * size,) if size else ()
        one = job(f"task_{len(self.added)}", images, prompt, created=self.now, pace=pace)
        self.store.add(one)
        self.added.append(one)
        kept = {kept.id for kept in self.store}
        gone = [old for old in before if old.id not in kept]
        assert len(gone) == (len(before) == self.MAX_JOBS)
        for old in gone:
            assert second(old) == min(second(other) for other in before)
        assert self.store.get(one.id) is not None

    @invariant()
    def keeps_within_its_bounds(self) -> None:
        kept = list(self.store)
        assert len(kept) == len(self.store) <= self.MAX_JOBS
        heavy = sum(sum(map(len, one.images)) for one in kept)
        assert heavy <= self.MAX_BYTES
        assert sum(map(len, self.store._ending.values())) == len(kept)
        assert sorted(self.store._seconds) == sorted(self.store._ending)

    @invariant()
    def what_is_kept_is_what_was_added(self) -> None:
        for one in self.store:
            original = self.added[int(one.id.removeprefix("task_"))]
            assert self.store.get(one.id) is one
            assert one.images in (original.images, ())
            assert original.prompt.startswith(one.prompt)
            assert one.prompt == original.prompt or len(one.prompt) == KEPT_PROMPT


TestBounded = Bounded.TestCase
TestBounded.settings = settings(max_examples=60, stateful_step_count=30)


def test_the_longest_finished_job_goes_first() -> None:
    store = Memory(max_jobs=3, max_bytes=0)
    for number, pace in enumerate(["slow", "instant", "instant", "normal"]):
        store.add(job(f"task_{number}", pace=pace))
    assert sorted(kept.id for kept in store) == ["task_0", "task_2", "task_3"]


def test_where_none_has_finished_the_bound_still_holds() -> None:
    store = Memory(max_jobs=3, max_bytes=0)
    for number in range(1000):
        store.add(job(f"task_{number}", created=number))
        assert store.get(f"task_{number}") is not None
    assert len(store) == 3


def test_the_oldest_images_go_first_and_their_jobs_stay() -> None:
    store = Memory(max_jobs=10, max_bytes=2500)
    for number in range(4):
        store.add(job(f"task_{number}", (b"x" * 1000,)))
    assert [len(kept.images) for kept in store] == [0, 0, 1, 1]


def test_an_unknown_id_is_none() -> None:
    assert Memory(max_jobs=1, max_bytes=0).get("task_none") is None


def test_a_job_that_was_ended_by_force_goes_before_those_that_go_on() -> None:
    store = Memory(max_jobs=2, max_bytes=1)
    first, second = job("task_1", pace="slow"), job("task_2", pace="normal")
    store.add(first)
    store.add(second)
    store.replace(first._replace(plan=PLANS["instant"]))
    store.add(job("task_3", pace="slow"))
    assert {one.id for one in store} == {"task_2", "task_3"}
    store.add(job("task_4", pace="slow"))
    assert {one.id for one in store} == {"task_3", "task_4"}
