"""The commands beside `serve`: those that turn a running server, and those that read files.

Each is thin: over the control API by `remote.py`, or over one function.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import click

from mockveo.errors import MockveoError, SettingsError
from mockveo.text import truncate

if TYPE_CHECKING:
    from mockveo.control_client import Remote


@contextmanager
def explained() -> Iterator[None]:
    """What a user can mend ends in a line and a status, not in a traceback."""
    try:
        yield
    except MockveoError as error:
        click.echo(f"mockveo: {error}", err=True)
        sys.exit(1 if type(error).__name__ == "RemoteError" else 2)
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            click.echo(f"mockveo: {error}", err=True)
            sys.exit(1)
        unread()


def unread() -> None:
    """Whoever read has seen enough; what is left in the buffer is not to fail at the exit either."""
    sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115


@click.group(invoke_without_command=True)
@click.pass_context
def scenarios(context: click.Context) -> None:
    """List the built-in scenarios, or show one.

    `scenarios show NAME` prints one as YAML to start from, `scenarios schema` the JSON Schema.
    """
    if context.invoked_subcommand is None:
        from mockveo.simulator.scenarios import built_in

        for one in built_in():
            click.echo(f"{one.name:24}{one.summary}")


@scenarios.command()
@click.argument("name")
def show(name: str) -> None:
    """Print a built-in scenario as YAML."""
    from mockveo._paths import built_in_scenarios
    from mockveo.simulator.scenarios import named

    with explained():
        named(name)
        click.echo(built_in_scenarios()[name].read_text(encoding="utf-8"), nl=False)


@scenarios.command()
def schema() -> None:
    """Print the JSON Schema of a scenario."""
    from mockveo.simulator.scenarios import SCHEMA

    click.echo(SCHEMA.read_text(encoding="utf-8"), nl=False)


@scenarios.command()
@click.argument("files", nargs=-1, required=True)
def check(files: tuple[str, ...]) -> None:
    """Check scenario files, and say what is wrong with them.

    Whether the document has the errors they name is checked when they are played.
    """
    from mockveo.simulator.scenarios import read

    with explained():
        for name in files:
            one = read(Path(name))
            click.echo(f"{name}: {len(one.faults)} faults, ends in {one.ending}")


def _remote_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of commands that turn a running server; they hand the command a Remote."""

    @click.option(
        "--url",
        default="http://127.0.0.1:8360",
        envvar="MOCKVEO_URL",
        show_default=True,
        show_envvar=True,
        help="Where the server is.",
    )
    @click.option(
        "--world",
        default="",
        envvar="MOCKVEO_WORLD",
        show_envvar=True,
        help="Its world. Default: the one without a name.",
    )
    @wraps(command)
    def with_remote(url: str, world: str, **values: Any) -> None:
        from mockveo.control_client import Remote

        with explained():
            command(Remote(url, world), **values)

    return with_remote


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("duration")
@_remote_options
def advance(remote: Remote, duration: str) -> None:
    """Let time pass at once.

    In the world of a running server, e.g. `mockveo advance 1m30s`.
    """
    from mockveo.durations import seconds

    clock = remote.ask("POST", "/clock/advance", {"seconds": seconds(duration)})
    click.echo(f"{duration} further; the world is {clock['now']:g} s old, by the {clock['mode']} clock")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_remote_options
def jobs(remote: Remote, as_json: bool) -> None:
    """List the jobs of a running server, youngest first."""
    found = remote.ask("GET", "/jobs")
    if as_json:
        click.echo(json.dumps(found))
        return
    for job in found["jobs"]:
        prompt = " ".join(job["prompt"].split())
        prompt = truncate(prompt, 40)
        click.echo(f"{job['id']}  {job['status']:<11} {job['progress']:>3} %  {job['scenario']:<20} {prompt}".rstrip())
    if found["count"] > len(found["jobs"]):
        click.echo(f"... and {found['count'] - len(found['jobs'])} older ones")


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print an object of JSON a line.")
@_remote_options
def logs(remote: Remote, follow: bool, as_json: bool) -> None:
    """Print the exchanges of a running server."""
    last = 0
    for exchange in remote.ask("GET", "/journal")["exchanges"]:
        click.echo(json.dumps(exchange) if as_json else exchange["line"])
        last = exchange["number"]
    if follow:
        with suppress(KeyboardInterrupt):
            for exchange in remote.follow(last):
                click.echo(json.dumps(exchange) if as_json else exchange["line"])
            click.echo("mockveo: the server has ended", err=True)


@click.command()
@click.argument("job", required=False)
@click.option("--code", default="generation_failed", show_default=True, help="The code of the reason.")
@click.option("--message", default="The video could not be generated.", show_default=True, help="The reason.")
@click.option("--no-reason", is_flag=True, help="Fail without a reason, as real jobs sometimes do.")
@_remote_options
def fail(remote: Remote, job: str | None, code: str, message: str, no_reason: bool) -> None:
    """Let a job of a running server fail now.

    Without an id the youngest that has not come to its end.
    """
    if job is None:
        found = remote.ask("GET", "/jobs?ended=false&limit=1")["jobs"]
        if not found:
            raise SettingsError("there is no job that goes on; `mockveo jobs` lists all")
        job = found[0]["id"]
    error = None if no_reason else {"code": code, "message": message}
    ended = remote.ask("POST", f"/jobs/{quote(str(job))}/end", {"ending": "failure", "error": error})
    click.echo(f"{ended['id']} has failed, at {ended['progress']} %")


@click.command()
@click.argument("scenario")
@click.option("--next", "once", is_flag=True, help="For the next create only.")
@_remote_options
def use(remote: Remote, scenario: str, once: bool) -> None:
    """Give a running server another scenario.

    A name, or a file of YAML or JSON.
    """
    from mockveo.simulator.scenarios import is_path, read

    chosen = {"name": Path(scenario).stem, **read(Path(scenario)).data} if is_path(scenario) else scenario
    if once:
        remote.ask("POST", "/queue", {"scenario": chosen})
        click.echo(f"the next create has the scenario {scenario}")
    else:
        found = remote.ask("PUT", "/scenario", {"scenario": chosen})
        click.echo(f"the scenario is {found['name']}" + (f": {found['summary']}" if found["summary"] else ""))


@click.command()
@_remote_options
def worlds(remote: Remote) -> None:
    """List the worlds of a running server."""
    for world in remote.ask("GET", "/worlds")["worlds"]:
        name = f"/@{world['name']}" if world["name"] else "(default)"
        click.echo(f"{name:24}{world['jobs']:>6} jobs{world['exchanges']:>8} exchanges  {world['scenario']}")


@click.command()
@click.option("--seed", type=int, help="What ids follow from. Default: as before, so that the same ids come again.")
@_remote_options
def reset(remote: Remote, seed: int | None) -> None:
    """Begin a running server's world anew.

    Its jobs, exchanges and changes are forgotten; other worlds are not touched.
    """
    remote.ask("POST", "/reset", {} if seed is None else {"seed": seed})
    click.echo("the world is as new")


@click.command()
@_remote_options
def har(remote: Remote) -> None:
    """Print the exchanges of a running server as HAR.

    The network tools of browsers open it.
    """
    click.echo(json.dumps(remote.ask("GET", "/journal.har")))


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print an object of JSON.")
def judge(file: Path, as_json: bool) -> None:
    """Judge saved traffic by the rules that requests alone decide.

    A journal, a JSON log or a HAR. The exit status is 1 where a rule of severity MUST is broken.
    """
    with explained():
        from mockveo.rules.client_rules import findings
        from mockveo.traffic.importing import read

        trace = read(file)
        found = [finding.to_json() for finding in findings(trace)]
        if as_json:
            click.echo(json.dumps({"exchanges": len(trace), "findings": found}))
        for one in () if as_json else found:
            where = ", ".join(map(str, one["exchanges"]))
            click.echo(f"{one['verdict']} of {one['rule']}: {one['message']} [{where}]\n  source: {one['source']}")
        if not as_json:
            click.echo(f"{len(trace)} exchanges, {len(found)} findings, by the rules that requests alone decide")
        if any(one["verdict"] == "violation" for one in found):
            sys.exit(1)


#: All of them, for the group that they belong to.
COMMANDS: Final = (advance, fail, har, jobs, judge, logs, reset, scenarios, use, worlds)
