"""Rules about the sequence of a call: what follows what."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final
from urllib.parse import parse_qs, quote, unquote, unquote_plus

from mockveo.http.statuses import AMBIGUOUS
from mockveo.rules.engine import Breach, Checks, breach
from mockveo.rules.requests import UNREAD, line
from mockveo.rules.trace import MAX_COMPARED_IDS, CallTrace, original_id
from mockveo.spec.job_statuses import RUNNING
from mockveo.traffic.exchange import UNKNOWN_JOB, Exchange

checks: Final = Checks[CallTrace]()

#: Below this, two polls have no pause between them. Arbitrary.
MIN_PAUSE_S: Final = 0.02
#: Polls after an end from which on traffic without a case shows a client that polls on, and the longest pause between
#: them. Arbitrary: more than a page that is loaded again, and above the pauses that the pages advise.
MIN_POLLS_ON: Final = 3
MAX_LOOK_PAUSE_S: Final = 30.0
#: Silence of a client, in its seconds, after which it may have left a running job: three of the longest pauses that the
#: pages advise between two polls.
MIN_SILENCE_S: Final = 60.0
#: The same in pauses as long as the longest that the client has made with the job. Arbitrary: pauses may double twice.
SILENT_PAUSES: Final = 4
#: Media types of a body that is no video, though its status is a success.
_NO_VIDEO: Final = re.compile(r"text/|application/(?:[\w.-]+\+)?(?:json|xml)")
_RANGE: Final = re.compile(r"bytes \d{1,18}-(\d{1,18})/(\d{1,18})")
#: Texts that stand in a path instead of an id: a missing value, and a template that was not filled.
NO_ID: Final = re.compile(r"(?i)none|null|undefined|nil|nan|.*[{}<>\[\]].*|:.*|\$.*|")


@checks.check("create-once")
def create_once(call: CallTrace) -> list[Breach] | None:
    if not call.made:
        return None
    first = call.made[0]
    if call.case is None:
        return _created_after_trouble(call, first)
    message = f"the create was answered with the job {first.shown.id}, and sent again"
    return [breach(message, first, create) for create in call.creates if create.number > first.number]


def _created_after_trouble(call: CallTrace, first: Exchange) -> list[Breach] | None:
    """Return the breach of traffic in which a create follows trouble with the job of the same form.

    Otherwise a caller may want another video of the same prompt.
    """
    second = next((create for create in call.creates if create.number > first.number), None)
    requests = [exchange for exchange in call.exchanges if exchange.job == first.job and exchange is not first]
    if second is None or not requests:
        return None
    trouble = "" if requests[-1].number > second.number else _trouble_with(call, requests)
    message = f"the job {first.shown.id} was left after {trouble}, and the create sent again"
    return [breach(message, first, requests[-1], second, lenient=True)] if trouble else []


def _trouble_with(call: CallTrace, requests: Sequence[Exchange]) -> str:
    """Return why a client may have left a job, by all its requests about the job; "" if it seems to be content."""
    last = requests[-1]
    if not last.succeeded or last.transient:
        return f"{_trouble(last)} to {line(last)}"
    failed = [exchange for exchange in requests if _asks_for_video(exchange) and not 201 <= exchange.status < 400]
    if failed and not any(map(is_fetched, requests)):
        return f"a download that brought no video, by {line(failed[-1])}"
    silent_s = call.seconds(last, call.exchanges[-1])
    if last.job_status in RUNNING and silent_s >= patience_s(call, requests):
        return f"{len(requests)} polls while it was {last.job_status}"
    return ""


def patience_s(call: CallTrace, requests: Sequence[Exchange]) -> float:
    """Return the client's seconds without a request after which it has left a job, by its requests so far."""
    longest_s = max((call.seconds(*pair) for pair in pairwise(requests)), default=0.0)
    return max(MIN_SILENCE_S, SILENT_PAUSES * longest_s)


def is_fetched(exchange: Exchange) -> bool:
    """Return whether a response brought the client the end of a video, or said that the client has it."""
    if not _asks_for_video(exchange):
        return False
    if exchange.status == 206:
        part = _RANGE.fullmatch(exchange.response_headers.get("content-range", ""))
        return exchange.whole and part is not None and int(part[1]) + 1 == int(part[2])
    if exchange.status == 304:
        return True
    media_type = exchange.response_headers.get("content-type", "")
    is_video = exchange.response_bytes != 0 and not _NO_VIDEO.match(media_type)
    return exchange.status == 200 and exchange.whole and not exchange.client_left and is_video


def _asks_for_video(exchange: Exchange) -> bool:
    is_download = exchange.operation in ("content", "delivery") and exchange.method == "GET"
    return is_download and parse_qs(exchange.query).get("variant", ["video"])[0] == "video"


@checks.check("no-blind-retry")
def no_blind_retry(call: CallTrace) -> list[Breach] | None:
    lost = next((create for create in call.creates if is_ambiguous(create)), None)
    if lost is None:
        return None
    repeated = [create for create in call.creates if create.number > lost.number]
    if not repeated:
        return []
    creates = f"{len(call.creates)} creates for one call, after {_trouble(lost)}"
    return [breach(f"{creates}: {_cost(call)}", lost, *repeated)]


def is_ambiguous(create: Exchange) -> bool:
    """Return whether the client cannot know if a create made a job."""
    if create.error_code == "model_not_found" or 300 <= create.status < 400:
        return False
    return not create.whole or create.status in AMBIGUOUS or _shows_nothing(create)


def _shows_nothing(create: Exchange) -> bool:
    """Return whether a success shows neither the id of a job nor that there is none."""
    if not create.succeeded or not create.body_known or create.shown.id:
        return False
    # An error in a success means that there is no job, and a failed job need not have an id.
    return create.shown.meaning != "failure" and not create.shows_error


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
        elif first.form and second.form and second.form != first.form and _was_read(second):
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
    unknown = [exchange for exchange in _unknown(call, exchanges) if not _is_badly_encoded(call, exchange)]
    if call.case is None:
        unknown = [exchange for exchange in unknown if UNKNOWN_JOB in exchange.hint and _is_spoilt(call, exchange)]
        problem = "that no job has; expected the id from a create's response, unchanged"
    elif call.ids:
        problem = f"that no create returned; expected {call.ids[-1]}"
    else:
        problem = "although no create returned one"
    return [breach(f"{line(exchange)} asks for an id {problem}", exchange) for exchange in unknown]


def _unknown(call: CallTrace, exchanges: list[Exchange]) -> list[Exchange]:
    ids = set(call.ids)
    return [exchange for exchange in exchanges if not exchange.job and exchange.requested_id not in ids]


@checks.check("id-encoded")
def id_encoded(call: CallTrace) -> list[Breach] | None:
    exchanges = call.of("retrieve", "content")
    if not exchanges or not any(_is_changed_by_encoding(job_id) for job_id in call.ids):
        return None
    message = f"asks for an id that is not encoded as it should be; expected {quote(call.ids[-1], safe='')}"
    bad = [exchange for exchange in _unknown(call, exchanges) if _is_badly_encoded(call, exchange)]
    return [breach(f"{line(exchange)} {message}", exchange) for exchange in bad]


def _is_changed_by_encoding(job_id: str) -> bool:
    return quote(job_id, safe="") != job_id


def _is_badly_encoded(call: CallTrace, exchange: Exchange) -> bool:
    """Return whether the unknown id in a path is one of a job, not encoded or encoded twice."""
    requested = exchange.requested_id
    for job_id in filter(_is_changed_by_encoding, call.ids[-MAX_COMPARED_IDS:]):
        # The query and the fragment begin at these characters.
        as_it_is = unquote(re.split("[?#]", job_id)[0])
        if requested == as_it_is or job_id in (unquote(requested), unquote_plus(requested)):
            return True
    return False


def _is_spoilt(call: CallTrace, exchange: Exchange) -> bool:
    """Return whether an unknown id was spoilt by the client; any other may be of a job that was forgotten."""
    requested = exchange.requested_id
    return bool(NO_ID.fullmatch(requested)) or bool(original_id(requested, call.ids))


@checks.check("content-after-completed")
def content_after_completed(call: CallTrace) -> list[Breach] | None:
    if not call.of("content"):
        return None
    # Without a case, earlier responses about a job are known only if its create is in the trace.
    jobs = {create.job for create in call.creates if create.job}
    first = call.exchanges[0].number if call.exchanges else 0
    completed, unknown = set[str](), set[str]()
    breaches, exercised = [], False
    for exchange in call.history:
        if exchange.operation in ("create", "retrieve"):
            if _shows_success(exchange):
                completed |= {exchange.job, ""}
            elif exchange.succeeded and not exchange.body_known:
                unknown |= {exchange.job, ""}
        elif exchange.number < first:
            continue
        elif exchange.operation == "content" and (call.case is not None or exchange.job in jobs):
            is_late = exchange.job in completed
            exercised = exercised or is_late or exchange.job not in unknown
            if not is_late and exchange.job not in unknown:
                message = f"{line(exchange)} was sent before a response showed that the job had completed"
                breaches.append(breach(message, exchange))
    return breaches if exercised else None


def _shows_success(exchange: Exchange) -> bool:
    # A response may also show success in a word that only this server knows.
    return exchange.shown.meaning == "success" or (bool(exchange.state) and exchange.job_status == "completed")


@checks.check("stop-at-terminal")
def stop_at_terminal(call: CallTrace) -> list[Breach] | None:
    end = call.end
    if end is None:
        return None
    # A client whose download fails may poll for a fresh URL.
    fetches = [exchange for exchange in call.of("content", "delivery") if exchange.number > end.number]
    failed = [exchange.number for exchange in fetches if exchange.status not in (200, 206) or not exchange.whole]
    until = min(failed, default=math.inf)
    polls = [poll for poll in call.polls if end.number < poll.number < until and poll.job == end.job]
    if end.operation == "create":
        polls = polls[1:]  # the first poll may show what the create does not, e.g. a `video_url`
    if call.case is None and not _goes_on([end, *polls]):
        return []
    message = f"the job was {end.state}, and polled {times(len(polls))} more"
    return [breach(message, end, *polls, lenient=not end.shown.documented)] if polls else []


def _goes_on(polls: Sequence[Exchange]) -> bool:
    """Return whether polls in traffic go on after an end: a person or a page may look at a job again."""
    is_prompt = all(second.at - first.at <= MAX_LOOK_PAUSE_S for first, second in pairwise(polls[: MIN_POLLS_ON + 1]))
    return len(polls) > MIN_POLLS_ON and is_prompt


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


def times(count: int) -> str:
    """Return how often something happened, in words."""
    return "once" if count == 1 else f"{count} times"
