"""Runs the code blocks of a page of the documents, in order and in one directory.

- Python: `# name.py` in the first line makes it a file, `test_*.py` is run by pytest, a block without a name is run.
- JavaScript: likewise with `// name.mjs`, run by node.
- Bash: each command is run. `# exit status N` at the end of its line expects that status. Servers are started and
  stopped again; commands that install something are compared with the Makefile elsewhere and not run.
- YAML: `# name.yaml` makes it a file; every block is loaded as the scenario, overlay or case that it is.
- Text: each line is part of what the block before it printed, up to ids, times and ports.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import yaml
from mockveo_contracts.cases.images import picture
from paths import ROOT

from mockveo.server.run import ServerThread

URL = "http://127.0.0.1:8360"
#: Commands that change a machine or need the network.
NOT_RUN = ("make ", "pip ", "python3 -m venv", "npm ", "git ", "source ", ".venv/bin/", "export ", "go ")
#: Commands that run until they are stopped.
SERVES = re.compile(r"mockveo(\s+serve\b.*|\s+--(?!version).*|)$")
PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:schemathesis")
#: Seconds that a command may take, with room for a busy machine.
COMMAND_TIMEOUT_S = 120


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    text: str

    @property
    def name(self) -> str:
        """The file that the block is, or an empty string."""
        named = re.match(r"(?:#!.*\n)?(?:#|//) ([\w.-]+\.\w+)\n", self.text)
        return named[1] if named else ""


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page."""
    return [Block(*match) for match in re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)]


def commands(block: Block) -> Iterator[tuple[str, int]]:
    """Yield the commands of a Bash block, each with the exit status that it should have."""
    for line in block.text.replace("\\\n", " ").splitlines():
        command, _, comment = line.partition("  #")
        status = re.search(r"exit status (\d)", comment)
        if command.strip() and not command.startswith("#"):
            yield command.strip(), int(status[1]) if status else 0


def normalised(text: str) -> str:
    """Return a text without what differs from run to run."""
    text = re.sub(r"task_[\w…]+|[0-9a-f]{8,}", "ID", text)
    text = re.sub(r"\d+(\.\d+)? s\b|\d\d:\d\d:\d\d", "TIME", text)
    return re.sub(r" +", " ", re.sub(r"http://127.0.0.1:\d+(/@[\w.-]+)?", "URL", text))


class PageRun:
    """A page that is run: its directory, its world on the server, and what the last block printed."""

    def __init__(self, page: Path, directory: Path, server: ServerThread) -> None:
        self.directory = directory
        self.server = server
        self.world = page.relative_to(ROOT).with_suffix("").as_posix().replace("/", "-")
        self.output = ""
        self.bin = directory / "bin"
        self.bin.mkdir()
        for name, command in (("mockveo", '-m mockveo "$@"'), ("python", '"$@"'), ("pytest", '-m pytest "$@"')):
            (self.bin / name).write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} {command}\n")
            (self.bin / name).chmod(0o755)
        # What a reader has besides what the page shows.
        (directory / "my_app.py").write_text("import os\nprint(os.environ['OPENAI_BASE_URL'])\n")
        (directory / "example-file").write_bytes(picture("image/png", 1000, "first.png"))
        for name in ("first.png", "last.png"):
            (directory / name).write_bytes(picture("image/png", 1000, name))

    @property
    def root(self) -> str:
        """The root of the page's world."""
        return f"{self.server.url}/@{self.world}"

    @property
    def env(self) -> Mapping[str, str]:
        """The environment of the commands."""
        return {
            **os.environ,
            "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}",
            "MOCKVEO_URL": self.server.url,
            "MOCKVEO_WORLD": self.world,
            "COMETAPI_BASE_URL": f"{self.root}/v1",
            "COMETAPI_KEY": "sk-mockveo",
            "COMETAPI_OTHER_KEY": "sk-mockveo-other",
            "COLUMNS": "100",
        }

    def write(self, block: Block) -> None:
        """Write a block that has a file's name."""
        path = self.directory / block.name
        path.write_text(block.text.replace(URL, self.root))
        path.chmod(0o755)

    def run(self, block: Block) -> None:
        """Run a block, or compare it with what the one before it printed."""
        if block.name:
            self.write(block)
        if block.language == "bash" and not block.name:
            self.output = ""
            for command, status in commands(block):
                self.command(command, status)
        elif block.language == "python":
            self.python(block)
        elif block.language == "js" and not block.name and shutil.which("node"):
            (self.directory / "block.mjs").write_text(block.text.replace(URL, self.root))
            self.output = self.finish("node block.mjs")
        elif block.language == "text":
            lines = [line.strip() for line in normalised(block.text).splitlines() if "..." not in line]
            output = normalised(self.output)
            assert [line for line in lines if line not in output] == [], self.output
        elif block.language == "yaml":
            assert yaml.safe_load(block.text)

    def python(self, block: Block) -> None:
        """Run a Python block: by pytest if it is a file of tests, by Python if it is no file."""
        if block.name.startswith("test_"):
            self.output = self.finish(shlex.join([sys.executable, *PYTEST, block.name]))
        elif not block.name:
            (self.directory / "block.py").write_text(block.text.replace(URL, self.root))
            self.output = self.finish(f"{shlex.quote(sys.executable)} block.py")

    def command(self, command: str, status: int) -> None:
        """Run a command of a Bash block."""
        if command.startswith(NOT_RUN):
            return
        if command.startswith("mockveo replay"):
            self.replay(command)
            return
        if SERVES.match(command):
            self.serve(command)
            return
        url = self.server.url if command.startswith("mockveo verify") else self.root
        if command.startswith("mockveo logs"):
            command = command.replace(" -f", "")
        self.output += self.finish(command.replace(URL, url), status)

    def serve(self, command: str) -> None:
        """Start a server as the command does, on a free port, and stop it once it listens."""
        ready = self.directory / "ready.json"
        words = shlex.split(command)[1:]
        words = [*(words or ["serve"]), "--port", "0", "--ready-file", str(ready)]
        with subprocess.Popen(
            [sys.executable, "-m", "mockveo", *words], cwd=self.directory, stdout=subprocess.PIPE, text=True
        ) as process:
            end = time.monotonic() + COMMAND_TIMEOUT_S
            while not ready.exists() and process.poll() is None and time.monotonic() < end:
                time.sleep(0.05)
            listening = ready.exists()
            process.terminate()
            self.output += process.communicate()[0]
        assert (listening, process.returncode) == (True, 0), command
        ready.unlink(missing_ok=True)

    def replay(self, command: str) -> None:
        """Serve a case as the command does, and stop it once it says how to call it."""
        words = [sys.executable, "-m", "mockveo", *shlex.split(command)[1:]]
        with subprocess.Popen(words, cwd=self.directory, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            self.output += process.stdout.readline()
            process.terminate()
            self.output += process.communicate()[0]
        assert process.returncode == 0, command

    def finish(self, command: str, status: int = 0) -> str:
        """Run a command to its end and return what it printed."""
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.directory, env=self.env, capture_output=True, text=True,
            timeout=COMMAND_TIMEOUT_S, check=False,
        )  # fmt: skip
        assert done.returncode == status, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr
