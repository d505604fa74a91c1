"""`--workers N` as a user knows it: several processes are one server, and no request is lost when one of them ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis_process import RedisProcess, redis_process
from serve_process import ServeProcess, run, running

from mockveo import settings
from mockveo.console.workers import Supervisor

KEY = {"Authorization": "Bearer sk-test"}


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    with redis_process(tmp_path_factory.mktemp("redis")) as server:
        yield server


def workers(server: ServeProcess) -> list[int]:
    """Return the process ids of the workers."""
    pid = server.process.pid
    # Not by `ps`, which would take the time of those that it looks for.
    return sorted(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


class Load:
    """Clients that create and poll until they are stopped, and count what fails."""

    def __init__(self, url: str, count: int = 4) -> None:
        self.failures: list[str] = []
        self.ids: list[str] = []
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(url,)) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _run(self, url: str) -> None:
        with httpx.Client(base_url=url, headers=KEY, timeout=20) as http:
            while not self._stopped.is_set():
                try:
                    created = http.post("/v1/videos", files={"prompt": (None, "p")})
                    job_id = created.raise_for_status().json()["id"]
                    http.get(f"/v1/videos/{job_id}").raise_for_status()
                    self.ids.append(job_id)
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))

    def stop(self) -> None:
        """End the clients."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()


@contextmanager
def load(url: str) -> Iterator[Load]:
    made = Load(url)
    try:
        yield made
    finally:
        made.stop()


def wait_for(condition: object) -> None:
    deadline = time.monotonic() + 20
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("store", [(), ("--store", "mockveo.db")])
def test_workers_without_a_shared_store_are_refused(store: tuple[str, ...]) -> None:
    done = run("serve", "--port", "0", "--workers", "2", *store)
    assert (done.returncode, done.stdout) == (2, "")
    assert "expected a store that processes share, e.g. --store redis://localhost" in done.stderr


def test_rolling_restart_under_load_fails_no_request_and_neither_does_the_end(
    redis: RedisProcess, tmp_path: Path
) -> None:
    arguments = ("--workers", "2", "--store", redis.url, "--no-render")
    with running(tmp_path, *arguments) as server:
        before = workers(server)
        assert len(before) == 2
        with load(server.url) as clients:
            wait_for(lambda: len(clients.ids) > 20)
            server.process.send_signal(signal.SIGHUP)
            wait_for(lambda: len(workers(server)) == 2 and not set(before) & set(workers(server)))
            count = len(clients.ids)
            wait_for(lambda: len(clients.ids) > count + 20)
        assert clients.failures == []
        assert len(set(clients.ids)) == len(clients.ids)
        present = workers(server)
        with slow_create(server.url) as answers:
            status, out, err = server.stop(signal.SIGTERM)
        assert [answer.status_code for answer in answers] == [200]
        assert (status, err) == (0, "")
        assert all(not Path(f"/proc/{pid}").exists() for pid in present)
        assert "2 workers" in out
        # One log has the exchanges of all, each once.
        creates = [line for line in out.splitlines() if "POST /v1/videos 200" in line]
        assert len(creates) == len(clients.ids) + 1


@contextmanager
def slow_create(url: str) -> Iterator[list[httpx.Response]]:
    """Begin a create that takes a second, and give its answer at the end."""
    answers: list[httpx.Response] = []
    with httpx.Client(base_url=url, headers=KEY, timeout=20) as http:
        faults = [{"operation": "create", "delay": 1}]
        http.put("/_mockveo/scenario", json={"scenario": {"name": "later", "faults": faults}}).raise_for_status()

        def create() -> None:
            answers.append(http.post("/v1/videos", files={"prompt": (None, "p")}))

        thread = threading.Thread(target=create)
        thread.start()
        time.sleep(0.4)
        yield answers
        thread.join()


def test_killed_workers_are_replaced_without_loss_and_end_with_their_supervisor(
    redis: RedisProcess, tmp_path: Path
) -> None:
    with running(tmp_path, "--workers", "2", "--store", redis.url, "--no-render", "--quiet") as server:
        with load(server.url) as clients:
            for _ in range(2):
                victim = workers(server)[0]
                os.kill(victim, signal.SIGKILL)
                wait_for(lambda victim=victim: victim not in workers(server) and len(workers(server)) == 2)
                count = len(clients.ids)
                wait_for(lambda count=count: len(clients.ids) > count + 5)
        with httpx.Client(base_url=server.url, headers=KEY) as http:
            assert {http.get(f"/v1/videos/{job_id}").status_code for job_id in clients.ids} == {200}
        present = workers(server)
        _, _, err = server.stop(signal.SIGKILL)
        assert err.count("ended with signal 9; another takes its place") == 2
        wait_for(lambda: all(not Path(f"/proc/{pid}").exists() for pid in present))


def test_worker_that_cannot_start_while_others_have_served_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ready = "import json, os, sys; os.write(json.loads(sys.stdin.readline())['pipe'], b'{\"banner\": \"b\"}\\n')"
    real, count = subprocess.Popen, iter(range(9))

    def fake(_: list[str], **options: Any) -> subprocess.Popen[bytes]:
        number = next(count)
        # The first serves and dies, five cannot start, and the last ends the test.
        code = {0: f"{ready}; sys.exit(1)", 6: f"{ready}; os.kill(os.getppid(), 15); sys.stdin.read()"}
        return real([sys.executable, "-c", code.get(number, "import sys; sys.exit(2)")], **options)

    monkeypatch.setattr("mockveo.console.workers.subprocess.Popen", fake)
    monkeypatch.setattr("mockveo.console.workers.RETRY_PAUSE_S", 0.0)
    supervisor = Supervisor(settings.of(port=0, store="redis://127.0.0.1:1", workers=1), log=None, feed=None)
    assert supervisor.run(lambda _: None) == 0
    assert next(count) == 7


def test_worker_that_dies_before_it_reads_its_order_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    real, statuses = subprocess.Popen, iter([-signal.SIGKILL, 1, 1, 1])

    def dead(_: list[str], **options: Any) -> subprocess.Popen[bytes]:
        status = next(statuses)
        end = f"import os; os._exit({status})" if status > 0 else "import os; os.kill(os.getpid(), 9)"
        process = real([sys.executable, "-c", end], **options)
        process.wait()
        return process

    monkeypatch.setattr("mockveo.console.workers.subprocess.Popen", dead)
    supervisor = Supervisor(settings.of(port=0, store="redis://127.0.0.1:1", workers=1), log=None, feed=None)
    # Only workers that end by themselves show that no other could start.
    assert supervisor.run(lambda _: None) == 1
    assert next(statuses, None) is None
