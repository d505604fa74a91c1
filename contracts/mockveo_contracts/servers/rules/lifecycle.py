"""Checks of the course of a job: of all answers that tell of it, in the order they came."""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import Any, Final

from mockveo.rules.engine import Breach, Checks, breach
from mockveo.rules.trace import FAILURE, SUCCESS
from mockveo_contracts.servers.exchanges import Conversation, SentExchange

checks: Final = Checks[Conversation]()

#: Seconds that `created_at` may be off: the Date of the same answer, or our own clock where there is none.
OFF_DATE: Final = 60
OFF_OURS: Final = 600


def _courses(conversation: Conversation, *, least: int = 1) -> list[list[SentExchange]]:
    return [course for course in conversation.courses.values() if len(course) >= least]


@checks.check("id-unique")
def id_unique(conversation: Conversation) -> list[Breach] | None:
    """An id that was given twice."""
    seen = set(conversation.earlier)
    creates = [one for one in conversation.exchanges if one.made]
    found = []
    for one in creates:
        if one.made in seen:
            found.append(breach(f"the create is answered with {one.made}, which another job has", one))
        seen.add(one.made)
    return found if creates else None


@checks.check("id-agrees")
def id_agrees(conversation: Conversation) -> list[Breach] | None:
    """Ids that are not the job's."""
    found = []
    told = [(job, one) for job, course in conversation.courses.items() for one in course]
    for job, one in told:
        wrong = [name for name in ("id", "task_id") if name in one.answer and one.answer[name] != job]
        found += [breach(f"{name} is {one.answer[name]!r}; wanted {job!r}", one) for name in wrong]
    return found if told else None


@checks.check("starts-queued")
def starts_queued(conversation: Conversation) -> list[Breach] | None:
    """Creates that tell of more than a beginning."""
    first = conversation.spec.lifecycle[0]
    found = []
    for one in conversation.creates.values():
        if one.state and one.state != first:
            found.append(breach(f"the create is answered with the status {one.state}; wanted {first}", one))
        elif one.progress:
            found.append(breach(f"the create is answered with progress {one.progress}; wanted 0", one))
    return found if conversation.creates else None


@checks.check("status-order")
def status_order(conversation: Conversation) -> list[Breach] | None:
    """A status on the way that comes before the one that was there already."""
    way = conversation.spec.lifecycle[:-1]
    found = []
    courses = _courses(conversation, least=2)
    for course in courses:
        ranked = [one for one in course if one.state in way]
        found += [
            breach(f"the status goes from {before.state} back to {after.state}", before, after)
            for before, after in pairwise(ranked)
            if way.index(after.state) < way.index(before.state)
        ]
    return found if courses else None


@checks.check("status-final")
def status_final(conversation: Conversation) -> list[Breach] | None:
    """A job that has ended, and goes on or ends otherwise."""
    found, seen = [], False
    for course in _courses(conversation, least=2):
        for before, after in pairwise(course):
            if before.state in SUCCESS | FAILURE:
                seen = True
                if (after.state, after.progress) != (before.state, before.progress):
                    told = f"{before.state} {before.progress} % becomes {after.state or 'nothing'} {after.progress} %"
                    found.append(breach(f"the job has ended, and {told}", before, after))
    return found if seen else None


@checks.check("progress-order")
def progress_order(conversation: Conversation) -> list[Breach] | None:
    """Progress that goes back."""
    found = []
    courses = _courses(conversation, least=2)
    for course in courses:
        found += [
            breach(f"progress goes from {before.progress} back to {after.progress}", before, after)
            for before, after in pairwise([one for one in course if one.progress is not None])
            if (after.progress or 0) < (before.progress or 0) and before.state not in SUCCESS | FAILURE
        ]
    return found if courses else None


@checks.check("progress-complete")
def progress_complete(conversation: Conversation) -> list[Breach] | None:
    """100 before the end, or another number with it."""
    found, seen = [], False
    for one in _told(conversation):
        if one.progress is None or one.state in FAILURE or one.state not in conversation.spec.statuses:
            continue
        seen = True
        if one.state in SUCCESS and one.progress != 100:
            found.append(breach(f"completed, with progress {one.progress}; wanted 100", one))
        elif one.state not in SUCCESS and one.progress >= 100:
            found.append(breach(f"progress is {one.progress} while {one.state}; wanted less", one))
    return found if seen else None


@checks.check("progress-start")
def progress_start(conversation: Conversation) -> list[Breach] | None:
    """Queued jobs that have gone on already."""
    first = conversation.spec.lifecycle[0]
    seen = [one for one in _told(conversation) if one.state == first and one.operation == "retrieveVideo"]
    return [breach(f"progress is {one.progress} while {first}; wanted 0", one) for one in seen if one.progress] or (
        [] if seen else None
    )


@checks.check("job-ends")
def job_ends(conversation: Conversation) -> list[Breach] | None:
    """Jobs that have not ended in the time they were given."""
    ended = [course for course in _courses(conversation) if any(one.state in SUCCESS | FAILURE for one in course)]
    found = []
    for job, seconds in conversation.unended.items():
        course = conversation.courses.get(job, [])
        last = course[-1] if course else None
        told = f"{last.state or 'no status'} {last.progress} %" if last else "nothing is told of it"
        found.append(breach(f"after {seconds:.0f} s the job has not ended: {told}", *([last] if last else [])))
    return found if found or ended else None


@checks.check("job-known")
def job_known(conversation: Conversation) -> list[Breach] | None:
    """Jobs that are forgotten."""
    found, seen = [], False
    for job, course in conversation.courses.items():
        polls = [one for one in conversation.of("retrieveVideo") if one.job == job and one.key == "ours"]
        first = next((one for one in polls if one.status == 200), None)
        later = [one for one in polls if first and one.number > first.number]
        seen = seen or bool(later)
        lost = next((one for one in later if one.status in (400, 404, 410)), None)
        if lost is not None:
            found.append(
                breach(f"the job was {course[-1].state}, and is answered with {lost.status} now", course[-1], lost)
            )
    return found if seen else None


@checks.check("visible-at-once")
def visible_at_once(conversation: Conversation) -> list[Breach] | None:
    """Jobs that the first poll does not find."""
    found, seen = [], False
    for job, create in conversation.creates.items():
        polls = [one for one in conversation.of("retrieveVideo") if one.job == job and one.key == "ours"]
        seen = seen or bool(polls)
        if polls and polls[0].status in (400, 404):
            again = next((one for one in polls if one.status == 200), None)
            told = "a later one does" if again else "no later one does either"
            problem = f"the first poll does not find the job ({polls[0].status}); {told}"
            found.append(breach(problem, create, polls[0]))
    return found if seen else None


@checks.check("model-answered")
def model_answered(conversation: Conversation) -> list[Breach] | None:
    """Another model than the alias stands for."""
    aliases = conversation.spec.aliases or {}
    form = conversation.spec.operations["createVideo"].form
    default = form.defaults.get("model") if form else None
    found, seen = [], False
    for job, create in conversation.creates.items():
        sent = dict(create.body.fields).get("model", default) if create.body else default
        wanted = aliases.get(str(sent))
        if wanted is None:
            continue
        for one in conversation.courses[job]:
            told = one.answer.get("model")
            if isinstance(told, str):
                seen = True
                if told != wanted:
                    # What other aliases than the default stand for is assumed; that they are resolved is not.
                    lenient = sent not in (wanted, told)
                    message = f"{sent} was asked for, the answer has {told!r}; wanted {wanted!r}"
                    found.append(breach(message, one, lenient=lenient))
                    break
    return found if seen else None


@checks.check("model-stable")
def model_stable(conversation: Conversation) -> list[Breach] | None:
    """A model that changes."""
    return _stable(conversation, "model")


@checks.check("created-at-stable")
def created_at_stable(conversation: Conversation) -> list[Breach] | None:
    """A date that changes."""
    return _stable(conversation, "created_at")


def _stable(conversation: Conversation, name: str) -> list[Breach] | None:
    found, seen = [], False
    for course in _courses(conversation, least=2):
        told = [one for one in course if name in one.answer]
        seen = seen or len(told) > 1
        for before, after in pairwise(told):
            if before.answer[name] != after.answer[name]:
                change = f"{before.answer[name]!r} to {after.answer[name]!r}"
                found.append(breach(f"{name} changes from {change}", before, after))
                break
    return found if seen else None


@checks.check("size-answered")
def size_answered(conversation: Conversation) -> list[Breach] | None:
    """Another size than was sent."""
    found, seen = [], False
    for job, create in conversation.creates.items():
        sent = dict(create.body.fields).get("size") if create.body else None
        told = [one for one in conversation.courses[job] if "size" in one.answer]
        seen = seen or bool(sent and told)
        wrong = next((one for one in told if sent and one.answer["size"] != sent), None)
        if wrong is not None:
            found.append(breach(f"size is {wrong.answer['size']!r}; wanted {sent!r}, as sent", create, wrong))
    return found if seen else None


@checks.check("created-at")
def created_at(conversation: Conversation) -> list[Breach] | None:
    """A date far from the create."""
    found, seen = [], False
    for create in conversation.creates.values():
        told = create.answer.get("created_at")
        if not isinstance(told, int) or isinstance(told, bool):
            continue
        seen = True
        date, off = _date(create)
        if abs(told - date) > off:
            found.append(breach(f"created_at is {told}, the create was at {date:.0f}", create))
    return found if seen else None


def _date(one: SentExchange) -> tuple[float, float]:
    """When an answer was sent, in Unix seconds, and how far off that may be."""
    try:
        return parsedate_to_datetime(one.answer_headers["date"]).timestamp(), OFF_DATE
    except (KeyError, ValueError):
        return one.time, OFF_OURS


@checks.check("completed-at")
def completed_at(conversation: Conversation) -> list[Breach] | None:
    """A completion before the creation, or one that moves."""
    found, seen = [], False
    for course in _courses(conversation):
        created = next((one.answer["created_at"] for one in course if _is_date(one.answer.get("created_at"))), None)
        told = [one for one in course if one.state in SUCCESS and _is_date(one.answer.get("completed_at"))]
        seen = seen or bool(told)
        for one in told:
            at = one.answer["completed_at"]
            if created is not None and at < created:
                found.append(breach(f"completed_at is {at}, before created_at, {created}", one))
                break
            if at != told[0].answer["completed_at"]:
                found.append(
                    breach(f"completed_at changes from {told[0].answer['completed_at']} to {at}", told[0], one)
                )
                break
    return found if seen else None


@checks.check("completed-at-early")
def completed_at_early(conversation: Conversation) -> list[Breach] | None:
    """A completion that is told of a job under way."""
    if "completed_at" not in _poll_fields(conversation):
        return None
    seen = [one for one in _told(conversation) if one.state and one.state not in SUCCESS | FAILURE]
    return [
        breach(f"completed_at is {one.answer['completed_at']!r} while {one.state}", one)
        for one in seen
        if one.answer.get("completed_at") is not None
    ][:1] or ([] if seen else None)


def _poll_fields(conversation: Conversation) -> list[str]:
    success = conversation.spec.operations["retrieveVideo"].success
    return success.names if success else []


@checks.check("failed-error")
def failed_error(conversation: Conversation) -> list[Breach] | None:
    """A failure without a reason."""
    if "error" not in _poll_fields(conversation):
        return None
    seen = [one for one in _told(conversation) if one.state in FAILURE]
    found = []
    for one in seen[:1]:
        error = one.answer.get("error")
        if not isinstance(error, dict) or not error.get("message"):
            found.append(breach(f"the job is {one.state}, and error is {error!r}; wanted {{code, message}}", one))
    return found if seen else None


def _told(conversation: Conversation) -> Iterator[SentExchange]:
    for course in conversation.courses.values():
        yield from course


def _is_date(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
