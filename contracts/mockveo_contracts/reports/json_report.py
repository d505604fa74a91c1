"""A report as JSON: written by `--report json=FILE`, read by `mockveo report`, which can join those of shards."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema_rs

from mockveo import yamlfiles
from mockveo.errors import ReportError
from mockveo.text import truncate
from mockveo_contracts.reports.finding import RuleResult
from mockveo_contracts.reports.model import Report

SCHEMA: Final = Path(__file__).with_name("report.schema.json")
#: What the reports of all shards of a check have in common.
_COMMON: Final = (
    "version",
    "subject",
    "profile",
    "seed",
    "strict",
    "requirements",
    "known_failures",
    "complete",
    "budget",
)
#: Levels of JSON: a body of as many as are read anywhere, within an exchange of a finding.
_MAX_DEPTH: Final = 2 * yamlfiles.MAX_DEPTH
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
#: Characters of a problem's description that are shown. Arbitrary: it may quote a whole report.
_MAX_PROBLEM: Final = 200
_EXPECTED_SHARDS: Final = "expected one report of each shard of one check, e.g. of --shard 1/2 and --shard 2/2"


def json_report(report: Report) -> str:
    """Return a report as a line of JSON."""
    return f"{as_text(report.to_json())}\n"


def as_text(data: Any) -> str:
    """Return data as JSON that can be encoded as UTF-8, whatever its strings contain."""
    text = json.dumps(data, ensure_ascii=False)
    # UTF-8 cannot encode half of a surrogate pair; JSON can escape it, and it occurs in strings only.
    return _SURROGATES.sub(lambda half: f"\\u{ord(half[0]):04x}", text)


def read(path: Path) -> Report:
    """Return the report in a file that `--report json=FILE` wrote. Raises ReportError."""
    expected = "expected a file that `mockveo check` or `mockveo verify` of this version wrote with --report json=FILE"
    text = yamlfiles.read(path, ReportError)
    try:
        data = yamlfiles.parse_foreign_json(text, depth=_MAX_DEPTH)
    except ValueError as error:
        raise ReportError(f"{path} is not JSON ({error}); {expected}") from None
    try:
        _check(data)
        return Report.from_json(data)
    except ReportError as error:
        raise ReportError(f"{path} is not a report: {error}; {expected}") from None


def merged(reports: Sequence[Report]) -> Report:
    """Return the report of a whole check from those of all its shards. Raises ReportError if they are not those."""
    first, shards = reports[0], [report.shard for report in reports]
    for report in reports:
        if not report.shard:
            raise ReportError(f"a report of {report.subject.title} is of no shard; {_EXPECTED_SHARDS}")
        for name in _COMMON:
            value, common = getattr(report, name), getattr(first, name)
            if value != common:
                differs = f"{name} {_shown(common)} in shard {first.shard}, {_shown(value)} in shard {report.shard}"
                raise ReportError(f"reports differ: {differs}; {_EXPECTED_SHARDS}")
    count = first.shard.partition("/")[2]
    wanted = [f"{number}/{count}" for number in range(1, int(count) + 1)]
    if Counter(shards) != Counter(wanted):
        raise ReportError(f"the reports are of the shards {', '.join(shards)}; {_EXPECTED_SHARDS}")
    parts = sorted(reports, key=lambda report: wanted.index(report.shard))
    return replace(
        first,
        shard="",
        command="",
        rules={name: _summed([report.rules[name] for report in parts]) for name in first.rules},
        aborted="; ".join(f"shard {report.shard}: {report.aborted}" for report in parts if report.aborted),
        findings=[finding for report in parts for finding in report.findings],
        cases=[case for report in parts for case in report.cases],
        skipped=[skipped for report in parts for skipped in report.skipped],
        jobs=[job for report in parts for job in report.jobs],
        refused=sum(report.refused for report in parts),
        notes=list(dict.fromkeys(note for report in parts for note in report.notes)),
        # They ran side by side.
        seconds=max(report.seconds for report in parts),
        generated=sum(report.generated for report in parts),
        date=min(report.date for report in parts),
    )


def _summed(results: Sequence[RuleResult]) -> RuleResult:
    return replace(results[0], counts=sum((result.counts for result in results), Counter()))


def _shown(value: object) -> str:
    return truncate(str(value), _MAX_PROBLEM)


def _check(data: Any) -> None:
    """Raise ReportError if data does not have the form of a report."""
    try:
        problem = next(_validator().iter_errors(data), None)
    except UnicodeEncodeError:
        # The validator cannot describe a problem next to half of a surrogate pair.
        raise ReportError("the whole file") from None
    if problem is not None:
        place = ".".join(map(str, problem.instance_path)) or "the whole file"
        raise ReportError(f"{place}: {truncate(problem.message, _MAX_PROBLEM)}")


@cache
def _validator() -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(SCHEMA.read_text(encoding="utf-8"))
