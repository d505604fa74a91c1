from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import mockveo
from mockveo.environment import without_proxy
from mockveo.errors import MockveoError, ScenarioError, SettingsError
from mockveo.server.run import ServerThread
from mockveo.simulator.scenarios import named
from mockveo.simulator.worlds import OWN
from mockveo.testing import DEFAULTS, Mockveo, MockveoWorlds, ReceivedFile, safe_name

#: Shared, because creating a client takes a while.
HTTP = httpx.Client(verify=False, trust_env=False)
PNG = b"\x89PNG\r\n"


@pytest.fixture(scope="session", autouse=True)
def shared_client() -> Iterator[None]:
    """Close the client once, after the last test: the tests of a module need not run in one go."""
    with HTTP:
        yield


@pytest.fixture(scope="module")
def running() -> Iterator[ServerThread]:
    with mockveo.serve(**DEFAULTS, self_check=True) as server:
        yield server


@pytest.fixture
def worlds(running: ServerThread, request: pytest.FixtureRequest) -> MockveoWorlds:
    return MockveoWorlds(running, request.node.nodeid)


#: Fixed, because the default durations depend on the name of the world.
PHASES = [{"duration": 5, "progress": 0}, {"duration": 100}]


@pytest.fixture
def world(worlds: MockveoWorlds) -> Mockveo:
    return worlds.new()


def call(world: Mockveo, method: str, path: str, **more: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {world.key}", **more.pop("headers", {})}
    return HTTP.request(method, f"{world.base_url}{path}", headers=headers, **more)


def create(world: Mockveo, prompt: str = "a kite", **more: Any) -> httpx.Response:
    return call(world, "POST", "/videos", files={"prompt": (None, prompt)}, **more)


def follow(world: Mockveo) -> dict[str, Any]:
    """Poll without pause until the job ends, as an impatient client does."""
    video = create(world).raise_for_status().json()
    while video["status"] in ("queued", "in_progress"):
        video = call(world, "GET", f"/videos/{video['id']}").raise_for_status().json()
    return dict(video)


def test_job_that_is_polled_without_pause_ends(world: Mockveo) -> None:
    assert follow(world)["status"] == "completed"
    assert 7 < len(world.requests.of("retrieve")) < 21
    assert world.requests.summary[0] == "create 200 queued"
    assert world.requests.summary[-1] == "retrieve 200 completed"


def test_urls_and_environment_lead_to_the_world(world: Mockveo, running: ServerThread) -> None:
    assert world.url == f"{running.url}/@{world.name}"
    assert world.base_url == f"{world.url}/v1"
    assert repr(world) == f"<Mockveo {world.base_url}>"
    assert world.env == {
        "COMETAPI_BASE_URL": world.base_url,
        "COMETAPI_KEY": "sk-mockveo",
        "OPENAI_BASE_URL": world.base_url,
        "OPENAI_API_KEY": "sk-mockveo",
        **without_proxy(os.environ),
    }


def test_world_with_a_key_accepts_only_that_key(worlds: MockveoWorlds) -> None:
    world = worlds.new(key="sk-mine")
    assert world.key == world.env["COMETAPI_KEY"] == "sk-mine"
    assert create(world).status_code == 200
    assert create(world, headers={"Authorization": "Bearer sk-other"}).status_code == 401
    assert worlds.new(key=["sk-1", "sk-2"]).key == "sk-1"


def test_scenario_by_name_is_used(world: Mockveo) -> None:
    world.scenario("retry-after")
    assert [create(world).status_code for _ in range(3)] == [429, 429, 200]
    assert world.requests.summary == ["create 429", "create 429", "create 200 queued"]


def test_scenario_by_keywords_is_used(world: Mockveo) -> None:
    world.scenario(phases=(), ending="failure", error={"code": "no", "message": "No."})
    assert create(world).json()["status"] == "failed"
    (job,) = world.jobs
    assert (job.status, job.error, job.scenario) == ("failed", {"code": "no", "message": "No."}, "unnamed")


def test_scenario_keywords_override_a_named_scenario(world: Mockveo) -> None:
    world.scenario("instant", faults=[{"operation": "content", "status": 502}])
    made = create(world).json()
    assert made["status"] == "completed"
    assert call(world, "GET", f"/videos/{made['id']}/content").status_code == 502
    assert world.jobs[0].scenario == "instant"
    world.scenario("instant")
    assert call(world, "GET", f"/videos/{made['id']}/content").status_code == 200
    assert world.requests.summary[1:] == ["content 502", "content 200"]


def test_scenario_from_a_file_is_used_and_named(world: Mockveo, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("{name: my-own, phases: [], ending: failure}")
    for source in (path, str(path)):
        world.scenario(source)
        assert create(world).json()["status"] == "failed"
    world.next(path, ending="success")
    assert create(world).json()["status"] == "completed"
    assert [job.scenario for job in world.jobs] == ["my-own", "my-own", "my-own"]
    world.scenario("instant")
    world.next("my-own")  # a scenario that was used can be named
    assert create(world).json()["status"] == "failed"


def test_scenario_from_a_mapping_or_an_object_is_copied(world: Mockveo) -> None:
    data = {"phases": [], "style": {"extra": {"trace": 1}}}
    world.scenario(data)
    data["style"] = {}
    assert create(world).json()["trace"] == 1
    world.scenario(named("instant"))
    assert "trace" not in create(world).json()
    world.scenario(named("instant"), ending="failure")
    assert create(world).json()["status"] == "failed"


def test_next_applies_to_one_create_request(world: Mockveo) -> None:
    world.scenario("instant")
    world.next("instant", ending="failure")
    world.next(phases=[], faults=[{"operation": "create", "nth": 1, "status": 503}])
    world.next(phases=[], faults=[{"operation": "create", "nth": 1, "status": 502}])
    responses = [create(world, prompt) for prompt in ("1", "2", "3", "4")]
    assert [response.status_code for response in responses] == [200, 503, 502, 200]
    assert [responses[0].json()["status"], responses[3].json()["status"]] == ["failed", "completed"]


@pytest.mark.parametrize(
    ("sources", "keys", "message"),
    [
        (("fail",), {}, "the scenario 'fail' does not exist; did you mean 'fails'?"),
        (("gone.yaml",), {}, "gone.yaml: cannot be read"),
        ((), {"endng": "failure"}, "endng is not a key; did you mean 'ending'?"),
        (("fails",), {"ending": "failed"}, "scenario fails: ending is \"failed\"; did you mean 'failure'?"),
        ((), {"faults": [{"error": "nope"}]}, "error is 'nope', which the document does not have"),
        ((), {"style": {"extra": {"x": object()}}}, "a scenario must be JSON data, e.g. ending='failure'; "),
        ((), {"faults": [{"delay": float("inf")}]}, "a scenario must be JSON data"),
        ((3,), {}, "a scenario must be JSON data, .*; 'int' object is not a mapping"),
    ],
)
@pytest.mark.parametrize("method", ["scenario", "next"])
def test_scenario_that_is_invalid_is_explained(
    world: Mockveo, method: str, sources: tuple[Any, ...], keys: dict[str, Any], message: str
) -> None:
    with pytest.raises(ScenarioError, match=message):
        getattr(world, method)(*sources, **keys)
    assert create(world).json()["status"] == "queued"


def test_advance_lets_time_pass_at_once(world: Mockveo) -> None:
    made = create(world).json()["id"]
    for duration in (30, "30s", "2m", 20.0):
        world.advance(duration)
    assert world.clock.now() == 200
    assert call(world, "GET", f"/videos/{made}").json()["status"] == "completed"
    assert world.clock.now() == 210
    with pytest.raises(SettingsError, match="'soon' is not a duration"):
        world.advance("soon")


def test_job_is_an_immutable_snapshot(world: Mockveo) -> None:
    files = [
        ("prompt", (None, "a kite")),
        ("model", (None, "veo3.1")),
        ("input_reference", ("a.png", PNG, "image/png")),
        ("input_reference[]", ("b.png", PNG, "image/png")),
        ("other", ("c.png", PNG, "image/png")),
    ]
    call(world, "POST", "/videos", files=files)
    (job,) = world.jobs
    assert (job.status, job.progress, job.prompt, job.images) == ("queued", 0, "a kite", 2)
    assert (job.alias, job.model) == ("veo3.1", world.world.spec.aliases["veo3.1"])  # type: ignore[index]
    assert (job.created_at, job.error, job.scenario) == (1773297229, None, "normal")
    world.advance(1000)
    assert job.status == "queued"
    assert (world.jobs[0].status, world.jobs[0].progress) == ("completed", 100)
    assert world.jobs[0] != job
    with pytest.raises(dataclasses.FrozenInstanceError):
        job.status = "failed"  # type: ignore[misc]


def test_jobs_are_listed_in_the_order_of_their_creation(world: Mockveo) -> None:
    made = [create(world, prompt).json()["id"] for prompt in "abc"]
    assert [job.id for job in world.jobs] == made
    assert [job.prompt for job in world.jobs] == ["a", "b", "c"]


def test_end_forces_the_ending_of_a_job(world: Mockveo) -> None:
    for _ in range(3):
        create(world)
    success, failure, reason = world.jobs
    success.end()
    failure.end("failure")
    reason.end("failure", code="moderated", message="No.")
    assert [(job.status, job.error) for job in world.jobs] == [
        ("completed", None),
        ("failed", named("fails").error),
        ("failed", {"code": "moderated", "message": "No."}),
    ]
    assert call(world, "GET", f"/videos/{reason.id}").json()["error"] == {"code": "moderated", "message": "No."}


def test_end_that_is_impossible_is_explained(world: Mockveo) -> None:
    create(world)
    (job,) = world.jobs
    with pytest.raises(ScenarioError, match="ending is 'fail'; expected 'success' or 'failure'"):
        job.end("fail")
    with pytest.raises(ScenarioError, match="error has no 'message'"):
        job.end("failure", code="x")
    job.end()
    with pytest.raises(MockveoError, match=f"the job {job.id} has ended already; expected a queued or running job"):
        job.end()
    world.reset()
    with pytest.raises(MockveoError, match=f"the job {job.id} is gone"):
        job.end()


def test_request_shows_form_headers_and_outcome(world: Mockveo) -> None:
    files = [
        ("prompt", (None, "a kite")),
        ("prompt", (None, "another")),
        ("size", (None, "9x16")),
        ("input_reference[]", ("a.png", PNG, "image/png")),
    ]
    answer = call(world, "POST", "/videos", files=files, headers={"Accept": "a"})
    (request,) = world.requests
    assert (request.operation, request.method, request.path, request.status) == ("create", "POST", "/v1/videos", 200)
    assert (request.job, request.state, request.at) == (answer.json()["id"], "queued", 0.0)
    assert request.fields == {"prompt": "a kite", "size": "9x16"}
    digest = hashlib.sha256(PNG).hexdigest()
    assert request.files == (ReceivedFile("input_reference[]", "a.png", "image/png", 6, digest),)
    assert request.headers["accept"] == "a"
    assert re.fullmatch(r"Bearer \(key [0-9a-f]{8}\)", request.headers["authorization"])
    assert world.key not in f"{request} {request!r} {request.headers}"
    assert {note.code for note in request.deviations} == {"repeated-field", "image-field-name"}
    with pytest.raises(dataclasses.FrozenInstanceError):
        request.status = 500  # type: ignore[misc]


def test_request_with_repeated_headers_joins_them(world: Mockveo) -> None:
    HTTP.get(f"{world.base_url}/models", headers=[("X-A", "1"), ("x-a", "2")])
    assert world.requests[0].headers["x-a"] == "1, 2"


def test_request_query_hides_credentials(world: Mockveo) -> None:
    HTTP.get(f"{world.base_url}/models?a=1&api_key=secret")
    assert (world.requests[0].path, world.requests[0].query) == ("/v1/models", "a=1&api_key=...")


def test_request_in_json_shows_its_fields(world: Mockveo) -> None:
    call(world, "POST", "/videos", json={"prompt": "a", "n": 3})
    assert world.requests[0].fields == {"prompt": "a", "n": 3}


def test_requests_summary_describes_each_in_a_few_words(world: Mockveo) -> None:
    world.scenario(phases=PHASES)
    world.next("accepted-then-dropped", phases=PHASES)
    with pytest.raises(httpx.ReadError):
        create(world)
    made = create(world).json()["id"]
    for wait in ("0s", "1h"):
        world.advance(wait)
        call(world, "GET", f"/videos/{made}")
        call(world, "GET", f"/videos/{made}/content")
    call(world, "GET", "/models")
    HTTP.get(f"{world.url}/api/models")
    call(world, "GET", "/nothing")
    assert world.requests.summary == [
        "create lost",
        "create 200 queued",
        "retrieve 200 in_progress",
        "content 400",
        "retrieve 200 completed",
        "content 200",
        "models 200",
        "models 200",
        "GET /v1/nothing 404",
    ]
    lost, unknown = world.requests[0], world.requests[-1]
    assert (lost.status, lost.faults, lost.job) == (0, ("reset",), world.jobs[0].id)
    assert unknown.operation == ""


def test_request_of_a_video_url_is_a_delivery(worlds: MockveoWorlds) -> None:
    world = worlds.new(profile="docs-2026-10", scenario={"phases": [], "video_url": {"expires": 60}})
    made = call(world, "POST", "/videos", files={"prompt": (None, "p"), "model": (None, "veo3.1")}).json()["id"]
    url = call(world, "GET", f"/videos/{made}").json()["video_url"]
    assert HTTP.get(url).content[4:8] == b"ftyp"
    world.advance("60s")
    HTTP.get(url)
    assert world.requests.of("delivery").summary == ["delivery 200", "delivery 403"]


def test_request_with_a_truncated_download_shows_its_status(world: Mockveo) -> None:
    world.scenario("instant", faults=[{"operation": "content", "truncate": 10, "reset": True}])
    made = create(world).json()["id"]
    with pytest.raises(httpx.ReadError):
        call(world, "GET", f"/videos/{made}/content")
    assert world.requests.summary == ["create 200 completed", "content 200"]
    assert world.requests[1].faults == ("truncate", "reset")


def test_requests_of_filters_by_operation(world: Mockveo) -> None:
    world.scenario(phases=PHASES)
    made = create(world).json()["id"]
    call(world, "GET", f"/videos/{made}")
    assert world.requests.of("retrieve").summary == ["retrieve 200 in_progress"]
    assert world.requests.of("create", "retrieve") == world.requests
    with pytest.raises(
        SettingsError, match="the operation is 'creat'; expected one of create, retrieve, content, models"
    ):
        world.requests.of("creat")


def test_reset_starts_over_with_the_same_or_other_settings(worlds: MockveoWorlds) -> None:
    world = worlds.new(scenario={"phases": [], "ending": "failure"}, credit=1)
    made = create(world).json()
    assert (made["status"], create(world).status_code) == ("failed", 403)
    world.advance(10)
    world.reset()
    assert (world.jobs, world.requests, world.clock.now()) == ([], [], 0.0)
    assert create(world).json() == made
    world.reset(scenario="instant", credit=None)
    assert [create(world).json()["status"] for _ in range(2)] == ["completed"] * 2
    assert world.jobs[0].id == made["id"]


def test_reset_that_fails_changes_nothing(world: Mockveo) -> None:
    create(world)
    for settings in ({"sped": 3}, {"scenario": "nope"}, {"scenario": {"x": 1}}, {"clock": "x"}, {"scenario": 3}):
        with pytest.raises(MockveoError):
            world.reset(**settings)
    assert len(world.jobs) == 1


def test_worlds_are_isolated(worlds: MockveoWorlds) -> None:
    first, other = worlds.new(scenario="fails", seed=7), worlds.new()
    made = follow(first)
    assert made["status"] == "failed"
    assert call(other, "GET", f"/videos/{made['id']}").status_code == 400
    assert (other.requests.summary, other.jobs) == (["retrieve 400"], [])


def test_closing_a_world_frees_its_name(worlds: MockveoWorlds) -> None:
    with worlds.new() as first, worlds.new() as second:
        assert second.name == f"{first.name}.2"
        ids = create(first).json()["id"], create(second).json()["id"]
    with worlds.new() as again, worlds.new() as second_again:
        assert (again.name, again.requests) == (first.name, [])
        assert (create(again).json()["id"], create(second_again).json()["id"]) == ids
        first.close()  # the name is not its own any more
        assert worlds.new().name == f"{first.name}.3"


def test_unnamed_worlds_end_with_their_test_and_named_ones_do_not(running: ServerThread) -> None:
    worlds = MockveoWorlds(running)
    worlds.begin("a.py::test_one")
    own, shared = worlds.new(), worlds.new("shared")
    assert (shared.name, own.name) == ("shared", safe_name("a.py::test_one"))
    create(shared)
    worlds.begin("a.py::test_two")
    assert worlds.report() == []
    assert worlds.new("shared").name == "shared.2"
    create(shared)
    (title, text), jobs = worlds.report()
    assert title == "mockveo: exchanges of shared"
    assert re.fullmatch(r"\d\d:\d\d:\d\d POST /v1/videos 200 queued 0 % task_\w{32}", text)
    assert jobs[1].splitlines() == [f"{job.id} queued 0 %, veo3-fast, normal, 'a kite'" for job in shared.jobs]
    worlds.begin("a.py::test_one")
    shared.reset()
    assert worlds.report() == []
    create(shared)
    assert [text.count("\n") for _, text in worlds.report()] == [0, 0]
    assert worlds.new().name == own.name


def test_reset_over_the_control_api_shows_in_the_fixture(world: Mockveo, running: ServerThread) -> None:
    create(world)
    running.app.worlds.reset(world.name)  # as the control API does
    assert world.jobs == []
    create(world)
    assert len(world.jobs) == len(world.requests) == 1


def test_closed_world_can_still_be_inspected(worlds: MockveoWorlds) -> None:
    with worlds.new() as world:
        create(world)
    with worlds.new() as other:
        assert (other.url, other.jobs) == (world.url, [])
    assert world.requests.summary == ["create 200 queued"]


def test_invalid_setting_of_a_world_is_explained(worlds: MockveoWorlds) -> None:
    with pytest.raises(SettingsError, match=f"'name' is not a setting of a world; expected one of {', '.join(OWN)}"):
        worlds.new(name="x")
    with pytest.raises(SettingsError, match="speed is 'fast'; expected float"):
        worlds.new(speed="fast")
    assert worlds.report() == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("shared", "shared"),
        ("a.b_c~d-1", "a.b_c~d-1"),
        ("x" * 80, "x" * 80),
        ("x" * 81, "x" * 80 + "-"),
        ("tests/test_a.py::TestB::test_c[d/e é]", "tests-test_a.py-TestB-test_c-d-e-"),
        ("..", "-"),
        ("時", "-"),
    ],
)
def test_safe_name_keeps_only_safe_characters(text: str, expected: str) -> None:
    name = safe_name(text)
    assert re.fullmatch(r"[A-Za-z0-9._~-]{1,93}", name)
    assert name == expected or (name[:-8] == expected and name[-8:] == hashlib.sha256(text.encode()).hexdigest()[:8])


def test_safe_names_of_similar_texts_differ() -> None:
    assert len({safe_name(text) for text in ("a b", "a/b", "a::b", "a-b", "x" * 90, "x" * 91)}) == 6


def test_open_world_is_never_forgotten() -> None:
    with mockveo.serve(**DEFAULTS, max_worlds=2) as server:
        worlds = MockveoWorlds(server)
        held = [worlds.new(scenario="no-credit") for _ in range(4)]
        for number in range(5):
            httpx.get(f"{server.url}/@other{number}/v1/models")
        assert [create(world).status_code for world in held] == [403] * 4
        for world in held:
            world.close()
        for number in range(5):
            httpx.get(f"{server.url}/@more{number}/v1/models")
        assert held[0].name not in server.app.worlds


def test_end_never_is_refused(world: Mockveo) -> None:
    create(world)
    with pytest.raises(MockveoError, match="ending is 'never'; expected 'success' or 'failure'"):
        world.jobs[0].end("never")


def test_request_shows_real_time_and_origin(world: Mockveo) -> None:
    before = time.time()
    create(world)
    assert before <= world.requests[0].time <= time.time()
    assert not world.requests[0].elsewhere


def test_findings_show_a_blind_retry(world: Mockveo) -> None:
    create(world)
    assert world.findings == []
    world.next("accepted-then-dropped", phases=PHASES)
    with pytest.raises(httpx.ReadError):
        create(world, "another")
    create(world, "another")
    (finding,) = world.findings
    assert (finding["rule"], finding["verdict"], finding["exchanges"]) == ("no-blind-retry", "warning", [2, 3])
    assert finding["message"] == "2 creates for one call, after a lost response: 1 job is paid for in vain"
