"""The formats of reports: parses `--report KIND=FILE`, and writes the files.

To add a format, write a module with a function from a Report to text, and its row to the table.
This module loads none of them: `--help` shows the kinds.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from mockveo._paths import write_whole
from mockveo.errors import ReportError, did_you_mean

if TYPE_CHECKING:
    from mockveo_contracts.reports.model import Report


class Target(NamedTuple):
    """A report to write, and where; None stands for standard output."""

    kind: str
    path: Path | None


class Format(NamedTuple):
    """A format: its kind, the function that makes its text, and a file name as an example."""

    kind: str
    #: Module and function. Imported when a report is written, so that help shows the kinds without the kit.
    place: str
    example: str
    #: The function takes several reports, not one.
    compares: bool = False

    def __call__(self, reports: Sequence[Report]) -> str:
        """Return reports as text. Raises ReportError if the format holds one report only."""
        if not self.compares and len(reports) != 1:
            raise ReportError(
                f"{self.kind} holds one report, not {len(reports)}; html holds several, e.g. html=report.html"
            )
        module, _, name = self.place.partition(":")
        text: str = getattr(import_module(module), name)(reports if self.compares else reports[0])
        return text


_TABLE: Final = (
    Format("json", "mockveo_contracts.reports.json_report:json_report", "report.json"),
    Format("junit", "mockveo_contracts.reports.junit:junit", "junit.xml"),
    Format("html", "mockveo_contracts.reports.html:html", "report.html", compares=True),
    Format("sarif", "mockveo_contracts.reports.sarif:sarif", "report.sarif"),
    Format("github", "mockveo_contracts.reports.github:github", "annotations.txt"),
    Format("har", "mockveo_contracts.reports.har:har", "findings.har"),
)
FORMATS: Final[Mapping[str, Format]] = {entry.kind: entry for entry in _TABLE}
#: The kinds, as help lists them.
KINDS: Final = " or ".join(", ".join(FORMATS).rsplit(", ", 1))
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
    example = FORMATS[kind].example
    if not file and kind != "github":
        raise ReportError(f"--report {spec}: the file is missing; expected e.g. --report {kind}={example}")
    path = Path(file) if file and file != "-" else None
    if path is not None and path.is_dir():
        inside = (path / example).as_posix()
        raise ReportError(f"--report {spec}: {file} is a directory; expected a file, e.g. --report {kind}={inside}")
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
    """Write all targets, whichever of them fail.

    Raises ReportError that names all failures, or BrokenPipeError if only the reader of standard output has left.
    """
    errors, unread = [], None
    for target in targets:
        try:
            write(target, *reports)
        except BrokenPipeError as error:
            unread = error
        except ReportError as error:
            errors.append(str(error))
    if errors:
        raise ReportError("\n  ".join(errors))
    if unread is not None:
        raise unread


def write(target: Target, *reports: Report) -> None:
    """Write one report or several to a target. Raises ReportError."""
    text = FORMATS[target.kind](reports)
    if target.path is None:
        _print(text)
    else:
        with _explained(target.path):
            write_whole(target.path, text.encode(errors="backslashreplace"))
    step_summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if target.kind == "github" and step_summary:
        from mockveo_contracts.reports.github import summary

        path = Path(step_summary)
        with _explained(path), path.open("a", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            file.write(summary(reports[0]))


def _print(text: str) -> None:
    from mockveo_contracts.reports.terminal import encodable

    try:
        sys.stdout.write(encodable(text, sys.stdout.encoding))
        sys.stdout.flush()
    except BrokenPipeError:
        raise  # The reader has closed the pipe, which is not an error of the report.
    except OSError as error:
        raise ReportError(f"standard output: the report cannot be written: {error.strerror}") from None


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
