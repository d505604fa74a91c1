from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from mockveo_contracts import Case, DeadlinePassed, JobFailed, Outcome
from mockveo_contracts.cases.definitions import TestCase, parse_case
from mockveo_contracts.clients.functions import Functions, load
from mockveo_contracts.clients.testbed import CaseRun
from traces import PROMPT, read_job

from mockveo.errors import SettingsError


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(verify=False, trust_env=False) as client:
        yield client


def play(client: Any, data: Mapping[str, Any] | None = None, **more: Any) -> CaseRun:
    return played(client, parse_case({**(data or {}), **more}, "mine"))


def played(client: Any, test_case: TestCase) -> CaseRun:
    with Functions(client) as driver:
        (run,) = driver.play([test_case])
    return run


def headers(case: Case) -> dict[str, str]:
    return {"Authorization": f"Bearer {case.api_key}"}


def post(case: Case, http: httpx.Client) -> dict[str, Any]:
    parts = {"prompt": (None, case.input.prompt)}
    return read_job(http.post(f"{case.base_url}/videos", headers=headers(case), files=parts))


def test_a_case_as_a_client_gets_it() -> None:
    cases: list[Case] = []

    def client(case: Case) -> Outcome:
        cases.append(case)
        assert Path(case.input.images[0].path).name == "a.jpg"
        assert len(Path(case.input.images[0].path).read_bytes()) == 5000
        return Outcome("error")

    call = {"images": [{"filename": "a.jpg"}, {"filename": "a.jpg"}], "size": "9x16"}
    run = play(client, call=call)
    (case,) = cases
    assert case.base_url.endswith("/@mine/v1")
    assert (case.input.prompt, case.input.model, case.input.size) == (
        PROMPT,
        None,
        "9x16",
    )
    assert [image.content_type for image in case.input.images] == ["image/jpeg", "image/jpeg"]
    assert case.input.images[0].path != case.input.images[1].path
    assert not Path(case.input.images[0].path).exists()
    assert (case.poll_interval_s, case.deadline_s) == (0.05, 6.0)
    assert run.case["api_key"] == case.api_key
    assert len({image["sha256"] for image in run.case["input"]["images"]}) == 2


def test_a_run_takes_virtual_time_only(http: httpx.Client) -> None:
    def client(case: Case) -> Outcome:
        job = post(case, http)
        for _ in range(100):
            time.sleep(0.5)
        return Outcome("completed", read_job(http.get(f"{case.base_url}/videos/{job['id']}", headers=headers(case))))

    begun = time.perf_counter()
    run = play(client, scenario={"phases": [{"duration": 4990}]}, call={"deadline_s": 600})
    assert time.perf_counter() - begun < 10
    assert [exchange["job_status"] for exchange in run.trace] == ["queued", "completed"]
    first, second = run.call_trace.exchanges
    assert run.call_trace.seconds(first, second) == pytest.approx(50, abs=0.1)


def test_a_coroutine_is_driven_on_a_loop_that_jumps() -> None:
    async def client(case: Case) -> Outcome:
        async with httpx.AsyncClient(verify=False, trust_env=False, headers=headers(case)) as http:
            answer = await http.post(f"{case.base_url}/videos", files={"prompt": (None, case.input.prompt)})
            job = read_job(answer)
            while job["status"] not in ("completed", "failed"):
                await asyncio.sleep(30)
                job = read_job(await http.get(f"{case.base_url}/videos/{job['id']}"))
        return Outcome("completed", job)

    begun = time.perf_counter()
    run = play(client, scenario={"phases": [{"duration": 14900}]}, call={"deadline_s": 600})
    assert time.perf_counter() - begun < 10
    assert [exchange["job_status"] for exchange in run.trace].count("queued") == 3
    assert run.outcome is not None
    assert run.outcome["outcome"] == "completed"


def test_a_client_with_a_loop_of_its_own_is_driven_alike() -> None:
    def client(_: Case) -> Outcome:
        asyncio.run(asyncio.sleep(100))
        return Outcome("error")

    begun = time.perf_counter()
    play(client, call={"deadline_s": 600})
    assert time.perf_counter() - begun < 10


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(JobFailed("so it is"), "failed"), (DeadlinePassed("so it is"), "timeout"), (OSError("so it is"), "error")],
)
def test_what_a_client_raises_is_its_outcome(error: Exception, outcome: str) -> None:
    def client(_: Case) -> Outcome:
        raise error

    run = play(client)
    assert run.outcome is not None
    assert run.outcome["outcome"] == outcome
    assert run.outcome["error"] == {"type": type(error).__name__, "message": "so it is"}
    assert not run.adapter_error


def test_a_client_that_exits_has_not_ended_the_check() -> None:
    def client(_: Case) -> Outcome:
        sys.exit("enough")

    run = play(client)
    assert run.outcome is not None
    assert run.outcome["outcome"] == "error"


def test_a_mapping_will_do() -> None:
    run = play(lambda _: {"outcome": "failed", "error": {"message": "x"}, "more": 1})
    assert run.outcome is not None
    assert run.outcome["outcome"] == "failed"
    assert run.outcome["video"] is None


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, r"the client returned None; expected an Outcome, e.g. Outcome\('completed'\)"),
        ("completed", "the client returned 'completed'; expected an Outcome"),
        ({"outcome": "done"}, "the outcome is 'done'; expected one of completed, failed, timeout, error"),
        ({"outcome": "error", "error": "x"}, "error of the result is 'x'; expected an object or null"),
        ({"outcome": "completed", "content_path": 3}, "content_path of the result is 3; expected a path or null"),
        (Outcome("completed", content_path="/no/such"), "content_path '/no/such' cannot be read: No such file"),
    ],
)  # fmt: skip
def test_invalid_result_is_an_adapter_error(returned: Any, message: str) -> None:
    run = play(lambda _: returned)
    assert re.search(message, run.adapter_error)
    assert run.verdicts() == []


def test_a_stored_file_is_read_and_deleted(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"

    def client(_: Case) -> Outcome:
        path.write_bytes(b"abc")
        return Outcome("completed", content_path=str(path))

    run = play(client)
    assert run.outcome is not None
    assert run.outcome["content"]["bytes"] == 3
    assert not path.exists()


LOG = logging.getLogger("a.client")


HANDLER = logging.StreamHandler()  # which has got its stream long before
APART = logging.getLogger("apart")
APART.addHandler(HANDLER)
APART.propagate = False


def _in_a_thread(key: str) -> None:
    thread = threading.Thread(target=sys.stdout.write, args=(key,))
    thread.start()
    thread.join()


def _in_a_pool(key: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(sys.stderr.write, key).result()


def _raised(key: str) -> None:
    raise ValueError(f"bad {key}")


WAYS: dict[str, Callable[[str], object]] = {
    "print": lambda key: sys.stdout.write(f"the key: {key}\n"),
    "stderr": lambda key: sys.stderr.write(f"{key}!"),
    "lines": lambda key: sys.stdout.writelines(["a", key, "b"]),
    "bytes": lambda key: sys.stdout.buffer.write(key.encode()),
    "halves": lambda key: (sys.stdout.write(key[:9]), sys.stdout.write(key[9:])),
    "log": lambda key: LOG.warning("key=%s", key),
    "handler": lambda key: APART.error("key=%s", key),
    "thread": _in_a_thread,
    "pool": _in_a_pool,
    "raise": _raised,
    "result": lambda key: key,
    "nowhere": lambda _: None,
}


@pytest.mark.parametrize("where", WAYS)
def test_the_key_is_looked_for_everywhere(where: str, capsys: pytest.CaptureFixture[str]) -> None:
    def client(case: Case) -> Outcome:
        text = WAYS[where](case.api_key)
        return Outcome("error", error={"message": text if where == "result" else "x"})

    run = play(client)
    assert run.outcome is not None
    assert bool(run.outcome["leaks"]) == (where != "nowhere")
    assert capsys.readouterr() == ("", "")


def test_what_others_write_meanwhile_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    def client(_: Case) -> Outcome:
        sys.stdout.write("mine\n")
        return Outcome("error")

    with Functions(client) as driver:
        runs = []
        for play in driver.play(parse_case({}, f"s{number}") for number in range(2)):
            sys.stdout.write("theirs\n")
            runs.append(play)
    assert [run.output for run in runs] == ["mine\n", "mine\n"]
    assert capsys.readouterr().out == "theirs\ntheirs\n"


def test_a_client_that_polls_for_ever_is_ended_and_judged(http: httpx.Client) -> None:
    def client(case: Case) -> Outcome:
        job = post(case, http)
        while True:
            time.sleep(case.poll_interval_s)
            http.get(f"{case.base_url}/videos/{job['id']}", headers=headers(case))

    run = play(client, scenario={"ending": "never"}, call={"deadline_s": 1})
    assert run.outcome is not None
    assert (run.outcome["outcome"], run.outcome["ended_by"]) == (None, "10 s")
    assert 150 < len(run.trace) < 230


def test_a_client_that_asks_without_a_pause_is_ended(http: httpx.Client) -> None:
    def client(case: Case) -> Outcome:
        job = post(case, http)
        while True:
            http.get(f"{case.base_url}/videos/{job['id']}", headers=headers(case))

    run = play(client, scenario={"ending": "never"}, call={"deadline_s": 600})
    assert run.outcome is not None
    assert run.outcome["ended_by"] == "1500 requests"


class _Odd:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class _Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


CYCLE: dict[str, Any] = {}
CYCLE["again"] = CYCLE


@pytest.mark.parametrize(
    "returned",
    [
        {"outcome": "completed", "video": {"id": b"x"}},
        {"outcome": "completed", "video": {"made": datetime.now(UTC)}},
        {"outcome": "completed", "video": CYCLE},
        {"outcome": "completed", "video": {"id": _Odd()}},
        _Odd(),
        Outcome("completed", {"lock": threading.Lock()}),
        Outcome("completed", content_path="a\0b"),
        Outcome("completed", content_path="/dev/zero"),
        Outcome("completed", content_path="/"),
    ],
)
def test_any_returned_value_lets_the_check_go_on(returned: Any) -> None:
    run = play(lambda _: returned)
    assert run.adapter_error
    assert run.verdicts() == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), asyncio.CancelledError("x"), GeneratorExit(), _Mute()])
def test_whatever_is_raised_is_an_error(error: BaseException) -> None:
    def client(_: Case) -> Outcome:
        raise error

    run = play(client)
    assert run.outcome is not None
    assert run.outcome["outcome"] == "error"
    assert run.outcome["error"]["type"] == type(error).__name__


def test_client_that_sets_signal_handlers_is_an_adapter_error() -> None:
    def client(_: Case) -> Outcome:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        raise AssertionError

    assert "check it as a program" in play(client).adapter_error


def test_client_never_falls_back_to_the_real_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-real")
    monkeypatch.setenv("COMETAPI_BASE_URL", "https://paid.example")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    environment: dict[str, str] = {}

    def client(case: Case) -> Outcome:
        environment.update(os.environ)
        with urllib.request.urlopen(case.base_url.replace("/v1", "/api/models")) as answer:
            assert answer.status == 200
        return Outcome("error")

    run = play(client)
    assert run.outcome is not None
    assert run.outcome["error"] is None
    assert not [name for name in environment if name.startswith(("OPENAI_", "COMETAPI_"))]
    assert os.environ["OPENAI_API_KEY"] == "sk-real"


def test_a_limiter_that_is_older_than_the_case_is_none_the_worse(http: httpx.Client) -> None:
    ready = time.monotonic()

    def client(case: Case) -> Outcome:
        nonlocal ready
        time.sleep(max(ready - time.monotonic(), 0))
        ready = time.monotonic() + 0.5
        return Outcome("completed", post(case, http))

    with Functions(client) as driver:
        plays = list(driver.play(parse_case({}, f"s{number}") for number in range(4)))
    assert [len(run.trace) for run in plays] == [1, 1, 1, 1]
    assert [run.outcome and run.outcome["outcome"] for run in plays] == ["completed"] * 4


def test_two_checks_at_once_do_not_meet(http: httpx.Client) -> None:
    def client(case: Case) -> Outcome:
        job = post(case, http)
        time.sleep(1)
        return Outcome("completed", job)

    streams = sys.stdout, sys.stderr
    with ThreadPoolExecutor(2) as pool:
        plays = list(pool.map(lambda number: played(client, parse_case({}, f"s{number}")), range(4)))
    assert [len(run.trace) for run in plays] == [1, 1, 1, 1]
    assert (sys.stdout, sys.stderr) == streams
    assert time.sleep.__name__ == "sleep"


def test_features_are_declared_on_the_function() -> None:
    def client(_: Case) -> Outcome:
        return Outcome("error")

    assert Functions(client).client.features["images"] == 2
    client.features = {"images": 1, "content": True}  # type: ignore[attr-defined]
    driver = Functions(client)
    assert (driver.client.features["images"], driver.client.features["content"]) == (1, True)
    assert Functions(client, features={"images": 0}).client.features["images"] == 0
    client.features = {"image": 1}  # type: ignore[attr-defined]
    with pytest.raises(SettingsError, match="'image' is not a feature; did you mean 'images'"):
        Functions(client)


def test_threads_do_not_stay() -> None:
    before = threading.active_count()
    play(lambda _: Outcome("error"))
    assert threading.active_count() <= before


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("client", "--python is 'client'; expected a module and a function in it, e.g. my_client:client"),
        ("no_such_thing:client", "there is no module 'no_such_thing' here"),
        ("my-client.py:client", "a module is named with dots and without .py"),
        ("json:dumpz", r"json has no 'dumpz'; did you mean 'dump"),
        ("json:__name__", "is not a function; expected one that takes a case"),
    ],
)
def test_a_function_that_cannot_be_loaded(path: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load(path)


def test_a_module_that_needs_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "half_a_client.py").write_text("import no_such_library\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SettingsError, match="half_a_client needs 'no_such_library', which is missing"):
        load("half_a_client:client")


def test_importing_the_package_is_cheap() -> None:
    program = "import sys, mockveo_contracts; print(*sorted(m for m in ('hypothesis', 'pytest', 'starlette', 'uvicorn', 'asyncio') if m in sys.modules))"  # noqa: E501
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "\n"


@pytest.mark.parametrize("outcome", ["completed", "failed"])
def test_running_job_of_which_a_client_reports_an_end_is_wasted(outcome: str, http: httpx.Client) -> None:
    def client(case: Case) -> Outcome:
        return Outcome(outcome, post(case, http))

    (job,) = play(client, {"scenario": {"ending": "never"}}).bill.jobs
    assert (job.state, job.waste) == ("wasted", "abandoned")
