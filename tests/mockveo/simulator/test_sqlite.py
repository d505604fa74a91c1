"""A file that cannot be used says why, and is never emptied; an older one is brought up to date."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from mockveo.errors import SettingsError, StoreError
from mockveo.settings import of
from mockveo.simulator.stores import database as database_module
from mockveo.simulator.stores.database import APPLICATION_ID, Database, WorldChanges
from mockveo.simulator.stores.memory import Bounds
from mockveo.simulator.stores.records import exchange_to_bytes
from mockveo.simulator.stores.sqlite import FileStore, FileStores
from mockveo.traffic.bounds import SharedBound
from mockveo.traffic.record import ExchangeRecord


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mockveo.db"


def write(path: Path, key: str, value: bytes) -> None:
    database = Database(path)
    database.submit("", WorldChanges({key: value}))
    database.flush()
    database.close()


def entries(path: Path) -> list[tuple[str, bytes]]:
    database = Database(path)
    try:
        return database.read("")
    finally:
        database.close()


def opened(database: Database) -> FileStore:
    return FileStore(database, "", of(), feed=None, fresh=False)


def exchange(path: str, number: int = 0) -> ExchangeRecord:
    record = ExchangeRecord("GET", path, b"", [])
    record.number = number
    return record


def test_file_keeps_what_was_written_and_is_for_its_owner_alone(path: Path) -> None:
    write(path, "cell/a", b"1 2")
    assert entries(path) == [("cell/a", b"1 2")]
    assert path.stat().st_mode & 0o777 == 0o600


def test_file_that_another_server_has_open_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "LOCK_TIMEOUT_S", 0.01)
    database = Database(path)
    with pytest.raises(SettingsError, match="another process has open; expected a file of its own"):
        Database(path)
    database.close()


def test_file_of_a_newer_mockveo_is_refused_and_kept(path: Path) -> None:
    write(path, "cell/a", b"1 2")
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(SettingsError, match=r"newer mockveo has written \(schema 99\); expected schema 2 or older"):
        Database(path)
    assert path.read_bytes() == before


def test_older_file_is_brought_up_to_date(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, "cell/a", b"1 2")
    monkeypatch.setattr(
        database_module,
        "MIGRATIONS",
        (*database_module.MIGRATIONS, "UPDATE entries SET value = CAST(value || '!' AS BLOB)"),
    )
    assert entries(path) == [("cell/a", b"1 2!")]
    assert entries(path) == [("cell/a", b"1 2!")]


def test_journal_of_the_first_schema_is_brought_up_to_date(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(database_module.MIGRATIONS[0])
    connection.execute("INSERT INTO journal VALUES ('', 7, ?)", (exchange_to_bytes(exchange("/a", number=7)),))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("PRAGMA user_version = 1")
    connection.commit()
    connection.close()
    database = Database(path)
    assert [(each.number, each.path) for each in database.exchanges("")] == [(7, "/a")]
    database.close()


def test_amended_exchange_takes_the_place_of_the_one_before(path: Path) -> None:
    database = Database(path)
    store = opened(database)
    kept = [exchange(f"/{number}") for number in range(1, 6)]
    for index, each in enumerate(kept):
        store.journal.add(each)
        if index in (2, 3):  # rows of three exchanges, of one, and of one that is amended before it is written
            store.change(lambda: None)
    for each in (kept[1], kept[1], kept[3], kept[4]):
        each.client_left = True
        store.journal.amend(each)
        store.submit()
    database.flush()
    journal = [(each.number, each.path, each.client_left) for each in opened(database).journal]
    assert journal == [(number, f"/{number}", number in (2, 4, 5)) for number in range(1, 6)]
    database.close()


def test_cleared_journal_is_empty_as_soon_as_that_is_acknowledged(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Database, "_tidy", lambda _: None)  # a process that is killed before it removed the rows
    database = Database(path)
    store = opened(database)
    store.change(lambda: store.journal.add(exchange("/a")))
    store.change(store.journal.clear)
    assert (list(opened(database).journal), opened(database).journal.count) == ([], 1)
    database.close()


def test_late_exchange_of_a_replaced_world_is_not_in_the_next_one(path: Path) -> None:
    bounds = Bounds(SharedBound(9), SharedBound(9), SharedBound(99_999))
    stores = FileStores(str(path), None, bounds, move_corrupt=False)
    former = stores.open("a", of(), fresh=False)
    former.change(lambda: former.journal.add(exchange("/former")))
    former.journal.add(exchange("/waits"))
    store = stores.open("a", of(), fresh=True)
    store.submit()
    former.change(lambda: former.journal.add(exchange("/late")))
    store.change(lambda: store.journal.add(exchange("/new")))
    assert [(each.number, each.path) for each in stores.open("a", of(), fresh=False).journal] == [(1, "/new")]
    stores.close()


def test_database_of_another_program_is_refused_and_kept(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    connection.close()
    with pytest.raises(SettingsError, match="the database of another program"):
        Database(path, move_corrupt=True)
    assert sqlite3.connect(path).execute("SELECT count(*) FROM theirs").fetchone() == (0,)


@pytest.mark.parametrize("damage", ["text", "middle"])
def test_broken_file_is_refused_and_moved_aside_only_when_asked(path: Path, damage: str) -> None:
    if damage == "text":
        path.write_bytes(b"this is a text" * 100)
    else:
        write(path, "cell/a", b"1 " + b"x" * 100_000)
        data = bytearray(path.read_bytes())
        data[4096:12288] = b"\xff" * 8192
        path.write_bytes(data)
    broken = path.read_bytes()
    with pytest.raises(SettingsError, match=r"broken one.*--store-move-corrupt"):
        Database(path)
    assert path.read_bytes() == broken
    Database(path, move_corrupt=True).close()
    assert (path.parent / "mockveo.db.corrupt-1").read_bytes() == broken
    assert entries(path) == []


def test_place_that_cannot_be_written_is_refused(path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be opened: No such file or directory"):
        Database(path.parent / "missing" / "mockveo.db")
    with pytest.raises(SettingsError, match="cannot be used"):
        Database(path.parent)


def test_failed_write_is_reported_and_made_up_for(path: Path) -> None:
    database = Database(path)
    store = opened(database)
    database._connection.execute("PRAGMA query_only = 1")  # as a disk that is full
    with pytest.raises(StoreError, match=r"cannot be written.*nothing was acknowledged"):
        store.change(lambda: store.counters("a", 9).increment("x"))
    assert database.problem
    database._connection.execute("PRAGMA query_only = 0")
    store.change(lambda: store.counters("a", 9).increment("y"))
    assert database.problem is None
    assert {key for key, _ in database.read("")} >= {'counters/a/["x"]', 'counters/a/["y"]'}
    database.close()


def test_copy_of_a_file_without_its_log_still_opens(path: Path) -> None:
    write(path, "cell/a", b"1 2")
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    assert entries(copy) == [("cell/a", b"1 2")]
    header = copy.read_bytes()[68:72]
    assert int.from_bytes(header) == APPLICATION_ID
