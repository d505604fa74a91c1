"""The dashboard while things happen to its server: lost connections, restarts, resets, and a lot of traffic."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest
from browser import Tab
from playwright.sync_api import Browser, expect
from watched import Watched

import mockveo
from mockveo.server.run import ServerThread


class Relay:
    """A way to a server that can be cut and mended, as a network can."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self._open = True
        self._ends: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def drop(self) -> None:
        self._open = False
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def resume(self) -> None:
        self._open = True

    def close(self) -> None:
        self.drop()
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()
        for end in self._ends:
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._server.accept()
                if not self._open:
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self._target))
                self._ends += [near, far]
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=self._copy, args=ends, daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@pytest.fixture
def relay(dashboard: ServerThread) -> Iterator[Relay]:
    made = Relay(int(dashboard.url.rpartition(":")[2]))
    yield made
    made.close()


@pytest.mark.slow
def test_reset_while_open_is_said_and_recovered_from(watched: Watched) -> None:
    watched.create("before")
    watched.open()
    expect(watched.page.locator(".card")).to_contain_text("before")
    watched.control.post("reset", json={})
    expect(watched.page.locator(".notices")).to_contain_text("was reset")
    watched.create("after")
    expect(watched.page.locator(".card")).to_have_count(1)
    expect(watched.page.locator(".card")).to_contain_text("after")


@pytest.mark.slow
def test_stream_goes_on_after_a_lost_connection_without_loss_or_doubles(watched: Watched, relay: Relay) -> None:
    job = watched.create()
    watched.url = watched.url.replace(watched.server.url, relay.url)
    watched.open("#/exchanges")
    expect(watched.page.locator(".row")).to_have_count(1)
    relay.drop()
    expect(watched.page.locator(".notices")).to_contain_text("The server is gone")
    for _ in range(4):
        watched.poll(job)
    relay.resume()
    expect(watched.page.locator(".row")).to_have_count(5, timeout=20_000)
    assert watched.page.locator(".row .n").all_inner_texts() == ["5", "4", "3", "2", "1"]
    expect(watched.page.locator(".notices")).to_contain_text("The server is back.")


@pytest.mark.slow
def test_exchanges_that_the_server_forgot_meanwhile_are_said(browser: Browser) -> None:
    context = browser.new_context()
    tab = Tab(context)
    with mockveo.serve(clock="manual", seed=1, render=False, max_exchanges=3) as server:
        relay = Relay(int(server.url.rpartition(":")[2]))
        fill(server, 1)
        tab.open(f"{relay.url}/_mockveo/#/exchanges")
        expect(tab.page.locator(".row")).to_have_count(1)
        relay.drop()
        expect(tab.page.locator(".notices")).to_contain_text("The server is gone")
        fill(server, 7)
        relay.resume()
        expect(tab.page.locator(".notices")).to_contain_text(
            "4 exchanges came that the server no longer has.", timeout=20_000
        )
        assert tab.page.locator(".row .n").all_inner_texts() == ["8", "7", "6", "1"]
        relay.close()
    context.close()


@pytest.mark.slow
def test_clock_that_is_turned_back_while_open_is_said(watched: Watched) -> None:
    watched.create("back and forth")
    watched.open()
    watched.advance(600)
    expect(watched.page.locator(".column.completed .card")).to_have_count(1)
    clock = watched.server.app.worlds.get(watched.url.rpartition("@")[2]).clock
    clock.resume(0.0, clock.date())  # as where a store has lost its latest changes
    expect(watched.page.locator(".column.queued .card")).to_have_count(1)
    expect(watched.page.locator(".notices")).to_contain_text("The clock was turned back by 10 min 0 s")


@pytest.mark.slow
def test_server_gone_and_restarted_with_another_seed_is_said_and_recovered_from(browser: Browser) -> None:
    context = browser.new_context()
    tab = Tab(context)
    with mockveo.serve(seed=1, render=False) as first:
        port = int(first.url.rpartition(":")[2])
        httpx.post(f"{first.url}/v1/videos", headers={"Authorization": "Bearer k"}, files={"prompt": (None, "first")})
        tab.open(f"{first.url}/_mockveo/")
        expect(tab.page.locator(".card")).to_contain_text("first")
    expect(tab.page.locator(".notices")).to_contain_text("The server is gone")
    with mockveo.serve(seed=2, port=port, render=False) as second:
        expect(tab.page.locator(".notices")).to_contain_text("restarted", timeout=20_000)
        expect(tab.page.locator("footer")).to_contain_text("seed 2")
        httpx.post(f"{second.url}/v1/videos", headers={"Authorization": "Bearer k"}, files={"prompt": (None, "second")})
        expect(tab.page.locator(".card")).to_have_count(1)
        expect(tab.page.locator(".card")).to_contain_text("second")
    context.close()


@pytest.mark.slow
def test_jobs_whose_exchanges_are_forgotten_come_after_younger_ones(browser: Browser) -> None:
    context = browser.new_context()
    tab = Tab(context)
    with mockveo.serve(clock="manual", seed=1, render=False, max_exchanges=2) as server:
        fill(server, 4)
        tab.open(f"{server.url}/_mockveo/")
        expect(tab.page.locator(".card")).to_have_count(4)
        assert tab.page.locator(".card .prompt").all_inner_texts() == [f"kite {number}" for number in (3, 2, 1, 0)]
    context.close()


@pytest.mark.slow
def test_ten_thousand_jobs_draw_few_nodes_and_a_bounded_heap(browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 1600, "height": 1000})
    tab = Tab(context)
    with mockveo.serve(clock="manual", seed=1, render=False, max_exchanges=20_000) as server:
        fill(server, 10_000)
        tab.open(f"{server.url}/_mockveo/")
        expect(tab.page.locator(".column.queued .count")).to_have_text("10000", timeout=60_000)
        assert tab.run("document.querySelectorAll('*').length") < 2000
        tab.run("document.querySelector('.queued .window').scrollTo(0, 640000)")
        expect(tab.page.get_by_text("kite 5000", exact=True)).to_be_visible()
        tab.page.get_by_label("Search").fill("9999")
        expect(tab.page.locator(".card")).to_have_count(1)
        tab.page.get_by_label("Search").fill("")
        before = heap(tab)
        fill(server, 5_000)
        expect(tab.page.locator("footer")).to_contain_text("10000 jobs", timeout=60_000)
        tab.page.wait_for_timeout(1000)
        assert tab.run("document.querySelectorAll('*').length") < 2000
        assert heap(tab) < 1.5 * before
    context.close()


def fill(server: ServerThread, count: int) -> None:
    with httpx.Client(base_url=server.url, headers={"Authorization": "Bearer k"}) as http:
        for number in range(count):
            http.post("/v1/videos", files={"prompt": (None, f"kite {number}")})


def heap(tab: Tab) -> int:
    session = tab.page.context.new_cdp_session(tab.page)
    session.send("HeapProfiler.collectGarbage")
    used: int = session.send("Runtime.getHeapUsage")["usedSize"]
    return used
