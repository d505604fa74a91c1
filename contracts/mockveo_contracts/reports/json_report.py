"""A report as JSON: written by `--report json=FILE`, read by `mockveo report`."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema_rs

from mockveo import yamlfiles
from mockveo.errors import ReportError
from mockveo.text import truncate
from mockveo_contracts.reports.model import Report

SCHEMA: Final = Path(__file__).with_name("report.schema.json")
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
#: Characters of a problem's description that are shown. Arbitrary: it may quote a whole report.
_MAX_PROBLEM: Final = 200


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
        data = json.loads(text)
    except ValueError as error:
        raise ReportError(f"{path} is not JSON ({error}); {expected}") from None
    try:
        _check(data)
        return Report.from_json(data)
    except ReportError as error:
        raise ReportError(f"{path} is not a report: {error}; {expected}") from None


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
