"""The bill: the jobs of a world or of saved traffic, each with what became of it.

There is no idempotency key and no way to cancel a job, so each job that a create makes is paid for, also one that fails
(assumed). The bill is computed when somebody asks for it, from the jobs and the exchanges; nothing is kept for it. Each
job is in one state:

- delivered: its content was fetched, its failure was answered, or the client of a case reported what it completed;
- open: its client may still come back;
- lost: the answer to its create did not arrive, and the client did not send the create again;
- wasted: paid for and of no use, for one of the reasons of `WASTE`;
- forgotten: the journal has none of its exchanges any more.

A client is asked for no more than it can know. A job counts as abandoned only after a silence of several of its
client's own pauses, and as never fetched only after an hour; until then it is open.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Final, NamedTuple

from mockveo.rules.bill import Bill, BilledJob, PaidJob
from mockveo.rules.requests import line
from mockveo.rules.retries import MIN_FAILURES
from mockveo.rules.sequence import is_ambiguous, is_fetched, patience_s
from mockveo.rules.trace import CallTrace, split_calls
from mockveo.spec.prices import Price
from mockveo.traffic.exchange import Exchange, ExchangeJson

#: Seconds after the answer that shows a job completed in which its content may still be fetched. Assumed: how long the
#: service keeps videos is unknown; our own signed URLs live as long.
FETCH_WINDOW_S: Final = 3600.0


def bill(jobs: Iterable[PaidJob], calls: Iterable[CallTrace], now: float | None = None, *, place: str = "") -> Bill:
    """Return what became of jobs, by the calls in the traffic of their clients.

    `now` is in seconds of the exchanges' clock, by default the time of the last exchange. `place` is that of each job.
    """
    judges: dict[str, _CallJudge] = {}
    calls = list(calls)
    latest = max((exchange.at for call in calls for exchange in call.exchanges), default=0.0)
    for call in calls:
        judge = _CallJudge(call, latest if now is None else now)
        judges |= dict.fromkeys(judge.ids, judge)
    return Bill(tuple(_billed(job, judges.get(job.id), place) for job in jobs))


def paid_jobs(calls: Iterable[CallTrace], prices: Mapping[str, Price] | None = None) -> list[PaidJob]:
    """Return the jobs that the creates in traffic made, as far as it shows them."""
    jobs: dict[str, PaidJob] = {}
    for call in calls:
        for create in call.creates:
            job = _job_of(create)
            if job and job not in jobs:
                fields = {field["name"]: field["value"] for field in create.fields}
                model = str(fields.get("model") or call.defaults.get("model") or "")
                price = (prices or {}).get(model)
                jobs[job] = PaidJob(job, create.key or "", model, price.of(fields) if price else None)
    return list(jobs.values())


def traffic_bill(trace: Iterable[ExchangeJson]) -> Bill:
    """Return what became of the jobs in saved traffic, as far as it shows them; their prices are unknown."""
    calls = split_calls(trace)
    made = bill(paid_jobs(calls), calls)
    return replace(made, uncertain=sum(_may_have_made(create) for call in calls for create in call.creates))


class _Fate(NamedTuple):
    """What became of a job; see BilledJob."""

    state: str
    reason: str
    exchanges: tuple[Exchange, ...] = ()
    waste: str = ""


def _billed(job: PaidJob, judge: _CallJudge | None, place: str) -> BilledJob:
    fate = _Fate("forgotten", "the journal has none of its exchanges any more") if judge is None else judge.of(job.id)
    return BilledJob(
        *job,
        state=fate.state,
        reason=fate.reason,
        waste=fate.waste,
        exchanges=tuple(dict.fromkeys(exchange.number for exchange in fate.exchanges)),
        place=place,
    )


class _CallJudge:
    """Decides what became of the jobs of one call."""

    def __init__(self, call: CallTrace, now: float) -> None:
        self._call = call
        self._now = now
        #: Whether the client has had its last word, and that word; None if it had to be ended.
        self._is_over = call.outcome is not None
        self._outcome: str | None = (call.outcome or {}).get("outcome")
        #: The exchanges about each job, its create among them.
        self._about: dict[str, list[Exchange]] = {}
        for exchange in call.exchanges:
            if job := _job_of(exchange):
                self._about.setdefault(job, []).append(exchange)
        self._reported = self._reported_job()

    @property
    def ids(self) -> Iterable[str]:
        """The jobs that the call is about."""
        return self._about

    def of(self, job: str) -> _Fate:
        """Return what became of a job."""
        exchanges = self._about[job]
        if not any(exchange.operation != "create" or exchange.shown.id for exchange in exchanges):
            return self._of_lost(exchanges[-1])
        return self._delivered(job, exchanges) or self._wasted(job, exchanges) or self._left(exchanges)

    def _of_lost(self, create: Exchange) -> _Fate:
        again = [other for other in self._call.creates if other.number > create.number]
        lost = f"its create was answered with {_answer(create)}"
        if not again:
            return _Fate("lost", f"{lost}, so the client does not know it", (create,))
        made = f"; sent again, it made {again[0].job}" if again[0].job else ", and sent again"
        return _Fate("wasted", f"{lost}{made}", (create, again[0]), "retried")

    def _delivered(self, job: str, exchanges: Sequence[Exchange]) -> _Fate | None:
        fetched = next(filter(is_fetched, exchanges), None)
        if fetched:
            return _Fate("delivered", f"fetched by {line(fetched)}", (fetched,))
        failed = next((exchange for exchange in exchanges if _end_of(exchange) == "failure"), None)
        if failed:
            return _Fate("delivered", f"answered as {failed.state}", (failed,))
        completed = any(_end_of(exchange) == "success" for exchange in exchanges)
        if completed and self._outcome == "completed" and job == self._reported:
            return _Fate("delivered", "reported as completed")
        return None

    def _wasted(self, job: str, exchanges: Sequence[Exchange]) -> _Fate | None:
        last = exchanges[-1]
        again = self._made_again(job, last)
        completed = next((exchange for exchange in exchanges if _end_of(exchange) == "success"), None)
        is_over = self._is_silent(exchanges, completed)
        if again and (is_over or self._has_end(again.job)):
            reason = f"left after {_answer(last)} to {line(last)}, and made again as {again.job}"
            return _Fate("wasted", reason, (last, again), "made-again")
        if not is_over:
            return None
        if completed:
            reason = f"completed {self._ago(completed)}, and never fetched"
            return _Fate("wasted", reason, (completed,), "not-fetched")
        return _Fate("wasted", f"abandoned while running: {self._last_look(last)}", (last,), "abandoned")

    def _left(self, exchanges: Sequence[Exchange]) -> _Fate:
        last = exchanges[-1]
        if not self._is_over and any(_end_of(exchange) == "success" for exchange in exchanges):
            return _Fate("open", f"completed, and not fetched yet; last asked for {self._ago(last)}", (last,))
        return _Fate("open", self._last_look(last), (last,))

    def _made_again(self, job: str, last: Exchange) -> Exchange | None:
        """Return the create that made another job for the call when this one was not asked for any more."""
        later = (create for create in self._call.creates if create.number > last.number)
        return next((create for create in later if create.job and create.job != job), None)

    def _has_end(self, job: str) -> bool:
        return any(_end_of(exchange) or is_fetched(exchange) for exchange in self._about.get(job, ()))

    def _is_silent(self, exchanges: Sequence[Exchange], completed: Exchange | None) -> bool:
        """Return whether the client does not come back to a job."""
        if self._is_over:
            # A client that says that it has no result may be asked to go on, unless it hardly tried.
            has_said_so = self._outcome in ("timeout", "error") and _job_of(exchanges[-1]) == self._reported
            return not has_said_so or self._gave_up_early(exchanges)
        silent_s = (self._now - exchanges[-1].at) / self._call.pace
        if completed:
            return silent_s >= FETCH_WINDOW_S
        return silent_s >= patience_s(self._call, exchanges)

    def _gave_up_early(self, exchanges: Sequence[Exchange]) -> bool:
        """Return whether trouble that may pass was enough for a client that had the time to try again."""
        trouble = list(takewhile(lambda exchange: exchange.transient, reversed(exchanges)))
        return self._outcome == "error" and 0 < len(trouble) < MIN_FAILURES and not self._call.out_of_time()

    def _reported_job(self) -> str:
        """Return the job that the client reported, or the last that it knows; "" without one."""
        video = (self._call.outcome or {}).get("video") or {}
        ids = {str(value) for value in video.values()} if isinstance(video, Mapping) else set[str]()
        named = [job for job in self._about if job in ids]
        answered = [_job_of(create) for create in self._call.made]
        return next(iter([*named, *reversed(answered)]), "")

    def _last_look(self, last: Exchange) -> str:
        if self._is_over:
            end = f"with {self._outcome}" if self._outcome else "without a result"
            return f"the client gave it up {end} after {_answer(last)} to {line(last)}"
        if last.operation == "create":
            return f"made {self._ago(last)}, and not asked for since"
        return f"last asked for {self._ago(last)}, and answered {last.state or _answer(last)}"

    def _ago(self, exchange: Exchange) -> str:
        return f"{max(self._now - exchange.at, 0.0) / self._call.pace:.0f} s ago"


def _job_of(exchange: Exchange) -> str:
    if exchange.operation == "create":
        return exchange.job or exchange.shown.id
    if exchange.operation in ("retrieve", "content", "delivery"):
        return exchange.job or exchange.requested_id
    return ""


def _may_have_made(create: Exchange) -> bool:
    """Return whether a create may have made a job that the traffic does not show."""
    is_bare = create.succeeded and not create.body_known
    return not _job_of(create) and (is_bare or is_ambiguous(create))


def _end_of(exchange: Exchange) -> str:
    """Return how the job has ended that a response shows: success, failure, or ""."""
    if exchange.operation not in ("create", "retrieve"):
        return ""
    if exchange.shown.ended:
        return exchange.shown.meaning
    # A response may also show an end in a word that only this server knows.
    is_success = bool(exchange.state) and exchange.job_status == "completed"
    return "success" if is_success else ""


def _answer(exchange: Exchange) -> str:
    if not exchange.status:
        return "nothing"
    whole = "" if exchange.whole else "an incomplete "
    return f"{whole}{exchange.status}"
