"""Draw docs/images/report.png: the HTML report of a client that breaks the contract, by a headless Chromium.

The client is the first one of docs/tutorial.md, which trusts every answer.
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
#: Cases in which the client loses a job that is paid for.
CASES: Final = ("call/prompt-only", "job/fails", "poll/503", "poll/html", "create/reset", "image/one")
#: Pixels; wide enough for the exchanges, high enough for two findings.
WINDOW: Final = "1000,900"


def main() -> None:
    """Check the client, and draw its report."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("chromium is missing; install it, e.g. apt-get install chromium")
    tutorial = (ROOT / "docs" / "tutorial.md").read_text()
    with TemporaryDirectory() as folder:
        for name, code in re.findall(r"```python\n# (first\w*\.py)\n(.*?)```", tutorial, re.DOTALL):
            Path(folder, name).write_text(code)
        cases = [part for case in CASES for part in ("--case", case)]
        check = [sys.executable, "-m", "mockveo", "check", "--quiet", "--report", "html=report.html", *cases]
        subprocess.run([*check, "--python", "first_adapter:client"], cwd=folder, check=False, capture_output=True)
        PICTURE.parent.mkdir(exist_ok=True)
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={WINDOW}"]
        page = Path(folder, "report.html").as_uri()
        subprocess.run(
            [browser, *options, f"--screenshot={PICTURE}", page], check=True, capture_output=True, timeout=120
        )


if __name__ == "__main__":
    main()
