"""Rules about what a client reports: they need the case and the outcome besides the exchanges."""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import parse_qs

from mockveo.rules.engine import Breach, Checks, breach
from mockveo.rules.sequence import is_ambiguous
from mockveo.rules.trace import CallTrace
from mockveo.spec.job_statuses import RUNNING
from mockveo.traffic.exchange import Exchange

checks: Final = Checks[CallTrace]()

#: What a client reports -> the meaning of the status that shows it.
MEANINGS: Final = {"completed": "success", "failed": "failure"}
#: Failures of an operation after which a client may give up. Giving up a poll loses a job that is paid for, while a
#: video that could not be fetched stays where it is. Arbitrary.
MAX_FAILURES_OF: Final = {"retrieve": 5, "content": 3, "delivery": 3}
#: A client may still send requests until this many times its deadline, and a second more. Arbitrary.
LATE_FACTOR: Final = 1.1
LATE_S: Final = 1.0
#: A client that gives up within this share of its deadline has misread it. Arbitrary, far above a wrong unit's share.
EARLY_SHARE: Final = 0.1
#: Seconds of a deadline that a client may need to start, before its first request. Arbitrary.
MAX_START_S: Final = 5.0


def reported(call: CallTrace) -> str:
    """Return what the client reported: completed, failed, timeout, error; empty without an outcome."""
    return str((call.outcome or {}).get("outcome") or "")


def reported_reason(call: CallTrace) -> str:
    """Return what the client reported of an error."""
    error = (call.outcome or {}).get("error")
    return " ".join(map(str, error.values())) if isinstance(error, dict) else str(error or "")


def gave_up_early(call: CallTrace) -> bool:
    """Return whether a client reports `timeout` although hardly any of its deadline had passed."""
    limit_s = (call.case or {}).get("deadline_s")
    if reported(call) != "timeout" or limit_s is None or not call.exchanges:
        return False
    last = call.exchanges[-1]
    spent_s = call.seconds(call.exchanges[0], last)
    is_early = spent_s < limit_s * EARLY_SHARE and limit_s - spent_s >= MAX_START_S
    # Without a response the client may have waited for it until its deadline.
    return is_early and last.whole and not call.out_of_time(last.retry_after_s or 0.0)


def last_state(call: CallTrace) -> Exchange | None:
    """Return the last response to a create or a poll that showed a status."""
    return next((exchange for exchange in reversed(call.of("create", "retrieve")) if exchange.state), None)


@checks.check("key-in-output")
def key_in_output(call: CallTrace) -> list[Breach] | None:
    if call.outcome is None:
        return None
    return [Breach(f"the key appeared in {place}") for place in call.outcome.get("leaks", ())]


@checks.check("poll-until-terminal")
def poll_until_terminal(call: CallTrace) -> list[Breach] | None:
    last = last_state(call)
    if not reported(call) or not call.ids or last is None:
        return None
    # A client may report its own deadline as an error.
    out_of_time = reported(call) == "timeout" or (reported(call) == "error" and call.out_of_time())
    # The pages promise 200 for a create: a client may refuse another success, as long as it says so.
    refused_create = reported(call) == "error" and last in call.of("create") and last.status != 200
    if last.state not in RUNNING or (out_of_time and not gave_up_early(call)) or refused_create:
        return []
    later = [poll for poll in call.polls if poll.number > last.number]
    if reported(call) != "completed" and any(
        poll.transient or poll.status >= 300 or poll.shows_error for poll in later
    ):
        return []
    return [_contradiction(call, last)]


def _contradiction(call: CallTrace, last: Exchange) -> Breach:
    message = f"the client reported {reported(call)!r}, but the last status it had received was {last.state!r}"
    return breach(message, last)


@checks.check("no-false-success")
def no_false_success(call: CallTrace) -> list[Breach] | None:
    if reported(call) != "completed":
        return [] if reported(call) else None
    if any(_shows_completed(exchange) for exchange in call.of_history("create", "retrieve")):
        return []
    last = last_state(call)
    if last is not None:
        return [_contradiction(call, last)]
    return [Breach("the client reported 'completed', but no response had shown a job")]


def _shows_completed(exchange: Exchange) -> bool:
    completed = exchange.shown.meaning == "success" or exchange.job_status == "completed"
    return bool(exchange.state) and completed


@checks.check("no-false-failure")
def no_false_failure(call: CallTrace) -> list[Breach] | None:
    # A create that was refused made no job, so its caller loses nothing by the word `failed`.
    may_exist = bool(call.ids) or any(is_ambiguous(create) for create in call.of_history("create"))
    if not reported(call) or not may_exist:
        return None
    responses = call.of_history("create", "retrieve")
    if reported(call) != "failed" or any(may_mean_failure(exchange) for exchange in responses):
        return []
    last = call.history[-1]
    return [breach(f"the client reported 'failed', but the API never did; it ended with {_trouble(last)}", last)]


def may_mean_failure(exchange: Exchange) -> bool:
    """Return whether a response shows a failure, or a status that may be one, which `unknown-status` judges."""
    if exchange.state.strip():
        return exchange.state not in RUNNING and exchange.shown.meaning != "success"
    has_error = exchange.error_body.present or bool(exchange.shown.members.get("error"))
    return exchange.succeeded and has_error


@checks.check("report-failed")
def report_failed(call: CallTrace) -> list[Breach] | None:
    end = call.end
    if call.outcome is None or end is None or end.shown.meaning != "failure":
        return None
    return [] if reported(call) in ("failed", "error") else [_other_end(call, end)]


@checks.check("report-completed")
def report_completed(call: CallTrace) -> list[Breach] | None:
    end = call.end
    if call.outcome is None or end is None or end.shown.meaning != "success":
        return None
    fetches = call.of("content", "delivery")
    # After the end a client may still poll, e.g. for a `video_url`, and meet trouble or a redirect that it refuses.
    polls = [poll for poll in call.polls if poll.number > end.number]
    failed = any(poll.transient or not poll.succeeded for poll in polls)
    failed = failed or any(not _brings_clip(fetch) for fetch in fetches)
    # The deadline may pass during a download.
    excuses = {"completed": True, "error": failed, "timeout": failed or bool(fetches)}
    return [] if excuses.get(reported(call)) else [_other_end(call, end)]


def _other_end(call: CallTrace, end: Exchange) -> Breach:
    report = repr(reported(call)) if reported(call) else "nothing"
    # A client need not know the words of other dialects.
    message = f"the job was {end.state!r}, but the client reported {report}"
    return breach(message, end, lenient=not end.shown.documented)


@checks.check("result-id")
def result_id(call: CallTrace) -> list[Breach] | None:
    actual = _video(call).get("id")
    if actual is None or not call.ids:
        return None
    return [] if str(actual) in call.ids else [Breach(f"the id of the result is {actual!r}; expected {call.ids[-1]!r}")]


@checks.check("result-model")
def result_model(call: CallTrace) -> list[Breach] | None:
    actual = _video(call).get("model")
    models = [exchange.shown.members.get("model") for exchange in call.of_history("create", "retrieve")]
    models = [model for model in models if model]
    if actual is None or not models:
        return None
    # A client that gave up may hold an older response than the last one.
    expected = models[-1:] if _reports_end(call) else models
    message = f"the model of the result is {actual!r}; expected {models[-1]!r}, as the API last returned it"
    return [] if actual in expected else [Breach(message)]


@checks.check("result-status")
def result_status(call: CallTrace) -> list[Breach] | None:
    actual, end = _video(call).get("status"), call.end
    if actual is None or end is None or not _reports_end(call):
        return None
    # A client may have a word of its own for an end, but not the word of an earlier response.
    older = {exchange.state for exchange in call.of("create", "retrieve") if exchange.number < end.number}
    if actual not in older:
        return []
    return [breach(f"the status of the result is {actual!r}, as in an older response; expected {end.state!r}", end)]


def _reports_end(call: CallTrace) -> bool:
    return call.end is not None and reported(call) in MEANINGS


@checks.check("content-exact")
def content_exact(call: CallTrace) -> list[Breach] | None:
    stored = (call.outcome or {}).get("content")
    if stored is None:
        return _not_stored(call)
    fetches = [fetch for fetch in call.of_history("content", "delivery") if _asks_for_video(fetch)]
    if any(_is_clip(fetch, stored["sha256"]) or _looks_whole(fetch, stored["sha256"]) for fetch in fetches):
        return []
    sources = (exchange for exchange in (*fetches, *call.history) if stored["sha256"] == exchange.response_sha256)
    source = next(sources, None)
    if source is None:
        return [Breach(f"the {stored['bytes']} bytes that were stored match no complete response")]
    return [breach(f"the stored file is not the video but {_description(source)}", source)]


def _asks_for_video(fetch: Exchange) -> bool:
    # The server reads the first of several values.
    return parse_qs(fetch.query).get("variant", ["video"])[0] == "video"


def _is_clip(fetch: Exchange, sha256: str) -> bool:
    """Return whether these bytes are what a download asked for.

    This server makes the ETag of the clip's own hash, so it names the clip whatever a fault sends in its place, and
    whether the client fetches it whole, in ranges or encoded.
    """
    tag = fetch.response_headers.get("etag", "").strip('"')
    return bool(tag) and sha256.startswith(tag)


def _looks_whole(fetch: Exchange, sha256: str) -> bool:
    """Return whether these bytes are a clip that a fault cut off together with its Content-Length."""
    return "malformed" in fetch.faults and fetch.whole and sha256 == fetch.response_sha256


def _brings_clip(fetch: Exchange) -> bool:
    """Return whether a download brought the clip, or a range of it, in a way that every client can read."""
    is_clip = fetch.status == 206 or (fetch.status == 200 and _is_clip(fetch, fetch.response_sha256))
    return fetch.whole and is_clip and "content-encoding" not in fetch.response_headers


def _came_undisturbed(fetch: Exchange) -> bool:
    """Return whether a download was answered as on any good day."""
    encoded = "content-encoding" in fetch.response_headers
    return fetch.status == 200 and fetch.whole and not (encoded or fetch.faults or fetch.client_left)


def _description(source: Exchange) -> str:
    if not source.whole:
        return f"the body of an incomplete response of {source.status}"
    if source.status != 200:
        return f"the body of a response of {source.status}"
    if source.operation in ("content", "delivery") and _asks_for_video(source):
        media_type = source.response_headers.get("content-type", "no media type")
        return f"the {source.response_bytes} bytes of a response of 200 that is no video ({media_type})"
    url = f"{source.path}?{source.query}".rstrip("?")
    return f"the response to {source.method} {url}"


def _not_stored(call: CallTrace) -> list[Breach] | None:
    """Return the breach of a client that declares `content` and leaves its caller without video and without error."""
    end, result, restart = call.end, call.outcome or {}, call.restart
    if restart is not None and not call.made:
        if not restart.killed:
            return None  # delivered before, perhaps
        end = end or restart.end
    completed = end is not None and end.shown.meaning == "success" and reported(call) == "completed"
    if end is None or not completed or not call.features.get("content") or call.case is None:
        return None
    fetches = call.of("content", "delivery")
    if not fetches:
        message = "the job completed, but the client did not request the video although it declares `content`"
        return [breach(message, end)]
    last = fetches[-1]
    # A program that reports by its exit status can report neither.
    if "exit_status" in result or (result.get("error") and not _came_undisturbed(last)):
        return None
    message = f"the client reported 'completed' without a file and without an error, after {_trouble(last)}"
    if result.get("error"):
        asked = f" for {last.query}" if last.query else ""
        message = f"the client reported an error, although {_trouble(last)} came as on any good day{asked}"
    return [breach(f"{message} to its download", last)]


@checks.check("survive-transient")
def survive_transient(call: CallTrace) -> list[Breach] | None:
    fetches = call.of("retrieve", "content", "delivery")
    failures = [fetch for fetch in fetches if fetch.transient and not (fetch.succeeded and fetch.whole)]
    if not failures or not reported(call):
        return None
    last = failures[-1]
    if last is not call.exchanges[-1] or len(failures) >= MAX_FAILURES_OF[last.operation]:
        return []
    # A completed job is given up too if its download failed. `content-exact` judges what was stored nevertheless.
    stored = (call.outcome or {}).get("content") is not None
    download_failed = last.operation != "retrieve" and not stored
    excuses = ("timeout",) if download_failed else ("completed", "timeout")
    excused = reported(call) in excuses and not gave_up_early(call)
    if excused or call.out_of_time(last.retry_after_s or 0.0):
        return []
    message = f"the client gave up with {reported(call)!r} after {_trouble(last)}, which may be temporary"
    return [breach(message, last)]


def _trouble(fetch: Exchange) -> str:
    if fetch.undecodable:
        return "a response that cannot be decoded"
    return f"a response of {fetch.status}" if fetch.whole else "a broken connection"


@checks.check("deadline")
def deadline(call: CallTrace) -> list[Breach] | None:
    limit_s, ended_by = (call.case or {}).get("deadline_s"), (call.outcome or {}).get("ended_by")
    if not call.features.get("deadline") or limit_s is None or not (reported(call) or ended_by):
        return None
    if ended_by:
        return [Breach(f"the client had not given up {ended_by} after its deadline of {limit_s} s")]
    requests = call.of("create", "retrieve")
    late = [
        request for request in requests if call.seconds(call.exchanges[0], request) > limit_s * LATE_FACTOR + LATE_S
    ]
    if not late:
        return []
    after_s = call.seconds(call.exchanges[0], late[-1])
    return [breach(f"the client still sent a request after {after_s:.1f} s; expected none after {limit_s} s", late[-1])]


@checks.check("failure-reason")
def failure_reason(call: CallTrace) -> list[Breach] | None:
    end = call.end
    message = end.shown.reason if end is not None else ""
    if not message or reported(call) not in ("failed", "error"):
        return None
    return [] if _reaches(call, message) else [Breach(_lost(call, "reason", message))]


def _reaches(call: CallTrace, message: str) -> bool:
    """Return whether a message is in what the client reported, as it is or as JSON or Python print it."""
    as_json = (json.dumps(message)[1:-1], json.dumps(message, ensure_ascii=False)[1:-1])
    printed = (message, *as_json, repr(message)[1:-1])
    report = " ".join(reported_reason(call).split())
    return any(" ".join(text.split()) in report for text in printed)


def _lost(call: CallTrace, kind: str, message: str) -> str:
    return f"the {kind} was {message!r}, but the client reported {reported_reason(call)!r}"


@checks.check("error-envelopes")
def error_envelopes(call: CallTrace) -> list[Breach] | None:
    # Only the last error matters: an earlier refusal need not be reported.
    last = next(reversed(call.creates), None)
    if last is None or not last.shows_error or call.made or reported(call) != "error":
        return None
    # The request's id at the end of a message is not part of the problem.
    message = last.error_body.message.partition(" (request id:")[0]
    if not message:
        return None
    return [] if _reaches(call, message) else [breach(_lost(call, "error", message), last)]


@checks.check("unknown-status")
def unknown_status(call: CallTrace) -> list[Breach] | None:
    exchanges = call.of("create", "retrieve")
    unknown = [exchange for exchange in exchanges if exchange.state and not exchange.shown.documented]
    if not unknown or not reported(call):
        return None
    last, is_guess = unknown[-1], reported(call) in MEANINGS
    if last is not last_state(call) or not is_guess or last.shown.meaning == MEANINGS[reported(call)]:
        return []
    return [breach(f"the client took the unknown status {last.state!r} for {reported(call)!r}", last)]


@checks.check("bad-json-on-poll")
def bad_json_on_poll(call: CallTrace) -> list[Breach] | None:
    bad = [poll for poll in call.polls if poll.succeeded and poll.whole and poll.without_json]
    if not bad or not reported(call):
        return None
    repeated = any(poll.number > bad[-1].number for poll in call.polls)
    if repeated or reported(call) == "timeout" or call.out_of_time():
        return []
    return [breach(f"the client gave up with {reported(call)!r} after a response that is not JSON", bad[-1])]


def _video(call: CallTrace) -> dict[str, Any]:
    video = (call.outcome or {}).get("video")
    return video if isinstance(video, dict) else {}
