"""The worlds of a server share its bounds, and the one that keeps most gives way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mockveo.traffic.bounds import SLACK, SharedBound
from mockveo.traffic.journal import Journal
from mockveo.traffic.record import ExchangeRecord

LIMIT = 1600


class Pile:
    """A keeper of numbers."""

    def __init__(self, bound: SharedBound) -> None:
        self.bound, self.sizes = bound, list[int]()
        bound.join(self)

    @property
    def kept(self) -> int:
        return sum(self.sizes)

    def add(self, size: int) -> None:
        self.bound.take(size)
        self.sizes.append(size)

    def give_way(self, amount: int) -> int:
        freed = 0
        while freed < amount and self.sizes:
            freed += self.sizes.pop(0)
        self.bound.take(-freed)
        return freed


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, LIMIT)), max_size=60))
def test_shared_bound_keeps_the_sum_of_all_keepers_below_its_limit(adds: list[tuple[int, int]]) -> None:
    bound = SharedBound(LIMIT)
    piles = [Pile(bound) for _ in range(5)]
    for which, size in adds:
        piles[which].add(size)
        assert sum(pile.kept for pile in piles) <= LIMIT
        assert piles[which].sizes[-1] == size


def test_keeper_of_the_most_gives_way() -> None:
    bound = SharedBound(LIMIT)
    small, large = Pile(bound), Pile(bound)
    small.add(100)
    for _ in range(40):
        large.add(100)
    assert small.sizes == [100]
    assert LIMIT * (1 - SLACK) - 200 <= large.kept <= LIMIT - 100


def test_keeper_that_is_gone_counts_no_more() -> None:
    bound = SharedBound(LIMIT)
    gone, left = Pile(bound), Pile(bound)
    gone.add(LIMIT)
    del gone
    left.add(LIMIT)
    assert left.sizes == [LIMIT]


def test_journals_of_a_server_share_their_bytes() -> None:
    bound = SharedBound(200_000)
    journals = [Journal(1000, bound=bound) for _ in range(10)]
    for number in range(100):
        journals[number % 10].add(ExchangeRecord("GET", f"/{'x' * 10_000}", b"", []))
    assert sum(journal.kept for journal in journals) <= bound.limit
    assert sum(map(len, journals)) > 10
    assert all(len(journal.since(8, 2)) == min(len(journal), 2) for journal in journals)
