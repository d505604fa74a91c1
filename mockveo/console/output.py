"""Standard output and standard error, as the commands write to them: all that others wrote is made visible."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Final

import click

from mockveo.errors import MockveoError
from mockveo.text import printable, truncate

#: Columns of text at most; longer rows are hard to read.
MAX_WIDTH: Final = 100
#: Columns that the last column of a table gets at least, however narrow a terminal is.
_MIN_WIDTH: Final = 20
#: Characters of a text that is printed; arbitrary: many screens.
_MAX_CHARACTERS: Final = 100_000


class OutputError(MockveoError):
    """Standard output cannot be written."""


def say(text: str, *, err: bool = False, single_line: bool = False) -> None:
    """Print a text of others: cut, and with what could act on a terminal made visible.

    Line breaks stay, unless with `single_line`, which keeps one line one.
    """
    _write(printable(truncate(text, _MAX_CHARACTERS), single_line=single_line), err=err)


def print_document(text: str) -> None:
    """Print a whole document, e.g. JSON for another program; `say` would cut it."""
    _write(printable(text).removesuffix("\n"))


def log_to_terminal() -> None:
    """Let warnings and errors that are logged be printed, as `say` prints a text of others."""
    import logging  # lazily: few commands need it

    class VisibleFormatter(logging.Formatter):
        """A formatter whose lines cannot act on a terminal."""

        def format(self, record: logging.LogRecord) -> str:
            """Return the text of a record."""
            return printable(super().format(record))

    handler = logging.StreamHandler()
    handler.setFormatter(VisibleFormatter("mockveo: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def print_table(rows: Iterable[Sequence[str]], heads: Sequence[str] = ()) -> None:
    """Print rows below their heads; on a terminal the last column is wrapped, elsewhere a row is a line."""
    cells = ([printable(cell, single_line=True) for cell in row] for row in rows)
    lines = [*([heads] if heads else []), *cells]
    # The last column needs no padding.
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)][:-1]
    for line in lines:
        lead = "".join(f"{cell:{width}}  " for cell, width in zip(line, widths, strict=False))
        print_wrapped(line[-1], lead)


def print_wrapped(text: str, lead: str = "") -> None:
    """Print a text after a lead; on a terminal further rows begin below the text."""
    text = printable(text)
    indent = " " * len(lead)
    if sys.stdout.isatty():
        columns = min(shutil.get_terminal_size((MAX_WIDTH, 24)).columns, MAX_WIDTH)
        text = click.wrap_text(text, max(columns, len(lead) + _MIN_WIDTH), indent, indent)[len(lead) :]
    _write(f"{lead}{text}".rstrip())


def _write(text: str, *, err: bool = False) -> None:
    """Write a text; without a reader the command goes on, because its exit status still counts. Raises OutputError."""
    try:
        click.echo(text, err=err)
    except OSError as error:
        if err:
            return  # There is no other place to report it.
        discard_output()
        if not isinstance(error, BrokenPipeError):
            raise OutputError(f"standard output cannot be written: {error.strerror}") from None


def open_streams() -> None:
    """Open standard streams that were closed at the start, to nowhere: a file or socket would take their numbers."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
            stream = os.fdopen(descriptor, "r" if name == "stdin" else "w", closefd=False)
            setattr(sys, name, stream)


def discard_output() -> None:
    """Send further output to nowhere, after the reader closed the pipe, or the disk is full.

    Without this, flushing the buffer at exit would raise the error again.
    """
    sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115


def is_discarded() -> bool:
    """Return whether further output goes nowhere, so that a command without an end can stop."""
    return sys.stdout.name == os.devnull
