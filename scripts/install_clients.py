"""Install the real clients that tests run: `python scripts/install_clients.py [DIRECTORY]`.

Their dependencies conflict with each other, so each `requirements/client-NAME.txt` gets its own virtual environment,
and the packages of tests/clients/package.json a directory `node`. A complete environment is kept unless its inputs
have changed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "tests" / "clients" / "package.json"
#: Written last, with a hash of the inputs: an environment without it is not complete.
STAMP = ".installed"


def main() -> int:
    """Install what is missing; 1 if something could not be installed."""
    parser = argparse.ArgumentParser(description="Install the real clients that tests run.")
    parser.add_argument("directory", nargs="?", type=Path, default=ROOT / ".clients", help="default: .clients")
    directory: Path = parser.parse_args().directory.resolve()
    complete = True
    for pins in sorted((ROOT / "requirements").glob("client-*.txt")):
        complete &= install(directory / pins.stem.removeprefix("client-"), pins, install_python, sys.version)
    complete &= install(directory / "node", PACKAGE, install_node, "")
    return 0 if complete else 1


def install(target: Path, source: Path, make: Callable[[Path, Path], None], version: str) -> bool:
    """Create `target` from `source` unless it is up to date; return whether it is complete."""
    expected = hashlib.sha256(version.encode() + source.read_bytes()).hexdigest()
    stamp = target / STAMP
    if stamp.is_file() and stamp.read_text() == expected:
        print(f"{target.name}: already installed")
        return True
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    try:
        make(target, source)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"{target.name}: not installed: {error}", file=sys.stderr)
        return False
    stamp.write_text(expected)
    print(f"{target.name}: installed")
    return True


def install_python(target: Path, pins: Path) -> None:
    """Create a virtual environment with exactly the pinned files."""
    venv.create(target, with_pip=True, symlinks=os.name != "nt")
    python = target / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    options = ["--quiet", "--disable-pip-version-check", "--require-hashes"]
    subprocess.run([python, "-m", "pip", "install", *options, "-r", pins], check=True)


def install_node(target: Path, package: Path) -> None:
    """Create a directory with node_modules; no install script runs."""
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("npm is not on the PATH; it comes with Node.js, https://nodejs.org")
    shutil.copy(package, target)
    options = ["--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    subprocess.run([npm, "install", *options], check=True, cwd=target)


if __name__ == "__main__":
    sys.exit(main())
