"""The commands of mockveo, as tests of documents and help need them."""

from __future__ import annotations

from collections.abc import Iterator

import click

from mockveo.cli.main import main


def commands(group: click.Command = main) -> Iterator[click.Command]:
    """Yield a command and all its subcommands."""
    yield group
    if isinstance(group, click.Group):
        context = click.Context(group)
        for name in group.list_commands(context):
            subcommand = group.get_command(context, name)
            assert subcommand is not None
            yield from commands(subcommand)


def options() -> set[str]:
    """Return every option of every command."""
    return {
        name
        for command in commands()
        for option in command.params
        if isinstance(option, click.Option)
        for name in [*option.opts, *option.secondary_opts]
    }
