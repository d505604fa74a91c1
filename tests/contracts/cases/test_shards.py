"""Shards: what names one, and that all of them together are everything, once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mockveo_contracts.cases.shards import WHOLE, Shard

from mockveo.errors import SettingsError


@given(st.integers(0, 60), st.integers(1, 70))
def test_parts_of_all_shards_are_everything_once(total: int, count: int) -> None:
    shards = [Shard(number, count) for number in range(1, count + 1)]
    parts = [shard.part(range(total)) for shard in shards]
    assert sorted(item for part in parts for item in part) == list(range(total))
    assert [shard.size(total) for shard in shards] == [len(part) for part in parts]
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(st.integers(1, 9999), st.integers(0, 9998))
def test_shard_is_read_as_it_is_written(number: int, others: int) -> None:
    shard = Shard(number, min(number + others, 9999))
    assert Shard.parse(str(shard)) == shard


def test_whole_is_everything() -> None:
    assert WHOLE.part("abc") == ["a", "b", "c"]


@pytest.mark.parametrize(
    "text", ["", "2", "0/5", "6/5", "1/0", "-1/5", "1/5/5", "a/b", " 1/5", "1/5\n", "\u0661/\u0665", "1/100000"]
)
def test_invalid_shard_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(SettingsError, match=r"expected NUMBER/COUNT, .* e\.g\. --shard 2/5"):
        Shard.parse(text)
