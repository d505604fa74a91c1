"""The pages of the contract tests are true: their clients have no finding, their names exist."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from command_options import commands, options
from doc_blocks import blocks
from mockveo_contracts.case import FEATURES
from mockveo_contracts.cases.definitions import catalogue, parse_case
from mockveo_contracts.reports.formats import FORMATS
from mockveo_contracts.servers.server_rules import server_rules
from paths import ROOT

from mockveo.rules.client_rules import client_rules

DOCS = ROOT / "docs"
TUTORIAL = DOCS / "tutorial.md"
GUIDE = DOCS / "guides" / "check-a-client.md"
PROTOCOL = (DOCS / "client-protocol.md").read_text()
REPORTS = (DOCS / "reference" / "reports.md").read_text()
PAGES = [ROOT / "README.md", TUTORIAL, *sorted((DOCS / "guides").glob("*.md")), DOCS / "client-protocol.md"]


@pytest.fixture
def client_files(tmp_path: Path) -> Path:
    for page in (TUTORIAL, GUIDE):
        for block in blocks(page):
            if block.name:
                (tmp_path / block.name).write_text(block.text)
    return tmp_path


@pytest.mark.parametrize("name", ["adapter.py", "session.py"])
def test_clients_of_the_guide_have_no_finding(client_files: Path, name: str) -> None:
    client = ("--python", "adapter:client") if name == "adapter.py" else ("--", sys.executable, "session.py")
    cases = (
        "text/quotes",
        "image/same-name",
        "id/to-encode",
        "job/fails",
        "poll/503",
        "poll/no-status",
        "create/400",
        "call/*",
    )
    chosen = [part for case in cases for part in ("--case", case)]
    done = subprocess.run(
        [sys.executable, "-m", "mockveo", "check", "--quiet", "--report", "json=r.json", *chosen, *client],
        cwd=client_files, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((client_files / "r.json").read_text())
    assert report["findings"] == []
    assert len(report["cases"]) >= 5


def test_case_of_the_guide_is_valid() -> None:
    (text,) = [block.text for block in blocks(GUIDE) if block.language == "yaml"]
    case = parse_case(yaml.safe_load(text))
    assert case.name == "create/our-gateway"
    assert len(case.images) == 2
    assert [fault.names for fault in case.scenario.faults] == [["status"], ["error"]]


def test_every_feature_and_kind_of_report_is_documented() -> None:
    for name in FEATURES:
        assert f"`{name}`" in PROTOCOL
    for kind in FORMATS:
        assert f"| `{kind}` |" in REPORTS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_options_of_shown_commands_exist(page: Path) -> None:
    shown = re.findall(r"\bmockveo (?:check|verify|report|replay|use|fail|jobs|logs|judge)\b[^`\n]*", page.read_text())
    for command in shown:
        own = command.partition(" -- ")[0]
        assert set(re.findall(r" (--[a-z-]+)", own)) <= options(), command


def test_every_option_of_every_command_has_a_help_text() -> None:
    for command in commands():
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert getattr(parameter, "help", None), (command.name, parameter.name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_cases_that_are_named_exist(page: Path) -> None:
    names = re.findall(r"\b((?:image|text|create|poll|content|job|call)/[a-z0-9-]+)\b(?![.*/])", page.read_text())
    invented = {"create/our-gateway", "image/png", "poll/5", "content/available"}
    assert {name for name in names if name not in catalogue()} <= invented


@pytest.mark.parametrize(
    ("folder", "rules"), [("rules", lambda: client_rules().rules), ("server-rules", lambda: server_rules().rules)]
)
def test_every_rule_has_a_page_and_every_page_a_rule(folder: str, rules: Callable[[], dict[str, object]]) -> None:
    assert {path.stem for path in (DOCS / folder).glob("*.md")} == set(rules())


def test_rules_that_guides_name_exist() -> None:
    for page in PAGES:
        for folder, name in re.findall(r"\.\./(rules|server-rules)/([\w-]+)\.md", page.read_text()):
            assert (DOCS / folder / f"{name}.md").exists(), (page, name)
