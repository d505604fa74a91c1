"""A world of a server with a client that calls it, and a page that shows it."""

from __future__ import annotations

from typing import Any

import httpx
from browser import Tab

from mockveo.server.run import ServerThread

KEY = {"Authorization": "Bearer sk-secret-of-the-user", "User-Agent": "kite-app/1.2 (test)"}


class Watched:
    """A world of its own: a client that calls it, and the page that shows it."""

    def __init__(self, server: ServerThread, name: str, tab: Tab) -> None:
        self.server = server
        self.url = f"{server.url}/@{name}"
        self.http = httpx.Client(base_url=f"{self.url}/v1", headers=KEY, timeout=10)
        self.control = httpx.Client(base_url=f"{self.url}/_mockveo/", timeout=10)
        self.tab = tab
        self.page = tab.page

    def open(self, place: str = "") -> None:
        self.tab.open(f"{self.url}/_mockveo/{place}")
        self.page.locator(".live.good").wait_for()

    def go(self, place: str) -> None:
        """Show another view of the page that is open."""
        self.page.evaluate("place => { location.hash = place; }", place)
        self.page.wait_for_timeout(100)

    def create(self, prompt: str = "A paper kite floats.", **fields: Any) -> str:
        parts = {name: (None, value) for name, value in {"prompt": prompt, **fields}.items()}
        answer = self.http.post("/videos", files=parts)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def poll(self, job: str) -> Any:
        return self.http.get(f"/videos/{job}").json()

    def advance(self, seconds: float) -> None:
        self.control.post("clock/advance", json={"seconds": seconds})

    def column(self, title: str) -> str:
        return self.page.get_by_role("list", name=title, exact=True).inner_text()

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).first.click()
