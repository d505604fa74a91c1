"""Rules about a call that outlives its client: examples that keep each, break it, or come close."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from traces import Recorder, RuleExamples, outcome

from mockveo.rules.trace import CallTrace, Restart

EXAMPLES = RuleExamples()
expect = EXAMPLES.expect
AFTER_A_KILL = ("resume-own-job", "no-recreate-after-crash")
ALL = (*AFTER_A_KILL, "no-second-job", "ambiguous-create-told", "deadline-not-failed")
KILL: Any = {"operation": "retrieve", "nth": 1, "kill": "before"}


def started_again(
    recorder: Recorder, earlier: int, reported: str | Mapping[str, Any], before: str = "", *, damaged: bool = False
) -> CallTrace:
    """Return the second start of a call, after so many exchanges: after a kill, or after what was reported before."""
    call = recorder.call(reported)
    first, second = call.exchanges[:earlier], call.exchanges[earlier:]
    return replace(call, exchanges=second, restart=Restart(not before, first, before, damaged))


def killed(recorder: Recorder, **more: Any) -> str:
    """Return the job of a client that was killed at its first poll, which is the second exchange."""
    recorder.play(KILL, **more)
    job = recorder.create()
    recorder.poll(job)
    return job


@expect(*AFTER_A_KILL)
@expect("no-second-job", "ambiguous-create-told", "deadline-not-failed", verdict="not exercised")
def goes_on(recorder: Recorder) -> CallTrace:
    job = killed(recorder)
    recorder.pass_time()
    recorder.poll(job)
    return started_again(recorder, 2, "completed")


@expect(*ALL, verdict="not exercised")
def was_never_killed(recorder: Recorder) -> CallTrace:
    recorder.finished()
    return recorder.call("completed")


@expect(
    "resume-own-job",
    verdict="violation",
    message="killed before its poll was answered, .* did not ask for that job, and",
)
@expect("no-recreate-after-crash")
def gives_up(recorder: Recorder) -> CallTrace:
    killed(recorder)
    return started_again(recorder, 2, "error")


@expect(
    "resume-own-job", verdict="violation", message="asked for task_other instead of that job, and reported 'completed'$"
)
def asks_for_another_job(recorder: Recorder) -> CallTrace:
    killed(recorder)
    recorder.poll("task_other")
    return started_again(recorder, 2, "completed")


@expect("resume-own-job", verdict="violation", message="known to be 'completed'; started again, it did not ask")
def hides_an_end(recorder: Recorder) -> CallTrace:
    recorder.finished()
    return started_again(recorder, 3, "error")


@expect("resume-own-job", "no-recreate-after-crash")
def cannot_read_its_state(recorder: Recorder) -> CallTrace:
    killed(recorder)
    return started_again(recorder, 2, "error", damaged=True)


@expect("resume-own-job", verdict="not exercised")
@expect(
    "no-recreate-after-crash",
    verdict="violation",
    message="^the client was killed before its poll was answered, .* which was running; started again, it sent the"
    " create again, which made task_.*: 2 jobs are paid for one call$",
)
def makes_another(recorder: Recorder) -> CallTrace:
    killed(recorder)
    recorder.finished()
    return started_again(recorder, 2, "completed")


@expect("no-recreate-after-crash", verdict="violation", message="which had been answered as 'failed'; started again,")
def makes_another_after_a_failure(recorder: Recorder) -> CallTrace:
    recorder.play(ending="failure")
    recorder.finished()
    recorder.finished()
    return started_again(recorder, 3, "failed")


@expect("no-second-job", "resume-own-job")
@expect("no-recreate-after-crash", "ambiguous-create-told", verdict="not exercised")
def asks_again_after_a_timeout(recorder: Recorder) -> CallTrace:
    job = recorder.create()
    recorder.poll(job)
    recorder.pass_time()
    recorder.poll(job)
    return started_again(recorder, 2, "completed", before="timeout")


@expect(
    "no-second-job", verdict="violation", message="^the client reported 'timeout', .* asked for the same call again,"
)
def makes_another_after_a_timeout(recorder: Recorder) -> CallTrace:
    recorder.poll(recorder.create())
    recorder.finished()
    return started_again(recorder, 2, "completed", before="timeout")


@expect("no-second-job", verdict="not exercised")
def makes_another_when_the_first_has_failed(recorder: Recorder) -> CallTrace:
    recorder.play(ending="failure")
    recorder.finished()
    recorder.finished()
    return started_again(recorder, 3, "failed", before="failed")


def lost(recorder: Recorder) -> None:
    recorder.play({"operation": "create", "nth": 1, "kill": "before", "applied": True})
    recorder.create()


@expect("ambiguous-create-told")
@expect(*AFTER_A_KILL, "no-second-job", verdict="not exercised")
def reports_a_lost_create(recorder: Recorder) -> CallTrace:
    lost(recorder)
    return started_again(recorder, 1, "error")


@expect(
    "ambiguous-create-told", verdict="warning", message="before its create was answered, .* 2 jobs are paid for one"
)
@expect("no-recreate-after-crash", verdict="not exercised")
def sends_a_lost_create_again(recorder: Recorder) -> CallTrace:
    lost(recorder)
    recorder.finished()
    return started_again(recorder, 1, "completed")


@expect("deadline-not-failed")
def names_its_job_at_the_deadline(recorder: Recorder) -> CallTrace:
    job = recorder.create()
    recorder.poll(job)
    return recorder.call(outcome("timeout", video={"id": job}))


@expect("deadline-not-failed", verdict="warning", message="reported 'timeout' without the id of its job task_")
def does_not_name_its_job(recorder: Recorder) -> CallTrace:
    recorder.poll(recorder.create())
    return recorder.call("timeout")


@expect("deadline-not-failed", verdict="warning", message="own deadline passed, and it reported 'failed'")
def calls_a_deadline_a_failure(recorder: Recorder) -> CallTrace:
    recorder.poll(recorder.create())
    return recorder.call("failed", deadline_s=1.0)


@expect("deadline-not-failed")
def ends_with_a_status_of_its_process(recorder: Recorder) -> CallTrace:
    recorder.poll(recorder.create())
    return recorder.call(outcome("timeout", exit_status=1))
