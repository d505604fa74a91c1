"""The report of a check: what was found, as data. Every format is made of this data, and of nothing else."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import mockveo
from mockveo.rules import Verdict, catalogue
from mockveo.stories import Seen
from mockveo_contracts.drivers import Client
from mockveo_contracts.known import Entry
from mockveo_contracts.scripts import Script
from mockveo_contracts.stage import Play

#: Verdicts that are findings, the worst first.
FINDINGS: Final = ("violation", "warning", "adapter error", "info")
#: Exit statuses. Source: the client protocol.
CLEAN, BROKEN, UNUSABLE, STALE = 0, 1, 2, 3


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

    def skip(self, script: Script, lacks: Iterable[str]) -> None:
        """Notes a case that the client's features rule out."""
        why = f"the client does not declare {', '.join(lacks)}"
        self.skipped.append({"case": script.name, "says": script.says, "why": why})

    def judged(self, play: Play, verdicts: Sequence[Verdict] | None = None, *, file: str = "") -> list[dict[str, Any]]:
        """Takes a play with its verdicts, or with some of them; the findings of it. `file` is where its script is."""
        verdicts = play.verdicts() if verdicts is None else verdicts
        log = wire_log(play)
        for one in verdicts:
            self.counts[one.rule.id][one.verdict] += 1
        found = [self._finding(play, one, log, file) for one in verdicts if one.verdict in FINDINGS]
        if play.adapter_error:
            found.append(self._adapter_error(play, log, file))
        self.findings += found
        self.cases.append(
            {
                "name": play.script.name,
                "says": play.script.says,
                "verdicts": {one.rule.id: one.verdict for one in verdicts if one.verdict != "not exercised"},
                "outcome": play.outcome,
                "adapter_error": play.adapter_error or None,
                "log": log,
            }
        )
        return found

    def _finding(self, play: Play, one: Verdict, log: Any, file: str) -> dict[str, Any]:
        messages = list(dict.fromkeys(breach.message for breach in one.breaches))
        known = next((entry for entry in self.known if entry.covers(one.rule.id, play.script.name)), None)
        return {
            "rule": one.rule.id,
            "severity": one.rule.severity,
            "verdict": one.verdict,
            "says": one.rule.says,
            "message": "; ".join(messages[:3]),
            "source": one.rule.source,
            "known": {"place": known.place, "reason": known.reason} if known else None,
            "exchanges": sorted({number for breach in one.breaches for number in breach.exchanges}),
            **self._what(play, log, file),
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
            **self._what(play, log, file),
        }

    def _what(self, play: Play, log: Any, file: str) -> dict[str, Any]:
        data = play.script.data
        return {
            "case": play.script.name,
            "case_says": play.script.says,
            "call": data["call"],
            "scenario": data["scenario"],
            "outcome": play.outcome,
            "log": log,
            "trace": list(play.trace),
            "output": play.output[-4000:],
            "again": self._again(play.script, file),
        }

    def _again(self, script: Script, file: str) -> list[str]:
        name = file or script.name
        return [line for line in (self.again.format(case=name) if self.again else "", f"mockveo replay {name}") if line]

    @property
    def stale(self) -> list[Entry]:
        """Known failures that are none any more: their cases were played, and nothing was found."""
        played = [one["name"] for one in self.cases if not one["adapter_error"]]
        return [
            entry
            for entry in self.known
            if any(entry.covers(entry.rule, name) for name in played)
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
            "stale": [{"place": one.place, "rule": one.rule, "case": one.case} for one in self.stale],
        }


def wire_log(play: Play) -> list[dict[str, Any]]:
    """The exchanges of a play for people: number, seconds of the client's since the first one, and the line."""
    seen = [Seen(one, clock=play.clock) for one in play.trace]
    first = seen[0].at if seen else 0.0
    prefix = f"/@{play.script.world}"
    return [
        {
            "number": one.number,
            "at": round((one.at - first) / play.pace, 3),
            # Without the time of day in front, which is ours, and the name of the world, which is the case's.
            "line": one.data["line"].partition(" ")[2].replace(prefix, "", 1),
        }
        for one in seen
    ]


def as_text(data: Mapping[str, Any]) -> str:
    """A report as JSON."""
    return json.dumps(data, ensure_ascii=False, indent=1)
