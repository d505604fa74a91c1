"""The words that all formats of a report share: findings grouped by rule, and cases told in few lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mockveo.text import truncate
from mockveo_contracts.cases.definitions import BRIEF
from mockveo_contracts.reports.model import FINDINGS

#: Words that YAML reads as the texts they are.
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_NO_TEXTS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
#: Characters of a text, and of a whole line, that are shown.
LONG_TEXT: Final = 100
LONG_LINE: Final = 400


@dataclass(frozen=True)
class Broken:
    """A rule that is broken, with its findings: the worst verdict first, the smallest case first among equals."""

    #: None where an adapter broke, and no rule.
    rule: str | None
    verdict: str
    findings: Sequence[Mapping[str, Any]]

    @property
    def first(self) -> Mapping[str, Any]:
        """The finding that is shown in full."""
        return self.findings[0]

    @property
    def others(self) -> list[str]:
        """The names of the other cases."""
        return list(dict.fromkeys(one["case"] for one in self.findings[1:]))


def broken(report: Mapping[str, Any]) -> list[Broken]:
    """What is broken in a report, the worst first; known failures are left out."""
    found: dict[str | None, list[Mapping[str, Any]]] = {}
    for one in report["findings"]:
        if not one["known"]:
            found.setdefault(one["rule"], []).append(one)
    order = {rule: place for place, rule in enumerate(report["rules"])}
    groups = [
        Broken(rule, ordered[0]["verdict"], ordered)
        for rule, ordered in ((rule, sorted(some, key=_weight)) for rule, some in found.items())
    ]
    return sorted(groups, key=lambda one: (FINDINGS.index(one.verdict), order.get(one.rule or "", len(order))))


def _weight(finding: Mapping[str, Any]) -> tuple[int, int, int]:
    verdict = FINDINGS.index(finding["verdict"])
    if not finding["scenario"] and not finding["call"]:  # of a server: what has to be sent to see it
        return verdict, len(finding["trace"]), len("".join(finding["again"]))
    return verdict, len(finding["log"]), len(json.dumps([finding["scenario"], finding["call"]]))


def known(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The findings that somebody lives with."""
    return [one for one in report["findings"] if one["known"]]


def unexercised(report: Mapping[str, Any]) -> list[str]:
    """The rules that no case had to do with; of some cases that says nothing."""
    if not report.get("whole", True):
        return []
    words = ("pass", "violation", "warning", "info")
    return [name for name, rule in report["rules"].items() if not any(rule.get(word) for word in words)]


def skipped(report: Mapping[str, Any]) -> dict[str, list[str]]:
    """Why cases were skipped -> their names."""
    found: dict[str, list[str]] = {}
    for one in report["skipped"]:
        found.setdefault(one["why"], []).append(one["case"])
    return found


def brief(value: Any) -> str:
    """Plain data in one line, as YAML could be written."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{brief(name)}: {brief(one)}' for name, one in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(brief, value))}]"
    if not isinstance(value, str):
        return json.dumps(value)
    if _PLAIN.fullmatch(value) and len(value) <= LONG_TEXT and value.lower() not in _NO_TEXTS:
        return value
    shown = json.dumps(truncate(value, LONG_TEXT), ensure_ascii=False)
    return shown if len(value) <= LONG_TEXT else f"{shown} ({len(value)} characters)"


def call_of(case: Mapping[str, Any]) -> list[str]:
    """What a client was asked to do, as lines; nothing where it is the usual."""
    call = {name: value for name, value in case["call"].items() if value not in (None, [])}
    if call.get("images"):
        call["images"] = [one["filename"] if set(one) == {"filename"} else one for one in call["images"]]
    return [truncate(f"{name}: {brief(value)}", LONG_LINE) for name, value in call.items()]


def scenario_of(case: Mapping[str, Any]) -> list[str]:
    """The scenario that a client met, as lines; nothing where it is the usual."""
    given = case["scenario"]
    if isinstance(given, str):
        return [given]
    return [
        truncate(line, LONG_LINE)
        for name, value in given.items()
        if value != list(BRIEF)
        for line in _part(name, value)
    ]


def _part(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
        yield f"{name}:"
        yield from (f"- {brief(one)}" for one in value)
    else:
        yield f"{name}: {brief(value)}"


def reported(outcome: Mapping[str, Any] | None) -> str:
    """What a client said came of a case."""
    outcome = outcome or {}
    if not outcome.get("outcome"):
        ended = outcome.get("ended_by")
        return f"nothing, and had to be ended: {ended} after its deadline, or without one" if ended else "nothing"
    video, error, content = (outcome.get(name) or {} for name in ("video", "error", "content"))
    parts = [outcome["outcome"], *(f"{name} {video[name]}" for name in ("id", "status", "model") if video.get(name))]
    if content:
        parts.append(f"stored {content.get('bytes')} bytes")
    if error:
        parts.append(": ".join(str(error[name]) for name in ("type", "message") if error.get(name)))
    return truncate(", ".join(parts), LONG_LINE)


def marked(finding: Mapping[str, Any]) -> Iterator[tuple[bool, Mapping[str, Any] | int]]:
    """The exchanges of a finding, each with whether it shows what is wrong; a number where some are left out."""
    before = 0
    for one in finding["log"]:
        if one["number"] > before + 1 and before:
            yield False, one["number"] - before - 1
        yield one["number"] in finding["exchanges"], one
        before = one["number"]


def stale(entry: Mapping[str, Any]) -> str:
    """A known failure that is none any more, and what to do about it."""
    return f"{entry['place']}: {entry['rule']} {entry['case']} is not broken any more; take the line out"


def client_of(report: Mapping[str, Any]) -> str:
    """Who was checked."""
    return f"{report['client']['name']} {report['client']['version']}".strip()


def verdict_of(report: Mapping[str, Any]) -> str:
    """What came of a check in few words, e.g. "2 violations, 1 warning"."""
    summary = report["summary"]
    found = [
        (summary["violations"], "violation"),
        (summary["warnings"], "warning"),
        (summary["adapter_errors"], "adapter error"),
        (len(report["stale"]), "stale known failure"),
        (summary["infos"], "info"),
    ]
    # Where no case could be judged, that nothing was found says nothing.
    nothing = "nothing is broken" if summary["cases"] else "nothing was judged"
    return ", ".join(counted(number, word) for number, word in found if number) or nothing


def counted(number: int, word: str) -> str:
    """A number of things."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def played_of(report: Mapping[str, Any]) -> str:
    """What was played, e.g. "84 cases (+200 generated) in 3.1 s"."""
    summary = report["summary"]
    generated = f" (+{summary['generated']} generated)" if summary["generated"] else ""
    return f"{counted(summary['cases'], 'case')}{generated} in {summary['seconds']:.1f} s"


def aside_of(report: Mapping[str, Any]) -> list[str]:
    """How much was left aside, e.g. ["3 skipped"]."""
    return [f"{report['summary'][word]} {word}" for word in ("skipped", "known") if report["summary"][word]]


def sum_of(report: Mapping[str, Any]) -> str:
    """A whole check in one line."""
    found = ", ".join([verdict_of(report), *aside_of(report)])
    return f"{played_of(report)}: {found} \u00b7 seed {report['seed']}"
