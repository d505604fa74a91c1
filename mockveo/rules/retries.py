"""Rules about trying again: when, how often, and after which pause."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import Final

from mockveo.http.statuses import RETRYABLE
from mockveo.rules.engine import Breach, Checks, breach
from mockveo.rules.requests import line
from mockveo.rules.sequence import MIN_PAUSE_S, times
from mockveo.rules.trace import CallTrace
from mockveo.spec.job_statuses import RUNNING
from mockveo.traffic.exchange import Exchange

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
#: Statuses that end the polling. Source: RFC 9110 sections 15.5.2, 15.5.4 and 15.5.5.
END_OF_POLLS: Final = frozenset({401, 403, 404})
#: Statuses of a job that cannot be seen yet, or of a video that is not ready. Sources: /content is observed to answer
#: 400 before the end; 404 is the gateway family's for an unknown job; 409 is a conflict of state (RFC 9110, 15.5.10).
NOT_YET: Final = frozenset({400, 404, 409})
#: Times that a poll or a download may be repeated after one of these. Arbitrary: pauses that grow last for minutes.
MAX_NOT_YET: Final = 20
#: Redirects in a row that may be followed. Precedent: curl and .NET follow 50, the Fetch standard 20.
MAX_REDIRECTS: Final = 50
#: A pause after which a request is not a retry but another attempt, e.g. of a queue. Arbitrary.
LONG_PAUSE_S: Final = 60.0
#: The ticket of a redirect in a query.
_TICKET: Final = re.compile(r"(?:^|&)ticket=[^&]*")


@checks.check("redirect-bounded")
def redirect_bounded(call: CallTrace) -> list[Breach] | None:
    chains, chain = [], [call.exchanges[0]] if call.exchanges else []
    for first, second in pairwise(call.exchanges):
        follows = 300 <= first.status < 400 and bool(second.ticket)
        chain = [*chain, second] if follows else [second]
        chains.append(chain)
    followed = [chain for chain in chains if len(chain) > 1]
    longest = max(followed, key=len, default=[])
    if not longest:
        return None
    count = len(longest) - 1
    message = f"{line(longest[0])} was redirected {count} times in a row, and every redirect was followed"
    return [breach(message, longest[0], longest[-1])] if count > MAX_REDIRECTS else []


@checks.check("poll-4xx-stop")
def poll_4xx_stop(call: CallTrace) -> list[Breach] | None:
    if not any(map(_ends_polls, call.polls)):
        return None
    return [
        breach(f"a poll was refused with {refused.status}, and repeated {times(len(repeated))}", refused, *repeated)
        for refused, repeated in _repeats(call, "retrieve", _ends_polls)
    ]


def _ends_polls(poll: Exchange) -> bool:
    return poll.whole and poll.status in END_OF_POLLS


@checks.check("no-retry-4xx")
def no_retry_4xx(call: CallTrace) -> list[Breach] | None:
    breaches, exercised = [], False
    for operation, noun in (("create", "create"), ("retrieve", "poll"), ("content", "download")):
        exercised = exercised or any(map(_is_permanent, call.of(operation)))
        for refused, repeated in _repeats(call, operation, _is_permanent):
            error = f"{refused.status} {refused.error_code}".strip()
            message = f"a {noun} was refused with {error}, and repeated {times(len(repeated))}"
            breaches.append(breach(message, refused, *repeated))
        for refused, repeated in _repeats(call, operation, _may_pass):
            exercised = True
            if len(repeated) > MAX_NOT_YET:
                message = f"a {noun} was refused with {refused.status}, and repeated {times(len(repeated))}"
                breaches.append(breach(message, refused, repeated[-1]))
    return breaches if exercised else None


def _is_permanent(exchange: Exchange) -> bool:
    # Clients do not keep even the status of an incomplete response.
    refused = 400 <= exchange.status < 500 and exchange.status not in RETRYABLE
    elsewhere = _ends_polls(exchange) and exchange.operation == "retrieve"  # `poll-4xx-stop` judges these
    permanent = refused and not (_may_pass(exchange) or _is_early(exchange) or elsewhere)
    # A job that was made has a channel for its model, so only a create can lack one.
    no_channel = exchange.operation == "create" and exchange.error_code == "model_not_found"
    return exchange.whole and (permanent or no_channel)


def _may_pass(exchange: Exchange) -> bool:
    """Return whether a poll or a download was refused because it came too early, perhaps."""
    if exchange.operation == "create" or (_ends_polls(exchange) and exchange.operation == "retrieve"):
        return False
    return exchange.whole and exchange.status in NOT_YET and not _is_early(exchange)


def _is_early(exchange: Exchange) -> bool:
    """Return whether a download came while its job was running, which `content-after-completed` judges."""
    return exchange.operation == "content" and exchange.job_status in RUNNING


def _repeats(
    call: CallTrace, operation: str, refuses: Callable[[Exchange], bool]
) -> Iterator[tuple[Exchange, list[Exchange]]]:
    """Yield each request that was refused and repeated unchanged at once, with its repetitions."""
    sent, requests = call.of(operation), dict[Hashable, list[Exchange]]()
    if not any(map(refuses, sent)):  # mostly
        return
    for exchange in sent:
        requests.setdefault(_identity(exchange), []).append(exchange)
    for exchanges in requests.values():
        pairs = [(first, second) for first, second in pairwise(exchanges) if refuses(first)]
        early = [(first, second) for first, second in pairs if not _waited(call, first, second)]
        if early:
            yield early[0][0], [second for _, second in early]


def _identity(exchange: Exchange) -> Hashable:
    """Return what two requests have in common if they are the same."""
    query = _TICKET.sub("", exchange.query)
    return (
        exchange.method,
        exchange.path,
        query,
        exchange.form or exchange.number,
        exchange.headers.get("authorization"),
    )


def _waited(call: CallTrace, first: Exchange, second: Exchange) -> bool:
    """Return whether a client waited as long as a refusal asked it to, or for long."""
    asked_s = first.retry_after_s
    expected_s = LONG_PAUSE_S if asked_s is None else min(_least(asked_s), LONG_PAUSE_S)
    return call.seconds(first, second) >= expected_s


def _least(seconds: float) -> float:
    """Return the shortest pause that counts as so many seconds."""
    return seconds * (1 - TOLERANCE_SHARE) - TOLERANCE_S


@checks.check("retry-after")
def retry_after(call: CallTrace) -> list[Breach] | None:
    breaches, exercised = [], False
    next_tries = _next_tries(call)
    for first in call.exchanges:
        expected_s = first.retry_after_s
        second = next_tries.get(first)
        if expected_s is None or second is None or not first.whole or first.status not in RETRYABLE:
            continue
        if call.case is None and _is_skewed(first):
            continue
        exercised = True
        waited_s = call.seconds(first, second)
        if waited_s < _least(expected_s):
            value = str(first.retry_after)
            # A date does not say how long that is.
            length = "" if value.isdecimal() else f" (at least {expected_s:g} s)"
            answered = f"{line(first)} was answered {first.status} with Retry-After: {value}{length}"
            breaches.append(breach(f"{answered}, and repeated after {waited_s:.2f} s", first, second))
    return breaches if exercised else None


def _next_tries(call: CallTrace) -> dict[Exchange, Exchange]:
    """Return for each exchange the next one of the same operation and path."""
    latest: dict[tuple[str, str], Exchange] = {}
    next_tries = {}
    for exchange in reversed(call.exchanges):
        request = (exchange.operation, exchange.path)
        if request in latest:
            next_tries[exchange] = latest[request]
        latest[request] = exchange
    return next_tries


def _is_skewed(exchange: Exchange) -> bool:
    """Return whether Retry-After is a date of a clock that is not the client's, e.g. one that stands still."""
    try:
        date = parsedate_to_datetime(exchange.response_headers["date"]).timestamp()
    except (KeyError, OSError, OverflowError, TypeError, ValueError):
        return False
    skew_s = abs(date - exchange.time)
    return not (exchange.retry_after or "").isdecimal() and skew_s > MAX_SKEW_S


@checks.check("backoff")
def backoff(call: CallTrace) -> list[Breach] | None:
    breaches, exercised = [], False
    for run in _runs(call):
        # After Retry-After the client does not choose its pause.
        pauses = [call.seconds(first, second) for first, second in pairwise(run) if not first.retry_after_s]
        if len(pauses) < MIN_FAILURES - 1:
            continue
        exercised = True
        # Jitter may make a few pauses shorter one after the other, but hardly all of many.
        shrink = len(pauses) >= MIN_FAILURES and all(later * GROWTH < earlier for earlier, later in pairwise(pauses))
        if shrink or max(pauses[1:]) < max(min(pauses) * GROWTH, MIN_PAUSE_S):
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
    # A range is progress, a whole video that is fetched again is not.
    downloads = [fetch for fetch in call.of("content") if fetch.succeeded and fetch.status != 206]
    if call.case is None or not (runs or len(downloads) >= MIN_FAILURES):
        return None
    breaches = [
        breach(f"{_failed(run)}, and was still retried", run[0], run[-1])
        for run in runs
        if _failures(run) > MAX_FAILURES
    ]
    if len(downloads) > MAX_FAILURES:
        message = f"{line(downloads[0])} was answered {len(downloads)} times, and was sent again"
        breaches.append(breach(message, downloads[0], downloads[-1]))
    return breaches
