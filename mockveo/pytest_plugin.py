"""The pytest plugin: the fixtures `mockveo`, `mockveo_worlds` and `mockveo_server`, the marker and the options.

pytest loads it in every session, even in those that do not use it, so it imports nothing but pytest. The objects
behind the fixtures are in `mockveo.testing`, which is imported when the first fixture is used.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from mockveo.server.run import ServerThread
    from mockveo.testing import Mockveo, MockveoWorlds

#: Settings with an option and an ini value -> type, placeholder and help.
_OPTIONS: dict[str, tuple[type, str, str]] = {
    "scenario": (str, "NAME|FILE", "how jobs proceed and what goes wrong (default: normal)"),
    "profile": (str, "NAME", "generation of the API to serve (default: docs-2026-03)"),
    "clock": (str, "MODE", "how time passes: poll (10 s per poll, the default), manual or wall"),
    "speed": (float, "NUMBER", "simulated seconds per second of the wall clock (default: 10)"),
    "seed": (int, "NUMBER", "seed of ids and durations (default: 0)"),
    "strict": (bool, "", "reject requests that deviate from the docs"),
}
_MARKER = (
    "mockveo(scenario=..., profile=..., strict=..., clock=..., speed=..., step=..., seed=..., key=..., credit=...,"
    " budget=...):"
    " settings of the test's own world (fixture `mockveo`); of several markers the closest wins, key by key."
    " A scenario is a name, a file relative to the rootdir, or a mapping."
)
#: An ini value of each type.
_EXAMPLES: Final = {str: "normal", float: "10", int: "0", bool: "true"}
_TEST = pytest.StashKey[str]()
_WORLDS = pytest.StashKey["MockveoWorlds"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options and the ini values."""
    group = parser.getgroup("mockveo", "mockveo, a mock of CometAPI's /v1/videos")
    for name, (kind, metavar, text) in _OPTIONS.items():
        if kind is bool:
            group.addoption(f"--mockveo-{name}", action="store_true", default=None, help=text)
            group.addoption(
                f"--no-mockveo-{name}", action="store_false", dest=f"mockveo_{name}", help=f"undo --mockveo-{name}"
            )
        else:
            group.addoption(f"--mockveo-{name}", type=kind, metavar=metavar, help=text)
        parser.addini(f"mockveo_{name}", text, type=_ini_type(kind), default=None)


def _ini_type(kind: type) -> Any:
    """Return pytest's name of a type; before pytest 8.4 numbers are text, as in a file of the ini format."""
    supported = kind is bool or (kind is not str and pytest.version_tuple >= (8, 4))
    return kind.__name__ if supported else "string"


def pytest_configure(config: pytest.Config) -> None:
    """Add the marker."""
    config.addinivalue_line("markers", _MARKER)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin a test, so that worlds are named after it."""
    item.config.stash[_TEST] = item.nodeid
    if _WORLDS in item.config.stash:
        item.config.stash[_WORLDS].begin(item.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the exchanges and jobs of a failing test's worlds to its report."""
    report = yield
    if report.failed and _WORLDS in item.config.stash:
        report.sections += item.config.stash[_WORLDS].report()
    return report


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Show the jobs of a bill's number that is not as asserted, e.g. in `assert mockveo.bill.wasted == 0`."""
    if "mockveo.rules.bill" not in sys.modules:
        return None
    from mockveo.testing import JobCount

    if not isinstance(left, JobCount):
        return None
    return [f"{left} {op} {right}", *left.lines]


@pytest.fixture(scope="session")
def mockveo_server(pytestconfig: pytest.Config) -> Iterator[ServerThread]:
    """The mockveo server of the session, in a thread: `url`, `base_url`, `key`, `env`.

    All tests share its default world; use the fixture `mockveo` for an isolated one. Its settings come from the
    options `--mockveo-...` or the ini values `mockveo_...`. Videos are packaged clips.
    """
    from mockveo import serve
    from mockveo.testing import DEFAULTS

    with _explained():
        server = serve(**{**DEFAULTS, **_settings(pytestconfig)})
    with server:
        yield server


@pytest.fixture(scope="session")
def mockveo_worlds(mockveo_server: ServerThread, pytestconfig: pytest.Config) -> MockveoWorlds:
    """Creates further worlds for a test: `with mockveo_worlds.new(scenario="fails") as world:`.

    Each is like the fixture `mockveo`, but takes its settings as keywords and ignores markers. It has session scope,
    so you can use it inside hypothesis' `@given` and in fixtures of any scope. A fixture with a wider scope than a
    test must name its world: `mockveo_worlds.new("shared")`.
    """
    from mockveo.testing import MockveoWorlds

    worlds = MockveoWorlds(mockveo_server, pytestconfig.stash.get(_TEST, ""))
    pytestconfig.stash[_WORLDS] = worlds
    return worlds


@pytest.fixture
def mockveo(request: pytest.FixtureRequest, mockveo_worlds: MockveoWorlds) -> Iterator[Mockveo]:
    """An isolated mock of CometAPI's /v1/videos for this test, with jobs, time, faults and ids of its own.

    Give `mockveo.base_url` and `mockveo.key` to a client, or `mockveo.env` to a program. Each poll advances a job by
    10 s, so polling ends without waiting; ids are the same in every run. `mockveo.scenario("retry-after")` or
    `mockveo.scenario(ending="failure")` sets what happens, `mockveo.next("fails")` for the next create request only;
    `mockveo.advance("30s")` lets time pass. `mockveo.requests` (`.of("create")`, `.summary`) and `mockveo.jobs` show
    what happened. Its type is `mockveo.testing.Mockveo`; its settings are `@pytest.mark.mockveo(strict=True)`.
    """
    with _explained("@pytest.mark.mockveo: "):
        world = mockveo_worlds.new(**_marked(request.node))
    with world:
        yield world


@contextmanager
def _explained(place: str = "") -> Iterator[None]:
    """Turn an error that the user can fix into one line, without a traceback."""
    from mockveo.errors import MockveoError

    try:
        yield
    except MockveoError as error:
        raise pytest.fail.Exception(f"mockveo: {place}{error}", pytrace=False) from None


def _settings(config: pytest.Config) -> dict[str, Any]:
    """Return the settings of the command line and, for the rest, of the ini file."""
    settings: dict[str, Any] = {}
    for name, (kind, _, _) in _OPTIONS.items():
        value, directory = config.getoption(f"mockveo_{name}"), config.invocation_params.dir
        if value is None:
            value, directory = _ini(config, f"mockveo_{name}", kind), config.rootpath
        if value is not None:
            settings[name] = _located(value, directory) if name == "scenario" else value
    return settings


def _ini(config: pytest.Config, name: str, kind: type) -> Any:
    try:
        value = config.getini(name)
        return None if value is None else kind(value)
    except (TypeError, ValueError, pytest.UsageError) as problem:
        message = f"mockveo: the ini value {name} is invalid: {problem}; expected e.g. {name} = {_EXAMPLES[kind]}"
        raise pytest.fail.Exception(message, pytrace=False) from None


def _marked(node: pytest.Item) -> dict[str, Any]:
    """Return the settings of a test's markers."""
    settings: dict[str, Any] = {}
    for marker in node.iter_markers("mockveo"):  # the closest first
        if marker.args:
            argument = f"@pytest.mark.mockveo has the argument {marker.args[0]!r}"
            pytest.fail(f"mockveo: {argument}; expected keywords, e.g. scenario='fails'", pytrace=False)
        settings = {**marker.kwargs, **settings}
    if "scenario" in settings:
        settings["scenario"] = _located(settings["scenario"], node.config.rootpath)
    return settings


def _located(scenario: Any, directory: Path) -> Any:
    """Return a scenario, with an absolute path if it is a file; names have neither dots nor slashes."""
    is_name = isinstance(scenario, str) and not Path(scenario).suffix and Path(scenario).name == scenario
    if is_name or not isinstance(scenario, str | Path):
        return scenario
    return str(directory / scenario)
