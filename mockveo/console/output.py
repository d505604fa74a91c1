"""Standard output, as the commands write to it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Final

import click

#: Columns of text at most; longer rows are hard to read.
MAX_WIDTH: Final = 100
#: Columns that the last column of a table gets at least, however narrow a terminal is.
_MIN_WIDTH: Final = 20


def print_table(rows: Iterable[Sequence[str]], heads: Sequence[str] = ()) -> None:
    """Print rows below their heads; on a terminal the last column is wrapped, elsewhere a row is a line."""
    lines = [*([heads] if heads else []), *rows]
    # The last column needs no padding.
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)][:-1]
    for line in lines:
        lead = "".join(f"{cell:{width}}  " for cell, width in zip(line, widths, strict=False))
        print_wrapped(line[-1], lead)


def print_wrapped(text: str, lead: str = "") -> None:
    """Print a text after a lead; on a terminal further rows begin below the text."""
    indent = " " * len(lead)
    if sys.stdout.isatty():
        columns = min(shutil.get_terminal_size((MAX_WIDTH, 24)).columns, MAX_WIDTH)
        text = click.wrap_text(text, max(columns, len(lead) + _MIN_WIDTH), indent, indent)[len(lead) :]
    click.echo(f"{lead}{text}".rstrip())


def discard_output() -> None:
    """Send further output to nowhere, after the reader closed the pipe.

    Without this, flushing the buffer at exit would raise BrokenPipeError again.
    """
    sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115
