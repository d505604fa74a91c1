"""Rules about a call that outlives its client: after a kill, or when the same call comes again after its outcome.

Each breach has one name: a second job is not also a job that was left, and within one start the rules of the other
modules judge.
"""

from __future__ import annotations

from typing import Final

from mockveo.rules.engine import Breach, Checks, breach
from mockveo.rules.outcome import may_mean_failure, reported
from mockveo.rules.trace import CallTrace, Restart
from mockveo.traffic.exchange import Exchange

checks: Final = Checks[CallTrace]()

#: Operation -> what its request is called.
_NOUNS: Final = {"create": "create", "retrieve": "poll", "content": "download", "delivery": "download"}


@checks.check("resume-own-job")
def resume_own_job(call: CallTrace) -> list[Breach] | None:
    restart, word = call.restart, reported(call)
    # A client that makes another job breaks one of the rules below.
    if restart is None or not restart.made or call.creates or not word:
        return None
    create = restart.made[-1]
    requests = call.of("retrieve", "content", "delivery")
    own = [request for request in requests if request.job == create.job or request.requested_id in create.shown.ids]
    if restart.end is None:
        # The rules about false ends judge a client that asks for nothing and reports one.
        is_kept = bool(own) or (word in ("completed", "failed") and not requests)
    else:
        is_kept = not _hides_end(restart.end, word, requests)
    if is_kept or (restart.damaged and word == "error"):
        return []
    job, state = create.shown.id, "still running"
    if restart.end is not None:
        state = f"known to be {restart.end.state!r}"
    others = [request.requested_id for request in requests if request not in own]
    asked = f"asked for {others[0]} instead of that job," if others else "did not ask for that job,"
    if own:
        asked = "asked for that job"
    message = f"{_before(restart)}, with its job {job} {state}; {_then(restart)} it {asked} and reported {word!r}"
    return [breach(message, *_shown(create, restart.kill), *requests[:1])]


def _hides_end(end: Exchange, word: str, fetches: list[Exchange]) -> bool:
    """Return whether an outcome hides an end that was answered before; the rules about false ends judge the others."""
    if end.shown.meaning == "failure":
        return word == "timeout"
    # A download that fails, or takes too long, may be reported instead.
    failed = any(fetch.status not in (200, 206) or not fetch.whole for fetch in fetches)
    return word in ("error", "timeout") and not failed and not (word == "timeout" and fetches)


@checks.check("no-recreate-after-crash")
def no_recreate_after_crash(call: CallTrace) -> list[Breach] | None:
    restart = call.restart
    if restart is None or not restart.killed or not restart.made:
        return None
    return _second_jobs(call, restart)


@checks.check("no-second-job")
def no_second_job(call: CallTrace) -> list[Breach] | None:
    restart = call.restart
    if restart is None or restart.killed or not restart.made:
        return None
    # Once a job has failed, its caller may want another one.
    if restart.end is not None and restart.end.shown.meaning == "failure":
        return None
    return _second_jobs(call, restart)


def _second_jobs(call: CallTrace, restart: Restart) -> list[Breach]:
    """Return the breach of a start that sent the create again."""
    if not call.creates:
        return []
    first, second = restart.made[-1], call.creates[0]
    has_ended = restart.end is not None and restart.end.job == first.job
    state = f"which had been answered as {restart.end.state!r}" if restart.end and has_ended else "which was running"
    message = f"{_before(restart)}, after its create had been answered with the job {first.shown.id}, {state}; "
    message += f"{_then(restart)} it sent the create again{_made(second)}: {_jobs(call, restart)}"
    return [breach(message, first, restart.kill or restart.earlier[-1], second)]


@checks.check("ambiguous-create-told")
def ambiguous_create_told(call: CallTrace) -> list[Breach] | None:
    restart = call.restart
    if restart is None or not restart.killed or restart.made or restart.kill is None:
        return None
    if restart.kill.operation != "create":
        return None
    if not call.creates:
        return []
    second = call.creates[0]
    message = (
        f"{_before(restart)}, so it cannot know whether that made a job; {_then(restart)} it sent the create again"
        f"{_made(second)}, without reporting that to its caller: {_jobs(call, restart)}"
    )
    return [breach(message, restart.kill, second)]


@checks.check("deadline-not-failed")
def deadline_not_failed(call: CallTrace) -> list[Breach] | None:
    word, outcome = reported(call), call.outcome or {}
    if not call.ids or call.end is not None or call.case is None:
        return None
    last = call.history[-1]
    if word == "failed" and call.out_of_time():
        if any(may_mean_failure(exchange) for exchange in call.of_history("create", "retrieve")):
            return None
        message = f"the client's own deadline passed, and it reported 'failed'; its job {call.ids[-1]} still runs"
        return [breach(message, last)]
    if word != "timeout":
        return [] if word == "error" and call.out_of_time() else None
    # An exit status has no room for an id.
    if "exit_status" in outcome or (outcome.get("video") or {}).get("id"):
        return []
    message = f"the client reported 'timeout' without the id of its job {call.ids[-1]}, which runs on and is paid for"
    return [breach(message, last)]


def _before(restart: Restart) -> str:
    """Return what happened to the client before it got the call again."""
    kill = restart.kill
    if not restart.killed or kill is None:
        return f"the client reported {restart.reported!r}"
    noun = _NOUNS.get(kill.operation, "request")
    number = len([other for other in restart.earlier if other.operation == kill.operation])
    which = f"its {noun}" if number == 1 else f"{noun} {number}"
    if kill.status:
        return f"the client was killed in the middle of {which}"
    return f"the client was killed before {which} was answered"


def _then(restart: Restart) -> str:
    return "started again," if restart.killed else "asked for the same call again,"


def _made(create: Exchange) -> str:
    return f", which made {create.job}" if create.job else ""


def _jobs(call: CallTrace, restart: Restart) -> str:
    """Return how many jobs were made for the one call."""
    creates = [exchange for exchange in restart.earlier if exchange.operation == "create"]
    count = len({create.job for create in (*creates, *call.creates) if create.job})
    if count < 2:
        return "there might have been two jobs for one call"
    return f"{count} jobs are paid for one call"


def _shown(*exchanges: Exchange | None) -> list[Exchange]:
    return [exchange for exchange in exchanges if exchange is not None]
