"""Every setting, once: its name, default and meaning. The command line, the environment and Python read this table."""

from __future__ import annotations

import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Final

from mockveo.errors import SettingsError

MIB = 2**20
#: How the time of a world passes; mockveo/simulator/clock.py explains each.
CLOCK_MODES: Final = ("wall", "manual", "poll")
#: Slowest and fastest clock. Arbitrary: far beyond what tests use, and dates stay within a float.
MIN_SPEED, MAX_SPEED = 1e-6, 1e9
MAX_PORT: Final = 65535


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
    max_body: int = _setting(32 * MIB, "Largest request body, in bytes.")
    max_jobs: int = _setting(100_000, "Most jobs to keep; the oldest finished ones are forgotten first.")
    max_image_bytes: int = _setting(64 * MIB, "Most bytes of uploaded images to keep; the oldest are forgotten first.")
    max_worlds: int = _setting(1000, "Most worlds to keep; the least recently used are forgotten first.")
    other_port: int = _setting(0, "Port of the other origin, for redirects and video URLs; 0 picks a free one.")
    max_exchanges: int = _setting(1000, "Most exchanges to keep in the journal; the oldest are forgotten first.")
    allow_host: tuple[str, ...] = _setting((), "Serve requests for this host name too. Repeatable.")
    allow_origin: tuple[str, ...] = _setting(
        (), "Let pages of this origin read responses, e.g. tauri://localhost or vscode-webview://*. Repeatable."
    )
    render: bool | None = _setting(None, "Render each clip for its job. Default: if mockveo[video] is installed.")

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and not (least <= value < math.inf):
                example = f"{flag(name)} {_EXAMPLE[name]}"
                raise SettingsError(f"{flag(name)} is {value}; expected {least} or more, e.g. {example}")
        for name in ("port", "other_port"):
            if getattr(self, name) > MAX_PORT:
                example = f"{flag(name)} {_EXAMPLE[name]}"
                raise SettingsError(f"{flag(name)} is {getattr(self, name)}; expected 0 to {MAX_PORT}, e.g. {example}")
        if self.port == self.other_port != 0:
            message = f"--port and --other-port are both {self.port}; expected two ports, e.g. --other-port 0"
            raise SettingsError(message)
        self._check_time()
        if not self.host.strip():
            raise SettingsError("--host is empty; expected an address, e.g. --host 127.0.0.1")
        if any(not key.strip() for key in self.key):
            raise SettingsError("--key is empty; expected a key, e.g. --key sk-test")
        if any(not model.strip() for model in self.model):
            raise SettingsError("--model is empty; expected the name of a model, e.g. --model veo3.2")

    def _check_time(self) -> None:
        if self.clock not in CLOCK_MODES:
            modes = ", ".join(CLOCK_MODES)
            raise SettingsError(f"--clock is {self.clock!r}; expected one of {modes}, e.g. --clock manual")
        if self.speed == 0:
            raise SettingsError("--speed is 0; expected more than 0. To stop time use --clock manual")
        if not MIN_SPEED <= self.speed <= MAX_SPEED:
            message = f"--speed is {self.speed:g}; expected {MIN_SPEED:g} to {MAX_SPEED:g}, e.g. --speed 10"
            raise SettingsError(message)


_LEAST = {
    "port": 0,
    "other_port": 0,
    "speed": 0,
    "step": 0,
    "max_worlds": 1,
    "credit": 0,
    "max_body": 1,
    "max_jobs": 1,
    "max_image_bytes": 0,
    "max_exchanges": 1,
}
_EXAMPLE = {
    "port": "8360",
    "other_port": "8361",
    "speed": "10",
    "step": "10",
    "max_worlds": "1000",
    "credit": "3",
    "max_body": str(32 * MIB),
    "max_jobs": "1000",
    "max_image_bytes": str(64 * MIB),
    "max_exchanges": "1000",
}


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
    hints = typing.get_type_hints(Settings)
    for name in values:
        if name not in hints:
            raise SettingsError(f"{name!r} is not a setting; expected one of {', '.join(hints)}")
    return {name: _typed(name, value, hints[name]) for name, value in values.items()}


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
        raise SettingsError(f"{name} is {shown!r}; expected {expected}, e.g. {example}")
    return value
