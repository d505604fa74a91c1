from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from mockveo import settings
from mockveo.simulator.accounts import MAX_KEYS
from mockveo.simulator.scenarios import named
from mockveo.simulator.world import _ECHOES, MAX_SHARED_ECHOES, World
from mockveo.spec.spec import load
from mockveo.traffic.redaction import fingerprint

SPEC = load()


def world(seed: int = 1, **values: object) -> World:
    return World(SPEC, settings.of(clock="manual", **values), named("normal"), seed=seed)


def add(world: World, **values: str) -> str:
    return world.add("sk", "veo_3_1", {"prompt": "p", "size": "16x9", **values}, ()).id


@given(st.integers(0, 2**32))
def test_the_same_seed_gives_the_same_ids(seed: int) -> None:
    first, second = world(seed), world(seed)
    assert [add(first), first.request_id(), add(first)] == [add(second), second.request_id(), add(second)]


def test_ids_are_unique_and_of_the_observed_form() -> None:
    simulated = world()
    ids = {add(simulated) for _ in range(2000)}
    assert len(ids) == 2000
    assert all(re.fullmatch(r"task_[0-9A-Za-z]{32}", name) for name in ids)
    assert set("".join(ids).replace("task_", "")) == set(
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    )


def test_jobs_share_equal_values() -> None:
    simulated = world()
    first, second = (simulated.jobs.get(add(simulated, size="".join(["9x", "16"]))) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.echo is second.echo
    assert simulated.accounts.owner(b"Bearer sk-a") is simulated.accounts.owner(b"Bearer sk-a")


def test_shared_values_are_bounded() -> None:
    simulated = world()
    for number in range(MAX_KEYS + 100):
        simulated.accounts.owner(b"Bearer sk-%d" % number)
        add(simulated, size=str(number))
    assert len(simulated.accounts._owners) <= MAX_KEYS
    assert len(_ECHOES) <= MAX_SHARED_ECHOES
    assert simulated.accounts.owner(b"Bearer sk-new") == "sk-new"


def test_long_key_is_kept_by_its_beginning_and_hash() -> None:
    key = "sk-" + "x" * 60_000
    accounts = world(key=(key,)).accounts
    owner = accounts.owner(b"Bearer " + key.encode())
    assert owner is not None
    assert len(owner) < 300
    assert fingerprint(owner) == fingerprint(key)
    assert accounts.owner(b"Bearer " + key.encode() + b"y") is None


def test_credit_is_each_keys_own() -> None:
    accounts = world(credit=1).accounts
    assert [accounts.charge(key) for key in "aabb"] == [True, False, True, False]
