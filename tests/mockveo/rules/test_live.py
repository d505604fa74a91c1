"""Findings are told once, as they come, for worlds apart, and not at any price."""

from __future__ import annotations

from mockveo.rules.live import MAX_BURST, MAX_EXCHANGES, MAX_WORLDS, LiveFindings
from mockveo.traffic.journal import Journal
from mockveo.traffic.record import ExchangeRecord


def exchange(journal: Journal, path: str = "/v1/models", authorization: bytes = b"Token x") -> ExchangeRecord:
    one = ExchangeRecord("GET", path, b"", [(b"authorization", authorization)])
    one.operation, one.status = "listModels", 401
    journal.add(one)
    return one


def told(watch: LiveFindings, *exchanges: ExchangeRecord) -> list[tuple[str, str]]:
    return [(live.world, live.finding.rule) for live in watch.add(exchanges)]


def test_a_finding_is_told_once_for_each_world() -> None:
    watch, one, two = LiveFindings(), Journal(100, None, "one"), Journal(100, None, "two")
    assert told(watch, exchange(one)) == [("one", "auth-bearer")]
    assert told(watch, exchange(one)) == []
    assert told(watch, exchange(two)) == [("two", "auth-bearer")]
    assert told(watch, exchange(one, "/v1/models/y")) == [("one", "auth-bearer")]


def test_a_world_that_was_reset_is_looked_at_anew() -> None:
    watch = LiveFindings()
    before, after = Journal(100, None, "w"), Journal(100, None, "w")
    for _ in range(3):
        watch.add([exchange(before)])
    watch.add([exchange(after)])
    assert [one["number"] for one in watch._traces["w"]] == [1]


def test_traffic_of_no_person_is_not_judged() -> None:
    watch, journal = LiveFindings(), Journal(1000)
    assert told(watch, *(exchange(journal) for _ in range(MAX_BURST + 1))) == []
    assert told(watch, exchange(journal)) == [("", "auth-bearer")]


def test_what_is_remembered_is_bounded() -> None:
    watch = LiveFindings()
    for number in range(MAX_WORLDS + 5):
        watch.add([exchange(Journal(10, None, f"w{number}"))])
    assert len(watch._traces) == MAX_WORLDS
    journal = Journal(1000, None, "busy")
    for _ in range(MAX_EXCHANGES + 5):
        watch.add([exchange(journal)])
    assert len(watch._traces["busy"]) == MAX_EXCHANGES


def test_a_line_names_the_rule_and_the_world() -> None:
    (finding,) = LiveFindings().add([exchange(Journal(1, None, "mine"))])
    seen = "GET /v1/models carried Authorization: Token (key 2d711642), wanted Authorization: Bearer KEY"
    assert str(finding) == f"         ? violation of auth-bearer in /@mine: {seen}"
