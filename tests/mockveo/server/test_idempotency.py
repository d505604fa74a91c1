"""Idempotency keys, which the service ignores and a scenario can have honoured or refused."""

from __future__ import annotations

import httpx
import pytest
from http_clients import Place


def test_honoured_key_is_answered_with_the_job_of_the_lost_create(place: Place) -> None:
    place.play({"operation": "create", "attempt": 1, "reset": True, "applied": True}, idempotency="honoured")
    with pytest.raises(httpx.TransportError):
        place.create(**{"Idempotency-Key": "1"})
    (job,) = place.world.jobs
    again = place.create(**{"Idempotency-Key": "1"})
    assert (again.status_code, again.json()["id"]) == (200, job.id)
    assert [job.id for job in place.world.jobs] == [job.id]


def test_honoured_key_is_that_of_its_caller(place: Place) -> None:
    place.play(idempotency="honoured", ids="video-{uuid}")
    same = [place.create(**{"Idempotency-Key": "1"}).json()["id"] for _ in range(2)]
    other = place.create(**{"Idempotency-Key": "2"}).json()["id"]
    another = place.create(**{"Idempotency-Key": "1", "Authorization": "Bearer sk-another"}).json()["id"]
    without = [place.create().json()["id"] for _ in range(2)]
    assert same[0] == same[1]
    assert len({same[0], other, another, *without}) == 5
    assert all(job_id.startswith("video-") for job_id in (*same, *without))


def test_refused_key_makes_no_job(place: Place) -> None:
    place.play(idempotency="refused")
    refused = place.create(**{"Idempotency-Key": "1"})
    assert (refused.status_code, refused.json()["message"]) == (400, "Idempotency-Key is not supported")
    assert list(place.world.jobs) == []
    assert place.create().status_code == 200


def test_key_is_ignored_unless_the_scenario_says_otherwise(place: Place) -> None:
    ids = {place.create(**{"Idempotency-Key": "1"}).json()["id"] for _ in range(2)}
    assert len(ids) == 2
