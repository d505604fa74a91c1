"""Draw docs/images/report.png: the HTML report of a client that breaks the contract, by a headless Chromium.

The client is the one of docs/guides/known-failures.md, which reports success without waiting.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "images" / "report.png"
GUIDE = ROOT / "docs" / "guides" / "known-failures.md"
CASES: Final = ("call/prompt-only", "job/fails", "poll/503")
#: Pixels; wide enough for the exchanges, high enough that nothing scrolls.
WINDOW: Final = "1000,1260"


def main() -> None:
    """Check the client, and draw its report."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("chromium is missing; install it, e.g. apt-get install chromium")
    (code,) = re.findall(r"```python\n# hasty\.py\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    with TemporaryDirectory() as folder:
        Path(folder, "hasty.py").write_text(code)
        cases = [part for case in CASES for part in ("--case", case)]
        check = [sys.executable, "-m", "mockveo", "check", "--quiet", "--report", "html=report.html", *cases]
        subprocess.run([*check, "--python", "hasty:client"], cwd=folder, check=False, capture_output=True)
        PICTURE.parent.mkdir(exist_ok=True)
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={WINDOW}"]
        page = Path(folder, "report.html").as_uri()
        subprocess.run(
            [browser, *options, f"--screenshot={PICTURE}", page], check=True, capture_output=True, timeout=120
        )


if __name__ == "__main__":
    main()
