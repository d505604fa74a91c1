"""What was seen as a case: any job, however it went, is a valid case that unfolds the same way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mockveo_contracts.cases.definitions import parse_case

import mockveo
from mockveo import yamlfiles
from mockveo.dashboard.cases import case_of_create, case_of_job
from mockveo.errors import ScenarioError
from mockveo.server.run import ServerThread
from mockveo.settings import of
from mockveo.simulator import scenarios
from mockveo.simulator.jobs import timeline
from mockveo.simulator.scenarios import built_in
from mockveo.simulator.world import World
from mockveo.spec.spec import Spec, load

KEY = {"Authorization": "Bearer sk-test"}


@pytest.fixture(scope="module")
def spec() -> Spec:
    return load(None)


@settings(max_examples=60)
@given(
    name=st.sampled_from([scenario.name for scenario in built_in()]),
    prompt=st.text(min_size=1, max_size=40),
    polled=st.floats(0, 400),
    ending=st.sampled_from([None, "success", "failure", "never"]),
    created=st.none() | st.dictionaries(st.sampled_from(["model", "size"]), st.text(max_size=10), max_size=2),
    filenames=st.lists(st.none() | st.text(max_size=10), max_size=3),
)
def test_any_job_becomes_a_case_that_unfolds_the_same(  # noqa: PLR0917 - what may differ
    spec: Spec, name: str, prompt: str, polled: float, ending: str | None, created: Any, filenames: list[str | None]
) -> None:
    world = World(spec, of(clock="manual"), scenarios.named(name), seed=1)
    job = world.add("key", "veo_3_1", {"prompt": prompt, "model": "veo3"}, [None] * len(filenames))
    world.clock.advance(polled)
    if ending is not None and world.view(job).ended_at is None:
        job = world.end(job, scenarios.forced({"ending": ending}))
    exchange: Any = created and {
        "request": {
            "fields": [{"name": "prompt", "value": prompt}, *({"name": key, "value": created[key]} for key in created)],
            "files": [{"name": "input_reference", "filename": filename, "bytes": 7} for filename in filenames],
        }
    }
    saved = case_of_job(job, world.governing(job), exchange, spec.lifecycle)
    text = saved.to_json()["case"].encode()
    case = parse_case(yamlfiles.parse(text, "case", ScenarioError))
    assert case.prompt == prompt
    again = World(spec, of(clock="manual"), case.scenario, seed=2)
    replayed = again.add("key", "veo_3_1", {"prompt": prompt}, [])
    shown = [(moment.at - job.created, moment.status, moment.progress) for moment in timeline(job)]
    expected = [(moment.at - replayed.created, moment.status, moment.progress) for moment in timeline(replayed)]
    assert [part[1:] for part in shown] == [part[1:] for part in expected]
    assert [part[0] for part in shown] == pytest.approx([part[0] for part in expected], abs=0.01)
    assert (replayed.plan.error, replayed.plan.ends) == (job.plan.error, job.plan.ends)


@given(status=st.none() | st.integers(400, 599), name=st.sampled_from([scenario.name for scenario in built_in()]))
def test_any_create_without_a_job_becomes_a_case(status: int | None, name: str) -> None:
    exchange: Any = {"number": 7, "request": {"fields": []}, "response": status and {"status": status}}
    saved = case_of_create(exchange, scenarios.named(name))
    case = parse_case(yamlfiles.parse(saved.to_json()["case"].encode(), "case", ScenarioError))
    assert case.name == "seen/create-7"


@pytest.fixture
def world(server: ServerThread, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{server.url}/@{request.node.name[:60]}", headers=KEY) as http:
        yield http


def test_stuck_job_stays_as_it_is_and_a_forgotten_one_is_unknown(world: httpx.Client) -> None:
    stuck, forgotten = (world.post("/v1/videos", files={"prompt": (None, "p")}).json()["id"] for _ in range(2))
    world.post("/_mockveo/clock/advance", json={"seconds": 45})
    before = world.get(f"/v1/videos/{stuck}").json()
    world.post(f"/_mockveo/jobs/{stuck}/end", json={"ending": "never"})
    world.delete(f"/_mockveo/jobs/{forgotten}")
    world.post("/_mockveo/clock/advance", json={"seconds": 4500})
    after = world.get(f"/v1/videos/{stuck}").json()
    assert (after["status"], after["progress"]) == (before["status"], before["progress"])
    assert world.get(f"/v1/videos/{forgotten}").status_code == 400
    assert [job["id"] for job in world.get("/_mockveo/jobs").json()["jobs"]] == [stuck]


def test_create_whose_scenario_is_forgotten_and_other_exchanges_are_no_cases(world: httpx.Client) -> None:
    world.put(
        "/_mockveo/scenario", json={"scenario": {"name": "mine", "faults": [{"operation": "create", "status": 503}]}}
    )
    world.post("/v1/videos", files={"prompt": (None, "p")})
    world.get("/v1/models")
    assert "status: 503" in world.get("/_mockveo/journal/1/case").json()["case"]
    answer = world.get("/_mockveo/journal/2/case")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "not_a_create")
    world.put("/_mockveo/scenario", json={"scenario": {"faults": [{"operation": "create", "status": 418}]}})
    world.post(
        "/_mockveo/queue", json={"scenario": {"name": "other", "faults": [{"operation": "create", "status": 500}]}}
    )
    world.post("/v1/videos", files={"prompt": (None, "p")})
    answer = world.get("/_mockveo/journal/3/case")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "scenario_not_found")


def test_case_without_a_corpus_is_refused_with_a_flag_to_use() -> None:
    with mockveo.serve(render=False) as server:
        job = httpx.post(f"{server.url}/v1/videos", headers=KEY, files={"prompt": (None, "p")}).json()["id"]
        answer = httpx.post(f"{server.url}/_mockveo/jobs/{job}/case")
    assert answer.status_code == 409
    assert "--corpus mockveo-cases" in answer.json()["error"]["message"]
