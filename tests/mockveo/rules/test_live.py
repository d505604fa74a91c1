"""Live findings: reported once for each world, at a bounded cost."""

from __future__ import annotations

from mockveo.rules.live import MAX_BURST, MAX_BYTES, MAX_EXCHANGES, MAX_WORLDS, QUIET_S, VERIFICATION, LiveFindings
from mockveo.traffic.journal import Journal
from mockveo.traffic.record import ExchangeRecord


def exchange(journal: Journal, path: str = "/v1/models", authorization: bytes = b"Token x") -> ExchangeRecord:
    record = ExchangeRecord("GET", path, b"", [(b"authorization", authorization)])
    record.operation, record.status = "listModels", 401
    journal.add(record)
    return record


def added(live_findings: LiveFindings, *exchanges: ExchangeRecord) -> list[tuple[str, str]]:
    return [(live.world, live.finding.rule) for live in live_findings.add(exchanges)]


def test_finding_is_reported_once_for_each_world() -> None:
    live_findings, first, second = LiveFindings(), Journal(100, None, "one"), Journal(100, None, "two")
    assert added(live_findings, exchange(first)) == [("one", "auth-bearer")]
    assert added(live_findings, exchange(first)) == []
    assert added(live_findings, exchange(second)) == [("two", "auth-bearer")]
    assert added(live_findings, exchange(first, "/v1/models/y")) == [("one", "auth-bearer")]


def test_verification_of_the_server_is_no_client_to_judge() -> None:
    live_findings = LiveFindings()
    assert added(live_findings, exchange(Journal(100, None, f"{VERIFICATION}0a1b"))) == []
    assert live_findings.settle(at_end=True) == []


def test_reset_world_is_judged_anew() -> None:
    live_findings = LiveFindings()
    before, after = Journal(100, None, "w"), Journal(100, None, "w")
    for _ in range(3):
        live_findings.add([exchange(before)])
    live_findings.add([exchange(after)])
    assert [data["number"] for data in live_findings._traces["w"].to_json()] == [1]
    assert [live.count for live in live_findings.settle(at_end=True)] == [4]


def test_burst_is_judged_when_it_is_over() -> None:
    live_findings, journal = LiveFindings(), Journal(1000)
    assert added(live_findings, *(exchange(journal) for _ in range(MAX_BURST + 1))) == []
    assert [(live.finding.rule, live.count) for live in live_findings.settle()] == [("auth-bearer", 0)]
    assert live_findings.settle() == []


def test_repeated_finding_is_counted_once_it_is_over() -> None:
    now = [0.0]
    live_findings, journal = LiveFindings(lambda: now[0]), Journal(1000)
    for _ in range(5):
        live_findings.add([exchange(journal)])
    assert live_findings.settle() == []
    now[0] = QUIET_S
    (live,) = live_findings.settle()
    assert (live.count, live.finding.exchanges) == (5, (5,))
    assert str(live).startswith("         ? 5 exchanges in all broke auth-bearer: GET /v1/models carried ")
    assert live_findings.settle() == []
    live_findings.add([exchange(journal)])
    assert [live.count for live in live_findings.settle(at_end=True)] == [6]


def test_finding_that_grows_is_reported_once_and_counted() -> None:
    live_findings, journal = LiveFindings(), Journal(1000)
    new = []
    for number in range(8):
        record = ExchangeRecord("GET", "/v1/videos/task_x", b"", [(b"authorization", b"Bearer x")])
        record.operation, record.status, record.job_id, record.owner = "retrieveVideo", 401, "task_x", "x"
        record.started = 1_800_000_000.0 + number
        journal.add(record)
        new += live_findings.add([record])
    assert [(live.finding.rule, live.finding.exchanges) for live in new] == [("poll-4xx-stop", (1, 2))]
    (live,) = live_findings.settle(at_end=True)
    assert (live.count, live.finding.message) == (8, "a poll was refused with 401, and repeated 7 times")


def test_memory_of_live_findings_is_bounded() -> None:
    live_findings = LiveFindings()
    for number in range(MAX_WORLDS + 5):
        live_findings.add([exchange(Journal(10, None, f"w{number}"))])
    assert len(live_findings._traces) == MAX_WORLDS
    journal = Journal(1000, None, "busy")
    for _ in range(MAX_EXCHANGES + 5):
        live_findings.add([exchange(journal)])
    assert len(live_findings._traces["busy"].to_json()) == MAX_EXCHANGES
    for _ in range(10):
        record = exchange(journal)
        record.kept = MAX_BYTES // 3
        live_findings.add([record])
    assert len(live_findings._traces["busy"].to_json()) == 3


def test_line_of_a_finding_names_the_rule_and_the_world() -> None:
    (finding,) = LiveFindings().add([exchange(Journal(1, None, "mine"))])
    message = "GET /v1/models carried Authorization: Token (key 2d711642); expected Authorization: Bearer KEY"
    assert str(finding) == f"         ? violation of auth-bearer in /@mine: {message}"
