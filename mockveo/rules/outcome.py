"""Rules about what a client makes of it all: they need to know what was asked of it and what it said came of it."""

from __future__ import annotations

import re
from typing import Any, Final

from mockveo.rules.engine import Breach, Checks, breach
from mockveo.rules.sequence import seconds_to_wait
from mockveo.rules.trace import FAILURE, GOING, SUCCESS, CallTrace
from mockveo.traffic.exchange import Exchange

checks: Final = Checks[CallTrace]()

#: Statuses of other dialects that mean a success, a failure or neither, for those that a page does not name.
OTHER_SUCCESS = SUCCESS | {"success", "succeeded"}
OTHER_FAILURE = FAILURE | {"failure", "expired", "cancelled", "canceled"}


def said(story: CallTrace) -> str:
    """What the client said came of it: completed, failed, timeout, error; empty where it said nothing."""
    return str((story.outcome or {}).get("outcome") or "")


def reason(story: CallTrace) -> str:
    """What the client said of an error."""
    error = (story.outcome or {}).get("error")
    return " ".join(map(str, error.values())) if isinstance(error, dict) else str(error or "")


def last_told(story: CallTrace) -> Exchange | None:
    """The last answer of a create or a poll that showed a status."""
    return next((one for one in reversed(story.of("create", "retrieve")) if one.state), None)


@checks.check("key-in-output")
def key_in_output(story: CallTrace) -> list[Breach] | None:
    if story.outcome is None:
        return None
    return [Breach(f"the key was in {place}") for place in story.outcome.get("leaks", ())]


@checks.check("poll-until-terminal")
def poll_until_terminal(story: CallTrace) -> list[Breach] | None:
    last = last_told(story)
    if not said(story) or not story.made or last is None:
        return None
    if last.state not in GOING:
        return []
    # What a client says of its own deadline may be an error too.
    if said(story) == "timeout" or (said(story) == "error" and story.out_of_time()):
        return []
    after = [one for one in story.polls if one.number > last.number]
    if said(story) != "completed" and any(one.transient or one.status >= 300 for one in after):
        return []
    return [breach(f"it ended with {said(story)!r} when the job was last told to be {last.state!r}", last)]


@checks.check("no-false-success")
def no_false_success(story: CallTrace) -> list[Breach] | None:
    if said(story) != "completed":
        return [] if said(story) else None
    if any(one.state and (one.state in SUCCESS or one.job_status == "completed") for one in _told(story)):
        return []
    last = last_told(story)
    what = f"the job was last told to be {last.state!r}" if last else "no answer had told of a job"
    return [breach(f"it reported 'completed' when {what}", *([last] if last else []))]


@checks.check("report-failed")
def report_failed(story: CallTrace) -> list[Breach] | None:
    end = story.end
    if story.outcome is None or end is None or end.state not in FAILURE:
        return None
    if said(story) in ("failed", "error"):
        return []
    return [breach(f"the job was told to be {end.state!r}, it reported {said(story) or 'nothing'!r}", end)]


@checks.check("report-completed")
def report_completed(story: CallTrace) -> list[Breach] | None:
    end = story.end
    if story.outcome is None or end is None or end.state not in SUCCESS:
        return None
    fetched = story.of("content", "delivery")
    troubled = any(one.status not in (200, 206) or not one.whole for one in fetched)
    # A deadline may pass in the middle of a download.
    if said(story) == "completed" or (said(story) == "error" and troubled) or (said(story) == "timeout" and fetched):
        return []
    return [breach(f"the job was told to be {end.state!r}, it reported {said(story) or 'nothing'!r}", end)]


@checks.check("result-id")
def result_id(story: CallTrace) -> list[Breach] | None:
    given = _video(story).get("id")
    if given is None or not story.ids:
        return None
    return [] if given in story.ids else [Breach(f"the result's id is {given!r}, wanted {story.ids[-1]!r}")]


@checks.check("result-model")
def result_model(story: CallTrace) -> list[Breach] | None:
    given = _video(story).get("model")
    answered = [one.body["model"] for one in _told(story) if one.body.get("model")]
    if given is None or not answered:
        return None
    return [] if given in answered else [Breach(f"the result's model is {given!r}, answers said {answered[-1]!r}")]


@checks.check("content-exact")
def content_exact(story: CallTrace) -> list[Breach] | None:
    stored = (story.outcome or {}).get("content")
    if stored is None:
        return _not_fetched(story)
    fetched = [one for one in story.of("content", "delivery") if not _OTHER_VARIANT.search(one.query)]
    whole = [_sha256(one) for one in fetched if one.status == 200 and one.whole]
    # What came in pieces is known by its ETag, which this server makes of the whole's hash.
    pieces = [one.answer_headers.get("etag", "").strip('"') for one in fetched if one.status == 206]
    if stored["sha256"] in whole or any(tag and stored["sha256"].startswith(tag) for tag in pieces):
        return []
    error = next((one for one in story.exchanges if stored["sha256"] == _sha256(one)), None)
    if error is not None and error.status == 200 and error.whole:
        asked = f"{error.method} {error.path}?{error.query}".rstrip("?")
        return [breach(f"what was stored is not the video, but the answer to {asked}", error)]
    if error is not None:
        cut = "" if error.whole else " that broke off"
        return [breach(f"what was stored is the body of an answer of {error.status}{cut}", error)]
    return [Breach(f"the {stored['bytes']} bytes that were stored are not those of any whole answer")]


def _not_fetched(story: CallTrace) -> list[Breach] | None:
    """What is wrong where nothing was stored: who declares to fetch videos is to try it, at least."""
    end = story.end
    done = end is not None and end.state in SUCCESS and said(story) == "completed"
    if not done or not story.features.get("content") or story.case is None or story.of("content", "delivery"):
        return None
    what = "the job completed, and the video was not asked for, though the client declares `content`"
    return [breach(what, *([end] if end else []))]


#: A query that asks for something else than the video.
_OTHER_VARIANT = re.compile(r"(?:^|&)variant=(?!video(?:&|$))")


@checks.check("survive-transient")
def survive_transient(story: CallTrace) -> list[Breach] | None:
    met = [
        one
        for one in story.of("retrieve", "content", "delivery")
        if one.transient and not (one.status == 200 and one.whole)
    ]
    if not met or not said(story):
        return None
    given_up = met[-1] if met[-1] is story.exchanges[-1] else None
    # Of a job that completed too, if its download failed; what was stored all the same, `content-exact` judges.
    stored = (story.outcome or {}).get("content") is not None
    unfetched = given_up is not None and given_up.operation != "retrieve" and not stored
    fine = ("timeout",) if unfetched else ("completed", "timeout")
    if given_up is None or said(story) in fine or len(met) >= _PATIENCE[given_up.operation]:
        return []
    if story.out_of_time(seconds_to_wait(given_up) or 0.0):
        return []
    what = f"an answer of {given_up.status}" if given_up.status and given_up.whole else "a connection that broke"
    return [breach(f"it gave up with {said(story)!r} after {what} that may pass", given_up)]


#: Troubles that a client may have had enough of: who gives up a poll loses a job that is paid for, while a video that
#: could not be fetched stays where it is.
_PATIENCE = {"retrieve": 5, "content": 3, "delivery": 3}
#: Times its deadline that a client may still ask after.
_LATE = 1.1


@checks.check("deadline")
def deadline(story: CallTrace) -> list[Breach] | None:
    limit, outcome = (story.case or {}).get("deadline_s"), story.outcome or {}
    if not story.features.get("deadline") or limit is None or not (said(story) or outcome.get("ended_by")):
        return None
    if outcome.get("ended_by"):
        return [Breach(f"it had not given up {outcome['ended_by']} after its deadline of {limit} s")]
    asked = story.of("create", "retrieve")
    late = [one for one in asked if story.seconds(story.exchanges[0], one) > limit * _LATE + 1]
    if not late:
        return []
    after = story.seconds(story.exchanges[0], late[-1])
    return [breach(f"it still asked {after:.1f} s after it had begun, wanted no more after {limit} s", late[-1])]


@checks.check("failure-reason")
def failure_reason(story: CallTrace) -> list[Breach] | None:
    end = story.end
    told = (end.body.get("error") or {}) if end is not None and end.state in FAILURE else {}
    message = str(told.get("message") or "") if isinstance(told, dict) else ""
    if not message or said(story) not in ("failed", "error"):
        return None
    return (
        []
        if message in reason(story)
        else [Breach(f"the reason was {message!r}, the caller was told {reason(story)!r}")]
    )


@checks.check("error-envelopes")
def error_envelopes(story: CallTrace) -> list[Breach] | None:
    # What was refused before something else went wrong need not be told.
    last = next(reversed(story.creates), None)
    if last is None or last.status < 400 or story.made or said(story) != "error":
        return None
    # The request's id at its end is not what went wrong.
    message = last.error_body.message.partition(" (request id:")[0]
    if not message:
        return None
    return (
        []
        if message in reason(story)
        else [breach(f"the error was {message!r}, the caller was told {reason(story)!r}", last)]
    )


@checks.check("unknown-status")
def unknown_status(story: CallTrace) -> list[Breach] | None:
    known = SUCCESS | FAILURE | GOING
    odd = [one for one in _told(story) if one.state and one.state not in known]
    if not odd or not said(story):
        return None
    meant = {"completed": OTHER_SUCCESS, "failed": OTHER_FAILURE}.get(said(story), frozenset())
    last = last_told(story)
    if last is not odd[-1] or said(story) in ("timeout", "error") or odd[-1].state.lower() in meant:
        return []
    return [breach(f"it took the status {odd[-1].state!r} for {said(story)!r}", odd[-1])]


@checks.check("bad-json-on-poll")
def bad_json_on_poll(story: CallTrace) -> list[Breach] | None:
    bad = [one for one in story.of("retrieve") if one.status == 200 and one.whole and not one.body]
    if not bad or not said(story):
        return None
    again = [one for one in story.of("retrieve") if one.number > bad[-1].number]
    if again or said(story) == "timeout" or story.out_of_time():
        return []
    return [breach(f"it gave up with {said(story)!r} after an answer that was no JSON", bad[-1])]


def _told(story: CallTrace) -> list[Exchange]:
    return [one for one in story.of("create", "retrieve") if one.status == 200]


def _video(story: CallTrace) -> dict[str, Any]:
    video = (story.outcome or {}).get("video")
    return video if isinstance(video, dict) else {}


def _sha256(one: Exchange) -> str:
    return one.answer_sha256
