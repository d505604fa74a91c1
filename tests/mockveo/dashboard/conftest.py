"""A browser for the tests of a module, and a server with a client whose jobs it shows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browser import Tab, running_browser
from playwright.sync_api import Browser
from watched import Watched

import mockveo
from mockveo.server.run import ServerThread


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as running:
        yield running


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerThread]:
    corpus = tmp_path_factory.mktemp("corpus")
    with mockveo.serve(clock="manual", seed=1, render=False, corpus=corpus) as running:
        yield running


@pytest.fixture
def watched(browser: Browser, dashboard: ServerThread, request: pytest.FixtureRequest) -> Iterator[Watched]:
    name = "".join(char for char in request.node.name if char.isalnum())[:60]
    context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    world = Watched(dashboard, name, Tab(context))
    yield world
    context.close()
    world.http.close()
    world.control.close()
