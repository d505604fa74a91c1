"""Every setting, once: its name, default and meaning. The command line, the environment and Python read this table."""

from __future__ import annotations

import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path, PurePath
from typing import Any, Final, NamedTuple

from mockveo.errors import SettingsError
from mockveo.http.origins import host_of
from mockveo.text import MAX_SHOWN_CHARACTERS, brief, is_unicode, truncate

MIB = 2**20
#: Most workers. Arbitrary: more than a machine has cores.
MAX_WORKERS: Final = 256
#: The URL of a store that several processes share.
REDIS_URL: Final = re.compile("(redis|rediss|unix)://")
#: Where a store is, in its URL after the user and the password: a host, a port and a number, or a path.
_STORE_PLACE: Final = re.compile(r"(\[[0-9A-Fa-f:.]*\]|[^/?#:\[\]]+)(:\d+\b)?(/\d*)?|/[^?]*", re.ASCII)
#: How the time of a world passes; mockveo/simulator/clock.py explains each.
CLOCK_MODES: Final = ("wall", "manual", "poll")
#: The largest whole number that every reader of JSON keeps exactly. Source: RFC 8259 section 6.
MAX_WHOLE: Final = 2**53 - 1
#: Slowest and fastest clock. Arbitrary: far beyond what tests use, and dates stay within a float.
MIN_SPEED, MAX_SPEED = 1e-6, 1e9
#: Longest time that is set at once; some 30 years, so arbitrary.
MAX_DURATION_S: Final = 1e9
MAX_PORT: Final = 65535
#: A budget: at most so many digits that sums stay exact.
_BUDGET: Final = re.compile(r"(?P<amount>\d{1,9}(?P<fraction>\.\d{1,6})?) ?(?P<currency>[A-Z]{3})?", re.ASCII)


class NumberBounds(NamedTuple):
    """The least and the most that a number may be, wherever it is set, and an example."""

    least: float
    most: float
    example: str

    def check(self, name: str, value: float) -> None:
        """Raise SettingsError unless a value is within the bounds."""
        if self.least <= value <= self.most:
            return
        expected = f"{self.least:g} to {self.most:g}"
        if self.most == MAX_WHOLE:
            expected = f"at most {MAX_WHOLE}" if value > MAX_WHOLE else f"{self.least:g} or more"
        shown = truncate(str(value), MAX_SHOWN_CHARACTERS)
        raise SettingsError(f"{name} is {shown}; expected {expected}, e.g. {name} {self.example}")


def _setting(default: Any, meaning: str) -> Any:
    return field(default=default, metadata={"help": meaning})


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a server. Each field is a flag, e.g. `--max-body`, and a variable, e.g. `MOCKVEO_MAX_BODY`."""

    host: str = _setting("127.0.0.1", "Address to listen on. Anything but loopback opens the server to the network.")
    port: int = _setting(8360, "Port to listen on; 0 picks a free one.")
    profile: str = _setting("docs-2026-03", "Generation of the API to imitate.")
    spec: str | None = _setting(None, "OpenAPI document to serve instead of the built-in one.")
    overlay: tuple[str, ...] = _setting((), "OpenAPI Overlay to apply to the document. Repeatable.")
    model: tuple[str, ...] = _setting((), "Serve this model besides those of the document. Repeatable.")
    scenario: str = _setting("normal", "How jobs unfold and which faults occur: a name, or a YAML or JSON file.")
    clock: str = _setting("wall", "How time passes: wall, manual (only when advanced) or poll (with each poll).")
    speed: float = _setting(
        10.0,
        "Seconds of a job's life per real second, with the wall clock. At 1 a job takes 65 to 195 s, as in reality.",
    )
    step: float = _setting(10.0, "Seconds of a job's life per poll, with the poll clock.")
    seed: int | None = _setting(None, "Repeats the ids and the pace of a run. Default: a new seed each time.")
    strict: bool = _setting(False, "Reject requests that deviate from the documented page instead of noting it.")
    self_check: bool = _setting(False, "Check each response against the document before it is sent.")
    key: tuple[str, ...] = _setting((), "Accept only this key. Repeatable. Default: any key.")
    credit: int | None = _setting(None, "Jobs that each key can pay for. Default: no limit.")
    budget: str | int | None = _setting(
        None, "Jobs, or money, e.g. 2.50USD, that all keys of a world may spend together. Default: no limit."
    )
    max_body: int = _setting(32 * MIB, "Largest request body, in bytes.")
    max_jobs: int = _setting(100_000, "Most jobs to keep, in all worlds; the oldest finished ones are forgotten first.")
    max_image_bytes: int = _setting(
        64 * MIB, "Most bytes of uploaded images and long prompts to keep, in all worlds; the oldest go first."
    )
    max_worlds: int = _setting(1000, "Most worlds to keep; the least recently used are forgotten first.")
    other_port: int = _setting(0, "Port of the other origin, for redirects and video URLs; 0 picks a free one.")
    max_exchanges: int = _setting(1000, "Most exchanges to keep in the journal; the oldest are forgotten first.")
    public_url: str | None = _setting(
        None, "URL at which clients reach the server, e.g. of a balancer. Default: the Host of each request."
    )
    other_url: str | None = _setting(
        None, "URL at which they reach the other origin. Default: the host of --public-url, with --other-port."
    )
    allow_host: tuple[str, ...] = _setting((), "Serve requests for this host name too. Repeatable.")
    allow_origin: tuple[str, ...] = _setting(
        (), "Let pages of this origin read responses, e.g. tauri://localhost or vscode-webview://*. Repeatable."
    )
    store: str | None = _setting(
        None,
        "Keep all worlds in an SQLite file, e.g. mockveo.db, or in a Redis, e.g. redis://localhost. Default: memory.",
    )
    workers: int = _setting(1, "Processes that serve the port, with a store that they share.")
    metrics: bool = _setting(False, "Count requests for Prometheus, at /_mockveo/metrics.")
    store_move_corrupt: bool = _setting(False, "Move a broken store file aside and begin anew.")
    render: bool | None = _setting(None, "Render each clip for its job. Default: if mockveo[video] is installed.")
    corpus: str = _setting("", "Directory that the dashboard saves cases in, for `mockveo check --corpus`.")

    def __post_init__(self) -> None:
        if self.speed == 0:
            raise SettingsError("--speed is 0; expected more than 0. To stop time use --clock manual")
        for name, bounds in BOUNDS.items():
            value = getattr(self, name)
            if value is not None:
                bounds.check(flag(name), value)
        if self.port == self.other_port != 0:
            message = f"--port and --other-port are both {self.port}; expected two ports, e.g. --other-port 0"
            raise SettingsError(message)
        if self.budget is not None:
            read_budget(self.budget)
        check_clock_mode(flag("clock"), self.clock)
        self._check_texts()
        self._check_store()
        self._check_urls()
        if not self.host.strip():
            raise SettingsError("--host is empty; expected an address, e.g. --host 127.0.0.1")
        if any(not key.strip() for key in self.key):
            raise SettingsError("--key is empty; expected a key, e.g. --key sk-test")
        if any(not model.strip() for model in self.model):
            raise SettingsError("--model is empty; expected the name of a model, e.g. --model veo3.2")

    def _check_urls(self) -> None:
        for name in ("public_url", "other_url"):
            url = getattr(self, name)
            if url is not None and host_of(url) is None:
                raise SettingsError(
                    f"{flag(name)} is {brief(url)}; expected a scheme and a host without a path, e.g. {flag(name)}"
                    " https://mock.example:8360"
                )
        if self.other_url is not None and self.public_url is None:
            raise SettingsError(
                "--other-url is given without --public-url; expected both, e.g. --public-url https://mock.example"
                " --other-url https://videos.mock.example"
            )

    def _check_store(self) -> None:
        if self.store is not None and not self.store.strip():
            raise SettingsError("--store is empty; expected a file or a Redis, e.g. --store mockveo.db")
        if self.store is not None and "://" in self.store and not REDIS_URL.match(self.store):
            scheme = self.store.partition("://")[0]
            raise SettingsError(
                f"--store is a URL with {scheme}://; expected redis://, rediss:// or unix:// and a single server, not"
                " Sentinel or Cluster, e.g. --store redis://localhost:6379/0"
            )
        if Path(self.corpus).is_file():
            raise SettingsError(f"--corpus is {brief(self.corpus)}, a file; expected a directory, e.g. --corpus cases")

    def _check_texts(self) -> None:
        """Refuse what no response could repeat: the bytes of an argument that are not UTF-8."""
        for name in ("host", "profile", "model", "key", "allow_host", "allow_origin", "corpus"):
            value = getattr(self, name)
            for text in (value,) if isinstance(value, str) else value:
                if not is_unicode(text):
                    raise SettingsError(f"{flag(name)} is {brief(text)}; expected Unicode text, e.g. {flag(name)} a")


def check_clock_mode(name: str, mode: str) -> None:
    """Raise SettingsError unless a text is a mode of a clock."""
    if mode not in CLOCK_MODES:
        raise SettingsError(f"{name} is {mode!r}; expected one of {', '.join(CLOCK_MODES)}, e.g. {name} manual")


DURATION: Final = NumberBounds(0, MAX_DURATION_S, "10")
#: The bounds of each number among the settings.
BOUNDS: Final[Mapping[str, NumberBounds]] = {
    "port": NumberBounds(0, MAX_PORT, "8360"),
    "other_port": NumberBounds(0, MAX_PORT, "8361"),
    "speed": NumberBounds(MIN_SPEED, MAX_SPEED, "10"),
    "step": DURATION,
    "seed": NumberBounds(-MAX_WHOLE, MAX_WHOLE, "7"),
    "credit": NumberBounds(0, MAX_WHOLE, "3"),
    "max_body": NumberBounds(1, MAX_WHOLE, str(32 * MIB)),
    "max_jobs": NumberBounds(1, MAX_WHOLE, "1000"),
    "max_image_bytes": NumberBounds(0, MAX_WHOLE, str(64 * MIB)),
    "workers": NumberBounds(1, MAX_WORKERS, "2"),
    "max_worlds": NumberBounds(1, MAX_WHOLE, "1000"),
    "max_exchanges": NumberBounds(1, MAX_WHOLE, "1000"),
}


def read_budget(budget: str | int) -> tuple[Decimal, str]:
    """Return the number of jobs with "", or the amount with its currency. Raises SettingsError."""
    match = _BUDGET.fullmatch(str(budget).strip())
    if match is None or (match["fraction"] and not match["currency"]):
        expected = "a number of jobs, or an amount with its currency, e.g. --budget 3 or --budget 2.50USD"
        raise SettingsError(f"--budget is {brief(str(budget))}; expected {expected}")
    return Decimal(match["amount"]), match["currency"] or ""


def without_password(url: str) -> str:
    """Return the URL of a store, which may be malformed, without the user, the password and what else may have them."""
    scheme, _, rest = url.partition("://")
    shown = _STORE_PLACE.match(rest.rpartition("@")[2])
    return f"{scheme}://{shown[0] if shown else ''}"


def flag(name: str) -> str:
    """Return the command-line flag of a setting: `max_body` -> `--max-body`."""
    return f"--{name.replace('_', '-')}"


def of(**values: Any) -> Settings:
    """Return settings with these values. Raises SettingsError for an unknown setting or an invalid value."""
    return Settings(**typed(values))


def typed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with the types of their settings.

    Raises SettingsError for an unknown setting, and lists the valid ones, or for a value of another type.
    """
    hints = _hints()
    for name in values:
        if name not in hints:
            raise SettingsError(f"{brief(name)} is not a setting; expected one of {', '.join(hints)}")
    return {name: _typed(name, value, hints[name]) for name, value in values.items()}


@cache
def _hints() -> dict[str, Any]:
    """Return the types of the settings; to evaluate them takes as long as a case of a check."""
    return typing.get_type_hints(Settings)


def _typed(name: str, value: Any, hint: Any) -> Any:
    """Return a value with the type of its setting: a path becomes text, a single text a list of it."""
    kinds = typing.get_args(hint) or (hint,)
    if typing.get_origin(hint) is tuple:
        items = tuple(value) if isinstance(value, list | tuple) else (value,)
        value = tuple(str(item) if isinstance(item, PurePath) else item for item in items)
        is_valid = all(isinstance(item, str) for item in value)
        expected, shown = "a list of texts", list(value) if len(value) != 1 else value[0]
    else:
        value = shown = str(value) if isinstance(value, PurePath) else value
        accepted = tuple({*kinds, int} if float in kinds else kinds)
        is_valid = isinstance(value, accepted) and (not isinstance(value, bool) or bool in kinds)
        expected = " or ".join("None" if kind is type(None) else kind.__name__ for kind in kinds)
    if not is_valid:
        example = f"{name}={getattr(Settings(), name)!r}"
        raise SettingsError(
            f"{name} is {truncate(repr(shown), MAX_SHOWN_CHARACTERS)}; expected {expected}, e.g. {example}"
        )
    return value
