"""Generated histories: jobs are made, polled, fetched and spied on in any order, and time passes when we say so.

Only a mockveo lets its clock be turned, so only there. Each history is judged by the rules; of one that breaks any the
smallest that still does is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Final

from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from mockveo.rules.engine import Verdict
from mockveo.rules.trace import FAILURE, SUCCESS
from mockveo_contracts.reports.finding import Finding
from mockveo_contracts.servers.budget import OutOfBudget
from mockveo_contracts.servers.exchanges import Conversation
from mockveo_contracts.servers.probe_run import ProbeRun
from mockveo_contracts.servers.server_rules import server_rules

if TYPE_CHECKING:
    from mockveo_contracts.servers.verify import Verification

NAME: Final = "generated/histories"
SAYS: Final = "Generated histories of several jobs, with time as one of the moves."
#: Moves of a history, and seconds that one of them lets pass: from nothing to more than a job takes.
MOVES: Final = 25
PASSING: Final = (0.5, 5.0, 20.0, 61.0, 240.0)
PROMPTS: Final = ("A paper kite.", "紙の凧 🪁", "x" * 3000, 'a "quoted"; name=thing\r\n--line', "a" * 70 + "\u2028é")


class _Broken(AssertionError):
    """A history breaks a rule."""


def histories(found: Verification) -> list[Finding]:
    """Plays histories; the findings."""
    if found.control is None:
        found.recorder.skip(NAME, SAYS, "the clock of this server cannot be turned; that of a mockveo can")
        return []
    before = len(found.wire.exchanges)
    last: list[_Played] = []
    machine = type("History", (_History,), {"found": found, "last": last})
    chosen = settings(
        max_examples=found.plan.histories,
        stateful_step_count=MOVES,
        deadline=None,
        database=None,
        derandomize=False,
        print_blob=False,
        verbosity=Verbosity.quiet,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(seed(found.plan.seed)(machine), settings=chosen)
    except _Broken:
        pass  # The last one that was played is the smallest.
    except OutOfBudget as over:
        found.recorder.skip(NAME, SAYS, f"the rest of it: {over}")
    found.recorder.report.generated += len(found.wire.exchanges) - before
    played = last[-1]
    return found.recorder.record(NAME, SAYS, played.conversation, found.again(NAME), verdicts=played.verdicts)


class _Played:
    """A history, judged."""

    def __init__(self, run: ProbeRun) -> None:
        self.conversation = Conversation(run.exchanges, run.spec, frozenset(), {}, run.arrived)
        self.verdicts: Sequence[Verdict] = server_rules().judge(self.conversation)
        self.broken = [one for one in self.verdicts if one.verdict == "violation"]


class _History(RuleBasedStateMachine):
    """What may happen to the jobs of two keys. `last` gets what was played."""

    found: ClassVar[Verification]
    last: ClassVar[list[_Played]]

    def __init__(self) -> None:
        super().__init__()
        assert self.found.control is not None
        self.control = self.found.control
        self.control.renew()
        self.run = ProbeRun(self.found.shared, NAME)
        self.jobs: list[str] = []
        self.others: list[str] = []

    @initialize(prompt=st.sampled_from(PROMPTS))
    def first(self, prompt: str) -> None:
        self.create(prompt, 0, ours=True)

    @rule(prompt=st.sampled_from(PROMPTS), images=st.integers(0, 2), ours=st.booleans())
    def create(self, prompt: str, images: int, *, ours: bool) -> None:
        run, most = self.run, _most(self.run)
        body = run.multipart(run.fields(prompt=prompt), run.images(min(images, most)))
        if ours:
            one = run.create(body, purpose="create-accepted")
            self.jobs += [one.made] if one.made else []
            run.look_at_images(one)
        else:
            made = run.create(body, purpose="of another key", key="other", note="another key")
            self.others += [made.made] if made.made else []

    @rule(seconds=st.sampled_from(PASSING))
    def time_passes(self, seconds: float) -> None:
        self.control.wait(seconds)

    @rule(which=st.integers(0, 9))
    def poll(self, which: int) -> None:
        if self.jobs:
            self.run.poll(self.jobs[which % len(self.jobs)])

    @rule(which=st.integers(0, 9), pauses=st.lists(st.sampled_from(PASSING), min_size=1, max_size=8))
    def follow(self, which: int, pauses: list[float]) -> None:
        for seconds in pauses if self.jobs else ():
            self.control.wait(seconds)
            self.run.poll(self.jobs[which % len(self.jobs)])

    @rule(which=st.integers(0, 9))
    def fetch(self, which: int) -> None:
        if self.jobs and "retrieveVideoContent" in self.run.spec.operations:
            job = self.jobs[which % len(self.jobs)]
            state = self.run.poll(job).state
            told = {"purpose": "content-early", "expected": "content_not_ready"}
            if state in SUCCESS | FAILURE:
                told = {"purpose": "content-available" if state in SUCCESS else "content-failed"}
            self.run.get("retrieveVideoContent", job, **told)

    @rule(which=st.integers(0, 9), theirs=st.booleans())
    def spy(self, which: int, *, theirs: bool) -> None:
        jobs, key = (self.others, "ours") if theirs else (self.jobs, "other")
        if jobs:
            told = {"purpose": "auth-other-key", "expected": "task_not_exist", "note": "another key's job"}
            self.run.get("retrieveVideo", jobs[which % len(jobs)], key=key, **told)

    def teardown(self) -> None:
        played = _Played(self.run)
        self.last[:] = [played]
        if played.broken:
            raise _Broken(", ".join(one.rule.id for one in played.broken))


def _most(run: ProbeRun) -> int:
    field = next(iter(sorted(run.form.file_fields)), None)
    return int(run.form.fields[field].get("maxItems", 1)) if field else 0
