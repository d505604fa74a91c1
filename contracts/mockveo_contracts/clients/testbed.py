"""The testbed: a server of ours on which cases are played, each in a world of its own."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Final, Self

from mockveo.rules.client_rules import client_rules
from mockveo.rules.engine import Verdict
from mockveo.rules.trace import CallTrace
from mockveo.server.run import ServerThread
from mockveo.settings import of
from mockveo.simulator.clock import Clock
from mockveo.simulator.world import World
from mockveo.spec.spec import Spec
from mockveo.traffic.exchange import ClockName, Exchange, ExchangeJson
from mockveo_contracts.case import SPEED, Case, Image, Input
from mockveo_contracts.cases.definitions import TestCase
from mockveo_contracts.cases.images import MEDIA_TYPES, picture
from mockveo_contracts.clients.virtual_time import CaseClock, VirtualTime

#: Bytes of a stored video; arbitrary, far above any clip of ours.
MAX_VIDEO_BYTES: Final = 2**30
#: Exchanges that a world records: several times what a client that polls without a pause makes of a case.
MAX_EXCHANGES: Final = 5000


@dataclass(frozen=True)
class CaseRun:
    """One case as one client played it: all that the rules need."""

    test_case: TestCase
    #: What the client was given, in the shape of the client protocol.
    case: Mapping[str, Any]
    trace: Sequence[ExchangeJson]
    #: In the shape of the client protocol, with `content`, `leaks` and `ended_by`; None if the client gave none.
    outcome: Mapping[str, Any] | None
    features: Mapping[str, Any]
    defaults: Mapping[str, Any]
    #: Which seconds of an exchange count, "at" = the world's, "time" = ours, and how many pass in one of the client's.
    clock: ClockName
    pace: float
    #: What broke in the adapter, which is never a verdict on the client.
    adapter_error: str = ""
    #: What the client wrote besides its result.
    output: str = field(default="", repr=False)
    #: Our own seconds that it took.
    seconds: float = 0.0

    @property
    def exchanges(self) -> list[Exchange]:
        """The exchanges of the trace, by the clock of the client."""
        return [Exchange.from_json(record, clock=self.clock) for record in self.trace]

    @property
    def call_trace(self) -> CallTrace:
        """The run as the rules take it."""
        return CallTrace(self.exchanges, self.case, self.outcome, self.features, self.defaults, self.pace)

    def verdicts(self) -> list[Verdict]:
        """Return the verdict of each rule; none after an adapter error."""
        return self._verdicts

    @cached_property
    def _verdicts(self) -> list[Verdict]:
        return [] if self.adapter_error else client_rules().judge(self.call_trace)


class Testbed:
    """A server and a directory for the cases that are played. A context manager.

    `factor` seconds of the client pass in one of ours, if its time is accelerated.
    """

    #: Not a class of tests, for pytest.
    __test__: ClassVar = False

    def __init__(self, *, factor: float = 1.0, **settings: Any) -> None:
        self.factor = factor
        self._settings = of(render=False, seed=0, max_exchanges=MAX_EXCHANGES, port=0, **settings)
        self._exit = ExitStack()
        self._count = 0

    def __enter__(self) -> Self:
        with ExitStack() as entered:
            self.server = entered.enter_context(ServerThread(self._settings))
            directory = TemporaryDirectory(prefix="mockveo-", ignore_cleanup_errors=True)
            self._directory = Path(entered.enter_context(directory))
            self._exit = entered.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    @property
    def spec(self) -> Spec:
        """The API description that the server follows."""
        return self.server.app.spec

    def settle(self) -> bool:
        """Let the server take what was sent to it; return whether it is at work on an answer."""
        return self.server.settle()

    def open(self, test_case: TestCase, virtual: VirtualTime | None = None, *, date: float | None = None) -> OpenCase:
        """Open a case in a reset world, by virtual time if there is one.

        `date` is the client's, in Unix seconds, if its calendar is not ours.
        """
        self._count += 1
        directory = self._directory / str(self._count)
        directory.mkdir()
        world = self.server.app.worlds.reset(test_case.world, {"seed": test_case.seed}, test_case.scenario)
        world.clock = self._clock(virtual, date)
        images = write_images(test_case, directory)
        case = Case(
            id=str(self._count),
            base_url=f"{self.server.url}/@{test_case.world}/v1",
            api_key=test_case.key,
            input=Input(test_case.prompt, test_case.model, test_case.size, tuple(image for image, _ in images)),
            poll_interval_s=test_case.poll_interval * self.factor,
            deadline_s=test_case.deadline * self.factor,
        )
        hashes = [sha256 for _, sha256 in images]
        return OpenCase(test_case, case, world, hashes, directory, virtual is not None, self.factor)

    def _clock(self, virtual: VirtualTime | None, date: float | None) -> Clock:
        if virtual is not None:
            return CaseClock(virtual, SPEED)
        # Dates are the client's, which run faster; a scenario keeps its pace in our seconds, as deadlines do.
        return Clock("wall", speed=SPEED / self.factor, date=date, tick=lambda: time.monotonic() * self.factor)


def write_images(test_case: TestCase, directory: Path) -> list[tuple[Image, str]]:
    """Write the images of a case, each into its own directory; return each with its SHA-256 in hex."""
    images = []
    for number, (filename, size) in enumerate(test_case.images):
        content_type = MEDIA_TYPES[Path(filename).suffix]
        data = picture(content_type, size, f"{test_case.name} {number}")
        path = directory / str(number + 1) / filename
        path.parent.mkdir()
        path.write_bytes(data)
        images.append((Image(str(path), filename, content_type), hashlib.sha256(data).hexdigest()))
    return images


def _take_video(path: Path) -> dict[str, Any]:
    """Return the `sha256` and `bytes` of a stored video, and delete it. Raises OSError or ValueError."""
    size = path.stat().st_size
    if not path.is_file() or size > MAX_VIDEO_BYTES:
        raise ValueError("it is not a file of ordinary size")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    path.unlink(missing_ok=True)
    return {"sha256": digest, "bytes": size}


@dataclass(frozen=True)
class OpenCase:
    """A case that is being played. `close` removes its files."""

    test_case: TestCase
    case: Case
    world: World
    #: SHA-256 of the images, in order.
    hashes: Sequence[str]
    #: Its own directory, which `close` removes.
    directory: Path
    virtual: bool
    factor: float
    #: By the monotonic clock.
    opened_at: float = field(default_factory=time.monotonic)

    def run(
        self,
        outcome: Mapping[str, Any] | None,
        features: Mapping[str, Any],
        *,
        leaks: Sequence[str] = (),
        ended_by: str | None = None,
        adapter_error: str = "",
        output: str = "",
    ) -> CaseRun:
        """Return the run, with what the client stored, which is deleted.

        `outcome` is as `case.result` returns it, None if there is none; `leaks` are the places where the key was found.
        """
        result: dict[str, Any] = {"outcome": None, "video": None, "content_path": None, "error": None}
        result |= outcome or {}
        content = None
        if result["content_path"]:
            try:
                content = _take_video(Path(result["content_path"]))
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                adapter_error = adapter_error or (
                    f"the result's content_path {result['content_path']!r} cannot be read: {reason};"
                    " expected the path of the stored video, or null without one"
                )
        message = self.case.message
        for image, sha256 in zip(message["input"]["images"], self.hashes, strict=True):
            image["sha256"] = sha256
        return CaseRun(
            test_case=self.test_case,
            case=message,
            trace=[record.to_json() for record in self.world.journal],
            outcome={**result, "content": content, "leaks": list(leaks), "ended_by": ended_by},
            features=features,
            defaults=self.world.spec.form.defaults,
            clock="at" if self.virtual else "time",
            pace=SPEED if self.virtual else 1 / self.factor,
            adapter_error=adapter_error,
            output=output,
            seconds=time.monotonic() - self.opened_at,
        )

    def close(self) -> None:
        """Remove the files of the case."""
        shutil.rmtree(self.directory, ignore_errors=True)
