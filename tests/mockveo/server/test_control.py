"""The control API through the front door: what it does, what it refuses, and that its document is true."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import mockveo
from mockveo import yamlfiles
from mockveo.errors import SpecError
from mockveo.realtime import LAST_DATE_S
from mockveo.server import control, control_lists
from mockveo.server.run import ServerThread
from mockveo.settings import BOUNDS, DURATION
from mockveo.spec.openapi import Document
from mockveo.spec.structure import escape
from mockveo.traffic.record import ExchangeRecord

KEY = {"Authorization": "Bearer sk-secret"}
DOCUMENT = Document(
    yamlfiles.parse(Path(control.__file__).with_name("control.yaml").read_bytes(), "control", SpecError)
)
OPERATIONS = {
    operation["operationId"]: (method, path)
    for path, item in DOCUMENT.at("/paths").items()
    for method, operation in item.items()
    if method != "parameters"
}


class WorldControl:
    """The control API of a world, each answer held against its document."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http
        self.called: set[str] = set()

    def __call__(self, operation: str, body: Any = None, /, **values: str) -> Any:
        method, path = OPERATIONS[operation]
        self.called.add(operation)
        url = path.format_map({name: quote(value, safe="") for name, value in values.items()})
        query = {name: value for name, value in values.items() if f"{{{name}}}" not in path}
        answer = self.http.request(method, f"/_mockveo{url}", json=body, params=query)
        return self.held(answer, f"/paths/{escape(path)}/{method}/responses")

    def bytes_of(self, operation: str, **values: str) -> httpx.Response:
        method, path = OPERATIONS[operation]
        self.called.add(operation)
        return self.http.request(method, f"/_mockveo{path.format_map(values)}")

    def held(self, answer: httpx.Response, responses: str = "") -> Any:
        body = answer.json()
        pointer = f"{responses}/200" if answer.status_code == 200 else "/components/responses/Error"
        DOCUMENT.validator(f"{pointer}/content/application~1json/schema").validate(body)
        return body

    def create(self, prompt: str = "p", **headers: str) -> httpx.Response:
        return self.http.post("/v1/videos", files={"prompt": (None, prompt)}, headers={**KEY, **headers})

    def poll(self, job: str) -> Any:
        return self.http.get(f"/v1/videos/{job}", headers=KEY).json()


@pytest.fixture
def world(server: ServerThread, request: pytest.FixtureRequest) -> Iterator[WorldControl]:
    name = "".join(char for char in request.node.name if char.isalnum())[:90]
    with httpx.Client(base_url=f"{server.url}/@{name}", timeout=10) as http:
        server.app.worlds.reset(name)
        yield WorldControl(http)


def test_every_operation_does_what_its_document_says(world: WorldControl) -> None:
    health = {"status": "ok", "version": mockveo.__version__}
    assert world("getHealth") == {**health, "store": {"kind": "memory", "ok": True, "problem": None}}
    assert world("getReady")["base_url"].endswith("/v1")
    assert {"name": "", "scenario": "normal"}.items() <= world("listWorlds")["worlds"][0].items()
    assert world("getDocument")["info"]["title"] == "mockveo's control API"
    assert {scenario["name"] for scenario in world("listScenarios")["scenarios"]} > {"normal", "fails"}
    assert world("findScenario", name="fails")["scenario"]["ending"] == "failure"
    assert world("getScenario")["name"] == "normal"
    assert world("setScenario", {"scenario": "slow"})["name"] == "slow"
    assert world("defineScenario", {"ending": "never"}, name="mine")["scenario"] == {"ending": "never", "name": "mine"}
    assert [scenario["name"] for scenario in world("queueScenario", {"scenario": "mine"})["scenarios"]] == ["mine"]
    assert len(world("getQueue")["scenarios"]) == 1
    assert world("clearQueue") == {"scenarios": []}
    assert world("getClock")["mode"] == "manual"
    assert world("advanceClock", {"seconds": 2.5})["now"] == 2.5
    assert world("changeClock", {"mode": "poll", "step": 3})["step"] == 3
    job = world.create().json()["id"]
    assert [listed["id"] for listed in world("listJobs")["jobs"]] == [job]
    assert [step["status"] for step in world("getJob", id=job)["timeline"]] == ["queued", "in_progress", "completed"]
    assert world("setJobScenario", {"scenario": "flaky-polls"}, id=job)["scenario"] == "flaky-polls"
    assert world("endJob", {"ending": "success"}, id=job)["status"] == "completed"
    assert world.bytes_of("getJobContent", id=job).content[4:8] == b"ftyp"
    assert world.bytes_of("getJobImage", id=job, place="1").status_code == 404
    assert world("getJobCase", id=job)["file"].startswith("seen.task-")
    assert Path(world("saveJobCase", id=job)["path"]).is_file()
    assert "create-1" in world("getCreateCase", number="1")["name"]
    assert Path(world("saveCreateCase", number="1")["path"]).is_file()
    assert world("forgetJob", id=job) == {"id": job}
    assert world("listExchanges")["count"] == 1
    assert world("getExchange", number="1")["job"] == job
    assert world("getMessages", number="1")["messages"][0]["line"] == "POST /v1/videos"
    assert "curl --request POST" in world("getMessages", number="1")["code"]["curl"]
    assert all(same for *_, same in world("compareExchanges", number="1", other="1")["rows"])
    assert world("exportJournal")["log"]["version"] == "1.2"
    assert world("listFindings") == {"findings": []}
    assert "create-once" in {rule["id"] for rule in world("listRules")["rules"]}
    assert world("checkScenario", {"text": "ending: failure"})["scenario"] == {"ending": "failure"}
    assert world("getBill")["made"] == 1
    assert world("loadWorld", world("saveWorld"))["ready"] is True
    assert world("clearJournal") == {"count": 0}
    assert world("resetWorld")["ready"] is True
    assert world("listJobs")["count"] == 0
    assert world.called == set(OPERATIONS) - {"followExchanges", "getMetrics"}


def test_bounds_of_numbers_are_those_of_the_settings() -> None:
    clock = DOCUMENT.at("/paths/~1clock/patch/requestBody/content/application~1json/schema/properties")
    for name in ("speed", "step"):
        assert (clock[name]["minimum"], clock[name]["maximum"]) == (BOUNDS[name].least, BOUNDS[name].most)
    advance = DOCUMENT.at("/paths/~1clock~1advance/post/requestBody/content/application~1json/schema/properties")
    assert (advance["seconds"]["minimum"], advance["seconds"]["maximum"]) == (DURATION.least, DURATION.most)


def test_slowest_clock_and_farthest_time_are_answered(world: WorldControl) -> None:
    assert "speed" in world("changeClock", {"speed": 5e-324})["error"]["message"]
    world("setScenario", {"scenario": {"ending": "never"}})
    world("changeClock", {"mode": "wall", "speed": 1e-6})
    job = world.create().json()["id"]
    world("changeClock", {"mode": "manual", "speed": 1e9})
    for _ in range(300):
        world("advanceClock", {"seconds": 1e9})
    assert world("endJob", {"ending": "success"}, id=job)["ended_at"] == LAST_DATE_S
    assert world.poll(job)["status"] == "completed"
    world("setScenario", {"scenario": {"faults": [{"status": 429, "retry_after": {"date": 1e9}}]}})
    assert world.http.get(f"/v1/videos/{job}", headers=KEY).headers["retry-after"] == "Fri, 31 Dec 9999 00:00:00 GMT"


@pytest.mark.parametrize(
    ("operation", "body", "values"),
    [
        ("setScenario", {"scenario": "x" * 200_000}, {}),
        ("setScenario", {"scenario": {"x" * 200_000: 1}}, {}),
        ("setScenario", {"scenario": {"style": {"omit": [1] * 80_000}}}, {}),
        ("setScenario", {"scenario": {"faults": [{"headers": {f"a {number}": "x" for number in range(10_000)}}]}}, {}),
        ("setScenario", {"scenario": {"faults": [{"error": "x" * 200_000}]}}, {}),
        ("setScenario", {"scenario": {"style": {"extra": ["x" * 200_000]}}}, {}),
        ("changeClock", {"x" * 200_000: 1}, {}),
        ("changeClock", {"mode": ["x"] * 50_000}, {}),
        ("resetWorld", {"x" * 200_000: 1}, {}),
        ("resetWorld", {"model": ["x"] * 50_000, "key": [1] * 50_000}, {}),
        ("findScenario", None, {"name": "x" * 50_000}),
        ("getJob", None, {"id": "x" * 50_000}),
        ("listJobs", None, {"status": "x" * 50_000}),
        ("listJobs", None, {"limit": "x" * 50_000}),
        ("listJobs", None, {"x" * 50_000: "1"}),
    ],
)
def test_message_about_a_long_value_is_short(
    world: WorldControl, operation: str, body: Any, values: dict[str, str]
) -> None:
    answer = world(operation, body, **values)
    assert len(answer["error"]["message"]) < 4000


def test_prompt_may_name_a_hundred_scenarios_but_no_more(world: WorldControl) -> None:
    assert world.create("[mockveo:slow]" * 100).status_code == 200
    refused = world.create("[mockveo:fails]" * 60_000)
    assert refused.status_code == 400
    assert "the prompt has more than 100 tags" in refused.json()["error"]["message"]
    assert len(world.create(f"[mockveo:{'x' * 900_000}]").content) < 4000


@pytest.mark.parametrize("number", [1e20, -1e300, 5e-324, 2**63, 9007199254740993.0])
def test_any_float_in_a_scenario_is_shown_and_sent(world: WorldControl, number: float) -> None:
    chosen = {"style": {"extra": {"x": number}}, "faults": [{"nth": 2, "operation": "retrieve", "json": number}]}
    world("setScenario", {"scenario": chosen})
    assert world("getScenario")["scenario"] == chosen
    job = world.create().json()
    assert job["x"] == number
    world.poll(job["id"])
    assert world.poll(job["id"]) == number


def test_a_queued_scenario_is_the_next_creates_and_then_used_up(world: WorldControl) -> None:
    world("queueScenario", {"scenario": "retry-after"})
    assert [world.create("a").status_code for _ in range(4)] == [429, 429, 200, 200]
    assert [job["scenario"] for job in world("listJobs")["jobs"]] == ["normal", "retry-after"]


def test_scenario_taken_from_the_queue_goes_to_one_create(world: WorldControl) -> None:
    world("queueScenario", {"scenario": "retry-after"})
    assert [world.create(prompt).status_code for prompt in "abaa"] == [429, 200, 429, 200]


def test_a_scenario_that_was_defined_can_be_chosen_by_header_and_prompt(world: WorldControl) -> None:
    world("defineScenario", {"faults": [{"operation": "create", "status": 418}]}, name="teapot")
    assert world.create("x [mockveo:teapot]").status_code == 418
    assert world.create("x", **{"X-Mockveo-Scenario": "teapot"}).status_code == 418
    assert world.create("x").status_code == 200


@pytest.mark.parametrize("way", ["header", "prompt"])
def test_a_name_that_does_not_exist_is_an_error_and_makes_no_job(world: WorldControl, way: str) -> None:
    answer = (
        world.create("x", **{"X-Mockveo-Scenario": "fial"}) if way == "header" else world.create("x [mockveo:fial]")
    )
    assert answer.status_code == 400
    assert "the scenario 'fial' does not exist; did you mean 'fails'?" in world.held(answer)["error"]["message"]
    assert world("listJobs")["count"] == 0


def test_a_job_that_is_ended_by_force_has_failed_for_its_client(world: WorldControl) -> None:
    job = world.create().json()["id"]
    world("advanceClock", {"seconds": 40})
    before = world.poll(job)
    world("endJob", {"ending": "failure", "error": {"code": "moderated", "message": "No."}}, id=job)
    after = world.poll(job)
    assert (before["status"], after["status"]) == ("in_progress", "failed")
    assert after["error"] == {"code": "moderated", "message": "No."}
    assert after["progress"] == before["progress"]
    assert "job_ended" in world.http.post(f"/_mockveo/jobs/{job}/end", json={"ending": "success"}).text


def test_a_failure_without_a_reason(world: WorldControl) -> None:
    first, second = (world.create().json()["id"] for _ in range(2))
    world("endJob", {"ending": "failure", "error": None}, id=first)
    world("endJob", {"ending": "failure"}, id=second)
    assert "error" not in world.poll(first)
    assert world.poll(second)["error"]["code"] == "generation_failed"


def test_jobs_and_exchanges_are_filtered_and_counted(world: WorldControl) -> None:
    jobs = [world.create().json()["id"] for _ in range(3)]
    world("endJob", {"ending": "failure"}, id=jobs[0])
    world.poll(jobs[1])
    world.poll("nope")
    assert [job["id"] for job in world("listJobs", ended="false")["jobs"]] == [jobs[2], jobs[1]]
    assert [job["id"] for job in world("listJobs", status="failed")["jobs"]] == [jobs[0]]
    assert world("listJobs", limit="1")["count"] == 3
    assert [job["id"] for job in world("listJobs", ended="false", limit="1")["jobs"]] == [jobs[2]]
    assert world("listExchanges", operation="create")["count"] == 3
    assert world("listExchanges", operation="retrieve", status="400")["count"] == 1
    assert world("listExchanges", job=jobs[1])["count"] == 2
    assert [exchange["number"] for exchange in world("listExchanges", since="3")["exchanges"]] == [4, 5]
    assert [exchange["number"] for exchange in world("listExchanges", limit="2")["exchanges"]] == [4, 5]
    assert world("listExchanges", limit="0") == {"count": 5, "exchanges": []}
    world("setScenario", {"scenario": "no-credit"})
    world.create()
    assert [exchange["faults"] for exchange in world("listExchanges", faulty="true")["exchanges"]] == [["error"]]


async def turns_during(app: Any, path: str, on_turn: Callable[[int], None] = lambda _: None) -> int:
    """Return how often the loop turned while a list of the control API was made."""
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            on_turn(turns)
            await asyncio.sleep(0)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        await client.get("/v1/videos/x", headers={"Authorization": "Bearer sk"})
        counter = asyncio.create_task(count_turns())
        answer = await client.get(f"/_mockveo/{path}")
        counter.cancel()
    assert answer.status_code == 200
    return turns


@pytest.mark.parametrize("path", ["jobs?status=failed", "jobs?ended=true&limit=1"])
def test_long_list_lets_others_be_served_between_its_slices(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Each look at the clock is a second later, so each job is a slice.
    monkeypatch.setattr(control_lists, "monotonic", partial(next, count()))
    app = mockveo.app(seed=1, render=False)
    for number in range(1500):
        app.world.add("sk", "veo_3_1", {"prompt": f"p{number}"}, ())
    assert asyncio.run(turns_during(app, path)) >= 1500


@pytest.mark.parametrize("path", ["findings", "journal.har", "bill"])
def test_report_of_the_journal_is_made_while_others_are_served(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    others_were_served, shown = threading.Event(), ExchangeRecord.to_json

    def shown_after_others(exchange: ExchangeRecord) -> Any:
        assert others_were_served.wait(timeout=30)
        return shown(exchange)

    monkeypatch.setattr(ExchangeRecord, "to_json", shown_after_others)
    app = mockveo.app(seed=1, render=False)
    asyncio.run(turns_during(app, path, lambda turn: others_were_served.set() if turn > 20 else None))
    assert others_were_served.is_set()


def test_exchange_is_shown_in_full_without_the_key(world: WorldControl) -> None:
    image = {"input_reference": ("ä.png", b"12345", "image/png")}
    world.http.post("/v1/videos", data={"prompt": "ä kite"}, files=image, headers={**KEY, "Cookie": "c=1"})
    exchange = world("getExchange", number="1")
    assert exchange["request"]["fields"] == [{"name": "prompt", "value": "ä kite"}]
    (file,) = exchange["request"]["files"]
    assert (file["filename"], file["content_type"], file["bytes"]) == ("ä.png", "image/png", 5)
    assert len(exchange["request"]["body_sha256"]) == 64
    assert exchange["response"]["body"]["id"] == exchange["job"]
    assert ["content-type", "application/json"] in exchange["response"]["headers"]
    assert "sk-secret" not in json.dumps([exchange, world("exportJournal")])
    assert "c=1" not in json.dumps(exchange)


def test_client_that_left_is_distinguished_from_one_that_waited(world: WorldControl) -> None:
    world("setScenario", {"scenario": {"faults": [{"operation": "create", "delay": 0.4}]}})
    with pytest.raises(httpx.ReadTimeout):
        world.http.post("/v1/videos", files={"prompt": (None, "p")}, headers=KEY, timeout=0.1)
    deadline = time.monotonic() + 5
    while world("listExchanges")["count"] < 1:
        assert time.monotonic() < deadline
    world.create()
    gone, stayed = world("listExchanges")["exchanges"]
    assert (gone["client_left"], gone["response"]) == (True, None)
    assert gone["duration_ms"] < 400
    assert "POST /@" in gone["line"]
    assert " gone queued" in gone["line"]
    assert (stayed["client_left"], stayed["response"]["status"]) == (False, 200)
    assert stayed["duration_ms"] >= 400
    assert world("listJobs")["count"] == 2


def test_bytes_sent_before_a_client_leaves_are_recorded(world: WorldControl) -> None:
    world("setScenario", {"scenario": {"phases": [], "faults": [{"operation": "content", "bandwidth": 20000}]}})
    job = world.create().json()["id"]
    with world.http.stream("GET", f"/v1/videos/{job}/content", headers=KEY) as answer:
        for _ in answer.iter_raw():
            break
    deadline = time.monotonic() + 5
    while not (exchange := world("getExchange", number="2"))["client_left"]:
        assert time.monotonic() < deadline
    assert 0 < exchange["response"]["body_bytes"] < 100_000


def test_redirect_records_whether_the_key_was_sent_along(world: WorldControl) -> None:
    fault = {"operation": "models", "redirect": {"status": 307, "origin": "other"}}
    world("setScenario", {"scenario": {"faults": [fault]}})
    asked = world.http.get("/v1/models", headers=KEY)
    for headers in ({}, KEY):
        httpx.get(asked.headers["location"], headers=headers)
    first, without, along = world("listExchanges")["exchanges"]
    assert [exchange["elsewhere"] for exchange in (first, without, along)] == [False, True, True]
    assert [exchange["key_sent"] for exchange in (first, without, along)] == [True, False, True]
    assert "(other origin) " in along["line"]


def test_a_world_may_have_settings_of_its_own(world: WorldControl, server: ServerThread) -> None:
    ready = world(
        "resetWorld", {"profile": "gateway", "key": ["sk-1"], "clock": "poll", "scenario": {"ending": "never"}}
    )
    assert ready["profile"] == "gateway"
    assert world.create().status_code == 401
    answer = world.http.post(
        "/v1/videos", headers={"Authorization": "Bearer sk-1"}, json={"prompt": "p", "model": "veo3"}
    )
    assert answer.json()["model"] == "veo3"
    assert httpx.get(f"{server.url}/_mockveo/ready").json()["profile"] == "docs-2026-03"


MISTAKES: list[tuple[str, Any, dict[str, str], int, str]] = [
    ("setScenario", {"scenario": "fial"}, {}, 400, "did you mean 'fails'?"),
    ("setScenario", {"scenario": {"faults": [{"stauts": 1}]}}, {}, 400, "did you mean 'status'?"),
    (
        "setScenario",
        {"scenario": {"faults": [{"error": "nope"}]}},
        {},
        400,
        "faults[0].error is 'nope', which the document does not have; expected one of",
    ),
    ("setScenario", {"scenario": {"faults": [{"error": "overload"}]}}, {}, 400, "did you mean 'overloaded'?"),
    (
        "setScenario",
        {"scenario": {"faults": [{"error": "rate_limit_exceeded"}]}},
        {},
        400,
        "did you mean 'rate_limited'?",
    ),
    ("setScenario", {"scenario": 3}, {}, 400, "scenario: 3 is not of types"),
    ("setScenario", {}, {}, 400, '"scenario" is a required property; expected e.g. {"scenario":"fails"}'),
    ("queueScenario", {"scenario": "../secret.yaml"}, {}, 400, "the scenario '../secret.yaml' does not exist"),
    ("resetWorld", {"scenario": "/etc/passwd"}, {}, 400, "the scenario '/etc/passwd' does not exist"),
    ("resetWorld", {"sed": 1}, {}, 400, "'sed' is not a setting of a world; expected one of profile,"),
    ("resetWorld", {"speed": "fast"}, {}, 400, "speed is 'fast'; expected float"),
    ("resetWorld", {"port": 1}, {}, 400, "'port' is not a setting of a world"),
    ("advanceClock", {"seconds": -1}, {}, 400, "seconds: -1 is less than the minimum of 0"),
    ("advanceClock", {"seconds": 1e300}, {}, 400, "is greater than the maximum"),
    ("changeClock", {"mode": "sundial"}, {}, 400, "mode: "),
    ("changeClock", {}, {}, 400, "expected e.g."),
    ("defineScenario", {}, {"name": "fails"}, 409, "'fails' is a built-in scenario"),
    ("defineScenario", {}, {"name": "a b"}, 400, 'name is "a b"; expected a text: a name of letters'),
    ("findScenario", None, {"name": "fial"}, 404, "did you mean 'fails'?"),
    ("getJob", None, {"id": "nope"}, 404, "this world has no job 'nope'"),
    ("endJob", {"ending": "success"}, {"id": "nope"}, 404, "this world has no job 'nope'"),
    ("getExchange", None, {"number": "7"}, 404, "has no exchange 7"),
    ("compareExchanges", None, {"number": "7"}, 400, "other is missing; expected it, e.g. other=2"),
    ("getMessages", None, {"number": "7"}, 404, "has no exchange 7"),
    (
        "listJobs",
        None,
        {"state": "x"},
        400,
        "'state' is not a parameter; expected one of status, ended, limit, timeline",
    ),
    ("listJobs", None, {"limit": "many"}, 400, "limit: "),
    ("listJobs", None, {"status": "done"}, 400, "no job can be 'done'; expected completed or failed or in_progress or"),
    ("listExchanges", None, {"operation": "creat"}, 400, "operation: "),
    ("checkScenario", {"text": "ending: fail"}, {}, 400, "did you mean 'failure'?"),
    ("checkScenario", {"text": "a: [b"}, {}, 400, "the text: not valid YAML"),
    ("checkScenario", {"text": "faults: [{error: nope}]"}, {}, 400, "faults[0].error is 'nope'"),
    (
        "checkScenario",
        {"text": "faults: [{kill: before}]"},
        {},
        400,
        "this server does not own the process",
    ),
    ("setJobScenario", {"scenario": "fails"}, {"id": "nope"}, 404, "this world has no job 'nope'"),
    ("forgetJob", None, {"id": "nope"}, 404, "this world has no job 'nope'"),
    ("getJobContent", None, {"id": "nope"}, 404, "this world has no job 'nope'"),
    ("getJobCase", None, {"id": "nope"}, 404, "this world has no job 'nope'"),
    ("getCreateCase", None, {"number": "7"}, 404, "has no exchange 7"),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: f"{mistake[0]}: {mistake[4]}")
def test_a_mistake_is_explained_and_changes_nothing(
    world: WorldControl, mistake: tuple[str, Any, dict[str, str], int, str]
) -> None:
    operation, body, values, status, message = mistake
    before = [world(name) for name in ("getScenario", "getQueue", "getClock", "getReady")]
    method, path = OPERATIONS[operation]
    url = path.format_map({name: quote(value, safe="") for name, value in values.items()})
    query = {name: value for name, value in values.items() if f"{{{name}}}" not in path}
    answer = world.http.request(method, f"/_mockveo{url}", json=body, params=query)
    assert answer.status_code == status
    assert message in world.held(answer)["error"]["message"]
    assert [world(name) for name in ("getScenario", "getQueue", "getClock", "getReady")] == before


def test_other_paths_methods_and_media_types_are_refused(world: WorldControl) -> None:
    http = world.http
    assert http.get("/_mockveo/nope").status_code == 404
    assert http.get("/_mockveo/ui/nope.js").status_code == 404
    assert http.delete("/_mockveo/health").status_code == 405
    assert http.put("/_mockveo/scenario", data={"scenario": "fails"}).status_code == 415
    assert http.post("/_mockveo/reset", content="{}", headers={"Content-Type": "text/plain"}).status_code == 415
    assert http.put("/_mockveo/scenario", content="{", headers={"Content-Type": "application/json"}).status_code == 400
    assert http.put("/_mockveo/scenario", content=b"x" * (2**18 + 1)).status_code == 413
    assert world("listExchanges")["count"] == 0


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost.evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "evil.example"}, 421),
        ({"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://localhost:1", "Host": "localhost:1"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Host": "localhost:1"}, 200),
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_pages_of_other_sites_are_refused(
    world: WorldControl, method: str, headers: dict[str, str], status: int
) -> None:
    body = {"scenario": "fails"} if method == "PUT" else None
    answer = world.http.request(method, "/_mockveo/scenario", json=body, headers=headers)
    assert answer.status_code == status
    changed = status == 200 and method == "PUT"
    assert world("getScenario")["name"] == ("fails" if changed else "normal")


@pytest.mark.parametrize(
    ("client", "status"),
    [("192.0.2.7", 403), ("127.0.0.1", 200), ("::1", 200), ("::ffff:127.0.0.1", 200), ("fe80::1%eth0", 403)],
)
def test_other_machines_are_refused(client: str, status: int) -> None:
    from mockveo.server.app import Application
    from mockveo.settings import of

    app = Application(of(render=False))

    async def ask() -> int:
        transport = httpx.ASGITransport(app=app, client=(client, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8360") as http:
            return (await http.get("/_mockveo/health")).status_code

    assert asyncio.run(ask()) == status


def test_events_show_exchanges_at_once_and_a_reset(world: WorldControl) -> None:
    with world.http.stream("GET", "/_mockveo/events") as stream:
        assert stream.headers["content-type"] == "text/event-stream"
        lines = stream.iter_lines()
        assert next(lines) == ": mockveo"
        threading.Timer(0.05, world.create).start()
        events = [next(lines) for _ in range(5)]
        assert events[1:3] == ["event: exchange", "id: 1"]
        assert json.loads(events[3].removeprefix("data: "))["operation"] == "createVideo"
        world("resetWorld")
        world.create()
        events = [next(lines) for _ in range(6)]
        assert events[0] == "event: reset"
        assert events[4] == "id: 1"


def test_events_with_state_show_the_world_its_jobs_and_what_was_changed(world: WorldControl) -> None:
    job = world.create().json()["id"]
    with world.http.stream("GET", "/_mockveo/events?state=true&since=0") as stream:
        lines = stream.iter_lines()

        def following() -> tuple[str, Any]:
            name = next(line for line in lines if line.startswith("event: "))[7:]
            return name, json.loads(next(line for line in lines if line.startswith("data: "))[6:])

        first = [following() for _ in range(4)]
        assert [name for name, _ in first] == ["hello", "exchange", "job", "state"]
        hello, _, shown, state = (data for _, data in first)
        assert (hello["run"], hello["last"]) == (world("getReady")["run"], 1)
        assert [stage["status"] for stage in shown["timeline"]] == ["queued", "in_progress", "completed"]
        assert (state["clock"]["mode"], state["scenario"]["name"], state["queue"]) == ("manual", "normal", [])
        world("endJob", {"ending": "failure"}, id=job)
        assert following()[1]["status"] == "failed"
        world("queueScenario", {"scenario": "fails"})
        assert following()[1]["queue"][0]["name"] == "fails"
        world("forgetJob", id=job)
        assert following() == ("forgotten", {"id": job})
        world("resetWorld")
        assert following()[0] == "reset"
        name, again = following()
        assert (name, again["last"]) == ("hello", 0)
        assert again["run"] != hello["run"]


def test_events_go_on_where_a_client_has_stopped(world: WorldControl) -> None:
    for prompt in "abc":
        world.create(prompt)
    for asked in ({"params": {"since": "1"}}, {"headers": {"Last-Event-ID": "1"}}):
        with world.http.stream("GET", "/_mockveo/events", **asked) as stream:
            ids = (line for line in stream.iter_lines() if line.startswith("id: "))
            assert [next(ids), next(ids)] == ["id: 2", "id: 3"]


def test_a_server_with_a_listener_stops_at_once() -> None:
    with httpx.Client() as http:
        with mockveo.serve(render=False) as server:
            stream = http.stream("GET", f"{server.url}/_mockveo/events")
            stream.__enter__()
        stream.__exit__(None, None, None)
        with pytest.raises(httpx.ConnectError):
            http.get(f"{server.url}/_mockveo/health")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS"]),
    path=st.sampled_from([path for path in DOCUMENT.at("/paths") if path != "/events"])
    | st.text("abc/.%{}", max_size=12),
    body=st.none()
    | st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), st.lists, max_leaves=5)
    | st.dictionaries(
        st.sampled_from(["scenario", "seconds", "mode", "ending", "error"]), st.integers() | st.text(max_size=5)
    ),
    query=st.dictionaries(st.sampled_from(["limit", "since", "status", "x"]), st.text("0123x", max_size=4), max_size=2),
)
def test_any_request_gets_one_of_two_shapes(
    world: WorldControl, method: str, path: str, body: Any, query: dict[str, str]
) -> None:
    assume(".." not in path.split("/"))  # which httpx resolves
    answer = world.http.request(method, f"/_mockveo/{quote(path.strip('/'))}", json=body, params=query)
    assert answer.status_code < 500
    if answer.status_code >= 400 and method != "HEAD":
        world.held(answer)


def test_queued_scenario_stays_with_its_create_despite_a_fault(world: WorldControl) -> None:
    slow = {"ending": "failure", "faults": [{"operation": "create", "delay": 0.01}]}
    world("queueScenario", {"scenario": slow})
    assert [world.create().status_code for _ in range(3)] == [200, 200, 200]
    assert [job["scenario"] for job in world("listJobs")["jobs"]] == ["normal", "normal", "unnamed"]


def test_clearing_the_queue_clears_what_creates_have_begun(world: WorldControl) -> None:
    world("queueScenario", {"scenario": "no-credit"})
    assert world.create().status_code == 403
    world("clearQueue")
    assert world.create().status_code == 200


@pytest.mark.parametrize("tag", ["[MOCKVEO:fails]", "[ mockveo : fails ]", "[mockveo:fails] and [mockveo:fails]"])
def test_tag_ignores_case_and_blanks(world: WorldControl, tag: str) -> None:
    assert world.create(f"a {tag} b").status_code == 200
    assert world("listJobs")["jobs"][0]["scenario"] == "fails"


@pytest.mark.parametrize("tag", ["[mockveo:fails", "[mockveo fails]", "[mockveo:fails][mockveo:nope]", "[mockveo:]"])
def test_invalid_tag_is_refused(world: WorldControl, tag: str) -> None:
    assert world.create(f"a {tag} b").status_code == 400
    assert world("listJobs")["count"] == 0


@pytest.mark.parametrize("text", ["mockveo:fails", "[mock] [mockveos:x]", "a [b] c"])
def test_brackets_without_a_tag_are_part_of_the_prompt(world: WorldControl, text: str) -> None:
    assert world.create(text).status_code == 200


def test_listener_ahead_of_the_journal_gets_a_reset(world: WorldControl) -> None:
    world.create()
    with world.http.stream("GET", "/_mockveo/events", headers={"Last-Event-ID": "7"}) as stream:
        lines = [line for line, _ in zip(stream.iter_lines(), range(5), strict=False)]
    assert lines[2] == "event: reset"


def test_a_head_of_the_events_ends(world: WorldControl) -> None:
    assert world.http.head("/_mockveo/events").status_code == 200
    assert world("getHealth")["status"] == "ok"


def test_bodies_that_are_too_long_or_too_short_are_refused_in_the_one_shape(
    world: WorldControl, server: ServerThread
) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(40):
            yield b" " * 2**14

    answer = world.http.put("/_mockveo/scenario", content=chunks(), headers={"Content-Type": "application/json"})
    assert (answer.status_code, world.held(answer)["error"]["code"]) == (413, "body_too_large")
    host, port = server.url.removeprefix("http://").split(":")
    head = "PUT /_mockveo/scenario HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n"
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(f"{head}Content-Type: application/json\r\n\r\n{{}}".encode())
        connection.shutdown(socket.SHUT_WR)
        data = b"".join(iter(lambda: connection.recv(65536), b""))
    assert data.startswith(b"HTTP/1.1 400 ")
    assert b"body_ended" in data


def test_scenario_that_cannot_be_written_again_is_refused(world: WorldControl) -> None:
    deep: Any = 1
    for _ in range(252):
        deep = [deep]
    answer = world.http.put("/_mockveo/scenario", json={"scenario": {"style": {"extra": {"x": deep}}}})
    assert answer.status_code == 400
    assert world("getScenario")["name"] == "normal"
    assert world.create().status_code == 200
