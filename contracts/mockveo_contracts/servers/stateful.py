"""Generated histories: jobs are created, polled, fetched and spied on in any order, while time advances.

This needs control of the clock, so it works for a mockveo only. The rules judge each history, and the smallest history
that breaks one is reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from mockveo.rules.engine import Verdict
from mockveo_contracts.reports.finding import Finding
from mockveo_contracts.servers.budget import OutOfBudget
from mockveo_contracts.servers.exchanges import Conversation
from mockveo_contracts.servers.probe_run import ProbeRun
from mockveo_contracts.servers.run import VerifyRun
from mockveo_contracts.servers.server_rules import server_rules

NAME: Final = "generated/histories"
SAYS: Final = "Generated histories of several jobs, with time as one of the steps."
#: Steps of a history. Arbitrary: enough for a few jobs.
MAX_STEPS: Final = 25
#: Seconds that a step lets pass, from almost none to more than a job takes.
PAUSES_S: Final = (0.5, 5.0, 20.0, 61.0, 240.0)
PROMPTS: Final = ("A paper kite.", "紙の凧 🪁", "x" * 3000, 'a "quoted"; name=thing\r\n--line', "a" * 70 + "\u2028é")


class _BrokenHistory(AssertionError):
    """A history breaks a rule."""


def check_histories(verify_run: VerifyRun) -> list[Finding]:
    """Generate histories and judge them; return the findings."""
    if verify_run.control is None:
        verify_run.recorder.skip(NAME, SAYS, "the clock of this server cannot be advanced; that of a mockveo can")
        return []
    before = len(verify_run.client.exchanges)
    latest: list[_JudgedHistory] = []
    machine = type("History", (_History,), {"verify_run": verify_run, "latest": latest})
    chosen = settings(
        max_examples=verify_run.plan.histories,
        stateful_step_count=MAX_STEPS,
        deadline=None,
        database=None,
        derandomize=False,
        print_blob=False,
        verbosity=Verbosity.quiet,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(seed(verify_run.plan.seed)(machine), settings=chosen)
    except _BrokenHistory:
        pass  # the latest history is the smallest
    except (OutOfBudget, Flaky):
        # A history that ran out of budget ends sooner when it is repeated, which hypothesis calls flaky.
        reason = verify_run.budget.problem(creates=True) or "the server did not do the same again"
        verify_run.recorder.skip(NAME, SAYS, f"the rest of it: {reason}")
    verify_run.recorder.report.generated += len(verify_run.client.exchanges) - before
    history = latest[-1]
    return verify_run.recorder.record(
        NAME, SAYS, history.conversation, verify_run.command(NAME), verdicts=history.verdicts
    )


class _JudgedHistory:
    """A history with the verdicts on it."""

    def __init__(self, run: ProbeRun) -> None:
        self.conversation = Conversation(run.exchanges, run.spec, frozenset(), {}, run.arrived)
        self.verdicts: Sequence[Verdict] = server_rules().judge(self.conversation)
        self.broken = [verdict for verdict in self.verdicts if verdict.verdict == "violation"]


class _History(RuleBasedStateMachine):
    """The steps of a history with the jobs of two keys; `latest` receives the judged history."""

    verify_run: ClassVar[VerifyRun]
    latest: ClassVar[list[_JudgedHistory]]

    def __init__(self) -> None:
        super().__init__()
        assert self.verify_run.control is not None
        self.control = self.verify_run.control
        self.control.renew()
        self.run = ProbeRun(self.verify_run.shared, NAME)
        self.jobs: list[str] = []
        self.others: list[str] = []

    @initialize(prompt=st.sampled_from(PROMPTS))
    def first(self, prompt: str) -> None:
        self.create(prompt, 0, ours=True)

    @rule(prompt=st.sampled_from(PROMPTS), images=st.integers(0, 2), ours=st.booleans())
    def create(self, prompt: str, images: int, *, ours: bool) -> None:
        run = self.run
        body = run.multipart(run.fields(prompt=prompt), run.images(min(images, _max_images(run))))
        if ours:
            create = run.create(body, purpose="create-accepted")
            self.jobs += [create.made] if create.made else []
            run.look_at_images(create)
        else:
            create = run.create(body, purpose="of another key", key="other", note="another key")
            self.others += [create.made] if create.made else []

    @rule(seconds=st.sampled_from(PAUSES_S))
    def time_passes(self, seconds: float) -> None:
        self.control.wait(seconds)

    @rule(which=st.integers(0, 9))
    def poll(self, which: int) -> None:
        if self.jobs:
            self.run.poll(self.jobs[which % len(self.jobs)])

    @rule(which=st.integers(0, 9), pauses=st.lists(st.sampled_from(PAUSES_S), min_size=1, max_size=8))
    def follow(self, which: int, pauses: list[float]) -> None:
        for seconds in pauses if self.jobs else ():
            self.control.wait(seconds)
            self.run.poll(self.jobs[which % len(self.jobs)])

    @rule(which=st.integers(0, 9))
    def fetch(self, which: int) -> None:
        if self.jobs and "retrieveVideoContent" in self.run.spec.operations:
            job = self.jobs[which % len(self.jobs)]
            meaning = self.run.poll(job).shown.meaning
            if meaning == "success":
                self.run.get("retrieveVideoContent", job, purpose="content-available")
            elif meaning == "failure":
                self.run.get("retrieveVideoContent", job, purpose="content-failed")
            else:
                early = {"purpose": "content-early", "expected": "content_not_ready"}
                self.run.get("retrieveVideoContent", job, **early)

    @rule(which=st.integers(0, 9), theirs=st.booleans())
    def spy(self, which: int, *, theirs: bool) -> None:
        jobs, key = (self.others, "ours") if theirs else (self.jobs, "other")
        if jobs:
            about = {"purpose": "auth-other-key", "expected": "task_not_exist", "note": "another key's job"}
            self.run.get("retrieveVideo", jobs[which % len(jobs)], key=key, **about)

    def teardown(self) -> None:
        history = _JudgedHistory(self.run)
        if history.broken or not any(latest.broken for latest in self.latest):
            self.latest[:] = [history]
        if history.broken:
            raise _BrokenHistory(", ".join(verdict.rule.id for verdict in history.broken))


def _max_images(run: ProbeRun) -> int:
    field = next(iter(sorted(run.form.file_fields)), None)
    return int(run.form.fields[field].get("maxItems", 1)) if field else 0
