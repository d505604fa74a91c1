"""The pages of the contract tests are true: their examples are run, their commands are those there are."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from mockveo_contracts import Case, Outcome
from mockveo_contracts.case import FEATURES
from mockveo_contracts.cases.definitions import catalogue, parse_case
from mockveo_contracts.check import Plan, check
from mockveo_contracts.clients.functions import Functions
from mockveo_contracts.reports.formats import FORMATS
from mockveo_contracts.reports.terminal import render_findings
from paths import MUTANTS, ROOT
from zoo_client import CorrectClient

from mockveo.cli.main import COMMANDS, main

GUIDE = (ROOT / "docs" / "clients.md").read_text()
SERVERS = (ROOT / "docs" / "servers.md").read_text()
PROTOCOL = (ROOT / "docs" / "client-protocol.md").read_text()
README = (ROOT / "README.md").read_text()
#: What somebody may have, who wants to know whether it is right.
MY_CLIENT = """
from mockveo_contracts import Case, Input, Image
from pathlib import Path
from zoo_client import CorrectClient

def make_video(base_url, key, prompt, images, pause):
    given = tuple(Image(path, Path(path).name, "image/jpeg" if path.endswith("g") and "png" not in path else "image/png") for path in images)
    outcome = CorrectClient(Case("1", base_url, key, Input(prompt, None, None, given), pause, 6.0))()
    if outcome.outcome not in ("completed", "failed"):
        raise OSError(outcome.error["message"])
    return {**outcome.video, "status": outcome.outcome, "error": outcome.error}
"""  # noqa: E501


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "my_client.py").write_text(MY_CLIENT)
    return tmp_path


def blocks(text: str, language: str) -> dict[str, str]:
    """The blocks of a language, by the file name in their first line."""
    found = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return {one.partition("\n")[0].removeprefix("# "): one for one in found}


def mockveo(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": f"{MUTANTS}{os.pathsep}{place}"}
    command = [sys.executable, "-m", "mockveo", *arguments]
    return subprocess.run(command, cwd=place, env=env, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("name", ["adapter.py", "session.py"])
def test_the_adapters_of_the_guide_work_as_they_stand(place: Path, name: str) -> None:
    for file, text in blocks(GUIDE, "python").items():
        (place / file).write_text(text)
    client = ("--python", "adapter:client") if name == "adapter.py" else ("--", sys.executable, "session.py")
    cases = ("text/quotes", "image/same-name", "job/fails", "poll/503", "create/400", "call/*")
    chosen = [part for case in cases for part in ("--case", case)]
    done = mockveo(place, "check", "--quiet", "--report", "json=r.json", *chosen, *client)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((place / "r.json").read_text())
    assert report["findings"] == []
    assert {one["reason"].partition("declare ")[2] for one in report["skipped"]} <= {"model", "size", "model, size"}
    assert len(report["cases"]) >= 5


def test_the_tests_of_the_guide_work_as_they_stand(place: Path) -> None:
    for file, text in blocks(GUIDE, "python").items():
        (place / file).write_text(text)
    env = {**os.environ, "PYTHONPATH": f"{MUTANTS}{os.pathsep}{place}"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:schemathesis",
        "-p",
        "no:cacheprovider",
        "-k",
        "two-ordered",
    ]
    done = subprocess.run(
        [*command, "test_contract.py"], cwd=place, env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert "1 passed" in done.stdout, done.stdout


def test_the_test_of_a_gateway_works_as_it_stands(place: Path) -> None:
    for file, text in blocks(SERVERS, "python").items():
        (place / file).write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:schemathesis", "-p", "no:cacheprovider", "-k", "auth"]
    done = subprocess.run(
        [*command, "test_gateway.py"], cwd=place, capture_output=True, text=True, timeout=120, check=False
    )
    assert re.search(r"^3 passed", done.stdout, re.MULTILINE), done.stdout


def test_the_case_of_the_guide_is_one() -> None:
    (text,) = blocks(GUIDE, "yaml").values()
    one = parse_case(yaml.safe_load(text))
    assert one.name == "create/our-gateway"
    assert len(one.images) == 2
    assert [fault.names for fault in one.scenario.faults] == [["status"], ["error"]]


def test_the_finding_of_the_readme_is_what_comes() -> None:
    class Trusting(CorrectClient):
        """Takes a create that was answered for a video that is there."""

        def follow(self, job: Any) -> Any:
            return {**job, "status": "completed"}

        def outcome(self, job: Any) -> Outcome:
            return Outcome("completed", job)

    def client(case: Case) -> Outcome:
        return Trusting(case)()

    with Functions(client, name="adapter:client", features=FEATURES) as driver:
        plan = Plan(cases=("call/prompt-only",), again="mockveo check --case {case} --python adapter:client")
        report = check(driver, plan)
    (shown,) = list(re.findall(r"```\n(VIOLATION.*?)```", README, re.DOTALL))
    (finding,) = [one for one in report.findings if one.rule == "no-false-success"]
    assert render_findings([finding]).strip() == shown.strip()


def test_every_feature_and_kind_of_report_is_named() -> None:
    for name in FEATURES:
        assert f"`{name}`" in PROTOCOL
    for kind in FORMATS:
        assert f"| `{kind}` |" in GUIDE


def test_every_option_that_is_named_is_one_there_is() -> None:
    context = click.Context(main)
    commands = [main.get_command(context, name) for name in COMMANDS["Contract tests"]]
    options = [option for command in commands for option in command.params if isinstance(option, click.Option)]
    names = {name for option in options for name in option.opts}
    for text in (GUIDE, PROTOCOL, SERVERS):
        for name in re.findall(r"`(?:mockveo [a-z]+ )?(--[a-z-]+)", text) + re.findall(
            r"mockveo check.*? (--[a-z-]+)", text
        ):
            assert name in names, name
    for option in options:
        assert option.help, option.name


def test_every_case_that_is_named_is_one_there_is() -> None:
    for text in (GUIDE, PROTOCOL, README):
        for name in re.findall(r"\b((?:image|text|create|poll|content|job|call)/[a-z0-9-]+)\b", text):
            if name not in ("create/our-gateway", "image/png"):
                assert name in catalogue() or f"{name}*" in text, name
