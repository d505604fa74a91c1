"""The command line: a thin shell. Whatever it prints and returns is interface.

Exit statuses: 0 done, 1 the server refused or is not there, 2 a setting, a file or an address cannot be used.
"""

from __future__ import annotations

import gc
import io
import os
import sys
import typing
import warnings
from collections.abc import Callable
from dataclasses import fields
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import click
from mockveo_contracts.cli import CHECKS

from mockveo._version import __version__
from mockveo.cli.control import COMMANDS, explained
from mockveo.settings import Settings, flag

if TYPE_CHECKING:
    pass


class _Commands(click.Group):
    """A group whose command is `serve` where none is named, so that `mockveo --port 0` is `mockveo serve --port 0`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ("--help", "-h", "--version")):
            args = ["serve", *args]
        return super().parse_args(ctx, args)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Without a command: serve.",
)
@click.version_option(__version__, message="mockveo %(version)s")
def main() -> None:
    """A local mock of CometAPI's /v1/videos (Veo): jobs that take their time, without the bill."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a prompt may have what a terminal has not


def _settings_options(command: Callable[..., None]) -> Callable[..., None]:
    """One option for each setting: its flag, its variable, its default and its help."""
    hints = typing.get_type_hints(Settings)
    for setting in reversed(fields(Settings)):
        hint, kinds = hints[setting.name], typing.get_args(hints[setting.name])
        options: dict[str, Any] = {
            "default": setting.default,
            "help": setting.metadata["help"],
            "envvar": f"MOCKVEO_{setting.name.upper()}",
            "show_envvar": True,
            "show_default": setting.default not in (None, (), False),
        }
        declaration = flag(setting.name)
        if bool in (hint, *kinds):
            declaration += f"/--no-{declaration[2:]}"
        elif typing.get_origin(hint) is tuple:
            options["multiple"] = True
            # In a variable paths are joined as in PATH, so that a blank in one does no harm; others by blanks.
            options["type"] = click.Path() if setting.name == "overlay" else str
        else:
            options["type"] = next(kind for kind in (hint, *kinds) if kind in (str, int, float))
        command = click.option(declaration, setting.name, **options)(command)
    return command


@main.command()
@_settings_options
@click.option(
    "--ready-file", envvar="MOCKVEO_READY_FILE", show_envvar=True, help="Write a file of JSON once it listens."
)
@click.option(
    "--log",
    "log_format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    envvar="MOCKVEO_LOG",
    show_envvar=True,
    help="How exchanges are logged.",
)
@click.option("--quiet/--no-quiet", envvar="MOCKVEO_QUIET", show_envvar=True, help="Log nothing but errors.")
@click.option(
    "--findings/--no-findings",
    default=True,
    envvar="MOCKVEO_FINDINGS",
    show_envvar=True,
    help="Log what clients get wrong, by the rules of the contract.  [default: findings]",
)
def serve(ready_file: str | None, log_format: str, quiet: bool, findings: bool, **values: Any) -> None:
    """Start the mock server.

    At the default pace a job takes 6 to 20 seconds; with --speed 1 as long as in reality, one to three minutes.
    """
    gc.disable()  # until it listens: there is no garbage in starting
    # Here, not above: --help and --version are not to wait for a web server to load.
    from mockveo.cli.serve import run
    from mockveo.settings import of

    warnings.showwarning = _show_warning
    _warn_of_unknown_variables()
    with explained():
        run(of(**values), ready_file=ready_file, log_format=log_format, quiet=quiet, findings=findings)


def _warn_of_unknown_variables() -> None:
    """A misspelt variable would be a setting that silently is not."""
    known = {str(option.envvar) for option in serve.params if isinstance(option, click.Option)}
    for name in os.environ:
        # Those of a client under test are set by the checker.
        if name.startswith("MOCKVEO_") and name not in known | {"MOCKVEO_URL", "MOCKVEO_WORLD"} | _OF_A_CASE:
            near = get_close_matches(name, known, 1, 0.7)
            hint = f"; did you mean {near[0]}?" if near else ""
            warnings.warn(f"the variable {name} is none of mockveo's{hint}", stacklevel=1)


_OF_A_CASE = {
    f"MOCKVEO_{name}" for name in ["PROMPT", "MODEL", "SIZE", "IMAGES", "CASE", "POLL_INTERVAL_S", "DEADLINE_S"]
}


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    click.echo(f"mockveo: warning: {message}", err=True)


for _command in (*COMMANDS, *CHECKS):
    main.add_command(_command)
