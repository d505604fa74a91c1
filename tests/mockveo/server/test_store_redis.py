"""`--store redis://...` through the front door: several servers are one, and a Redis that fails is reported as such."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis_process import RedisProcess, free_port, redis_process
from serve_process import run, running

import mockveo
from mockveo.errors import SettingsError, StoreError
from mockveo.interception.certificates import Authority
from mockveo.simulator.stores.redis_server import RedisServer, WorldCommit
from mockveo.testing import DEFAULTS, MockveoWorlds

KEY = {"Authorization": "Bearer sk-test"}
#: Requests at once, through several servers.
CLIENTS = 8


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    with redis_process(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def fresh(shared: RedisProcess) -> RedisProcess:
    shared.client.flushall()
    return shared


@contextmanager
def servers(redis: RedisProcess, count: int, **settings: Any) -> Iterator[list[httpx.Client]]:
    """Serve the same worlds by several servers, and give a client of each."""
    with ExitStack() as stack:
        chosen = {"store": redis.url, "render": False} | settings
        made = [stack.enter_context(mockveo.serve(**chosen)) for _ in range(count)]
        yield [stack.enter_context(httpx.Client(base_url=each.url, headers=KEY, timeout=60)) for each in made]


def create(http: httpx.Client, prompt: str = "p") -> httpx.Response:
    return http.post("/v1/videos", files={"prompt": (None, prompt)})


def at_once(clients: list[httpx.Client], work: Callable[[httpx.Client], Any], count: int = 5) -> list[Any]:
    """Do something from many clients at once, and return the results."""
    results: list[Any] = []

    def run_all(http: httpx.Client) -> None:
        results.extend([work(http) for _ in range(count)])

    threads = [threading.Thread(target=run_all, args=(clients[number % len(clients)],)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_ids_are_unique_and_known_to_every_server(fresh: RedisProcess) -> None:
    with servers(fresh, 3, seed=1) as clients:
        ids = [answer.json()["id"] for answer in at_once(clients, create)]
        assert len(set(ids)) == CLIENTS * 5
        for http in clients:
            assert {http.get(f"/v1/videos/{job_id}").status_code for job_id in ids} == {200}
            assert http.get("/_mockveo/jobs?limit=1").json()["count"] == len(ids)


def test_fault_of_the_third_create_strikes_exactly_once(fresh: RedisProcess) -> None:
    with servers(fresh, 3) as clients:
        faults = [{"operation": "create", "nth": 3, "status": 503}]
        clients[0].put("/_mockveo/scenario", json={"scenario": {"name": "third", "faults": faults}})
        statuses = Counter(answer.status_code for answer in at_once(clients, create))
        assert statuses == {200: CLIENTS * 5 - 1, 503: 1}


def test_queued_scenario_is_used_once(fresh: RedisProcess) -> None:
    with servers(fresh, 3) as clients:
        for _ in range(2):
            clients[0].post("/_mockveo/queue", json={"scenario": "fails"})
        at_once(clients, create)
        jobs = clients[1].get("/_mockveo/jobs?limit=1000").json()["jobs"]
        assert Counter(job["scenario"] for job in jobs) == {"fails": 2, "normal": CLIENTS * 5 - 2}


def test_credit_is_never_overspent(fresh: RedisProcess) -> None:
    with servers(fresh, 3, credit=7) as clients:
        statuses = Counter(answer.status_code for answer in at_once(clients, create))
        assert statuses[200] == 7


def test_journal_has_each_exchange_once_and_an_advance_is_seen_by_all(fresh: RedisProcess) -> None:
    with servers(fresh, 3, clock="manual") as clients:
        at_once(clients, create)
        clients[0].post("/_mockveo/clock/advance", json={"seconds": 500})
        for http in clients:
            assert http.get("/_mockveo/clock").json()["now"] == 500
            exchanges = http.get("/_mockveo/journal").json()["exchanges"]
            assert [exchange["number"] for exchange in exchanges] == list(range(1, CLIENTS * 5 + 1))
            assert len({exchange["job"] for exchange in exchanges}) == CLIENTS * 5


def test_images_and_tickets_reach_every_server(fresh: RedisProcess) -> None:
    redirect = {"operation": "retrieve", "redirect": {"status": 307}}
    with servers(fresh, 2, render=None) as (first, second):
        first.put("/_mockveo/scenario", json={"scenario": {"name": "away", "faults": [redirect]}})
        image = (Path(__file__).parents[3] / "docs" / "images" / "report.png").read_bytes()
        files = {"prompt": (None, "p"), "input_reference": ("a.png", image, "image/png")}
        job_id = first.post("/v1/videos", files=files).json()["id"]
        place = second.get(f"/v1/videos/{job_id}").headers["location"]
        assert httpx.get(f"{first.base_url}{place}").json()["id"] == job_id
        second.put("/_mockveo/scenario", json={"scenario": "normal"})
        second.post("/_mockveo/clock/advance", json={"seconds": 1000})
        videos = [http.get(f"/v1/videos/{job_id}/content").content for http in (first, second)]
        assert videos[0] == videos[1]
        assert videos[0][4:8] == b"ftyp"


def test_worlds_and_resets_are_those_of_all(fresh: RedisProcess) -> None:
    with servers(fresh, 2) as (first, second):
        job_id = first.post("/@mine/v1/videos", files={"prompt": (None, "p")}).json()["id"]
        assert second.get(f"/@mine/v1/videos/{job_id}").status_code == 200
        assert {world["name"] for world in second.get("/_mockveo/worlds").json()["worlds"]} == {"", "mine"}
        second.post("/@mine/_mockveo/reset", json={"clock": "poll", "seed": 5})
        ready = first.get("/@mine/_mockveo/ready").json()
        assert ready["seed"] == "5/mine"
        assert first.get(f"/@mine/v1/videos/{job_id}").status_code == 400
        assert first.get("/@mine/_mockveo/clock").json()["mode"] == "poll"


def test_world_that_is_reset_with_a_scenario_has_it_on_all_servers(fresh: RedisProcess) -> None:
    busy = {"name": "busy", "faults": [{"operation": "create", "status": 503}]}
    with servers(fresh, 2) as (first, second):
        first.post("/@mine/_mockveo/reset", json={"scenario": busy}).raise_for_status()
        for http in (second, first):
            assert http.post("/@mine/v1/videos", files={"prompt": (None, "p")}).status_code == 503
            assert http.get("/@mine/_mockveo/scenario").json()["name"] == "busy"


def test_logs_follow_all_servers(fresh: RedisProcess) -> None:
    lines: list[dict[str, Any]] = []
    with servers(fresh, 2) as (first, second):

        def follow() -> None:
            with first.stream("GET", "/_mockveo/events?since=0", timeout=20) as response:
                for line in response.iter_lines():
                    if line.startswith('data: {"'):
                        lines.append(json.loads(line[6:]))
                    if len(lines) == 6:
                        return

        thread = threading.Thread(target=follow)
        thread.start()
        for _ in range(3):
            create(first)
            create(second)
        thread.join(timeout=20)
    assert [exchange["number"] for exchange in lines] == [1, 2, 3, 4, 5, 6]


def test_exchange_amended_while_others_change_the_world_is_kept_once_as_it_is_then(fresh: RedisProcess) -> None:
    with servers(fresh, 2, max_exchanges=10_000) as (first, second):
        scenario = {"phases": [], "faults": [{"operation": "content", "bandwidth": 20_000}]}
        first.put("/_mockveo/scenario", json={"scenario": scenario}).raise_for_status()
        created = [create(http).json()["id"] for http in (first, second)]
        is_done = threading.Event()

        def change() -> None:
            while not is_done.is_set():
                assert create(second).status_code == 200

        changing = threading.Thread(target=change)
        changing.start()
        try:
            for job_id in created:  # its client leaves in the middle of the body
                with first.stream("GET", f"/v1/videos/{job_id}/content") as response:
                    next(response.iter_raw())
            deadline = time.monotonic() + 20
            while Counter(exchange["client_left"] for exchange in contents(first))[True] < len(created):
                assert create(first).status_code == 200  # in conflict with the other server
                assert time.monotonic() < deadline
        finally:
            is_done.set()
            changing.join()
        for http in (first, second):
            assert [(exchange["job"], exchange["client_left"]) for exchange in contents(http)] == [
                (job_id, True) for job_id in created
            ]


def contents(http: httpx.Client) -> list[Any]:
    return list(http.get("/_mockveo/journal?operation=content").json()["exchanges"])


def test_dashboard_of_one_server_sees_what_another_has_changed(fresh: RedisProcess) -> None:
    with servers(fresh, 2) as (first, second):
        jobs = [create(first).json()["id"] for _ in range(2)]
        with first.stream("GET", "/_mockveo/events?state=true", timeout=20) as stream:
            lines = stream.iter_lines()

            def following() -> tuple[str, Any]:
                name = next(line for line in lines if line.startswith("event: "))[7:]
                return name, json.loads(next(line for line in lines if line.startswith("data: "))[6:])

            assert [following()[0] for _ in range(2)] == ["hello", "state"]
            second.post(f"/_mockveo/jobs/{jobs[0]}/end", json={"ending": "failure"}).raise_for_status()
            name, job = following()
            assert (name, job["id"], job["status"]) == ("job", jobs[0], "failed")
            second.delete(f"/_mockveo/jobs/{jobs[1]}").raise_for_status()
            assert following() == ("forgotten", {"id": jobs[1]})


def test_fixture_works_with_a_redis(fresh: RedisProcess) -> None:
    with mockveo.serve(**DEFAULTS, store=fresh.url) as server, MockveoWorlds(server).new("mine") as world:
        world.scenario(ending="failure", name="mine")
        world.advance(5)
        with httpx.Client(base_url=world.url, headers=KEY) as http:
            create(http)
            assert http.get("/_mockveo/clock").json()["now"] == 5
        assert [job.scenario for job in world.jobs] == ["mine"]
        assert world.requests.summary == ["create 200 queued"]


def refused(http: httpx.Client) -> str:
    """Return the message of a create that the store refuses."""
    answer = create(http)
    assert answer.status_code == 503, answer.text
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("mockveo_error", "store_unavailable")
    return str(error["message"])


def accepted(http: httpx.Client) -> None:
    """Wait until creates succeed again."""
    deadline = time.monotonic() + 10
    while create(http).status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_redis_that_is_away_gets_503s_and_recovery_needs_no_restart(tmp_path: Path) -> None:
    with (
        redis_process(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as redis,
        servers(redis, 1) as (http,),
    ):
        job_id = create(http).json()["id"]
        redis.stop(signal.SIGKILL)
        assert "cannot be reached" in refused(http)
        assert http.post("/@new/v1/videos", files={"prompt": (None, "p")}).status_code == 503
        health = http.get("/_mockveo/health")
        assert (health.status_code, health.json()["store"]["ok"]) == (200, False)
        assert http.get("/_mockveo/ready").status_code == 503
        redis.start()
        accepted(http)
        assert http.get(f"/v1/videos/{job_id}").status_code == 200
        assert http.get("/_mockveo/health").json()["store"]["ok"] is True


def test_redis_that_lost_its_latest_changes_is_seen_alike_by_all_servers(tmp_path: Path) -> None:
    with redis_process(tmp_path) as redis, servers(redis, 3) as (first, second, third):
        jobs = {create(first, "kept").json()["id"]: "kept"}
        assert third.get(f"/v1/videos/{next(iter(jobs))}").status_code == 200
        redis.client.save()
        lost = [create(first, "lost").json()["id"] for _ in range(3)]
        assert second.get(f"/v1/videos/{lost[0]}").status_code == 200
        redis.stop(signal.SIGKILL)
        redis.start()
        accepted(second)
        # As many changes as were lost, so that numbers alone would not show that the histories differ. The ids are the
        # same again, as the seed's place was lost too.
        jobs |= {create(second, "new").json()["id"]: "new" for _ in lost[1:]}
        for http in (first, second, third):
            assert {http.get(f"/v1/videos/{job_id}").status_code for job_id in jobs} == {200}
            shown = http.get("/_mockveo/jobs").json()["jobs"]
            assert {job["id"]: job["prompt"] for job in shown if job["prompt"] != "p"} == jobs


def test_world_that_cannot_be_read_is_explained_until_it_is_gone(fresh: RedisProcess) -> None:
    with servers(fresh, 1) as (http,):
        accepted(http)
        other = RedisServer(fresh.url)
        version, tip, _ = other.read("")
        other.commit("", WorldCommit(tip, version, {"cell/clock": b"1 nonsense"}, []))
        for _ in range(2):
            assert "cannot be read: \"invalid literal, expected 'null'" in refused(http)
        with pytest.raises(StoreError, match=r"the world '' in redis://.* cannot be read"):
            mockveo.serve(store=fresh.url)
        fresh.client.flushall()
        accepted(http)


def test_redis_that_takes_no_writes_says_why(tmp_path: Path) -> None:
    with redis_process(tmp_path) as redis, servers(redis, 1) as (http,):
        accepted(http)
        redis.client.replicaof("127.0.0.1", "1")
        assert "is a replica, or is failing over" in refused(http)
        redis.client.replicaof("NO", "ONE")
        accepted(http)
        redis.client.config_set("maxmemory", 1)
        assert "out of memory" in refused(http)
        redis.client.config_set("maxmemory", 0)
        accepted(http)


def test_redis_that_is_slow_gets_503s(fresh: RedisProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mockveo.simulator.stores.redis_server.COMMAND_TIMEOUT_S", 0.2)
    with servers(fresh, 1) as (http,):
        fresh.client.execute_command("CLIENT", "PAUSE", 1500)
        assert "does not answer within" in refused(http)
        accepted(http)
        # A commit whose answer was lost is made once: each job is in the journal once.
        jobs = http.get("/_mockveo/jobs?limit=1000").json()["jobs"]
        assert len({job["id"] for job in jobs}) == len(jobs)


def test_password_is_used_and_never_shown(tmp_path: Path) -> None:
    with redis_process(tmp_path) as redis:
        redis.client.config_set("requirepass", "geheim")
        url = redis.url.replace("//", "//:geheim@")
        with running(tmp_path, "--store", url) as server:
            with httpx.Client(base_url=server.url, headers=KEY) as http:
                accepted(http)
            redis.client.execute_command("AUTH", "geheim")
            redis.client.config_set("requirepass", "neu")
            redis.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            with httpx.Client(base_url=server.url, headers=KEY) as http:
                message = refused(http)
            _, out, err = server.stop()
        assert "geheim" not in message + out + err
        wrong = run("serve", "--port", "0", "--store", url)
        assert (wrong.returncode, "refuses the user or the password" in wrong.stderr) == (2, True)
        assert "geheim" not in wrong.stderr
        with running(tmp_path, "--store", redis.url, REDIS_PASSWORD="neu") as server:
            with httpx.Client(base_url=server.url, headers=KEY) as http:
                accepted(http)


def test_tls_is_used_and_its_certificate_verified(tmp_path: Path) -> None:
    authority = Authority(["localhost"])
    chain, trusted = tmp_path / "chain.pem", tmp_path / "authority.pem"
    chain.write_bytes(authority._chain)
    trusted.write_bytes(authority.pem)
    port = free_port()
    files = ("--tls-cert-file", str(chain), "--tls-key-file", str(chain), "--tls-ca-cert-file", str(trusted))
    with redis_process(tmp_path, "--tls-port", str(port), "--tls-auth-clients", "no", *files):
        url = f"rediss://localhost:{port}/0"
        with mockveo.serve(store=f"{url}?ssl_ca_certs={trusted}") as server:
            with httpx.Client(base_url=server.url, headers=KEY) as http:
                accepted(http)
        with pytest.raises(SettingsError, match="certificate verify failed"):
            mockveo.serve(store=url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://u:gehei/m@localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://:gehei#m@localhost", "redis://localhost"),
        ("redis://:gehei?m@localhost", "redis://localhost"),
        ("redis://localhost:geheim", "redis://localhost"),
        ("redis://u:geheim@[::1", "redis://"),
        ("redis://u:geheim@[::1]:1/0?socket_timeout=x", "redis://[::1]:1/0"),
        ("unix:///nowhere/redis.sock?password=geheim", "unix:///nowhere/redis.sock"),
        ("rediss://u:geheim@127.0.0.1:1/0", "rediss://127.0.0.1:1/0"),
    ],
)
def test_url_that_cannot_be_used_is_shown_without_its_password(url: str, shown: str) -> None:
    with pytest.raises(SettingsError) as caught:
        mockveo.serve(store=url)
    assert f"--store is {shown}: " in str(caught.value)
    assert "gehei" not in str(caught.value)


def test_url_that_cannot_be_used_is_explained() -> None:
    with pytest.raises(SettingsError, match="expected redis://, rediss:// or unix://"):
        mockveo.serve(store="http://localhost")
    with pytest.raises(SettingsError, match=r"redis\+sentinel://; expected.* a single server, not Sentinel or Cluster"):
        mockveo.serve(store="redis+sentinel://localhost/mymaster")
    with pytest.raises(SettingsError, match=r"cannot be reached.*expected a Redis that can be reached"):
        mockveo.serve(store="redis://127.0.0.1:1")
