"""Clients that survive a restart, and mutants of them: each loses its job, or pays for a second one."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from tempfile import mkdtemp
from types import MappingProxyType
from typing import Any

from mockveo_contracts import Case, DeadlinePassed, Outcome
from zoo_client import CorrectClient, Job, Trouble, equivalent, mutant

State = dict[str, Any]


class DurableClient(CorrectClient):
    """A client that keeps its job in a file."""

    features = MappingProxyType({**CorrectClient.features, "resume": True})

    def create(self) -> Job:
        kept = self.load()
        if "job" in kept:
            return self.resumed(kept)
        if kept:
            self.unknown()
        self.note()
        job = super().create()
        self.made(job)
        return job

    def resumed(self, kept: State) -> Job:
        """Return the job of an earlier start."""
        job: Job = kept["job"]
        return job

    def unknown(self) -> None:
        """Do what is right for a create of an earlier start whose answer was lost."""
        raise Trouble("the create was sent before, and its answer was lost: a job may exist")

    def note(self) -> None:
        """Write down that a create is sent."""
        self.save({"sent": True})

    def made(self, job: Job) -> None:
        """Write down the job."""
        self.save({"job": dict(job)})

    def path(self) -> Path:
        return Path(self.case.state_dir, "job.json")

    def load(self) -> State:
        try:
            return dict(json.loads(self.path().read_bytes()))
        except FileNotFoundError:
            return {}
        except ValueError:
            return self.unreadable()

    def unreadable(self) -> State:
        raise Trouble(f"{self.path()} cannot be read: a job may exist")

    def save(self, state: State) -> None:
        new = self.path().with_suffix(".new")
        with new.open("w") as file:
            json.dump(state, file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path())


class Durable:
    """The client that keeps its job in a file."""

    features = DurableClient.features

    def __call__(self, case: Case) -> Outcome:
        return DurableClient(case)()


@equivalent
class DurableInSqlite(DurableClient):
    """A client that keeps its job in a table of SQLite."""

    def load(self) -> State:
        try:
            with closing(self.connected()) as connection:
                rows = connection.execute("SELECT state FROM calls WHERE id = ?", (self.case.call_id,)).fetchall()
        except sqlite3.DatabaseError:
            return self.unreadable()
        return dict(json.loads(rows[0][0])) if rows else {}

    def save(self, state: State) -> None:
        with closing(self.connected()) as connection, connection:
            connection.execute("REPLACE INTO calls VALUES (?, ?)", (self.case.call_id, json.dumps(state)))

    def path(self) -> Path:
        return Path(self.case.state_dir, "jobs.sqlite")

    def connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path())
        connection.execute("CREATE TABLE IF NOT EXISTS calls (id TEXT PRIMARY KEY, state TEXT)")
        return connection


@equivalent
class DurableBeginsAnew(DurableClient):
    """A client that asks for the answer to its create again is right where nothing had been sent."""

    def note(self) -> None:
        self.path().with_suffix(".begun").touch()
        super().note()


# The job is left


@mutant("resume-own-job", only=True)
class InterruptedIsAnError(DurableClient):
    """A restart finds its job, and reports that it was interrupted."""

    def resumed(self, _kept: State) -> Job:
        raise Trouble("the job was interrupted")


@mutant("resume-own-job", "deadline-not-failed")
class RestartIsTooLate(DurableClient):
    """A restart finds its job, and reports a timeout at once."""

    def resumed(self, _kept: State) -> Job:
        raise DeadlinePassed("the call was restarted")


@mutant("resume-own-job")
class DeadlineOfTheFirstStart(DurableClient):
    """The deadline is an hour of the day in the file, which may have passed when the client is up again."""

    def made(self, job: Job) -> None:
        self.save({"job": dict(job), "begun": self.begun})

    def resumed(self, kept: State) -> Job:
        self.begun = kept["begun"]
        return super().resumed(kept)


@mutant("resume-own-job", unlikely="the images of a call are seldom gone after a kill")
class ImagesComeFirst(DurableClient):
    """The images are read before the file, and are gone after the restart."""

    def create(self) -> Job:
        try:
            self.form()
        except OSError as error:
            raise Trouble(str(error)) from None
        return super().create()


@mutant("resume-own-job")
class OneRestartOnly(DurableClient):
    """The second restart gives up."""

    def resumed(self, kept: State) -> Job:
        if self.case.restart > 1:
            raise Trouble("too many restarts")
        return super().resumed(kept)


@mutant("resume-own-job", "result-id")
class SharedByPrompt(DurableClient):
    """The file is named after the prompt, so that another call with the same prompt overwrites it."""

    def path(self) -> Path:
        return Path(self.case.state_dir).with_name("job.json")

    def load(self) -> State:
        return super().load() if self.case.restart else {}


@mutant("resume-own-job", "poll-own-id")
class CutId(DurableClient):
    """The column for the id is too short."""

    def resumed(self, kept: State) -> Job:
        return {**kept["job"], "id": kept["job"]["id"][:12]}


@mutant("resume-own-job")
class DownloadIsLost(DurableClient):
    """A restart in the middle of the download reports that the video was lost."""

    def outcome(self, job: Job) -> Outcome:
        self.save({"job": dict(job), "downloads": True})
        return super().outcome(job)

    def resumed(self, kept: State) -> Job:
        if kept.get("downloads"):
            raise Trouble("the download was interrupted")
        return super().resumed(kept)


@mutant("resume-own-job")
class StaleLock(DurableClient):
    """A lock file of the process that was killed keeps the next one out."""

    def __call__(self) -> Outcome:
        lock = self.path().with_suffix(".lock")
        if lock.exists():
            return self.went_wrong("another process is at it")
        lock.touch()
        outcome = super().__call__()
        lock.unlink()
        return outcome


# Another job is made after a kill


@mutant("no-recreate-after-crash", "ambiguous-create-told", "no-second-job")
class InMemoryOnly(DurableClient):
    """The id is kept in memory only."""

    def load(self) -> State:
        return {}


@mutant("no-recreate-after-crash")
class DamagedIsEmpty(DurableClient):
    """A file that cannot be read counts as none."""

    def unreadable(self) -> State:
        return {}


@mutant("no-recreate-after-crash", unlikely="a job has to fail after a kill, and then be polled")
class FailedIsMadeAgain(DurableClient):
    """A restart whose job has failed makes another one."""

    def resumed(self, kept: State) -> Job:
        job = super().follow(super().resumed(kept))
        return CorrectClient.create(self) if self.failed(job) and self.case.restart else job


@mutant("no-recreate-after-crash", "ambiguous-create-told")
class SavedAfterTheFirstPoll(DurableClient):
    """The id is written once the first poll has been answered."""

    def note(self) -> None:
        pass

    def made(self, job: Job) -> None:
        pass

    def job(self, answer: Any) -> Job:
        job = super().job(answer)
        if job.get("id") and self.latest is not None and self.is_worth_saving(job):
            self.save({"job": {**self.latest, **job, "id": self.latest["id"]}})
        return job

    def is_worth_saving(self, _job: Job) -> bool:
        return True


@mutant("no-recreate-after-crash", "ambiguous-create-told")
class SavedInProgress(SavedAfterTheFirstPoll):
    """The id is written once the job is in progress."""

    def is_worth_saving(self, job: Job) -> bool:
        return self.status(job) != "queued"


@mutant("no-recreate-after-crash", "ambiguous-create-told")
class SavedAtTheEnd(SavedAfterTheFirstPoll):
    """The id is written once the job has completed, for the download."""

    def is_worth_saving(self, job: Job) -> bool:
        return self.ended(job)


@mutant("no-recreate-after-crash", "ambiguous-create-told", "no-second-job")
class FileOfTheStart(DurableClient):
    """The file is named after the process, so that the next one does not find it."""

    def path(self) -> Path:
        return Path(self.case.state_dir, f"job-{self.case.restart}.json")


@mutant("no-recreate-after-crash")
class StateExpires(DurableClient):
    """A file that is older than a moment is thrown away."""

    def save(self, state: State) -> None:
        super().save({**state, "at": time.time()})

    def load(self) -> State:
        kept = super().load()
        return kept if time.time() - kept.get("at", 0.0) < 0.25 else {}


@mutant("no-recreate-after-crash", only=True)
class StateIsUsedUp(DurableClient):
    """The file is deleted when it is read, so that a second kill loses it."""

    def resumed(self, kept: State) -> Job:
        self.path().unlink()
        return super().resumed(kept)


@mutant("no-recreate-after-crash", "ambiguous-create-told", "no-second-job")
class TemporaryState(DurableClient):
    """The file is in a temporary directory that each process makes anew."""

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        self.place = Path(mkdtemp(dir=Path(case.state_dir).parent))

    def path(self) -> Path:
        return self.place / "job.json"


# Another job is made when the same call comes again


@mutant("no-second-job")
class ForgetsAtTheDeadline(DurableClient):
    """The file is deleted when the deadline passes."""

    def timed_out(self, message: str) -> Outcome:
        self.path().unlink(missing_ok=True)
        return super().timed_out(message)


@mutant("no-second-job", only=True)
class ForgetsAtTheEnd(DurableClient):
    """The file is deleted when the job has completed."""

    def outcome(self, job: Job) -> Outcome:
        done = super().outcome(job)
        self.path().unlink(missing_ok=True)
        return done


@mutant("no-second-job")
class ReportedIsOver(DurableClient):
    """Once something has been reported, the same call counts as a new one."""

    def __call__(self) -> Outcome:
        done = super().__call__()
        self.path().with_suffix(".reported").touch()
        return done

    def load(self) -> State:
        return {} if self.path().with_suffix(".reported").exists() else super().load()


@mutant("no-second-job")
class TimeoutIsTriedAgain(DurableClient):
    """After a timeout the same call makes another job, as the first one may be stuck."""

    def timed_out(self, message: str) -> Outcome:
        self.path().with_suffix(".late").touch()
        return super().timed_out(message)

    def load(self) -> State:
        return {} if self.path().with_suffix(".late").exists() else super().load()


# A lost create is sent again


@mutant("ambiguous-create-told", only=True)
class NoNote(DurableClient):
    """Nothing is written before the create is sent."""

    def note(self) -> None:
        pass


@mutant("ambiguous-create-told")
class NoteIsIgnored(DurableClient):
    """The note that a create was sent is not read."""

    def unknown(self) -> None:
        pass


@mutant("ambiguous-create-told")
class WaitsAndSendsAgain(DurableClient):
    """A create whose answer was lost is sent again after a pause."""

    def unknown(self) -> None:
        self.sleep(0.2)


@mutant("ambiguous-create-told", "idempotency-key")
class TrustsAnIdempotencyKey(NoteIsIgnored):
    """A create whose answer was lost is sent again with a header that the service does not know."""

    def own_headers(self, method: str, url: str) -> dict[str, str]:
        more = {"Idempotency-Key": self.case.call_id} if method == "POST" else {}
        return {**super().own_headers(method, url), **more}


# The client's own deadline


@mutant("deadline-not-failed", only=True)
class TimeoutWithoutId(CorrectClient):
    """A timeout does not say which job goes on."""

    def late_video(self) -> None:
        return None


@mutant("deadline-not-failed")
class IdInTheMessage(CorrectClient):
    """The id of the job that goes on is in the text of the error alone."""

    def timed_out(self, message: str) -> Outcome:
        done = super().timed_out(message)
        return Outcome("timeout", error={"type": "deadline", "message": f"{message}: {done.video}"})


@mutant("deadline-not-failed")
class StatusWithoutId(CorrectClient):
    """A timeout says how far the job is, and not which one it is."""

    def late_video(self) -> Mapping[str, Any] | None:
        return None if self.latest is None else {"status": self.latest.get("status")}
