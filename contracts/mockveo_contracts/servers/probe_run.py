"""A running probe: the requests that probes are written with."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mockveo.http.statuses import REFUSED_FOR_NOW
from mockveo.spec.form import Form
from mockveo.spec.spec import Spec
from mockveo.traffic.exchange import Exchange
from mockveo_contracts.cases.images import png
from mockveo_contracts.servers.exchanges import USUAL, Body, SentExchange, UploadFile
from mockveo_contracts.servers.http_client import RecordingClient, multipart
from mockveo_contracts.servers.pacing import ControlledPace, Upstream

#: Tries of an ordinary request that meets trouble which the pages advise to retry. Arbitrary.
MAX_TRIES: Final = 5
#: Polls that may fail before a job is given up. Arbitrary.
MAX_FAILED_POLLS: Final = 3
#: Polls in a row that may show no job before it is given up. Arbitrary: more than a slow start has.
MAX_UNREADABLE_POLLS: Final = 10
PROMPTS: Final = (
    "A paper kite floats above a field.",
    "Rain falls on a tin roof at night, a cat watches from the window.",
    "A slow pan over a mountain lake at dawn, mist on the water.",
    "A hand turns the pages of an old atlas, close-up.",
)
#: Characters of an id that looks like the service's.
_ID_CHARACTERS: Final = "0123456789abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ"


@dataclass
class Shared:
    """What the probes of a run have in common."""

    client: RecordingClient
    seed: int
    #: Seconds that a job gets to end in.
    job_seconds: float
    control: ControlledPace | None = None
    #: A prompt whose job fails, if available.
    failing_prompt: str | None = None
    #: Returns the SHA-256 of the images that arrived with a job, in order, if available.
    images_of: Callable[[str], Sequence[str]] | None = None
    #: The mockveo behind a gateway.
    upstream: Upstream | None = None
    #: Jobs that the server made, in order.
    jobs: list[str] = field(default_factory=list)
    #: Seconds that the run may still pause before it repeats a request.
    pauses_left_s: float = field(init=False)

    def __post_init__(self) -> None:
        # As many as one request takes that is repeated as often as possible.
        self.pauses_left_s = self.client.pace.interval * (2 ** (MAX_TRIES - 1) - 1)


class Arrivals:
    """What arrives upstream of a gateway after each create; nothing if no upstream is known."""

    def __init__(self, upstream: Upstream | None) -> None:
        self._upstream = upstream
        #: Numbers of creates -> the number of the latest exchange upstream before them.
        self._latest: dict[int, int] = {}
        self._before = 0

    @property
    def are_known(self) -> bool:
        """Whether an upstream is known."""
        return self._upstream is not None

    def prepare(self) -> None:
        """Note what has arrived before a create, which is about to be sent."""
        self._before = self._upstream.latest() if self._upstream else 0

    def add(self, create: SentExchange) -> None:
        """Add the create that was sent."""
        self._latest[create.number] = self._before

    def by_create(self) -> dict[int, list[Exchange]]:
        """Return the creates by their numbers, with what arrived from each to the next."""
        if self._upstream is None or not self._latest:
            return {}
        arrivals: dict[int, list[Exchange]] = {number: [] for number in self._latest}
        for exchange in self._upstream.since(min(self._latest.values())):
            number = max(number for number, latest in self._latest.items() if latest < exchange.number)
            arrivals[number].append(exchange)
        return arrivals


class ProbeRun:
    """One running probe; its random choices follow from its name and the seed."""

    def __init__(self, shared: Shared, name: str) -> None:
        self.shared = shared
        self.client = shared.client
        self.control = shared.control
        self.dice = random.Random(f"{shared.seed}/{name}")
        #: Jobs that did not end -> the seconds that they were given.
        self.unended: dict[str, float] = {}
        #: Jobs -> the SHA-256 of the images that arrived with them.
        self.arrived: dict[str, Sequence[str]] = {}
        self._arrivals = Arrivals(shared.upstream)
        self._first = len(self.client.exchanges)

    @property
    def spec(self) -> Spec:
        """The document."""
        return self.client.spec

    @property
    def form(self) -> Form:
        """The form of a create."""
        form = self.spec.operations["createVideo"].form
        assert form is not None
        return form

    @property
    def exchanges(self) -> list[SentExchange]:
        """The exchanges of this probe."""
        return self.client.exchanges[self._first :]

    def fields(self, **values: str) -> dict[str, str]:
        """Return the required fields of a create, and these values."""
        required = [name for name in self.form.fields if name in self.form.texts and self.form.requires(name)]
        return {**{name: self.value(name) for name in required}, **values}

    def value(self, name: str) -> str:
        """Return a value that the document allows for a field."""
        node = self.form.fields[name]
        if name == "prompt":
            return self.dice.choice(PROMPTS)
        aliases = list(self.spec.aliases or ()) if name == "model" else []
        values = node.get("enum") or node.get("examples") or aliases or [node.get("default", "1")]
        return self.dice.choice([str(value) for value in values])

    def images(self, count: int, *, size: tuple[int, int] = (320, 180)) -> list[UploadFile]:
        """Return images that all differ."""
        names = ("first.png", "last.png", "third.png")
        name = next(iter(sorted(self.form.file_fields)), "input_reference")
        return [UploadFile(name, names[number], "image/png", _picture(self.dice, *size)) for number in range(count)]

    def multipart(self, fields: Mapping[str, str], files: Sequence[UploadFile] = ()) -> Body:
        """Return a form."""
        return multipart(fields, files, dice=self.dice)

    def create(self, body: Body, *, purpose: str = USUAL, expected: str = "", **more: Any) -> SentExchange:
        """Send a create, again while it is refused for the moment."""

        def ask() -> SentExchange:
            self._arrivals.prepare()
            exchange = self.client.ask("createVideo", "", body, purpose=purpose, expected=expected, **more)
            if exchange.made:
                self.shared.jobs.append(exchange.made)
            self._arrivals.add(exchange)
            return exchange

        return self._settled(ask, _is_refused_for_now)

    def get(self, operation: str, job: str = "", **more: Any) -> SentExchange:
        """Send a request without effects, again while it meets trouble that may pass."""
        return self._settled(lambda: self.client.ask(operation, job, **more), lambda exchange: exchange.failed)

    def _settled(self, ask: Callable[[], SentExchange], is_trouble: Callable[[SentExchange], bool]) -> SentExchange:
        """Ask until there is no trouble, the same trouble again, or no pause left; return the last exchange."""
        exchange, spent = ask(), 0.0
        for attempt in range(MAX_TRIES - 1):
            pause = self.client.pace.interval * 2**attempt
            if not is_trouble(exchange) or self.shared.pauses_left_s < pause:
                break
            self.client.pace.wait(pause)
            self.shared.pauses_left_s -= pause
            spent += pause
            before, exchange = exchange, ask()
            if exchange.status not in REFUSED_FOR_NOW and _trouble(exchange) == _trouble(before):
                break
        if not is_trouble(exchange):
            # Trouble that passes may come again.
            self.shared.pauses_left_s += spent
        return exchange

    def poll(self, job: str) -> SentExchange:
        """Poll a job."""
        return self.get("retrieveVideo", job)

    def follow(self, job: str) -> SentExchange:
        """Poll a job until it ends or its time is over."""
        pace, failed_polls, unreadable = self.client.pace, 0, 0
        begun = pace.now()
        while True:
            exchange = self.poll(job)
            spent_s = pace.now() - begun
            failed_polls += not exchange.succeeded or bool(exchange.trouble)
            unreadable = 0 if exchange.shown_job else unreadable + 1
            if exchange.shown.ended or failed_polls > MAX_FAILED_POLLS or unreadable > MAX_UNREADABLE_POLLS:
                return exchange
            if spent_s >= self.shared.job_seconds:
                # A job that no poll shows may have ended.
                if not exchange.failed:
                    self.unended[job] = spent_s
                return exchange
            pace.wait(pace.interval)

    def look_at_images(self, create: SentExchange) -> None:
        """Note which images arrived with a job, if available."""
        images_of = self.shared.images_of or (self.control.images_of if self.control else None)
        if images_of is not None and create.made:
            self.arrived[create.made] = images_of(create.made)

    def upstream(self) -> dict[int, list[Exchange]]:
        """Return the creates of this probe by their numbers, with what arrived upstream from each to the next."""
        return self._arrivals.by_create()

    def unknown_id(self) -> str:
        """Return a well-formed id of no job."""
        return "task_" + "".join(self.dice.choices(_ID_CHARACTERS, k=32))


def _is_refused_for_now(exchange: SentExchange) -> bool:
    """Return whether a create made no job and may be sent again; after other trouble a job may exist."""
    return exchange.status in REFUSED_FOR_NOW and exchange.error_code != "model_not_found"


def _trouble(exchange: SentExchange) -> tuple[int, str]:
    return exchange.status, exchange.trouble


def _picture(dice: random.Random, width: int, height: int) -> bytes:
    """Return a PNG in random stripes, so that no two are alike."""
    row = (b"".join(dice.randbytes(3) * 40 for _ in range(8)) * (width // 320 + 1))[: 3 * width]
    return png(width, height, (b"\0" + row) * height)
