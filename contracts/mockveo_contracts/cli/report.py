"""The command `report`: convert JSON reports."""

from __future__ import annotations

from pathlib import Path

import click

from mockveo.console.options import option
from mockveo_contracts.reports.formats import KINDS, prepare, write_all


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@option(
    "--as",
    "reports",
    multiple=True,
    required=True,
    metavar="KIND=FILE",
    help=f"Format and file: {KINDS}. Repeatable.",
)
def report(files: tuple[Path, ...], reports: tuple[str, ...]) -> None:
    """Convert JSON reports to other formats.

    Several reports with `--as html=FILE` make one page that compares them by rule.
    """
    from mockveo_contracts.reports.json_report import read

    write_all(prepare(reports), *map(read, files))
