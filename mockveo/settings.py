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


def _setting(default: Any, meaning: str) -> Any:
    return field(default=default, metadata={"help": meaning})


@dataclass(frozen=True, slots=True)
class Settings:
    """How a server behaves. Each field is a flag (`max_body` = `--max-body`) and a variable (`MOCKVEO_MAX_BODY`)."""

    host: str = _setting("127.0.0.1", "Address to listen on. Anything but loopback opens the server to the network.")
    port: int = _setting(8360, "Port to listen on; 0 takes a free one.")
    profile: str = _setting("docs-2026-03", "Which generation of the API to play.")
    spec: str | None = _setting(None, "Play this OpenAPI document instead of ours.")
    overlay: tuple[str, ...] = _setting((), "Change the document by this OpenAPI Overlay. Can be given again.")
    scenario: str = _setting("normal", "How jobs unfold and what goes wrong: a name, or a file of YAML or JSON.")
    clock: str = _setting("wall", "How time passes: wall, manual (when it is advanced) or poll (with each poll).")
    speed: float = _setting(
        10.0, "Seconds of a job's life in one of ours, by the wall clock: at 1 a job takes 65 to 195 s, as in reality."
    )
    step: float = _setting(10.0, "Seconds of a job's life that pass with each poll, by the poll clock.")
    seed: int | None = _setting(None, "Repeat the ids and the pace of a run. Default: another one each time.")
    strict: bool = _setting(False, "Refuse whatever departs from the documented page, instead of noting it.")
    self_check: bool = _setting(False, "Check each answer of the server against the document before it is sent.")
    key: tuple[str, ...] = _setting((), "Accept this key only. Can be given again. Default: any key.")
    credit: int | None = _setting(None, "Jobs each key can pay for before it is out of credit. Default: no limit.")
    max_body: int = _setting(32 * MIB, "Largest request body, in bytes.")
    max_jobs: int = _setting(100_000, "Most jobs kept; the oldest finished ones are forgotten first.")
    max_image_bytes: int = _setting(64 * MIB, "Most bytes of uploaded images kept; the oldest are forgotten first.")
    max_worlds: int = _setting(1000, "Most worlds kept; the least recently used are forgotten first.")
    other_port: int = _setting(
        0, "Port of the other origin, which redirects and video URLs lead to; 0 takes a free one."
    )
    max_exchanges: int = _setting(1000, "Most exchanges kept in the journal; the oldest are forgotten first.")
    allow_host: tuple[str, ...] = _setting((), "Serve requests for this host name too. Can be given again.")
    render: bool | None = _setting(None, "Make each clip for its job. Default: if mockveo[video] is installed.")

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and not (least <= value < math.inf):
                raise SettingsError(
                    f"{flag(name)} is {value}, wanted {least} or more, e.g. {flag(name)} {_EXAMPLE[name]}"
                )
        for name in ("port", "other_port"):
            if getattr(self, name) > 65535:
                raise SettingsError(
                    f"{flag(name)} is {getattr(self, name)}, wanted 0 to 65535, e.g. {flag(name)} {_EXAMPLE[name]}"
                )
        if self.port == self.other_port != 0:
            raise SettingsError(f"--port and --other-port are both {self.port}, wanted two, e.g. --other-port 0")
        self._check_time()
        if not self.host.strip():
            raise SettingsError("--host is empty, wanted an address such as --host 127.0.0.1")
        if any(not key.strip() for key in self.key):
            raise SettingsError("--key is empty, wanted a key such as --key sk-test")

    def _check_time(self) -> None:
        if self.clock not in CLOCK_MODES:
            raise SettingsError(
                f"--clock is {self.clock!r}, wanted one of {', '.join(CLOCK_MODES)}, e.g. --clock manual"
            )
        if not 1e-6 <= self.speed <= 1e9 and self.speed:
            raise SettingsError(f"--speed is {self.speed:g}, wanted 1e-6 to 1e9, e.g. --speed 10")
        if self.speed == 0:
            raise SettingsError("--speed is 0, wanted more than that; what stops time is --clock manual")


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
    """The command-line flag of a setting: `max_body` -> `--max-body`."""
    return f"--{name.replace('_', '-')}"


def of(**values: Any) -> Settings:
    """Settings with these values. Raises SettingsError for a name that is none, naming those there are."""
    return Settings(**typed(values))


def typed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as their settings have them. Raises SettingsError for a name or a value that is none."""
    hints = typing.get_type_hints(Settings)
    for name in values:
        if name not in hints:
            raise SettingsError(f"{name!r} is not a setting; wanted one of {', '.join(hints)}")
    return {name: _typed(name, value, hints[name]) for name, value in values.items()}


def _typed(name: str, value: Any, hint: Any) -> Any:
    """A value as its setting has it: a path is text, one text is a list of it. Raises SettingsError for other types."""
    kinds = typing.get_args(hint) or (hint,)
    if typing.get_origin(hint) is tuple:
        items = tuple(value) if isinstance(value, list | tuple) else (value,)
        value = tuple(str(item) if isinstance(item, PurePath) else item for item in items)
        fits = all(isinstance(item, str) for item in value)
        wanted, shown = "a list of texts", list(value) if len(value) != 1 else value[0]
    else:
        value = shown = str(value) if isinstance(value, PurePath) else value
        accepted = tuple({*kinds, int} if float in kinds else kinds)
        fits = isinstance(value, accepted) and (not isinstance(value, bool) or bool in kinds)
        wanted = " or ".join("None" if kind is type(None) else kind.__name__ for kind in kinds)
    if not fits:
        raise SettingsError(f"{name} is {shown!r}, wanted {wanted}, e.g. {name}={getattr(Settings(), name)!r}")
    return value
