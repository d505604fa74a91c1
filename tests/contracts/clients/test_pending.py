"""The bookkeeping of a session: the states of its cases, who is to blame, and the keys that are watched."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from mockveo_contracts.case import FEATURES
from mockveo_contracts.cases.definitions import parse_case
from mockveo_contracts.clients.pending import TRANSITIONS, Event, KeyWatch, PendingCase, SessionCases, State
from mockveo_contracts.clients.testbed import Testbed


@pytest.fixture(scope="module")
def testbed() -> Iterator[Testbed]:
    with Testbed() as testbed:
        yield testbed


def pending(testbed: Testbed, name: str) -> PendingCase:
    return PendingCase(testbed.open(parse_case({}, name)), FEATURES, 10.0)


def test_transitions_use_every_event_and_reach_every_state() -> None:
    assert set(TRANSITIONS) == set(State)
    assert {event for events in TRANSITIONS.values() for event in events} == set(Event)
    assert {state for events in TRANSITIONS.values() for state in events.values()} == set(State) - {State.OPEN}


def test_run_is_held_until_the_next_case_is_done(testbed: Testbed) -> None:
    cases = SessionCases()
    first, second = pending(testbed, "first"), pending(testbed, "second")
    cases.add(first)
    cases.add(second)
    assert cases.hold(cases.close(first.id, Event.RESULT)) == []
    assert cases.is_held(first.id)
    assert [run.test_case.name for run in cases.hold(cases.close(second.id, Event.DEATH))] == ["first"]
    assert [run.test_case.name for run in cases.release()] == ["second"]
    assert cases.release() == []


def test_case_that_is_closed_cannot_be_closed_again(testbed: Testbed) -> None:
    cases, case = SessionCases(), pending(testbed, "closed")
    cases.add(case)
    cases.close(case.id, Event.WITHDRAWAL)
    with pytest.raises(KeyError):
        cases.close(case.id, Event.RESULT)
    case.open_case.close()


def test_blame_falls_on_the_named_run_the_oldest_open_case_the_held_run_or_the_next_case(testbed: Testbed) -> None:
    cases = SessionCases()
    first, second, third, fourth = (pending(testbed, name) for name in ("a", "b", "c", "d"))
    cases.blamed().mistakes.append("before all")
    cases.add(first)
    assert str(first.mistakes) == "before all"
    cases.add(second)
    cases.add(third)
    cases.hold(cases.close(first.id, Event.RESULT))
    cases.blamed(first.id).add_leak("late")
    assert cases.blamed() is second
    cases.close(second.id, Event.WITHDRAWAL)
    cases.close(third.id, Event.WITHDRAWAL)
    cases.blamed().mistakes.append("between")
    (run,) = cases.release()
    assert run.adapter_error == "before all; between"
    assert run.outcome is not None
    assert run.outcome["leaks"] == ["late"]
    cases.blamed().add_leak("between")
    cases.add(fourth)
    assert fourth.leaks == ["between"]
    for case in (second, third, fourth):
        case.open_case.close()


def test_key_watch_finds_each_key_and_ignores_the_overlap(testbed: Testbed) -> None:
    keys, case = KeyWatch(), pending(testbed, "watched")
    keys.add(case)
    text = f"> {case.key}".encode()
    assert list(keys.found_in(text, 0)) == [(case.id, "watched")]
    assert list(keys.found_in(text, len(text) - 1)) == [(case.id, "watched")]
    assert list(keys.found_in(text + b" more", len(text))) == []
    case.open_case.close()
