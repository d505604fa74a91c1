"""The command `doctor`: what of the kit works on this machine, and what would make the rest work."""

from __future__ import annotations

import json
import shutil
import socket
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Final, NamedTuple

import click

from mockveo._version import __version__
from mockveo.console.options import option
from mockveo.console.output import print_document, print_table, say
from mockveo.errors import SettingsError
from mockveo.settings import Settings

#: Extra -> a module of each package that it installs, and what it is for.
EXTRAS: Final = {
    "contracts": (("hypothesis", "pytest"), "mockveo check and verify"),
    "metrics": (("prometheus_client",), "the metrics of a server"),
    "redis": (("redis", "hiredis"), "worlds that several servers share"),
    "run": (("cryptography",), "mockveo run, serve --tls"),
    "schemathesis": (("schemathesis",), "generated requests of mockveo verify"),
    "video": (("av", "PIL"), "clips drawn from the images of a job"),
}
#: Program -> what it is for.
PROGRAMS: Final = {"faketime": "tests of programs that take their time from the system"}
_HTTPS_PORT: Final = 443


class Diagnosis(NamedTuple):
    """Whether a part works, and what would help or what it gives."""

    name: str
    works: bool
    detail: str


@click.command()
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> None:
    """Show what works on this machine, and what would help.

    It tries how `mockveo run` can isolate a program, and looks for extras, programs and free ports.
    """
    diagnoses = [*_isolations(), *_extras(), *_fonts(), *_programs(), *_ports()]
    if as_json:
        print_document(json.dumps([diagnosis._asdict() for diagnosis in diagnoses]))
        return
    version = ".".join(map(str, sys.version_info[:3]))
    say(f"mockveo {__version__}, Python {version}, {sys.platform}")
    print_table([(item.name, "yes" if item.works else "no", item.detail) for item in diagnoses])


def _isolations() -> Iterator[Diagnosis]:
    try:
        from mockveo.interception.proof import WORTH
        from mockveo.interception.run import refusal_of
        from mockveo.interception.sandbox.isolation import ISOLATIONS
    except SettingsError as error:
        yield Diagnosis("isolation", False, str(error))
        return

    refusals = {isolation: refusal_of(isolation) for isolation in ISOLATIONS}
    chosen = next(isolation for isolation, refusal in refusals.items() if not refusal)
    for isolation, refusal in refusals.items():
        taken = " (mockveo run takes it)" if isolation == chosen else ""
        yield Diagnosis(f"isolation {isolation}", not refusal, refusal or f"{WORTH[isolation]}{taken}")


def _extras() -> Iterator[Diagnosis]:
    for extra, (modules, purpose) in EXTRAS.items():
        works = all(find_spec(module) for module in modules)
        yield Diagnosis(f"extra {extra}", works, purpose if works else f"{purpose}: pip install 'mockveo[{extra}]'")


def _fonts() -> Iterator[Diagnosis]:
    if all(find_spec(module) for module in EXTRAS["video"][0]):
        from mockveo.content.rendering import installed_font

        path = str(getattr(installed_font(24), "path", ""))
        remedy = "clips show Latin letters only: install fonts-noto-cjk or fonts-dejavu"
        yield Diagnosis("fonts", path.startswith("/"), path if path.startswith("/") else remedy)


def _programs() -> Iterator[Diagnosis]:
    for program, purpose in PROGRAMS.items():
        path = shutil.which(program)
        yield Diagnosis(f"program {program}", path is not None, path or f"{purpose}: install {program}")


def _ports() -> Iterator[Diagnosis]:
    port = Settings().port
    for number, remedy in ((port, f"mockveo --port {port + 1}"), (_HTTPS_PORT, "mockveo serve --tls --tls-port 8443")):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", number))
                probe.listen()
            except OSError as error:
                yield Diagnosis(f"port {number}", False, f"{error.strerror}; use another: {remedy}")
            else:
                yield Diagnosis(f"port {number}", True, "free on 127.0.0.1")
