from __future__ import annotations

import asyncio
import queue
import select
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from time import monotonic as captured_monotonic
from time import sleep as captured_sleep

import pytest
from mockveo_contracts.clients import virtual_time
from mockveo_contracts.clients.virtual_time import CaseClock, Ended, VirtualTime, installed, interrupt, run

REAL = time.monotonic


@pytest.fixture(autouse=True)
def layer() -> Iterator[None]:
    with installed():
        yield


def inside(call: Callable[[], None], limit: float = 1000.0, settle: Callable[[], bool] = lambda: False) -> VirtualTime:
    """Runs a call in virtual time, to its end; what it raises is raised here."""
    mine, raised = VirtualTime(limit=limit, settle=settle), list[BaseException]()

    def guarded() -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - Ended is one
            raised.append(error)

    thread = run(mine, guarded)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    if raised:
        raise raised[0]
    return mine


def test_a_sleep_takes_no_time_and_moves_all_clocks() -> None:
    def client() -> None:
        before = time.monotonic(), time.time(), time.perf_counter(), time.monotonic_ns(), time.time_ns()
        time.sleep(100)
        assert time.monotonic() - before[0] == pytest.approx(100)
        assert time.time() - before[1] == pytest.approx(100)
        assert time.perf_counter() - before[2] == pytest.approx(100)
        assert time.monotonic_ns() - before[3] == pytest.approx(100e9)
        assert time.time_ns() - before[4] == pytest.approx(100e9, rel=1e-6)

    begun = REAL()
    assert inside(client).now() == pytest.approx(100)
    assert REAL() - begun < 5


def test_the_date_is_ours_at_first() -> None:
    dates: list[float] = []
    inside(lambda: dates.append(time.time()))
    assert abs(dates[0] - time.time()) < 10


def test_other_threads_have_their_own_time() -> None:
    inside(lambda: time.sleep(500))
    begun = time.monotonic()
    time.sleep(0.02)
    assert 0.01 < time.monotonic() - begun < 5


def test_names_that_a_module_has_taken_out_are_layered_too() -> None:
    def client() -> None:
        before = captured_monotonic()
        captured_sleep(50)
        assert captured_monotonic() - before == pytest.approx(50)

    assert inside(client).now() == pytest.approx(50)


def test_waits_with_a_timeout_cost_nothing_either() -> None:
    def client() -> None:
        with pytest.raises(queue.Empty):
            queue.Queue[int]().get(timeout=20)
        with pytest.raises(FutureTimeoutError):
            Future[int]().result(timeout=30)
        condition = threading.Condition()
        with condition:
            assert not condition.wait_for(lambda: False, timeout=40)
        assert select.select([], [], [], 50) == ([], [], [])

    begun = REAL()
    assert inside(client).now() == pytest.approx(140, abs=0.1)
    assert REAL() - begun < 5


def test_a_result_that_another_thread_is_about_to_have_is_waited_for() -> None:
    def client() -> None:
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(lambda: sum(range(3_000_000))).result(timeout=30) > 0

    assert inside(client).now() < 30


def test_the_clocks_never_go_back_from_case_to_case() -> None:
    times: list[float] = [time.monotonic()]
    for _ in range(3):
        inside(lambda: (times.append(time.monotonic()), time.sleep(100), times.append(time.monotonic()))[0])
    assert times == sorted(times)


def test_the_layer_can_be_left_in_any_order() -> None:
    before = time.sleep, threading.Thread.start, threading.Condition.wait, asyncio.new_event_loop
    first, other = installed(), installed()
    first.__enter__()
    other.__enter__()
    first.__exit__(None, None, None)
    assert inside(lambda: time.sleep(100)).now() == pytest.approx(100)
    other.__exit__(None, None, None)
    assert (time.sleep, threading.Thread.start, threading.Condition.wait, asyncio.new_event_loop) == before


def test_an_event_is_waited_for_in_virtual_time() -> None:
    def client() -> None:
        assert not threading.Event().wait(30)

    assert inside(client).now() == pytest.approx(30)


def test_an_event_that_another_thread_sets_is_seen() -> None:
    event = threading.Event()

    def client() -> None:
        event.set()
        assert event.wait(30)

    assert inside(client).now() == 0


def test_threads_of_a_client_have_its_time() -> None:
    def client() -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(time.sleep, 70).result()

    assert inside(client).now() == pytest.approx(70)


def test_a_negative_sleep_is_refused_as_by_the_real_one() -> None:
    with pytest.raises(ValueError, match="non-negative"):
        inside(lambda: time.sleep(-1))


def test_a_client_that_sleeps_beyond_the_limit_is_ended() -> None:
    def client() -> None:
        while True:
            try:
                time.sleep(10)
            except Exception:  # noqa: BLE001 - as a careless client does
                continue

    with pytest.raises(Ended):
        inside(client, limit=100)


def test_an_answer_costs_a_little_and_too_many_end_a_client() -> None:
    mine = VirtualTime(limit=10)
    clock = CaseClock(mine, 100)
    clock.read()
    assert mine.now() == virtual_time.ANSWER_S
    assert clock.now() == pytest.approx(100 * virtual_time.ANSWER_S)
    for _ in range(virtual_time.MAX_ANSWERS):
        assert not mine.busy_loop.is_set()
        clock.read()
    assert mine.busy_loop.is_set()
    with pytest.raises(Ended):
        mine.sleep(0)


def test_many_answers_without_a_pause_cost_more() -> None:
    mine = VirtualTime(limit=10)
    for _ in range(virtual_time.MANY_ANSWERS + 2):
        mine.answered()
    late = 2 * virtual_time.LATE_GAP_S
    assert mine.now() == pytest.approx(virtual_time.MANY_ANSWERS * virtual_time.ANSWER_S + late)


def test_the_clock_of_a_case_goes_by_its_time() -> None:
    mine = VirtualTime(limit=1000)
    clock = CaseClock(mine, 100)
    mine.sleep(2)
    assert clock.now() == pytest.approx(200)
    assert clock.date() == pytest.approx(mine.date + 2)


def test_a_busy_thread_is_interrupted() -> None:
    ended = threading.Event()

    def client() -> None:
        try:
            while True:
                pass
        except Ended:
            ended.set()

    thread = run(VirtualTime(limit=1), client)
    thread.start()
    interrupt(thread)
    thread.join(10)
    assert ended.is_set()


def test_a_thread_that_never_ran_is_not_interrupted() -> None:
    interrupt(run(VirtualTime(limit=1), lambda: None))


def test_a_loop_jumps_to_its_next_timer() -> None:
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        woken.append((name, round(time.monotonic() - started[0], 3)))

    started: list[float] = []

    async def client() -> None:
        started.append(time.monotonic())
        await asyncio.gather(sleeper("b", 20), sleeper("a", 10), sleeper("c", 200))

    begun = REAL()
    inside(lambda: asyncio.run(client()))
    assert woken == [("a", 10), ("b", 20), ("c", 200)]
    assert REAL() - begun < 5


def test_a_loop_waits_for_what_a_thread_is_at() -> None:
    done = threading.Event()

    async def client() -> None:
        # In our own time, since the pool's thread has none of its own: it was there before the client.
        async with asyncio.timeout(5):
            assert await asyncio.to_thread(done.wait) is True

    timer = threading.Timer(0.2, done.set)
    timer.start()
    assert inside(lambda: asyncio.run(client())).now() < 5


def test_a_loop_waits_for_the_server() -> None:
    at_work = iter([True] * 20 + [False] * 1000)

    async def client() -> None:
        reader, writer = asyncio.get_running_loop().create_future(), time.monotonic()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader, 3)
        assert time.monotonic() - writer == pytest.approx(3, abs=0.01)

    inside(lambda: asyncio.run(client()), settle=lambda: next(at_work))
    assert next(at_work) is False


def test_a_loop_that_sleeps_beyond_the_limit_is_ended_and_may_clean_up() -> None:
    cleaned = []

    async def client() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(1)
            cleaned.append(True)

    with pytest.raises(Ended):
        inside(lambda: asyncio.run(client()), limit=100)
    assert cleaned


def test_a_loop_that_waits_for_nothing_is_ended() -> None:
    mine = VirtualTime(limit=10)

    async def client() -> None:
        await asyncio.get_running_loop().create_future()

    thread = run(mine, lambda: _quietly(lambda: asyncio.run(client())))
    thread.start()
    mine.busy_loop.set()
    thread.join(10)
    assert not thread.is_alive()


def _quietly(call: Callable[[], None]) -> None:
    with pytest.raises(Ended):
        call()
