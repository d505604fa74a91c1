"""One case of a report: what was asked, what happened on the wire, and what came of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, NamedTuple, Self, TypeAlias

from mockveo.rules.requirements import FIRST
from mockveo.text import truncate

#: Data whose form is fixed elsewhere: a call, a scenario, an outcome, an exchange.
JsonObject: TypeAlias = Mapping[str, Any]
#: Words that YAML reads as strings without quotes, unless they are among the reserved ones.
_PLAIN_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_RESERVED_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
#: Ids of this length or longer are shown by their ends; arbitrary, shorter ones are legible.
LONG_ID_CHARS: Final = 20
#: Characters of a string, and of a whole line, that are shown. Arbitrary: a string fits in a row of a terminal.
MAX_STRING: Final = 100
MAX_LINE: Final = 400


class LogLine(NamedTuple):
    """An exchange of a case in one line, with further lines of notes."""

    number: int
    #: Seconds since the first exchange of the case.
    at: float
    line: str


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """A case that was run. What a client was asked is empty for a case of a server."""

    name: str
    description: str
    call: JsonObject = field(default_factory=dict)
    scenario: JsonObject | str = field(default_factory=dict)
    #: Whether the phases of the scenario are those of cases that name none; then they are not shown.
    default_phases: bool = False
    #: None if nothing is reported, which is so for a server.
    outcome: JsonObject | None = None
    adapter_error: str = ""
    #: The starts of a call that came more than once, as report.schema.json has them.
    starts: tuple[JsonObject, ...] = ()
    log: tuple[LogLine, ...] = ()
    #: Verdicts by rule, of the rules that the case exercised.
    verdicts: Mapping[str, str] = field(default_factory=dict)
    #: The month of the first requirements that ask for it.
    since: str = FIRST

    def to_json(self) -> dict[str, Any]:
        """Return the case as JSON data."""
        log = [line._asdict() for line in self.log]
        return {**asdict(self), "adapter_error": self.adapter_error or None, "starts": list(self.starts), "log": log}

    @classmethod
    def from_json(cls, data: JsonObject) -> Self:
        """Return the case that `to_json` wrote."""
        read = {"starts": tuple(data["starts"]), "log": log_from_json(data["log"])}
        return cls(**{**data, "adapter_error": data["adapter_error"] or "", **read})

    @property
    def peculiarity(self) -> int:
        """0 for the default scenario, 2 for one that injects faults or is only named, else 1."""
        if isinstance(self.scenario, str) or self.scenario.get("faults"):
            return 2
        return 1 if self.scenario_lines else 0

    @property
    def call_lines(self) -> list[str]:
        """What a client was asked to do, except for what is the default."""
        call = {name: value for name, value in self.call.items() if value not in (None, [])}
        if call.get("images"):
            call["images"] = [_short_image(image) for image in call["images"]]
        return [truncate(f"{name}: {as_yaml(value)}", MAX_LINE) for name, value in call.items()]

    @property
    def scenario_lines(self) -> list[str]:
        """The scenario that a client met, except for what is the default."""
        if isinstance(self.scenario, str):
            return [self.scenario]
        hidden = {"phases"} if self.default_phases else set()
        shown = ((name, value) for name, value in self.scenario.items() if name not in hidden)
        return [truncate(line, MAX_LINE) for name, value in shown for line in _entry_lines(name, value)]

    @property
    def outcome_line(self) -> str:
        """What a client reported; empty for a server, which reports nothing."""
        if self.outcome is None:
            return ""
        if not self.outcome.get("outcome"):
            ended = self.outcome.get("ended_by")
            return f"no result; killed {ended} after its deadline" if ended else "no result"
        return truncate(", ".join(_outcome_parts(self.outcome)), MAX_LINE)


@dataclass(frozen=True, slots=True)
class SkippedCase:
    """A case that was not run, or not to its end."""

    case: str
    description: str
    reason: str


def with_short_ids(line: str, ids: Iterable[str]) -> str:
    """Return a line in which long ones of these ids are replaced by their ends."""
    for long_id in ids:
        if len(long_id) >= LONG_ID_CHARS:
            line = line.replace(long_id, f"{long_id[:9]}\u2026{long_id[-4:]}")
    return line


def log_from_json(lines: Iterable[JsonObject]) -> tuple[LogLine, ...]:
    """Return the log that a report's JSON has."""
    return tuple(LogLine(**line) for line in lines)


def _short_image(image: JsonObject) -> Any:
    return image["filename"] if set(image) == {"filename"} else image


def _outcome_parts(outcome: JsonObject) -> Iterator[str]:
    yield outcome["outcome"]
    video, error, content = (outcome.get(name) or {} for name in ("video", "error", "content"))
    yield from (f"{name} {video[name]}" for name in ("id", "status", "model") if video.get(name))
    if content:
        yield f"stored {content.get('bytes')} bytes"
    if error:
        yield ": ".join(str(error[name]) for name in ("type", "message") if error.get(name))


def _entry_lines(name: str, value: Any) -> Iterator[str]:
    """Yield an entry of a scenario, a list of mappings with a line for each."""
    if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        yield f"{name}:"
        yield from (f"- {as_yaml(item)}" for item in value)
    else:
        yield f"{name}: {as_yaml(value)}"


def as_yaml(value: Any) -> str:
    """Return plain data as one line of YAML, with long strings cut."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{as_yaml(name)}: {as_yaml(item)}' for name, item in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_yaml, value))}]"
    if not isinstance(value, str):
        return json.dumps(value)
    if _PLAIN_WORD.fullmatch(value) and len(value) <= MAX_STRING and value.lower() not in _RESERVED_WORDS:
        return value
    quoted = json.dumps(truncate(value, MAX_STRING), ensure_ascii=False)
    return quoted if len(value) <= MAX_STRING else f"{quoted} ({len(value)} characters)"
