"""The command `serve`: an option for each setting, and those of the terminal."""

from __future__ import annotations

import gc
import os
import typing
import warnings
from collections.abc import Callable
from dataclasses import fields
from difflib import get_close_matches
from typing import Any, Final

import click

from mockveo.console.options import option
from mockveo.settings import Settings, flag, of

#: Variables that `mockveo check` sets for a client under test, and those of the control commands. MOCKVEO_MODEL is one
#: too, and a setting: a server that such a client starts serves the model that the client is to send.
_FOREIGN_VARIABLES: Final = {
    f"MOCKVEO_{name}" for name in ("URL", "WORLD", "PROMPT", "SIZE", "IMAGES", "CASE", "POLL_INTERVAL_S", "DEADLINE_S")
}


def _settings_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add an option for each setting: its flag, variable, default and help."""
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
            # click splits a variable of paths as PATH is split, so that a path may hold a space; others at spaces.
            options["type"] = click.Path() if setting.name == "overlay" else str
        else:
            options["type"] = next(kind for kind in (hint, *kinds) if kind in (str, int, float))
        command = option(declaration, setting.name, **options)(command)
    return command


@click.command()
@_settings_options
@option(
    "--ready-file",
    envvar="MOCKVEO_READY_FILE",
    show_envvar=True,
    metavar="FILE",
    help="Once the server listens, write its URL, port and process id as JSON: to a new file, or over an earlier"
    " ready file. Removed when the server stops.",
)
@option(
    "--log",
    "log_format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    envvar="MOCKVEO_LOG",
    show_envvar=True,
    help="Format of the log.",
)
@option("--quiet/--no-quiet", envvar="MOCKVEO_QUIET", show_envvar=True, help="Print only errors.")
@option(
    "--findings/--no-findings",
    default=True,
    envvar="MOCKVEO_FINDINGS",
    show_envvar=True,
    help="Log where clients break the contract.  [default: findings]",
)
def serve(ready_file: str | None, log_format: str, quiet: bool, findings: bool, **values: Any) -> None:
    """Start the mock server.

    By default a job takes 6 to 20 seconds; with --speed 1 it takes one to three minutes, as the real service does.
    """
    gc.disable()  # Starting makes no garbage; `run` enables it again once the server listens.
    # Imported lazily so that `serve --help` starts fast, and without the garbage collector.
    from mockveo.console.foreground import run

    warnings.showwarning = _show_warning
    _warn_of_unknown_variables()
    run(of(**values), ready_file=ready_file, log_format=log_format, quiet=quiet, findings=findings)


def _warn_of_unknown_variables() -> None:
    """Warn of misspelt variables, which would otherwise be ignored silently."""
    variables = {str(parameter.envvar) for parameter in serve.params if isinstance(parameter, click.Option)}
    for name in os.environ:
        if name.startswith("MOCKVEO_") and name not in variables | _FOREIGN_VARIABLES:
            near = get_close_matches(name, variables, 1, 0.7)
            hint = f"; did you mean {near[0]}?" if near else ""
            warnings.warn(f"the environment variable {name} is unknown and ignored{hint}", stacklevel=1)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    click.echo(f"mockveo: warning: {message}", err=True)
