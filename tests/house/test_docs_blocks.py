"""Each code block of README and docs runs, in order, and does what the page shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from doc_blocks import PageRun, blocks
from paths import ROOT

import mockveo
from mockveo.server.run import ServerThread

#: Pages whose files other pages use.
SOURCES = [ROOT / "docs" / name for name in ("guides/check-a-client.md", "guides/run-a-program.md", "tutorial.md")]
GENERATED = {ROOT / "docs" / folder for folder in ("rules", "server-rules")}
PAGES = [
    path
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if path.parent not in GENERATED and blocks(path)
]


@pytest.fixture(scope="module")
def server() -> Iterator[ServerThread]:
    with mockveo.serve(speed=100, render=False) as running:
        yield running


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_block_of_a_page_runs(page: Path, tmp_path: Path, server: ServerThread) -> None:
    run = PageRun(page, tmp_path, server)
    for source in [*SOURCES, page]:
        for block in blocks(source):
            if block.name:
                run.write(block)
    for block in blocks(page):
        run.run(block)
