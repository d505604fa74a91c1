"""Writes the pinned, hashed requirement files from their sources: `python scripts/pin.py`.

Each `requirements/NAME.in` becomes `requirements/NAME.txt`, for all platforms and Python 3.11 and newer. Hashes, not
addresses, are what pins a file, so no address of a package index is written.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: What each file holds beside its own source.
WITH = {"runtime": ["pyproject.toml"], "dev": ["pyproject.toml", "--all-extras"]}


def main() -> None:
    """Writes every file."""
    for source in sorted((ROOT / "requirements").glob("*.in")):
        target = source.with_suffix(".txt")
        options = ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-header", "--no-annotate"]
        command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--upgrade", *options]
        subprocess.run(
            [*command, str(source), *WITH.get(source.stem, []), "--output-file", str(target)], check=True, cwd=ROOT
        )
        print(f"wrote {target.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
