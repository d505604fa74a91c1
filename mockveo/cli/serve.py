"""The command `serve`: an option for each setting, and those of the terminal."""

from __future__ import annotations

import gc
import os
import sys
import typing
import warnings
from collections.abc import Callable, Collection
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mockveo.console.options import option
from mockveo.console.output import say
from mockveo.errors import SettingsError, nearest_word
from mockveo.settings import MAX_PORT, Settings, flag, of
from mockveo.text import MAX_SHOWN_CHARACTERS, truncate

if TYPE_CHECKING:
    from mockveo.interception.serving import TlsOptions

#: Variables that `mockveo check` sets for a client under test, and those of the control commands. MOCKVEO_MODEL is one
#: too, and a setting: a server that such a client starts serves the model that the client is to send.
_FOREIGN_VARIABLES: Final = {
    f"MOCKVEO_{name}" for name in ("URL", "WORLD", "PROMPT", "SIZE", "IMAGES", "CASE", "POLL_INTERVAL_S", "DEADLINE_S")
}


def settings_options(command: Callable[..., None], *, without: Collection[str] = ()) -> Callable[..., None]:
    """Add an option for each setting but some: its flag, variable, default and help."""
    hints = typing.get_type_hints(Settings)
    for setting in reversed([setting for setting in fields(Settings) if setting.name not in without]):
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
@settings_options
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
@option("--tls", is_flag=True, envvar="MOCKVEO_TLS", show_envvar=True, help="Answer HTTPS too, under the real names.")
@option(
    "--tls-name",
    "tls_names",
    multiple=True,
    metavar="NAME",
    envvar="MOCKVEO_TLS_NAME",
    show_envvar=True,
    help="With --tls, a further name, e.g. of a container. Repeatable.",
)
@option(
    "--tls-port",
    type=click.IntRange(0, MAX_PORT),
    default=443,
    show_default=True,
    envvar="MOCKVEO_TLS_PORT",
    show_envvar=True,
    help="With --tls, the port; 0 picks a free one.",
)
@option(
    "--tls-ca",
    default="mockveo-ca.pem",
    show_default=True,
    metavar="FILE",
    envvar="MOCKVEO_TLS_CA",
    show_envvar=True,
    help="With --tls, where to write the certificate of the authority, which is new at each start and has no key left.",
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
    tls = _tls_options(values)
    settings = of(**values)
    if tls is not None and settings.workers > 1:
        raise SettingsError(f"--workers is {settings.workers}; expected 1 with --tls, e.g. --workers 1")
    if settings.workers > 1:
        from mockveo.console.workers import run_workers

        gc.enable()
        sys.exit(run_workers(settings, ready_file=ready_file, log_format=log_format, quiet=quiet, findings=findings))
    run(settings, ready_file=ready_file, log_format=log_format, quiet=quiet, findings=findings, tls=tls)


def _tls_options(values: dict[str, Any]) -> TlsOptions | None:
    """Take the options of TLS from those of the command."""
    is_on, *rest = (values.pop(name) for name in ("tls", "tls_names", "tls_port", "tls_ca"))
    if not is_on:
        return None
    from mockveo.interception.serving import TlsOptions

    names, port, file = rest
    return TlsOptions(names, port, Path(file))


def _warn_of_unknown_variables() -> None:
    """Warn of misspelt variables, which would otherwise be ignored silently."""
    variables = {str(parameter.envvar) for parameter in serve.params if isinstance(parameter, click.Option)}
    for name in os.environ:
        if name.startswith("MOCKVEO_") and name not in variables | _FOREIGN_VARIABLES:
            near = nearest_word(name, variables, 0.7)
            hint = f"; did you mean {near}?" if near else ""
            shown = truncate(name, MAX_SHOWN_CHARACTERS)
            warnings.warn(f"the environment variable {shown} is unknown and ignored{hint}", stacklevel=1)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    say(f"mockveo: warning: {message}", err=True)
