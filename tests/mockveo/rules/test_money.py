"""The bill: what became of each job that a client of a real server made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mockveo
from mockveo.errors import SettingsError
from mockveo.rules.bill import STATES, Bill
from mockveo.server.run import ServerThread
from mockveo.testing import Mockveo, MockveoWorlds

TARGET = "$.components.schemas.CreateVideoForm.properties.model.x-price"
JOB = {"amount": 0.4, "currency": "USD", "per": "job", "source": "a test", "date": "2026-11-01"}
SECOND = {"amount": 0.05, "currency": "EUR", "per": "second", "seconds": 8, "source": "a test", "date": "2026-11-01"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerThread]:
    overlay = tmp_path_factory.mktemp("prices") / "prices.yaml"
    actions = [{"target": TARGET, "update": {"veo3-fast": JOB, "veo3.1": SECOND}}]
    overlay.write_text(yaml.safe_dump({"overlay": "1.0.0", "info": {"title": "t", "version": "1"}, "actions": actions}))
    with mockveo.serve(clock="manual", seed=0, render=False, overlay=overlay) as running:
        yield running


class Client:
    """A client of a world whose time stands still."""

    def __init__(self, world: Mockveo, http: httpx.Client) -> None:
        self.world = world
        self._http = http

    def send(self, method: str, path: str, key: str = "sk-test", **more: Any) -> httpx.Response | None:
        headers = {"Authorization": f"Bearer {key}", **more.pop("headers", {})}
        url = path if path.startswith("http") else f"{self.world.base_url}{path}"
        try:
            return self._http.request(method, url, headers=headers, **more)
        except httpx.RequestError:
            return None

    def create(self, prompt: str = "a kite", key: str = "sk-test", **fields: str) -> str:
        form = {name: (None, value) for name, value in {"prompt": prompt, **fields}.items()}
        response = self.send("POST", "/videos", key, files=form)
        return "" if response is None or response.status_code != 200 else str(response.json()["id"])

    def poll(self, job: str) -> None:
        self.send("GET", f"/videos/{job}")

    def fetch(self, job: str, query: str = "", **more: Any) -> None:
        self.send("GET", f"/videos/{job}/content{query}", **more)

    def completed(self, prompt: str = "a kite", **fields: str) -> str:
        job = self.create(prompt, **fields)
        self.poll(job)
        self.world.advance(200)
        self.poll(job)
        return job

    @property
    def bill(self) -> Bill:
        return self.world.bill


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as shared:
        yield shared


@pytest.fixture
def client(server: ServerThread, http: httpx.Client, request: pytest.FixtureRequest) -> Iterator[Client]:
    with MockveoWorlds(server, request.node.nodeid).new() as world:
        yield Client(world, http)


def states(bill: Bill) -> dict[str, int]:
    return {state: int(bill.count(state)) for state in STATES if bill.count(state)}


def test_bill_without_jobs_is_empty(client: Client) -> None:
    client.poll("task_unknown")
    assert client.bill.line == "0 made, 0 delivered, 0 wasted"


def test_job_that_is_fetched_is_delivered(client: Client) -> None:
    client.fetch(client.completed())
    assert client.bill.line == "1 made, 1 delivered, 0 wasted; 0.40 USD"


def test_job_whose_failure_is_answered_is_delivered_and_paid_for(client: Client) -> None:
    client.world.scenario(ending="failure")
    client.completed()
    assert client.bill.line == "1 made, 1 delivered, 0 wasted; 0.40 USD"


def test_lost_answer_is_waste_only_if_the_create_is_sent_again(client: Client) -> None:
    client.world.scenario(faults=[{"operation": "create", "attempt": 1, "reset": True, "applied": True}])
    assert client.create() == ""
    assert states(client.bill) == {"lost": 1}
    client.fetch(client.completed())
    assert states(client.bill) == {"delivered": 1, "wasted": 1}
    (job,) = client.bill.wasted.jobs
    assert job.waste == "retried"
    assert job.reason == f"its create was answered with nothing; sent again, it made {client.world.jobs[1].id}"
    assert client.bill.line.endswith("(1 doubled by the retry of a lost answer); 0.80 USD, of which 0.40 USD wasted")


def test_running_job_is_abandoned_after_three_of_the_longest_pauses_of_the_pages(client: Client) -> None:
    client.world.scenario(ending="never")
    job = client.create()
    client.poll(job)
    client.world.advance(59)
    assert states(client.bill) == {"open": 1}
    client.world.advance(1)
    (wasted,) = client.bill.wasted.jobs
    assert (wasted.waste, wasted.reason) == (
        "abandoned",
        "abandoned while running: last asked for 60 s ago, and answered queued",
    )
    client.poll(job)
    assert states(client.bill) == {"open": 1}


def test_slow_client_gets_four_of_its_own_pauses(client: Client) -> None:
    client.world.scenario(ending="never")
    job = client.create()
    for _ in range(3):
        client.world.advance(40)
        client.poll(job)
    client.world.advance(159)
    assert states(client.bill) == {"open": 1}
    client.world.advance(1)
    assert states(client.bill) == {"wasted": 1}


def test_job_without_a_poll_is_abandoned(client: Client) -> None:
    client.create()
    client.world.advance(600)
    assert client.bill.wasted.jobs[0].reason == "abandoned while running: made 600 s ago, and not asked for since"


def test_completed_job_can_be_fetched_for_an_hour(client: Client) -> None:
    client.completed()
    client.world.advance(3599)
    assert states(client.bill) == {"open": 1}
    client.world.advance(1)
    (wasted,) = client.bill.wasted.jobs
    assert (wasted.waste, wasted.reason) == ("not-fetched", "completed 3600 s ago, and never fetched")


def test_job_that_is_left_after_trouble_is_made_again(client: Client) -> None:
    client.world.scenario(faults=[{"operation": "retrieve", "nth": 1, "status": 502}])
    first = client.create()
    client.poll(first)
    client.poll(second := client.create())
    assert states(client.bill) == {"open": 2}  # both may still be asked for
    client.world.advance(200)
    client.poll(second)
    client.fetch(second)
    (wasted,) = client.bill.wasted.jobs
    assert (wasted.id, wasted.waste) == (first, "made-again")
    assert wasted.reason == f"left after 502 to GET /v1/videos/{first}, and made again as {second}"


def test_same_prompt_twice_on_purpose_is_no_waste(client: Client) -> None:
    first, second = client.create(), client.create()
    client.poll(first)
    client.poll(second)
    client.world.advance(200)
    for job in (first, second):
        client.poll(job)
        client.fetch(job)
    client.fetch(client.completed())
    assert states(client.bill) == {"delivered": 3}


@pytest.mark.parametrize(
    ("fault", "fetched"),
    [
        ({"status": 200, "html": True}, False),
        ({"status": 502}, False),
        ({"truncate": 1000}, False),
        ({"delay": 0.01}, True),
    ],
)
def test_content_is_fetched_only_if_a_whole_video_arrives(client: Client, fault: Any, fetched: bool) -> None:
    client.world.scenario(faults=[{"operation": "content", **fault}])
    client.fetch(client.completed())
    assert states(client.bill) == {"delivered" if fetched else "open": 1}


@pytest.mark.parametrize(
    ("method", "query", "headers", "fetched"),
    [
        ("HEAD", "", {}, False),
        ("GET", "?variant=thumbnail", {}, False),
        ("GET", "?variant=video", {}, True),
        ("GET", "", {"Range": "bytes=0-99"}, False),
        ("GET", "", {"Range": "bytes=-100"}, True),
    ],
)
def test_content_is_the_video_to_its_end(
    client: Client, method: str, query: str, headers: dict[str, str], fetched: bool
) -> None:
    client.send(method, f"/videos/{client.completed()}/content{query}", headers=headers)
    assert states(client.bill) == {"delivered" if fetched else "open": 1}


def test_video_url_at_another_origin_is_a_delivery(client: Client) -> None:
    client.world.scenario(video_url=True)
    job = client.completed()
    response = client.send("GET", f"/videos/{job}")
    assert response is not None
    httpx.get(response.json()["video_url"])
    assert states(client.bill) == {"delivered": 1}


def test_jobs_without_exchanges_are_forgotten(client: Client) -> None:
    client.fetch(client.completed())
    client.world.world.journal.clear()
    assert states(client.bill) == {"forgotten": 1}
    assert client.bill.line == "1 made, 0 delivered, 0 wasted, 1 forgotten; 0.40 USD"


def test_costs_are_apart_by_currency_and_unknown_prices_are_named(client: Client) -> None:
    for model in ("veo3-fast", "veo3-fast", "veo3.1", "veo3"):
        client.create(prompt=model, model=model)
    assert (
        client.bill.line == "4 made, 0 delivered, 0 wasted, 4 open; 0.80 USD and 0.40 EUR; the price of veo3 is unknown"
    )
    assert [cost["made"] for cost in client.bill.to_json()["costs"]] == [0.8, 0.4]


def test_count_shows_its_jobs_and_is_a_number(client: Client) -> None:
    job = client.create()
    client.world.advance(60)
    wasted = client.bill.wasted
    assert repr(wasted) == (
        f"1 ({job} veo3-fast 0.40 USD: abandoned while running: made 60 s ago, and not asked for since [exchange 1])"
    )
    assert (wasted + 1, f"{wasted}", f"{wasted:>3}") == (2, "1", "  1")


@pytest.mark.parametrize(
    ("budget", "created", "hint"),
    [
        ("2", 2, "--budget is 2, of which 2 is spent; `mockveo bill` shows by whom"),
        (0, 0, "--budget is 0, of which 0 is spent"),
        ("1.00USD", 2, "--budget is 1.00USD, of which 0.8 is spent"),
        ("0.80 EUR", 0, "--budget is 0.80 EUR, and the price of veo3-fast in EUR is unknown"),
    ],
)
def test_create_above_the_budget_is_answered_as_without_credit(
    client: Client, budget: str | int, created: int, hint: str
) -> None:
    client.world.reset(budget=budget)
    form = {"prompt": (None, "a kite")}
    answers = [client.send("POST", "/videos", key, files=form) for key in ("sk-a", "sk-b", "sk-a", "sk-a")]
    assert [answer.status_code for answer in answers if answer is not None] == [200] * created + [403] * (4 - created)
    refused = [answer for answer in answers if answer is not None and answer.status_code == 403]
    assert refused[0].json()["message"] == "user quota is not enough"
    assert refused[0].headers["x-mockveo-hint"].startswith(hint)
    assert (client.bill.made, client.bill.refused) == (created, 4 - created)


def test_bill_says_who_spent_the_budget(client: Client) -> None:
    client.world.reset(budget="1.25USD")
    for key in ("sk-a", "sk-a", "sk-b", "sk-b"):
        client.create(key=key)
    a, b = client.bill.keys
    spent = f"{a} (2 jobs for 0.80 USD), {b} (1 job for 0.40 USD)"
    assert client.bill.line.endswith(f"the budget is 1.25USD, 1 create refused above it, spent by {spent}")


def test_budget_without_a_price_in_its_currency_is_refused_at_once(client: Client) -> None:
    with pytest.raises(SettingsError) as error:
        client.world.reset(budget="1.00CHF")
    assert "no model has a price in CHF; expected a price, e.g. an overlay with x-price" in str(error.value)


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["create", "poll", "fetch", "wait", "lose"]), st.integers(0, 3)), max_size=12
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ACTIONS)
def test_each_job_is_in_one_state_whatever_a_client_does(client: Client, actions: list[tuple[str, int]]) -> None:
    client.world.reset()
    for action, number in actions:
        jobs = client.world.jobs
        if action in ("create", "lose"):
            lost = [{"operation": "create", "reset": True, "applied": True}]
            client.world.scenario(faults=lost if action == "lose" else [])
            client.create(prompt=f"kite {number % 2}", model=["veo3-fast", "veo3"][number % 2])
        elif action == "wait":
            client.world.advance(10 ** (number + 1))
        elif jobs:
            job = jobs[number % len(jobs)].id
            client.poll(job) if action == "poll" else client.fetch(job)
    bill = client.bill
    assert [job.id for job in bill.jobs] == [job.id for job in client.world.jobs]
    assert sum(map(bill.count, STATES)) == bill.made
    assert all(bool(job.waste) == (job.state == "wasted") and job.reason for job in bill.jobs)
    json = bill.to_json()
    assert sum(json["waste"].values()) == json["wasted"]
    for cost in json["costs"]:
        assert sum(cost[state] for state in STATES) == pytest.approx(cost["made"])
