"""Write the pinned, hashed requirement files from their sources: `python scripts/pin.py`.

Each `requirements/NAME.in` becomes `requirements/NAME.txt`, for all platforms and Python 3.11 and newer. Files are
pinned by hash, so that they hold no address of a package index.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: Further inputs of a file, besides its own source.
WITH = {
    "image": ["pyproject.toml", "--extra", "run", "--extra", "redis", "--extra", "metrics"],
    "runtime": ["pyproject.toml", "--extra", "run"],
    "dev": ["pyproject.toml", "--all-extras"],
}


def main() -> None:
    """Write every file."""
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
