"""The documents are true: generated parts are current, links resolve, names exist."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import httpx
import pytest
import yaml
from command_options import options
from paths import ROOT

import mockveo
from mockveo._paths import built_in_scenarios, profiles
from mockveo.settings import Settings, flag
from mockveo.simulator.scenarios import scenario
from mockveo.spec.spec import load

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
README = (ROOT / "README.md").read_text()
API = (ROOT / "docs" / "reference" / "api.md").read_text()
INDEX = (ROOT / "docs" / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
SERVER = "http://127.0.0.1:8360"
KEY = {"Authorization": "Bearer sk"}


def fenced(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_generated_parts_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "docs.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_readme_is_a_front_door() -> None:
    assert README.count("\n") <= 160


def test_readme_client_ends_with_a_video(tmp_path: Path) -> None:
    (code,) = fenced(README, "python")[:1]
    with mockveo.serve(speed=100, render=False) as server:
        done = subprocess.run(
            [sys.executable, "-c", code.replace(SERVER, server.url)],
            cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
    assert done.stdout.startswith("queued 0\n")
    assert "in_progress" in done.stdout
    assert (tmp_path / "kite.mp4").read_bytes()[4:8] == b"ftyp"


def test_tag_in_a_prompt_does_what_the_readme_says() -> None:
    (block,) = [block for block in fenced(README, "bash") if block.startswith("curl")]
    errors = []
    with mockveo.serve(render=False) as server:
        for _ in range(3):
            command = shlex.split(block.replace("\\\n", " ").replace(SERVER, server.url))
            answer = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            errors.append(answer.get("error", answer).get("code", answer.get("status")))
    assert errors == ["rate_limit_exceeded", "rate_limit_exceeded", "queued"]


def test_scenario_of_the_readme_is_valid() -> None:
    (bad_day,) = fenced(README, "yaml")
    assert [fault.names for fault in scenario(yaml.safe_load(bad_day)).faults] == [["reset"], ["status", "delay"]]


def test_make_targets_and_requirement_files_exist() -> None:
    targets = re.findall(r"^([\w-]+):", MAKEFILE, re.MULTILINE)
    for path in DOCUMENTS:
        for block in fenced(path.read_text(), "bash"):
            for target in re.findall(r"\bmake ([\w-]+)", block):
                assert target in targets
            for file in re.findall(r"-r (\S+)", block):
                assert (ROOT / file).exists()


def test_commands_without_make_do_what_make_does() -> None:
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    for name, command in (("runtime", ".venv/bin/mockveo"), ("dev", "-m pytest")):
        (line,) = [block for block in fenced(contributing, "bash") if f"requirements/{name}.txt" in block]
        assert command in line
        for step in (f"--require-hashes -r requirements/{name}.txt", "--no-deps --no-build-isolation --editable ."):
            assert step in line
            assert step in MAKEFILE


def test_every_setting_profile_and_scenario_is_documented() -> None:
    settings = (ROOT / "docs" / "reference" / "settings.md").read_text()
    scenarios = (ROOT / "docs" / "reference" / "scenarios.md").read_text()
    for setting in fields(Settings):
        assert f"`{flag(setting.name)}`" in settings
    for name in profiles():
        assert f"`{name}`" in settings
    for name in built_in_scenarios():
        assert f"`{name}`" in scenarios
    for name in ("--ready-file", "--log json", "--quiet", "--version"):
        assert name in settings


def test_every_flag_in_the_documents_exists() -> None:
    valid = options() | {f"--{name}" for name in ("request", "form", "header", "allow-host", "location", "version")}
    valid |= {f"--mockveo-{name}" for name in ("scenario", "profile", "clock", "speed", "seed", "strict")}
    valid |= {"--check", "--import-mode", "--use-openssl-ca"}  # of scripts/docs.py, of pytest and of Node
    for path in DOCUMENTS:
        for line in path.read_text().splitlines():
            assert set(re.findall(r"`(?:mockveo [a-z]+ )?(--[a-z-]+)", line)) <= valid, line


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_and_named_files_exist(path: Path) -> None:
    text = path.read_text()
    for link, _, anchor in (target.partition("#") for target in re.findall(r"\]\((?!http)([^)]+)\)", text)):
        target = (path.parent / link) if link else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target / "README.md" if target.is_dir() else target), f"{link}#{anchor}"
    folders = "mockveo|contracts|tests|scripts|benchmarks|docs|overlays|scenarios|requirements|\\.ci"
    for name in re.findall(rf"`((?:{folders})/[\w./-]*)`", text):
        assert (ROOT / name).exists(), name


def test_every_guide_and_reference_page_is_in_the_index() -> None:
    for path in DOCUMENTS:
        folder = path.parent.name
        if path.is_relative_to(ROOT / "docs") and folder not in ("rules", "server-rules") and path.name != "README.md":
            assert f"({path.relative_to(ROOT / 'docs').as_posix()})" in INDEX, path


def test_there_are_guides_by_problem() -> None:
    assert len(list((ROOT / "docs" / "guides").glob("*.md"))) >= 15


def test_pictures_are_small_and_shown() -> None:
    shown = "".join(path.read_text() for path in DOCUMENTS)
    for path in (ROOT / "docs" / "images").iterdir():
        assert path.stat().st_size <= 150_000, path
        assert path.name in shown, path


def test_changelog_has_this_version_or_unreleased_changes() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert "## [Unreleased]" in text or f"## [{mockveo.__version__}]" in text


def test_no_document_names_what_must_not_be_named() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    for name in tracked or [str(path.relative_to(ROOT)) for path in DOCUMENTS]:
        path = ROOT / name
        if path.suffix in (".md", ".txt", ".py", ".toml", ".yaml", ".yml", ".json", ".sh", ".mjs", ".in", ""):
            text = path.read_text(errors="replace")
            assert not re.search(r"/(work|root)/\w|--(extra-)?index-url|registry\.\w+js|pypi\.org/simple", text) or (
                path.name == "test_docs.py"
            ), name


def test_answers_in_the_reference_are_those_of_the_server() -> None:
    jobs, errors = (block.splitlines() for block in fenced(API, "json"))
    answers = []
    for name in ("normal", "fails"):
        with mockveo.serve(clock="manual", scenario=name, render=False) as server:
            created = httpx.post(f"{server.base_url}/videos", headers=KEY, files={"prompt": (None, "p")})
            server.app.world.clock.advance(1000)
            polled = httpx.get(f"{server.base_url}/videos/{created.json()['id']}", headers=KEY)
            answers += [created.text, polled.text]
            unknown = httpx.get(f"{server.base_url}/videos/nope", headers=KEY).text
            refused = httpx.get(f"{server.base_url}/models").text
    ids = re.compile(r"task_[0-9A-Za-z]{32}|request id: \w+")
    shown = [ids.sub("ID", line) for line in jobs + errors]
    assert [ids.sub("ID", text) for text in (answers[0], answers[1], answers[3], unknown, refused)] == shown


def test_models_in_the_reference_are_those_of_the_document() -> None:
    (row,) = re.findall(r"^\| `model` \|(.*)$", API, re.MULTILINE)
    assert set(re.findall(r"`([\w.-]+)`", row)) == set(load().aliases or ())
