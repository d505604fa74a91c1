"""Each built-in scenario does what its summary says, start to end, however it is chosen."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import Any, NamedTuple

import httpx
import pytest

import mockveo
from mockveo._paths import built_in_scenarios
from mockveo.server.run import ServerThread
from mockveo.simulator.scenarios import named, scenario
from mockveo.simulator.world import World

KEY = {"Authorization": "Bearer sk-built-in"}
#: httpx reads all certificates of the machine for each client that is given none, which takes longer than most tests.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
STEP = 10.0
BUSY = "The service is temporarily unavailable"


class Poll(NamedTuple):
    """What a poll was answered; `at` is in seconds of the world's clock since the create."""

    at: float
    status: int
    body: dict[str, Any]


class Play:
    """A client, and a world that plays one scenario. A poll is a step of its clock."""

    def __init__(self, client: httpx.Client, world: World, **sent: dict[str, str]) -> None:
        self.client = client
        self.world = world
        self.form = {"prompt": "a kite", "model": "veo3.1", **sent.get("form", {})}
        self.headers = sent.get("headers", {})

    def create(self) -> httpx.Response:
        return self.client.post("videos", files={k: (None, v) for k, v in self.form.items()}, headers=self.headers)

    def job(self, *refusals: int) -> dict[str, Any]:
        """A job, once the create has been refused with these statuses."""
        assert [self.create().status_code for _ in refusals] == [*refusals]
        answer = self.create()
        assert answer.status_code == 200
        return answer.json()  # type: ignore[no-any-return]

    def poll(self, job: str) -> httpx.Response:
        return self.client.get(f"videos/{job}")

    def content(self, job: str) -> httpx.Response:
        return self.client.get(f"videos/{job}/content")

    def polls(self, job: str, most: int = 200) -> list[Poll]:
        """Poll until a response says that the job has ended."""
        begun, polls = self.world.clock.now(), list[Poll]()
        while len(polls) < most and not (polls and polls[-1].body.get("status") in ("completed", "failed", "SUCCESS")):
            answer = self.poll(job)
            is_json = answer.headers["content-type"] == "application/json"
            body = answer.json() if is_json else {"html": answer.text}
            polls.append(Poll(self.world.clock.now() - begun, answer.status_code, body))
        return polls

    def watch(self, job: str, most: int = 200) -> list[Poll]:
        """The same, where all are answered well."""
        polls = self.polls(job, most)
        assert {poll.status for poll in polls} == {200}
        return polls

    def has_its_video(self, job: str) -> None:
        answer = self.content(job)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")
        assert answer.content[4:8] == b"ftyp"
        assert answer.content.endswith(job.encode())  # as clips that are not drawn do

    def ends_well(self, job: str) -> None:
        assert self.polls(job)[-1].body["status"] == "completed"
        self.has_its_video(job)


def walk(polls: list[Poll]) -> list[str]:
    return [status for status, _ in groupby(poll.body["status"] for poll in polls)]


def since(polls: list[Poll], status: str) -> float:
    return next(poll.at for poll in polls if poll.body["status"] == status)


def takes(play: Play, times: float) -> None:
    made = play.job()
    assert (made["status"], made["progress"]) == ("queued", 0)
    polls = play.watch(made["id"])
    assert walk(polls)[-2:] == ["in_progress", "completed"]
    progress = [poll.body["progress"] for poll in polls]
    assert progress == sorted(progress)
    assert [share for share in progress if share == 100] == [100]
    assert 5 * times <= since(polls, "in_progress") <= 15 * times + STEP
    assert 65 * times <= since(polls, "completed") <= 195 * times + STEP
    play.has_its_video(made["id"])


def stays(play: Play, status: str, progress: int) -> None:
    job = play.job()["id"]
    polls = play.watch(job, most=100)
    assert [(poll.body["status"], poll.body["progress"]) for poll in polls[20:]] == [(status, progress)] * 80
    refused = play.content(job)
    assert refused.status_code == 400
    assert refused.json()["error"]["message"] == f"Task is not completed yet, current status: {status}"


def fails(play: Play, least: float, most: float, error: dict[str, str] | None) -> None:
    job = play.job()["id"]
    last = play.watch(job)[-1]
    assert last.body["status"] == "failed"
    assert last.body.get("error") == error
    assert last.body["progress"] < 100
    assert least <= last.at <= most + STEP
    assert play.content(job).json()["error"]["message"] == "Task is not completed yet, current status: failed"


def normal(play: Play) -> None:
    takes(play, 1)


def slow(play: Play) -> None:
    takes(play, 10)


def instant(play: Play) -> None:
    made = play.job()
    assert (made["status"], made["progress"]) == ("completed", 100)
    play.has_its_video(made["id"])
    assert play.poll(made["id"]).json()["status"] == "completed"


def stuck_queued(play: Play) -> None:
    stays(play, "queued", 0)


def stuck_at_99(play: Play) -> None:
    stays(play, "in_progress", 99)


def fails_with_reason(play: Play) -> None:
    fails(play, 25, 75, {"code": "generation_failed", "message": "The video could not be generated."})


def fails_without_detail(play: Play) -> None:
    fails(play, 25, 75, None)


def moderated(play: Play) -> None:
    error = {"code": "moderation_blocked", "message": "The request was refused by the content filter."}
    fails(play, 7, 15, error)


def rate_limited(play: Play) -> None:
    first = play.create()
    assert (first.status_code, "retry-after" in first.headers) == (429, False)
    assert first.json()["error"]["code"] == "rate_limit_exceeded"
    job = play.job(429)["id"]
    polls = play.polls(job)
    assert [poll.status for poll in polls] == [429 if number % 4 == 0 else 200 for number in range(1, len(polls) + 1)]
    play.ends_well(job)


def retry_after(play: Play) -> None:
    for _ in range(2):
        answer = play.create()
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
    job = play.job()["id"]
    assert play.watch(job)[-1].body["status"] == "completed"
    play.has_its_video(job)


def overloaded(play: Play) -> None:
    refused = play.create()
    assert refused.json()["error"]["message"].startswith(BUSY)
    job = play.job()["id"]
    assert refused.status_code == 503
    polls = play.polls(job)
    assert [poll.status for poll in polls] == [503 if number % 3 == 0 else 200 for number in range(1, len(polls) + 1)]
    assert polls[2].body["error"]["message"].startswith(BUSY)
    play.ends_well(job)
    play.job(503)


def never_made(play: Play, status: int, text: str) -> None:
    for _ in range(3):
        answer = play.create()
        assert answer.status_code == status
        assert re.sub(r" \(request id: \w{31}\)", "", answer.text) == text
    assert len(play.world.jobs) == 0


def no_credit(play: Play) -> None:
    never_made(play, 403, '{"code":null,"message":"user quota is not enough"}')


def model_not_found(play: Play) -> None:
    message = "no available channel for group default and model veo3.1 (distributor)"
    error = {"code": "model_not_found", "message": message, "type": "comet_api_error"}
    never_made(play, 503, json.dumps({"error": error}, separators=(",", ":")))


def bad_key(play: Play) -> None:
    never_made(play, 401, '{"error":{"code":"","message":"invalid token","type":"comet_api_error"}}')
    if play.world.plan.scenario.name == "bad-key":  # a create with it makes no job to poll
        assert play.poll("any").status_code == play.content("any").status_code == 401
        assert play.client.get("models").status_code == 401


def accepted_then_dropped(play: Play) -> None:
    with pytest.raises(httpx.ReadError):
        play.create()
    assert len(play.world.jobs) == 1
    job = play.job()["id"]
    assert len(play.world.jobs) == 2
    play.ends_well(job)


def flaky_polls(play: Play) -> None:
    job = play.job()["id"]
    statuses = list[int]()
    for number in range(1, 10):
        if number == 4:
            with pytest.raises(httpx.ReadError):
                play.poll(job)
        else:
            answer = play.poll(job)
            statuses.append(answer.status_code)
            assert (answer.headers["content-type"] == "text/html") == (number == 8)
    assert statuses == [200, 503, 200, 200, 429, 200, 524, 200]
    play.ends_well(job)


def html_errors(play: Play) -> None:
    refused = play.create()
    assert (refused.status_code, refused.headers["content-type"]) == (502, "text/html")
    assert "<h1>502 Bad Gateway</h1>" in refused.text
    job = play.job()["id"]
    polls = play.polls(job)
    assert [poll.status for poll in polls] == [524 if number % 3 == 0 else 200 for number in range(1, len(polls) + 1)]
    assert "<center>openresty</center>" in polls[2].body["html"]
    play.ends_well(job)


def not_yet_visible(play: Play) -> None:
    job = play.job()["id"]
    polls = play.polls(job)
    assert [poll.body.get("code") for poll in polls[:3]] == ["task_not_exist", "task_not_exist", None]
    assert [poll.status for poll in polls] == [400, 400] + [200] * (len(polls) - 2)
    play.ends_well(job)


def unknown_status(play: Play) -> None:
    play.world.clock.step = 1.0
    made = play.job()
    polls = play.watch(made["id"])
    assert [made["status"], *walk(polls)[1:]] == ["NOT_START", "queued", "unknown", "in_progress", "completed"]
    assert {poll.body["progress"] for poll in polls if poll.body["status"] == "unknown"} == {30}
    play.has_its_video(made["id"])


def upper_case(play: Play) -> None:
    made = play.job()
    polls = play.watch(made["id"])
    assert [made["status"], *walk(polls)[-2:]] == ["SUBMITTED", "IN_PROGRESS", "SUCCESS"]
    play.has_its_video(made["id"])
    failed = play.world.jobs.get(play.job()["id"])
    assert failed is not None
    play.world.end(failed, named("fails"))
    assert play.poll(failed.id).json()["status"] == "FAILED"


def models(play: Play) -> list[str]:
    """The model as the create answers it, and then as all the polls do."""
    made = play.job()
    polls = play.watch(made["id"])
    assert polls[-1].body["status"] == "completed"
    play.has_its_video(made["id"])
    return [made["model"], *{poll.body["model"] for poll in polls}]


def echo_model(play: Play) -> None:
    assert models(play) == ["veo3.1", "veo3.1"]


def flip_model(play: Play) -> None:
    assert models(play) == ["veo3.1", "veo_3_1"]


def gateway_envelope(play: Play) -> None:
    made = play.job()
    assert (made["status"], made["progress"]) == ("queued", 0)
    job, polls = made["id"], list[dict[str, Any]]()
    while len(polls) < 30 and not (polls and polls[-1]["status"] == "SUCCESS"):
        answer = play.poll(job).json()
        assert (answer["code"], answer["message"], set(answer)) == ("success", "", {"code", "message", "data"})
        polls.append(answer["data"])
    assert [status for status, _ in groupby(poll["status"] for poll in polls)][-2:] == ["IN_PROGRESS", "SUCCESS"]
    assert all(re.fullmatch(r"\d{1,2}%", poll["progress"]) for poll in polls[:-1])
    assert (polls[-1]["progress"], polls[0]["fail_reason"]) == ("100%", "")
    fetched = httpx.get(polls[-1]["fail_reason"], trust_env=False, verify=NO_TLS)
    assert fetched.content == play.content(job).content


def early_completed_at(play: Play) -> None:
    made = play.job()
    assert "completed_at" not in made
    polls = play.watch(made["id"])
    early = [poll.body["completed_at"] for poll in polls if poll.body["status"] == "in_progress"]
    assert len(early) > 3
    assert all(made["created_at"] <= date <= polls[-1].body["completed_at"] + STEP for date in early)
    play.has_its_video(made["id"])


def no_video_url(play: Play) -> None:
    job = play.job()["id"]
    assert "video_url" not in play.watch(job)[-1].body
    play.has_its_video(job)


def expired_url(play: Play) -> None:
    job = play.job()["id"]
    answer = httpx.get(play.watch(job)[-1].body["video_url"], trust_env=False, verify=NO_TLS)
    assert (answer.status_code, "Request has expired." in answer.text) == (403, True)
    play.has_its_video(job)


def content_not_ready(play: Play) -> None:
    job = play.job()["id"]
    assert play.watch(job)[-1].body["status"] == "completed"
    answers = [play.content(job) for _ in range(3)]
    errors = [(answer.status_code, answer.json()["error"]["message"]) for answer in answers]
    early = (400, "Task is not completed yet, current status: in_progress")
    assert errors == [early, early, (502, "Failed to fetch video content")]
    play.has_its_video(job)


def truncated_video(play: Play) -> None:
    job, data = play.job()["id"], b""
    assert play.watch(job)[-1].body["status"] == "completed"
    with (
        pytest.raises(httpx.RemoteProtocolError),
        play.client.stream("GET", f"videos/{job}/content") as answer,
    ):
        for chunk in answer.iter_bytes():
            data += chunk
    whole = play.content(job)
    assert data == whole.content[:1000]
    assert answer.headers["content-length"] == whole.headers["content-length"] == str(len(whole.content))
    play.has_its_video(job)


#: `fails` is the word for two things here.
NAMES: dict[str, Callable[[Play], None]] = {"fails": fails_with_reason}
CHECKS = NAMES | {
    check.__name__.replace("_", "-"): check
    for check in (
        normal, slow, instant, stuck_queued, stuck_at_99, fails_without_detail, moderated, rate_limited, retry_after,
        overloaded, no_credit, bad_key, model_not_found, accepted_then_dropped, flaky_polls, html_errors,
        not_yet_visible, unknown_status, upper_case, echo_model, flip_model, gateway_envelope, early_completed_at,
        no_video_url, expired_url, content_not_ready, truncated_video,
    )
}  # fmt: skip
#: A missing URL does not show in a profile that has no URL.
OWN: dict[str, dict[str, Any]] = {"no-video-url": {"profile": "docs-2026-10"}}
SETTINGS: dict[str, Any] = {"clock": "poll", "step": STEP, "seed": 11}


@contextmanager
def chosen(server: ServerThread, way: str, name: str) -> Iterator[Play]:
    """A scenario, chosen in one of the ways there are."""
    if way == "server":
        with mockveo.serve(**SETTINGS, render=False, scenario=name, **OWN.get(name, {})) as own:
            with httpx.Client(base_url=own.base_url, headers=KEY, verify=NO_TLS) as client:
                yield Play(client, own.app.world)
        return
    where = f"{name}-by-{way}"
    settings = {**SETTINGS, **OWN.get(name, {}), "scenario": name if way == "world" else "stuck-queued"}
    world = server.app.worlds.reset(where, settings)
    sent = {"header": {"headers": {"X-Mockveo-Scenario": name}}, "prompt": {"form": {"prompt": f"a [mockveo:{name}]"}}}
    with httpx.Client(base_url=f"{server.url}/@{where}/v1", headers=KEY, verify=NO_TLS) as client:
        yield Play(client, world, **sent.get(way, {}))


def test_each_built_in_scenario_has_a_check() -> None:
    assert set(CHECKS) == set(built_in_scenarios())


@pytest.mark.parametrize("way", ["header", "prompt", "world", "server"])
@pytest.mark.parametrize("name", CHECKS)
def test_a_scenario_does_what_it_says_however_it_is_chosen(server: ServerThread, name: str, way: str) -> None:
    with chosen(server, way, name) as play:
        CHECKS[name](play)


def test_a_video_url_is_there_in_autumn_unless_the_scenario_says_otherwise(server: ServerThread) -> None:
    server.app.worlds.reset("autumn", {**SETTINGS, "profile": "docs-2026-10", "scenario": "instant"})
    with httpx.Client(base_url=f"{server.url}/@autumn/v1", headers=KEY, verify=NO_TLS) as client:
        job = client.post("videos", files={"prompt": (None, "p"), "model": (None, "veo3.1")}).json()["id"]
        assert "video_url" in client.get(f"videos/{job}").json()


def test_the_nearest_choice_counts_and_a_job_keeps_it(server: ServerThread) -> None:
    world = server.app.worlds.reset("choices", {"clock": "manual", "scenario": "stuck-queued"})
    with httpx.Client(base_url=f"{server.url}/@choices/v1", headers=KEY, verify=NO_TLS) as client:
        by_prompt = Play(client, world, form={"prompt": "[mockveo:upper-case] a kite [mockveo:instant]"})
        by_header = Play(client, world, form=by_prompt.form, headers={"X-Mockveo-Scenario": "instant"})
        plain = Play(client, world)
        jobs = [client.job() for client in (by_header, by_prompt, plain)]
        assert [job["status"] for job in jobs] == ["completed", "SUBMITTED", "queued"]
        world.use(named("overloaded"))
        world.clock.advance(1000)
        polls = [client.get(f"videos/{job['id']}") for job in jobs for _ in range(3)]
        assert [poll.status_code for poll in polls] == [200] * 6 + [200, 200, 503]
        assert [poll.json()["status"] for poll in polls[2:8:3]] == ["completed", "SUCCESS"]
        assert polls[7].json()["status"] == "queued"


@pytest.mark.parametrize(
    "sent", [{"headers": {"X-Mockveo-Scenario": "nromal"}}, {"form": {"prompt": "[mockveo:nromal]"}}]
)
def test_a_scenario_that_does_not_exist_is_refused_with_those_that_do(
    server: ServerThread, sent: dict[str, Any]
) -> None:
    world = server.app.worlds.reset("nowhere", {"clock": "manual"})
    with httpx.Client(base_url=f"{server.url}/@nowhere/v1", headers=KEY, verify=NO_TLS) as client:
        answer = Play(client, world, **sent).create()
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "mockveo_error"
    assert "did you mean 'normal'?" in answer.json()["error"]["message"]
    assert ", ".join(built_in_scenarios()) in answer.json()["error"]["message"]
    assert len(world.jobs) == 0


class Url(NamedTuple):
    """Two finished jobs whose URLs live for a minute."""

    world: World
    client: httpx.Client
    #: Where the first one's video is, and the same for the second.
    url: str
    other: str
    content: bytes


@pytest.fixture
def signed(server: ServerThread, request: pytest.FixtureRequest) -> Iterator[Url]:
    name = request.node.name.partition("[")[0][:90]
    world = server.app.worlds.reset(name, {"clock": "manual"})
    world.use(scenario({"phases": [], "video_url": {"expires": 60}}))
    with httpx.Client(base_url=f"{server.url}/@{name}/v1", headers=KEY, verify=NO_TLS) as client:
        play = Play(client, world)
        job, other = (play.job()["id"] for _ in range(2))
        urls = [play.poll(name).json()["video_url"] for name in (job, other)]
        yield Url(world, client, *urls, play.content(job).content)


def fetch(url: str, method: str = "GET", **headers: str) -> httpx.Response:
    return httpx.request(method, url, headers=headers, trust_env=False, verify=NO_TLS)


def test_a_video_url_is_at_another_origin_and_needs_no_key(server: ServerThread, signed: Url) -> None:
    answer = fetch(signed.url)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")
    assert answer.content == signed.content != fetch(signed.other).content
    assert httpx.URL(signed.url).port != httpx.URL(server.url).port
    assert signed.world.journal.since(0)[-1].other_origin
    assert fetch(signed.url.replace(signed.world.origins.other, server.url)).status_code == 404
    assert fetch(signed.url, "HEAD").headers["content-length"] == str(len(signed.content))


def test_a_video_url_refuses_a_key_on_top_of_its_signature(signed: Url) -> None:
    answer = fetch(signed.url, Authorization="Bearer sk-built-in")
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/xml")
    assert "<Code>InvalidArgument</Code>" in answer.text
    assert ("authorization", "Bearer sk-built-in") in signed.world.journal.since(0)[-1].headers


def test_a_video_url_that_was_changed_is_refused(signed: Url) -> None:
    path, query = signed.url.split("?")
    later = re.sub(r"expires=(\d+)", lambda match: f"expires={int(match[1]) + 1}", signed.url)
    swapped = f"{path}?{signed.other.split('?')[1]}"
    changed = [path, later, swapped, signed.url[:-1], f"{path}?{query}0", f"{path}?{query.split('&')[1]}"]
    changed += [signed.url.replace("task_", "task-"), re.sub(r"expires=\d+", "expires=9e9", signed.url)]
    for url in changed:
        answer = fetch(url)
        assert (answer.status_code, "SignatureDoesNotMatch" in answer.text) == (403, True), url


def test_a_video_url_lives_as_long_as_it_is_said_to_and_the_next_answer_has_another(signed: Url) -> None:
    signed.world.clock.advance(59)
    assert fetch(signed.url).status_code == 200
    job = signed.url.rpartition("/")[2].partition(".")[0]
    renewed = signed.client.get(f"videos/{job}").json()["video_url"]
    signed.world.clock.advance(1)
    expired = fetch(signed.url)
    assert (expired.status_code, "Request has expired." in expired.text) == (403, True)
    assert fetch(renewed).content == signed.content


def test_a_video_url_serves_a_range(signed: Url) -> None:
    answer = fetch(signed.url, Range="bytes=100-299")
    assert (answer.status_code, answer.content) == (206, signed.content[100:300])
    assert answer.headers["content-range"] == f"bytes 100-299/{len(signed.content)}"
    assert fetch(signed.url, **{"If-None-Match": answer.headers["etag"]}).status_code == 304
