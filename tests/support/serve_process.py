"""The command as a process: run to its end, or serving until it is stopped."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from commands import CLEAN


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "mockveo", *arguments],
        capture_output=True, text=True, timeout=60, env=CLEAN | env, check=False,
    )  # fmt: skip


class ServeProcess:
    """A server in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], ready: dict[str, str], directory: Path) -> None:
        self.process = process
        self.ready = ready
        self.url = ready["url"]
        self.directory = directory

    def stop(self, number: int = signal.SIGINT) -> tuple[int, str, str]:
        """Stop it and return its exit status, standard output and standard error."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err


@contextmanager
def running(directory: Path, *arguments: str, **env: str) -> Iterator[ServeProcess]:
    """Start a server on a free port, and wait for its ready file in the directory."""
    ready = directory / "ready.json"
    process = subprocess.Popen(
        [sys.executable, "-m", "mockveo", *arguments, "--port", "0", "--ready-file", str(ready)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=CLEAN | env,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 30
        while not ready.exists() or json.loads(ready.read_text())["pid"] != process.pid:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield ServeProcess(process, json.loads(ready.read_text()), directory)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()
