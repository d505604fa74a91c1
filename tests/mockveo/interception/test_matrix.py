"""The matrix of the guide: which programs with the URL written in reach the fake, by which isolation."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import CLEAN
from installed_clients import environment, missing, tool
from own_network import enter_own_network
from paths import CLIENTS, ROOT

PROGRAMS = CLIENTS / "written_in"
GUIDE = (ROOT / "docs" / "guides" / "run-a-program.md").read_text()
ISOLATIONS = ("namespace", "landlock", "environment")
#: The first Node that reads proxy variables, by its documentation.
PROXY_NODE = (22, 21)
#: Rows that guard every change; the others are slow.
QUICK = {("shell script with curl", "namespace"), ("Node 20 `fetch`", "namespace"), ("httpx", "environment")}


def node_version() -> tuple[int, ...]:
    done = subprocess.run([tool("node"), "--version"], capture_output=True, text=True, check=True)
    return tuple(map(int, done.stdout.strip("v\n").split(".")[:2]))


def python(home: str, library: str) -> list[str]:
    interpreter = environment(home) / "bin" / "python" if home else Path(sys.executable)
    return [str(interpreter), "bot.py", library]


def static_go(directory: Path) -> list[str]:
    binary = directory / "bot"
    command = [tool("go"), "build", "-o", str(binary), str(PROGRAMS / "bot.go")]
    cache = {"GOCACHE": str(directory / "cache"), "CGO_ENABLED": "0"}
    subprocess.run(command, env=os.environ | cache, check=True, capture_output=True)
    return [str(binary)]


def java() -> list[str]:
    if shutil.which("javac") is None:
        missing("a JDK", "apt-get install openjdk-17-jdk-headless")
    return ["java", "Bot.java"]


#: Row of the matrix -> its command.
COMMANDS = {
    "shell script with curl": lambda _: ["sh", "bot.sh"],
    "Python urllib": lambda _: python("", "urllib"),
    "requests": lambda _: python("cometapi", "requests"),
    "httpx": lambda _: python("", "httpx"),
    "aiohttp": lambda _: python("cometapi", "aiohttp"),
    "cometapi SDK": lambda _: python("cometapi", "cometapi"),
    "openai SDK": lambda _: python("openai", "openai"),
    "Node 20 `fetch`": lambda _: [tool("node"), "bot_fetch.mjs"],
    "Node 20 `https`": lambda _: [tool("node"), "bot_https.mjs"],
    "Go, static": static_go,
    "Java `HttpClient`": lambda _: java(),
}


def matrix() -> dict[tuple[str, str], str]:
    """Return the cells of the guide's table by program and isolation."""
    rows = re.findall(r"^\| (.+?) \| (yes|no) \| (yes|no) \| (yes|no) \|$", GUIDE, re.MULTILINE)
    return {(row[0], isolation): row[1 + place] for row in rows for place, isolation in enumerate(ISOLATIONS)}


def test_matrix_of_the_guide_is_complete() -> None:
    assert set(matrix()) == {(program, isolation) for program in COMMANDS for isolation in ISOLATIONS}


def cells() -> list[object]:
    marks = {cell: () if cell in QUICK else (pytest.mark.slow,) for cell in matrix()}
    return [pytest.param(*cell, expected, marks=marks[cell]) for cell, expected in matrix().items()]


@pytest.mark.parametrize(("program", "isolation", "expected"), cells())
def test_program_reaches_the_fake_as_the_matrix_says(
    program: str, isolation: str, expected: str, tmp_path: Path
) -> None:
    command = COMMANDS[program](tmp_path)
    if expected == "no" and program.startswith("Node") and node_version() >= PROXY_NODE:
        pytest.skip("this Node reads the proxy variables")
    done = subprocess.run(
        [sys.executable, "-m", "mockveo", "run", "--speed", "1000", "--isolate", isolation, "--", *command],
        cwd=PROGRAMS, env=CLEAN, capture_output=True, text=True, timeout=60, check=False,
        preexec_fn=enter_own_network,  # what ignores the proxy must not reach the real service
    )  # fmt: skip
    if expected == "yes":
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1].startswith("completed"), done.stdout
        assert "create 1, retrieve" in done.stderr
    else:
        assert done.returncode != 0, done.stdout
        assert "no request came: the program may ignore the proxy variables" in done.stderr
