"""Every store keeps what it is given, whatever its kind; the one in memory also keeps within its bounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from json_store import JsonStore

from mockveo.settings import of
from mockveo.simulator.jobs import Job, end, plan
from mockveo.simulator.scenarios import named, scenario
from mockveo.simulator.stores.database import Database
from mockveo.simulator.stores.memory import KEPT_PROMPT_CHARACTERS, Bounds, MemoryJobs, MemoryStore
from mockveo.simulator.stores.sqlite import FileStore
from mockveo.simulator.stores.store import Store
from mockveo.simulator.world import World
from mockveo.spec.spec import load
from mockveo.traffic.bounds import SharedBound
from mockveo.traffic.journal import Journal

PLANS = {
    name: plan(named(name), ("queued", "in_progress", "completed"), "failed")
    for name in ("instant", "normal", "slow", "stuck-queued")
}


def in_memory() -> MemoryStore:
    return MemoryStore(Journal(1000), max_jobs=100, max_bytes=10_000)


@contextmanager
def in_file(path: Path) -> Iterator[FileStore]:
    database = Database(path)
    store = FileStore(database, "", of(max_jobs=100, max_image_bytes=10_000), feed=None, fresh=False)
    yield store
    store.submit()
    database.close()


@pytest.fixture(params=["memory", "json", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "file":
        with in_file(tmp_path / "test.db") as made:
            made.read_jobs(lambda _key, name, _data: PLANS[name])
            yield made
    else:
        yield in_memory() if request.param == "memory" else JsonStore()


def make_job(
    job_id: str, images: tuple[bytes, ...] = (), prompt: str = "p", *, created: float = 0.0, pace: str = "normal"
) -> Job:
    return Job(job_id, "sk", "veo3", "veo_3_1", prompt, {}, images, len(images), created, 0, 1.0, PLANS[pace], None)


def second_of_end(job: Job) -> float:
    return end(job) // 1 if job.plan.ends else math.inf


def test_removed_job_is_gone_and_others_stay(store: Store) -> None:
    for job_id in ("a", "b", "c"):
        store.jobs.put(make_job(job_id, (b"x" * 100,)))
    store.jobs.remove("b")
    store.jobs.remove("unknown")
    assert store.jobs.get("b") is None
    assert [job.id for job in store.jobs] == ["a", "c"]
    store.jobs.put(make_job("b"))
    assert len(store.jobs) == 3


def test_cell_keeps_its_value_under_its_name(store: Store) -> None:
    cell = store.cell("a", {"number": 1})
    cell.value = {"number": 2}
    cell.update(lambda value: {"number": value["number"] + 1})
    assert store.cell("a", None).value == {"number": 3}
    assert store.cell("b", None).value is None


def test_table_forgets_the_oldest_entry_first(store: Store) -> None:
    table = store.table("a", 2)
    for key in ("x", "y", "x", "z"):
        table.put(key, [key, 1])
    assert [table.get(key) for key in "xyz"] == [None, ["y", 1], ["z", 1]]
    assert table.values() == [["y", 1], ["z", 1]]
    table.remove("y")
    table.remove("unknown")
    assert len(store.table("a", 2)) == 1
    table.clear()
    assert (len(table), len(store.table("b", 2))) == (0, 0)


def test_counters_forget_the_least_recently_counted_first(store: Store) -> None:
    counters = store.counters("a", 2)
    assert [counters.increment("x", "1"), counters.increment("x", "1"), counters.increment("x", "2")] == [1, 2, 1]
    assert [counters.increment("x", "1"), counters.increment("new"), counters.increment("x", "1")] == [3, 1, 4]
    assert counters.increment("x", "2") == 1
    counters.reset("x", "2")
    counters.reset("unknown")
    assert store.counters("a", 2).increment("x", "2") == 1
    counters.clear()
    assert len(counters) == 0


def test_queue_pops_values_in_the_order_of_their_push(store: Store) -> None:
    queue = store.queue("a")
    for number in range(3):
        queue.push([number])
    assert queue.pop() == [0]
    assert store.queue("a").values() == [[1], [2]]
    queue.clear()
    assert (queue.pop(), len(queue)) == (None, 0)


def test_jobs_come_back_as_they_were_put(store: Store) -> None:
    first, second = make_job("task_1", (b"image",)), make_job("task_2", pace="slow")
    for job in (first, second, first._replace(prompt="another")):
        store.jobs.put(job)
    assert store.jobs.get("task_1") == first._replace(prompt="another")
    assert [job.id for job in store.jobs] == ["task_1", "task_2"]
    assert len(store.jobs) == 2
    assert [job.id for job in store.jobs.latest()] == ["task_2", "task_1"]
    assert [job.id for job in store.jobs.latest(1)] == ["task_2"]


def test_unknown_id_is_none(store: Store) -> None:
    assert store.jobs.get("task_none") is None


def behaviour(store: Store) -> list[Any]:
    """Return what a world shows in the course of a life that touches each kind of state."""
    world = World(load(), of(clock="poll", credit=2), named("normal"), seed=1, store=store)
    faulty = scenario({"name": "mine", "faults": [{"operation": "create", "attempt": [1, 2], "status": 503}]})
    world.use(faulty)
    world.scenarios.enqueue(named("fails"))
    world.scenarios.enqueue(scenario({"ending": "never"}))
    chosen = [world.scenarios.take(subject) for subject in ("a", "a", "b")]
    world.scenarios.settle("a")
    selected = [
        world.faults.select(faulty, "create", scope=world.plan.key, subject=subject, label="mine")
        for subject in ("a", "b", "a", "a", "a")
    ]
    job = world.add("sk", "veo_3_1", {"prompt": "p"}, (b"image",), chosen[0])
    world.clock.poll()
    world.clock.mode = "manual"
    world.clock.advance(90)
    ticket = world.tickets.issue("sk", "/v1/videos")
    views = [world.view(job), world.view(world.end(job, named("normal")))]
    holders = [world.tickets.holder(ticket, path) for path in ("/v1/videos", "/")]
    return [
        *([made and (made.key, made.stages, made.scenario) for made in chosen], selected, job.id, views, holders),
        *([world.accounts.charge("sk") for _ in range(3)], world.clock.read(), len(world.jobs), world.plan.scenario),
        *([shown.name for shown in world.scenarios.named()], world.scenarios.by_name("mine").key),
        *(world.scenarios.waiting(), world.scenarios.has_waiting),
    ]


def test_world_behaves_alike_on_every_store(store: Store) -> None:
    assert behaviour(store) == behaviour(in_memory())


def test_world_finds_its_state_again_in_a_store_that_outlived_it() -> None:
    store = JsonStore()

    def again() -> Store:
        store.is_new = False
        return store

    assert_found_again(store, again)


def test_world_finds_its_state_again_in_a_file(tmp_path: Path) -> None:
    with ExitStack() as stack:
        opened = ExitStack()
        first = opened.enter_context(in_file(tmp_path / "test.db"))

        def again() -> Store:
            opened.close()
            return stack.enter_context(in_file(tmp_path / "test.db"))

        assert_found_again(first, again)


def assert_found_again(store: Store, again: Callable[[], Store]) -> None:
    first = World(load(), of(clock="manual"), named("normal"), seed=1, store=store)
    first.use(scenario({"name": "mine", "ending": "failure"}))
    first.scenarios.enqueue(named("slow"))
    first.clock.advance(30)
    job = first.add("sk", "veo_3_1", {"prompt": "p"}, ())
    first.end(first.add("sk", "veo_3_1", {"prompt": "cut"}, (b"one", b"two")), first.scenarios.by_name("mine").scenario)
    jobs, drawn = list(first.jobs), first.request_id()
    second = World(load(), of(clock="manual"), named("normal"), seed=1, store=again())
    assert list(second.jobs) == jobs
    assert second.request_id() != drawn
    assert second.find("sk", job.id) == job
    assert second.clock.now() == 30
    assert second.plan.scenario == first.plan.scenario
    assert second.scenarios.by_name("mine").scenario.ending == "failure"
    assert [waiting.name for waiting in second.scenarios.waiting()] == ["slow"]


class Bounded(RuleBasedStateMachine):
    """Jobs in memory against a model: the list of all jobs ever added."""

    MAX_JOBS, MAX_BYTES = 5, 3000

    def __init__(self) -> None:
        super().__init__()
        self.jobs = MemoryJobs(max_jobs=self.MAX_JOBS, max_bytes=self.MAX_BYTES)
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
        before = list(self.jobs)
        images = (b"x" * size,) if size else ()
        job = make_job(f"task_{len(self.added)}", images, prompt, created=self.now, pace=pace)
        self.jobs.put(job)
        self.added.append(job)
        kept = {kept.id for kept in self.jobs}
        forgotten = [old for old in before if old.id not in kept]
        assert len(forgotten) == (len(before) == self.MAX_JOBS)
        for old in forgotten:
            assert second_of_end(old) == min(map(second_of_end, before))
        assert self.jobs.get(job.id) is not None

    @invariant()
    def keeps_within_its_bounds(self) -> None:
        kept = list(self.jobs)
        assert len(kept) == len(self.jobs) <= self.MAX_JOBS
        assert sum(len(image) for job in kept for image in job.images) <= self.MAX_BYTES
        assert sum(map(len, self.jobs._ending.values())) == len(kept)
        assert sorted(self.jobs._seconds) == sorted(self.jobs._ending)

    @invariant()
    def keeps_what_was_added(self) -> None:
        for job in self.jobs:
            original = self.added[int(job.id.removeprefix("task_"))]
            assert self.jobs.get(job.id) == job
            assert job.images in (original.images, ())
            assert original.prompt.startswith(job.prompt)
            assert job.prompt == original.prompt or len(job.prompt) == KEPT_PROMPT_CHARACTERS


TestBounded = Bounded.TestCase
TestBounded.settings = settings(max_examples=60, stateful_step_count=30)


def test_full_store_forgets_the_longest_finished_job() -> None:
    jobs = MemoryJobs(max_jobs=3, max_bytes=0)
    for number, pace in enumerate(["slow", "instant", "instant", "normal"]):
        jobs.put(make_job(f"task_{number}", pace=pace))
    assert sorted(kept.id for kept in jobs) == ["task_0", "task_2", "task_3"]


def test_full_store_without_finished_jobs_keeps_its_bound() -> None:
    jobs = MemoryJobs(max_jobs=3, max_bytes=0)
    for number in range(1000):
        jobs.put(make_job(f"task_{number}", created=number))
        assert jobs.get(f"task_{number}") is not None
    assert len(jobs) == 3


def test_oldest_images_are_forgotten_first_and_their_jobs_stay() -> None:
    jobs = MemoryJobs(max_jobs=10, max_bytes=2500)
    for number in range(4):
        jobs.put(make_job(f"task_{number}", (b"x" * 1000,)))
    assert [len(kept.images) for kept in jobs] == [0, 0, 1, 1]


def test_job_ended_by_force_is_forgotten_before_those_that_go_on() -> None:
    jobs = MemoryJobs(max_jobs=2, max_bytes=1)
    first, second = make_job("task_1", pace="slow"), make_job("task_2", pace="normal")
    jobs.put(first)
    jobs.put(second)
    jobs.put(first._replace(plan=PLANS["instant"]))
    jobs.put(make_job("task_3", pace="slow"))
    assert {kept.id for kept in jobs} == {"task_2", "task_3"}
    jobs.put(make_job("task_4", pace="slow"))
    assert {kept.id for kept in jobs} == {"task_3", "task_4"}


def test_worlds_of_a_server_share_the_bounds_of_their_jobs() -> None:
    bounds = Bounds(SharedBound(10), SharedBound(10_000), SharedBound(0))
    worlds = [MemoryJobs(max_jobs=10, max_bytes=10_000, bounds=bounds) for _ in range(4)]
    for number in range(40):
        job = make_job(f"task_{number}", (b"x" * 3000,), created=number)
        worlds[min(number % 8, 3)].put(job)
        assert sum(map(len, worlds)) <= 10
        assert sum(len(image) for jobs in worlds for kept in jobs for image in kept.images) <= 10_000
        assert worlds[min(number % 8, 3)].get(job.id) == job
    assert all(map(len, worlds))


def test_job_that_stays_heavy_without_its_inputs_is_forgotten() -> None:
    jobs = MemoryJobs(max_jobs=10, max_bytes=50_000)
    for number in range(20):
        jobs.put(make_job(f"task_{number}", created=number % 3)._replace(echo={"size": "x" * 10_000}))
    assert [job.id for job in jobs] == ["task_16", "task_17", "task_18", "task_19"]
    assert sum(map(len, jobs._ending.values())) == 4
    assert sorted(jobs._seconds) == sorted(jobs._ending)
