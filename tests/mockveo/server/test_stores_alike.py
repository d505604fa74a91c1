"""The same history on every store, and through one server or several in turn, gives the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from redis_process import redis_process

import mockveo
from mockveo.server.run import ServerThread

KEY = {"Authorization": "Bearer sk-test"}
SCENARIOS = [
    "normal",
    "fails",
    "retry-after",
    {"name": "third", "faults": [{"operation": "create", "nth": 3, "status": 503}]},
    {"name": "often", "faults": [{"operation": "any", "every": 3, "error": "overloaded", "status": 529}]},
    {"name": "odd", "ids": "video_{digits}", "faults": [{"operation": "retrieve", "probability": 0.5, "status": 502}]},
    {"name": "away", "faults": [{"operation": "retrieve", "attempt": [1, 2], "redirect": {"status": 307}}]},
    {"name": "styled", "style": {"envelope": True}, "ending": "failure"},
]


class Transcript:
    """A store as clients see it: its servers in turn, and what they have answered."""

    def __init__(self, *servers: ServerThread) -> None:
        self.clients = [httpx.Client(base_url=server.url, headers=KEY) for server in servers]
        self.origins = {
            origin: name
            for server in servers
            for origin, name in ((server.url, "own"), (server.app.origins.other, "other"))
        }
        self.turn = count()

    def ask(self, method: str, path: str, **arguments: Any) -> tuple[Any, ...]:
        """Return an answer without what differs between servers: their origins, and durations."""
        client = self.clients[next(self.turn) % len(self.clients)]
        answer = client.request(method, path, **arguments)
        body, headers = answer.content, sorted(answer.headers.items())
        text = repr((answer.status_code, headers, body))
        for origin, name in self.origins.items():
            text = text.replace(origin, name)
        return text, answer

    def close(self) -> None:
        for client in self.clients:
            client.close()


@pytest.fixture(scope="module")
def transcripts() -> Iterator[dict[str, Transcript]]:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory()))
        redis = stack.enter_context(redis_process(directory))

        def serve(**more: Any) -> ServerThread:
            return stack.enter_context(mockveo.serve(clock="poll", seed=1, render=False, credit=30, **more))

        kinds = {
            "memory": [serve()],
            "file": [serve(store=directory / "mockveo.db")],
            "redis": [serve(store=redis.url)],
            # Another database, so that it is another world.
            "redis in turn": [serve(store=redis.url.replace("/0", "/1")) for _ in range(3)],
        }
        made = {name: Transcript(*servers) for name, servers in kinds.items()}
        for transcript in made.values():
            stack.callback(transcript.close)
        yield made


class Histories(RuleBasedStateMachine):
    """A random history, sent to every store."""

    transcripts: dict[str, Transcript]

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = ["unknown"]

    def ask(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        answers = {name: each.ask(method, path, **arguments) for name, each in self.transcripts.items()}
        expected, response = answers.pop("memory")
        for name, (text, _) in answers.items():
            assert text == expected, f"{method} {path} on {name}"
        assert isinstance(response, httpx.Response)
        return response

    @initialize(seed=st.integers(0, 9))
    def begin(self, seed: int) -> None:
        for each in self.transcripts.values():
            each.ask("POST", "/_mockveo/reset", json={"seed": seed})

    @rule(prompt=st.sampled_from(["a", "b", "[mockveo:fails] x", "[mockveo:nope]"]), image=st.booleans())
    def create(self, prompt: str, image: bool) -> None:
        files: list[Any] = [("prompt", (None, prompt))]
        if image:
            files.append(("input_reference", ("a.png", b"\x89PNG", "image/png")))
        headers = {"content-type": "multipart/form-data; boundary=b"}
        body = httpx.Request("POST", "http://x", files=files, headers=headers).read()
        response = self.ask("POST", "/v1/videos", content=body, headers=headers)
        if response.status_code == 200 and response.json().get("id"):
            self.ids.append(str(response.json()["id"]))

    @rule(place=st.integers(-3, -1), part=st.sampled_from(["", "/content", "/content?variant=thumbnail"]))
    def look(self, place: int, part: str) -> None:
        self.ask("GET", f"/v1/videos/{self.ids[max(place, -len(self.ids))]}{part}")

    @rule(path=st.sampled_from(["/v1/models", "/api/models", "/v1/nothing", "/api/model/veo3"]))
    def other(self, path: str) -> None:
        self.ask("GET", path)

    @rule(chosen=st.sampled_from(SCENARIOS))
    def use(self, chosen: Any) -> None:
        self.ask("PUT", "/_mockveo/scenario", json={"scenario": chosen})

    @rule(chosen=st.sampled_from(SCENARIOS))
    def queue(self, chosen: Any) -> None:
        self.ask("POST", "/_mockveo/queue", json={"scenario": chosen})

    @rule(seconds=st.sampled_from([0, 5, 100]))
    def advance(self, seconds: float) -> None:
        self.ask("POST", "/_mockveo/clock/advance", json={"seconds": seconds})

    @rule(place=st.integers(-3, -1), ending=st.sampled_from(["success", "failure"]))
    def end(self, place: int, ending: str) -> None:
        self.ask("POST", f"/_mockveo/jobs/{self.ids[max(place, -len(self.ids))]}/end", json={"ending": ending})

    @rule(place=st.integers(-3, -1))
    def forget(self, place: int) -> None:
        self.ask("DELETE", f"/_mockveo/jobs/{self.ids[max(place, -len(self.ids))]}")

    @rule(path=st.sampled_from(["jobs", "scenario", "queue", "clock", "scenarios", "bill"]))
    def inspect(self, path: str) -> None:
        self.ask("GET", f"/_mockveo/{path}")

    @rule()
    def clear(self) -> None:
        self.ask("DELETE", "/_mockveo/journal")

    def teardown(self) -> None:
        journals = {name: self._lines(each) for name, each in self.transcripts.items()}
        assert all(lines == journals["memory"] for lines in journals.values()), journals

    @staticmethod
    def _lines(transcript: Transcript) -> list[Any]:
        exchanges = transcript.ask("GET", "/_mockveo/journal")[1].json()["exchanges"]
        return [
            [exchange[name] for name in ("number", "operation", "job", "job_status", "scenario", "faults", "error")]
            for exchange in exchanges
        ]


def run_histories(transcripts: dict[str, Transcript], examples: int, steps: int) -> None:
    machine = type("MadeHistories", (Histories,), {"transcripts": transcripts})
    run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=steps))


def test_same_history_gives_the_same_bytes_on_every_store(transcripts: dict[str, Transcript]) -> None:
    run_histories(transcripts, 8, 15)


@pytest.mark.slow
def test_many_histories_give_the_same_bytes_on_every_store(transcripts: dict[str, Transcript]) -> None:
    run_histories(transcripts, 100, 50)
