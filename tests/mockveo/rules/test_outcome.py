"""The rules about what a client makes of it all: what keeps each, what breaks it, what looks close."""

from __future__ import annotations

from typing import Any

import pytest
from traces import ALL_FEATURES, SECRET, Stage, Tales, Told, check, http, outcome, stage, stored

from mockveo.rules.trace import CallTrace

__all__ = ["http", "stage"]  # fixtures

TALES = Tales()
told = TALES.told
POLLS: Any = {"operation": "retrieve"}
CONTENT: Any = {"operation": "content"}
HTML: Any = {"status": 200, "html": True}
FAILED: Any = {"ending": "failure", "error": {"code": "moderated", "message": "No kites."}}
ALWAYS = ("key-in-output", "poll-until-terminal", "no-false-success", "report-completed", "deadline")
SOMETIMES = ("result-id", "result-model", "content-exact", "survive-transient", "failure-reason", "error-envelopes")
RARE = ("unknown-status", "bad-json-on-poll")
ALL = (*ALWAYS, *SOMETIMES, *RARE, "report-failed")


def error(message: str) -> dict[str, str]:
    return {"type": "E", "message": message}


def polled(stage: Stage, times: int = 1, **fault: Any) -> str:
    """A job that is under way, and polls of it."""
    if fault:
        stage.play({**POLLS, **fault})
    job = stage.create()
    stage.poll(job, times)
    return job


@told(*ALWAYS, "result-id", "result-model", "content-exact")
@told("report-failed", "survive-transient", "failure-reason", "error-envelopes", *RARE, verdict="not exercised")
def a_plain_life(stage: Stage) -> CallTrace:
    job = stage.finished()
    data = stage.content(job)
    video = {"id": job, "model": "veo_3_1-4K", "status": "completed"}
    return stage.story(outcome("completed", video=video, content=stored(data)))


@told(*ALL, verdict="not exercised")
def nothing_is_known_of_the_outcome(stage: Stage) -> CallTrace:
    stage.content(stage.finished())
    return stage.story()


@told("report-completed", "report-failed", *SOMETIMES, *RARE, "poll-until-terminal", verdict="not exercised")
@told("no-false-success", "deadline", "key-in-output")
def nothing_came(stage: Stage) -> CallTrace:
    return stage.story("error")


@told("key-in-output", verdict="violation", message="^the key was in standard error$")
@told("no-false-success", "report-completed")
def a_key_in_a_log(stage: Stage) -> CallTrace:
    stage.finished()
    return stage.story(outcome("completed", leaks=["standard error"]))


@told(
    "poll-until-terminal",
    verdict="violation",
    message="ended with 'completed' when the job was last told to be 'queued'",
)
@told("no-false-success", verdict="violation", message="reported 'completed' when the job was last told to be 'queued'")
def the_create_is_taken_for_the_end(stage: Stage) -> CallTrace:
    stage.create()
    return stage.story("completed")


@told(
    "poll-until-terminal", verdict="violation", message="ended with 'completed' when .* last told to be 'in_progress'"
)
@told("no-false-success", verdict="violation", message="reported 'completed' when .* to be 'in_progress'")
@told("content-exact", verdict="violation", message="what was stored is the body of an answer of 400$")
def polled_once_then_downloaded(stage: Stage) -> CallTrace:
    job = polled(stage)
    stage.pass_time(20)
    stage.poll(job)
    return stage.story(outcome("completed", content=stored(stage.content(job))))


@told(
    "poll-until-terminal",
    verdict="violation",
    message="ended with 'error' when the job was last told to be 'in_progress'",
)
@told("report-completed", verdict="not exercised")
def an_early_completed_at_that_confuses(stage: Stage) -> CallTrace:
    stage.play(completed_at="early", phases=[{"duration": 1}, {"duration": 10}])
    job = stage.create()
    stage.pass_time(2)
    assert stage.poll(job)["completed_at"]
    return stage.story("error")


@told(
    "poll-until-terminal", verdict="violation", message="ended with 'failed' when the job was last told to be 'queued'"
)
@told("report-failed", verdict="not exercised")
def a_failure_that_nobody_told(stage: Stage) -> CallTrace:
    polled(stage)
    return stage.story("failed")


@told("poll-until-terminal", "deadline")
@told("report-completed", verdict="not exercised")
def a_timeout(stage: Stage) -> CallTrace:
    polled(stage, 5)
    return stage.story("timeout", deadline_s=6)


@told("poll-until-terminal", "deadline")
def an_error_at_the_deadline(stage: Stage) -> CallTrace:
    polled(stage, 5)
    return stage.story("error", deadline_s=6)


@told("poll-until-terminal", verdict="violation", message="ended with 'error' when")
def an_error_long_before_the_deadline(stage: Stage) -> CallTrace:
    polled(stage, 2)
    return stage.story("error", deadline_s=6)


@told("poll-until-terminal")
@told("survive-transient", verdict="not exercised")
def an_error_when_the_poll_was_refused(stage: Stage) -> CallTrace:
    polled(stage, 2, nth=2, status=404)
    return stage.story("error")


@told("poll-until-terminal", verdict="violation", message="ended with 'completed'")
def a_success_when_the_poll_was_refused(stage: Stage) -> CallTrace:
    polled(stage, 2, nth=2, status=404)
    return stage.story("completed")


@told("no-false-success", verdict="violation", message="reported 'completed' when the job was last told to be 'failed'")
@told("report-failed", verdict="violation", message="the job was told to be 'failed', it reported 'completed'")
def a_failure_taken_for_a_success(stage: Stage) -> CallTrace:
    stage.play(**FAILED)
    stage.finished()
    return stage.story("completed")


@told("no-false-success", verdict="violation", message="reported 'completed' when no answer had told of a job")
@told("poll-until-terminal", verdict="not exercised")
def a_refusal_taken_for_a_success(stage: Stage) -> CallTrace:
    stage.create(prompt="")
    return stage.story("completed")


@told("no-false-success", verdict="violation", message="was last told to be 'queued'")
def a_page_of_html_taken_for_a_success(stage: Stage) -> CallTrace:
    stage.play({**POLLS, **HTML})
    stage.finished()
    return stage.story("completed")


@told("no-false-success", "poll-until-terminal", "unknown-status")
@told("report-completed", verdict="not exercised")
def a_success_in_another_dialect(stage: Stage) -> CallTrace:
    stage.play(style={"statuses": {"in_progress": "IN_PROGRESS", "completed": "SUCCESS"}, "envelope": True})
    stage.finished()
    return stage.story("completed")


@told("report-failed", "failure-reason", "no-false-success", "poll-until-terminal", "survive-transient")
@told("report-completed", "bad-json-on-poll", verdict="not exercised")
def a_failure(stage: Stage) -> CallTrace:
    stage.play({**POLLS, "nth": 1, "status": 503}, **FAILED)
    stage.finished()
    return stage.story(outcome("failed", error={"type": "moderated", "message": "The job failed: No kites."}))


@told("report-failed", "failure-reason")
def a_failure_that_is_raised(stage: Stage) -> CallTrace:
    stage.play(**FAILED, style={"statuses": {"failed": "error"}})
    stage.finished()
    return stage.story(outcome("error", error="JobFailed: No kites. (moderated)"))


@told("report-failed", verdict="violation", message="the job was told to be 'failed', it reported 'timeout'")
@told("failure-reason", verdict="not exercised")
def a_failure_taken_for_a_timeout(stage: Stage) -> CallTrace:
    stage.play(**FAILED)
    stage.finished()
    return stage.story("timeout")


@told("report-failed", verdict="violation", message="told to be 'error', it reported 'nothing'")
@told("deadline", verdict="not exercised")
def a_failure_that_is_polled_for_ever(stage: Stage) -> CallTrace:
    stage.play(**FAILED, style={"statuses": {"failed": "error"}})
    stage.finished()
    return stage.story(outcome(None, ended_by="10 s"), features={"deadline": False})


@told("failure-reason", verdict="warning", message="the reason was 'No kites.', the caller was told 'E failed'")
@told("report-failed")
def a_failure_without_its_reason(stage: Stage) -> CallTrace:
    stage.play(**FAILED)
    stage.finished()
    return stage.story(outcome("failed", error=error("failed")))


@told("failure-reason", verdict="not exercised")
@told("report-failed")
def a_failure_that_has_no_reason(stage: Stage) -> CallTrace:
    stage.play(ending="failure")
    stage.finished()
    return stage.story("failed")


@told("failure-reason")
def a_failure_whose_reason_is_a_number(stage: Stage) -> CallTrace:
    stage.play({**POLLS, "json": {"id": "x", "status": "failed", "error": {"message": 5}}})
    stage.finished()
    return stage.story(outcome("failed", error=error("failed with 5")))


@told("report-completed", verdict="violation", message="the job was told to be 'completed', it reported 'failed'")
def a_success_taken_for_a_failure(stage: Stage) -> CallTrace:
    stage.play(video_url=False)
    stage.finished()
    return stage.story("failed")


@told("report-completed", verdict="violation", message="it reported 'timeout'")
def a_success_that_was_waited_for(stage: Stage) -> CallTrace:
    stage.finished()
    return stage.story("timeout")


@told("content-exact", verdict="violation", message="not the video, but the answer to GET .*variant=thumbnail$")
def the_thumbnail_for_the_video(stage: Stage) -> CallTrace:
    return stage.story(outcome("completed", content=stored(stage.content(f"{stage.finished()}", "?variant=thumbnail"))))


@told("content-exact")
def the_video_by_its_name(stage: Stage) -> CallTrace:
    return stage.story(outcome("completed", content=stored(stage.content(f"{stage.finished()}", "?variant=video"))))


@told("content-exact", verdict="violation", message="not the video, but the answer to GET /v1/videos/task_\\w+$")
def a_poll_for_the_video(stage: Stage) -> CallTrace:
    job = stage.finished()
    answer = stage.send("GET", f"/v1/videos/{job}")
    assert answer is not None
    return stage.story(outcome("completed", content=stored(answer.content)))


@told("report-completed")
@told("content-exact", verdict="not exercised")
def a_download_that_failed(stage: Stage) -> CallTrace:
    stage.play({**CONTENT, "status": 404})
    stage.content(stage.finished())
    return stage.story(outcome("error", error=error("Task not found")))


@told("report-completed", "no-false-success", "poll-until-terminal")
@told("content-exact", verdict="not exercised")
@told("survive-transient", verdict="warning", message="it gave up with 'completed' after an answer of 502")
def a_download_that_failed_of_a_job_that_did_not(stage: Stage) -> CallTrace:
    stage.play({**CONTENT, "status": 502})
    stage.content(stage.finished())
    return stage.story(outcome("completed", error=error("502")))


@told("report-completed", "survive-transient")
def a_deadline_while_downloading(stage: Stage) -> CallTrace:
    stage.play({**CONTENT, "truncate": 10})
    stage.content(stage.finished())
    return stage.story("timeout")


@told("result-id", verdict="violation", message="the result's id is 'task_x', wanted 'task_")
@told("result-model", verdict="warning", message="the result's model is 'veo3-fast', answers said 'veo_3_1-4K'")
def another_id_and_the_alias(stage: Stage) -> CallTrace:
    stage.finished()
    return stage.story(outcome("completed", video={"id": "task_x", "model": "veo3-fast"}))


@told("result-id", "result-model")
def the_model_that_changes(stage: Stage) -> CallTrace:
    stage.play(style={"model": "flip"})
    return stage.story(outcome("completed", video={"id": stage.finished(), "model": "veo3-fast"}))


@told("result-id", "result-model", verdict="not exercised")
def a_result_without_a_video(stage: Stage) -> CallTrace:
    stage.finished()
    return stage.story(outcome("completed", video={"status": "completed"}))


@told("content-exact", verdict="violation", message="what was stored is the body of an answer of 200 that broke off")
def half_a_video(stage: Stage) -> CallTrace:
    stage.play({**CONTENT, "truncate": 1000})
    job = stage.finished()
    stage.content(job)
    stage.play()
    return _without_last(stage, stage.content(job)[:1000])


def _without_last(stage: Stage, data: bytes) -> CallTrace:
    """A story without its last exchange, which was only to know what there is."""
    story = stage.story(outcome("completed", content=stored(data)))
    return CallTrace(story.exchanges[:-1], story.case, story.outcome, story.features)


@told("content-exact", verdict="violation", message="the 3 bytes that were stored are not those of any whole answer")
def other_bytes(stage: Stage) -> CallTrace:
    stage.content(stage.finished())
    return stage.story(outcome("completed", content=stored(b"mp4")))


@told("content-exact")
def a_video_that_came_at_the_second_try(stage: Stage) -> CallTrace:
    stage.play({**CONTENT, "nth": 1, "truncate": 1000})
    job = stage.finished()
    stage.content(job)
    return stage.story(outcome("completed", content=stored(stage.content(job))))


@told("content-exact", "report-completed")
def a_video_in_two_pieces(stage: Stage) -> CallTrace:
    stage.play({**CONTENT, "nth": 1, "truncate": 1000})
    job = stage.finished()
    stage.content(job)
    rest = stage.content(job, headers={"Authorization": f"Bearer {SECRET}", "Range": "bytes=1000-"})
    stage.play()
    whole = stage.content(job)
    assert whole[1000:] == rest
    return _without_last(stage, whole)


@told("content-exact")
def a_video_from_its_url(stage: Stage) -> CallTrace:
    stage.play(video_url=True, phases=[])
    answer = stage.send("GET", stage.poll(stage.create())["video_url"], headers={})
    assert answer is not None
    return stage.story(outcome("completed", content=stored(answer.content)))


@told("survive-transient", verdict="warning", message="it gave up with 'error' after an answer of 503 that may pass")
@told("poll-until-terminal")
def one_bad_poll(stage: Stage) -> CallTrace:
    polled(stage, 2, nth=2, status=503)
    return stage.story("error")


@told(
    "survive-transient", verdict="warning", message="gave up with 'failed' after a connection that broke that may pass"
)
def one_bad_poll_taken_for_a_failure(stage: Stage) -> CallTrace:
    polled(stage, 2, nth=2, reset=True)
    return stage.story("failed")


@told("survive-transient", verdict="warning", message="gave up with 'error' after a connection that broke")
def one_download_that_broke(stage: Stage) -> CallTrace:
    stage.play({**CONTENT, "truncate": 1000})
    stage.content(stage.finished())
    return stage.story("error")


@told("content-exact", verdict="violation", message="the video was not asked for, though the client declares `content`")
def a_video_that_nobody_asked_for(stage: Stage) -> CallTrace:
    stage.finished()
    return stage.story("completed")


@told("content-exact", verdict="not exercised")
def a_video_that_is_no_business_of_the_client(stage: Stage) -> CallTrace:
    stage.finished()
    return stage.story("completed", features={**ALL_FEATURES, "content": False})


@told("survive-transient", verdict="warning", message="it gave up with 'error' after an answer of 503")
def three_bad_polls(stage: Stage) -> CallTrace:
    polled(stage, 4, nth=[2, 4], status=503)
    return stage.story("error")


@told("survive-transient")
def three_bad_downloads(stage: Stage) -> CallTrace:
    stage.play({**CONTENT, "status": 503})
    job = stage.finished()
    for _ in range(3):
        stage.content(job)
    return stage.story("error")


@told("survive-transient", "poll-until-terminal")
def many_bad_polls(stage: Stage) -> CallTrace:
    polled(stage, 6, nth=[2, 9], status=429)
    return stage.story("error")


@told("survive-transient", "poll-until-terminal")
def a_wait_that_does_not_fit(stage: Stage) -> CallTrace:
    polled(stage, 2, nth=2, status=429, retry_after=60)
    return stage.story("error", deadline_s=30)


@told("survive-transient", verdict="warning", message="gave up with 'error' after an answer of 429")
def a_wait_that_fits(stage: Stage) -> CallTrace:
    polled(stage, 2, nth=2, status=429, retry_after=10)
    return stage.story("error", deadline_s=30)


@told("survive-transient", "bad-json-on-poll", *ALWAYS)
def all_sorts_of_trouble(stage: Stage) -> CallTrace:
    faults = [{"status": 503}, {"reset": True}, {"error": "rate_limited"}, HTML, {"status": 524, "html": True}]
    stage.play(*({**POLLS, "nth": nth, **fault} for nth, fault in enumerate(faults, 1)))
    job = polled(stage, 5)
    stage.pass_time()
    stage.poll(job)
    return stage.story("completed")


@told("bad-json-on-poll", verdict="info", message="gave up with 'error' after an answer that was no JSON")
@told("survive-transient", verdict="not exercised")
def a_page_of_html(stage: Stage) -> CallTrace:
    polled(stage, 2, nth=2, **HTML)
    return stage.story("error")


@told("bad-json-on-poll")
def a_page_of_html_at_the_deadline(stage: Stage) -> CallTrace:
    polled(stage, 5, nth=5, **HTML)
    return stage.story("error", deadline_s=6)


@told("bad-json-on-poll", verdict="info", message="gave up with 'failed'")
def half_an_answer(stage: Stage) -> CallTrace:
    polled(stage, 1, malformed=True)
    return stage.story("failed")


@told("deadline", verdict="warning", message="had not given up 10 s after its deadline of 6.0 s")
@told("poll-until-terminal", "no-false-success", verdict="not exercised")
def no_deadline(stage: Stage) -> CallTrace:
    polled(stage, 5)
    return stage.story(outcome(None, ended_by="10 s"), deadline_s=6.0)


@told("deadline", verdict="warning", message=r"still asked 10\.0 s after it had begun, wanted no more after 6\.0 s")
def a_deadline_that_is_late(stage: Stage) -> CallTrace:
    polled(stage, 10)
    return stage.story("timeout", deadline_s=6.0)


@told("deadline", verdict="not exercised")
def a_client_that_declares_no_deadline(stage: Stage) -> CallTrace:
    polled(stage, 10)
    return stage.story("timeout", deadline_s=6.0, features={})


@told("deadline", "poll-until-terminal")
def given_up_early(stage: Stage) -> CallTrace:
    polled(stage, 1)
    return stage.story("timeout")


@told("error-envelopes", verdict="info", message="the error was 'prompt is required', the caller was told 'E 400'")
def a_flat_error_dropped(stage: Stage) -> CallTrace:
    stage.create(prompt="")
    return stage.story(outcome("error", error=error("400")))


@told("error-envelopes", verdict="info", message="the error was 'no available channel for .*', the caller was told ''")
def a_nested_error_dropped(stage: Stage) -> CallTrace:
    stage.create(model="veo9")
    return stage.story("error")


@told("error-envelopes")
def a_nested_error_without_the_id_of_the_request(stage: Stage) -> CallTrace:
    stage.create(model="veo9")
    message = "no available channel for group default and model veo9 (distributor)"
    return stage.story(outcome("error", error=error(message)))


@told("error-envelopes")
def a_flat_error(stage: Stage) -> CallTrace:
    stage.create(prompt="")
    return stage.story(outcome("error", error="400: prompt is required"))


@told("error-envelopes", verdict="not exercised")
def an_error_of_html(stage: Stage) -> CallTrace:
    stage.play({"operation": "create", "status": 502, "html": True})
    stage.create()
    return stage.story("error")


@told("error-envelopes", verdict="not exercised")
def a_redirect_that_is_refused_after_a_429(stage: Stage) -> CallTrace:
    stage.play(
        {"operation": "create", "nth": 1, "error": "rate_limited"},
        {"operation": "create", "nth": 2, "redirect": {"status": 307}},
    )
    stage.create()
    stage.create()
    return stage.story(outcome("error", error=error("an answer of 307")))


@told("error-envelopes", verdict="not exercised")
def an_answer_that_is_lost_after_a_429(stage: Stage) -> CallTrace:
    stage.play(
        {"operation": "create", "nth": 1, "error": "rate_limited"},
        {"operation": "create", "nth": 2, "reset": True},
    )
    stage.create()
    stage.create()
    return stage.story(outcome("error", error=error("connection reset")))


def odd(stage: Stage, status: str, said: str, *, times: int = 2) -> CallTrace:
    stage.play(phases=[{"duration": 1, "progress": 0}, {"duration": 90, "status": status}])
    job = stage.create()
    stage.pass_time(5)
    stage.poll(job, times)
    return stage.story(said, deadline_s=6)


@told("unknown-status", verdict="info", message="it took the status 'unknown' for 'failed'")
@told("poll-until-terminal")
def an_unknown_status_taken_for_a_failure(stage: Stage) -> CallTrace:
    return odd(stage, "unknown", "failed")


@told("unknown-status", verdict="info", message="it took the status 'NOT_START' for 'completed'")
@told("no-false-success", verdict="violation", message="was last told to be 'NOT_START'")
def an_unknown_status_taken_for_a_success(stage: Stage) -> CallTrace:
    return odd(stage, "NOT_START", "completed")


@told("unknown-status", "poll-until-terminal", "no-false-success")
def an_unknown_status_waited_for(stage: Stage) -> CallTrace:
    return odd(stage, "unknown", "timeout", times=5)


@told("unknown-status", "report-completed", "no-false-success", "poll-until-terminal")
def an_unknown_status_on_the_way(stage: Stage) -> CallTrace:
    odd(stage, "unknown", "completed")
    stage.pass_time()
    stage.poll(stage.trace[0]["job"])
    return stage.story("completed")


@told("unknown-status", "poll-until-terminal", "no-false-success")
def a_failure_in_another_dialect(stage: Stage) -> CallTrace:
    stage.play(**FAILED, style={"statuses": {"failed": "FAILED"}})
    stage.finished()
    return stage.story("failed")


@told("unknown-status", "no-false-success")
def a_job_that_was_cancelled(stage: Stage) -> CallTrace:
    return odd(stage, "cancelled", "failed")


@pytest.mark.parametrize("one", TALES, ids=str)
def test_a_rule_of_the_outcome(stage: Stage, one: Told) -> None:
    check(one, stage)
