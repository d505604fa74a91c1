"""The formats of reports: `--report KIND=FILE` for each kind."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, Final, NamedTuple

from mockveo.errors import did_you_mean
from mockveo.text import printable
from mockveo.traffic.har import Page, har_of_pages
from mockveo_contracts.reports import terminal, wording
from mockveo_contracts.reports.html import page
from mockveo_contracts.reports.junit import junit
from mockveo_contracts.reports.model import ReportError, as_text
from mockveo_contracts.reports.sarif import sarif

Report = Mapping[str, Any]
#: Verdict -> the command of a workflow.
_COMMANDS: Final = {"violation": "error", "adapter error": "error", "warning": "warning", "info": "notice"}


class Target(NamedTuple):
    """What is to be written, and where; None for standard output."""

    kind: str
    path: Path | None


def _of_one(kind: str, make: Callable[[Report], str]) -> Callable[[Sequence[Report]], str]:
    @wraps(make)
    def made(reports: Sequence[Report]) -> str:
        if len(reports) != 1:
            raise ReportError(f"{kind} holds one report, not {len(reports)}; html holds several, e.g. html=report.html")
        return make(reports[0])

    return made


def parse(spec: str) -> Target:
    """What `--report` is given, KIND=FILE. Raises ReportError, so that a mistake is told before a check begins."""
    kind, mark, file = spec.partition("=")
    if kind not in FORMATS:
        ending = Path(spec).suffix.lstrip(".")
        meant = {"xml": "junit", "htm": "html"}.get(ending, ending)
        near = f"did you mean {meant}={spec}? " if not mark and meant in FORMATS else did_you_mean(kind, FORMATS)
        raise ReportError(
            f"--report {spec}: {kind!r} is no kind of report; {near}wanted one of {', '.join(FORMATS)}, "
            "e.g. --report html=report.html"
        )
    if not file and kind != "github":
        raise ReportError(f"--report {spec}: no file; wanted e.g. --report {kind}={_EXAMPLES[kind]}")
    path = Path(file) if file and file != "-" else None
    if path is not None and path.is_dir():
        example = (path / _EXAMPLES[kind]).as_posix()
        raise ReportError(f"--report {spec}: {file} is a directory; wanted a file, e.g. --report {kind}={example}")
    return Target(kind, path)


def prepare(specs: Iterable[str]) -> list[Target]:
    """What `--report` is given, with paths that hold wherever a client goes.

    Raises ReportError where a file cannot be written: what took minutes is not to be lost at the end.
    """
    targets = [parse(spec) for spec in specs]
    targets = [Target(kind, path and path.absolute()) for kind, path in targets]
    for _, path in targets:
        if path is not None:
            _try(path)
    return targets


def write_all(targets: Iterable[Target], data: Report | Sequence[Report]) -> None:
    """Writes reports, each of them whatever becomes of the others. Raises ReportError, which names all that failed."""
    errors = []
    for one in targets:
        try:
            write(one, data)
        except ReportError as error:
            errors.append(str(error))
    if errors:
        raise ReportError("\n  ".join(errors))


def write(what: str | Target, data: Report | Sequence[Report]) -> None:
    """Writes one report or several as `--report` asks for. Raises ReportError."""
    kind, path = parse(what) if isinstance(what, str) else what
    reports = [data] if isinstance(data, Mapping) else data
    text = FORMATS[kind](reports)
    if path is None:
        try:
            sys.stdout.write(terminal.fitting(text, sys.stdout.encoding))
            sys.stdout.flush()
        except BrokenPipeError:
            raise  # whoever read has seen enough
        except OSError as error:
            raise ReportError(f"standard output: the report cannot be written: {error.strerror}") from None
    else:
        _write(path, text, "w")
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if kind == "github" and summary:
        # A step shows ten annotations of a level and no more; its summary has room for all.
        _write(Path(summary), _summary(reports[0]), "a")


def _write(path: Path, text: str, mode: str) -> None:
    with _written(path), path.open(mode, encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        file.write(text)


def _try(path: Path) -> None:
    """Raises ReportError where a file cannot be written. What was there stays."""
    with _written(path):
        there = path.exists()
        if there and not path.is_file():
            return  # a pipe would be read to its end at once
        path.open("a").close()
        if not there:
            path.unlink()


@contextmanager
def _written(path: Path) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise ReportError(f"{path}: the report cannot be written: {error.strerror}") from None


def _json(report: Report) -> str:
    return f"{as_text(report)}\n"


def _github(report: Report) -> str:
    """Commands of a workflow, which make annotations: one for each rule that is broken."""
    lines = list(_annotations(report))
    return "".join(f"{line}\n" for line in lines)


def _annotations(report: Report) -> Iterator[str]:
    client = wording.client_of(report)
    for one in wording.broken(report):
        command = _COMMANDS[one.verdict]
        if one.verdict == "warning" and report.get("strict"):
            command = "error"
        first = one.first
        others = f"also in {terminal.few(one.others)}" if one.others else ""
        source = f"source: {first['source']}" if one.rule else ""
        text = [f"{first['case']}: {first['message']}", first["says"], source, others, *first["again"][:1]]
        yield _command(
            command, f"{client}: {one.verdict} of {one.rule}" if one.rule else f"{client}: {one.verdict}", text
        )
    for entry in report["stale"]:
        yield _command("error", f"{client}: stale known failure", [wording.stale(entry)])
    if report.get("stopped"):
        yield _command("error", f"{client}: the check stopped before its end", [report["stopped"]])


def _command(command: str, title: str, lines: Sequence[str]) -> str:
    text = printable("\n".join(filter(None, lines)))
    return f"::{command} title={_property(printable(title))}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _summary(report: Report) -> str:
    """A table in Markdown for the summary of a step."""
    lines = [f"### {_cell(wording.client_of(report))}: {_cell(wording.verdict_of(report))}", "", wording.sum_of(report)]
    found = wording.broken(report)
    if found:
        lines += ["", "| verdict | rule | seen | cases |", "|---|---|---|---|"]
    for one in found:
        cases = ", ".join(map(_cell, [one.first["case"], *one.others[:4], *(["..."] if len(one.others) > 4 else [])]))
        lines.append(f"| {one.verdict} | {_cell(one.rule or '')} | {_cell(one.first['message'])} | {cases} |")
    lines += ["", *(f"- {_cell(wording.stale(one))}" for one in report["stale"])]
    if report.get("stopped"):
        lines.append(f"The check stopped before its end: {_cell(report['stopped'])}")
    return "\n".join([*lines, ""])


def _cell(text: str) -> str:
    """Text that Markdown shows as it is."""
    flat = " ".join(printable(text).split("\n"))
    return "".join(f"&#{ord(sign)};" if sign in "|<>&`*_[]\\#!~$@" else sign for sign in flat)


def _har(report: Report) -> str:
    """The exchanges of the cases with findings, a page each, as the network tools of browsers open them."""
    cases = {one["case"]: one for one in reversed(report["findings"])}
    rules: dict[str, list[str]] = {}
    for one in report["findings"]:
        rules.setdefault(one["case"], []).append(one["rule"] or one["verdict"])
    root = report.get("server", {}).get("url", "")
    pages = [
        Page(name, f"{name}: {', '.join(rules[name])}", _in_clients_time(one), root)
        for name, one in sorted(cases.items())
        if one["trace"]
    ]
    return f"{as_text(har_of_pages(pages))}\n"


def _in_clients_time(finding: Report) -> list[Report]:
    """A trace whose times are the client's, since those of a case that was played in virtual time say nothing."""
    began, clock, pace = finding["trace"][0], finding.get("clock", "time"), finding.get("pace", 1.0)
    return [{**one, "time": round(began["time"] + (one[clock] - began[clock]) / pace, 6)} for one in finding["trace"]]


_EXAMPLES: Final = {
    "json": "report.json",
    "junit": "junit.xml",
    "html": "report.html",
    "sarif": "report.sarif",
    "github": "annotations.txt",
    "har": "findings.har",
}
#: Kind -> what makes its text of reports.
FORMATS: Final[Mapping[str, Callable[[Sequence[Report]], str]]] = {
    "json": _of_one("json", _json),
    "junit": _of_one("junit", junit),
    "html": page,
    "sarif": _of_one("sarif", sarif),
    "github": _of_one("github", _github),
    "har": _of_one("har", _har),
}
