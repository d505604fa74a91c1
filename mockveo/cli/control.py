"""The commands that control a running server, over its control API."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import click

from mockveo.console.options import option
from mockveo.console.output import is_discarded, print_document, print_table, say
from mockveo.control_client import DEFAULT_URL, Remote, RemoteError
from mockveo.durations import seconds
from mockveo.errors import SettingsError
from mockveo.text import truncate

#: Characters of a prompt in the list of jobs, so that a line fits a terminal.
MAX_PROMPT_LENGTH: Final = 40
#: Pause between two looks for a server that is not ready. Arbitrary: short for a person, and a start takes as long.
READY_PAUSE_S: Final = 0.1


def _remote_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that choose a server and a world; the command gets a Remote."""

    @option(
        "--url",
        default=DEFAULT_URL,
        envvar="MOCKVEO_URL",
        show_default=True,
        show_envvar=True,
        help="URL of the server.",
    )
    @option(
        "--world",
        default="",
        envvar="MOCKVEO_WORLD",
        show_envvar=True,
        help="Name of the world, an isolated instance of the server. Default: the unnamed world.",
    )
    @wraps(command)
    def with_remote(url: str, world: str, **values: Any) -> None:
        command(Remote(url, world), **values)

    return with_remote


# A negative duration such as -1 must reach `seconds`, whose error explains durations.
@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("duration")
@_remote_options
def advance(remote: Remote, duration: str) -> None:
    """Let time pass at once.

    For example `mockveo advance 1m30s`.
    """
    clock = remote.ask("POST", "/clock/advance", {"seconds": seconds(duration)})
    say(f"advanced by {duration}; the {clock['mode']} clock is at {clock['now']:g} s", single_line=True)


@click.command()
@option("--wait", "wait_s", type=click.FloatRange(0), default=0.0, metavar="SECONDS", help="Wait up to so long for it.")
@_remote_options
def ready(remote: Remote, wait_s: float) -> None:
    """Check that a server is ready, e.g. as a health check.

    Exit statuses: 0 it is, 1 it is not.
    """
    until = time.monotonic() + wait_s
    while True:
        try:
            state = remote.ask("GET", "/ready")
            break
        except RemoteError:
            if time.monotonic() >= until:
                raise
        time.sleep(READY_PAUSE_S)
    say(f"ready: {state['base_url']}", single_line=True)


@click.command()
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@_remote_options
def jobs(remote: Remote, as_json: bool) -> None:
    """List the jobs, newest first."""
    listing = remote.ask("GET", "/jobs")
    if as_json:
        print_document(json.dumps(listing))
        return
    if not listing["jobs"]:
        say("there are no jobs; a create makes one, and --world names the world to look at")
        return
    print_table(map(_job_row, listing["jobs"]), ("JOB", "STATUS", "PROGRESS", "SCENARIO", "PROMPT"))
    if listing["count"] > len(listing["jobs"]):
        say(f"... and {listing['count'] - len(listing['jobs'])} older jobs", single_line=True)


def _job_row(job: Mapping[str, Any]) -> list[str]:
    prompt = truncate(" ".join(job["prompt"].split()), MAX_PROMPT_LENGTH)
    return [job["id"], job["status"], f"{job['progress']:>3} %", job["scenario"], prompt]


@click.command()
@option("--json", "as_json", is_flag=True, help="Print JSON.")
@_remote_options
def bill(remote: Remote, as_json: bool) -> None:
    """Show the jobs that were made, and what became of each.

    A job is delivered, wasted, open (its client may still come back), lost (its create was not answered) or forgotten
    (the journal has none of its exchanges any more).
    """
    made = remote.ask("GET", "/bill")
    if as_json:
        print_document(json.dumps(made))
        return
    say(made["line"])
    print_table(map(_bill_row, made["jobs"]))


def _bill_row(job: Mapping[str, Any]) -> list[str]:
    cost = f"{job['cost']['amount']:g} {job['cost']['currency']}" if job["cost"] else ""
    shown = f" [{', '.join(map(str, job['exchanges']))}]" if job["exchanges"] else ""
    return [job["state"], job["id"], f"{job['model']} {cost}".strip(), f"{job['reason']}{shown}"]


@click.command()
@option("-f", "--follow", is_flag=True, help="Keep printing new exchanges until Ctrl-C.")
@option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@_remote_options
def logs(remote: Remote, follow: bool, as_json: bool) -> None:
    """Print the exchanges."""

    def show(exchange: Mapping[str, Any]) -> None:
        if as_json:
            print_document(json.dumps(exchange))
        else:
            say(exchange["line"])

    last = 0
    for exchange in remote.ask("GET", "/journal")["exchanges"]:
        show(exchange)
        last = exchange["number"]
    if follow and not is_discarded():
        with suppress(KeyboardInterrupt):
            for exchange in remote.follow(last):
                show(exchange)
                if is_discarded():
                    return
            say("mockveo: the server has stopped", err=True)


@click.command()
@click.argument("job", required=False)
@option("--code", default="generation_failed", show_default=True, help="Error code of the job.")
@option("--message", default="The video could not be generated.", show_default=True, help="Error message of the job.")
@option("--no-reason", is_flag=True, help="Fail without a code and a message, as real jobs sometimes do.")
@_remote_options
def fail(remote: Remote, job: str | None, code: str, message: str, no_reason: bool) -> None:
    """Make a job fail now.

    JOB is the id of a job; without it, the newest unfinished job fails.
    """
    if job is None:
        unfinished = remote.ask("GET", "/jobs?ended=false&limit=1")["jobs"]
        if not unfinished:
            raise SettingsError("there is no unfinished job; create one first, or see all jobs with `mockveo jobs`")
        job = unfinished[0]["id"]
    error = None if no_reason else {"code": code, "message": message}
    ended = remote.ask("POST", f"/jobs/{quote(str(job))}/end", {"ending": "failure", "error": error})
    say(f"{ended['id']} has failed, at {ended['progress']} %", single_line=True)


@click.command()
@click.argument("scenario")
@option("--next", "once", is_flag=True, help="Only for the next create request.")
@_remote_options
def use(remote: Remote, scenario: str, once: bool) -> None:
    """Switch to another scenario.

    SCENARIO is a name (see `mockveo scenarios`) or a YAML or JSON file.
    """
    # Imported lazily: no other command here needs scenarios, and their schema takes a moment to load.
    from mockveo.simulator.scenarios import is_path, read

    chosen = {"name": Path(scenario).stem, **read(Path(scenario)).data} if is_path(scenario) else scenario
    if once:
        remote.ask("POST", "/queue", {"scenario": chosen})
        say(f"the next create request gets the scenario {scenario}", single_line=True)
        return
    current = remote.ask("PUT", "/scenario", {"scenario": chosen})
    summary = f": {current['summary']}" if current["summary"] else ""
    say(f"the scenario is {current['name']}{summary}", single_line=True)


@click.command()
@_remote_options
def worlds(remote: Remote) -> None:
    """List the worlds.

    A world is an isolated instance of the server, at its own base URL http://HOST:PORT/@NAME/v1.
    """
    rows = [
        [
            f"/@{world['name']}" if world["name"] else "(default)",
            str(world["jobs"]),
            str(world["exchanges"]),
            world["scenario"],
        ]
        for world in remote.ask("GET", "/worlds")["worlds"]
    ]
    print_table(rows, ("WORLD", "JOBS", "EXCHANGES", "SCENARIO"))


@click.command()
@option("--seed", type=int, help="New seed of the ids. Default: the same seed, so that the same ids come again.")
@_remote_options
def reset(remote: Remote, seed: int | None) -> None:
    """Reset a world.

    Forgets its jobs, exchanges and changes. Other worlds are not affected.
    """
    remote.ask("POST", "/reset", {} if seed is None else {"seed": seed})
    say("world reset")


@click.command()
@_remote_options
def har(remote: Remote) -> None:
    """Print the exchanges as HAR.

    Browsers' network tools can open a HAR file.
    """
    print_document(json.dumps(remote.ask("GET", "/journal.har")))


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_remote_options
def save(remote: Remote, file: Path) -> None:
    """Save a world to a file.

    FILE gets the world as one JSON document: jobs with their images, scenarios, clock, counters and journal, keys of
    clients included, so only you can read it. `mockveo load FILE` brings it back, on any server and with any store.
    """
    from mockveo.simulator.saving import write  # lazily, so that help starts fast

    document = remote.ask("GET", "/state")
    try:
        write(document, file)
    except OSError as error:
        raise SettingsError(f"{file} cannot be written: {error.strerror}; expected e.g. world.json") from None
    say(f"saved {len(document['jobs'])} jobs and {len(document['exchanges'])} exchanges to {file}", single_line=True)


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_remote_options
def load(remote: Remote, file: Path) -> None:
    """Replace a world by a saved one.

    FILE is what `mockveo save FILE` has written.
    """
    from mockveo import yamlfiles  # lazily, so that help starts fast

    try:
        document = yamlfiles.parse_json(yamlfiles.read(file, SettingsError))
    except ValueError as error:
        raise SettingsError(f"{file} is not JSON: {error}; expected what `mockveo save` wrote") from None
    ready = remote.ask("PUT", "/state", document)
    say(f"loaded {file}; clients call {ready['base_url']}", single_line=True)
