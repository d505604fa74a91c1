"""A program, unmodified, against the fake: `run_program` plays the real hosts for it, and measures what it did.

mockveo stays outside of what holds the program. It serves sockets that its supervisor has made inside, so nothing has
to be passed on; from outside the control API is reachable as ever.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import urlsplit

from mockveo.errors import MockveoError, SettingsError
from mockveo.http.hosts import is_loopback
from mockveo.interception.certificates import Authority
from mockveo.interception.fences import OTHER_HOST, Fence, NamespaceFence, ProxyFence
from mockveo.interception.handshakes import Handshakes
from mockveo.interception.options import RunOptions
from mockveo.interception.outcome import RunOutcome, prepare
from mockveo.interception.proof import Proof
from mockveo.interception.sandbox.channel import Channel
from mockveo.interception.sandbox.connections import ConnectionSampler
from mockveo.interception.sandbox.isolation import candidates, obvious_refusal
from mockveo.interception.sandbox.supervisor import FORWARDED
from mockveo.interception.variables import TrustFiles, program_environment
from mockveo.server.run import ServerThread
from mockveo.settings import Settings
from mockveo.simulator.scenarios import Scenario
from mockveo.spec.spec import Spec

#: Starts the supervisor from where this package lies, without the site's packages, which it does not need.
_SUPERVISOR: Final = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from mockveo.interception.sandbox.supervisor import main; main()"
)
#: A program that ends sooner is not worth preparing for its end. Arbitrary: about as long as preparing takes.
_SHORT_RUN_S: Final = 0.1
#: How long the supervisor may take to end after the program. Arbitrary: it kills within a second.
_SUPERVISOR_TIMEOUT_S: Final = 10


@dataclass(slots=True)
class RunHooks:
    """What a caller of a run wants besides its outcome."""

    #: Called with the server and the isolation before the program starts.
    on_start: Callable[[ServerThread, Proof], None] = lambda *_: None
    #: Whether signals to this process are passed on to the program.
    forward_signals: bool = False
    #: Whether to keep the program's output instead of showing it.
    capture: bool = False
    #: Whether a free port will do if the setting's is taken.
    any_port: bool = False


def run_program(
    options: RunOptions, settings: Settings, hooks: RunHooks | None = None, *, scenario: Scenario | None = None
) -> RunOutcome:
    """Run a program to its end. Raises MockveoError if it cannot be run."""
    hooks = hooks or RunHooks()
    refusals: dict[str, str] = {}
    for isolation in candidates(options.isolate, refusals, require_proof=options.require_proof):
        with ExitStack() as stack:
            try:
                run = _Run(options, settings, hooks, Proof(isolation, refusals=dict(refusals)), stack)
                return run.to_end(scenario)
            except _RefusedIsolation as refusal:
                refusals[isolation] = str(refusal)
    reasons = "; ".join(f"{isolation}: {reason}" for isolation, reason in refusals.items())
    raise SettingsError(f"the program was not run, because it cannot be isolated as asked: {reasons}")


def refusal_of(isolation: str) -> str:
    """Try an isolation, without a program; return why it is refused, or ""."""
    refusal = obvious_refusal(isolation)
    if refusal or isolation != "namespace":
        return refusal
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="mockveo-run-", ignore_cleanup_errors=True))
        supervisor = _SupervisorProcess(RunOptions(("true",)), dict(os.environ), RunHooks(), stack)
        nothing: dict[str, Any] = {"addresses": [], "listeners": [], "binds": []}
        try:
            supervisor.isolate(nothing | {"isolation": isolation, "directory": directory})
        except _RefusedIsolation as refused:
            return str(refused)
    return ""


class _RefusedIsolation(Exception):
    """The supervisor could not isolate."""


def played_hosts(spec: Spec, further: Sequence[str]) -> list[str]:
    """Return the hosts of a document's servers that are not on this machine, and further ones, in lower case."""
    urls = [str(server.get("url", "")) for server in spec.document.tree.get("servers", ())]
    hosts = [urlsplit(url).hostname or "" for url in urls if "{" not in url]
    names = [host for host in (*hosts, *further) if host and not is_loopback(host)]
    if not names:
        raise SettingsError(
            "no host is played: `servers` of the document has none; expected e.g. --host api.cometapi.com"
        )
    return list(dict.fromkeys(name.lower() for name in names))


class _Run:
    """One try, with one isolation. What it opens is closed with the stack."""

    def __init__(
        self, options: RunOptions, settings: Settings, hooks: RunHooks, proof: Proof, stack: ExitStack
    ) -> None:
        self._options = options
        self._settings = settings
        self._hooks = hooks
        self._proof = proof
        self._stack = stack
        self._handshakes = Handshakes()
        self._directory = Path(tempfile.mkdtemp(prefix="mockveo-run-"))
        # Others than the caller may read it: the program may change its user, and nothing here is secret.
        self._directory.chmod(0o755)
        stack.callback(shutil.rmtree, self._directory, ignore_errors=True)

    def to_end(self, scenario: Scenario | None) -> RunOutcome:
        """Run the program. Raises MockveoError, or _RefusedIsolation."""
        server = self._server()
        if scenario is not None:
            server.app.world.use(scenario)
        hosts = played_hosts(server.app.spec, self._options.hosts)
        for name in (*hosts, OTHER_HOST):
            server.app.hosts.allow(name)
        server.app.origins.publish(f"https://{hosts[0]}", f"https://{OTHER_HOST}")
        authority = Authority([*hosts, OTHER_HOST])
        trust = TrustFiles(self._directory, authority)
        fence = self._fence(hosts, trust)
        self._stack.callback(fence.close)
        key = None if self._options.keep_key else server.key
        given = os.environ if self._options.environment is None else self._options.environment
        environment = program_environment(given, trust, key=key, proxy=fence.proxy)
        supervisor = _SupervisorProcess(self._options, environment.values, self._hooks, self._stack)
        plan = fence.plan(server) | {"isolation": self._proof.isolation, "directory": str(self._directory)}
        fence.attach(server, authority.context(self._handshakes), supervisor.isolate(plan))
        self._stack.enter_context(server)
        fence.open(server)
        self._hooks.on_start(server, self._proof)
        with _collected_warnings() as warnings:
            started = time.monotonic()
            try:
                end = supervisor.run(self._proof)
            finally:
                duration = time.monotonic() - started
                fence.note(self._proof)
                fence.shut(server)
                server.begin_stop()
        self._proof.left = end["left"]
        self._proof.measure(end["counters"])
        outcome = RunOutcome(self._options.command, end["exited"], duration, self._proof, environment, server, key)
        outcome.problems = [*warnings, *self._handshakes.problems(self._options.command[0]), *_unreached(outcome)]
        outcome.stdout, outcome.stderr = supervisor.output()
        # While the server stops, which takes it a tenth of a second or two.
        _ = outcome.findings, outcome.bill
        return outcome

    def _server(self) -> ServerThread:
        try:
            return ServerThread(self._settings)
        except SettingsError as error:
            if not self._hooks.any_port or "is taken" not in str(error):
                raise
        return ServerThread(replace(self._settings, port=0))

    def _fence(self, hosts: Sequence[str], trust: TrustFiles) -> Fence:
        holes = self._options.holes()
        if self._proof.isolation == "namespace":
            return NamespaceFence(hosts, holes, trust)
        return ProxyFence(self._proof.isolation, hosts, holes)


class _SupervisorProcess:
    """The supervisor, as mockveo sees it; see `mockveo.interception.sandbox.supervisor`."""

    def __init__(self, options: RunOptions, environment: dict[str, str], hooks: RunHooks, stack: ExitStack) -> None:
        self._options = options
        self._hooks = hooks
        self._files: list[IO[bytes]] = []
        ours, theirs = socket.socketpair()
        stack.callback(ours.close)
        self._channel = Channel(ours)
        ours.settimeout(options.timeout_s)
        root = str(Path(__file__).parent.parent.parent)
        program = [sys.executable, "-I", "-S", "-c", _SUPERVISOR, root, str(theirs.fileno())]
        streams: dict[str, Any] = {}
        if hooks.capture:
            self._files = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(2)]  # noqa: SIM115
            streams = {"stdin": subprocess.DEVNULL, "stdout": self._files[0], "stderr": self._files[1]}
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603
                [*program, *options.command],
                env=environment, cwd=options.directory, pass_fds=[theirs.fileno()], **streams,
            )  # fmt: skip
        stack.callback(self._end)

    def isolate(self, plan: dict[str, Any]) -> list[socket.socket]:
        """Let it isolate itself; return the sockets that it made. Raises _RefusedIsolation."""
        self._channel.send(plan)
        answer = self._receive()
        if "refused" in answer:
            raise _RefusedIsolation(answer["refused"])
        return self._channel.take_sockets()

    def run(self, proof: Proof) -> dict[str, Any]:
        """Run the program; return how it ended. Raises MockveoError if it cannot be run."""
        sampler = None
        with _forwarded_signals(self._channel) if self._hooks.forward_signals else ExitStack():
            self._channel.send({"go": True})
            answer = self._receive()
            if "failed" in answer:
                raise SettingsError(
                    f"the command is {self._options.command[0]!r}, which cannot be run: {answer['failed']}; expected a"
                    " program on the PATH or its path, e.g. mockveo run -- python bot.py"
                )
            if "started" in answer:
                if proof.isolation != "namespace":
                    sampler = ConnectionSampler(self._process.pid)
                if not self._channel.has_message(_SHORT_RUN_S):
                    prepare()
                answer = self._receive()
        if sampler is not None:
            proof.sampled, proof.strangers = sampler.works, sampler.stop()
        return answer

    def output(self) -> tuple[str, str]:
        """Return what the program wrote, if that was kept."""
        texts = []
        for file in self._files:
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
        return (texts[0], texts[1]) if texts else ("", "")

    def _receive(self) -> dict[str, Any]:
        try:
            answer = self._channel.receive()
        except TimeoutError:
            self._channel.close()
            raise MockveoError(
                f"{self._options.command[0]} was ended after its timeout of {self._options.timeout_s:g} s"
            ) from None
        if answer is None:
            raise MockveoError("the supervisor of the program was killed; the program was ended with it")
        return answer

    def _end(self) -> None:
        self._channel.close()  # whereupon it ends the program, if that still runs
        try:
            self._process.wait(_SUPERVISOR_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _unreached(outcome: RunOutcome) -> list[str]:
    """Return why a program that failed may not have reached us at all."""
    proof = outcome.proof
    if outcome.exit_status == 0 or outcome.exchanges or proof.isolation == "namespace":
        return []
    message = (
        "no request came: the program may ignore the proxy variables, as fetch and https of Node 20 do, and aiohttp"
        " without trust_env; a namespace reaches such a program too"
    )
    return [message]


@contextmanager
def _forwarded_signals(channel: Channel) -> Iterator[None]:
    """Pass signals to this process on to the program, which alone decides what they do."""

    def forward(number: int, _: object) -> None:
        channel.send({"signal": number})

    before = {}
    for number in FORWARDED:
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, forward)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _WarningList(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: dict[str, None] = {}

    def emit(self, record: logging.LogRecord) -> None:
        self.messages[record.getMessage()] = None


@contextmanager
def _collected_warnings() -> Iterator[list[str]]:
    """Collect the warnings of our server, which would fall into the program's output."""
    log, handler, messages = logging.getLogger("mockveo"), _WarningList(), list[str]()
    propagated, log.propagate = log.propagate, False
    log.addHandler(handler)
    try:
        yield messages
    finally:
        log.removeHandler(handler)
        log.propagate = propagated
        messages += handler.messages
