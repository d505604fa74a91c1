"""Rules about the sequence of a call: real traffic that keeps each, breaks it, or comes close."""

from __future__ import annotations

from email.utils import formatdate
from itertools import accumulate
from typing import Any

from traces import (
    HEAD,
    KEY,
    PROMPT,
    Recorder,
    RuleExamples,
)

from mockveo.rules.trace import CallTrace, split_calls

EXAMPLES = RuleExamples()
expect = EXAMPLES.expect
FORM: Any = {"prompt": (None, PROMPT)}
BUSY = {"operation": "create", "attempt": 1, "status": 503}
LOST = {"operation": "create", "attempt": 1, "reset": True, "applied": True}
POLLS: Any = {"operation": "retrieve"}
ALWAYS = ("create-once", "poll-own-id", "poll-interval", "content-after-completed", "stop-at-terminal")
TROUBLE = ("retry-after", "no-blind-retry", "no-retry-4xx", "backoff", "retry-bounded", "poll-4xx-stop")
REDIRECTS = ("redirect-method", "redirect-302-get", "redirect-bounded")


def redirected(recorder: Recorder, status: int, **fault: Any) -> str:
    """Send a create that is redirected; return the target."""
    recorder.play({"operation": "create", "attempt": 1, "redirect": {"status": status}, **fault})
    answer = recorder.send("POST", "/v1/videos", files=FORM)
    assert answer is not None
    return f"{recorder.server.url}{answer.headers['location']}"


def troubled(recorder: Recorder, count: int, **fault: Any) -> None:
    """Create a job and poll it until `count` failures are over."""
    recorder.play({**POLLS, "nth": [1, count], **(fault or {"status": 503})})
    recorder.poll(recorder.create(), count + 1)


@expect(*ALWAYS)
@expect(*TROUBLE, *REDIRECTS, verdict="not exercised")
def a_plain_life(recorder: Recorder) -> CallTrace:
    recorder.content(recorder.finished())
    return recorder.call("completed")


@expect(*ALWAYS, *TROUBLE, *REDIRECTS, verdict="not exercised")
def nothing(recorder: Recorder) -> CallTrace:
    return recorder.call("error")


@expect("create-once", verdict="violation", message=r"answered with the job task_\w{32}, and sent again")
@expect("no-blind-retry", verdict="not exercised")
def two_creates(recorder: Recorder) -> CallTrace:
    recorder.create()
    recorder.poll(recorder.create())
    return recorder.call()


@expect("create-once", verdict="violation", message="answered with the job task_1, and sent again")
@expect("no-blind-retry", verdict="not exercised")
def two_creates_that_were_accepted_with_a_task_id(recorder: Recorder) -> CallTrace:
    recorder.play({"operation": "create", "status": 202, "json": {"task_id": "task_1", "status": "NOT_START"}})
    recorder.create()
    recorder.create()
    return recorder.call()


@expect("create-once", "no-blind-retry", verdict="not exercised")
def a_create_that_failed_without_an_id_is_sent_again(recorder: Recorder) -> CallTrace:
    recorder.play({"operation": "create", "json": {"status": "failed", "error": {"message": "m"}}})
    recorder.create()
    recorder.create()
    return recorder.call("failed")


@expect("create-once", verdict="not exercised")
@expect("no-blind-retry", verdict="warning", message="2 creates for one call, after a response of 200")
def a_create_that_was_accepted_without_an_id_is_sent_again(recorder: Recorder) -> CallTrace:
    recorder.play({"operation": "create", "json": {"status": "queued"}})
    recorder.create()
    recorder.create()
    return recorder.call("error")


@expect("no-blind-retry", verdict="warning", message="2 creates for one call, after a response of 200 that cannot be")
def a_create_that_cannot_be_decoded_is_sent_again(recorder: Recorder) -> CallTrace:
    recorder.play({"operation": "create", "headers": {"content-encoding": "gzip"}})
    recorder.create()
    recorder.create()
    return recorder.call("error")


@expect("stop-at-terminal", verdict="info", message="the job was SUCCESS, and polled once more")
def a_success_in_another_dialect_is_polled_on(recorder: Recorder) -> CallTrace:
    recorder.play(style={"statuses": {"completed": "SUCCESS"}})
    recorder.poll(recorder.finished())
    return recorder.call("timeout")


@expect("create-once")
@expect("no-blind-retry", "no-retry-4xx", verdict="not exercised")
@expect("retry-after")
def a_create_that_was_busy_is_sent_again(recorder: Recorder) -> CallTrace:
    recorder.play({**BUSY, "error": "rate_limited", "status": 429, "retry_after": 2})
    recorder.create()
    recorder.poll(recorder.create())
    return recorder.call(times=[0, 2])


@expect("create-once")
@expect("no-blind-retry", verdict="warning", message="2 creates for one call, after a lost response: 1 job is paid for")
def a_lost_create_is_sent_again(recorder: Recorder) -> CallTrace:
    recorder.play({"operation": "create", "nth": 1, "reset": True, "applied": True}, LOST)
    recorder.create()
    recorder.create()
    return recorder.call("completed")


@expect(
    "no-blind-retry",
    verdict="warning",
    message="3 creates for one call, after a response of 504: the client could",
)
def a_create_that_timed_out_is_sent_again(recorder: Recorder) -> CallTrace:
    recorder.play({"operation": "create", "nth": [1, 2], "status": 504})
    for _ in range(3):
        recorder.create()
    return recorder.traffic()


@expect("no-blind-retry", verdict="warning", message="after an incomplete response of 200: 1 job is paid for in vain")
def a_create_that_broke_off_is_sent_again(recorder: Recorder) -> CallTrace:
    recorder.play({"operation": "create", "nth": 1, "truncate": 20})
    recorder.create()
    recorder.create()
    return recorder.call()


@expect("no-blind-retry")
@expect("create-once", "retry-after", "backoff", "poll-own-id", verdict="not exercised")
def a_lost_create_is_not_sent_again(recorder: Recorder) -> CallTrace:
    recorder.play(LOST)
    recorder.create()
    return recorder.call("error")


@expect("no-blind-retry", "create-once", "no-retry-4xx", verdict="not exercised")
def a_refusal_with_200_is_tried_again(recorder: Recorder) -> CallTrace:
    recorder.play({"operation": "create", "json": {"code": "fail_to_fetch_task", "message": "{}", "data": None}})
    recorder.create()
    recorder.create()
    return recorder.call("error")


@expect("no-blind-retry", verdict="warning", message="after a response of 200: the client could not know that")
def a_page_of_html_for_a_create_is_tried_again(recorder: Recorder) -> CallTrace:
    recorder.play({"operation": "create", "status": 200, "html": True})
    recorder.create()
    recorder.create()
    return recorder.call("error")


@expect("no-blind-retry", verdict="not exercised")
@expect("no-retry-4xx", verdict="warning", message="refused with 503 model_not_found, and repeated 2 times")
@expect("retry-after", "backoff", verdict="not exercised")
def a_model_that_no_channel_serves(recorder: Recorder) -> CallTrace:
    for _ in range(3):
        recorder.create(model="veo9")
    return recorder.call("error")


@expect("no-retry-4xx", verdict="warning", message="refused with 403, and repeated once")
def no_credit(recorder: Recorder) -> CallTrace:
    recorder.play({"operation": "create", "error": "insufficient_quota"})
    recorder.create(HEAD)
    recorder.create(HEAD)
    return recorder.traffic()


WAITS = {"operation": "create", "attempt": 1, "status": 403, "retry_after": 2}


@expect("no-retry-4xx", "create-once")
@expect("retry-after", "no-blind-retry", verdict="not exercised")
def a_refusal_that_is_waited_for(recorder: Recorder) -> CallTrace:
    recorder.play(WAITS)
    recorder.create()
    recorder.create()
    return recorder.call(times=[0, 2])


@expect("no-retry-4xx", verdict="warning", message="a create was refused with 403, and repeated once")
def a_refusal_that_is_not_waited_for(recorder: Recorder) -> CallTrace:
    recorder.play(WAITS)
    recorder.create()
    recorder.create()
    return recorder.call(times=[0, 1])


@expect("no-retry-4xx")
def a_refusal_that_is_tried_again_much_later(recorder: Recorder) -> CallTrace:
    recorder.play({"operation": "create", "attempt": 1, "status": 404})
    recorder.create()
    recorder.create()
    return recorder.call(times=[0, 300])


@expect("poll-4xx-stop")
def a_poll_that_is_waited_for(recorder: Recorder) -> CallTrace:
    recorder.play({**POLLS, "nth": 1, "status": 403, "retry_after": 2})
    recorder.poll(recorder.create(), 2)
    return recorder.call(times=[0, 1, 3])


def fetched(recorder: Recorder, times: int, **fault: Any) -> CallTrace:
    """Download a video several times, although each download is refused."""
    recorder.play({"operation": "content", **fault})
    job = recorder.finished()
    for _ in range(times):
        recorder.content(job)
    return recorder.traffic()


@expect("no-retry-4xx", verdict="not exercised")
def a_download_that_no_channel_serves(recorder: Recorder) -> CallTrace:
    return fetched(recorder, 2, error="model_not_found", nth=1)


@expect("no-retry-4xx", verdict="warning", message="a download was refused with 410, and repeated 2 times")
def a_video_that_is_gone(recorder: Recorder) -> CallTrace:
    return fetched(recorder, 3, status=410)


@expect("no-retry-4xx", verdict="warning", message="a download was refused with 404, and repeated 21 times")
def a_video_that_is_never_there(recorder: Recorder) -> CallTrace:
    return fetched(recorder, 22, error="task_not_found")


@expect("no-retry-4xx")
def a_video_that_is_not_there_yet(recorder: Recorder) -> CallTrace:
    return fetched(recorder, 21, error="task_not_found")


@expect("no-retry-4xx", verdict="warning", message="a poll was refused with 410, and repeated once")
@expect("poll-4xx-stop", verdict="not exercised")
def a_job_that_is_gone(recorder: Recorder) -> CallTrace:
    recorder.play({**POLLS, "status": 410})
    recorder.poll(recorder.create(), 2)
    return recorder.traffic()


@expect("no-retry-4xx", verdict="warning", message="a poll was refused with 400, and repeated 29 times")
def a_job_that_is_never_seen(recorder: Recorder) -> CallTrace:
    recorder.play({**POLLS, "error": "task_not_exist"})
    recorder.poll(recorder.create(), 30)
    return recorder.traffic()


@expect("no-retry-4xx")
def refused_and_left_alone(recorder: Recorder) -> CallTrace:
    recorder.create(prompt="")
    return recorder.call("error")


@expect("no-retry-4xx")
@expect("create-once")
def refused_and_mended(recorder: Recorder) -> CallTrace:
    recorder.create(prompt="")
    recorder.send("POST", "/v1/videos", files=FORM, headers={})
    recorder.create()
    return recorder.call()


@expect(
    "redirect-method",
    verdict="violation",
    message="create was redirected with 307 and repeated as GET; expected POST",
)
@expect("known-operation")
def a_307_that_becomes_a_get(recorder: Recorder) -> CallTrace:
    recorder.send("GET", redirected(recorder, 307))
    return recorder.call("error")


@expect("redirect-method", verdict="violation", message="create was redirected with 308 and repeated with another form")
def a_308_without_its_form(recorder: Recorder) -> CallTrace:
    recorder.send(
        "POST",
        redirected(recorder, 308),
        headers={**KEY, "Content-Type": "multipart/form-data; boundary=x"},
        content=b"--x--",
    )
    return recorder.call("error")


@expect("redirect-method")
@expect("redirect-302-get", "no-blind-retry", verdict="not exercised")
def a_307_as_it_was(recorder: Recorder) -> CallTrace:
    recorder.send("POST", redirected(recorder, 307), files=FORM)
    return recorder.call()


@expect("redirect-method")
def a_307_to_the_job_that_was_made(recorder: Recorder) -> CallTrace:
    recorder.send("POST", redirected(recorder, 307, applied=True), files=FORM)
    return recorder.call()


@expect("redirect-method", "redirect-302-get", verdict="not exercised")
def a_307_that_is_refused(recorder: Recorder) -> CallTrace:
    redirected(recorder, 307)
    return recorder.call("error")


def led(recorder: Recorder, count: int) -> CallTrace:
    """Follow redirects without end so many times."""
    recorder.play({**POLLS, "redirect": {"status": 302, "endless": True}})
    target = f"/v1/videos/{recorder.create()}"
    for _ in range(count + 1):
        answer = recorder.send("GET", target)
        assert answer is not None
        target = f"{recorder.server.url}{answer.headers['location']}"
    return recorder.traffic()


@expect(
    "redirect-bounded", verdict="warning", message=r"GET /v1/videos/\w+ was redirected 51 times in a row, and every"
)
def redirects_without_end(recorder: Recorder) -> CallTrace:
    return led(recorder, 51)


@expect("redirect-bounded")
def redirects_that_are_given_up(recorder: Recorder) -> CallTrace:
    return led(recorder, 50)


@expect("redirect-302-get", verdict="info", message="create was redirected with 302 and repeated as POST; expected GET")
@expect("redirect-method", verdict="not exercised")
def a_302_as_a_post(recorder: Recorder) -> CallTrace:
    recorder.send("POST", redirected(recorder, 302), files=FORM)
    return recorder.call()


@expect("redirect-302-get")
@expect("poll-own-id")
@expect("create-once", verdict="not exercised")
def a_303_as_a_get(recorder: Recorder) -> CallTrace:
    where = redirected(recorder, 303, applied=True)
    recorder.send("GET", where)
    return recorder.call("completed")


@expect(
    "poll-own-id",
    verdict="violation",
    message=r"GET /v1/videos/task_\w+ asks for an id that no create returned; expected task_",
)
def an_id_in_lower_case(recorder: Recorder) -> CallTrace:
    recorder.poll(recorder.create().lower())
    return recorder.call()


@expect("poll-own-id", verdict="violation", message=r"/content asks for an id .*; expected task_\w{32}$")
def an_id_cut_for_the_content(recorder: Recorder) -> CallTrace:
    recorder.play({"operation": "content", "status": 503})
    recorder.content(recorder.finished()[:-1])
    return recorder.call()


@expect("poll-own-id", verdict="violation", message="asks for an id although no create returned one")
def an_id_out_of_nowhere(recorder: Recorder) -> CallTrace:
    recorder.poll("task_x")
    return recorder.call()


@expect("poll-own-id", verdict="violation", message="that no job has; expected the id from a create's response")
@expect("create-once", "poll-interval", "stop-at-terminal", "retry-bounded", verdict="not exercised")
def an_id_out_of_nowhere_in_traffic(recorder: Recorder) -> CallTrace:
    recorder.poll("undefined")
    return recorder.traffic()


@expect("poll-own-id", verdict="violation", message="that no job has; expected the id from a create's response, unch")
def an_id_without_its_prefix_in_traffic(recorder: Recorder) -> CallTrace:
    recorder.content(recorder.create().removeprefix("task_"))
    (call,) = split_calls(recorder.trace)
    return call


def asked_for(recorder: Recorder, path: str) -> CallTrace:
    """Poll a job whose id is `a%2Bb?c#d` after its letters; `{}` stands for them in the path."""
    recorder.play(ids="{letters}%2Bb?c#d")
    recorder.poll(path.format(recorder.create()[:32]))
    return recorder.call()


@expect("id-encoded", "poll-own-id")
def an_id_that_is_encoded(recorder: Recorder) -> CallTrace:
    return asked_for(recorder, "{}%252Bb%3Fc%23d")


@expect("id-encoded", verdict="info", message=r"not encoded as it should be; expected \w{32}%252Bb%3Fc%23d$")
@expect("poll-own-id")
def an_id_that_is_not_encoded(recorder: Recorder) -> CallTrace:
    return asked_for(recorder, "{}%2Bb?c#d")


@expect("id-encoded", verdict="info", message="asks for an id that is not encoded as it should be")
def an_id_that_is_encoded_twice(recorder: Recorder) -> CallTrace:
    return asked_for(recorder, "{}%25252Bb%253Fc%2523d")


@expect("poll-own-id", verdict="violation", message="asks for an id that no create returned")
@expect("id-encoded")
def another_id_than_one_to_encode(recorder: Recorder) -> CallTrace:
    return asked_for(recorder, "{}")


@expect("id-encoded", verdict="not exercised")
@expect("poll-own-id")
def an_id_that_was_forgotten(recorder: Recorder) -> CallTrace:
    recorder.create()
    recorder.poll("task_pa9CKKtYlTdxO7IIHOKKhXfjxEu4EQoR")
    return recorder.traffic()


@expect("poll-own-id", "poll-4xx-stop", "no-retry-4xx", verdict="pass")
def a_job_that_cannot_be_seen_yet(recorder: Recorder) -> CallTrace:
    recorder.play({**POLLS, "nth": [1, 2], "error": "task_not_exist"}, {**POLLS, "nth": 9, "status": 404})
    recorder.create(prompt="")
    recorder.poll(recorder.create(), 9)
    return recorder.call()


@expect("poll-own-id")
@expect("content-after-completed", verdict="not exercised")
def a_job_made_before_the_journal_began(recorder: Recorder) -> CallTrace:
    job = recorder.finished()
    recorder.content(job)
    return CallTrace(recorder.traffic().exchanges[3:])


@expect(
    "content-after-completed",
    verdict="violation",
    message="/content was sent before a response showed that the job",
)
def content_at_once(recorder: Recorder) -> CallTrace:
    job = recorder.create()
    recorder.poll(job)
    recorder.content(job)
    return recorder.traffic()


@expect("content-after-completed", verdict="violation", message="was sent before a response showed")
def content_of_another_job(recorder: Recorder) -> CallTrace:
    recorder.finished()
    job = recorder.create(prompt="another")
    recorder.content(job)
    return recorder.call()


@expect("content-after-completed", verdict="violation", message="was sent before a response showed")
def content_after_a_page_of_html(recorder: Recorder) -> CallTrace:
    recorder.play({**POLLS, "status": 200, "html": True})
    recorder.content(recorder.finished())
    return recorder.call()


@expect("content-after-completed", "poll-own-id")
def content_of_an_instant_job(recorder: Recorder) -> CallTrace:
    recorder.play(phases=[], style={"statuses": {"completed": "SUCCESS"}})
    recorder.content(recorder.create())
    return recorder.traffic()


@expect("poll-4xx-stop", verdict="warning", message="a poll was refused with 401, and repeated 2 times")
def polls_that_are_refused(recorder: Recorder) -> CallTrace:
    recorder.play({**POLLS, "error": "invalid_token"})
    recorder.poll(recorder.create(), 3)
    return recorder.traffic()


@expect("poll-4xx-stop")
@expect("poll-interval", verdict="not exercised")
def a_poll_that_is_refused(recorder: Recorder) -> CallTrace:
    recorder.play({**POLLS, "status": 404})
    recorder.poll(recorder.create())
    return recorder.call("error")


@expect("poll-4xx-stop", "retry-after", verdict="not exercised")
def a_poll_whose_refusal_breaks_off(recorder: Recorder) -> CallTrace:
    recorder.play({**POLLS, "nth": 1, "status": 403, "retry_after": 60, "truncate": 20})
    recorder.poll(recorder.create(), 2)
    return recorder.call()


@expect("no-retry-4xx", verdict="not exercised")
def a_create_whose_refusal_breaks_off(recorder: Recorder) -> CallTrace:
    recorder.play({"operation": "create", "attempt": 1, "status": 403, "truncate": 20})
    recorder.create()
    recorder.create()
    return recorder.call()


@expect("poll-4xx-stop")
def a_poll_with_another_key(recorder: Recorder) -> CallTrace:
    job = recorder.create()
    recorder.poll(job, headers={})
    recorder.poll(job)
    return recorder.call()


@expect("stop-at-terminal", verdict="warning", message="the job was completed, and polled 2 times more")
def polled_after_the_end(recorder: Recorder) -> CallTrace:
    recorder.poll(recorder.finished(), 2)
    return recorder.call("completed")


@expect("stop-at-terminal", verdict="warning", message="the job was failed, and polled once more")
def polled_after_a_failure(recorder: Recorder) -> CallTrace:
    recorder.play(ending="failure")
    recorder.poll(recorder.finished())
    return recorder.call("failed")


@expect("stop-at-terminal", verdict="warning", message="polled once more")
def polled_after_the_end_whatever_was_fetched_before(recorder: Recorder) -> CallTrace:
    job = recorder.create()
    recorder.content(job)
    recorder.pass_time()
    recorder.poll(job, 2)
    return recorder.call("completed")


@expect("stop-at-terminal")
@expect("poll-interval", verdict="not exercised")
def a_fresh_url(recorder: Recorder) -> CallTrace:
    recorder.play(video_url={"expires": 0})
    job = recorder.create()
    recorder.pass_time()
    recorder.send("GET", recorder.poll(job)["video_url"], headers={})
    recorder.send("GET", recorder.poll(job)["video_url"], headers={})
    return recorder.call("completed", times=[0, 1, 2, 2.001, 2.002])


@expect("stop-at-terminal")
def one_poll_of_an_instant_job(recorder: Recorder) -> CallTrace:
    recorder.play(phases=[])
    recorder.poll(recorder.create())
    return recorder.call("completed")


@expect("stop-at-terminal", verdict="warning", message="polled once more")
def two_polls_of_an_instant_job(recorder: Recorder) -> CallTrace:
    recorder.play(phases=[])
    recorder.poll(recorder.create(), 2)
    return recorder.call("completed")


@expect("stop-at-terminal", "poll-interval")
def a_page_of_html_at_the_end(recorder: Recorder) -> CallTrace:
    recorder.play({**POLLS, "nth": 2, "status": 200, "html": True})
    recorder.poll(recorder.finished())
    return recorder.call("completed", times=[0, 1, 2, 2.1])


@expect(
    "retry-after",
    verdict="warning",
    message=r"POST /v1/videos was answered 503 with Retry-After: 2, and .* after 1\.90 s",
)
def too_early(recorder: Recorder) -> CallTrace:
    recorder.play({**BUSY, "retry_after": 2})
    recorder.create()
    recorder.create()
    return recorder.call(times=[0, 1.9])


@expect("retry-after", verdict="warning", message=r"repeated after 1\.00 s")
def too_early_by_a_fast_clock(recorder: Recorder) -> CallTrace:
    troubled(recorder, 1, status=503, retry_after=2)
    return recorder.call(times=[0, 1, 11], pace=10)


@expect("retry-after")
def in_time(recorder: Recorder) -> CallTrace:
    troubled(recorder, 1, status=503, retry_after=2)
    return recorder.call(times=[0, 1, 2.99])


@expect("retry-after", verdict="not exercised")
def given_up_rather_than_waiting(recorder: Recorder) -> CallTrace:
    recorder.play({**BUSY, "retry_after": 9999})
    recorder.create()
    return recorder.call("timeout")


def dated(recorder: Recorder, seconds: float, waited: float) -> CallTrace:
    """Repeat a poll that was answered with a date, after a while; dates are cut to whole seconds."""
    troubled(recorder, 1, status=429, retry_after={"date": 4})
    headers = dict(recorder.trace[1]["response"]["headers"])
    assert headers["retry-after"] == formatdate(recorder.world.clock.date() + 4, usegmt=True)
    assert headers["date"] == formatdate(recorder.world.clock.date(), usegmt=True)
    return recorder.call(times=[0, seconds, seconds + waited])


@expect("retry-after")
def a_date_to_the_second(recorder: Recorder) -> CallTrace:
    return dated(recorder, 1.9, 3.1)


@expect("retry-after", verdict="warning", message=r"with Retry-After: \w{3}, .* GMT \(at least \d s\), and .* 2\.50 s")
def a_date_ignored(recorder: Recorder) -> CallTrace:
    return dated(recorder, 1.0, 2.5)


@expect("retry-after", verdict="not exercised")
@expect("backoff")
@expect("retry-bounded")
def a_retry_after_that_cannot_be_read(recorder: Recorder) -> CallTrace:
    values = ["soon", "Thu, 12 Mar 2026 06:33:49 -0000", "-", "Thu, 12 Mar 99999 06:33:49 GMT"]
    recorder.play(*({**POLLS, "nth": n, "status": 503, "headers": {"Retry-After": v}} for n, v in enumerate(values, 1)))
    recorder.poll(recorder.create(), 5)
    return recorder.call(times=list(accumulate([0, 1, 1, 2, 3])))


@expect("backoff", verdict="warning", message=r"failed 4 times in a row with pauses of 1\.00, 1\.00, 1\.00, 1\.00 s")
@expect("retry-bounded")
@expect("poll-interval", verdict="not exercised")
def trouble_at_a_steady_pace(recorder: Recorder) -> CallTrace:
    troubled(recorder, 4)
    return recorder.call()


@expect("backoff", verdict="warning", message=r"with pauses of 0\.00, 0\.00, 0\.00 s; expected growing pauses")
def trouble_without_a_pause(recorder: Recorder) -> CallTrace:
    troubled(recorder, 3, reset=True)
    return recorder.call(times=[0, 1, 1.001, 1.003, 1.007])


@expect("backoff", verdict="warning", message=r"with pauses of 5\.00, 1\.00, 1\.00 s")
def trouble_with_pauses_that_shrink(recorder: Recorder) -> CallTrace:
    troubled(recorder, 3)
    return recorder.traffic(times=[0, 1, 6, 7, 8])


@expect("backoff", verdict="warning", message=r"with pauses of 4\.00, 2\.00, 1\.00, 0\.50, 0\.25 s")
def trouble_with_pauses_that_halve(recorder: Recorder) -> CallTrace:
    troubled(recorder, 5)
    return recorder.traffic(times=list(accumulate([0, 1, 4, 2, 1, 0.5, 0.25])))


@expect("backoff")
def trouble_with_pauses_that_grow_to_an_end(recorder: Recorder) -> CallTrace:
    troubled(recorder, 5)
    return recorder.call(times=list(accumulate([0, 1, 1.1, 2, 4, 3.9, 4])))


@expect("backoff", "retry-bounded", verdict="not exercised")
def trouble_here_and_there(recorder: Recorder) -> CallTrace:
    recorder.play({**POLLS, "every": 2, "status": 503})
    recorder.poll(recorder.create(), 8)
    return recorder.call()


@expect("backoff", verdict="not exercised")
@expect("retry-after")
def a_retry_after_that_is_kept(recorder: Recorder) -> CallTrace:
    troubled(recorder, 4, status=503, retry_after=1)
    return recorder.call()


@expect("retry-bounded", verdict="warning", message="failed 101 times in a row, and was still retried")
def for_ever(recorder: Recorder) -> CallTrace:
    troubled(recorder, 101)
    return recorder.call()


@expect("retry-bounded")
def as_good_as_for_ever(recorder: Recorder) -> CallTrace:
    troubled(recorder, 100)
    return recorder.call()


@expect("poll-interval", verdict="warning", message=r"2 of 3 pauses .* shorter than 0\.5 s, the shortest 0\.100 s")
def polls_too_close(recorder: Recorder) -> CallTrace:
    recorder.poll(recorder.create(), 4)
    return recorder.call(times=[0, 1, 1.1, 1.7, 1.9])


@expect("poll-interval", verdict="warning", message=r"shorter than 0\.02 s, the shortest 0\.010 s")
def polls_without_a_pause(recorder: Recorder) -> CallTrace:
    recorder.poll(recorder.create(), 3)
    return recorder.call(times=[0, 1, 1.01, 1.02], features={})


@expect("poll-interval")
def polls_with_jitter_that_grow(recorder: Recorder) -> CallTrace:
    recorder.poll(recorder.create(), 5)
    return recorder.call(times=list(accumulate([0, 0.01, 0.46, 0.55, 0.8, 3])))


@expect("poll-interval")
def polls_of_a_client_with_a_pace_of_its_own(recorder: Recorder) -> CallTrace:
    recorder.poll(recorder.create(), 3)
    return recorder.call(times=[0, 1, 1.1, 1.2], features={"poll_interval": False})


@expect("poll-interval")
def a_poll_tried_again_soon(recorder: Recorder) -> CallTrace:
    recorder.play({**POLLS, "nth": 2, "status": 503}, {**POLLS, "nth": 4, "error": "task_not_exist"})
    recorder.poll(recorder.create(), 6)
    return recorder.call(times=[0, 1, 2, 2.1, 3, 3.1, 4])


def downloaded(recorder: Recorder, times: int, **fault: Any) -> CallTrace:
    """Record downloads of a job that has completed, each with this fault."""
    recorder.play({"operation": "content", **fault})
    job = recorder.finished()
    for _ in range(times):
        recorder.content(job)
    return recorder.call("completed")


@expect("retry-bounded", verdict="warning", message="/content was answered 101 times, and was sent again$")
def a_page_for_a_video_is_fetched_for_ever(recorder: Recorder) -> CallTrace:
    return downloaded(recorder, 101, status=200, html=True)


@expect("retry-bounded")
def a_video_is_fetched_in_many_ranges(recorder: Recorder) -> CallTrace:
    job = recorder.finished()
    for _ in range(4):
        recorder.content(job)
    for _ in range(101):
        recorder.content(job, headers={**KEY, "Range": "bytes=0-9"})
    return recorder.call("completed")


def seen_again(recorder: Recorder, polls: int, pause: float) -> CallTrace:
    recorder.poll(recorder.finished(), polls)
    return recorder.traffic(times=[0, 1, 2, *(2 + pause * number for number in range(1, polls + 1))])


@expect("stop-at-terminal", verdict="warning", message="^the job was completed, and polled 3 times more$")
def traffic_that_polls_on_after_the_end(recorder: Recorder) -> CallTrace:
    return seen_again(recorder, 3, 10)


@expect("stop-at-terminal")
def traffic_that_looks_at_a_job_again(recorder: Recorder) -> CallTrace:
    return seen_again(recorder, 2, 1)


@expect("stop-at-terminal")
def traffic_that_looks_at_a_job_now_and_then(recorder: Recorder) -> CallTrace:
    return seen_again(recorder, 5, 60)


@expect("create-once", verdict="warning", message="was left after a response of 400 to GET .*/content, and the create")
def traffic_with_a_create_after_a_broken_download(recorder: Recorder) -> CallTrace:
    recorder.play({"operation": "content", "error": "content_unavailable", "status": 400})
    recorder.content(recorder.finished())
    recorder.create()
    return recorder.traffic()


@expect(
    "create-once", verdict="warning", message="was left after a download that brought no video, by GET .*/content, and"
)
def traffic_with_a_create_after_a_page_instead_of_a_video(recorder: Recorder) -> CallTrace:
    recorder.play({"operation": "content", "status": 200, "html": True})
    job = recorder.finished()
    recorder.content(job)
    recorder.poll(job)
    recorder.create()
    return recorder.traffic()


@expect("create-once")
def traffic_with_a_create_after_a_thumbnail_and_a_part(recorder: Recorder) -> CallTrace:
    job = recorder.finished()
    recorder.content(job, "?variant=thumbnail")
    recorder.content(job, headers={**KEY, "Range": "bytes=0-99"})
    recorder.create()
    return recorder.traffic()


@expect("create-once")
def traffic_with_a_create_after_a_download_that_worked_at_last(recorder: Recorder) -> CallTrace:
    recorder.play({"operation": "content", "nth": 1, "status": 502})
    job = recorder.finished()
    recorder.content(job)
    recorder.content(job)
    recorder.create()
    return recorder.traffic()


@expect("create-once", verdict="warning", message="was left after a lost response to GET .*, and the create sent again")
def traffic_with_a_create_after_a_poll_that_timed_out(recorder: Recorder) -> CallTrace:
    recorder.play({**POLLS, "nth": 1, "delay": 5})
    job = recorder.create()
    recorder.poll(job, timeout=0.05)
    recorder.server.settle()
    recorder.create()
    return recorder.traffic()


def given_up(recorder: Recorder, last_poll_s: int) -> CallTrace:
    """Poll a job twice, 10 seconds apart, then make another and poll that until a time."""
    recorder.play(ending="never")
    recorder.poll(recorder.create(), 2)
    recorder.poll(recorder.create(), 2)
    return recorder.traffic(times=[0, 10, 20, 21, 31, last_poll_s])


@expect(
    "create-once", verdict="warning", message="was left after 2 polls while it was queued, and the create sent again"
)
def traffic_with_a_create_when_the_client_gave_up_polling(recorder: Recorder) -> CallTrace:
    return given_up(recorder, 80)


@expect("create-once")
def traffic_with_a_create_before_a_client_can_have_given_up(recorder: Recorder) -> CallTrace:
    return given_up(recorder, 79)


@expect("create-once")
def traffic_with_another_video_of_the_same_prompt(recorder: Recorder) -> CallTrace:
    recorder.content(recorder.finished())
    recorder.create()
    return recorder.traffic()


@expect("create-once")
def traffic_with_two_videos_at_once(recorder: Recorder) -> CallTrace:
    recorder.play({**POLLS, "nth": 1, "status": 503})
    first = recorder.create()
    recorder.poll(first)
    recorder.create()
    recorder.poll(first)
    return recorder.traffic()
