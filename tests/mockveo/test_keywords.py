"""The typed keywords: equal to what they describe, and checked by mypy in a user's code."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import get_args

from paths import ROOT

from mockveo.keywords import ClockMode, ErrorKeywords, ScenarioKeywords, SettingsKeywords, WorldKeywords
from mockveo.settings import CLOCK_MODES, Settings
from mockveo.simulator.scenarios import SCHEMA
from mockveo.simulator.worlds import OWN

PROPERTIES = json.loads(SCHEMA.read_text())["properties"]
RIGHT = """
from pathlib import Path

import mockveo
from mockveo.settings import Settings
from mockveo.simulator.scenarios import named
from mockveo.testing import DEFAULTS, Mockveo, MockveoWorlds

settings = Settings()
with mockveo.serve(FIELDS) as server:
    worlds = MockveoWorlds(server)
mockveo.serve(**DEFAULTS, self_check=True)
mockveo.app(overlay=[Path("a.yaml"), "b.yaml"], key=["sk-1", "sk-2"], scenario=Path("mine.yaml"), speed=100)

def test_typed(mockveo: Mockveo) -> None:
    mockveo.scenario("fails")
    mockveo.scenario(Path("mine.yaml"), ending="failure", error={"code": "no", "message": "No."})
    mockveo.next(phases=[{"duration": 5}], faults=[{"operation": "create", "status": 503}], video_url={"expires": 60})
    mockveo.jobs[0].end("failure", code="no", message="No.")
    mockveo.reset(seed=7, scenario={"ending": "failure"})
    worlds.new("shared", scenario=named("fails"), credit=None)
"""
#: Lines that mypy must reject -> part of its message.
WRONG = {
    "m.serve(sped=3)": 'Unexpected keyword argument "sped"',
    'm.serve(port="8360")': 'incompatible type "str"; expected "int"',
    'm.app(clock="sundial")': "incompatible type",
    "worlds.new(port=1)": 'Unexpected keyword argument "port"',
    'world.scenario(endng="failure")': 'Unexpected keyword argument "endng"',
    'world.next(ending="failed")': "incompatible type",
    'world.jobs[0].end("fail")': "incompatible type",
    "world.reset(speed=None)": "incompatible type",
}


def checked(path: Path, code: str) -> str:
    path.write_text(code)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--hide-error-context", "--no-error-summary",
         f"--cache-dir={ROOT / '.mypy_cache' / 'keywords'}", str(path)],
        capture_output=True, text=True, check=False, cwd=ROOT, timeout=300,
    )  # fmt: skip
    assert not done.stderr, done.stderr
    return done.stdout


def test_keywords_are_those_of_settings_worlds_and_scenarios() -> None:
    assert set(SettingsKeywords.__annotations__) == {field.name for field in fields(Settings)}
    assert set(WorldKeywords.__annotations__) == set(OWN)
    assert set(ScenarioKeywords.__annotations__) == set(PROPERTIES)
    assert set(ErrorKeywords.__annotations__) == set(PROPERTIES["error"]["properties"])
    assert get_args(ClockMode) == CLOCK_MODES
    for name in ("ending", "completed_at"):
        hint = str(ScenarioKeywords.__annotations__[name])
        assert re.findall(r"'([\w-]+)'", hint.replace('"', "'")) == PROPERTIES[name]["enum"]


def test_mypy_accepts_valid_keywords_and_rejects_invalid_ones(tmp_path: Path) -> None:
    values = [f"{field.name}=settings.{field.name}" for field in fields(Settings) if field.name != "clock"]
    assert checked(tmp_path / "right.py", RIGHT.replace("FIELDS", ", ".join([*values, 'clock="poll"']))) == ""
    imports = "import mockveo as m\nfrom mockveo.testing import Mockveo, MockveoWorlds\n"
    head = f"{imports}def check(world: Mockveo, worlds: MockveoWorlds) -> None:\n"
    out = checked(tmp_path / "wrong.py", head + "".join(f"    {line}\n" for line in WRONG))
    errors = [line for line in out.splitlines() if ": error: " in line]
    assert len(errors) == len(WRONG), out
    for error, message in zip(errors, WRONG.values(), strict=True):
        assert message in error, out
