"""Worlds: by path, independent of each other, bounded, and repeatable to the byte."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import ANY_SCENARIO

import mockveo
from mockveo.errors import MockveoError, ScenarioError
from mockveo.server.app import Application
from mockveo.server.run import ServerThread
from mockveo.simulator.fault_selection import MAX_COUNTERS, Kills
from mockveo.simulator.scenarios import built_in, named, scenario

KEY = {"Authorization": "Bearer sk-test"}
FORM = {"prompt": (None, "A paper kite floats above a field.")}


def test_worlds_are_isolated(server: ServerThread) -> None:
    with httpx.Client(base_url=server.url, headers=KEY) as http:
        job = http.post("/@one/v1/videos", files=FORM).json()["id"]
        assert http.get(f"/@one/v1/videos/{job}").status_code == 200
        for elsewhere in ("/@two", ""):
            assert http.get(f"{elsewhere}/v1/videos/{job}").json()["code"] == "task_not_exist"
        server.app.worlds.get("one").clock.advance(1000)
        assert server.app.worlds.get("two").clock.now() == 0
        server.app.worlds.get("two").use(scenario({"ending": "failure"}))
        assert server.app.worlds.get("one").plan.scenario.name == "normal"
        server.app.worlds.reset("two")
        assert http.get(f"/@one/v1/videos/{job}").json()["status"] == "completed"
        assert len(server.app.worlds.get("one").journal) == 3


KILL = scenario({"faults": [{"operation": "retrieve", "nth": 1, "kill": "before"}]}, "kill")


def test_scenario_that_kills_is_refused_without_a_checker(server: ServerThread) -> None:
    world = server.app.worlds.get("killed")
    for refused in (world.use, world.scenarios.enqueue, world.scenarios.remember):
        with pytest.raises(ScenarioError, match=r"faults\[0\].kill is before, and this server does not own"):
            refused(KILL)


def test_kill_strikes_before_the_connection_drops_and_no_more_often_than_allowed(server: ServerThread) -> None:
    kills, struck = Kills(2), list[int]()
    world = server.app.worlds.reset("killed", {}, KILL, kills=kills)
    kills.strike = lambda: struck.append(len(world.journal))
    with httpx.Client(base_url=f"{server.url}/@killed/v1", headers=KEY) as http:
        for _ in range(2):
            job = http.post("/videos", files=FORM).json()["id"]
            with pytest.raises(httpx.TransportError):
                http.get(f"/videos/{job}")
        # Each further job would meet the kill anew.
        job = http.post("/videos", files=FORM).json()["id"]
        assert http.get(f"/videos/{job}").status_code == 200
    assert struck == [2, 4]
    assert [record.to_json().get("faults") for record in world.journal if record.method == "GET"][:2] == [["kill"]] * 2


@pytest.mark.parametrize("name", ["mine", "A-b_c.d~1", "x" * 100])
def test_a_world_is_made_when_it_is_first_called(server: ServerThread, name: str) -> None:
    answer = httpx.get(f"{server.url}/@{name}/v1/models", headers=KEY)
    assert answer.status_code == 200
    assert name in {world.name for world in server.app.worlds}


@pytest.mark.parametrize("path", ["/@/v1/models", "/@a b/v1/models", "/@ä/v1/models", f"/@{'x' * 101}/v1/models"])
def test_invalid_name_of_a_world_is_explained(server: ServerThread, path: str) -> None:
    answer = httpx.get(f"{server.url}{path}", headers=KEY)
    assert answer.status_code == 400
    assert "cannot be the name of a world; expected up to 100 letters" in answer.json()["error"]["message"]


def test_error_of_an_unknown_path_omits_the_name_of_the_world(server: ServerThread) -> None:
    for path in ("/@mine/v2/x", "/@mine/v2/x/"):
        answer = httpx.get(f"{server.url}{path}", headers=KEY)
        assert answer.json()["error"]["message"] == f"Invalid URL (GET {path.removeprefix('/@mine')})"
    assert httpx.get(f"{server.url}/@mine").json()["error"]["message"] == "Invalid URL (GET /)"


def test_the_least_recently_called_world_is_forgotten_and_the_default_one_never() -> None:
    with mockveo.serve(max_worlds=2, clock="manual", render=False) as server:
        with httpx.Client(base_url=server.url, headers=KEY) as http:
            http.get("/v1/models")
            for name in ("a", "b", "a", "c"):
                http.get(f"/@{name}/v1/models")
        assert [world.name for world in server.app.worlds] == ["", "a", "c"]
        assert len(server.app.world.journal) == 1


def test_a_reset_that_cannot_be_done_leaves_the_world_as_it_was(server: ServerThread) -> None:
    world = server.app.worlds.reset("kept", {"seed": 3})
    for changes in ({"sed": 1}, {"port": 1}, {"speed": "x"}, {"scenario": "nromal"}, {"clock": "sundial"}):
        with pytest.raises(MockveoError):
            server.app.worlds.reset("kept", changes)
    assert server.app.worlds.get("kept") is world


def test_a_world_of_another_profile_answers_by_its_document(server: ServerThread) -> None:
    server.app.worlds.reset("autumn", {"profile": "docs-2026-10", "scenario": "instant"})
    answer = httpx.post(f"{server.url}/@autumn/v1/videos", headers=KEY, files=FORM)
    assert answer.json()["error"]["message"].startswith("model name is required")
    made = httpx.post(f"{server.url}/@autumn/v1/videos", headers=KEY, files=FORM, data={"model": "veo3.1"}).json()
    polled = httpx.get(f"{server.url}/@autumn/v1/videos/{made['id']}", headers=KEY).json()
    assert httpx.get(polled["video_url"]).content[4:8] == b"ftyp"
    assert httpx.post(f"{server.url}/v1/videos", headers=KEY, files=FORM).json()["model"] == "veo_3_1-4K"


def test_a_thousand_worlds_in_parallel_stay_independent() -> None:
    """Each has its own number of jobs, its own seed and its own ending; all at once, from eight threads."""
    with (
        mockveo.serve(clock="manual", seed=5, max_worlds=1000, render=False) as server,
        httpx.Client(base_url=server.url, headers=KEY) as http,
    ):

        def live(number: int) -> tuple[list[str], list[str]]:
            name, ending = f"w{number}", ("normal", "fails")[number % 2]
            server.app.worlds.reset(name, {"seed": number, "scenario": ending})
            jobs = [http.post(f"/@{name}/v1/videos", files=FORM).json()["id"] for _ in range(1 + number % 3)]
            server.app.worlds.get(name).clock.advance(1000)
            return jobs, [http.get(f"/@{name}/v1/videos/{job}").json()["status"] for job in jobs]

        with ThreadPoolExecutor(8) as threads:
            lives = list(threads.map(live, range(1000)))
        assert len(server.app.worlds) == 1001
        counts = {world.name: (len(world.jobs), len(world.journal)) for world in server.app.worlds}
    for number, (jobs, statuses) in enumerate(lives):
        made = 1 + number % 3
        assert statuses == [("completed", "failed")[number % 2]] * made
        assert counts[f"w{number}"] == (made, 2 * made)
        assert len(set(jobs)) == made
    assert len({jobs[0] for jobs, _ in lives}) == 1000


STEP = st.one_of(
    st.tuples(st.just("create"), st.sampled_from(["a", "b", "[mockveo:flaky-polls]", "[mockveo:retry-after]"])),
    st.tuples(st.just("poll"), st.integers(0, 5)),
    st.tuples(st.just("content"), st.integers(0, 5)),
    st.tuples(st.just("advance"), st.floats(0, 200)),
    st.tuples(st.just("queue"), st.sampled_from(["fails", "rate-limited", "upper-case"])),
)


async def transcript(app: Application, prefix: str, steps: list[tuple[str, Any]]) -> list[Any]:
    """Everything that comes back, to the byte; a connection that is lost counts by its kind."""
    results: list[Any] = []
    jobs: list[str] = ["none"]
    world = app.worlds.get(prefix.removeprefix("/@"))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url=f"http://127.0.0.1:8360{prefix}", headers=KEY) as http:
        for step, value in steps:
            if step == "advance":
                world.clock.advance(value)
                continue
            if step == "queue":
                world.scenarios.enqueue(named(value))
                continue
            method, path = "GET", f"/v1/videos/{jobs[min(value, len(jobs) - 1)] if step != 'create' else ''}"
            try:
                if step == "create":
                    files = {"prompt": (None, value), "input_reference": ("a.png", b"123", "image/png")}
                    answer = await http.post("/v1/videos", files=files)
                else:
                    answer = await http.request(method, path + ("/content" if step == "content" else ""))
            except httpx.TransportError as error:
                results.append(type(error).__name__)
                continue
            results.append((answer.status_code, answer.headers.raw, answer.content))
            jobs += re.findall(r"task_\w{32}", answer.text) if step == "create" else []
    return results


@settings(max_examples=60, deadline=None)
@given(
    data=ANY_SCENARIO | st.sampled_from([dict(scenario.data) for scenario in built_in()]),
    steps=st.lists(STEP, min_size=3, max_size=15),
    clock=st.sampled_from(["manual", "poll"]),
    seed=st.integers(0, 2**32),
    cut=st.integers(0, 15),
)
def test_the_same_seed_clock_and_requests_give_the_same_bytes(
    data: Any, steps: list[tuple[str, Any]], clock: str, seed: int, cut: int
) -> None:
    """Also when another world is called in between."""
    results = []
    for disturbed in (False, True):
        app = mockveo.app(clock=clock, seed=seed, render=False)
        app.worlds.reset("mine", {}, scenario(data))

        async def run(*, disturbed: bool, app: Application) -> list[Any]:
            first = await transcript(app, "/@mine", steps[:cut])
            if disturbed:
                await transcript(app, "/@other", [("create", "x"), ("poll", 0), ("advance", 50.0)])
            return first + await transcript(app, "/@mine", steps[cut:])

        results.append(asyncio.run(run(disturbed=disturbed, app=app)))
    assert results[0] == results[1]


def test_another_seed_gives_other_ids() -> None:
    first, second = (mockveo.app(clock="manual", seed=seed, render=False) for seed in (1, 2))
    steps = [("create", "a"), ("poll", 0)]
    assert asyncio.run(transcript(first, "", steps)) != asyncio.run(transcript(second, "", steps))


def test_faults_of_a_job_do_not_depend_on_requests_about_others() -> None:
    data = {"faults": [{"operation": "retrieve", "probability": 0.5, "status": 503}]}

    def struck(*, together: bool) -> list[list[int]]:
        app = mockveo.app(clock="manual", seed=3, render=False)
        app.world.use(scenario(data))
        rounds = [("poll", 1), ("poll", 2)] * 12 if together else [("poll", 1)] * 12 + [("poll", 2)] * 12
        answers = asyncio.run(transcript(app, "", [("create", "a"), ("create", "b"), *rounds]))[2:]
        codes = [answer[0] for answer in answers]
        return [codes[::2], codes[1::2]] if together else [codes[:12], codes[12:]]

    assert struck(together=True) == struck(together=False)
    assert {200, 503} == {code for codes in struck(together=True) for code in codes}


def test_poll_clock_completes_a_job_without_waiting() -> None:
    app = mockveo.app(clock="poll", seed=1, render=False)
    steps: list[tuple[str, Any]] = [("create", "p"), *[("poll", 1)] * 25, ("content", 1)]
    answers = asyncio.run(transcript(app, "", steps))
    states = [re.search(rb'"status":"(\w+)"', answer[2]) for answer in answers[:-1]]
    assert [state[1] for state in states if state][:1] == [b"queued"]
    assert answers[-1][0] == 200
    assert answers[-1][2][4:8] == b"ftyp"


def test_changed_scenario_file_does_not_affect_new_worlds(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("ending: failure")
    with mockveo.serve(scenario=path, render=False) as server:
        path.write_text("ending: nonsense")
        assert httpx.get(f"{server.url}/@new/v1/models", headers=KEY).status_code == 200
        assert server.app.worlds.get("new").plan.scenario.ending == "failure"


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}],
    ids=str,
)
def test_refused_requests_make_no_world(server: ServerThread, headers: dict[str, str]) -> None:
    answer = httpx.get(f"{server.url}/@evil/_mockveo/ready", headers=headers)
    assert answer.status_code == 403
    assert "evil" not in server.app.worlds


def test_counts_of_creates_outlast_those_of_many_jobs() -> None:
    app = mockveo.app(clock="manual", render=False)
    app.world.use(
        scenario({"faults": [{"operation": "create", "nth": 1, "status": 503}, {"operation": "retrieve", "delay": 0}]})
    )

    def selected(operation: str, scope: str) -> int:
        return len(app.world.faults.select(app.world.plan.scenario, operation, scope=scope, subject=scope))

    assert selected("create", "a") == 1
    for number in range(MAX_COUNTERS + 10):
        selected("retrieve", str(number))
        if number % 1000 == 0:
            assert selected("create", "a") == 0
    assert selected("create", "a") == 0
    assert len(app.world.faults._counts) <= MAX_COUNTERS
