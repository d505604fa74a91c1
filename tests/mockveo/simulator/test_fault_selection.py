"""Faults strike when they say, are counted as they say, and by chance only as the seed says."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from http_clients import KEY, NO_TLS, Place
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mockveo.server.run import ServerThread
from mockveo.simulator.scenarios import scenario

OPERATIONS = ["create", "retrieve", "content", "models", "delivery"]
WHEN: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [1, 2, 3, 4, 5, 6, 7, 8]),
    ({"nth": 3}, [3]),
    ({"nth": [2, 4]}, [2, 3, 4]),
    ({"nth": [7, None]}, [7, 8]),
    ({"every": 3}, [3, 6]),
    ({"every": 2, "nth": [3, None]}, [4, 6, 8]),
    ({"attempt": 1}, [1, 3, 5, 7]),
    ({"attempt": [1, 2]}, [1, 2, 4, 5, 7, 8]),
    ({"attempt": [2, None]}, []),
    ({"probability": 0}, []),
    ({"probability": 1}, [1, 2, 3, 4, 5, 6, 7, 8]),
    ({"probability": 1, "every": 4}, [4, 8]),
]


def strikes(place: Place, operation: str, when: dict[str, Any]) -> list[int]:
    """Which of eight requests that are all the same are struck, by a fault that marks what it strikes."""
    place.play(video_url=True, phases=[])
    job = place.poll(place.job()).json()
    paths = {
        "retrieve": f"/v1/videos/{job['id']}",
        "content": f"/v1/videos/{job['id']}/content",
        "models": "/v1/models",
    }
    place.play({**when, "headers": {"x-struck": "1"}}, video_url=True, phases=[])
    if operation == "create":
        answers = [place.create() for _ in range(8)]
    elif operation == "delivery":
        answers = [httpx.get(job["video_url"], trust_env=False, verify=NO_TLS) for _ in range(8)]
    else:
        answers = [place.client.get(f"{place.url}{paths[operation]}") for _ in range(8)]
    return [number for number, answer in enumerate(answers, 1) if "x-struck" in answer.headers]


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(("when", "numbers"), WHEN, ids=[json.dumps(when) for when, _ in WHEN])
def test_fault_applies_to_the_requests_that_it_names(
    place: Place, operation: str, when: dict[str, Any], numbers: list[int]
) -> None:
    assert strikes(place, operation, when) == numbers


@pytest.mark.parametrize("operation", OPERATIONS)
def test_fault_applies_to_its_own_operation_only(place: Place, operation: str) -> None:
    struck = {other: len(strikes(place, other, {"operation": operation})) for other in OPERATIONS}
    assert struck == {other: 8 * (other == operation) for other in OPERATIONS}


def test_polls_and_downloads_are_counted_for_each_job_and_creates_together(place: Place) -> None:
    place.play({"nth": 2, "headers": {"x": "struck"}}, phases=[])
    creates = ["x" in place.create(prompt).headers for prompt in ("one", "two", "three")]
    first, second = place.job(), place.job()
    polls = ["x" in place.poll(job).headers for job in (first, second, second, first, first, second)]
    downloads = ["x" in place.poll(job, "/content").headers for job in (first, second, second, first)]
    assert creates == [False, True, False]
    assert polls == [False, False, True, True, False, False]
    assert downloads == [False, False, True, True]


def test_an_attempt_is_another_try_at_the_same_whatever_comes_between(place: Place) -> None:
    place.play({"attempt": [1, 2], "status": 503})
    assert [place.create(prompt).status_code for prompt in "abababa"] == [503, 503, 503, 503, 200, 200, 503]
    assert [place.create("c", Authorization=f"Bearer {key}").status_code for key in "121212"] == [503] * 4 + [200] * 2


def test_creates_that_choose_scenarios_are_counted_by_scenario(place: Place) -> None:
    for name in ("one", "two"):
        place.world.scenarios.remember(
            scenario({"name": name, "faults": [{"operation": "create", "nth": 2, "status": 503}]})
        )
    chosen = [place.create(**{"X-Mockveo-Scenario": name}).status_code for name in ("one", "two", "two", "one", "one")]
    assert chosen == [200, 200, 503, 503, 200]


def test_a_new_scenario_is_counted_anew(place: Place) -> None:
    job = place.job()
    for _ in range(2):
        place.play(
            {"operation": "retrieve", "nth": 2, "status": 503}, {"operation": "create", "attempt": 1, "status": 502}
        )
        assert [place.poll(job).status_code for _ in range(3)] == [200, 503, 200]
        assert place.create().status_code == 502


@hypothesis_settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32),
    probability=st.sampled_from([0.1, 0.5, 0.9]),
    order=st.lists(st.integers(0, 2), min_size=1, max_size=24),
)
def test_faults_by_chance_follow_from_the_seed_alone(
    server: ServerThread, seed: int, probability: float, order: list[int]
) -> None:
    def struck(order: list[int]) -> dict[int, list[bool]]:
        place.world = server.app.worlds.reset("by-chance", {"clock": "manual", "seed": seed})
        jobs, faulty = [place.job() for _ in range(3)], dict[int, list[bool]]({0: [], 1: [], 2: []})
        place.play({"operation": "retrieve", "probability": probability, "status": 503})
        for number in order:
            faulty[number].append(place.poll(jobs[number]).status_code == 503)
        return faulty

    with httpx.Client(headers=KEY, verify=NO_TLS) as client:
        place = Place(server, "by-chance", client)
        assert struck(order) == struck(sorted(order)) == struck(sorted(order, reverse=True))


def test_chance_is_even_and_independent_for_each_job_and_fault(place: Place) -> None:
    jobs = [place.job() for _ in range(40)]
    fault = {"operation": "retrieve", "probability": 0.5}
    place.play({**fault, "headers": {"x-a": "1"}}, {**fault, "headers": {"x-b": "1"}})
    answers = [[place.poll(job).headers for _ in range(9)] for job in jobs]
    patterns = {tuple("x-a" in headers for headers in polls) for polls in answers}
    assert len(patterns) > 30  # of 512
    pairs = [("x-a" in headers, "x-b" in headers) for polls in answers for headers in polls]
    assert {pair: 50 < pairs.count(pair) < 130 for pair in pairs} == dict.fromkeys(
        [(False, False), (False, True), (True, False), (True, True)], True
    )
