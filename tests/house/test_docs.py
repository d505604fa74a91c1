"""The documents are true: what they say can be run is run, what they repeat is generated, what they name is there."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import click
import httpx
import pytest
import yaml
from paths import ROOT

import mockveo
from mockveo._paths import built_in_scenarios, profiles
from mockveo.cli.main import main
from mockveo.server.run import ServerThread
from mockveo.settings import Settings, flag
from mockveo.simulator.scenarios import scenario

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
README = (ROOT / "README.md").read_text()
SERVER = "http://127.0.0.1:8360"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def run(code: str, directory: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=directory, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_generated_parts_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "docs.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_python_block_runs(tmp_path: Path) -> None:
    client, in_thread, in_pytest = blocks("python")
    with mockveo.serve(speed=100, render=False) as server:
        out = run(client.replace(SERVER, server.url), tmp_path)
    assert out.startswith("queued 0\n")
    assert "in_progress" in out
    assert (tmp_path / "kite.mp4").read_bytes()[4:8] == b"ftyp"
    assert run(in_thread, tmp_path).startswith("http://127.0.0.1:")
    (tmp_path / "test_video.py").write_text(in_pytest)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:schemathesis", "-W", "error", "test_video.py"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "2 passed" in done.stdout, done.stdout


def curl(command: str, server: ServerThread, directory: Path) -> str:
    done = subprocess.run(
        shlex.split(command.replace("\\\n", " ").replace(SERVER, server.url)),
        cwd=directory, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def test_every_curl_block_does_what_the_text_says(tmp_path: Path) -> None:
    page, tag, queue = [block for block in blocks("bash") if block.startswith("curl")]
    (tmp_path / "example-file").write_bytes(b"\x89PNG")
    with mockveo.serve(render=False) as server:
        made = curl(page, server, tmp_path)
        assert '"status":"queued"' in made
        assert '"size":"16x9"' in made
        codes = [json.loads(curl(tag, server, tmp_path)) for _ in range(3)]
        assert [code.get("error", code).get("code", code.get("status")) for code in codes] == [
            "rate_limit_exceeded", "rate_limit_exceeded", "queued",
        ]  # fmt: skip
        assert json.loads(curl(queue, server, tmp_path))["scenarios"][0]["name"] == "accepted-then-dropped"
        with pytest.raises(httpx.ReadError):
            httpx.post(
                f"{server.base_url}/videos", headers={"Authorization": "Bearer sk"}, files={"prompt": (None, "p")}
            )
        assert [job.plan.scenario.name for job in server.app.world.jobs].count("accepted-then-dropped") == 1


def test_every_command_that_turns_a_server_is_one(tmp_path: Path) -> None:
    (commands,) = [block for block in blocks("bash") if block.startswith("mockveo jobs")]
    with mockveo.serve(clock="manual", scenario="slow", render=False) as server:
        httpx.post(f"{server.base_url}/videos", headers={"Authorization": "Bearer sk"}, files={"prompt": (None, "p")})
        for line in commands.splitlines():
            command, _, _ = line.partition("#")
            arguments, _, target = command.partition(">")
            name = arguments.split()[1]
            done = subprocess.run(
                [sys.executable, "-m", *(one for one in arguments.split() if one != "-f"), "--url", server.url],
                cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            assert (done.returncode, done.stderr) == (0, ""), line
            assert name == "reset" or done.stdout, line
            assert target.strip() in ("", "bad-day.har")


def test_the_overlay_block_does_what_it_says(tmp_path: Path) -> None:
    (overlay,) = [block for block in blocks("yaml") if block.startswith("overlay:")]
    assert yaml.safe_load(overlay)
    (tmp_path / "sizes.yaml").write_text(overlay)
    assert "mockveo serve --overlay sizes.yaml\n" in blocks("bash")
    with mockveo.serve(overlay=str(tmp_path / "sizes.yaml"), render=False) as server:
        statuses = [
            httpx.post(
                f"{server.base_url}/videos",
                headers={"Authorization": "Bearer sk"},
                files={"prompt": (None, "p"), "size": (None, size)},
            ).status_code
            for size in ("1x1", "2x1")
        ]
    assert statuses == [200, 400]


def test_the_scenario_block_is_one() -> None:
    (bad_day,) = [block for block in blocks("yaml") if block.startswith("summary:")]
    assert [fault.names for fault in scenario(yaml.safe_load(bad_day)).faults] == [["reset"], ["status", "delay"]]


def test_every_command_in_a_block_is_one_there_is() -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for block in blocks("bash"):
        for target in re.findall(r"\bmake (\w+)", block):
            assert target in targets
        for path in re.findall(r"-r (\S+)", block):
            assert (ROOT / path).exists()


def test_the_long_commands_do_what_make_does() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for name, command in (("runtime", "mockveo"), ("dev", "-m pytest -n auto")):
        (line,) = [block for block in blocks("bash") if f"requirements/{name}.txt" in block]
        assert line.strip().endswith(command)
        for step in (f"--require-hashes -r requirements/{name}.txt", "--no-deps --no-build-isolation --editable ."):
            assert step in line
            assert step in makefile


def test_every_setting_profile_and_scenario_is_named() -> None:
    for setting in fields(Settings):
        assert f"`{flag(setting.name)}`" in README
    for name in [*profiles(), *built_in_scenarios()]:
        assert f"{name}`" in README
    for name in ("--ready-file", "--log json", "--quiet", "--version"):
        assert name in README


def test_every_flag_in_the_documents_is_one_there_is() -> None:
    known = {flag(setting.name) for setting in fields(Settings)}
    known |= {"--ready-file", "--log", "--quiet", "--version", "--no-render", "--url", "--world", "--next"}
    known |= {"--findings", "--no-findings"}
    known |= {f"--mockveo-{name}" for name in ("scenario", "profile", "clock", "speed", "seed", "strict")}
    context = click.Context(main)
    commands = [main.get_command(context, name) for name in main.list_commands(context)]
    parameters = [parameter for command in commands for parameter in command.params]
    known |= {option for parameter in parameters if isinstance(parameter, click.Option) for option in parameter.opts}
    for path in DOCUMENTS:
        for line in path.read_text().splitlines():
            if line.startswith((" ", "python3 -m venv")) or "--request" in line:
                continue
            assert set(re.findall(r"`(?:mockveo serve )?(--[a-z-]+)", line)) <= known, line


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_is_named_is_there(path: Path) -> None:
    text = path.read_text()
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (path.parent / link).exists(), link
    for name in re.findall(r"`((?:mockveo|tests|scripts|benchmarks|docs|overlays|requirements|\.ci)/[\w./-]*)`", text):
        if name != "contracts/mockveo_contracts/":
            assert (ROOT / name).exists(), name


def test_the_changelog_has_this_version_or_what_is_to_come() -> None:
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


def test_the_answers_in_the_readme_are_those_that_come() -> None:
    jobs, errors = (block.splitlines() for block in blocks("json"))
    key = {"Authorization": "Bearer sk"}
    seen = []
    for name in ("normal", "fails"):
        with mockveo.serve(clock="manual", scenario=name, render=False) as server:
            made = httpx.post(f"{server.base_url}/videos", headers=key, files={"prompt": (None, "p")})
            server.app.world.clock.advance(1000)
            polled = httpx.get(f"{server.base_url}/videos/{made.json()['id']}", headers=key)
            seen += [made.text, polled.text]
            unknown = httpx.get(f"{server.base_url}/videos/nope", headers=key).text
            refused = httpx.get(f"{server.base_url}/models").text
    ids = re.compile(r"task_[0-9A-Za-z]{32}|request id: \w+")
    assert [ids.sub("ID", one) for one in (seen[0], seen[1], seen[3])] == [ids.sub("ID", line) for line in jobs]
    assert [ids.sub("ID", one) for one in (unknown, refused)] == [ids.sub("ID", line) for line in errors]


def test_the_models_in_the_readme_are_those_there_are() -> None:
    from mockveo.spec.spec import load

    (row,) = re.findall(r"^\| `model` \|(.*)$", README, re.MULTILINE)
    assert set(re.findall(r"`([\w.-]+)`", row)) == set(load().aliases or ())
