"""The report of a check: what was found, as data. Every format is made of this data, and of nothing else."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema_rs

import mockveo
from mockveo import files
from mockveo.errors import MockveoError
from mockveo.rules import Verdict, catalogue
from mockveo_contracts.drivers import Client
from mockveo_contracts.known import Entry
from mockveo_contracts.logs import kept, wire_log
from mockveo_contracts.scripts import Script
from mockveo_contracts.stage import Play

#: Verdicts that are findings, the worst first.
FINDINGS: Final = ("violation", "warning", "adapter error", "info")
#: Exit statuses. Source: the client protocol.
CLEAN, BROKEN, UNUSABLE, STALE = 0, 1, 2, 3
#: Exchanges of a finding that are kept whole.
MOST_EXCHANGES: Final = 100
#: Characters of what a client wrote that are kept.
MOST_OUTPUT: Final = 4000
_SURROGATES: Final = re.compile("[\ud800-\udfff]")


class ReportError(MockveoError):
    """A report cannot be read or written."""


@dataclass
class Report:
    """What a check found. `judged` takes plays as they are done."""

    client: Client
    seed: int
    profile: str
    strict: bool = False
    known: Sequence[Entry] = ()
    #: What repeats one case, with {case} in the place of its name or file.
    again: str = ""
    seconds: float = 0.0
    generated: int = 0
    #: Why the check ended before its time, if it did.
    stopped: str = ""
    #: Whether all cases were played, so that what is not found any more is gone.
    whole: bool = True
    findings: list[dict[str, Any]] = field(default_factory=list)
    cases: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[str, Counter[str]] = field(default_factory=lambda: {rule: Counter() for rule in catalogue()})

    def skip(self, script: Script, why: str) -> None:
        """Notes a case that cannot be played, with the reason."""
        self.skipped.append({"case": script.name, "says": script.says, "why": why})

    def judged(
        self, play: Play, verdicts: Sequence[Verdict] | None = None, *, file: str = "", counted: bool = False
    ) -> list[dict[str, Any]]:
        """Takes a play with its verdicts, or with some of them; the findings of it.

        `file` is where its script is, `counted` says that its verdicts are in `counts` already.
        """
        verdicts = play.verdicts() if verdicts is None else verdicts
        log = wire_log(play, {number for one in verdicts for breach in one.breaches for number in breach.exchanges})
        for one in () if counted else verdicts:
            self.counts[one.rule.id][one.verdict] += 1
        found = [self._finding(play, one, log, file) for one in verdicts if one.verdict in FINDINGS]
        if play.adapter_error:
            found.append(self._adapter_error(play, log, file))
        self.findings += found
        self.cases.append(
            {
                "name": play.script.name,
                "says": play.script.says,
                "call": play.script.data["call"],
                "scenario": play.script.data["scenario"],
                "verdicts": {one.rule.id: one.verdict for one in verdicts if one.verdict != "not exercised"},
                "outcome": play.outcome,
                "adapter_error": play.adapter_error or None,
                "log": log,
            }
        )
        return found

    def _finding(self, play: Play, one: Verdict, log: Any, file: str) -> dict[str, Any]:
        messages = list(dict.fromkeys(breach.message for breach in one.breaches))
        more = f" (and {len(messages) - 3} more)" if len(messages) > 3 else ""
        exchanges = sorted({number for breach in one.breaches for number in breach.exchanges})
        known = next((entry for entry in self.known if entry.covers(one.rule.id, play.script.name)), None)
        return {
            "rule": one.rule.id,
            "severity": one.rule.severity,
            "verdict": one.verdict,
            "says": one.rule.says,
            "message": "; ".join(messages[:3]) + more,
            "source": one.rule.source,
            "known": {"place": known.place, "reason": known.reason} if known else None,
            "exchanges": exchanges,
            **self._what(play, log, file, exchanges),
        }

    def _adapter_error(self, play: Play, log: Any, file: str) -> dict[str, Any]:
        return {
            "rule": None,
            "severity": None,
            "verdict": "adapter error",
            "says": "The adapter that drives the client breaks nothing.",
            "message": play.adapter_error,
            "source": "the client protocol",
            "known": None,
            "exchanges": [],
            **self._what(play, log, file, ()),
        }

    def _what(self, play: Play, log: Any, file: str, exchanges: Iterable[int]) -> dict[str, Any]:
        data = play.script.data
        numbers = kept([one["number"] for one in play.trace], exchanges, MOST_EXCHANGES)
        return {
            "case": play.script.name,
            "case_says": play.script.says,
            "call": data["call"],
            "scenario": data["scenario"],
            "outcome": play.outcome,
            "log": log,
            # What the trace's seconds are, and how many there are in one of the client's.
            "clock": play.clock,
            "pace": play.pace,
            "trace": [one for one in play.trace if one["number"] in numbers],
            "output": play.output[-MOST_OUTPUT:],
            "file": file or None,
            "again": self._again(play.script, file),
        }

    def _again(self, script: Script, file: str) -> list[str]:
        name = file or script.name
        return [line for line in (self.again.format(case=name) if self.again else "", f"mockveo replay {name}") if line]

    @property
    def stale(self) -> list[Entry]:
        """Known failures that are none any more: their cases were played, and nothing was found."""
        played = [one["name"] for one in self.cases if not one["adapter_error"]]
        whole = self.whole and not self.stopped
        return [
            entry
            for entry in self.known
            # A pattern may be about cases that were left out this time.
            if (any(entry.covers(entry.rule, name) for name in played) if whole else entry.case in played)
            and not any(entry.covers(str(one["rule"]), one["case"]) for one in self.findings)
        ]

    def count(self, verdict: str) -> int:
        """Findings of a verdict that are not known."""
        return sum(one["verdict"] == verdict and not one["known"] for one in self.findings)

    @property
    def exit_status(self) -> int:
        """0 clean, 1 broken, 2 the check could not run, 3 a stale known failure."""
        if self.stopped or not any(not one["adapter_error"] for one in self.cases):
            return UNUSABLE
        if self.count("violation") or (self.strict and self.count("warning")):
            return BROKEN
        return STALE if self.stale else CLEAN

    @property
    def data(self) -> dict[str, Any]:
        """The report as an object of JSON."""
        return {
            "mockveo": mockveo.__version__,
            "client": {
                "name": self.client.name,
                "version": self.client.version,
                "features": dict(self.client.features),
            },
            "seed": self.seed,
            "profile": self.profile,
            "strict": self.strict,
            "stopped": self.stopped or None,
            "exit_status": self.exit_status,
            "summary": {
                "cases": sum(not one["adapter_error"] for one in self.cases),
                "generated": self.generated,
                "violations": self.count("violation"),
                "warnings": self.count("warning"),
                "infos": self.count("info"),
                "known": sum(one["known"] is not None for one in self.findings),
                "skipped": len(self.skipped),
                "adapter_errors": self.count("adapter error"),
                "seconds": round(self.seconds, 3),
            },
            "findings": sorted(self.findings, key=lambda one: FINDINGS.index(one["verdict"])),
            "rules": {
                rule.id: {
                    "severity": rule.severity,
                    "says": rule.says,
                    "source": rule.source,
                    **{word: self.counts[rule.id][word] for word in ("pass", "violation", "warning", "info")},
                    "not exercised": self.counts[rule.id]["not exercised"],
                }
                for rule in catalogue().values()
            },
            "cases": self.cases,
            "skipped": self.skipped,
            "stale": [
                {"place": one.place, "rule": one.rule, "case": one.case, "reason": one.reason} for one in self.stale
            ],
        }


def as_text(data: Any) -> str:
    """A report as JSON that every reader takes, whatever a prompt is made of."""
    text = json.dumps(data, ensure_ascii=False)
    # Half a pair of UTF-16 is in no UTF-8; in JSON it can be escaped, and comes in strings only.
    return _SURROGATES.sub(lambda half: f"\\u{ord(half[0]):04x}", text)


def read(path: Path) -> dict[str, Any]:
    """A report that `--report json=FILE` wrote. Raises ReportError, which says what is wrong with the file."""
    text = files.read(path, ReportError)
    wanted = "wanted what `mockveo check --report json=FILE` writes"
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ReportError(f"{path}: not JSON ({error}); {wanted}") from None
    problem = next(_shape().iter_errors(data), None)
    if problem is not None:
        place = ".".join(map(str, problem.instance_path)) or "the whole"
        raise ReportError(f"{path}: no report: {place}: {_short(problem.message)}; {wanted}")
    found: dict[str, Any] = data
    return found


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:100]} ... {text[-80:]}"


@cache
def _shape() -> jsonschema_rs.Validator:
    """What of a report the formats rely on."""
    schema = Path(__file__).with_name("report.schema.json")
    return jsonschema_rs.validator_for(schema.read_text(encoding="utf-8"))
