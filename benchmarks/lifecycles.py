"""The duration of whole job lifecycles in virtual time: `python benchmarks/lifecycles.py`.

10 000 jobs, each created, polled to its end by the poll clock and its video fetched: in process with direct ASGI calls,
and over a socket from threads, with a world for each hundred jobs. `--jobs N` sets their number, `--step S` the seconds
by which a poll advances a job.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import mockveo
from mockveo.server.run import ServerThread

BODY = b"prompt=A+paper+kite+floats+above+a+field."
KEY = "Bearer sk-test"
HEADERS = {"Authorization": KEY, "Content-Type": "application/x-www-form-urlencoded"}


def scope(method: str, path: str) -> dict[str, Any]:
    """Return an ASGI scope as a server makes it."""
    headers = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
    return {
        "type": "http", "method": method, "path": path, "query_string": b"", "root_path": "",
        "headers": headers if method == "POST" else headers[:1],
    }  # fmt: skip


async def in_process(jobs: int, step: float) -> int:
    """Run the lifecycles and return the number of requests."""
    app = mockveo.app(clock="poll", step=step, seed=1, render=False)
    requests = 0

    async def ask(method: str, path: str) -> tuple[int, bytes]:
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": BODY if method == "POST" else b""}

        async def send(message: Any) -> None:
            sent.append(message)

        await app(scope(method, path), receive, send)
        return sent[0]["status"], sent[1]["body"]

    for number in range(jobs):
        root = f"/@w{number // 100}/v1/videos"
        job = json.loads((await ask("POST", root))[1])["id"]
        requests += 1
        status = ""
        while status != "completed":
            status = json.loads((await ask("GET", f"{root}/{job}"))[1])["status"]
            requests += 1
        code, video = await ask("GET", f"{root}/{job}/content")
        assert (code, video[4:8]) == (200, b"ftyp")
        requests += 1
    return requests


def over_a_socket(server: ServerThread, world: int, jobs: int) -> int:
    """Run the lifecycles and return the number of requests."""
    host = server.url.removeprefix("http://")
    connection, requests = http.client.HTTPConnection(host), 0

    def ask(method: str, path: str) -> bytes:
        nonlocal requests
        requests += 1
        connection.request(method, path, BODY if method == "POST" else None, HEADERS)
        return connection.getresponse().read()

    root = f"/@w{world}/v1/videos"
    for _ in range(jobs):
        job = json.loads(ask("POST", root))["id"]
        while json.loads(ask("GET", f"{root}/{job}"))["status"] != "completed":
            pass
        assert ask("GET", f"{root}/{job}/content")[4:8] == b"ftyp"
    connection.close()
    return requests


def main() -> None:
    """Print two lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--step", type=float, default=10.0)
    jobs, step = vars(parser.parse_args()).values()
    began = time.perf_counter()
    requests = asyncio.run(in_process(jobs, step))
    took = time.perf_counter() - began
    print(f"in process     {jobs} lives, {requests} requests, {took:.1f} s, {took / jobs * 1000:.2f} ms each")
    with mockveo.serve(clock="poll", step=step, seed=1, render=False) as server, ThreadPoolExecutor(2) as threads:
        began = time.perf_counter()
        requests = sum(threads.map(lambda world: over_a_socket(server, world, 100), range(jobs // 100)))
        took = time.perf_counter() - began
    print(f"over a socket  {jobs} lives, {requests} requests, {took:.1f} s, {took / jobs * 1000:.2f} ms each")


if __name__ == "__main__":
    main()
