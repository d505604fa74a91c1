"""The `mockveo` command: a table of its subcommands, each of which is imported when it runs.

Everything that the commands print is an interface. Exit statuses: 0 success; 1 the server refused or did not answer;
2 a setting, a file or an address cannot be used. `check` and `verify` have those of docs/client-protocol.md.
"""

from __future__ import annotations

import errno
import importlib
import io
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import click

from mockveo._version import __version__
from mockveo.console.output import discard_output, log_to_terminal, open_streams, say
from mockveo.errors import MockveoError, SettingsError, did_you_mean
from mockveo.text import truncate_middle


class CommandEntry(NamedTuple):
    """Where a subcommand is defined, and its summary, which a test compares with the command's own help."""

    place: str
    summary: str


#: Sections of `mockveo --help` -> their commands.
COMMANDS: Final[Mapping[str, Mapping[str, CommandEntry]]] = {
    "Serve": {
        "serve": CommandEntry("mockveo.cli.serve:serve", "Start the mock server."),
        "run": CommandEntry("mockveo.cli.run:run", "Run a program against the fake, and prove that nothing left."),
        "doctor": CommandEntry("mockveo.cli.doctor:doctor", "Show what works on this machine, and what would help."),
    },
    "Control a running server": {
        "advance": CommandEntry("mockveo.cli.control:advance", "Let time pass at once."),
        "bill": CommandEntry("mockveo.cli.control:bill", "Show the jobs that were made, and what became of each."),
        "fail": CommandEntry("mockveo.cli.control:fail", "Make a job fail now."),
        "har": CommandEntry("mockveo.cli.control:har", "Print the exchanges as HAR."),
        "jobs": CommandEntry("mockveo.cli.control:jobs", "List the jobs, newest first."),
        "load": CommandEntry("mockveo.cli.control:load", "Replace a world by a saved one."),
        "logs": CommandEntry("mockveo.cli.control:logs", "Print the exchanges."),
        "ready": CommandEntry("mockveo.cli.control:ready", "Check that a server is ready, e.g. as a health check."),
        "reset": CommandEntry("mockveo.cli.control:reset", "Reset a world."),
        "save": CommandEntry("mockveo.cli.control:save", "Save a world to a file."),
        "use": CommandEntry("mockveo.cli.control:use", "Switch to another scenario."),
        "worlds": CommandEntry("mockveo.cli.control:worlds", "List the worlds."),
    },
    "Scenarios and saved traffic": {
        "scenarios": CommandEntry("mockveo.cli.scenarios:scenarios", "List the built-in scenarios, show or check one."),
        "judge": CommandEntry("mockveo.cli.judge:judge", "Check saved traffic against the contract."),
    },
    "Contract tests": {
        "check": CommandEntry("mockveo_contracts.cli.check:check", "Test a client against the contract."),
        "verify": CommandEntry("mockveo_contracts.cli.verify:verify", "Test a server against the contract."),
        "cases": CommandEntry("mockveo_contracts.cli.cases:cases", "List the cases that `check` runs."),
        "replay": CommandEntry("mockveo_contracts.cli.cases:replay", "Serve one case, to be called by hand."),
        "report": CommandEntry("mockveo_contracts.cli.report:report", "Convert JSON reports to other formats."),
        "rules": CommandEntry("mockveo_contracts.cli.rules:rules", "List the rules of the contract."),
        "explain": CommandEntry("mockveo_contracts.cli.rules:explain", "Explain a rule and name its source."),
    },
}
_ENTRIES: Final = {name: entry for section in COMMANDS.values() for name, entry in section.items()}
_DEFAULT_COMMAND: Final = "serve"
#: An exit status; 1 would say of `check` and `verify` that a rule is broken.
_COULD_NOT_RUN: Final = 2
#: Characters of an error; it begins with a value, however long, and ends with what was expected. Arbitrary: a screen.
_MAX_ERROR_CHARACTERS: Final = 4000


@contextmanager
def explain_errors() -> Iterator[None]:
    """Turn an error that the user can fix into one line and an exit status, without a traceback."""
    try:
        yield
    except MockveoError as error:
        say(f"mockveo: {truncate_middle(str(error), _MAX_ERROR_CHARACTERS)}", err=True)
        sys.exit(error.exit_status)
    except BrokenPipeError:
        discard_output()
        sys.exit(0)
    except (OSError, UnicodeEncodeError) as error:
        say(f"mockveo: {_explanation(error)}", err=True)
        sys.exit(_COULD_NOT_RUN)
    except (click.Abort, KeyboardInterrupt):
        say("mockveo: interrupted", err=True)
        sys.exit(_COULD_NOT_RUN)
    except click.UsageError as error:
        if len(error.message) > _MAX_ERROR_CHARACTERS:
            raise click.UsageError(truncate_middle(error.message, _MAX_ERROR_CHARACTERS), error.ctx) from None
        raise
    except (click.ClickException, click.exceptions.Exit):
        raise
    except Exception:
        # Imported lazily: few commands need it.
        import logging

        log_to_terminal()
        logging.getLogger("mockveo").exception("mockveo failed; this is a bug of mockveo")
        sys.exit(_COULD_NOT_RUN)


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    """Let SIGTERM and SIGHUP interrupt as Ctrl-C does, so that nothing is left behind. An ignored one stays ignored."""
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    is_main = threading.current_thread() is threading.main_thread()
    handled = [number for number in numbers if is_main and signal.getsignal(number) is signal.SIG_DFL]
    for number in handled:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, signal.SIG_DFL)


def _explanation(error: OSError | UnicodeEncodeError) -> str:
    if isinstance(error, UnicodeEncodeError):
        return (
            f"the file name {error.object!r} cannot be written in {error.encoding}, the encoding of this locale;"
            " expected UTF-8, e.g. PYTHONUTF8=1 mockveo check"
        )
    if isinstance(error, FileNotFoundError) and error.filename is None:
        return "the working directory does not exist; expected one that does, e.g. cd .."
    if error.errno == errno.ENOSPC:
        import tempfile  # lazily, so that help starts fast

        return f"there is no room for the output, or for files in {tempfile.gettempdir()}: {error.strerror}"
    return str(error)


class LazyGroup(click.Group):
    """The group of all subcommands; without a command it serves, so `mockveo --port 0` is `mockveo serve --port 0`."""

    def main(self, *arguments: Any, **keywords: Any) -> Any:
        """Run a command line; if standard error cannot be written, only the exit status says that it failed."""
        with _signals_interrupt():
            try:
                return super().main(*arguments, **keywords)
            except OSError:
                sys.exit(_COULD_NOT_RUN)

    def make_context(self, *arguments: Any, **keywords: Any) -> click.Context:
        """Parse a command line, and explain errors, e.g. of the output of --version."""
        open_streams()
        with explain_errors():
            return super().make_context(*arguments, **keywords)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert the default command."""
        if not args or (args[0].startswith("-") and args[0] not in ("--help", "-h", "--version")):
            args = [_DEFAULT_COMMAND, *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order of the help."""
        del ctx
        return list(_ENTRIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """Import a command. Raises SettingsError for an unknown name."""
        del ctx
        if cmd_name not in _ENTRIES:
            hint = did_you_mean(cmd_name, _ENTRIES)
            raise SettingsError(
                f"the command is {cmd_name!r}; {hint}expected one of {', '.join(_ENTRIES)}, e.g. mockveo serve"
            )
        module, _, attribute = _ENTRIES[cmd_name].place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by section, from the table, so that none has to be imported."""
        del ctx
        width = max(map(len, _ENTRIES))
        for title, section in COMMANDS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), entry.summary) for name, entry in section.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, and explain its errors."""
        with explain_errors():
            return super().invoke(ctx)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Without a command, mockveo starts the server. `mockveo COMMAND --help` describes a command.",
)
@click.version_option(__version__, message="mockveo %(version)s")
def main() -> None:
    """Mock CometAPI's /v1/videos (Veo) locally, and test clients and servers of it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A prompt may hold characters that the terminal's encoding lacks.
            stream.reconfigure(errors="backslashreplace")
