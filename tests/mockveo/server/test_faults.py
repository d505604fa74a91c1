"""Each fault is what it claims to be, as four real clients see it."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import httpx
import pytest
from http_clients import KEY, NO_TLS, PATIENT, Observe, Place

from mockveo.simulator.scenarios import scenario


def nested(message: str, code: str | None = "") -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "type": "comet_api_error"}}


def flat(message: str, code: str | None) -> dict[str, Any]:
    return {"code": code, "message": message, "data": None}


BUSY = nested("The service is temporarily unavailable (request id: ID)")
LIMITED = nested("Too many requests (request id: ID)", "rate_limit_exceeded")
UNKNOWN = flat("task_not_exist", "task_not_exist")
NO_CREDIT = {"code": None, "message": "user quota is not enough"}
PAGE = (
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n"
    "<hr><center>openresty</center>\r\n</body>\r\n</html>\r\n"
)
LONG_AGO = "Thu, 01 Jan 1970 00:00:00 GMT"
JSON = {"content-type": "application/json"}


class FaultCase(NamedTuple):
    """A fault of a poll and what a client must see of it; `body` is text, JSON, or how many bytes of the own answer."""

    fault: dict[str, Any]
    how: str = "answered"
    status: int = 200
    body: Any = 10**6
    headers: Mapping[str, str] = {}


CASES = {
    "status": FaultCase({"status": 503}, status=503, body=BUSY, headers=JSON),
    "status, undocumented": FaultCase({"status": 418}, status=418, body=nested("I'm a Teapot (request id: ID)")),
    "status, no error": FaultCase({"status": 202}, status=202),
    "nested": FaultCase({"status": 409, "code": "no", "message": "m"}, status=409, body=nested("m", "no")),
    "flat": FaultCase(
        {"status": 503, "envelope": "flat", "code": "c", "message": "m"}, status=503, body=flat("m", "c")
    ),
    "flat, no code": FaultCase(
        {"status": 403, "envelope": "flat", "code": None, "message": ""}, status=403, body=flat("", None)
    ),
    "error": FaultCase({"error": "rate_limited"}, status=429, body=LIMITED, headers=JSON),
    "error, flat": FaultCase({"error": "task_not_exist"}, status=400, body=UNKNOWN, headers=JSON),
    "error of another operation": FaultCase({"error": "insufficient_quota"}, status=403, body=NO_CREDIT),
    "error, status": FaultCase({"error": "task_not_exist", "status": 404}, status=404, body=UNKNOWN),
    "json": FaultCase({"json": {"detail": ["no", 1.5, None]}}, body={"detail": ["no", 1.5, None]}, headers=JSON),
    "json, null": FaultCase({"json": None, "status": 500}, status=500, body=None, headers=JSON),
    "text": FaultCase(
        {"text": "error code: 524 é", "status": 524}, status=524, body="error code: 524 é",
        headers={"content-type": "text/plain; charset=utf-8", "content-length": "18"},
    ),
    "html": FaultCase({"html": True, "status": 502}, status=502, body=PAGE, headers={"content-type": "text/html"}),
    "empty": FaultCase({"empty": True}, body=0, headers={"content-length": "0", **JSON}),
    "empty, status": FaultCase({"empty": True, "status": 500}, status=500, body="", headers={"content-length": "0"}),
    "content_type": FaultCase({"content_type": "text/plain"}, headers={"content-type": "text/plain"}),
    "content_type of html": FaultCase(
        {"html": True, "status": 502, "content_type": "application/json"}, status=502, body=PAGE, headers=JSON
    ),
    "headers": FaultCase(
        {"headers": {"X-Should-Retry": "false", "Content-Type": "a/b", "Empty": ""}},
        headers={"x-should-retry": "false", "content-type": "a/b", "empty": ""},
    ),
    "headers, a date": FaultCase({"headers": {"Date": LONG_AGO}}, headers={"date": LONG_AGO}),
    "retry_after": FaultCase({"status": 503, "retry_after": 2}, status=503, body=BUSY, headers={"retry-after": "2"}),
    "retry_after, a fraction": FaultCase({"retry_after": 0.5}, headers={"retry-after": "0.5"}),
    "retry_after, a month": FaultCase({"retry_after": 2592000}, headers={"retry-after": "2592000"}),
    "truncate": FaultCase({"truncate": 10}, "cut", body=10),
    "truncate, all": FaultCase({"truncate": 0}, "cut", body=0),
    "truncate, nothing": FaultCase({"truncate": 10**5}),
    "truncate of an error": FaultCase(
        {"status": 500, "text": "sorry", "truncate": 3}, "cut", 500, "sor", {"content-length": "5"}
    ),
    "truncate, reset": FaultCase({"truncate": 10, "reset": True}, "reset", body=10),
    "reset": FaultCase({"reset": True}, "reset", status=0),
    "close": FaultCase({"close": True}, "closed", status=0),
    "all together": FaultCase(
        {"error": "rate_limited", "html": True, "status": 502, "retry_after": 9, "headers": {"x": "y"},
         "drip": {"bytes": 20, "every": 0.001}, "bandwidth": 10**6, "delay": 0.01, "truncate": 50},
        "cut", 502, PAGE[:50], {"retry-after": "9", "x": "y", "content-length": str(len(PAGE))},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_fault_is_what_it_claims_to_be(place: Place, see: Observe, case: FaultCase) -> None:
    job = place.job()
    own = place.poll(job).content
    place.play({"operation": "retrieve", **case.fault})
    observed = see(f"{place.videos}/{job}")
    # libuv, below Node, takes a reset that comes together with the last bytes for an end.
    how = "cut" if see.name == "fetch" and case.how == "reset" and observed.how == "cut" and observed.body else case.how
    assert (observed.how, observed.status) == (how, case.status)
    assert {name: observed.headers.get(name) for name in case.headers} == case.headers
    if not case.status:
        assert (observed.headers, observed.body) == ({}, b"")
    elif isinstance(case.body, int):
        assert observed.body == own[: case.body]
        assert observed.headers["content-length"] == str(len(observed.body if observed.how == "answered" else own))
    elif isinstance(case.body, str):
        assert observed.body.decode() == case.body
    else:
        assert json.loads(re.sub(rb"request id: \d{23}\w{8}", b"request id: ID", observed.body)) == case.body
    assert place.exchanges[-1].faults == scenario({"faults": [case.fault]}).faults[0].names


def test_several_faults_apply_in_their_order(place: Place, see: Observe) -> None:
    place.play(
        {"delay": 0.2}, {"status": 503}, {"text": "one"}, {"text": "two", "headers": {"x": "y"}}, {"truncate": 2}
    )
    observed = see(f"{place.videos}/any")
    assert (observed.how, observed.status, observed.body, observed.headers["x"]) == ("cut", 503, b"tw", "y")
    assert observed.took >= 0.2
    assert place.exchanges[-1].faults == ["delay", "status", "text", "headers", "text", "truncate"]


def test_malformed_json_is_json_without_its_end(place: Place, see: Observe) -> None:
    job = place.job()
    own = place.poll(job).content
    for fault, whole in (({"status": 201}, own), ({"json": [1, {"a": "b"}]}, b'[1,{"a":"b"}]')):
        place.play(fault, {"malformed": True})
        observed = see(f"{place.videos}/{job}")
        assert (observed.how, observed.headers["content-type"]) == ("answered", "application/json")
        assert whole.startswith(observed.body)
        with pytest.raises(json.JSONDecodeError):
            json.loads(observed.body)


def test_retry_after_as_a_date_is_so_long_after_the_answers_own(place: Place, see: Observe) -> None:
    place.play({"error": "rate_limited", "retry_after": {"date": 90}})
    place.world.clock.advance(1000)
    observed = see(f"{place.videos}/any")
    now, then = (parsedate_to_datetime(observed.headers[name]) for name in ("date", "retry-after"))
    assert (observed.status, (then - now).total_seconds()) == (429, 90)


def test_a_status_without_a_body_has_none_and_the_connection_goes_on(place: Place) -> None:
    job = place.job()
    place.play({"nth": 1, "status": 204}, {"nth": 3, "status": 304})
    answers = [place.poll(job) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [204, 200, 304, 200]
    assert [answer.content != b"" for answer in answers] == [False, True, False, True]


def test_each_error_of_the_document_can_be_had_by_its_name_with_nothing_left_to_fill_in(place: Place) -> None:
    job, spec = place.job(), place.world.spec
    for name in spec.error_names:
        place.play(*({"operation": operation, "error": name} for operation in ("create", "retrieve", "content")))
        answers = [place.create(), place.poll(job), place.poll("unknown", "/content")]
        for answer, operation in zip(answers, ("createVideo", "retrieveVideo", "retrieveVideoContent"), strict=True):
            example = spec.error(name, spec.operations[operation])
            assert example is not None
            assert answer.status_code == example.status
            assert not re.search(r"\{\w+\}", answer.text), answer.text


def test_error_for_any_operation_applies_to_those_that_have_it(place: Place) -> None:
    job = place.job()
    place.play({"error": "task_not_exist"})
    assert [place.create().status_code, place.poll(job).status_code] == [200, 400]


def test_delay_outlasts_an_impatient_client_and_affects_no_other(place: Place, see: Observe) -> None:
    place.play({"operation": "create", "delay": 0.4})
    hasty, patient = see(place.videos, "POST", timeout=0.2), see(place.videos, "POST")
    assert (hasty.how, hasty.status) == ("timed out", 0)
    assert 0.19 < hasty.took < 5
    assert (patient.how, patient.status) == ("answered", 200)
    assert 0.4 <= patient.took < 10
    # What a client has not waited for has been made and paid for all the same.
    assert len(place.world.jobs) == 2


def test_the_first_polls_may_not_find_the_job_yet(place: Place, see: Observe) -> None:
    place.play({"operation": "retrieve", "nth": [1, 2], "error": "task_not_exist"})
    job = json.loads(see(place.videos, "POST").body)["id"]
    polls = [see(f"{place.videos}/{job}") for _ in range(3)]
    assert [poll.status for poll in polls] == [400, 400, 200]
    assert json.loads(polls[1].body) == UNKNOWN


@pytest.mark.parametrize("pace", [{"drip": {"bytes": 35, "every": 0.1}}, {"bandwidth": 350}], ids=["drip", "bandwidth"])
def test_a_trickle_takes_its_time_and_never_starves_a_read(place: Place, see: Observe, pace: dict[str, Any]) -> None:
    job = place.job()
    own = place.poll(job).content
    place.play({"operation": "retrieve", **pace})
    least = len(own) // 35 * 0.1
    assert least >= 0.5
    hasty, patient = see(f"{place.videos}/{job}", timeout=0.45), see(f"{place.videos}/{job}")
    assert (patient.how, patient.body) == ("answered", own)
    assert least <= patient.took < 10
    if see.name in ("httpx", "requests"):
        assert (hasty.how, hasty.body) == ("answered", own)
        assert hasty.took >= least
    else:
        assert hasty.how == "timed out"
        assert hasty.took > 0.44
        assert own.startswith(hasty.body)
        assert len(hasty.body) < len(own)


APPLIED: list[tuple[dict[str, Any], int]] = [
    ({"status": 503}, 0),
    ({"status": 503, "applied": True}, 1),
    ({"error": "rate_limited", "applied": True, "empty": True}, 1),
    ({"reset": True}, 0),
    ({"reset": True, "applied": True}, 1),
    ({"close": True}, 0),
    ({"close": True, "applied": True}, 1),
    ({"truncate": 20}, 1),
    ({"truncate": 20, "reset": True}, 1),
    ({"malformed": True}, 1),
    ({"text": "gone", "applied": False}, 0),
]


@pytest.mark.parametrize(("fault", "made"), APPLIED, ids=[json.dumps(fault) for fault, _ in APPLIED])
def test_create_with_a_fault_makes_its_job_or_not(place: Place, see: Observe, fault: dict[str, Any], made: int) -> None:
    place.play({"operation": "create", "nth": 1, **fault})
    struck = see(place.videos, "POST")
    assert (struck.how == "answered") == (not {"reset", "close", "truncate"} & set(fault))
    assert len(place.world.jobs) == made
    assert see(place.videos, "POST").status == 200
    assert len(place.world.jobs) == made + 1


@pytest.mark.parametrize("body", [{"json": {}}, {"text": "x"}, {"html": True}, {"empty": True}], ids=json.dumps)
def test_create_with_a_replaced_response_makes_no_job(place: Place, body: dict[str, Any]) -> None:
    place.play({"operation": "create", **body})
    assert place.create().status_code == 200
    assert len(place.world.jobs) == 0


@pytest.mark.parametrize("origin", ["same", "other"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_leads_to_the_same_thing(place: Place, see: Observe, status: int, origin: str) -> None:
    job = place.job()
    own = place.poll(job).content
    place.play({"redirect": {"status": status, "origin": origin}})
    observed = see(f"{place.videos}/{job}", follow=True)
    assert (observed.how, observed.status, observed.body) == ("answered", 200, own)
    assert observed.url.startswith(f"{place.other if origin == 'other' else place.url}/v1/videos/{job}?ticket=")
    first, second = place.exchanges[-2:]
    assert (first.status, first.other_origin, ("authorization", KEY["Authorization"]) in first.headers) == (
        status,
        False,
        True,
    )
    # At another origin all four keep the key to themselves; the ticket stands for it.
    assert (second.other_origin, "authorization" in dict(second.headers)) == (origin == "other", origin == "same")
    assert second.owner == first.owner
    stayed = see(f"{place.videos}/{job}")
    assert (stayed.status, stayed.body) == (status, b"")
    assert stayed.headers["location"].startswith(f"{place.other if origin == 'other' else f'/@{place.name}'}/v1/videos")


@pytest.mark.parametrize("origin", ["same", "other"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirected_create_is_sent_again_or_becomes_a_poll(
    place: Place, see: Observe, status: int, origin: str
) -> None:
    again = status in (307, 308)
    place.play({"operation": "create", "redirect": {"status": status, "origin": origin}, "applied": not again})
    observed = see(place.videos, "POST", follow=True)
    assert (place.exchanges[-1].method, place.exchanges[-1].other_origin) == (
        "POST" if again else "GET",
        origin == "other",
    )
    assert (observed.how, observed.status) == ("answered", 200)
    assert len(place.world.jobs) == 1
    assert place.world.find("sk-faults", json.loads(observed.body)["id"]) is not None


def test_journal_shows_that_urllib_sends_the_key_along(place: Place) -> None:
    job = place.job()
    place.play({"redirect": {"status": 302, "origin": "other"}})
    request = urllib.request.Request(f"{place.videos}/{job}", headers=KEY)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=PATIENT) as answer:
        assert json.load(answer)["id"] == job
    assert place.exchanges[-1].other_origin
    assert ("authorization", KEY["Authorization"]) in place.exchanges[-1].headers


@pytest.mark.parametrize("path", ["/api/models", "/v1/models", "video_url"])
@pytest.mark.parametrize("origin", ["same", "other"])
def test_request_without_a_key_is_redirected_once_too(place: Place, path: str, origin: str) -> None:
    place.play(video_url=True, phases=[])
    url = place.poll(place.job()).json()["video_url"] if path == "video_url" else f"{place.url}{path}"
    place.play({"redirect": {"status": 302, "origin": origin}}, video_url=True, phases=[])
    headers = KEY if path == "/v1/models" else {}
    answer = httpx.get(url, headers=headers, follow_redirects=True, trust_env=False, verify=NO_TLS)
    assert (answer.status_code, len(answer.history)) == (200, 1)


def test_a_redirect_has_the_headers_of_its_fault(place: Place) -> None:
    place.play({"redirect": {"status": 307}, "headers": {"x-a": "b"}, "retry_after": 3})
    answer = place.poll("any")
    assert (answer.status_code, answer.headers.get("x-a"), answer.headers.get("retry-after")) == (307, "b", "3")


@pytest.mark.parametrize("fault", ["reset", "close"])
def test_the_journal_says_of_an_answer_that_was_never_sent_that_it_was_lost(place: Place, fault: str) -> None:
    job = place.job()
    place.play({fault: True})
    with pytest.raises(httpx.TransportError):
        place.poll(job)
    lost = place.exchanges[-1]
    assert (lost.status, lost.response_bytes, lost.response_body) == (0, 0, None)
    assert re.search(rf" lost .*\[unnamed: {fault}\]", lost.to_line())


def test_a_reset_in_the_middle_leaves_a_slow_reader_every_byte_before_it(place: Place) -> None:
    place.play({"operation": "content", "truncate": 130_000, "reset": True}, phases=[])
    data = bytearray()
    with place.connect(f"{place.job()}/content", buffer=8192) as slow:
        time.sleep(0.1)
        with pytest.raises(ConnectionResetError):
            while chunk := slow.recv(65536):
                data += chunk
    assert len(data.partition(b"\r\n\r\n")[2]) == 130_000


def test_a_ticket_is_for_one_path_and_no_second_key(place: Place) -> None:
    place.play({"operation": "models", "redirect": {"status": 307}})
    with httpx.Client(base_url=place.world.origins.own, verify=NO_TLS) as client:
        asked = client.get(f"{place.world.prefix}/v1/models", headers=KEY)
        ticket = asked.headers["location"].partition("?")[2]
        assert client.get(asked.headers["location"]).status_code == 200
        assert client.get(asked.headers["location"], headers={"Authorization": "nonsense"}).status_code == 401
        made = client.post(f"{place.world.prefix}/v1/videos?{ticket}", files={"prompt": (None, "p")})
    assert made.status_code == 401
