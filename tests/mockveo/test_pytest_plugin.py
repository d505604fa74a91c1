"""The pytest plugin as a user meets it: each test writes tests and runs them in another pytest."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

#: Two clients, for the tests that are written here.
CLIENT = """
import json, os, sys, urllib.request

def ask(base_url, key, path="", prompt=""):
    part = f'--x\\r\\nContent-Disposition: form-data; name="prompt"\\r\\n\\r\\n{prompt}\\r\\n--x--\\r\\n'
    body = part.encode() if prompt else None
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "multipart/form-data; boundary=x"}
    with urllib.request.urlopen(urllib.request.Request(f"{base_url}/videos{path}", body, headers)) as answer:
        return json.load(answer)

def follow(base_url, key):
    video = ask(base_url, key, prompt="a kite")
    while video["status"] in ("queued", "in_progress"):
        video = ask(base_url, key, f"/{video['id']}")
    return video

if __name__ == "__main__":
    print(follow(os.environ[f"{sys.argv[1]}_BASE_URL"], os.environ[f"{sys.argv[1]}_{sys.argv[2]}"])["status"])
"""


class PytestRun(NamedTuple):
    """A finished run of pytest: its outcomes, e.g. {"passed": 2}, and its output."""

    outcomes: dict[str, int]
    text: str


OURS = ("-p", "mockveo.pytest_plugin")


def run(directory: Path, *options: str, plugins: tuple[str, ...] = OURS, **files: str) -> PytestRun:
    """Run pytest in a directory with these modules (`test_it` is test_it.py) and only our plugins."""
    for name, text in {"client": CLIENT, **files}.items():
        (directory / f"{name}.py").write_text(text)
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "MOCKVEO_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, "-W", "error", "--strict-markers", *options],
        cwd=directory,
        env={**environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(directory), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    text = done.stdout + done.stderr
    counts = re.findall(r"(\d+) (passed|failed|error|skipped|deselected)", text.rpartition("\n==")[2])
    return PytestRun({outcome: int(number) for number, outcome in counts}, text)


MODULES = """
import json, sys

def pytest_unconfigure():
    print("\\nMODULES", json.dumps(sorted(sys.modules)))
"""


def test_plugin_that_is_unused_imports_nothing_but_pytest(tmp_path: Path) -> None:
    test = "def test_that_passes(): pass\ndef test_that_fails(): assert 0\n"
    ours = run(tmp_path, conftest=MODULES, test_it=test)
    others = run(tmp_path, plugins=(), conftest=MODULES, test_it=test)
    assert ours.outcomes == others.outcomes == {"passed": 1, "failed": 1}
    with_it, without = (
        set(json.loads(re.findall(r"^MODULES (.*)$", done.text, re.MULTILINE)[0])) for done in (ours, others)
    )
    assert with_it - without == {"mockveo", "mockveo._version", "mockveo.pytest_plugin"}


#: Tests that pass in any order and in any number of processes. They write their ids to files next to them.
PASSING = """
from __future__ import annotations

import asyncio, os, pathlib, subprocess, sys, unittest

import httpx, pytest
from hypothesis import given, settings, strategies as st

import mockveo
from client import ask, follow
from mockveo.testing import Mockveo

HERE = pathlib.Path(__file__).parent
pytestmark = pytest.mark.mockveo(scenario="fails", strict=True)

def note(name, ids):
    (HERE / f"{name}.ids").write_text(ids)

def test_the_module_has_a_marker(mockveo: Mockveo):
    assert follow(mockveo.base_url, mockveo.key)["status"] == "failed"
    assert mockveo.world.settings.strict
    note("module", mockveo.jobs[0].id)

@pytest.mark.mockveo(strict=False, key="sk-class", seed=3)
class TestMarkers:
    def test_the_class_has_one(self, mockveo):
        assert follow(mockveo.base_url, "sk-class")["status"] == "failed"
        settings = mockveo.world.settings
        assert (mockveo.key, settings.strict, settings.seed) == ("sk-class", False, 3)
        note("class", mockveo.jobs[0].id)

    @pytest.mark.mockveo(key="sk-further")
    @pytest.mark.mockveo(scenario={"phases": [], "ending": "success"}, key="sk-own")
    def test_the_closest_counts(self, mockveo):
        assert ask(mockveo.base_url, "sk-own", prompt="p")["status"] == "completed"
        assert (mockveo.key, mockveo.world.settings.seed) == ("sk-own", 3)

@pytest.mark.mockveo(scenario="scenarios/mine.yaml")
def test_a_file_is_found_from_the_rootdir(mockveo, monkeypatch, tmp_path):
    assert ask(mockveo.base_url, mockveo.key, prompt="p")["status"] == "completed"
    assert mockveo.jobs[0].scenario == "mine"

@pytest.mark.mockveo(scenario="normal", strict=False)
@pytest.mark.parametrize("number", range(4))
def test_worlds_are_isolated(mockveo, number):
    assert (mockveo.jobs, mockveo.requests) == ([], [])
    for _ in range(number):
        follow(mockveo.base_url, mockveo.key)
    assert len(mockveo.jobs) == len(mockveo.requests.of("create")) == number
    note(f"number-{number}", " ".join(job.id for job in mockveo.jobs))

@pytest.mark.mockveo(scenario="normal", strict=False)
@pytest.mark.parametrize("names", [("COMETAPI", "KEY"), ("OPENAI", "API_KEY")])
def test_a_program_by_its_environment(mockveo, names):
    done = subprocess.run(
        [sys.executable, "-S", HERE / "client.py", *names],
        env={**os.environ, **mockveo.env}, capture_output=True, text=True, check=True,
    )
    assert done.stdout == "completed\\n"
    assert mockveo.requests.summary[0] == "create 200 queued"

async def flow(mockveo):
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {mockveo.key}"}, verify=False) as client:
        answers = [client.post(f"{mockveo.base_url}/videos", files={"prompt": (None, str(n))}) for n in range(3)]
        await asyncio.gather(*answers)
    mockveo.advance("5m")
    assert [job.status for job in mockveo.jobs] == ["failed"] * 3

def test_asyncio(mockveo):
    asyncio.run(flow(mockveo))

@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_anyio(mockveo):
    await flow(mockveo)

IDS = set()

@settings(max_examples=10, deadline=None)
@given(creates=st.integers(0, 3))
def test_a_property(mockveo_worlds, creates):
    with mockveo_worlds.new(scenario="instant") as world:
        ids = [ask(world.base_url, world.key, prompt="p")["id"] for _ in range(creates)]
        assert [job.id for job in world.jobs] == ids
        IDS.update(ids[:1])
    assert len(IDS) <= 1
    if IDS:
        note("property", *IDS)

def test_several_worlds(mockveo, mockveo_worlds):
    first, other = mockveo_worlds.new(), mockveo_worlds.new(scenario="instant")
    assert len({mockveo.name, first.name, other.name}) == 3
    assert follow(first.base_url, first.key)["status"] == "completed"
    assert ask(other.base_url, other.key, prompt="p")["status"] == "completed"
    note("several", first.jobs[0].id + other.jobs[0].id)

@pytest.fixture(scope="module")
def shared(mockveo_worlds):
    with mockveo_worlds.new("shared") as world:
        yield world

@pytest.mark.parametrize("number", range(2))
def test_a_world_of_the_module(shared, number):
    assert shared.url.endswith("/@shared")
    assert ask(shared.base_url, shared.key, prompt="p")["status"] == "queued"
    assert len(shared.jobs) in (1, 2)

def test_the_server(mockveo_server):
    assert follow(mockveo_server.base_url, mockveo_server.key)["status"] == "completed"
    assert httpx.get(mockveo_server.url + "/api/models", verify=False).status_code == 200

def test_the_name_is_the_packages_too():
    with mockveo.serve(clock="poll", render=False) as server:
        assert follow(**{"base_url": server.base_url, "key": server.key})["status"] == "completed"

class TestOfUnittest(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def take(self, mockveo):
        self.world = mockveo

    def test_it(self):
        assert self.world.jobs == []
"""
PASSED = 19
MORE = ("-p", "anyio", "-p", "hypothesispytest", "-p", "no:cacheprovider", "-q")


def ids(directory: Path) -> dict[str, str]:
    return {path.stem: path.read_text() for path in directory.glob("*.ids")}


def test_suite_passes_with_the_same_ids_in_one_process_and_in_two(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "mine.yaml").write_text("phases: []\n")
    alone = run(tmp_path, *MORE, "--import-mode=importlib", test_day=PASSING)
    assert alone.outcomes == {"passed": PASSED}, alone.text
    first = ids(tmp_path)
    for path in tmp_path.glob("*.ids"):
        path.unlink()
    parallel = run(tmp_path, *MORE, "-p", "xdist", "-n", "2")
    assert parallel.outcomes == {"passed": PASSED}, parallel.text
    assert ids(tmp_path) == first
    assert len(first) == 8
    assert len(set(" ".join(first.values()).split())) == 10


FAILING = """
import pytest
from client import ask, follow

def test_an_assertion(mockveo):
    mockveo.scenario("retry-after", phases=[])
    for prompt in ("a", "a", "a", "b"):
        try:
            ask(mockveo.base_url, mockveo.key, prompt=prompt)
        except OSError:
            pass
    assert mockveo.requests.summary == ["create 429", "create 200 completed", "create 200 queued", "create 429"]

def test_a_client_that_went_elsewhere(mockveo):
    assert mockveo.jobs

def test_a_loop(mockveo):
    for _ in range(60):
        ask(mockveo.base_url, mockveo.key, "", "secret" * 20)
    mockveo.jobs[-1].end("failure")
    assert not mockveo.jobs[-1].error

def test_a_world_that_is_closed(mockveo_worlds):
    with mockveo_worlds.new() as world:
        ask(world.base_url, world.key, prompt="p")
    assert 0

@pytest.fixture
def broken(mockveo):
    ask(mockveo.base_url, mockveo.key, prompt="p")
    raise RuntimeError

def test_a_fixture(broken):
    pass

def test_that_passes(mockveo):
    ask(mockveo.base_url, mockveo.key, prompt="p")

def test_without_a_world():
    assert 0
"""


def sections(text: str) -> dict[str, str]:
    """Return what is printed of each failing test."""
    failures = text.partition("short test summary")[0]
    parts = re.split(r"^_{3,} (?:ERROR at setup of )?(\w+) _{3,}$", failures, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_failing_test_shows_the_exchanges_and_jobs_of_its_worlds(tmp_path: Path) -> None:
    done = run(tmp_path, "-p", "no:cacheprovider", test_failing=FAILING)
    assert done.outcomes == {"passed": 1, "failed": 5, "error": 1}, done.text
    shown = sections(done.text)
    name = r"test_failing\.py-\w+-[0-9a-f]{8}"
    task, clock = r"task_\w{32}", r"\d\d:\d\d:\d\d"

    section = shown["test_an_assertion"]
    assert "At index 1 diff: 'create 429' != 'create 200 completed'" in section
    assert re.search(rf"^-+ mockveo: exchanges of {name} -+$", section, re.MULTILINE), section
    refused = rf"^{clock} POST /v1/videos 429 .*\[retry-after: error, retry_after\]$"
    assert len(re.findall(refused, section, re.MULTILINE)) == 3
    assert len(re.findall(rf"^{clock} POST /v1/videos 200 completed 100 % {task}$", section, re.MULTILINE)) == 1
    assert re.search(rf"-+ mockveo: jobs of {name} -+\n{task} completed 100 %, veo3-fast, retry-after, 'a'\n", section)

    section = shown["test_a_client_that_went_elsewhere"]
    url = rf"http://127\.0\.0\.1:\d+/@{name}/v1"
    assert re.search(
        rf"no request arrived; clients must call {url}\n-+ mockveo: jobs of {name} -+\nno job was created\n", section
    )

    section = shown["test_a_loop"]
    assert len(re.findall(rf"^{clock} POST /v1/videos 200 queued", section, re.MULTILINE)) == 50
    assert len(re.findall(rf"^{task} (queued|failed)", section, re.MULTILINE)) == 50
    assert section.count("(10 earlier)\n") == 2
    assert re.search(
        rf"^{task} failed 0 % generation_failed, veo3-fast, normal, '(secret){{10}}'$", section, re.MULTILINE
    )

    assert re.search(rf"exchanges of {name} -+\n{clock} POST /v1/videos 200", shown["test_a_world_that_is_closed"])
    assert re.search(rf"exchanges of {name} -+\n{clock} POST /v1/videos 200", shown["test_a_fixture"])
    assert "mockveo" not in shown["test_without_a_world"]


WRONG = """
import pytest

@pytest.mark.mockveo(sped=3)
def test_a_key(mockveo): pass

@pytest.mark.mockveo("fails")
def test_a_position(mockveo): pass

@pytest.mark.mockveo(scenario="fail")
def test_a_scenario(mockveo): pass

@pytest.mark.mockveo(scenario={"endng": "failure"})
def test_a_mapping(mockveo): pass

@pytest.mark.mockveo(scenario="gone.yaml")
def test_a_file(mockveo): pass

@pytest.mark.mockveo(profile="docs")
def test_a_profile(mockveo): pass

def test_that_is_fine(mockveo): pass
"""


def test_invalid_marker_is_explained_in_one_line(tmp_path: Path) -> None:
    done = run(tmp_path, test_wrong=WRONG)
    assert done.outcomes == {"passed": 1, "error": 6}, done.text
    shown = {name: text.strip().splitlines()[0] for name, text in sections(done.text).items()}
    assert shown["test_a_key"].startswith(
        "mockveo: @pytest.mark.mockveo: 'sped' is not a setting of a world; expected one of profile, scenario, clock"
    )
    assert shown["test_a_position"] == (
        "mockveo: @pytest.mark.mockveo has the argument 'fails'; expected keywords, e.g. scenario='fails'"
    )
    assert "the scenario 'fail' does not exist; did you mean 'fails'?" in shown["test_a_scenario"]
    assert "endng is not a key; did you mean 'ending'?" in shown["test_a_mapping"]
    assert f"{tmp_path}/gone.yaml: cannot be read: No such file or directory" in shown["test_a_file"]
    assert "'docs'" in shown["test_a_profile"]
    assert "Traceback" not in done.text
    assert "site-packages" not in done.text


SETTINGS = """
def test_it(mockveo, mockveo_server):
    for world in (mockveo.world, mockveo_server.app.world):
        settings, scenario = world.settings, world.plan.scenario.name
        print("SETTINGS", scenario, settings.profile, settings.clock, settings.speed, settings.seed, settings.strict)
"""


def settings_of(done: PytestRun) -> str:
    own, default = re.findall(r"SETTINGS (.*)", done.text) or [done.text, ""]
    assert own == default, done.text
    return str(own)


def test_options_override_ini_values(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "mine.yaml").write_text("name: mine-here")
    (tmp_path / "mine.yaml").write_text("{}")
    assert settings_of(run(tmp_path, "-s", test_it=SETTINGS)) == "normal docs-2026-03 poll 10.0 0 False"

    values = "scenario = mine.yaml\nprofile = gateway\nclock = wall\nspeed = 50\nseed = 4\nstrict = true"
    (tmp_path / "pytest.ini").write_text("[pytest]\n" + re.sub("^", "mockveo_", values, flags=re.MULTILINE))
    assert settings_of(run(tmp_path / "here", "-s", "..")) == "mine gateway wall 50.0 4 True"

    options = ("--mockveo-scenario=mine.yaml", "--mockveo-profile=docs-2026-10", "--mockveo-clock=manual")
    more = ("--mockveo-speed=5", "--mockveo-seed=6", "--no-mockveo-strict")
    done = run(tmp_path / "here", "-s", "..", *options, *more)
    assert settings_of(done) == "mine-here docs-2026-10 manual 5.0 6 False"


def test_ini_values_in_toml_are_numbers(tmp_path: Path) -> None:
    (tmp_path / "pytest.toml").write_text("[pytest]\nmockveo_speed = 2.5\nmockveo_seed = 7\nmockveo_strict = true\n")
    assert settings_of(run(tmp_path, "-s", test_it=SETTINGS)) == "normal docs-2026-03 poll 2.5 7 True"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "speed = fast",
            "mockveo: the ini value mockveo_speed is invalid: could not convert string to float: 'fast",
        ),
        ("clock = sun", "mockveo: --clock is 'sun'; expected one of wall, manual, poll, e.g. --clock manual"),
    ],
)
def test_invalid_ini_value_is_explained(tmp_path: Path, value: str, message: str) -> None:
    (tmp_path / "pytest.ini").write_text(f"[pytest]\nmockveo_{value}\n")
    done = run(tmp_path, test_it=SETTINGS)
    assert done.outcomes == {"error": 1}
    assert sections(done.text)["test_it"].strip().startswith(message), done.text


def test_invalid_option_is_explained(tmp_path: Path) -> None:
    done = run(tmp_path, "--mockveo-seed=x", test_it=SETTINGS)
    assert "error: argument --mockveo-seed: invalid int value: 'x'" in done.text


def test_pytest_lists_marker_options_and_fixtures(tmp_path: Path) -> None:
    text = run(tmp_path, "--markers").text + run(tmp_path, "--help").text
    assert "@pytest.mark.mockveo(scenario=..., profile=..., strict=..., clock=..., speed=..." in text
    for option in ("--mockveo-scenario=NAME|FILE", "--no-mockveo-strict", "mockveo_seed (int):"):
        assert option in text, text
    text = run(tmp_path, "--fixtures").text
    for line in (
        r"mockveo -- .*pytest_plugin\.py:\d+\n    An isolated mock of CometAPI's /v1/videos for this test, with jobs",
        r"mockveo_worlds \[session scope\] -- .*\n    Creates further worlds for a test: `with mockveo_worlds",
        r"mockveo_server \[session scope\] -- .*\n    The mockveo server of the session, in a thread: `url`,",
    ):
        assert re.search(line, text), text


BILL = """
from client import ask

def test_it(mockveo):
    ask(mockveo.base_url, mockveo.key, prompt="a kite")
    mockveo.advance("10m")
    assert mockveo.bill.wasted == 0
"""


def test_assertion_on_a_bill_shows_the_jobs(tmp_path: Path) -> None:
    done = run(tmp_path, test_it=BILL)
    assert done.outcomes == {"failed": 1}
    assert "assert 1 == 0" in done.text
    shown = r"E +task_\w+ veo3-fast: abandoned while running: made 600 s ago, and not asked for since \[exchange 1\]"
    assert re.search(shown, done.text), done.text
