"""`verify --upstream`: what a gateway sends to the mockveo behind it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gateways
import pytest
from mockveo_contracts.servers.plan import VerifyPlan
from mockveo_contracts.servers.verify import verify
from small_server import OURS
from verification import broken_rules

import mockveo
from mockveo.errors import SettingsError
from mockveo.server.run import ServerThread

UPSTREAM_RULES = {"images-all", "images-order", "upstream-once", "upstream-model", "upstream-key"}

#: Mutants -> the rules that they break, with their verdicts.
BROKEN: dict[type[gateways.Gateway], dict[str, str]] = {
    gateways.ForwardsSwapped: {"images-order": "violation"},
    gateways.LosesAnImage: {"images-all": "violation", "too-many-images": "info"},
    gateways.ChangesBytes: {"images-all": "violation"},
    gateways.ForwardsTwice: {"upstream-once": "violation"},
    gateways.OwnModel: {"upstream-model": "violation", "model-answered": "warning"},
    gateways.ForwardsTheKey: {"upstream-key": "violation"},
}


@pytest.fixture(scope="module")
def behind() -> Iterator[ServerThread]:
    with mockveo.serve(clock="poll", step=30.0, render=False, self_check=False) as server:
        yield server


def checked(kind: type[gateways.Gateway], upstream: str, **more: Any) -> dict[str, Any]:
    with gateways.running(kind, upstream) as url:
        plan = VerifyPlan(key=OURS, upstream=upstream, poll_interval=0.0, **more)
        return verify(url, plan)


def test_correct_gateway_keeps_the_rules_about_its_upstream(behind: ServerThread) -> None:
    data = checked(gateways.Gateway, behind.url)
    assert broken_rules(data) == {}
    assert all(data["rules"][rule]["pass"] for rule in UPSTREAM_RULES)


@pytest.mark.parametrize(
    ("kind", "broken"),
    [
        (gateways.Gateway, set()),
        (gateways.ForwardsTwice, {"upstream-once"}),
        (gateways.OwnModel, {"upstream-model"}),
        (gateways.ForwardsTheKey, {"upstream-key"}),
    ],
)
def test_generated_creates_are_judged_by_what_arrived_upstream(
    behind: ServerThread, kind: type[gateways.Gateway], broken: set[str]
) -> None:
    data = checked(kind, behind.url, probes=("generated/createVideo",), examples=3)
    assert broken_rules(data).keys() & UPSTREAM_RULES == broken
    assert data["rules"]["upstream-once"]["violation" if "upstream-once" in broken else "pass"] == 1


def test_gateway_without_upstream_is_not_judged_by_it(behind: ServerThread) -> None:
    with gateways.running(gateways.ForwardsTwice, behind.url) as url:
        plan = VerifyPlan(key=OURS, turn_time=False, poll_interval=0.0, probes=("job/images",))
        rules = verify(url, plan)["rules"]
    assert all(rules[rule]["not exercised"] == 1 for rule in UPSTREAM_RULES)


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_gateway_is_found_under_its_rule(behind: ServerThread, kind: type[gateways.Gateway]) -> None:
    assert broken_rules(checked(kind, behind.url)) == BROKEN[kind]


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        (gateways.RefusesTooLate, "upstream-once"),
        (gateways.ForgetsTheKey, "upstream-key"),
        (gateways.PollsWithTheKey, "upstream-key"),
    ],
)
def test_gateway_with_other_defects_is_judged_by_what_it_sent(
    behind: ServerThread, kind: type[gateways.Gateway], rule: str
) -> None:
    data = checked(kind, behind.url, probes=("job/images",))
    assert broken_rules(data)[rule] == "violation"


@pytest.mark.parametrize(
    ("kind", "key", "broken"),
    [
        (gateways.Gateway, gateways.GATEWAY_KEY, {}),
        (gateways.AnotherKey, None, {}),
        (gateways.AnotherKey, gateways.GATEWAY_KEY, {"upstream-key": "violation"}),
        (gateways.ForwardsTheKey, OURS, {}),
    ],
)
def test_named_key_must_arrive(
    behind: ServerThread, kind: type[gateways.Gateway], key: str | None, broken: dict[str, str]
) -> None:
    data = checked(kind, behind.url, probes=("job/text-only",), upstream_key=key)
    assert broken_rules(data) == broken
    assert gateways.GATEWAY_KEY not in str(data)


def test_command_of_a_finding_names_the_upstream(behind: ServerThread) -> None:
    (finding,) = checked(gateways.ForwardsTheKey, behind.url, probes=("job/text-only",))["findings"]
    assert finding["reproduce"][-1].endswith(f" --upstream {behind.url}")


@pytest.mark.parametrize("url", ["https://api.example.com", "http://192.0.2.1:8360", "http://127.0.0.1:9", "ftp://x"])
def test_upstream_that_is_no_mockveo_on_this_machine_is_refused_before_the_first_request(url: str) -> None:
    with pytest.raises(SettingsError, match=r"(--upstream|the URL) is .*; expected .*, e\.g\. "):
        verify("http://127.0.0.1:9", VerifyPlan(upstream=url))


def test_upstream_that_is_the_server_itself_is_refused(behind: ServerThread) -> None:
    with pytest.raises(SettingsError, match="the server under test; expected the mockveo behind it"):
        verify(behind.url, VerifyPlan(upstream=f"{behind.url}/v1"))


def test_upstream_that_is_another_server_is_refused(behind: ServerThread, servers: tuple[str, object]) -> None:
    with pytest.raises(SettingsError, match="no mockveo on this machine answers"):
        verify(behind.url, VerifyPlan(upstream=f"{servers[0]}/correct"))
