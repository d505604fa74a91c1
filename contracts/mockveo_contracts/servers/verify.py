"""The verification of a server: asks it what the probes ask, within a budget, and reports which rules it breaks.

from mockveo_contracts.servers.verify import Plan, verify

data = verify("http://127.0.0.1:8360", Plan())
assert data["exit_status"] == 0, data["findings"]
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from hashlib import sha256
from itertools import groupby
from time import perf_counter
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from mockveo.control_client import PATIENCE_S, RemoteError
from mockveo.errors import MockveoError, SettingsError, did_you_mean
from mockveo.http.hosts import is_loopback
from mockveo.spec.spec import DEFAULT_PROFILE, load
from mockveo.traffic.redaction import Redactor
from mockveo_contracts.reports.finding import Finding
from mockveo_contracts.reports.known_failures import KnownFailure
from mockveo_contracts.reports.model import Report, ServerSubject, without_verdicts
from mockveo_contracts.servers.budget import Budget, OutOfBudget
from mockveo_contracts.servers.exchanges import USUAL, Conversation, SentExchange
from mockveo_contracts.servers.http_client import Keys, RecordingClient, root_of
from mockveo_contracts.servers.pacing import NEAR, POLITE, ControlledPace, Pace, RealPace, control
from mockveo_contracts.servers.probe_run import ProbeRun, Shared
from mockveo_contracts.servers.probes import PROBES, Probe
from mockveo_contracts.servers.server_report import ServerRecorder
from mockveo_contracts.servers.server_rules import server_rules

#: Jobs that a run may make where a server is not this machine's: there they may cost money.
PAID_JOBS: Final = 5
#: Characters of an answer that an error tells.
MOST_TOLD: Final = 300


class VerifyError(MockveoError):
    """A server cannot be verified."""


@dataclass(frozen=True)
class VerifyPlan:
    """What is to be asked, and what it may cost."""

    #: The key; None needs none, which only servers on this machine can do with.
    key: str | None = field(default=None, repr=False)
    #: A key of another customer; of a mockveo one is made up.
    other_key: str | None = field(default=None, repr=False)
    #: None is the server's own where it is a mockveo, else the default.
    profile: str | None = None
    spec: str | None = None
    overlays: tuple[str, ...] = ()
    #: Patterns of probes; empty for all of them.
    probes: tuple[str, ...] = ()
    seed: int = 0
    #: Most jobs; None is 5 where the server is not this machine's, else no limit.
    max_jobs: int | None = None
    max_seconds: float | None = None
    #: Most requests a second.
    rate: float | None = None
    #: Seconds between two polls, and that a job gets to end in.
    poll_interval: float | None = None
    job_seconds: float = 600.0
    #: A prompt whose job fails, where one is known.
    failing_prompt: str | None = None
    #: Tells the SHA-256 of the images that arrived with a job, in order: of use to who tests a gateway of their own.
    images_of: Callable[[str], Sequence[str]] | None = None
    #: Generated requests for each operation, by schemathesis; 0 for none.
    examples: int = 0
    #: Whether creates are among them. None is: where the server is this machine's.
    generated_creates: bool | None = None
    #: Generated histories of jobs; only where time can be turned.
    histories: int = 0
    strict: bool = False
    known: tuple[KnownFailure, ...] = ()
    #: Whether a mockveo is told from other servers, and its clock turned.
    turn_time: bool = True
    #: Told of each probe as it is done: its number, how many there are, its name, and how many findings it has.
    progress: Callable[[int, int, str, int], None] = field(default=lambda *_: None)


class Check(NamedTuple):
    """A check of a server by its name. `run` does it now, and returns the findings, as the report has them."""

    name: str
    says: str
    run: Callable[[], list[Finding]]


class Verification:
    """A server under test: the connection, the budget, and the report as it grows. A context manager."""

    def __init__(self, url: str, plan: VerifyPlan) -> None:
        self.plan = plan
        self.url = root_of(url)
        keys = self._keys()
        self._redactor = Redactor([one for one in (plan.key, plan.other_key) if one])
        # Of a mockveo it decides itself which keys are good.
        both = keys if keys.other else replace(keys, other=f"{keys.bad}-other")
        self.control = self._control(both)
        keys = both if self.control else keys
        profile = plan.profile or (self.control.profile if self.control else DEFAULT_PROFILE)
        spec = load(plan.spec, profile=profile, overlays=plan.overlays)
        self.near = is_near(self.url)
        jobs = plan.max_jobs if plan.max_jobs is not None or self.near else PAID_JOBS
        self.budget = Budget(jobs=jobs, seconds=plan.max_seconds, rate=plan.rate)
        pace: Pace = self.control or RealPace(NEAR if self.near else POLITE)
        if plan.poll_interval is not None:
            pace.interval = plan.poll_interval
        self.wire = RecordingClient(self.control.url if self.control else self.url, keys, spec, pace, self.budget)
        self.shared = Shared(self.wire, plan.seed, plan.job_seconds, self.control, plan.failing_prompt, plan.images_of)
        name = f"mockveo {self.control.version}" if self.control else urlsplit(self.url).netloc
        report = Report(
            subject=ServerSubject(name, self.url),
            rules=without_verdicts(server_rules().rules),
            seed=plan.seed,
            profile=profile,
            strict=plan.strict,
            known_failures=plan.known,
            complete=not plan.probes,
        )
        self.recorder = ServerRecorder(report, self.url, self._redactor)
        self._begun = perf_counter()

    def _keys(self) -> Keys:
        plan = self.plan
        if plan.key is None and not is_near(self.url):
            raise SettingsError(f"there is no key for {self.url}; wanted one in COMETAPI_KEY")
        _check_keys(plan)
        ours = plan.key or "sk-mockveo-verify"
        # Not a random one, as a run is to be repeatable; and none that could be somebody's.
        return Keys(ours, plan.other_key or None, f"sk-{sha256(f'nobody {ours}'.encode()).hexdigest()[:48]}")

    def _control(self, keys: Keys) -> ControlledPace | None:
        if not self.plan.turn_time:
            return None
        assert keys.other is not None
        limit = self.plan.max_seconds
        try:
            return control(
                self.url,
                profile=self.plan.profile,
                seed=self.plan.seed,
                keys=[keys.ours, keys.other],
                patience=PATIENCE_S if limit is None else max(min(PATIENCE_S, limit), 0.1),
            )
        except RemoteError as error:
            # The keys were sent; what only looks like a mockveo may send them back.
            raise RemoteError(self._redactor.redact(str(error))) from None

    def checks(self) -> Iterator[Check]:
        """The checks that the plan asks for, in their order. Raises SettingsError for a pattern that names none."""
        for name in names(self.plan):
            if name in PROBES:
                yield Check(name, PROBES[name].says, lambda one=PROBES[name]: self.probe(one))  # type: ignore[misc]
            else:
                yield self._generated(name)

    def _generated(self, name: str) -> Check:
        # Here, not above: who asks for none does not wait for hypothesis.
        if name == HISTORIES:
            from mockveo_contracts.servers.stateful import SAYS, histories

            return Check(name, SAYS, lambda: histories(self))
        from mockveo_contracts.servers import fuzzing

        operation = name.partition("/")[2]
        return Check(name, fuzzing.says(operation), lambda: fuzzing.fuzz(self, operation))

    def probe(self, probe: Probe) -> list[Finding]:
        """Asks what a probe asks, and judges it; the findings."""
        run, earlier = ProbeRun(self.shared, probe.name), frozenset(self.shared.jobs)
        why = ""
        try:
            probe.ask(run)
        except OutOfBudget as over:
            why = str(over)
        if not run.exchanges:
            self.recorder.skip(probe.name, probe.says, why or "the server has nothing that it could ask")
            return []
        self._able(run.exchanges)
        if why:
            self.recorder.skip(probe.name, probe.says, f"the rest of it: {why}")
        conversation = Conversation(run.exchanges, self.wire.spec, earlier, run.unended, run.arrived)
        return self.recorder.record(probe.name, probe.says, conversation, self.again(probe.name))

    def _able(self, exchanges: Sequence[SentExchange]) -> None:
        """Raises VerifyError where creates are refused for what says nothing of the server."""
        for one in exchanges:
            if one.operation == "createVideo" and one.purpose == "create-accepted" and one.status == 403:
                told = self._redactor.redact(str(one.answer)[:MOST_TOLD])
                raise VerifyError(f"{self.url} refuses to make a job with 403, {told}; wanted a key with credit")

    def again(self, name: str) -> str:
        """The command that repeats a check."""
        words = ["mockveo verify", self.url, f"--only {name}", f"--seed {self.plan.seed}"]
        if self.recorder.report.profile != DEFAULT_PROFILE and not self.control:
            words.append(f"--profile {self.recorder.report.profile}")
        return " ".join(words)

    def prepare(self) -> None:
        """Asks for a job that does not exist. Raises VerifyError where there is no server, or it refuses the key."""
        one = self.wire.ask("retrieveVideo", f"task_{'0' * 32}", purpose="prepare")
        if not one.status:
            raise VerifyError(f"there is no server at {self.url} ({one.trouble}); start it, or name another URL")
        if one.status == 401:
            raise VerifyError(f"the server at {self.url} refuses the key with 401; wanted a good one in COMETAPI_KEY")

    def all(self) -> Report:
        """Run all checks, and return the report."""
        try:
            checks = list(self.checks())
            self.prepare()
            for number, one in enumerate(checks, 1):
                found = one.run()
                self.plan.progress(number, len(checks), one.name, len(found))
                if not self.wire.exchanges[-1].status:
                    with suppress(OutOfBudget):
                        self.prepare()
        except (VerifyError, RemoteError, OutOfBudget) as error:
            self.recorder.abort(str(error))
        return self.report

    @property
    def report(self) -> Report:
        """The report so far."""
        report = self.recorder.report
        report.seconds = perf_counter() - self._begun
        report.spent = {"jobs": self.budget.made, "requests": len(self.wire.exchanges)}
        return report

    def close(self) -> None:
        """Ends the connection; of a mockveo an empty world is left of the run."""
        self.wire.close()
        if self.control is not None:
            self.control.close()


#: The check that generates histories of jobs, and what the names of all that is generated begin with.
HISTORIES: Final = "generated/histories"
GENERATED: Final = "generated/"


def names(plan: VerifyPlan) -> list[str]:
    """The names of the checks of a plan. Raises SettingsError for a pattern that names none."""
    known = list(PROBES)
    if plan.examples:
        spec = load(plan.spec, profile=plan.profile or DEFAULT_PROFILE, overlays=plan.overlays)
        known += [f"{GENERATED}{operation}" for operation in spec.operations] + [f"{GENERATED}links"]
    known += [HISTORIES] if plan.histories else []
    for pattern in plan.probes:
        if not any(fnmatchcase(name, pattern) for name in known):
            hint = did_you_mean(pattern, known)
            raise SettingsError(f"no check is named {pattern!r}; {hint}wanted one of {', '.join(known)}")
    return [name for name in known if not plan.probes or any(fnmatchcase(name, one) for one in plan.probes)]


@contextmanager
def verification(url: str, plan: VerifyPlan) -> Iterator[Verification]:
    """A server to be verified, check by check. Raises MockveoError where it cannot be."""
    found = Verification(url, plan)
    try:
        yield found
    finally:
        found.close()


def _check_keys(plan: VerifyPlan) -> None:
    """Raises SettingsError for a key that no header can carry as it is, or that is given twice."""
    for name, key in (("COMETAPI_KEY", plan.key), ("COMETAPI_OTHER_KEY", plan.other_key)):
        # One that is set and empty is none, as where a secret of a workflow is not there.
        if key and not (key.isascii() and key.isprintable() and key == key.strip()):
            odd = "a line break" if {"\r", "\n"} & {*key} else "a blank at an end, or a character that is not ASCII"
            raise SettingsError(
                f"{name} has {odd}, which a header cannot carry; wanted only the key, e.g. {name}=sk-..."
            )
    if plan.key and plan.key == plan.other_key:
        raise SettingsError(
            "COMETAPI_OTHER_KEY is the same as COMETAPI_KEY; wanted the key of another customer, or none: unset it"
        )


def is_near(url: str) -> bool:
    """Whether a server is this machine's, where jobs cost nothing."""
    return is_loopback(urlsplit(url if "//" in url else f"//{url}").hostname or "")


def verify(url: str, plan: VerifyPlan) -> dict[str, Any]:
    """Verify a server, and return the JSON data of the report. Raises MockveoError if the plan cannot be followed."""
    return verified(url, plan).to_json()


def verified(url: str, plan: VerifyPlan) -> Report:
    """Verify a server, and return the report. Raises MockveoError if the plan cannot be followed."""
    with verification(url, plan) as server:
        return server.all()


def rehearse(url: str, plan: VerifyPlan) -> list[str]:
    """What `verify` would send, as lines; nothing is sent. Raises MockveoError.

    A mockveo of our own plays the server, so the answers, and hence how often a job is polled, may differ.
    """
    import mockveo

    root, profile = root_of(url), plan.profile or DEFAULT_PROFILE
    near = is_near(root)
    jobs = plan.max_jobs if plan.max_jobs is not None or near else PAID_JOBS
    _check_keys(plan)
    ours = secrets.token_hex(8)
    play = replace(plan, key=ours, profile=profile, max_jobs=jobs, max_seconds=None, rate=None, examples=0, histories=0)
    server = mockveo.serve(
        clock="poll", step=30.0, seed=plan.seed, render=False, profile=profile, spec=plan.spec, overlay=plan.overlays,
        key=(ours, plan.other_key) if plan.other_key else (ours,),
    )  # fmt: skip
    lines: list[str] = []
    with server, verification(server.url, replace(play, turn_time=False, poll_interval=0.0)) as rehearsal:
        for one in rehearsal.checks():
            before = len(rehearsal.wire.exchanges)
            one.run()
            lines += _planned(one.name, rehearsal.wire.exchanges[before:])
    return lines


def _planned(name: str, sent: Sequence[SentExchange]) -> Iterator[str]:
    """Lines of one check; of polls that follow one another one line tells."""
    for (line, purpose), same in groupby(sent, lambda one: (one.line_sent, one.purpose)):
        times = len(list(same))
        often = "" if times == 1 else ", until it ends" if purpose == USUAL and times > 2 else f", {times} times"
        yield f"{name}: {line}{often}"
