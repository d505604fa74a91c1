"""`mockveo run` as a process, for tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from commands import CLEAN

RUN = (sys.executable, "-m", "mockveo", "run")
#: An ordinary user that owns nothing; any number that no account of a test machine has.
_ORDINARY_USER = "54321"


def run_program(
    *arguments: str, prefix: Sequence[str] = (), preexec: Callable[[], None] | None = None, text: str = "", **env: str
) -> subprocess.CompletedProcess[str]:
    """Run `mockveo run` to its end; `text` is its standard input."""
    return subprocess.run(
        [*prefix, *RUN, *arguments], env=CLEAN | env, input=text, capture_output=True, text=True, timeout=60,
        preexec_fn=preexec, check=False,
    )  # fmt: skip


def as_ordinary_user() -> Sequence[str]:
    """Return what a command begins with to run as an ordinary user.

    Root's own Python may lie where others cannot read; so the right to read, and no other, is kept until the program.
    """
    if os.geteuid() != 0:
        return ()
    assert shutil.which("setpriv"), "setpriv is missing; install util-linux"
    identity = ("--reuid", _ORDINARY_USER, "--regid", _ORDINARY_USER, "--clear-groups")
    return ("setpriv", *identity, "--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait until a condition holds; fail after some seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def processes_with(text: str) -> list[str]:
    """Return the command lines of this machine's processes that hold a text."""
    lines = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and entry.name != str(os.getpid()):
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if text in line:
                lines.append(line)
    return lines
