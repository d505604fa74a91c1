"""The command `report`: convert JSON reports, and join those of the shards of a check."""

from __future__ import annotations

import sys
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
    metavar="KIND=FILE",
    help=f"Format and file: {KINDS}. Repeatable.",
)
@option(
    "--merge", is_flag=True, help="Join the reports of all shards of a check, show the whole, exit with its status."
)
def report(files: tuple[Path, ...], reports: tuple[str, ...], merge: bool) -> None:
    """Convert JSON reports to other formats.

    Several reports with `--as html=FILE` make one page that compares them by rule. Those of `check --shard` are joined
    by --merge; exit statuses are then those of `check`.
    """
    from mockveo_contracts.reports.json_report import merged, read

    if not reports and not merge:
        raise click.UsageError("the format is missing; expected --as, e.g. --as html=report.html, or --merge")
    targets = prepare(reports)
    if not merge:
        write_all(targets, *map(read, files))
        return
    from mockveo_contracts.cli.reporting import deliver

    whole = merged([read(file) for file in files])
    deliver(whole, targets)
    sys.exit(whole.exit_status)
