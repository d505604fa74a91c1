"""The formats of reports: parses `--report KIND=FILE`, and writes the files.

To add a format, write a module with a function from a Report to text, and add it to `FORMATS`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from mockveo.errors import did_you_mean
from mockveo_contracts.reports.github import github, summary
from mockveo_contracts.reports.har import har
from mockveo_contracts.reports.html import html
from mockveo_contracts.reports.json_report import json_report
from mockveo_contracts.reports.junit import junit
from mockveo_contracts.reports.model import Report, ReportError
from mockveo_contracts.reports.sarif import sarif
from mockveo_contracts.reports.terminal import encodable

#: Makes the text of a file from reports.
Format: TypeAlias = Callable[[Sequence[Report]], str]


class Target(NamedTuple):
    """A report to write, and where; None stands for standard output."""

    kind: str
    path: Path | None


def _of_one(kind: str, format_: Callable[[Report], str]) -> Format:
    @wraps(format_)
    def checked(reports: Sequence[Report]) -> str:
        if len(reports) != 1:
            raise ReportError(f"{kind} holds one report, not {len(reports)}; html holds several, e.g. html=report.html")
        return format_(reports[0])

    return checked


_EXAMPLES: Final = {
    "json": "report.json",
    "junit": "junit.xml",
    "html": "report.html",
    "sarif": "report.sarif",
    "github": "annotations.txt",
    "har": "findings.har",
}
FORMATS: Final[Mapping[str, Format]] = {
    "json": _of_one("json", json_report),
    "junit": _of_one("junit", junit),
    "html": html,
    "sarif": _of_one("sarif", sarif),
    "github": _of_one("github", github),
    "har": _of_one("har", har),
}
#: File name extensions of formats that are not called like them.
_EXTENSIONS: Final = {"xml": "junit", "htm": "html"}


def parse(spec: str) -> Target:
    """Return what `--report KIND=FILE` asks for. Raises ReportError, before anything is run."""
    kind, separator, file = spec.partition("=")
    if kind not in FORMATS:
        raise ReportError(
            f"--report {spec}: {kind!r} is not a kind of report; {_hint(spec, kind, has_file=bool(separator))}"
            f"expected one of {', '.join(FORMATS)}, e.g. --report html=report.html"
        )
    if not file and kind != "github":
        raise ReportError(f"--report {spec}: the file is missing; expected e.g. --report {kind}={_EXAMPLES[kind]}")
    path = Path(file) if file and file != "-" else None
    if path is not None and path.is_dir():
        example = (path / _EXAMPLES[kind]).as_posix()
        raise ReportError(f"--report {spec}: {file} is a directory; expected a file, e.g. --report {kind}={example}")
    return Target(kind, path)


def _hint(spec: str, kind: str, *, has_file: bool) -> str:
    extension = Path(spec).suffix.lstrip(".")
    meant = _EXTENSIONS.get(extension, extension)
    if not has_file and meant in FORMATS:
        return f"did you mean {meant}={spec}? "
    return did_you_mean(kind, FORMATS)


def prepare(specs: Iterable[str]) -> list[Target]:
    """Return what `--report` asks for, with absolute paths, since a client may change the directory.

    Raises ReportError if a file cannot be written, before a run of minutes is lost.
    """
    targets = [parse(spec) for spec in specs]
    targets = [Target(kind, path and path.absolute()) for kind, path in targets]
    for _, path in targets:
        if path is not None:
            _check_writable(path)
    return targets


def write_all(targets: Iterable[Target], *reports: Report) -> None:
    """Write all targets, whichever of them fail. Raises ReportError that names all failures."""
    errors = []
    for target in targets:
        try:
            write(target, *reports)
        except ReportError as error:
            errors.append(str(error))
    if errors:
        raise ReportError("\n  ".join(errors))


def write(target: Target, *reports: Report) -> None:
    """Write one report or several to a target. Raises ReportError."""
    text = FORMATS[target.kind](reports)
    if target.path is None:
        _print(text)
    else:
        _write(target.path, text, "w")
    step_summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if target.kind == "github" and step_summary:
        _write(Path(step_summary), summary(reports[0]), "a")


def _print(text: str) -> None:
    try:
        sys.stdout.write(encodable(text, sys.stdout.encoding))
        sys.stdout.flush()
    except BrokenPipeError:
        raise  # The reader has closed the pipe, which is not an error of the report.
    except OSError as error:
        raise ReportError(f"standard output: the report cannot be written: {error.strerror}") from None


def _write(path: Path, text: str, mode: str) -> None:
    with _explained(path), path.open(mode, encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        file.write(text)


def _check_writable(path: Path) -> None:
    """Raise ReportError if a file cannot be written; its content stays as it is."""
    with _explained(path):
        exists = path.exists()
        if exists and not path.is_file():
            return  # Opening a pipe would end its reader.
        path.open("a").close()
        if not exists:
            path.unlink()


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Make the directory of a path; turn an OSError into a ReportError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise ReportError(f"{path}: the report cannot be written: {error.strerror}") from None
