"""What the commit script decides, on a real redis-server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis_process import RedisProcess, free_port, redis_process

from mockveo.errors import StoreError
from mockveo.simulator.stores import redis_server
from mockveo.simulator.stores.redis_server import CommitReply, RedisServer, WorldCommit


class Committer:
    """A process that knows a version of the world "mine"."""

    def __init__(self, url: str) -> None:
        self._server = RedisServer(url)
        self.read()

    def read(self) -> None:
        self.version, self.tip, _ = self._server.read("mine")

    def replace(self, key: str) -> str:
        """Replace the world by one with an entry."""
        return self._server.commit("mine", WorldCommit("", 0, {key: b"1 x"}, [], is_fresh=True)).outcome

    def commit(self, *keys: str, claims_turn: bool = False) -> str:
        """Change entries, or only add to the journal; return the outcome, and know what it brought."""
        entries: dict[str, bytes | None] = dict.fromkeys(keys, b"1 x")
        change = WorldCommit(self.tip, self.version, entries, [b"{}"], claims_turn=claims_turn)
        reply: CommitReply = self._server.commit("mine", change)
        if reply.outcome in ("ok", "stale"):
            self.version, self.tip = reply.version, reply.tip
        return reply.outcome


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    with redis_process(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def processes(redis: RedisProcess) -> tuple[Committer, Committer]:
    redis.client.flushall()
    first = Committer(redis.url)
    assert first.commit("a") == "ok"
    return first, Committer(redis.url)


def test_commit_of_another_is_brought_once(processes: tuple[Committer, Committer]) -> None:
    first, second = processes
    assert [first.commit("b"), first.commit("c"), second.commit("d"), second.commit("d")] == ["ok", "ok", "stale", "ok"]


def test_journal_alone_changes_no_version(processes: tuple[Committer, Committer]) -> None:
    first, second = processes
    assert [first.commit(), second.commit(), first.commit("b"), second.commit()] == ["ok", "ok", "ok", "stale"]


def test_process_that_claims_the_turn_is_waited_for(processes: tuple[Committer, Committer]) -> None:
    slow, fast = processes
    assert [fast.commit("b"), slow.commit("c", claims_turn=True)] == ["ok", "stale"]
    assert [fast.commit("d"), fast.commit()] == ["busy", "ok"]
    assert [slow.commit("c", claims_turn=True), fast.commit("d"), fast.commit("d")] == ["ok", "stale", "ok"]


def test_turn_of_a_dead_process_ends(redis: RedisProcess, processes: tuple[Committer, Committer]) -> None:
    slow, fast = processes
    assert [fast.commit("b"), slow.commit("c", claims_turn=True), fast.commit("d")] == ["ok", "stale", "busy"]
    remaining = redis.client.pttl("mockveo:{@mine}:turn")
    assert 0 < int(str(remaining)) <= redis_server.TURN_MS
    redis.client.delete("mockveo:{@mine}:turn")
    assert fast.commit("d") == "ok"


def test_version_of_another_history_is_read_anew(redis: RedisProcess, processes: tuple[Committer, Committer]) -> None:
    first, second = processes
    second.read()
    assert first.commit("b") == "ok"
    redis.client.flushall()
    second = Committer(redis.url)
    assert [second.commit("a"), second.commit("c")] == ["ok", "ok"]
    assert first.version == second.version
    assert first.commit("d") == "replaced"
    assert second.commit("e") == "ok"
    assert first.commit("d") == "replaced"
    first.read()
    assert first.commit("d") == "ok"


def test_large_world_is_read_in_pieces_while_others_change_it(
    redis: RedisProcess, processes: tuple[Committer, Committer], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = processes
    keys = [f"table/t/{number}" for number in range(2000)]
    assert first.commit(*keys) == "ok"
    monkeypatch.setattr(redis_server, "ENTRIES_AT_ONCE", 100)
    server, read = RedisServer(redis.url), list[tuple[str, ...]]()
    scan = server._client.hscan_iter
    # What happens while the world is read: a change; that it is replaced; nothing.
    changes = iter([lambda: first.commit("b"), lambda: first.replace("c"), lambda: "ok"])

    def interrupted(*arguments: object, **options: object) -> Iterator[tuple[bytes, bytes]]:
        scanned = list(scan(*arguments, **options))
        assert next(changes)() == "ok"
        return iter(scanned)

    monkeypatch.setattr(server._client, "hscan_iter", interrupted)
    for _ in range(2):
        version, tip, entries = server.read("mine")
        read.append(tuple(sorted(key for key, _ in entries)))
        reply = server.commit("mine", WorldCommit(tip, version, {}, [b"{}"]))
        assert reply.outcome == ("stale" if len(read) == 1 else "ok")
    assert read == [tuple(sorted(["a", *keys])), ("c",)]


@pytest.mark.usefixtures("processes")
def test_names_are_those_of_worlds_that_are_kept(redis: RedisProcess) -> None:
    server = RedisServer(redis.url)
    assert server.names() == ["mine"]
    redis.client.delete("mockveo:{@mine}:meta")
    assert server.names() == []
    assert redis.client.smembers(redis_server.WORLDS) == set()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--cluster-enabled", "yes"), "is a node of a Redis Cluster, which is not supported"),
        (
            ("--rename-command", "HGET", ""),
            "e.g. a Sentinel, which is not supported",
        ),  # nor has a Sentinel that command
    ],
)
def test_redis_of_a_kind_that_is_not_supported_says_so(tmp_path: Path, options: tuple[str, ...], reason: str) -> None:
    port = ("--cluster-port", str(free_port()))
    with redis_process(tmp_path, *options, *port) as server, pytest.raises(StoreError, match=reason):
        RedisServer(server.url).entry("", "cell/launch")
