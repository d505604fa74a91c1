"""Rules about the lifecycle of a job: about all responses that show it, in order."""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import Any, Final

from mockveo.rules.engine import Breach, Checks, breach
from mockveo.spec.job_statuses import FAILURE, SUCCESS
from mockveo_contracts.servers.exchanges import Conversation, SentExchange

checks: Final = Checks[Conversation]()

#: Tolerance of `created_at` against the Date of the same response. Arbitrary.
DATE_TOLERANCE_S: Final = 60
#: A hint for jobs that come and go.
REPLICAS: Final = "; are there several replicas without shared state?"
#: The same against our own clock, without a Date. Arbitrary: the clocks of two machines.
CLOCK_TOLERANCE_S: Final = 600


def _lifecycles(conversation: Conversation, *, minimum: int = 1) -> list[list[SentExchange]]:
    return [lifecycle for lifecycle in conversation.lifecycles.values() if len(lifecycle) >= minimum]


def _shown(conversation: Conversation) -> Iterator[SentExchange]:
    """Yield the responses that show a job of ours."""
    for lifecycle in conversation.lifecycles.values():
        yield from lifecycle


@checks.check("id-unique")
def id_unique(conversation: Conversation) -> list[Breach] | None:
    ids = set(conversation.earlier_ids)
    creates = [exchange for exchange in conversation.exchanges if exchange.made]
    breaches = []
    for create in creates:
        if create.made in ids:
            breaches.append(breach(f"the create returned {create.made}, the id of another job", create))
        ids.add(create.made)
    return breaches if creates else None


@checks.check("id-agrees")
def id_agrees(conversation: Conversation) -> list[Breach] | None:
    breaches = []
    for job, lifecycle in conversation.lifecycles.items():
        for exchange in lifecycle:
            ids = {name: exchange.members.get(name) for name in ("id", "task_id")}
            wrong = [name for name, value in ids.items() if value is not None and str(value) != job]
            breaches += [breach(f"{name} is {ids[name]!r}; expected {job!r}", exchange) for name in wrong]
    return breaches if conversation.lifecycles else None


@checks.check("starts-queued")
def starts_queued(conversation: Conversation) -> list[Breach] | None:
    first = conversation.spec.lifecycle[0]
    breaches = []
    for create in conversation.creates.values():
        if create.state and create.state != first:
            breaches.append(breach(f"the create returned the status {create.state}; expected {first}", create))
        elif create.progress:
            breaches.append(breach(f"the create returned progress {create.progress}; expected 0", create))
    return breaches if conversation.creates else None


@checks.check("status-order")
def status_order(conversation: Conversation) -> list[Breach] | None:
    order = conversation.spec.lifecycle[:-1]
    lifecycles = _lifecycles(conversation, minimum=2)
    breaches = []
    for lifecycle in lifecycles:
        running = [exchange for exchange in lifecycle if exchange.state in order]
        breaches += [
            breach(f"the status goes from {before.state} back to {after.state}", before, after)
            for before, after in pairwise(running)
            if order.index(after.state) < order.index(before.state)
        ]
    return breaches if lifecycles else None


@checks.check("status-final")
def status_final(conversation: Conversation) -> list[Breach] | None:
    pairs = [
        (before, after)
        for lifecycle in _lifecycles(conversation, minimum=2)
        for before, after in pairwise(lifecycle)
        if before.shown.ended
    ]
    breaches = [
        breach(f"the job has ended, but changes from {_status(before)} to {_status(after)}", before, after)
        for before, after in pairs
        if (after.state, after.progress) != (before.state, before.progress)
    ]
    return breaches if pairs else None


def _status(exchange: SentExchange) -> str:
    return f"{exchange.state or 'no status'} {exchange.progress} %"


@checks.check("progress-order")
def progress_order(conversation: Conversation) -> list[Breach] | None:
    lifecycles = _lifecycles(conversation, minimum=2)
    breaches = []
    for lifecycle in lifecycles:
        with_progress = [exchange for exchange in lifecycle if exchange.progress is not None]
        breaches += [
            breach(f"progress goes from {before.progress} back to {after.progress}", before, after)
            for before, after in pairwise(with_progress)
            if (after.progress or 0) < (before.progress or 0) and not before.shown.ended
        ]
    return breaches if lifecycles else None


@checks.check("progress-complete")
def progress_complete(conversation: Conversation) -> list[Breach] | None:
    breaches, exercised = [], False
    for exchange in _shown(conversation):
        progress, state = exchange.progress, exchange.state
        if progress is None or state in FAILURE or state not in conversation.spec.statuses:
            continue
        exercised = True
        if state in SUCCESS and progress != 100:
            breaches.append(breach(f"progress is {progress} while {state}; expected 100", exchange))
        elif state not in SUCCESS and progress >= 100:
            breaches.append(breach(f"progress is {progress} while {state}; expected less than 100", exchange))
    return breaches if exercised else None


@checks.check("progress-start")
def progress_start(conversation: Conversation) -> list[Breach] | None:
    first = conversation.spec.lifecycle[0]
    polls = [
        exchange
        for exchange in _shown(conversation)
        if exchange.state == first and exchange.operation == "retrieveVideo"
    ]
    breaches = [
        breach(f"progress is {poll.progress} while {first}; expected 0", poll) for poll in polls if poll.progress
    ]
    return breaches if polls else None


@checks.check("job-ends")
def job_ends(conversation: Conversation) -> list[Breach] | None:
    exercised = any(exchange.shown.ended for exchange in _shown(conversation))
    breaches = []
    for job, seconds in conversation.unended.items():
        lifecycle = conversation.lifecycles.get(job, [])
        latest = _status(lifecycle[-1]) if lifecycle else "no response shows it"
        breaches.append(breach(f"the job has not ended after {seconds:.0f} s: {latest}", *lifecycle[-1:]))
    return breaches if breaches or exercised else None


@checks.check("job-known")
def job_known(conversation: Conversation) -> list[Breach] | None:
    breaches, exercised = [], False
    for job, lifecycle in conversation.lifecycles.items():
        polls = _polls(conversation, job)
        first = next((poll for poll in polls if poll.status == 200), None)
        later = [poll for poll in polls if first and poll.number > first.number]
        exercised = exercised or bool(later)
        lost = next((poll for poll in later if poll.status in (400, 404, 410)), None)
        if lost is not None:
            message = f"the job was {lifecycle[-1].state}, but a later poll is answered with {lost.status}{REPLICAS}"
            breaches.append(breach(message, lifecycle[-1], lost))
    return breaches if exercised else None


def _polls(conversation: Conversation, job: str) -> list[SentExchange]:
    """Return the polls of a job with our key."""
    return [poll for poll in conversation.of("retrieveVideo") if poll.job == job and poll.key == "ours"]


@checks.check("visible-at-once")
def visible_at_once(conversation: Conversation) -> list[Breach] | None:
    breaches, exercised = [], False
    for job, create in conversation.creates.items():
        polls = _polls(conversation, job)
        exercised = exercised or bool(polls)
        if polls and polls[0].status in (400, 404):
            recovered = any(poll.status == 200 for poll in polls)
            later = f"a later poll does{REPLICAS}" if recovered else "no later poll does either"
            message = f"the first poll does not find the job ({polls[0].status}); {later}"
            breaches.append(breach(message, create, polls[0]))
    return breaches if exercised else None


@checks.check("model-answered")
def model_answered(conversation: Conversation) -> list[Breach] | None:
    breaches, exercised = [], False
    for job, create in conversation.creates.items():
        alias = _sent_model(conversation, create)
        expected = (conversation.spec.aliases or {}).get(str(alias))
        shown = [
            exchange for exchange in conversation.lifecycles[job] if isinstance(exchange.members.get("model"), str)
        ]
        if expected is None or not shown:
            continue
        exercised = True
        wrong = next((exchange for exchange in shown if exchange.members["model"] != expected), None)
        if wrong is not None:
            actual = wrong.members["model"]
            # The targets of other aliases than the default are assumed; that aliases are resolved is not.
            lenient = alias not in (expected, actual)
            message = f"the create asked for {alias}, the response has {actual!r}; expected {expected!r}"
            breaches.append(breach(message, wrong, lenient=lenient))
    return breaches if exercised else None


def _sent_model(conversation: Conversation, create: SentExchange) -> Any:
    form = conversation.spec.operations["createVideo"].form
    default = form.defaults.get("model") if form else None
    return dict(create.body.fields).get("model", default) if create.body else default


@checks.check("model-stable")
def model_stable(conversation: Conversation) -> list[Breach] | None:
    return _changes(conversation, "model")


@checks.check("created-at-stable")
def created_at_stable(conversation: Conversation) -> list[Breach] | None:
    return _changes(conversation, "created_at")


def _changes(conversation: Conversation, name: str) -> list[Breach] | None:
    """Return the first change of a field in each lifecycle."""
    breaches, exercised = [], False
    for lifecycle in _lifecycles(conversation, minimum=2):
        with_field = [exchange for exchange in lifecycle if name in exchange.members]
        exercised = exercised or len(with_field) > 1
        for before, after in pairwise(with_field):
            if before.members[name] != after.members[name]:
                change = f"{before.members[name]!r} to {after.members[name]!r}"
                breaches.append(breach(f"{name} changes from {change}", before, after))
                break
    return breaches if exercised else None


@checks.check("size-answered")
def size_answered(conversation: Conversation) -> list[Breach] | None:
    breaches, exercised = [], False
    for job, create in conversation.creates.items():
        expected = dict(create.body.fields).get("size") if create.body else None
        with_size = [exchange for exchange in conversation.lifecycles[job] if "size" in exchange.members]
        if not expected or not with_size:
            continue
        exercised = True
        wrong = next((exchange for exchange in with_size if exchange.members["size"] != expected), None)
        if wrong is not None:
            message = f"size is {wrong.members['size']!r}; expected {expected!r}, as sent"
            breaches.append(breach(message, create, wrong))
    return breaches if exercised else None


@checks.check("created-at")
def created_at(conversation: Conversation) -> list[Breach] | None:
    creates = [create for create in conversation.creates.values() if _is_date(create.members.get("created_at"))]
    breaches = []
    for create in creates:
        actual = create.members["created_at"]
        expected, tolerance_s = _date(create)
        if abs(actual - expected) > tolerance_s:
            breaches.append(breach(f"created_at is {actual}; expected {expected:.0f}, the time of the create", create))
    return breaches if creates else None


def _date(exchange: SentExchange) -> tuple[float, float]:
    """Return the time of a response, in Unix seconds, and its tolerance."""
    try:
        return parsedate_to_datetime(exchange.answer_headers["date"]).timestamp(), DATE_TOLERANCE_S
    except (KeyError, ValueError):
        return exchange.time, CLOCK_TOLERANCE_S


@checks.check("completed-at")
def completed_at(conversation: Conversation) -> list[Breach] | None:
    breaches, exercised = [], False
    for lifecycle in _lifecycles(conversation):
        completed = [
            exchange
            for exchange in lifecycle
            if exchange.shown.meaning == "success" and _is_date(exchange.members.get("completed_at"))
        ]
        exercised = exercised or bool(completed)
        problems = (_completed_at_problem(lifecycle, completed[0], exchange) for exchange in completed)
        breaches += [problem for problem in problems if problem][:1]
    return breaches if exercised else None


def _completed_at_problem(lifecycle: list[SentExchange], first: SentExchange, exchange: SentExchange) -> Breach | None:
    dates = [shown.members["created_at"] for shown in lifecycle if _is_date(shown.members.get("created_at"))]
    actual, before = exchange.members["completed_at"], first.members["completed_at"]
    if dates and actual < dates[0]:
        return breach(f"completed_at is {actual}, before created_at, {dates[0]}", exchange)
    if actual != before:
        return breach(f"completed_at changes from {before} to {actual}", first, exchange)
    return None


@checks.check("completed-at-early")
def completed_at_early(conversation: Conversation) -> list[Breach] | None:
    if "completed_at" not in _poll_fields(conversation):
        return None
    running = [exchange for exchange in _shown(conversation) if exchange.state and not exchange.shown.ended]
    breaches = [
        breach(f"completed_at is {exchange.members['completed_at']!r} while {exchange.state}", exchange)
        for exchange in running
        if exchange.members.get("completed_at") is not None
    ]
    return breaches[:1] if running else None


def _poll_fields(conversation: Conversation) -> list[str]:
    success = conversation.spec.operations["retrieveVideo"].success
    return success.names if success else []


@checks.check("failed-error")
def failed_error(conversation: Conversation) -> list[Breach] | None:
    if "error" not in _poll_fields(conversation):
        return None
    failed = next((exchange for exchange in _shown(conversation) if exchange.shown.meaning == "failure"), None)
    if failed is None:
        return None
    error = failed.members.get("error")
    if isinstance(error, dict) and error.get("message"):
        return []
    return [breach(f"error of the {failed.state} job is {error!r}; expected {{code, message}}", failed)]


def _is_date(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
