"""The rules about the course of a call, each told by real traffic: what keeps it, what breaks it, what looks close."""

from __future__ import annotations

from email.utils import formatdate
from itertools import accumulate
from typing import Any

import pytest
from traces import FIRST, HEAD, KEY, PROMPT, TAIL, Stage, Tales, Told, check, http, image, judged, stage

from mockveo.rules.client_rules import judge_traffic
from mockveo.rules.trace import CallTrace, split_calls

__all__ = ["http", "stage"]  # fixtures

TALES = Tales()
told = TALES.told
FORM: Any = {"prompt": (None, PROMPT)}
BUSY = {"operation": "create", "attempt": 1, "status": 503}
LOST = {"operation": "create", "attempt": 1, "reset": True, "applied": True}
POLLS: Any = {"operation": "retrieve"}
ALWAYS = ("create-once", "poll-own-id", "poll-interval", "content-after-completed", "stop-at-terminal")
TROUBLE = ("retry-after", "no-blind-retry", "no-retry-4xx", "backoff", "retry-bounded", "poll-4xx-stop")
REDIRECTS = ("redirect-method", "redirect-302-get")


def redirected(stage: Stage, status: int, **fault: Any) -> str:
    """A create that is redirected; where to."""
    stage.play({"operation": "create", "attempt": 1, "redirect": {"status": status}, **fault})
    answer = stage.send("POST", "/v1/videos", files=FORM)
    assert answer is not None
    return f"{stage.server.url}{answer.headers['location']}"


def troubled(stage: Stage, count: int, **fault: Any) -> None:
    """A job, and polls that meet trouble so many times before they go on."""
    stage.play({**POLLS, "nth": [1, count], **(fault or {"status": 503})})
    stage.poll(stage.create(), count + 1)


@told(*ALWAYS)
@told(*TROUBLE, *REDIRECTS, verdict="not exercised")
def a_plain_life(stage: Stage) -> CallTrace:
    stage.content(stage.finished())
    return stage.story("completed")


@told(*ALWAYS, *TROUBLE, *REDIRECTS, verdict="not exercised")
def nothing(stage: Stage) -> CallTrace:
    return stage.story("error")


@told("create-once", verdict="violation", message=r"answered with the job task_\w{32}, and sent again")
@told("no-blind-retry", verdict="not exercised")
def two_creates(stage: Stage) -> CallTrace:
    stage.create()
    stage.poll(stage.create())
    return stage.story()


@told("create-once")
@told("no-blind-retry", "no-retry-4xx", verdict="not exercised")
@told("retry-after")
def a_create_that_was_busy_is_sent_again(stage: Stage) -> CallTrace:
    stage.play({**BUSY, "error": "rate_limited", "status": 429, "retry_after": 2})
    stage.create()
    stage.poll(stage.create())
    return stage.story(times=[0, 2])


@told("create-once")
@told(
    "no-blind-retry", verdict="warning", message="2 creates for one call, after an answer that was lost: 1 is paid for"
)
def a_lost_create_is_sent_again(stage: Stage) -> CallTrace:
    stage.play({"operation": "create", "nth": 1, "reset": True, "applied": True}, LOST)
    stage.create()
    stage.create()
    return stage.story("completed")


@told("no-blind-retry", verdict="warning", message="3 creates for one call, after an answer of 504: nobody could know")
def a_create_that_timed_out_is_sent_again(stage: Stage) -> CallTrace:
    stage.play({"operation": "create", "nth": [1, 2], "status": 504})
    for _ in range(3):
        stage.create()
    return stage.traffic()


@told("no-blind-retry", verdict="warning", message="after an answer of 200 that broke off: 1 is paid for nothing")
def a_create_that_broke_off_is_sent_again(stage: Stage) -> CallTrace:
    stage.play({"operation": "create", "nth": 1, "truncate": 20})
    stage.create()
    stage.create()
    return stage.story()


@told("no-blind-retry")
@told("create-once", "retry-after", "backoff", "poll-own-id", verdict="not exercised")
def a_lost_create_is_not_sent_again(stage: Stage) -> CallTrace:
    stage.play(LOST)
    stage.create()
    return stage.story("error")


@told("no-blind-retry", "create-once", "no-retry-4xx", verdict="not exercised")
def a_refusal_with_200_is_tried_again(stage: Stage) -> CallTrace:
    stage.play({"operation": "create", "json": {"code": "fail_to_fetch_task", "message": "{}", "data": None}})
    stage.create()
    stage.create()
    return stage.story("error")


@told("no-blind-retry", verdict="warning", message="after an answer of 200: nobody could know that")
def a_page_of_html_for_a_create_is_tried_again(stage: Stage) -> CallTrace:
    stage.play({"operation": "create", "status": 200, "html": True})
    stage.create()
    stage.create()
    return stage.story("error")


@told("no-blind-retry", verdict="not exercised")
@told("no-retry-4xx", verdict="warning", message="refused with 503 model_not_found, and sent 2 times more")
@told("retry-after", "backoff", verdict="not exercised")
def a_model_that_no_channel_serves(stage: Stage) -> CallTrace:
    for _ in range(3):
        stage.create(model="veo9")
    return stage.story("error")


@told("no-retry-4xx", verdict="warning", message="refused with 403, and sent once more")
def no_credit(stage: Stage) -> CallTrace:
    stage.play({"operation": "create", "error": "insufficient_quota"})
    stage.create(HEAD)
    stage.create(HEAD)
    return stage.traffic()


@told("no-retry-4xx")
def refused_and_left_alone(stage: Stage) -> CallTrace:
    stage.create(prompt="")
    return stage.story("error")


@told("no-retry-4xx")
@told("create-once")
def refused_and_mended(stage: Stage) -> CallTrace:
    stage.create(prompt="")
    stage.send("POST", "/v1/videos", files=FORM, headers={})
    stage.create()
    return stage.story()


@told("redirect-method", verdict="violation", message="the create was redirected with 307 and sent on as GET")
@told("known-operation")
def a_307_that_becomes_a_get(stage: Stage) -> CallTrace:
    stage.send("GET", redirected(stage, 307))
    return stage.story("error")


@told(
    "redirect-method", verdict="violation", message="the create was redirected with 308 and sent on with another form"
)
def a_308_without_its_form(stage: Stage) -> CallTrace:
    stage.send(
        "POST",
        redirected(stage, 308),
        headers={**KEY, "Content-Type": "multipart/form-data; boundary=x"},
        content=b"--x--",
    )
    return stage.story("error")


@told("redirect-method")
@told("redirect-302-get", "no-blind-retry", verdict="not exercised")
def a_307_as_it_was(stage: Stage) -> CallTrace:
    stage.send("POST", redirected(stage, 307), files=FORM)
    return stage.story()


@told("redirect-method")
def a_307_to_the_job_that_was_made(stage: Stage) -> CallTrace:
    stage.send("POST", redirected(stage, 307, applied=True), files=FORM)
    return stage.story()


@told("redirect-method", "redirect-302-get", verdict="not exercised")
def a_307_that_is_refused(stage: Stage) -> CallTrace:
    redirected(stage, 307)
    return stage.story("error")


@told("redirect-302-get", verdict="info", message="the create was redirected with 302 and sent again as POST")
@told("redirect-method", verdict="not exercised")
def a_302_as_a_post(stage: Stage) -> CallTrace:
    stage.send("POST", redirected(stage, 302), files=FORM)
    return stage.story()


@told("redirect-302-get")
@told("poll-own-id")
@told("create-once", verdict="not exercised")
def a_303_as_a_get(stage: Stage) -> CallTrace:
    where = redirected(stage, 303, applied=True)
    stage.send("GET", where)
    return stage.story("completed")


@told(
    "poll-own-id",
    verdict="violation",
    message=r"GET /v1/videos/task_\w+ asks for an id that no create .*, wanted task_",
)
def an_id_in_lower_case(stage: Stage) -> CallTrace:
    stage.poll(stage.create().lower())
    return stage.story()


@told("poll-own-id", verdict="violation", message=r"/content asks for an id .*, wanted task_\w{32}$")
def an_id_cut_for_the_content(stage: Stage) -> CallTrace:
    stage.play({"operation": "content", "status": 503})
    stage.content(stage.finished()[:-1])
    return stage.story()


@told("poll-own-id", verdict="violation", message="and no create had been answered with one")
def an_id_out_of_nowhere(stage: Stage) -> CallTrace:
    stage.poll("task_x")
    return stage.story()


@told("poll-own-id", verdict="violation", message="that is no job's, wanted the one that a create was answered with")
@told("create-once", "poll-interval", "stop-at-terminal", "retry-bounded", verdict="not exercised")
def an_id_out_of_nowhere_in_traffic(stage: Stage) -> CallTrace:
    stage.poll("undefined")
    return stage.traffic()


@told("poll-own-id", "poll-4xx-stop", "no-retry-4xx", verdict="pass")
def a_job_that_cannot_be_seen_yet(stage: Stage) -> CallTrace:
    stage.play({**POLLS, "nth": [1, 2], "error": "task_not_exist"}, {**POLLS, "nth": 9, "status": 404})
    stage.create(prompt="")
    stage.poll(stage.create(), 9)
    return stage.story()


@told("poll-own-id")
@told("content-after-completed", verdict="not exercised")
def a_job_made_before_the_journal_began(stage: Stage) -> CallTrace:
    job = stage.finished()
    stage.content(job)
    return CallTrace(stage.traffic().exchanges[3:])


@told(
    "content-after-completed", verdict="violation", message="/content came before any answer had told that the job comp"
)
def content_at_once(stage: Stage) -> CallTrace:
    job = stage.create()
    stage.poll(job)
    stage.content(job)
    return stage.traffic()


@told("content-after-completed", verdict="violation", message="came before any answer")
def content_of_another_job(stage: Stage) -> CallTrace:
    stage.finished()
    job = stage.create(prompt="another")
    stage.content(job)
    return stage.story()


@told("content-after-completed", verdict="violation", message="came before any answer")
def content_after_a_page_of_html(stage: Stage) -> CallTrace:
    stage.play({**POLLS, "status": 200, "html": True})
    stage.content(stage.finished())
    return stage.story()


@told("content-after-completed", "poll-own-id")
def content_of_an_instant_job(stage: Stage) -> CallTrace:
    stage.play(phases=[], style={"statuses": {"completed": "SUCCESS"}})
    stage.content(stage.create())
    return stage.traffic()


@told("poll-4xx-stop", verdict="warning", message="a poll was refused with 401, and sent 2 times more")
def polls_that_are_refused(stage: Stage) -> CallTrace:
    stage.play({**POLLS, "error": "invalid_token"})
    stage.poll(stage.create(), 3)
    return stage.traffic()


@told("poll-4xx-stop")
@told("poll-interval", verdict="not exercised")
def a_poll_that_is_refused(stage: Stage) -> CallTrace:
    stage.play({**POLLS, "status": 404})
    stage.poll(stage.create())
    return stage.story("error")


@told("poll-4xx-stop", "retry-after", verdict="not exercised")
def a_poll_whose_refusal_breaks_off(stage: Stage) -> CallTrace:
    stage.play({**POLLS, "nth": 1, "status": 403, "retry_after": 60, "truncate": 20})
    stage.poll(stage.create(), 2)
    return stage.story()


@told("no-retry-4xx", verdict="not exercised")
def a_create_whose_refusal_breaks_off(stage: Stage) -> CallTrace:
    stage.play({"operation": "create", "attempt": 1, "status": 403, "truncate": 20})
    stage.create()
    stage.create()
    return stage.story()


@told("poll-4xx-stop")
def a_poll_with_another_key(stage: Stage) -> CallTrace:
    job = stage.create()
    stage.poll(job, headers={})
    stage.poll(job)
    return stage.story()


@told("stop-at-terminal", verdict="warning", message="the job was completed, and polled 2 times more")
def polled_after_the_end(stage: Stage) -> CallTrace:
    stage.poll(stage.finished(), 2)
    return stage.story("completed")


@told("stop-at-terminal", verdict="warning", message="the job was failed, and polled once more")
def polled_after_a_failure(stage: Stage) -> CallTrace:
    stage.play(ending="failure")
    stage.poll(stage.finished())
    return stage.story("failed")


@told("stop-at-terminal", verdict="warning", message="polled once more")
def polled_after_the_end_whatever_was_fetched_before(stage: Stage) -> CallTrace:
    job = stage.create()
    stage.content(job)
    stage.pass_time()
    stage.poll(job, 2)
    return stage.story("completed")


@told("stop-at-terminal")
@told("poll-interval", verdict="not exercised")
def a_fresh_url(stage: Stage) -> CallTrace:
    stage.play(video_url={"expires": 0})
    job = stage.create()
    stage.pass_time()
    stage.send("GET", stage.poll(job)["video_url"], headers={})
    stage.send("GET", stage.poll(job)["video_url"], headers={})
    return stage.story("completed", times=[0, 1, 2, 2.001, 2.002])


@told("stop-at-terminal")
def one_poll_of_an_instant_job(stage: Stage) -> CallTrace:
    stage.play(phases=[])
    stage.poll(stage.create())
    return stage.story("completed")


@told("stop-at-terminal", verdict="warning", message="polled once more")
def two_polls_of_an_instant_job(stage: Stage) -> CallTrace:
    stage.play(phases=[])
    stage.poll(stage.create(), 2)
    return stage.story("completed")


@told("stop-at-terminal", "poll-interval")
def a_page_of_html_at_the_end(stage: Stage) -> CallTrace:
    stage.play({**POLLS, "nth": 2, "status": 200, "html": True})
    stage.poll(stage.finished())
    return stage.story("completed", times=[0, 1, 2, 2.1])


@told(
    "retry-after",
    verdict="warning",
    message=r"POST /v1/videos was answered 503 with Retry-After: 2, and .* after 1\.90 s",
)
def too_early(stage: Stage) -> CallTrace:
    stage.play({**BUSY, "retry_after": 2})
    stage.create()
    stage.create()
    return stage.story(times=[0, 1.9])


@told("retry-after", verdict="warning", message=r"sent again after 1\.00 s")
def too_early_by_a_fast_clock(stage: Stage) -> CallTrace:
    troubled(stage, 1, status=503, retry_after=2)
    return stage.story(times=[0, 1, 11], pace=10)


@told("retry-after")
def in_time(stage: Stage) -> CallTrace:
    troubled(stage, 1, status=503, retry_after=2)
    return stage.story(times=[0, 1, 2.99])


@told("retry-after", verdict="not exercised")
def given_up_rather_than_waiting(stage: Stage) -> CallTrace:
    stage.play({**BUSY, "retry_after": 9999})
    stage.create()
    return stage.story("timeout")


def dated(stage: Stage, seconds: float, waited: float) -> CallTrace:
    """A poll that was answered with a date, and sent again after a while; dates are cut to whole seconds."""
    troubled(stage, 1, status=429, retry_after={"date": 4})
    told = [dict(one["response"]["headers"]) for one in stage.trace]
    assert told[1]["retry-after"] == formatdate(stage.world.clock.date() + 4, usegmt=True)
    assert told[1]["date"] == formatdate(stage.world.clock.date(), usegmt=True)
    return stage.story(times=[0, seconds, seconds + waited])


@told("retry-after")
def a_date_to_the_second(stage: Stage) -> CallTrace:
    return dated(stage, 1.9, 3.1)


@told("retry-after", verdict="warning", message=r"with Retry-After: \w{3}, .* GMT, and sent again after 2\.50 s")
def a_date_ignored(stage: Stage) -> CallTrace:
    return dated(stage, 1.0, 2.5)


@told("retry-after", verdict="not exercised")
@told("backoff")
@told("retry-bounded")
def a_retry_after_that_cannot_be_read(stage: Stage) -> CallTrace:
    values = ["soon", "Thu, 12 Mar 2026 06:33:49 -0000", "-", "Thu, 12 Mar 99999 06:33:49 GMT"]
    stage.play(*({**POLLS, "nth": n, "status": 503, "headers": {"Retry-After": v}} for n, v in enumerate(values, 1)))
    stage.poll(stage.create(), 5)
    return stage.story(times=list(accumulate([0, 1, 1, 2, 3])))


@told("backoff", verdict="warning", message=r"met trouble 4 times in a row with pauses of 1\.00, 1\.00, 1\.00, 1\.00 s")
@told("retry-bounded")
@told("poll-interval", verdict="not exercised")
def trouble_at_a_steady_pace(stage: Stage) -> CallTrace:
    troubled(stage, 4)
    return stage.story()


@told("backoff", verdict="warning", message=r"with pauses of 0\.00, 0\.00, 0\.00 s, wanted growing ones")
def trouble_without_a_pause(stage: Stage) -> CallTrace:
    troubled(stage, 3, reset=True)
    return stage.story(times=[0, 1, 1.001, 1.003, 1.007])


@told("backoff", verdict="warning", message=r"with pauses of 5\.00, 1\.00, 1\.00 s")
def trouble_with_pauses_that_shrink(stage: Stage) -> CallTrace:
    troubled(stage, 3)
    return stage.traffic(times=[0, 1, 6, 7, 8])


@told("backoff")
def trouble_with_pauses_that_grow_to_an_end(stage: Stage) -> CallTrace:
    troubled(stage, 5)
    return stage.story(times=list(accumulate([0, 1, 1.1, 2, 4, 3.9, 4])))


@told("backoff", "retry-bounded", verdict="not exercised")
def trouble_here_and_there(stage: Stage) -> CallTrace:
    stage.play({**POLLS, "every": 2, "status": 503})
    stage.poll(stage.create(), 8)
    return stage.story()


@told("backoff", verdict="not exercised")
@told("retry-after")
def told_how_long_to_wait(stage: Stage) -> CallTrace:
    troubled(stage, 4, status=503, retry_after=1)
    return stage.story()


@told("retry-bounded", verdict="warning", message="met trouble 101 times in a row and was still tried")
def for_ever(stage: Stage) -> CallTrace:
    troubled(stage, 101)
    return stage.story()


@told("retry-bounded")
def as_good_as_for_ever(stage: Stage) -> CallTrace:
    troubled(stage, 100)
    return stage.story()


@told("poll-interval", verdict="warning", message=r"2 of 3 pauses .* shorter than 0\.5 s, the shortest 0\.100 s")
def polls_too_close(stage: Stage) -> CallTrace:
    stage.poll(stage.create(), 4)
    return stage.story(times=[0, 1, 1.1, 1.7, 1.9])


@told("poll-interval", verdict="warning", message=r"shorter than 0\.02 s, the shortest 0\.010 s")
def polls_without_a_pause(stage: Stage) -> CallTrace:
    stage.poll(stage.create(), 3)
    return stage.story(times=[0, 1, 1.01, 1.02], features={})


@told("poll-interval")
def polls_with_jitter_that_grow(stage: Stage) -> CallTrace:
    stage.poll(stage.create(), 5)
    return stage.story(times=list(accumulate([0, 0.01, 0.46, 0.55, 0.8, 3])))


@told("poll-interval")
def polls_of_a_client_with_a_pace_of_its_own(stage: Stage) -> CallTrace:
    stage.poll(stage.create(), 3)
    return stage.story(times=[0, 1, 1.1, 1.2], features={"poll_interval": False})


@told("poll-interval")
def a_poll_tried_again_soon(stage: Stage) -> CallTrace:
    stage.play({**POLLS, "nth": 2, "status": 503}, {**POLLS, "nth": 4, "error": "task_not_exist"})
    stage.poll(stage.create(), 6)
    return stage.story(times=[0, 1, 2, 2.1, 3, 3.1, 4])


@pytest.mark.parametrize("one", TALES, ids=str)
def test_a_rule_of_the_course(stage: Stage, one: Told) -> None:
    check(one, stage)


def test_calls_are_told_apart_in_traffic(stage: Stage) -> None:
    first, second = stage.create(), stage.create(prompt="another")
    for job in (second, first, "task_x"):
        stage.poll(job)
    told = [[one.job or one.path for one in story.exchanges] for story in split_calls(stage.trace)]
    assert told == [[first, first], [second, second], ["/v1/videos/task_x"]]


@pytest.mark.parametrize(("status", "rule"), [(307, "redirect-method"), (308, "redirect-method")])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_follows_a_redirect_is_of_its_call_in_traffic(stage: Stage, status: int, rule: str, method: str) -> None:
    where = redirected(stage, status)
    stage.send(method, where, files={"prompt": (None, "another")} if method == "POST" else None)
    assert [one.rule.id for one in judge_traffic(stage.trace)] == [rule]


def test_images_may_be_mended_after_a_refusal(stage: Stage) -> None:
    stage.create(HEAD, TAIL, HEAD)
    stage.create(HEAD, TAIL)
    assert judged(stage.story(images=[image(FIRST)]), "no-retry-4xx").verdict == "pass"
