"""`--store FILE` through the front door: what a server has acknowledged is there after a restart, however it ended."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from serve_process import running

import mockveo
from mockveo.simulator.stores import database
from mockveo.testing import DEFAULTS, MockveoWorlds

FORM = {"prompt": "A kite.", "model": "veo3-fast"}
#: Where the control API shows what a world knows.
SHOWN = ("/jobs", "/journal", "/clock", "/queue", "/scenarios", "/ready")
KEY = {"Authorization": "Bearer sk-test"}


def client(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers=KEY)


def create(http: httpx.Client, world: str = "") -> str:
    response = http.post(f"{world}/v1/videos", files={name: (None, value) for name, value in FORM.items()})
    assert response.status_code == 200, response.text
    return str(response.json()["id"])


def control(http: httpx.Client, method: str, path: str, body: Any = None) -> Any:
    response = http.request(method, f"/_mockveo{path}", json=body)
    assert response.status_code == 200, response.text
    return response.json()


def test_job_of_a_killed_server_completes_and_plays_in_the_next(tmp_path: Path) -> None:
    arguments = ("--store", str(tmp_path / "mockveo.db"), "--speed", "1000", "--no-render")
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    with running(tmp_path / "first", *arguments) as first, client(first.url) as http:
        created = create(http)
        first.stop(signal.SIGKILL)
    with running(tmp_path / "second", *arguments) as second, client(second.url) as http:
        control(http, "POST", "/clock/advance", {"seconds": 1000})
        job = http.get(f"/v1/videos/{created}").json()
        assert (job["id"], job["status"]) == (created, "completed")
        assert http.get(f"/v1/videos/{created}/content").content[4:8] == b"ftyp"
        lines = [exchange["line"] for exchange in control(http, "GET", "/journal")["exchanges"]]
        assert "POST /v1/videos 200" in lines[0]


def test_journal_of_a_killed_server_has_each_exchange_up_to_the_last_change_once(tmp_path: Path) -> None:
    arguments = ("--store", str(tmp_path / "mockveo.db"), "--no-render")
    with running(tmp_path, *arguments) as first, client(first.url) as http:
        for _ in range(2):
            polled = [http.get("/v1/models").status_code for _ in range(30)]
            create(http)
        first.stop(signal.SIGKILL)
    with running(tmp_path, *arguments) as second, client(second.url) as http:
        exchanges = control(http, "GET", "/journal?limit=1000")["exchanges"]
        assert [exchange["number"] for exchange in exchanges] == list(range(1, 63))
        requests = [exchange["request"]["method"] for exchange in exchanges]
        assert requests == [*["GET"] * 30, "POST"] * 2
        assert set(polled) == {200}


def test_restart_keeps_all_that_a_world_knows(tmp_path: Path) -> None:
    settings = {"store": tmp_path / "mockveo.db", "clock": "manual", "credit": 3, "render": False, "key": "sk-test"}
    with mockveo.serve(**settings) as server, client(server.url) as http:
        first = create(http)
        faults = [{"operation": "create", "nth": 2, "status": 503}]
        control(http, "PUT", "/scenario", {"scenario": {"name": "mine", "faults": faults}})
        create(http)
        control(http, "PUT", "/scenarios/theirs", {"ending": "failure"})
        control(http, "POST", "/queue", {"scenario": "fails"})
        control(http, "POST", "/clock/advance", {"seconds": 30})
        control(http, "POST", f"/jobs/{first}/end", {"ending": "failure"})
        redirect = {"operation": "retrieve", "redirect": {"status": 307, "origin": "same"}}
        control(http, "PUT", "/scenario", {"scenario": {"name": "away", "faults": [redirect]}})
        place = http.get(f"/v1/videos/{first}").headers["location"]
        control(http, "PUT", "/scenario", {"scenario": "mine"})
        before = [control(http, "GET", path) for path in SHOWN]
    with mockveo.serve(**settings) as server, client(server.url) as http:
        after = [control(http, "GET", path) for path in SHOWN]
        assert after[0] == before[0]
        assert after[1]["exchanges"] == before[1]["exchanges"]
        assert after[2:5] == before[2:5]
        assert after[5]["seed"] == before[5]["seed"]
        assert httpx.get(server.url + place).json()["id"] == first
        assert control(http, "GET", "/scenario")["name"] == "mine"
        create(http)
        assert control(http, "GET", "/jobs")["jobs"][0]["scenario"] == "fails"
        assert http.post("/v1/videos", files={"prompt": (None, "no credit is left")}).status_code != 200


def test_counters_of_faults_go_on_after_a_restart(tmp_path: Path) -> None:
    faults = [{"operation": "create", "nth": 3, "status": 503}]
    scenario = {"name": "third", "faults": faults}
    statuses = []
    for _ in range(4):
        with mockveo.serve(store=tmp_path / "mockveo.db", render=False) as server, client(server.url) as http:
            if not statuses:
                control(http, "PUT", "/scenario", {"scenario": scenario})
            statuses.append(http.post("/v1/videos", files={"prompt": (None, "p")}).status_code)
    assert statuses == [200, 200, 503, 200]


def test_credit_and_ids_go_on_after_a_restart(tmp_path: Path) -> None:
    statuses, ids = [], []
    for _ in range(3):
        with mockveo.serve(store=tmp_path / "mockveo.db", credit=2, seed=1, render=False) as server:
            with client(server.url) as http:
                response = http.post("/v1/videos", files={"prompt": (None, "p")})
                statuses.append(response.status_code)
                ids.append(response.json().get("id"))
    assert statuses[:2] == [200, 200]
    assert statuses[2] != 200
    assert len(set(ids)) == 3


def test_setting_that_changes_takes_effect_and_others_stay(tmp_path: Path) -> None:
    store = tmp_path / "mockveo.db"
    with mockveo.serve(store=store, clock="manual") as server, client(server.url) as http:
        control(http, "PUT", "/scenario", {"scenario": "fails"})
        control(http, "POST", "/clock/advance", {"seconds": 5})
    with mockveo.serve(store=store, clock="poll") as server, client(server.url) as http:
        clock = control(http, "GET", "/clock")
        assert (clock["mode"], clock["now"]) == ("poll", 5)
        assert control(http, "GET", "/scenario")["name"] == "fails"
    with mockveo.serve(store=store, clock="poll", scenario="slow") as server, client(server.url) as http:
        assert control(http, "GET", "/scenario")["name"] == "slow"


def test_worlds_come_back_with_their_own_settings_and_reset_ones_are_empty(tmp_path: Path) -> None:
    store = tmp_path / "mockveo.db"
    with mockveo.serve(store=store, render=False) as server, client(server.url) as http:
        kept, gone = create(http, "/@kept"), create(http, "/@gone")
        reset = http.post("/@own/_mockveo/reset", json={"clock": "poll", "seed": 7, "profile": "docs-2026-10"}).json()
        http.post("/@gone/_mockveo/reset", json={})
        http.post("/@busy/_mockveo/reset", json={"scenario": "slow"}).raise_for_status()
    with mockveo.serve(store=store, render=False) as server, client(server.url) as http:
        assert http.get("/@busy/_mockveo/scenario").json()["name"] == "slow"
        assert http.get(f"/@kept/v1/videos/{kept}").status_code == 200
        assert http.get(f"/@gone/v1/videos/{gone}").status_code == 400
        ready = http.get("/@own/_mockveo/ready").json()
        assert (ready["profile"], ready["seed"]) == (reset["profile"], reset["seed"])
        names = {world["name"] for world in control(http, "GET", "/worlds")["worlds"]}
        assert names == {"", "kept", "gone", "own", "busy"}


def test_worlds_beyond_the_most_are_forgotten_in_the_file_too(tmp_path: Path) -> None:
    store = tmp_path / "mockveo.db"
    with mockveo.serve(store=store, max_worlds=1) as server, client(server.url) as http:
        create(http, "/@first")
        create(http, "/@second")
    with mockveo.serve(store=store) as server, client(server.url) as http:
        assert {world["name"] for world in control(http, "GET", "/worlds")["worlds"]} == {"", "second"}


def test_journal_keeps_its_numbers_and_its_bound(tmp_path: Path) -> None:
    settings = {"store": tmp_path / "mockveo.db", "max_exchanges": 3}
    with mockveo.serve(**settings) as server, client(server.url) as http:
        for _ in range(5):
            http.get("/v1/models")
    with mockveo.serve(**settings) as server, client(server.url) as http:
        assert [exchange["number"] for exchange in control(http, "GET", "/journal")["exchanges"]] == [3, 4, 5]
        control(http, "DELETE", "/journal")
    with mockveo.serve(**settings) as server, client(server.url) as http:
        assert control(http, "GET", "/journal")["count"] == 0
        http.get("/v1/models")
        assert [exchange["number"] for exchange in control(http, "GET", "/journal")["exchanges"]] == [6]


def test_fixture_works_with_a_file_and_its_changes_are_kept(tmp_path: Path) -> None:
    store = tmp_path / "mockveo.db"
    with mockveo.serve(**DEFAULTS, store=store) as server, MockveoWorlds(server).new("mine") as world:
        with client(world.url) as http:
            created = create(http)
        world.scenario(ending="failure", name="mine")
        world.advance(500)
        assert world.jobs[0].status == "completed"
        assert world.requests.summary == ["create 200 queued"]
    with mockveo.serve(**DEFAULTS, store=store) as server, client(server.url) as http:
        assert http.get(f"/@mine/v1/videos/{created}").json()["status"] == "completed"
        assert http.get("/@mine/_mockveo/scenario").json()["name"] == "mine"


def test_many_clients_at_once_lose_nothing(tmp_path: Path) -> None:
    store, ids = tmp_path / "mockveo.db", []
    with mockveo.serve(store=store, render=False) as server:

        def work() -> None:
            with client(server.url) as http:
                ids.extend(create(http) for _ in range(10))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with mockveo.serve(store=store, render=False) as server, client(server.url) as http:
        assert {job["id"] for job in control(http, "GET", "/jobs?limit=1000")["jobs"]} == set(ids)
        assert len(ids) == 80


def test_failing_disk_gets_a_503_and_recovery_needs_no_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with mockveo.serve(store=tmp_path / "mockveo.db", render=False) as server, client(server.url) as http:
        write = database._write_world

        def full(*_: object) -> None:
            raise database.sqlite3.OperationalError("database or disk is full")

        monkeypatch.setattr(database, "_write_world", full)
        response = http.post("/v1/videos", files={"prompt": (None, "p")})
        assert response.status_code == 503
        assert response.json()["error"]["type"] == "mockveo_error"
        assert "database or disk is full" in response.json()["error"]["message"]
        assert control(http, "GET", "/health")["store"]["ok"] is False
        monkeypatch.setattr(database, "_write_world", write)
        create(http)
        assert control(http, "GET", "/health")["store"] == {"kind": "sqlite", "ok": True, "problem": None}
