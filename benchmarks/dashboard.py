"""How long the dashboard takes to scroll and to filter 10,000 jobs and exchanges: `python benchmarks/dashboard.py`.

Each figure is the time from the event until the page has drawn the frame after it, the median of 20.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
from typing import Any

import httpx
from playwright.sync_api import Page, sync_playwright

import mockveo

#: Runs an action, and resolves with the milliseconds until what it changed is drawn.
TIMED = """action => new Promise(done => {
  const begun = performance.now();
  eval(action);
  const drawn = () => requestAnimationFrame(() => setTimeout(() => done(performance.now() - begun)));
  setTimeout(drawn, 0);
})"""
SCROLL = "document.querySelector('{box}').scrollTop = {top}"
SEARCH = (
    "const box = document.getElementById('search'); box.value = '{text}';"
    "box.dispatchEvent(new Event('input', {{bubbles: true}}))"
)


def timed(page: Page, actions: list[str]) -> float:
    """Return the median milliseconds of actions."""
    return float(statistics.median([page.evaluate(TIMED, action) for action in actions]))


def main() -> None:
    """Fill a world, open the page, and print the figures."""
    parser = argparse.ArgumentParser(description="Time the dashboard with many jobs.")
    parser.add_argument("--jobs", type=int, default=10_000)
    count: int = parser.parse_args().jobs
    program = shutil.which("chromium") or shutil.which("google-chrome")
    with (
        mockveo.serve(clock="manual", seed=1, render=False, max_exchanges=20_000) as server,
        sync_playwright() as driver,
    ):
        with httpx.Client(base_url=server.url, headers={"Authorization": "Bearer sk-x"}) as client:
            for number in range(count):
                client.post("/v1/videos", files={"prompt": (None, f"kite {number}")})
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        # eval in TIMED needs a page without its policy.
        page = browser.new_context(viewport={"width": 1600, "height": 1000}, bypass_csp=True).new_page()
        results: dict[str, Any] = {}
        for name, place, box, height in (
            ("board", "", ".queued .window", 128),
            ("exchanges", "#/exchanges", ".window", 34),
        ):
            page.goto("about:blank")
            page.goto(f"{server.url}/_mockveo/{place}")
            page.wait_for_function(f"document.querySelector('h2 .count')?.textContent === '{count}'", timeout=120_000)
            page.wait_for_timeout(3000)
            tops = [number * height * count // 20 for number in range(20)]
            results[f"{name}: scroll"] = timed(page, [SCROLL.format(box=box, top=top) for top in tops])
            texts = [f"kite {number}" for number in range(20)]
            results[f"{name}: filter"] = timed(page, [SEARCH.format(text=text) for text in texts])
            results[f"{name}: nodes"] = page.evaluate("document.querySelectorAll('*').length")
        browser.close()
    for name, figure in results.items():
        print(f"{name:22} {figure:8.1f}" + ("" if "nodes" in name else " ms"))


if __name__ == "__main__":
    main()
