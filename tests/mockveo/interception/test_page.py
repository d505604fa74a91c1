"""The page of a run in a real browser: a picture of the sequence, and any text as text."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from browser import Tab, running_browser

import mockveo
from mockveo.interception.page import html_page

MARKUP = "</script><script>document.title='run'</script><img src=x onerror=alert(1)>"


@pytest.mark.slow
def test_page_of_a_run_draws_its_exchanges_and_runs_nothing_else(tmp_path: Path) -> None:
    with mockveo.serve(render=False, seed=1) as server:
        for headers in ({}, {"Authorization": "Bearer sk-x"}):
            httpx.post(f"{server.url}/v1/videos", headers=headers, files={"prompt": (None, MARKUP)})
        asked = {name: httpx.get(f"{server.url}/_mockveo/{name}").json() for name in ("journal", "findings")}
    report = {
        "command": ["python", MARKUP],
        "exchanges": asked["journal"]["exchanges"],
        "findings": asked["findings"]["findings"],
        "proof": {"measured": MARKUP},
    }
    page = tmp_path / "run.html"
    page.write_text(html_page(report, MARKUP), encoding="utf-8")
    with running_browser() as browser:
        tab = Tab(browser.new_context())
        tab.open(page.as_uri())
        assert tab.page.locator("#sequence .step").count() == 2
        assert tab.page.locator("#finding-0 .marked").count() == 1
        tab.page.locator("#sequence button.ask").nth(1).click()
        assert MARKUP in tab.page.locator("#sequence .wire").inner_text()
        assert tab.page.title().startswith("mockveo run: python")
        assert tab.page.locator("img").count() == 0
        assert tab.complaints == []
