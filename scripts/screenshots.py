"""Draw the pictures of the documents by a headless Chromium: the dashboard, light and dark, wide and narrow; a report.

The dashboard shows a world whose clock stands still, so the same jobs are drawn each time. The client of the report is
the one of docs/guides/known-failures.md, which reports success without waiting.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Page, sync_playwright

import mockveo
from mockveo.server.run import ServerThread

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
GUIDE = ROOT / "docs" / "guides" / "known-failures.md"
CASES: Final = ("call/prompt-only", "job/fails", "poll/503")
#: Quality of WebP: text stays sharp, and a picture is far below 150 kB.
QUALITY: Final = 88
#: Colour scheme, and width and height of the window. The first is that of pictures in the text.
SIZES: Final = (("light", 1600, 860), ("dark", 1600, 860), ("light", 360, 800), ("dark", 360, 800))
#: Prompt, alias, scenario, seconds between polls, polls.
JOBS: Final = (
    ("A lighthouse at dusk, waves breaking on the rocks", "veo3.1", "normal", 12, 20),
    ("Two foxes playing in fresh snow, slow motion", "veo3", "normal", 10, 24),
    ("A paper kite floats above a field", "veo3-fast", "flaky-polls", 9, 18),
    ("Rain on the window of a night train", "veo3-fast", "moderated", 10, 6),
    ("A potter's hands shape a bowl, close-up", "veo3.1", "retry-after", 8, 8),
    ("Fog rolls through a pine forest, drone shot", "veo3", "stuck-at-99", 10, 9),
    ("An origami crane unfolds itself", "veo3-fast", "normal", 10, 4),
    ("A red balloon drifts over the old town", "veo3-fast", "normal", 1, 2),
    ("City lights come on, one by one", "veo3.1", "normal", 1, 1),
)


def main() -> None:
    """Draw every picture."""
    IMAGES.mkdir(exist_ok=True)
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise SystemExit("chromium is missing; install it, e.g. apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        with mockveo.serve(clock="manual", seed=4, render=True) as server:
            first = play(server)
            views = {"board": "", "job": f"#/job/{first}", "findings": "#/findings", "trouble": "#/trouble"}
            for name, place in views.items():
                for scheme, width, height in SIZES if name in ("board", "job") else SIZES[:1]:
                    with tab(browser, width, height, scheme) as page:
                        page.goto(f"{server.url}/_mockveo/{place}")
                        page.wait_for_timeout(2500)
                        save(page, f"dashboard-{name}-{scheme}-{width}")
        report(browser)
        browser.close()


def play(server: ServerThread) -> str:
    """Call the server as clients do, and return the id of a job that has completed."""
    first = ""
    control = httpx.Client(base_url=f"{server.url}/_mockveo")
    for place, (prompt, model, scenario, pause, polls) in enumerate(JOBS):
        agent = "storyboard/2.1" if place % 2 else "kite-app/1.4"
        headers = {"Authorization": "Bearer sk-mockveo", "User-Agent": agent, "X-Mockveo-Scenario": scenario}
        with httpx.Client(base_url=f"{server.url}/v1", headers=headers, timeout=120) as client:
            files: list[Any] = [("prompt", (None, prompt)), ("model", (None, model))]
            if place in (0, 2, 6):
                files += [
                    ("input_reference", (f"{end}.png", frame(place, end), "image/png")) for end in ("first", "last")
                ]
            answer = client.post("/videos", files=files)
            while answer.status_code == 429:
                answer = client.post("/videos", files=files)
            job = answer.json()["id"]
            first = first or job
            for _ in range(polls):
                control.post("clock/advance", json={"seconds": pause})
                with suppress(httpx.TransportError, ValueError):
                    if client.get(f"/videos/{job}").json().get("status") in ("completed", "failed"):
                        break
            if place < 2:
                client.get(f"/videos/{job}/content")
    return first


def frame(place: int, end: str) -> bytes:
    """Return a picture as a user would upload: a sky over a ground, with a sun that has moved."""
    sky, ground = (("#27496d", "#0c2233"), ("#9fc5e8", "#5b8c3a"), ("#f6e3c5", "#c98f5a"))[place % 3]
    image = Image.new("RGB", (320, 180), sky)
    draw = ImageDraw.Draw(image)
    x, y = (70, 60) if end == "first" else (250, 100)
    draw.ellipse((x - 24, y - 24, x + 24, y + 24), fill="#ffd166")
    draw.rectangle((0, 130, 320, 180), fill=ground)
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


@contextmanager
def tab(browser: Browser, width: int, height: int, scheme: str) -> Iterator[Page]:
    """A page of that size and scheme."""
    dark = scheme == "dark"
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", reduced_motion="reduce"
    )
    yield context.new_page()
    context.close()


def save(page: Page, name: str) -> None:
    """Write what a page shows as WebP."""
    image = Image.open(io.BytesIO(page.screenshot()))
    image.save(IMAGES / f"{name}.webp", quality=QUALITY, method=6)


def report(browser: Browser) -> None:
    """Check the client of the guide, and draw its report."""
    (code,) = re.findall(r"```python\n# hasty\.py\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    with TemporaryDirectory() as folder:
        Path(folder, "hasty.py").write_text(code)
        cases = [part for case in CASES for part in ("--case", case)]
        check = [sys.executable, "-m", "mockveo", "check", "--quiet", "--report", "html=report.html", *cases]
        subprocess.run([*check, "--python", "hasty:client"], cwd=folder, check=False, capture_output=True)
        with tab(browser, 1000, 1260, "light") as page:
            page.goto(Path(folder, "report.html").as_uri())
            # Few colours, so that it is small enough for a repository.
            image = Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(128, dither=Image.Dither.NONE)
            image.save(IMAGES / "report.png", optimize=True)


if __name__ == "__main__":
    main()
