"""`mockveo save` and `load`: a world moves between servers and stores, and goes on as if nothing had happened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from serve_process import run

import mockveo
from mockveo.errors import MockveoError
from mockveo.testing import DEFAULTS, MockveoWorlds

KEY = {"Authorization": "Bearer sk-test"}
NEWER = json.dumps(
    {"mockveo": "9", "format": 2, "settings": {}, "clock": {"now": 0, "date": 0}}
    | {"parts": [], "jobs": [], "exchanges": [], "last_exchange": 0}
)
FAULTS = [{"operation": "create", "nth": 3, "status": 503}, {"operation": "retrieve", "every": 3, "status": 502}]


def create(http: httpx.Client, prompt: str, scenario: str = "") -> httpx.Response:
    headers = {"x-mockveo-scenario": scenario} if scenario else {}
    files = [("prompt", (None, prompt)), ("input_reference", ("a.png", b"\x89PNG image", "image/png"))]
    return http.post("/v1/videos", files=files, headers=headers)


def begin(http: httpx.Client) -> list[str]:
    """Bring a world to a state in which every kind of state matters."""
    http.put("/_mockveo/scenario", json={"scenario": {"name": "mine", "faults": FAULTS}}).raise_for_status()
    http.post("/_mockveo/queue", json={"scenario": "fails"}).raise_for_status()
    http.post("/_mockveo/queue", json={"scenario": {"name": "own", "ending": "never"}}).raise_for_status()
    ids = [create(http, f"prompt {number}").json()["id"] for number in range(2)]
    http.post("/_mockveo/clock/advance", json={"seconds": 20}).raise_for_status()
    http.post(f"/_mockveo/jobs/{ids[0]}/end", json={"ending": "failure"}).raise_for_status()
    return ids


def go_on(http: httpx.Client, ids: list[str]) -> list[tuple[int, str]]:
    """Return the answers of a course that depends on all that came before."""
    answers = [create(http, "third"), create(http, "fourth", "slow")]
    answers += [http.get(f"/v1/videos/{job_id}") for job_id in ids for _ in range(4)]
    answers += [http.get("/v1/videos/unknown"), http.get("/_mockveo/jobs"), http.get("/_mockveo/queue")]
    return [(answer.status_code, answer.text) for answer in answers]


def still(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document without the moment since which its clock has stood still."""
    parts = [[kind, name, data[:-1] if name == "clock" else data] for kind, name, data in document["parts"]]
    return {**document, "parts": parts}


@pytest.mark.parametrize("target", ["memory", "file"])
@pytest.mark.parametrize("source", ["memory", "file"])
def test_world_goes_on_after_a_move_as_it_would_have_without(source: str, target: str, tmp_path: Path) -> None:
    def settings(kind: str, name: str) -> dict[str, Any]:
        store = {"store": tmp_path / name} if kind == "file" else {}
        return {**DEFAULTS, "seed": 7, **store}

    with mockveo.serve(**settings(source, "a.db")) as server:
        with httpx.Client(base_url=server.url, headers=KEY) as http:
            ids = begin(http)
            document = http.get("/_mockveo/state").json()
            expected = go_on(http, ids)
    with mockveo.serve(**settings(target, "b.db")) as server:
        with httpx.Client(base_url=server.url, headers=KEY) as http:
            http.put("/_mockveo/state", json=document).raise_for_status()
            assert still(http.get("/_mockveo/state").json()) == still(document)
            assert go_on(http, ids) == expected


def test_commands_save_and_load_a_world(tmp_path: Path) -> None:
    file = tmp_path / "world.json"
    with mockveo.serve(**DEFAULTS) as server:
        with httpx.Client(base_url=f"{server.url}/@one", headers=KEY) as http:
            begin(http)
        file.touch(mode=0o644)
        saved = run("save", str(file), "--url", server.url, "--world", "one")
        assert saved.stdout == f"saved 2 jobs and 2 exchanges to {file}\n", saved
        assert file.stat().st_mode & 0o777 == 0o600
        assert list(tmp_path.iterdir()) == [file]
        assert run("save", "/dev/null", "--url", server.url).returncode == 0
        loaded = run("load", str(file), "--url", server.url, "--world", "two")
        assert loaded.stdout == f"loaded {file}; clients call {server.url}/@two/v1\n", loaded
        assert len(list(server.app.worlds.get("two").jobs)) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "is not of type"),
        (NEWER, "expected 1: save it with this version"),
    ],
)
def test_file_that_is_no_saved_world_is_refused_and_the_world_stays(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "world.json"
    file.write_text(text)
    with mockveo.serve(**DEFAULTS) as server, MockveoWorlds(server).new("mine") as world:
        before = world.world
        with pytest.raises(MockveoError):
            world.load(file)
        done = run("load", str(file), "--url", server.url, "--world", "mine")
        assert (done.returncode > 0, done.stderr.startswith("mockveo: ")) == (True, True)
        assert message in done.stderr
        assert world.world is before


@pytest.mark.parametrize(
    "damage",
    [
        {"jobs": [[[1, 2], ""]]},
        {"jobs": [5]},
        {"parts": [["cell", "clock", "x"]]},
        {"parts": [["cell", "scenario", [1]]]},
        {"parts": [["counters", "draws", [[["ids"], "many"]]]]},
        {"parts": [["table", "named_scenarios", [["x", 1]]]]},
        {"exchanges": [{"number": "x"}]},
        {"exchanges": [{"number": 1, "headers": 5, "response_headers": 3, "parts": []}]},
        {"clock": {"now": "x", "date": 0}},
        {"settings": {"max_jobs": -1}},
        {"settings": {"seed": "x"}},
    ],
)
def test_broken_document_is_refused_and_the_world_stays(damage: dict[str, Any], tmp_path: Path) -> None:
    with mockveo.serve(**DEFAULTS, store=tmp_path / "mockveo.db") as server:
        with httpx.Client(base_url=server.url, headers=KEY) as http:
            begin(http)
            document = http.get("/_mockveo/state").json()
            answer = http.put("/_mockveo/state", json={**document, **damage})
            assert answer.status_code == 400, answer.text
            assert http.get("/_mockveo/state").json() == document


def test_fixture_begins_with_a_saved_world(tmp_path: Path) -> None:
    file = tmp_path / "world.json"
    with mockveo.serve(**DEFAULTS) as server:
        worlds = MockveoWorlds(server)
        with worlds.new("first") as first, httpx.Client(base_url=first.url, headers=KEY) as http:
            ids = begin(http)
            first.save(file)
        with worlds.new("second") as second:
            second.load(file)
            assert [job.id for job in second.jobs] == ids
            assert second.requests.summary == first.requests.summary
            second.load(json.loads(file.read_text()))
            assert [job.id for job in second.jobs] == ids
