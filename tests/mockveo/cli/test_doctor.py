"""The command `doctor`."""

from __future__ import annotations

import json
import tomllib

import pytest
from paths import ROOT
from serve_process import run

from mockveo.cli.doctor import EXTRAS


def test_doctor_names_each_part_and_says_what_it_gives() -> None:
    done = run("doctor", "--json")
    parts = {part["name"]: part for part in json.loads(done.stdout)}
    assert parts["isolation namespace"]["works"], parts
    assert "(mockveo run takes it)" in parts["isolation namespace"]["detail"]
    assert parts["isolation environment"]["works"]
    assert parts["extra run"] == {"name": "extra run", "works": True, "detail": "mockveo run, serve --tls"}
    assert {"program faketime", "port 8360", "port 443"} <= set(parts)


def test_doctor_knows_every_extra() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(EXTRAS) == set(extras)


@pytest.mark.slow
def test_doctor_prints_a_table() -> None:
    done = run("doctor")
    assert done.returncode == 0
    assert done.stdout.startswith("mockveo ")
    assert any(line.split()[:3] == ["isolation", "namespace", "yes"] for line in done.stdout.splitlines())
