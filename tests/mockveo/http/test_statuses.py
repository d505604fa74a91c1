from __future__ import annotations

from mockveo.http.statuses import AMBIGUOUS, FROM_EDGE, REFUSED_FOR_NOW, RETRYABLE, TABLE


def test_table_has_each_status_once_with_a_source() -> None:
    codes = [status.code for status in TABLE]
    assert codes == sorted(set(codes))
    assert all(status.source for status in TABLE)


def test_sets_follow_from_the_table() -> None:
    assert {429, 503} <= REFUSED_FOR_NOW
    assert RETRYABLE == AMBIGUOUS | REFUSED_FOR_NOW
    assert not AMBIGUOUS & REFUSED_FOR_NOW
    assert FROM_EDGE < RETRYABLE
