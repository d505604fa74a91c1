"""One run of a verification: the connection, the budget, and the report as it grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from time import perf_counter
from typing import Final
from urllib.parse import urlsplit

from mockveo.control_client import PATIENCE_S, RemoteError
from mockveo.errors import MockveoError, SettingsError
from mockveo.spec.spec import DEFAULT_PROFILE, load
from mockveo.text import counted, truncate
from mockveo.traffic.redaction import Redactor
from mockveo_contracts.interruption import Interrupted
from mockveo_contracts.reports.finding import Finding, without_verdicts
from mockveo_contracts.reports.model import Report, ServerSubject
from mockveo_contracts.servers.budget import Budget, OutOfBudget
from mockveo_contracts.servers.exchanges import Conversation, SentExchange
from mockveo_contracts.servers.http_client import Keys, RecordingClient, root_of
from mockveo_contracts.servers.pacing import NEAR_S, POLITE_S, ControlledPace, Pace, RealPace, Upstream, control
from mockveo_contracts.servers.plan import VerifyPlan, is_near
from mockveo_contracts.servers.probe_run import ProbeRun, Shared
from mockveo_contracts.servers.probes import Probe
from mockveo_contracts.servers.server_report import ServerRecorder
from mockveo_contracts.servers.server_rules import server_rules

#: Characters of a response that an error shows. Arbitrary.
MAX_SHOWN: Final = 300
#: Characters of an id. Arbitrary.
MAX_ID: Final = 60
#: Stands for a key that was not given.
MADE_UP_KEY: Final = "sk-mockveo-verify"


class VerifyError(MockveoError):
    """The server cannot be verified."""


class VerifyRun:
    """A server under test, as every check sees it."""

    def __init__(self, url: str, plan: VerifyPlan) -> None:
        self.plan = plan
        self.url = root_of(url)
        self.near = is_near(self.url)
        self._redactor = Redactor([key for key in (plan.key, plan.other_key, plan.upstream_key) if key])
        keys = self._keys()
        upstream = self._upstream()
        # A mockveo can be configured to accept any keys.
        both = keys if keys.other else replace(keys, other=f"{keys.bad}-other")
        self.control = self._control(both)
        usual = self.control.profile if self.control else DEFAULT_PROFILE
        spec = load(plan.spec, profile=plan.profile or usual, overlays=plan.overlays)
        self.budget = Budget(jobs=plan.job_limit(self.url), seconds=plan.max_seconds, rate=plan.rate, stop=plan.stop)
        pace = self._pace()
        if self.control:
            self.client = RecordingClient(self.control.url, both, spec, pace, self.budget)
        else:
            self.client = RecordingClient(self.url, keys, spec, pace, self.budget)
        self.shared = Shared(
            self.client, plan.seed, plan.job_seconds, self.control, plan.failing_prompt, plan.images_of, upstream
        )
        self.recorder = ServerRecorder(self._report(plan.profile or usual), self.url, self._redactor)
        self._begun = perf_counter()

    def _report(self, profile: str) -> Report:
        name = f"mockveo {self.control.version}" if self.control else urlsplit(self.url).netloc
        return Report(
            # The keys were sent already, so the version may contain one of a server that only looks like a mockveo.
            subject=ServerSubject(self._redactor.redact(name), self.url),
            rules=without_verdicts(server_rules().rules),
            seed=self.plan.seed,
            profile=profile,
            strict=self.plan.strict,
            known_failures=self.plan.known,
            requirements=self.plan.requirements,
            complete=not self.plan.probes,
        )

    def _keys(self) -> Keys:
        plan = self.plan
        if plan.key is None and not self.near:
            raise SettingsError(f"there is no key for {self.url}; expected one in COMETAPI_KEY")
        plan.check_keys()
        ours = plan.key or MADE_UP_KEY
        # Derived, not random, so that runs repeat; hashed, so that it cannot be a real key.
        bad = sha256(f"invalid {ours}".encode()).hexdigest()[:48]
        return Keys(ours, plan.other_key or None, f"sk-{bad}")

    def _upstream(self) -> Upstream | None:
        if self.plan.upstream is None:
            return None
        root = root_of(self.plan.upstream)
        if root == self.url:
            raise SettingsError(
                f"--upstream is {root}, the server under test; expected the mockveo behind it, e.g."
                " mockveo verify http://127.0.0.1:9000 --upstream http://127.0.0.1:8360"
            )
        return Upstream(root)

    def _pace(self) -> Pace:
        pace: Pace = self.control or RealPace(NEAR_S if self.near else POLITE_S)
        if self.plan.poll_interval is not None:
            pace.interval = self.plan.poll_interval
        return pace

    def _control(self, keys: Keys) -> ControlledPace | None:
        # A gateway may pass the control API of its upstream through.
        if not self.plan.turn_time or self.plan.upstream is not None:
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
            # A server that only looks like a mockveo may echo the keys that it was sent.
            raise RemoteError(self._redactor.redact(str(error))) from None

    def prepare(self) -> None:
        """Ask for an unknown job. Raises VerifyError if no server answers or it refuses the key."""
        exchange = self.client.ask("retrieveVideo", f"task_{'0' * 32}", purpose="prepare")
        if not exchange.status:
            raise VerifyError(f"no server answers at {self.url} ({exchange.trouble}); start it, or name another URL")
        if exchange.status == 401:
            raise VerifyError(
                f"the server at {self.url} refuses the key with 401; expected a valid one in COMETAPI_KEY"
            )

    def probe(self, probe: Probe) -> list[Finding]:
        """Send the requests of a probe and judge them; return the findings."""
        run, earlier_ids = ProbeRun(self.shared, probe.name), frozenset(self.shared.jobs)
        exhausted = ""
        try:
            with self.plan.stop.soon():
                probe.ask(run)
        except (OutOfBudget, Interrupted) as error:
            exhausted = str(error)
        if not run.exchanges:
            reason = exhausted or "this server has no way to trigger it"
            self.recorder.skip(probe.name, probe.says, reason)
            return []
        if not self.plan.stop.asked:
            self._check_credit(run.exchanges)
        if exhausted:
            self.recorder.skip(probe.name, probe.says, f"the rest of it: {exhausted}")
        conversation = Conversation(
            run.exchanges, self.client.spec, earlier_ids, run.unended, run.arrived, run.upstream(),
            self.plan.upstream_key,
        )  # fmt: skip
        return self.recorder.record(probe.name, probe.says, conversation, self.command(probe.name), since=probe.since)

    def interruption(self) -> str:
        """Return what to report of a run that was interrupted: the jobs that may have cost money."""
        jobs = counted(self.budget.made, "job")
        names = f": {', '.join(truncate(job, MAX_ID) for job in self.shared.jobs)}" if self.shared.jobs else ""
        cost = "" if self.near else "; each may have cost money"
        requests = counted(len(self.client.exchanges), "request")
        return f"it was interrupted after {requests}; {jobs} made{names}{cost}"

    def _check_credit(self, exchanges: Sequence[SentExchange]) -> None:
        """Raise VerifyError if creates are refused for a reason that says nothing about the server."""
        for exchange in exchanges:
            if exchange.purpose == "create-accepted" and exchange.operation == "createVideo" and exchange.status == 403:
                answer = self._redactor.redact(truncate(str(exchange.answer), MAX_SHOWN))
                raise VerifyError(f"{self.url} refuses to make a job with 403, {answer}; expected a key with credit")

    def command(self, name: str) -> str:
        """Return the command that repeats a check."""
        words = ["mockveo verify", self.url, f"--only {name}", f"--seed {self.plan.seed}"]
        if self.recorder.report.profile != DEFAULT_PROFILE and not self.control:
            words.append(f"--profile {self.recorder.report.profile}")
        if self.plan.upstream is not None:
            words.append(f"--upstream {root_of(self.plan.upstream)}")
        return " ".join(words)

    @property
    def report(self) -> Report:
        """The report so far."""
        report = self.recorder.report
        report.seconds = perf_counter() - self._begun
        report.spent = {"jobs": self.budget.made, "requests": len(self.client.exchanges)}
        return report

    def close(self) -> None:
        """Close the connection; a mockveo keeps an empty world of the run."""
        self.client.close()
        if self.control is not None:
            self.control.close()
