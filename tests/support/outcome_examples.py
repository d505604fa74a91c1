"""Rules about what a client reports: examples that keep each, break it, or come close."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from traces import (
    ALL_FEATURES,
    SECRET,
    Recorder,
    RuleExamples,
    outcome,
    stored,
)

from mockveo.rules.trace import CallTrace

EXAMPLES = RuleExamples()
expect = EXAMPLES.expect
POLLS: Any = {"operation": "retrieve"}
CONTENT: Any = {"operation": "content"}
HTML: Any = {"status": 200, "html": True}
FAILED: Any = {"ending": "failure", "error": {"code": "moderated", "message": "No kites."}}
ALWAYS = ("key-in-output", "poll-until-terminal", "no-false-success", "report-completed", "deadline")
SOMETIMES = ("result-id", "result-model", "content-exact", "survive-transient", "failure-reason", "error-envelopes")
RARE = ("unknown-status", "bad-json-on-poll")
ALL = (*ALWAYS, *SOMETIMES, *RARE, "report-failed", "no-false-failure", "result-status")


def error(message: str) -> dict[str, str]:
    return {"type": "E", "message": message}


def polled(recorder: Recorder, times: int = 1, **fault: Any) -> str:
    """Return a running job after some polls."""
    if fault:
        recorder.play({**POLLS, **fault})
    job = recorder.create()
    recorder.poll(job, times)
    return job


@expect(*ALWAYS, "result-id", "result-model", "content-exact")
@expect("report-failed", "survive-transient", "failure-reason", "error-envelopes", *RARE, verdict="not exercised")
def a_plain_life(recorder: Recorder) -> CallTrace:
    job = recorder.finished()
    data = recorder.content(job)
    video = {"id": job, "model": "veo_3_1-4K", "status": "completed"}
    return recorder.call(outcome("completed", video=video, content=stored(data)))


@expect(*ALL, verdict="not exercised")
def no_outcome(recorder: Recorder) -> CallTrace:
    recorder.content(recorder.finished())
    return recorder.call()


@expect("report-completed", "report-failed", *SOMETIMES, *RARE, "poll-until-terminal", verdict="not exercised")
@expect("no-false-success", "deadline", "key-in-output")
def nothing_came(recorder: Recorder) -> CallTrace:
    return recorder.call("error")


@expect("key-in-output", verdict="violation", message="^the key appeared in standard error$")
@expect("no-false-success", "report-completed")
def a_key_in_a_log(recorder: Recorder) -> CallTrace:
    recorder.finished()
    return recorder.call(outcome("completed", leaks=["standard error"]))


@expect(
    "poll-until-terminal",
    verdict="violation",
    message="reported 'completed', but the last status .* was 'queued'",
)
@expect(
    "no-false-success",
    verdict="violation",
    message="reported 'completed', but the last status .* was 'queued'",
)
def the_create_is_taken_for_the_end(recorder: Recorder) -> CallTrace:
    recorder.create()
    return recorder.call("completed")


@expect("poll-until-terminal")
def the_create_is_answered_201_and_refused(recorder: Recorder) -> CallTrace:
    recorder.play({"operation": "create", "status": 201})
    recorder.create()
    return recorder.call("error")


@expect("poll-until-terminal", verdict="violation", message="reported 'error', but the last status .* was 'queued'")
def the_create_is_answered_200_and_refused(recorder: Recorder) -> CallTrace:
    recorder.create()
    return recorder.call("error")


@expect(
    "poll-until-terminal", verdict="violation", message="reported 'completed', but the last status .* was 'in_progress'"
)
@expect(
    "no-false-success", verdict="violation", message="reported 'completed', but the last status .* was 'in_progress'"
)
@expect("content-exact", verdict="violation", message="is not the video but the body of a response of 400$")
def polled_once_then_downloaded(recorder: Recorder) -> CallTrace:
    job = polled(recorder)
    recorder.pass_time(20)
    recorder.poll(job)
    return recorder.call(outcome("completed", content=stored(recorder.content(job))))


@expect(
    "poll-until-terminal",
    verdict="violation",
    message="reported 'error', but the last status .* was 'in_progress'",
)
@expect("report-completed", verdict="not exercised")
def an_early_completed_at_that_confuses(recorder: Recorder) -> CallTrace:
    recorder.play(completed_at="early", phases=[{"duration": 1}, {"duration": 10}])
    job = recorder.create()
    recorder.pass_time(2)
    assert recorder.poll(job)["completed_at"]
    return recorder.call("error")


@expect(
    "poll-until-terminal",
    verdict="violation",
    message="reported 'failed', but the last status .* was 'queued'",
)
@expect("report-failed", verdict="not exercised")
def a_failure_that_no_answer_showed(recorder: Recorder) -> CallTrace:
    polled(recorder)
    return recorder.call("failed")


@expect("poll-until-terminal", "deadline")
@expect("report-completed", verdict="not exercised")
def a_timeout(recorder: Recorder) -> CallTrace:
    polled(recorder, 5)
    return recorder.call("timeout", deadline_s=6)


@expect("poll-until-terminal", "deadline")
def an_error_at_the_deadline(recorder: Recorder) -> CallTrace:
    polled(recorder, 5)
    return recorder.call("error", deadline_s=6)


@expect("poll-until-terminal", verdict="violation", message="reported 'error', but the last status")
def an_error_long_before_the_deadline(recorder: Recorder) -> CallTrace:
    polled(recorder, 2)
    return recorder.call("error", deadline_s=6)


@expect("poll-until-terminal")
@expect("survive-transient", verdict="not exercised")
def an_error_when_the_poll_was_refused(recorder: Recorder) -> CallTrace:
    polled(recorder, 2, nth=2, status=404)
    return recorder.call("error")


@expect("poll-until-terminal", verdict="violation", message="reported 'completed', but")
def a_success_when_the_poll_was_refused(recorder: Recorder) -> CallTrace:
    polled(recorder, 2, nth=2, status=404)
    return recorder.call("completed")


@expect(
    "no-false-success",
    verdict="violation",
    message="reported 'completed', but the last status .* was 'failed'",
)
@expect("report-failed", verdict="violation", message="the job was 'failed', but the client reported 'completed'")
def a_failure_taken_for_a_success(recorder: Recorder) -> CallTrace:
    recorder.play(**FAILED)
    recorder.finished()
    return recorder.call("completed")


@expect("no-false-success", verdict="violation", message="reported 'completed', but no response had shown a job")
@expect("poll-until-terminal", verdict="not exercised")
def a_refusal_taken_for_a_success(recorder: Recorder) -> CallTrace:
    recorder.create(prompt="")
    return recorder.call("completed")


@expect("no-false-success", verdict="violation", message="the last status it had received was 'queued'")
def a_page_of_html_taken_for_a_success(recorder: Recorder) -> CallTrace:
    recorder.play({**POLLS, **HTML})
    recorder.finished()
    return recorder.call("completed")


@expect("no-false-success", "poll-until-terminal", "unknown-status", "report-completed")
def a_success_in_another_dialect(recorder: Recorder) -> CallTrace:
    recorder.play(style={"statuses": {"in_progress": "IN_PROGRESS", "completed": "SUCCESS"}, "envelope": True})
    recorder.finished()
    return recorder.call("completed")


@expect("report-completed", verdict="warning", message="the job was ' Done ', but the client reported 'timeout'")
def a_success_in_another_dialect_that_was_waited_for(recorder: Recorder) -> CallTrace:
    recorder.play(style={"statuses": {"completed": " Done "}})
    recorder.finished()
    return recorder.call("timeout")


@expect("report-failed", verdict="warning", message="the job was 'EXPIRED', but the client reported 'timeout'")
@expect("unknown-status")
def a_failure_in_another_dialect_that_was_waited_for(recorder: Recorder) -> CallTrace:
    recorder.play(**FAILED, style={"statuses": {"failed": "EXPIRED"}})
    recorder.finished()
    return recorder.call("timeout")


@expect("result-id", verdict="violation", message="the id of the result is 'task_x'; expected 'task_")
@expect("no-false-success", "poll-until-terminal", "report-completed")
def another_id_than_the_task_id(recorder: Recorder) -> CallTrace:
    recorder.play({"operation": "create", "json": {"task_id": "task_y", "status": "completed"}})
    recorder.create()
    return recorder.call(outcome("completed", video={"id": "task_x"}))


@expect("result-id")
def an_id_of_digits_as_a_number(recorder: Recorder) -> CallTrace:
    recorder.play({"operation": "create", "json": {"id": 17, "status": "completed"}})
    recorder.create()
    return recorder.call(outcome("completed", video={"id": 17}))


IN_A_SUCCESS: Any = {"json": {"code": "fail_to_fetch_task", "message": "No upstream.", "data": None}}


@expect("poll-until-terminal")
def an_error_in_a_poll_that_succeeded(recorder: Recorder) -> CallTrace:
    polled(recorder, 2, nth=2, **IN_A_SUCCESS)
    return recorder.call("error")


@expect("error-envelopes", verdict="info", message="the error was 'No upstream.', but the client reported 'E no id'")
def an_error_in_a_create_that_succeeded(recorder: Recorder) -> CallTrace:
    recorder.play({"operation": "create", **IN_A_SUCCESS})
    recorder.create()
    return recorder.call(outcome("error", error=error("no id")))


@expect("result-id", "poll-until-terminal", verdict="not exercised")
@expect("report-failed", "failure-reason")
def a_failure_in_a_create_without_an_id(recorder: Recorder) -> CallTrace:
    recorder.play({"operation": "create", "json": {"status": "failed", "error": {"message": "No kites."}}})
    recorder.create()
    return recorder.call(outcome("failed", error=error("No kites.")))


@expect("report-failed", "failure-reason", "no-false-success", "poll-until-terminal", "survive-transient")
@expect("report-completed", "bad-json-on-poll", verdict="not exercised")
def a_failure(recorder: Recorder) -> CallTrace:
    recorder.play({**POLLS, "nth": 1, "status": 503}, **FAILED)
    recorder.finished()
    return recorder.call(outcome("failed", error={"type": "moderated", "message": "The job failed: No kites."}))


@expect("report-failed", "failure-reason")
def a_failure_that_is_raised(recorder: Recorder) -> CallTrace:
    recorder.play(**FAILED, style={"statuses": {"failed": "error"}})
    recorder.finished()
    return recorder.call(outcome("error", error="JobFailed: No kites. (moderated)"))


@expect("report-failed", verdict="violation", message="the job was 'failed', but the client reported 'timeout'")
@expect("failure-reason", verdict="not exercised")
def a_failure_taken_for_a_timeout(recorder: Recorder) -> CallTrace:
    recorder.play(**FAILED)
    recorder.finished()
    return recorder.call("timeout")


@expect("report-failed", verdict="violation", message="the job was 'error', but the client reported nothing")
@expect("deadline", verdict="not exercised")
def a_failure_that_is_polled_for_ever(recorder: Recorder) -> CallTrace:
    recorder.play(**FAILED, style={"statuses": {"failed": "error"}})
    recorder.finished()
    return recorder.call(outcome(None, ended_by="10 s"), features={"deadline": False})


@expect("failure-reason", verdict="warning", message="the reason was 'No kites.', but the client reported 'E failed'")
@expect("report-failed")
def a_failure_without_its_reason(recorder: Recorder) -> CallTrace:
    recorder.play(**FAILED)
    recorder.finished()
    return recorder.call(outcome("failed", error=error("failed")))


def failed_with_json(recorder: Recorder, written: Callable[[str], str]) -> CallTrace:
    message = "The upstream said \"400\":\n{'é': 1}"
    recorder.play(ending="failure", error={"code": "upstream", "message": message})
    recorder.finished()
    return recorder.call(outcome("failed", error=error(written(message))))


@expect("failure-reason")
def a_reason_within_json(recorder: Recorder) -> CallTrace:
    return failed_with_json(recorder, lambda message: json.dumps({"message": message}))


@expect("failure-reason")
def a_reason_within_json_that_is_not_ascii(recorder: Recorder) -> CallTrace:
    return failed_with_json(recorder, lambda message: json.dumps({"message": message}, ensure_ascii=False))


@expect("failure-reason")
def a_reason_as_python_prints_it(recorder: Recorder) -> CallTrace:
    return failed_with_json(recorder, lambda message: repr({"message": message}))


@expect("failure-reason")
def a_reason_in_one_line(recorder: Recorder) -> CallTrace:
    return failed_with_json(recorder, lambda message: " ".join(message.split()))


@expect("failure-reason", verdict="not exercised")
@expect("report-failed")
def a_failure_that_has_no_reason(recorder: Recorder) -> CallTrace:
    recorder.play(ending="failure")
    recorder.finished()
    return recorder.call("failed")


@expect("failure-reason")
def a_failure_whose_reason_is_a_number(recorder: Recorder) -> CallTrace:
    recorder.play({**POLLS, "json": {"id": "x", "status": "failed", "error": {"message": 5}}})
    recorder.finished()
    return recorder.call(outcome("failed", error=error("failed with 5")))


@expect("report-completed", verdict="violation", message="the job was 'completed', but the client reported 'failed'")
def a_success_taken_for_a_failure(recorder: Recorder) -> CallTrace:
    recorder.play(video_url=False)
    recorder.finished()
    return recorder.call("failed")


@expect("report-completed", verdict="violation", message="the client reported 'timeout'")
def a_success_that_was_waited_for(recorder: Recorder) -> CallTrace:
    recorder.finished()
    return recorder.call("timeout")


@expect("content-exact", verdict="violation", message="not the video but the response to GET .*variant=thumbnail$")
def the_thumbnail_for_the_video(recorder: Recorder) -> CallTrace:
    return recorder.call(
        outcome("completed", content=stored(recorder.content(f"{recorder.finished()}", "?variant=thumbnail")))
    )


@expect("content-exact", verdict="violation", message="not the video but the response to GET .*%74humbnail$")
def the_thumbnail_by_an_encoded_name(recorder: Recorder) -> CallTrace:
    return recorder.call(
        outcome("completed", content=stored(recorder.content(recorder.finished(), "?variant=%74humbnail")))
    )


@expect(
    "content-exact", verdict="violation", message=r"the 16 bytes of a response of 200 that is no video \(text/plain"
)
def a_text_of_200_for_the_video(recorder: Recorder) -> CallTrace:
    recorder.play({**CONTENT, "text": "still processing"})
    return recorder.call(outcome("completed", content=stored(recorder.content(recorder.finished()))))


@expect(
    "content-exact", verdict="violation", message=r"the 12 bytes of a response of 200 that is no video \(video/mp4\)"
)
def json_labelled_as_a_video(recorder: Recorder) -> CallTrace:
    recorder.play({**CONTENT, "json": {"code": "x"}, "content_type": "video/mp4"})
    return recorder.call(outcome("completed", content=stored(recorder.content(recorder.finished()))))


@expect("content-exact", verdict="violation", message="the 0 bytes of a response of 200 that is no video")
def nothing_for_the_video(recorder: Recorder) -> CallTrace:
    recorder.play({**CONTENT, "empty": True})
    return recorder.call(outcome("completed", content=stored(recorder.content(recorder.finished()))))


@expect("content-exact")
def half_a_video_that_looks_whole(recorder: Recorder) -> CallTrace:
    recorder.play({**CONTENT, "malformed": True})
    return recorder.call(outcome("completed", content=stored(recorder.content(recorder.finished()))))


@expect("content-exact")
def a_video_after_a_page_of_html(recorder: Recorder) -> CallTrace:
    recorder.play({**CONTENT, "nth": 1, **HTML})
    job = recorder.finished()
    recorder.content(job)
    return recorder.call(outcome("completed", content=stored(recorder.content(job))))


@expect("report-completed")
@expect("content-exact", "survive-transient", verdict="not exercised")
def an_error_for_a_200_that_is_no_video(recorder: Recorder) -> CallTrace:
    recorder.play({**CONTENT, **HTML})
    recorder.content(recorder.finished())
    return recorder.call(outcome("error", error=error("the response is no video")))


@expect("content-exact", verdict="violation", message="without a file and without an error, after a response of 404 to")
def a_failed_download_that_is_not_reported(recorder: Recorder) -> CallTrace:
    recorder.play({**CONTENT, "status": 404})
    recorder.content(recorder.finished())
    return recorder.call("completed")


@expect("content-exact", verdict="not exercised")
def a_failed_download_of_a_program_with_an_exit_status(recorder: Recorder) -> CallTrace:
    recorder.play({**CONTENT, "status": 404})
    recorder.content(recorder.finished())
    return recorder.call(outcome("completed", exit_status=0))


@expect("report-completed")
def a_redirect_of_a_poll_after_the_end_that_is_refused(recorder: Recorder) -> CallTrace:
    recorder.play({**POLLS, "redirect": {"status": 307}}, phases=[])
    recorder.poll(recorder.create())
    return recorder.call("error")


@expect("content-exact")
def the_video_by_its_name(recorder: Recorder) -> CallTrace:
    return recorder.call(
        outcome("completed", content=stored(recorder.content(f"{recorder.finished()}", "?variant=video")))
    )


@expect("content-exact", verdict="violation", message="not the video but the response to GET /v1/videos/task_\\w+$")
def a_poll_for_the_video(recorder: Recorder) -> CallTrace:
    job = recorder.finished()
    answer = recorder.send("GET", f"/v1/videos/{job}")
    assert answer is not None
    return recorder.call(outcome("completed", content=stored(answer.content)))


@expect("report-completed")
@expect("content-exact", verdict="not exercised")
def a_download_that_failed(recorder: Recorder) -> CallTrace:
    recorder.play({**CONTENT, "status": 404})
    recorder.content(recorder.finished())
    return recorder.call(outcome("error", error=error("Task not found")))


@expect("report-completed", "no-false-success", "poll-until-terminal")
@expect("content-exact", verdict="not exercised")
@expect("survive-transient", verdict="warning", message="the client gave up with 'completed' after a response of 502")
def a_download_that_failed_of_a_job_that_did_not(recorder: Recorder) -> CallTrace:
    recorder.play({**CONTENT, "status": 502})
    recorder.content(recorder.finished())
    return recorder.call(outcome("completed", error=error("502")))


@expect("report-completed", "survive-transient")
def a_deadline_while_downloading(recorder: Recorder) -> CallTrace:
    recorder.play({**CONTENT, "truncate": 10})
    recorder.content(recorder.finished())
    return recorder.call("timeout")


@expect("result-id", verdict="violation", message="the id of the result is 'task_x'; expected 'task_")
@expect("result-model", verdict="warning", message="the model of the result is 'veo3-fast'; expected 'veo_3_1-4K'")
def another_id_and_the_alias(recorder: Recorder) -> CallTrace:
    recorder.finished()
    return recorder.call(outcome("completed", video={"id": "task_x", "model": "veo3-fast"}))


@expect("result-id", "result-model")
def the_model_that_changes(recorder: Recorder) -> CallTrace:
    recorder.play(style={"model": "flip"})
    return recorder.call(outcome("completed", video={"id": recorder.finished(), "model": "veo_3_1-4K"}))


@expect("result-id", "result-model", verdict="not exercised")
def a_result_without_a_video(recorder: Recorder) -> CallTrace:
    recorder.finished()
    return recorder.call(outcome("completed", video={"status": "completed"}))


@expect(
    "content-exact",
    verdict="violation",
    message="is not the video but the body of an incomplete response of 200",
)
def half_a_video(recorder: Recorder) -> CallTrace:
    recorder.play({**CONTENT, "truncate": 1000})
    job = recorder.finished()
    recorder.content(job)
    recorder.play()
    return _without_last(recorder, recorder.content(job)[:1000])


def _without_last(recorder: Recorder, data: bytes) -> CallTrace:
    """Return a call without its last exchange, which only served to learn the content."""
    call = recorder.call(outcome("completed", content=stored(data)))
    return CallTrace(call.exchanges[:-1], call.case, call.outcome, call.features)


@expect("content-exact", verdict="violation", message="the 3 bytes that were stored match no complete response")
def other_bytes(recorder: Recorder) -> CallTrace:
    recorder.content(recorder.finished())
    return recorder.call(outcome("completed", content=stored(b"mp4")))


@expect("content-exact")
def a_video_that_came_at_the_second_try(recorder: Recorder) -> CallTrace:
    recorder.play({**CONTENT, "nth": 1, "truncate": 1000})
    job = recorder.finished()
    recorder.content(job)
    return recorder.call(outcome("completed", content=stored(recorder.content(job))))


@expect("content-exact", "report-completed")
def a_video_in_two_pieces(recorder: Recorder) -> CallTrace:
    recorder.play({**CONTENT, "nth": 1, "truncate": 1000})
    job = recorder.finished()
    recorder.content(job)
    rest = recorder.content(job, headers={"Authorization": f"Bearer {SECRET}", "Range": "bytes=1000-"})
    recorder.play()
    whole = recorder.content(job)
    assert whole[1000:] == rest
    return _without_last(recorder, whole)


@expect("content-exact")
def a_video_from_its_url(recorder: Recorder) -> CallTrace:
    recorder.play(video_url=True, phases=[])
    answer = recorder.send("GET", recorder.poll(recorder.create())["video_url"], headers={})
    assert answer is not None
    return recorder.call(outcome("completed", content=stored(answer.content)))


@expect(
    "survive-transient",
    verdict="warning",
    message="gave up with 'error' after a response of 503, which may be",
)
@expect("poll-until-terminal")
def one_bad_poll(recorder: Recorder) -> CallTrace:
    polled(recorder, 2, nth=2, status=503)
    return recorder.call("error")


@expect(
    "survive-transient",
    verdict="warning",
    message="gave up with 'failed' after a broken connection, which",
)
def one_bad_poll_taken_for_a_failure(recorder: Recorder) -> CallTrace:
    polled(recorder, 2, nth=2, reset=True)
    return recorder.call("failed")


@expect("survive-transient", verdict="warning", message="gave up with 'error' after a broken connection")
def one_download_that_broke(recorder: Recorder) -> CallTrace:
    recorder.play({**CONTENT, "truncate": 1000})
    recorder.content(recorder.finished())
    return recorder.call("error")


@expect("content-exact", verdict="violation", message="did not request the video although it declares `content`")
def a_video_that_was_not_requested(recorder: Recorder) -> CallTrace:
    recorder.finished()
    return recorder.call("completed")


@expect("content-exact", verdict="not exercised")
def a_video_that_is_no_business_of_the_client(recorder: Recorder) -> CallTrace:
    recorder.finished()
    return recorder.call("completed", features={**ALL_FEATURES, "content": False})


GZIP: Any = {"headers": {"content-encoding": "gzip"}}


@expect("survive-transient", verdict="warning", message="with 'error' after a response that cannot be decoded, which")
@expect("poll-until-terminal")
@expect("bad-json-on-poll", verdict="not exercised")
def one_poll_that_cannot_be_decoded(recorder: Recorder) -> CallTrace:
    polled(recorder, 2, nth=2, **GZIP)
    return recorder.call("error")


@expect("report-completed", "stop-at-terminal", verdict="not exercised")
@expect("no-false-success", "poll-until-terminal")
def an_end_that_cannot_be_decoded(recorder: Recorder) -> CallTrace:
    recorder.play({**POLLS, "nth": [2, None], **GZIP})
    recorder.poll(recorder.finished())
    return recorder.call("timeout")


@expect("report-completed")
@expect("content-exact", verdict="not exercised")
def a_video_that_cannot_be_decoded(recorder: Recorder) -> CallTrace:
    recorder.play({**CONTENT, **GZIP})
    recorder.content(recorder.finished())
    return recorder.call("error")


@expect("survive-transient", verdict="warning", message="the client gave up with 'error' after a response of 503")
def three_bad_polls(recorder: Recorder) -> CallTrace:
    polled(recorder, 4, nth=[2, 4], status=503)
    return recorder.call("error")


@expect("survive-transient")
def three_bad_downloads(recorder: Recorder) -> CallTrace:
    recorder.play({**CONTENT, "status": 503})
    job = recorder.finished()
    for _ in range(3):
        recorder.content(job)
    return recorder.call("error")


@expect("survive-transient", "poll-until-terminal")
def many_bad_polls(recorder: Recorder) -> CallTrace:
    polled(recorder, 6, nth=[2, 9], status=429)
    return recorder.call("error")


@expect("survive-transient", "poll-until-terminal")
def a_wait_that_does_not_fit(recorder: Recorder) -> CallTrace:
    polled(recorder, 2, nth=2, status=429, retry_after=60)
    return recorder.call("error", deadline_s=30)


@expect("survive-transient", verdict="warning", message="gave up with 'error' after a response of 429")
def a_wait_that_fits(recorder: Recorder) -> CallTrace:
    polled(recorder, 2, nth=2, status=429, retry_after=10)
    return recorder.call("error", deadline_s=30)


@expect("survive-transient", "bad-json-on-poll", *ALWAYS)
def all_sorts_of_trouble(recorder: Recorder) -> CallTrace:
    faults = [{"status": 503}, {"reset": True}, {"error": "rate_limited"}, HTML, {"status": 524, "html": True}]
    recorder.play(*({**POLLS, "nth": nth, **fault} for nth, fault in enumerate(faults, 1)))
    job = polled(recorder, 5)
    recorder.pass_time()
    recorder.poll(job)
    return recorder.call("completed")


@expect("bad-json-on-poll", verdict="info", message="gave up with 'error' after a response that is not JSON")
@expect("survive-transient", verdict="not exercised")
def a_page_of_html(recorder: Recorder) -> CallTrace:
    polled(recorder, 2, nth=2, **HTML)
    return recorder.call("error")


@expect("bad-json-on-poll")
def a_page_of_html_at_the_deadline(recorder: Recorder) -> CallTrace:
    polled(recorder, 5, nth=5, **HTML)
    return recorder.call("error", deadline_s=6)


@expect("bad-json-on-poll", verdict="info", message="gave up with 'failed'")
def half_an_answer(recorder: Recorder) -> CallTrace:
    polled(recorder, 1, malformed=True)
    return recorder.call("failed")


@expect("deadline", verdict="warning", message="had not given up 10 s after its deadline of 6.0 s")
@expect("poll-until-terminal", "no-false-success", verdict="not exercised")
def no_deadline(recorder: Recorder) -> CallTrace:
    polled(recorder, 5)
    return recorder.call(outcome(None, ended_by="10 s"), deadline_s=6.0)


@expect("deadline", verdict="warning", message=r"still sent a request after 10\.0 s; expected none after 6\.0 s")
def a_deadline_that_is_late(recorder: Recorder) -> CallTrace:
    polled(recorder, 10)
    return recorder.call("timeout", deadline_s=6.0)


@expect("deadline", verdict="not exercised")
def a_client_that_declares_no_deadline(recorder: Recorder) -> CallTrace:
    polled(recorder, 10)
    return recorder.call("timeout", deadline_s=6.0, features={})


@expect("deadline")
@expect("poll-until-terminal", verdict="violation", message="reported 'timeout', but the last status .* was 'queued'")
def given_up_at_once(recorder: Recorder) -> CallTrace:
    polled(recorder, 1)
    return recorder.call("timeout")


@expect("deadline", "poll-until-terminal")
def given_up_a_little_early(recorder: Recorder) -> CallTrace:
    polled(recorder, 5)
    return recorder.call("timeout", deadline_s=50)


@expect("poll-until-terminal", "survive-transient")
def given_up_as_the_wait_would_be_too_long(recorder: Recorder) -> CallTrace:
    polled(recorder, 1, status=429, retry_after=700)
    return recorder.call("timeout")


@expect("survive-transient", verdict="warning", message="gave up with 'timeout' after a response of 503")
def trouble_taken_for_a_timeout(recorder: Recorder) -> CallTrace:
    polled(recorder, 1, status=503)
    return recorder.call("timeout")


@expect("no-false-failure", verdict="violation", message="'failed', but the API never did; .* a response of 404$")
def a_poll_that_was_refused_taken_for_a_failure(recorder: Recorder) -> CallTrace:
    polled(recorder, 2, nth=2, status=404)
    return recorder.call("failed")


@expect("no-false-failure", verdict="violation", message="'failed', but the API never did; .* a broken connection$")
def a_lost_create_taken_for_a_failure(recorder: Recorder) -> CallTrace:
    recorder.play({"operation": "create", "reset": True, "applied": True})
    recorder.create()
    return recorder.call("failed")


@expect("no-false-failure", verdict="not exercised")
def a_create_that_was_refused_called_failed(recorder: Recorder) -> CallTrace:
    recorder.create(prompt="")
    return recorder.call("failed")


@expect("no-false-failure")
def a_refusal_in_a_poll_of_200_called_failed(recorder: Recorder) -> CallTrace:
    polled(recorder, 1, json={"code": "fail_to_fetch_task", "message": "upstream said no", "data": None})
    return recorder.call("failed")


@expect("no-false-failure", verdict="violation", message="but the API never did")
def a_poll_without_a_status_taken_for_a_failure(recorder: Recorder) -> CallTrace:
    polled(recorder, 1, json={"request_id": "b53c"})
    return recorder.call("failed")


@expect("no-false-failure", verdict="violation", message="but the API never did; it ended with a response of 504$")
@expect("report-completed", verdict="violation", message="'completed', but the client reported 'failed'")
def a_broken_download_taken_for_a_failure(recorder: Recorder) -> CallTrace:
    recorder.play({**CONTENT, "error": "gateway_timeout"})
    recorder.content(recorder.finished())
    return recorder.call("failed")


def flipped(recorder: Recorder) -> tuple[str, str]:
    """Follow a job whose model changes after the create; return both models."""
    recorder.play(style={"model": "flip"})
    recorder.finished()
    models = [exchange["response"]["body"]["model"] for exchange in recorder.trace]
    return models[0], models[-1]


@expect("result-model", verdict="warning", message="as the API last returned it")
@expect("result-status", verdict="warning", message="is 'queued', as in an older response; expected 'completed'")
def an_older_model_and_status(recorder: Recorder) -> CallTrace:
    older, _ = flipped(recorder)
    return recorder.call(outcome("completed", video={"model": older, "status": "queued"}))


@expect("result-model", "result-status")
def the_latest_model_and_a_word_of_its_own_for_the_end(recorder: Recorder) -> CallTrace:
    _, latest = flipped(recorder)
    return recorder.call(outcome("completed", video={"model": latest, "status": "COMPLETED"}))


@expect("result-model")
@expect("result-status", verdict="not exercised")
def an_older_model_at_the_deadline(recorder: Recorder) -> CallTrace:
    older, _ = flipped(recorder)
    return recorder.call(outcome("timeout", video={"model": older, "status": "queued"}))


@expect("error-envelopes", verdict="info", message="error was 'prompt is required', but the client reported 'E 400'")
def a_flat_error_dropped(recorder: Recorder) -> CallTrace:
    recorder.create(prompt="")
    return recorder.call(outcome("error", error=error("400")))


@expect("error-envelopes", verdict="info", message="the error was 'no available .*', but the client reported ''")
def a_nested_error_dropped(recorder: Recorder) -> CallTrace:
    recorder.create(model="veo9")
    return recorder.call("error")


@expect("error-envelopes")
def a_nested_error_without_the_id_of_the_request(recorder: Recorder) -> CallTrace:
    recorder.create(model="veo9")
    message = "no available channel for group default and model veo9 (distributor)"
    return recorder.call(outcome("error", error=error(message)))


@expect("error-envelopes")
def a_flat_error(recorder: Recorder) -> CallTrace:
    recorder.create(prompt="")
    return recorder.call(outcome("error", error="400: prompt is required"))


@expect("error-envelopes", verdict="not exercised")
def an_error_of_html(recorder: Recorder) -> CallTrace:
    recorder.play({"operation": "create", "status": 502, "html": True})
    recorder.create()
    return recorder.call("error")


@expect("error-envelopes", verdict="not exercised")
def a_redirect_that_is_refused_after_a_429(recorder: Recorder) -> CallTrace:
    recorder.play(
        {"operation": "create", "nth": 1, "error": "rate_limited"},
        {"operation": "create", "nth": 2, "redirect": {"status": 307}},
    )
    recorder.create()
    recorder.create()
    return recorder.call(outcome("error", error=error("an answer of 307")))


@expect("error-envelopes", verdict="not exercised")
def an_answer_that_is_lost_after_a_429(recorder: Recorder) -> CallTrace:
    recorder.play(
        {"operation": "create", "nth": 1, "error": "rate_limited"},
        {"operation": "create", "nth": 2, "reset": True},
    )
    recorder.create()
    recorder.create()
    return recorder.call(outcome("error", error=error("connection reset")))


def under_status(recorder: Recorder, status: str, report: str, *, times: int = 2) -> CallTrace:
    recorder.play(phases=[{"duration": 1, "progress": 0}, {"duration": 90, "status": status}])
    job = recorder.create()
    recorder.pass_time(5)
    recorder.poll(job, times)
    return recorder.call(report, deadline_s=6)


@expect("unknown-status", verdict="info", message="the client took the unknown status 'unknown' for 'failed'")
@expect("poll-until-terminal")
def an_unknown_status_taken_for_a_failure(recorder: Recorder) -> CallTrace:
    return under_status(recorder, "unknown", "failed")


@expect("unknown-status", verdict="info", message="the client took the unknown status 'NOT_START' for 'completed'")
@expect("no-false-success", verdict="violation", message="the last status it had received was 'NOT_START'")
def an_unknown_status_taken_for_a_success(recorder: Recorder) -> CallTrace:
    return under_status(recorder, "NOT_START", "completed")


@expect("unknown-status", "poll-until-terminal", "no-false-success")
def an_unknown_status_waited_for(recorder: Recorder) -> CallTrace:
    return under_status(recorder, "unknown", "timeout", times=5)


@expect("unknown-status", "report-completed", "no-false-success", "poll-until-terminal")
def an_unknown_status_on_the_way(recorder: Recorder) -> CallTrace:
    under_status(recorder, "unknown", "completed")
    recorder.pass_time()
    recorder.poll(recorder.trace[0]["job"])
    return recorder.call("completed")


@expect("unknown-status", "poll-until-terminal", "no-false-success")
def a_failure_in_another_dialect(recorder: Recorder) -> CallTrace:
    recorder.play(**FAILED, style={"statuses": {"failed": "FAILED"}})
    recorder.finished()
    return recorder.call("failed")


@expect("unknown-status", "no-false-success")
def a_job_that_was_cancelled(recorder: Recorder) -> CallTrace:
    return under_status(recorder, "cancelled", "failed")
