"""The real clients and tools that tests run: found, or skipped; where CI is set a missing one is a failure."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest
from paths import ROOT

INSTALLED = Path(os.environ.get("MOCKVEO_CLIENTS") or ROOT / ".clients")


def environment(name: str) -> Path:
    """Return the directory of an installed client, e.g. "openai" or "node"."""
    directory = INSTALLED / name
    if not (directory / ".installed").is_file():
        missing(name, "python scripts/install_clients.py")
    return directory


def tool(name: str, *others: str) -> str:
    """Return the first of these programs that is on the PATH."""
    programs = filter(None, map(shutil.which, (name, *others)))
    return next(programs, "") or missing(name, f"put {name} on the PATH")


def missing(name: str, remedy: str) -> NoReturn:
    (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{name} is not installed: {remedy}")
