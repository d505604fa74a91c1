"""Rules about the course of a call: what follows what, and after how long."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import Final

from mockveo.http.statuses import AMBIGUOUS, RETRYABLE
from mockveo.rules.engine import Breach, Checks, breach
from mockveo.rules.requests import UNREAD, told
from mockveo.rules.trace import FAILURE, SUCCESS, CallTrace
from mockveo.traffic.exchange import UNKNOWN_JOB, Exchange

checks: Final = Checks[CallTrace]()

#: Seconds that a pause may fall short of, for the clocks of two machines.
SLACK: Final = 0.02
#: Seconds between an answer's date and our own from which on its clock is another than the client's.
ANOTHER_TIME: Final = 5.0
#: A pause grows when it is so many times another.
GROWS: Final = 1.2
#: Troubles in a row from which on their pauses count, and from which on there are too many of them.
IN_A_ROW: Final = 4
TOO_MANY: Final = 100
#: Seconds below which a pause between two polls is none.
NO_PAUSE: Final = 0.02


@checks.check("create-once")
def create_once(story: CallTrace) -> list[Breach] | None:
    if story.case is None or not story.made:
        return None
    first = story.made[0]
    again = [one for one in story.creates if one.number > first.number]
    what = f"the create was answered with the job {first.body['id']}, and sent again"
    return [breach(what, first, one) for one in again]


@checks.check("no-blind-retry")
def no_blind_retry(story: CallTrace) -> list[Breach] | None:
    lost = [one for one in story.creates if _ambiguous(one)]
    if not lost:
        return None
    again = [one for one in story.creates if one.number > lost[0].number]
    if not again:
        return []
    jobs = {one.job for one in story.creates if one.job}
    paid = (
        f"{len(jobs) - 1} {'is' if len(jobs) == 2 else 'are'} paid for nothing"
        if len(jobs) > 1
        else ("nobody could know that the first had done nothing")
    )
    count = len(story.creates)
    return [breach(f"{count} creates for one call, after {_trouble(lost[0])}: {paid}", lost[0], *again)]


def _ambiguous(one: Exchange) -> bool:
    if one.error_code == "model_not_found" or (300 <= one.status < 400):
        return False
    # An error in an answer of 200 says that there is no job.
    nothing = one.status == 200 and not one.body.get("id") and one.error_code in ("", "success")
    return not one.whole or one.status in AMBIGUOUS or nothing


def _trouble(one: Exchange) -> str:
    if not one.status:
        return "an answer that was lost"
    return f"an answer of {one.status}" + ("" if one.whole else " that broke off")


@checks.check("redirect-method")
def redirect_method(story: CallTrace) -> list[Breach] | None:
    found = _followed(story, {307, 308})
    return (
        [
            breach(f"the create was redirected with {first.status} and sent on as {then.method}", first, then)
            if then.method != "POST"
            else breach(f"the create was redirected with {first.status} and sent on with another form", first, then)
            for first, then in found
            if then.method != "POST" or (then.form != first.form and _was_read(then))
        ]
        if found
        else None
    )


@checks.check("redirect-302-get")
def redirect_302_get(story: CallTrace) -> list[Breach] | None:
    found = _followed(story, {301, 302, 303})
    return (
        [
            breach(f"the create was redirected with {first.status} and sent again as POST", first, then)
            for first, then in found
            if then.method == "POST"
        ]
        if found
        else None
    )


def _followed(story: CallTrace, statuses: set[int]) -> list[tuple[Exchange, Exchange]]:
    """The creates that were redirected with one of these, each with the exchange that followed the redirect."""
    return [
        (first, then)
        for first, then in pairwise(story.exchanges)
        if first.operation == "create" and first.status in statuses and then.ticket
    ]


def _was_read(one: Exchange) -> bool:
    return one.status > 0 and one.operation == "create" and one.error not in UNREAD


@checks.check("poll-own-id")
def poll_own_id(story: CallTrace) -> list[Breach] | None:
    asked = story.of("retrieve", "content")
    if not asked:
        return None
    unknown = [one for one in asked if not one.job and _asked_for(one) not in story.ids]
    if story.case is None:
        unknown = [one for one in unknown if UNKNOWN_JOB in one.hint]
        what = "that is no job's, wanted the one that a create was answered with, unchanged"
    else:
        wanted = f"wanted {story.ids[-1]}" if story.ids else "and no create had been answered with one"
        what = f"that no create was answered with, {wanted}"
    return [breach(f"{told(one)} asks for an id {what}", one) for one in unknown]


def _asked_for(one: Exchange) -> str:
    return one.path.removesuffix("/content").rpartition("/")[2]


@checks.check("content-after-completed")
def content_after_completed(story: CallTrace) -> list[Breach] | None:
    # Of a job that was not made here nobody knows what was told before.
    made = {one.job for one in story.creates if one.job}
    fetched = [one for one in story.of("content") if story.case is not None or one.job in made]
    if not fetched:
        return None
    early = [
        one
        for one in fetched
        if not any(_shows_success(before, one) for before in story.exchanges if before.number < one.number)
    ]
    return [breach(f"{told(one)} came before any answer had told that the job completed", one) for one in early]


def _shows_success(one: Exchange, later: Exchange) -> bool:
    """Whether an answer told that the job of a later request completed."""
    if one.operation not in ("create", "retrieve") or later.job not in ("", one.job):
        return False
    # In the words of another dialect too: the rule is about the order, not about words.
    return one.status == 200 and bool(one.body) and one.job_status == "completed"


@checks.check("stop-at-terminal")
def stop_at_terminal(story: CallTrace) -> list[Breach] | None:
    if story.case is None or story.end is None:
        return None
    end = story.end
    # Who could not fetch the video may ask for a fresh URL.
    fetched = [one for one in story.of("content", "delivery") if one.number > end.number]
    trouble = min((one.number for one in fetched if one.status not in (200, 206) or not one.whole), default=math.inf)
    after = [one for one in story.polls if end.number < one.number < trouble and one.job == end.job]
    if end.operation == "create":
        after = after[1:]  # the first poll may tell what the create does not, a `video_url`, say
    return [breach(f"the job was {end.state}, and polled {_times(len(after))} more", end, *after)] if after else []


@checks.check("poll-4xx-stop")
def poll_4xx_stop(story: CallTrace) -> list[Breach] | None:
    refused = next((one for one in story.polls if one.whole and one.status in (401, 403, 404)), None)
    if refused is None:
        return None
    after = [one for one in story.polls if one.number > refused.number and _unchanged(refused, one)]
    what = f"a poll was refused with {refused.status}, and sent {_times(len(after))} more"
    return [breach(what, refused, *after)] if after else []


@checks.check("no-retry-4xx")
def no_retry_4xx(story: CallTrace) -> list[Breach] | None:
    refused = next((one for one in story.creates if _for_good(one)), None)
    if refused is None:
        return None
    after = [one for one in story.creates if one.number > refused.number and _unchanged(refused, one)]
    what = f"{refused.status} {refused.error_code}".strip()
    return (
        [breach(f"a create was refused with {what}, and sent {_times(len(after))} more", refused, *after)]
        if after
        else []
    )


def _unchanged(one: Exchange, other: Exchange) -> bool:
    """Whether a request is the same again: of the same form to the same path, with the same key."""
    keys = [seen.headers.get("authorization") for seen in (one, other)]
    return one.path == other.path and one.form == other.form and keys[0] == keys[1]


def _for_good(one: Exchange) -> bool:
    # Of an answer that breaks off, clients keep not even the status.
    refused = 400 <= one.status < 500 and one.status not in RETRYABLE
    return one.whole and (refused or one.error_code == "model_not_found")


@checks.check("retry-after")
def retry_after(story: CallTrace) -> list[Breach] | None:
    found, exercised = [], False
    for one in story.exchanges:
        wanted = seconds_to_wait(one)
        then = next((other for other in story.exchanges if other.number > one.number and _same(one, other)), None)
        if wanted is None or not one.whole or one.status not in RETRYABLE or then is None:
            continue
        if story.case is None and _of_another_time(one):
            continue
        exercised = True
        waited = story.seconds(one, then)
        if waited < wanted - SLACK - wanted * 0.02:
            asked = f"Retry-After: {one.retry_after}"
            found.append(
                breach(
                    f"{told(one)} was answered {one.status} with {asked}, and sent again after {waited:.2f} s",
                    one,
                    then,
                )
            )
    return found if exercised else None


def _same(one: Exchange, other: Exchange) -> bool:
    return (one.operation, one.path) == (other.operation, other.path)


def _of_another_time(one: Exchange) -> bool:
    """Whether the date of an answer is not its client's, as by a clock that stands still: then a date says nothing."""
    try:
        date = parsedate_to_datetime(one.answer_headers["date"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return False
    return not (one.retry_after or "").isdecimal() and abs(date - float(one.time)) > ANOTHER_TIME


def seconds_to_wait(one: Exchange) -> float | None:
    """The seconds that an answer asks to wait; None where it asks for nothing that can be read."""
    value = one.retry_after
    if value is None:
        return None
    try:
        return float(value)
    except ValueError:
        pass
    try:
        now = one.answer_headers["date"]
        # Both dates are cut to whole seconds, so the wait may be nearly one shorter.
        return max((parsedate_to_datetime(value) - parsedate_to_datetime(now)).total_seconds() - 1, 0.0)
    except (KeyError, OverflowError, TypeError, ValueError):
        return None


@checks.check("backoff")
def backoff(story: CallTrace) -> list[Breach] | None:
    found, exercised = [], False
    for run in _runs(story):
        # Whoever is told how long to wait has nothing to choose.
        pauses = [story.seconds(*pair) for pair in pairwise(run) if not seconds_to_wait(pair[0])]
        if len(pauses) < IN_A_ROW - 1:
            continue
        exercised = True
        if max(pauses[1:]) < max(min(pauses) * GROWS, NO_PAUSE):
            shown = ", ".join(f"{pause:.2f}" for pause in pauses[:5])
            what = f"met trouble {_troubles(run)} times in a row with pauses of {shown} s, wanted growing ones"
            found.append(breach(f"{told(run[0])} {what}", *run))
    return found if exercised else None


def _runs(story: CallTrace) -> Iterator[Sequence[Exchange]]:
    """The troubles in a row, by what was asked for."""
    for operation in ("create", "retrieve", "content"):
        run: list[Exchange] = []
        for one in story.of(operation):
            if one.transient:
                run.append(one)
                continue
            # What ends a row belongs to its last pause.
            yield [*run, one] if run else []
            run = []
        yield run


@checks.check("retry-bounded")
def retry_bounded(story: CallTrace) -> list[Breach] | None:
    runs = [run for run in _runs(story) if _troubles(run) >= IN_A_ROW]
    if story.case is None or not runs:
        return None
    return [
        breach(f"{told(run[0])} met trouble {_troubles(run)} times in a row and was still tried", run[0], run[-1])
        for run in runs
        if _troubles(run) > TOO_MANY
    ]


def _troubles(run: Sequence[Exchange]) -> int:
    return sum(one.transient for one in run)


@checks.check("poll-interval")
def poll_interval(story: CallTrace) -> list[Breach] | None:
    if story.case is None:
        return None
    asked = float(story.case.get("poll_interval_s", 0) or 0) if story.features.get("poll_interval") else NO_PAUSE
    # After an end there may be one more poll for a fresh URL, which need not wait; others `stop-at-terminal` judges.
    pairs = [pair for pair in pairwise(story.polls) if pair[0].state and pair[0].state not in SUCCESS | FAILURE]
    if not pairs:
        return None
    short = [pair for pair in pairs if story.seconds(*pair) < asked * 0.9 - 0.002]
    if not short:
        return []
    least = min(story.seconds(*pair) for pair in short)
    text = (
        f"{len(short)} of {len(pairs)} pauses between polls were shorter than {asked:g} s, the shortest {least:.3f} s"
    )
    return [breach(text, *short[0])]


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
