"""Rules about the sequence of a call: what follows what, and after how long."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import Final

from mockveo.http.statuses import AMBIGUOUS, RETRYABLE
from mockveo.rules.engine import Breach, Checks, breach
from mockveo.rules.requests import UNREAD, line
from mockveo.rules.trace import CallTrace
from mockveo.traffic.exchange import UNKNOWN_JOB, Exchange

checks: Final = Checks[CallTrace]()

#: What a pause may be too short by, as the clocks of two machines differ. Arbitrary.
TOLERANCE_S: Final = 0.02
#: The same as a share of the pause. Arbitrary.
TOLERANCE_SHARE: Final = 0.02
#: Clock skew above which a Date header is ignored. Arbitrary.
MAX_SKEW_S: Final = 5.0
#: A pause has grown if it is this many times another. Arbitrary, below the usual factors of 1.5 and 2.
GROWTH: Final = 1.2
#: Failures in a row from which their pauses count. Three pauses show whether they grow.
MIN_FAILURES: Final = 4
#: Failures in a row above which a client retries without end. Arbitrary.
MAX_FAILURES: Final = 100
#: Below this, two polls have no pause between them. Arbitrary.
MIN_PAUSE_S: Final = 0.02


@checks.check("create-once")
def create_once(call: CallTrace) -> list[Breach] | None:
    if call.case is None or not call.made:
        return None
    first = call.made[0]
    message = f"the create was answered with the job {first.shown.id}, and sent again"
    return [breach(message, first, create) for create in call.creates if create.number > first.number]


@checks.check("no-blind-retry")
def no_blind_retry(call: CallTrace) -> list[Breach] | None:
    lost = next((create for create in call.creates if _is_ambiguous(create)), None)
    if lost is None:
        return None
    repeated = [create for create in call.creates if create.number > lost.number]
    if not repeated:
        return []
    creates = f"{len(call.creates)} creates for one call, after {_trouble(lost)}"
    return [breach(f"{creates}: {_cost(call)}", lost, *repeated)]


def _is_ambiguous(create: Exchange) -> bool:
    """Return whether the client cannot know if a create made a job."""
    if create.error_code == "model_not_found" or 300 <= create.status < 400:
        return False
    return not create.whole or create.status in AMBIGUOUS or _shows_nothing(create)


def _shows_nothing(create: Exchange) -> bool:
    """Return whether a success shows neither the id of a job nor that there is none."""
    if not create.succeeded or not create.body_known or create.shown.id:
        return False
    # An error in a success means that there is no job, and a failed job need not have an id.
    return create.shown.meaning != "failure" and not create.error_body.present


def _trouble(exchange: Exchange) -> str:
    if not exchange.status:
        return "a lost response"
    if exchange.undecodable:
        return f"a response of {exchange.status} that cannot be decoded"
    return f"a response of {exchange.status}" if exchange.whole else f"an incomplete response of {exchange.status}"


def _cost(call: CallTrace) -> str:
    superfluous = len({create.job for create in call.creates if create.job}) - 1
    if superfluous < 1:
        return "the client could not know that the first one had no effect"
    return "1 job is paid for in vain" if superfluous == 1 else f"{superfluous} jobs are paid for in vain"


@checks.check("redirect-method")
def redirect_method(call: CallTrace) -> list[Breach] | None:
    redirects = _redirects(call, {307, 308})
    breaches = []
    for first, second in redirects:
        redirected = f"the create was redirected with {first.status} and repeated"
        if second.method != "POST":
            breaches.append(breach(f"{redirected} as {second.method}; expected POST", first, second))
        elif second.form != first.form and _was_read(second):
            breaches.append(breach(f"{redirected} with another form", first, second))
    return breaches if redirects else None


@checks.check("redirect-302-get")
def redirect_302_get(call: CallTrace) -> list[Breach] | None:
    redirects = _redirects(call, {301, 302, 303})
    breaches = [
        breach(f"the create was redirected with {first.status} and repeated as POST; expected GET", first, second)
        for first, second in redirects
        if second.method == "POST"
    ]
    return breaches if redirects else None


def _redirects(call: CallTrace, statuses: set[int]) -> list[tuple[Exchange, Exchange]]:
    """Return the creates redirected with one of these statuses, each with the exchange that followed it."""
    return [
        (first, second)
        for first, second in pairwise(call.exchanges)
        if first.operation == "create" and first.status in statuses and second.ticket
    ]


def _was_read(create: Exchange) -> bool:
    return create.status > 0 and create.operation == "create" and create.error not in UNREAD


@checks.check("poll-own-id")
def poll_own_id(call: CallTrace) -> list[Breach] | None:
    exchanges = call.of("retrieve", "content")
    if not exchanges:
        return None
    unknown = [exchange for exchange in exchanges if not exchange.job and _requested_id(exchange) not in call.ids]
    if call.case is None:
        unknown = [exchange for exchange in unknown if UNKNOWN_JOB in exchange.hint]
        problem = "that no job has; expected the id from a create's response, unchanged"
    elif call.ids:
        problem = f"that no create returned; expected {call.ids[-1]}"
    else:
        problem = "although no create returned one"
    return [breach(f"{line(exchange)} asks for an id {problem}", exchange) for exchange in unknown]


def _requested_id(exchange: Exchange) -> str:
    return exchange.path.removesuffix("/content").rpartition("/")[2]


@checks.check("content-after-completed")
def content_after_completed(call: CallTrace) -> list[Breach] | None:
    # Without a case, earlier responses about a job are known only if its create is in the trace.
    jobs = {create.job for create in call.creates if create.job}
    fetches = [exchange for exchange in call.of("content") if call.case is not None or exchange.job in jobs]
    if not fetches:
        return None
    return [
        breach(f"{line(fetch)} was sent before a response showed that the job had completed", fetch)
        for fetch in fetches
        if not any(_shows_success(before, fetch) for before in call.exchanges if before.number < fetch.number)
    ]


def _shows_success(exchange: Exchange, later: Exchange) -> bool:
    """Return whether a response showed that the job of a later request had completed."""
    if exchange.operation not in ("create", "retrieve") or later.job not in ("", exchange.job):
        return False
    # A response may also show success in a word that only this server knows.
    return exchange.shown.meaning == "success" or (bool(exchange.state) and exchange.job_status == "completed")


@checks.check("stop-at-terminal")
def stop_at_terminal(call: CallTrace) -> list[Breach] | None:
    if call.case is None or call.end is None:
        return None
    end = call.end
    # A client whose download fails may poll for a fresh URL.
    fetches = [exchange for exchange in call.of("content", "delivery") if exchange.number > end.number]
    failed = [exchange.number for exchange in fetches if exchange.status not in (200, 206) or not exchange.whole]
    until = min(failed, default=math.inf)
    polls = [poll for poll in call.polls if end.number < poll.number < until and poll.job == end.job]
    if end.operation == "create":
        polls = polls[1:]  # the first poll may show what the create does not, e.g. a `video_url`
    message = f"the job was {end.state}, and polled {_times(len(polls))} more"
    return [breach(message, end, *polls, lenient=not end.shown.documented)] if polls else []


@checks.check("poll-4xx-stop")
def poll_4xx_stop(call: CallTrace) -> list[Breach] | None:
    refused = next((poll for poll in call.polls if poll.whole and poll.status in (401, 403, 404)), None)
    if refused is None:
        return None
    repeated = [poll for poll in call.polls if poll.number > refused.number and _is_repeated(refused, poll)]
    message = f"a poll was refused with {refused.status}, and repeated {_times(len(repeated))}"
    return [breach(message, refused, *repeated)] if repeated else []


@checks.check("no-retry-4xx")
def no_retry_4xx(call: CallTrace) -> list[Breach] | None:
    refused = next((create for create in call.creates if _is_permanent(create)), None)
    if refused is None:
        return None
    repeated = [create for create in call.creates if create.number > refused.number and _is_repeated(refused, create)]
    error = f"{refused.status} {refused.error_code}".strip()
    message = f"a create was refused with {error}, and repeated {_times(len(repeated))}"
    return [breach(message, refused, *repeated)] if repeated else []


def _is_repeated(first: Exchange, second: Exchange) -> bool:
    """Return whether two requests have the same path, form and key."""
    same_key = first.headers.get("authorization") == second.headers.get("authorization")
    return first.path == second.path and first.form == second.form and same_key


def _is_permanent(exchange: Exchange) -> bool:
    # Clients do not keep even the status of an incomplete response.
    refused = 400 <= exchange.status < 500 and exchange.status not in RETRYABLE
    return exchange.whole and (refused or exchange.error_code == "model_not_found")


@checks.check("retry-after")
def retry_after(call: CallTrace) -> list[Breach] | None:
    breaches, exercised = [], False
    for first in call.exchanges:
        expected_s = seconds_to_wait(first)
        second = _next_try(call, first)
        if expected_s is None or second is None or not first.whole or first.status not in RETRYABLE:
            continue
        if call.case is None and _is_skewed(first):
            continue
        exercised = True
        waited_s = call.seconds(first, second)
        if waited_s < expected_s * (1 - TOLERANCE_SHARE) - TOLERANCE_S:
            answered = f"{line(first)} was answered {first.status} with Retry-After: {first.retry_after}"
            breaches.append(breach(f"{answered}, and repeated after {waited_s:.2f} s", first, second))
    return breaches if exercised else None


def _next_try(call: CallTrace, first: Exchange) -> Exchange | None:
    later = (exchange for exchange in call.exchanges if exchange.number > first.number)
    return next((other for other in later if (other.operation, other.path) == (first.operation, first.path)), None)


def _is_skewed(exchange: Exchange) -> bool:
    """Return whether Retry-After is a date of a clock that is not the client's, e.g. one that stands still."""
    try:
        date = parsedate_to_datetime(exchange.response_headers["date"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return False
    skew_s = abs(date - exchange.time)
    return not (exchange.retry_after or "").isdecimal() and skew_s > MAX_SKEW_S


def seconds_to_wait(exchange: Exchange) -> float | None:
    """Return the seconds that a response asks to wait; None without a readable Retry-After."""
    value = exchange.retry_after
    if value is None:
        return None
    try:
        return float(value)
    except ValueError:
        pass
    try:
        now = exchange.response_headers["date"]
        # Both dates are cut to whole seconds, so the wait may be almost a second shorter.
        return max((parsedate_to_datetime(value) - parsedate_to_datetime(now)).total_seconds() - 1, 0.0)
    except (KeyError, OverflowError, TypeError, ValueError):
        return None


@checks.check("backoff")
def backoff(call: CallTrace) -> list[Breach] | None:
    breaches, exercised = [], False
    for run in _runs(call):
        # After Retry-After the client does not choose its pause.
        pauses = [call.seconds(first, second) for first, second in pairwise(run) if not seconds_to_wait(first)]
        if len(pauses) < MIN_FAILURES - 1:
            continue
        exercised = True
        if max(pauses[1:]) < max(min(pauses) * GROWTH, MIN_PAUSE_S):
            shown = ", ".join(f"{pause:.2f}" for pause in pauses[:5])
            message = f"{_failed(run)} with pauses of {shown} s; expected growing pauses"
            breaches.append(breach(message, *run))
    return breaches if exercised else None


def _runs(call: CallTrace) -> Iterator[Sequence[Exchange]]:
    """Yield the failures in a row of each operation, each run with the exchange that ends it."""
    for operation in ("create", "retrieve", "content"):
        run: list[Exchange] = []
        for exchange in call.of(operation):
            if _is_failure(exchange):
                run.append(exchange)
                continue
            # The exchange that ends a run belongs to its last pause.
            yield [*run, exchange] if run else []
            run = []
        yield run


def _failures(run: Sequence[Exchange]) -> int:
    return sum(_is_failure(exchange) for exchange in run)


def _is_failure(exchange: Exchange) -> bool:
    # A body that cannot be decoded is no sign of load: the usual pause will do.
    return exchange.transient and not exchange.undecodable


def _failed(run: Sequence[Exchange]) -> str:
    return f"{line(run[0])} failed {_failures(run)} times in a row"


@checks.check("retry-bounded")
def retry_bounded(call: CallTrace) -> list[Breach] | None:
    runs = [run for run in _runs(call) if _failures(run) >= MIN_FAILURES]
    if call.case is None or not runs:
        return None
    return [
        breach(f"{_failed(run)}, and was still retried", run[0], run[-1])
        for run in runs
        if _failures(run) > MAX_FAILURES
    ]


@checks.check("poll-interval")
def poll_interval(call: CallTrace) -> list[Breach] | None:
    if call.case is None:
        return None
    declared = bool(call.features.get("poll_interval"))
    interval_s = float(call.case.get("poll_interval_s", 0) or 0) if declared else MIN_PAUSE_S
    # After the end one more poll may ask for a fresh URL at once; `stop-at-terminal` judges any others.
    pairs = [pair for pair in pairwise(call.polls) if pair[0].state and not pair[0].shown.ended]
    if not pairs:
        return None
    short = [pair for pair in pairs if call.seconds(*pair) < interval_s * 0.9 - 0.002]
    if not short:
        return []
    shortest_s = min(call.seconds(*pair) for pair in short)
    count = f"{len(short)} of {len(pairs)} pauses between polls were shorter than {interval_s:g} s"
    return [breach(f"{count}, the shortest {shortest_s:.3f} s", *short[0])]


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
