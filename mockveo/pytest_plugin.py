"""The pytest plugin: the fixtures `mockveo`, `mockveo_worlds` and `mockveo_server`, the marker and the options.

pytest loads it in every session, also in those that have no use for it, so it imports nothing but pytest: what the
fixtures hand out is in `mockveo.testing`, and is imported when the first of them is used.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mockveo.server.app import ServerThread
    from mockveo.testing import Mockveo, MockveoWorlds

#: Settings with an option and an ini value: what the value is, what stands for it in the help, and the help.
_OPTIONS: dict[str, tuple[type, str, str]] = {
    "scenario": (str, "NAME|FILE", "how jobs unfold and what goes wrong (default: normal)"),
    "profile": (str, "NAME", "which generation of the API to play (default: docs-2026-03)"),
    "clock": (str, "MODE", "how time passes: poll (the default, with each poll), manual or wall"),
    "speed": (float, "NUMBER", "seconds of a job's life in one of ours, by the wall clock (default: 10)"),
    "seed": (int, "NUMBER", "what ids and pace follow from (default: 0)"),
    "strict": (bool, "", "refuse whatever departs from the documented page"),
}
_MARKER = (
    "mockveo(scenario=..., profile=..., strict=..., clock=..., speed=..., step=..., seed=..., key=..., credit=...):"
    " settings of the world that the fixture `mockveo` makes for the test; of several markers the closest counts, key"
    " by key. A scenario is a name, a file relative to the rootdir, or a mapping."
)
_TEST = pytest.StashKey[str]()
_WORLDS = pytest.StashKey["MockveoWorlds"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options and the ini values."""
    group = parser.getgroup("mockveo", "mockveo, the fake of CometAPI's /v1/videos")
    for name, (kind, metavar, text) in _OPTIONS.items():
        if kind is bool:
            group.addoption(f"--mockveo-{name}", action="store_true", default=None, help=text)
            group.addoption(f"--no-mockveo-{name}", action="store_false", dest=f"mockveo_{name}", help="do not")
        else:
            group.addoption(f"--mockveo-{name}", type=kind, metavar=metavar, help=text)
        # pytest knows of numbers since 8.4; before that they are text, as in a file of the ini format.
        known: Any = kind.__name__ if kind is bool or (kind is not str and pytest.version_tuple >= (8, 4)) else "string"
        parser.addini(f"mockveo_{name}", text, type=known, default=None)


def pytest_configure(config: pytest.Config) -> None:
    """Adds the marker."""
    config.addinivalue_line("markers", _MARKER)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test begins."""
    item.config.stash[_TEST] = item.nodeid
    if _WORLDS in item.config.stash:
        item.config.stash[_WORLDS].begin(item.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds to the report of a test that failed what its worlds have seen."""
    report = yield
    if report.failed and _WORLDS in item.config.stash:
        report.sections += item.config.stash[_WORLDS].report()
    return report


@pytest.fixture(scope="session")
def mockveo_server(pytestconfig: pytest.Config) -> Iterator[ServerThread]:
    """The mockveo server of the session, in a thread: `url`, `base_url`, `key`, `env`.

    All tests share its default world; take the fixture `mockveo` for one that is the test's own. Its settings are
    those of the options `--mockveo-...` or of the ini values `mockveo_...`. Videos are packaged clips.
    """
    from mockveo import serve
    from mockveo.testing import DEFAULTS

    with _told():
        server = serve(**{**DEFAULTS, **_settings(pytestconfig)})
    with server:
        yield server


@pytest.fixture(scope="session")
def mockveo_worlds(mockveo_server: ServerThread, pytestconfig: pytest.Config) -> MockveoWorlds:
    """Hands out worlds where one is not enough: `with mockveo_worlds.new(scenario="fails") as world:`.

    Each is what the fixture `mockveo` is; its settings are keywords here, no marker applies. It is of the session, so
    it may be used inside `@given` of hypothesis and by fixtures of any scope; those of a wider scope than a test's
    give their world a name: `mockveo_worlds.new("shared")`.
    """
    from mockveo.testing import MockveoWorlds

    worlds = MockveoWorlds(mockveo_server, pytestconfig.stash.get(_TEST, ""))
    pytestconfig.stash[_WORLDS] = worlds
    return worlds


@pytest.fixture
def mockveo(request: pytest.FixtureRequest, mockveo_worlds: MockveoWorlds) -> Iterator[Mockveo]:
    """A fake of CometAPI's /v1/videos for this test alone: jobs, time, faults and ids are its own.

    Give `mockveo.base_url` and `mockveo.key` to a client, or `mockveo.env` to a program. Each poll takes a job 10 s
    further, so that whoever polls comes to an end; ids are the same in every run.
    `mockveo.scenario("retry-after")` or `mockveo.scenario(ending="failure")` says what is to happen,
    `mockveo.next("fails")` to the next create alone, `mockveo.advance("30s")` lets time pass. What happened is in
    `mockveo.requests` (`.of("create")`, `.summary`) and `mockveo.jobs`. Settings: `@pytest.mark.mockveo(strict=True)`.
    """
    with _told("@pytest.mark.mockveo: "):
        world = mockveo_worlds.new(**_marked(request.node))
    with world:
        yield world


@contextmanager
def _told(where: str = "") -> Iterator[None]:
    """What a user can mend is told in one line, without a traceback."""
    from mockveo.errors import MockveoError

    try:
        yield
    except MockveoError as error:
        raise pytest.fail.Exception(f"mockveo: {where}{error}", pytrace=False) from None


def _settings(config: pytest.Config) -> dict[str, Any]:
    """The settings of the command line and, where that says nothing, of the ini file."""
    found: dict[str, Any] = {}
    for name, (kind, _, _) in _OPTIONS.items():
        value, directory = config.getoption(f"mockveo_{name}"), config.invocation_params.dir
        if value is None:
            value, directory = _ini(config, f"mockveo_{name}", kind), config.rootpath
        if value is not None:
            found[name] = _located(value, directory) if name == "scenario" else value
    return found


def _ini(config: pytest.Config, name: str, kind: type) -> Any:
    try:
        value = config.getini(name)
        return None if value is None else kind(value)
    except (TypeError, ValueError, pytest.UsageError) as problem:
        message = f"mockveo: the ini value {name} cannot be used: {problem}"
        raise pytest.fail.Exception(message, pytrace=False) from None


def _marked(node: pytest.Item) -> dict[str, Any]:
    """The settings of the markers of a test."""
    found: dict[str, Any] = {}
    for marker in node.iter_markers("mockveo"):  # the closest first
        if marker.args:
            pytest.fail(
                f"mockveo: @pytest.mark.mockveo takes keywords, not {marker.args[0]!r}; wanted e.g. scenario='fails'",
                pytrace=False,
            )
        found = {**marker.kwargs, **found}
    if "scenario" in found:
        found["scenario"] = _located(found["scenario"], node.config.rootpath)
    return found


def _located(scenario: Any, directory: Path) -> Any:
    """A scenario, with its path where it is a file: names have neither dots nor slashes."""
    if isinstance(scenario, str) and not Path(scenario).suffix and Path(scenario).name == scenario:
        return scenario
    return str(directory / scenario) if isinstance(scenario, str | Path) else scenario
