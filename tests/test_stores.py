"""Any Store keeps what it is given; Memory also keeps within its bounds."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mockveo.jobs import Job, plan
from mockveo.scenarios import named
from mockveo.stores import KEPT_PROMPT, Memory

PLAN = plan(named("normal"), ("queued", "in_progress", "completed"), "failed")


def job(name: str, images: tuple[bytes, ...] = (), prompt: str = "p") -> Job:
    return Job(name, "sk", "veo_3_1", prompt, {}, images, 0.0, 0, 1.0, PLAN)


class Bounded(RuleBasedStateMachine):
    """Against a model: a list of all jobs ever added and the set of those that have finished."""

    MAX_JOBS, MAX_BYTES = 5, 3000

    def __init__(self) -> None:
        super().__init__()
        self.finished: set[str] = set()
        self.store = Memory(
            max_jobs=self.MAX_JOBS, max_bytes=self.MAX_BYTES, finished=lambda job: job.id in self.finished
        )
        self.added: list[Job] = []

    @rule(size=st.integers(0, 2000), prompt=st.sampled_from(["short", "long " * 400]))
    def add(self, size: int, prompt: str) -> None:
        before = {kept.id for kept in self.store}
        one = job(f"task_{len(self.added)}", (b"x" * size,) if size else (), prompt)
        self.store.add(one)
        self.added.append(one)
        gone = before - {kept.id for kept in self.store}
        assert len(gone) <= 1
        assert not gone or len(before) == self.MAX_JOBS
        # An unfinished job goes only where there is no finished one.
        assert not (gone - self.finished) or not (before & self.finished)
        assert self.store.get(one.id) is not None

    @rule(number=st.integers(0, 50))
    def finish(self, number: int) -> None:
        if number < len(self.added):
            self.finished.add(f"task_{number}")

    @invariant()
    def keeps_within_its_bounds(self) -> None:
        kept = list(self.store)
        assert len(kept) == len(self.store) <= self.MAX_JOBS
        heavy = sum(sum(map(len, one.images)) for one in kept)
        assert heavy <= self.MAX_BYTES

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


def test_the_oldest_finished_job_goes_first() -> None:
    finished = {"task_1", "task_2"}
    store = Memory(max_jobs=3, max_bytes=0, finished=lambda job: job.id in finished)
    for number in range(4):
        store.add(job(f"task_{number}"))
    assert sorted(kept.id for kept in store) == ["task_0", "task_2", "task_3"]


def test_where_none_has_finished_the_bound_still_holds() -> None:
    store = Memory(max_jobs=3, max_bytes=0, finished=lambda _: False)
    for number in range(1000):
        store.add(job(f"task_{number}"))
        assert store.get(f"task_{number}") is not None
    assert len(store) == 3


def test_the_oldest_images_go_first_and_their_jobs_stay() -> None:
    store = Memory(max_jobs=10, max_bytes=2500, finished=lambda _: True)
    for number in range(4):
        store.add(job(f"task_{number}", (b"x" * 1000,)))
    assert [len(kept.images) for kept in store] == [0, 0, 1, 1]


def test_an_unknown_id_is_none() -> None:
    assert Memory(max_jobs=1, max_bytes=0, finished=lambda _: True).get("task_none") is None
