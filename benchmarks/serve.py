"""The cost of a request to mockveo, compared with a server that does nothing: `python benchmarks/serve.py`.

Servers run on one core, the load generator on the other, in turns within one run; CPU time is what the operating
system charged all threads of the server, also after the last response of a turn, when the log is written and findings
are judged. Compare the ratios of one run, not the figures of different machines. Linux only. `--base DIRECTORY` adds
another checkout, such as that of the commit before.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from operator import sub, truediv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
CONNECTIONS = 8
#: Short, since the speed of a machine drifts; no more than a log takes in a tenth of a second.
REQUESTS_PER_TURN = 1000
#: Until the log of a turn is written and its findings are judged: a beat of the server each, a tenth of a second.
SETTLE_S = 0.35
BOUNDARY = "5dfffed2148d37cebcff109bc2c0c726"
FIELDS = {"prompt": "A paper kite floats above a field.", "model": "veo3-fast", "size": "16x9"}


def request(method: str, path: str, body: bytes = b"") -> bytes:
    """Return a request as bytes."""
    kind = f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {len(body)}\r\n" if body else ""
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer sk-test\r\n{kind}\r\n"
    return head.encode() + body


def form(image: bytes | None = None) -> bytes:
    """Return a multipart form with the fields of the documented example and perhaps an image."""
    opening = f"--{BOUNDARY}\r\nContent-Disposition: form-data; name="
    parts = [f'{opening}"{name}"\r\n\r\n{value}\r\n'.encode() for name, value in FIELDS.items()]
    if image is not None:
        head = f'{opening}"input_reference"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
        parts.append(head.encode() + image + b"\r\n")
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


@dataclass
class ServerProcess:
    """A server process on the first core."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    get: str = "/v1/videos/x"

    def cpu(self) -> float:
        """Return the CPU seconds of its threads so far."""
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9

    def resident(self) -> float:
        """Return its resident memory in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024

    def load(self, data: bytes, count: int) -> float:
        """Send `count` requests over several connections and return the CPU microseconds of each, settled."""
        before = self.cpu()
        hammer(self.port, data, count)
        time.sleep(SETTLE_S)
        return (self.cpu() - before) / count * 1e6


def hammer(port: int, data: bytes, count: int, *more: tuple[int, bytes]) -> None:
    """Send a request repeatedly; each connection waits for the response before the next.

    Further ports and requests share the connections evenly.
    """
    selector = selectors.DefaultSelector()
    targets = islice(cycle([(port, data), *more]), CONNECTIONS)
    requests = {socket.create_connection(("127.0.0.1", each)): its_data for each, its_data in targets}
    connections = list(requests)
    sent = 0
    for connection in connections:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ, connection)
        connection.sendall(requests[connection])
        sent += 1
    answered = 0
    pending = dict.fromkeys(connections, b"")
    while answered < count:
        for key, _ in selector.select():
            connection = key.data
            pending[connection] += connection.recv(65536)
            if not is_complete(pending[connection]):
                continue
            pending[connection] = b""
            answered += 1
            if sent < count:
                connection.sendall(requests[connection])
                sent += 1
    for connection in connections:
        connection.close()


def is_complete(response: bytes) -> bool:
    """Return whether a response of 200 has arrived completely."""
    head, blank_line, body = response.partition(b"\r\n\r\n")
    if not blank_line:
        return False
    if not head.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"not a 200: {response[:300]!r}")
    return len(body) >= int(re.findall(rb"content-length: (\d+)", head)[0])


def once(port: int, data: bytes) -> bytes:
    """Return the body of the response to a single request."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(data)
        response = b""
        while not is_complete(response):
            response += connection.recv(65536)
    return response.partition(b"\r\n\r\n")[2]


@contextmanager
def started(name: str, *command: str, checkout: Path = ROOT) -> Iterator[ServerProcess]:
    """Start a server and wait for its first response."""
    port = free_port()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            ["taskset", "-c", "0", sys.executable, *(part.format(port=port) for part in command)],
            stdout=log,
            cwd=checkout,
        )
        server = ServerProcess(name, process, port)
        try:
            wait(server, lambda: once(port, request("POST", "/v1/videos", form())))
            if name.startswith("mockveo"):
                server.get = f"/v1/videos/{json.loads(once(port, request('POST', '/v1/videos', form())))['id']}"
            yield server
        finally:
            process.terminate()
            process.wait()


def free_port() -> int:
    """Return an unused port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def wait(server: ServerProcess, first: Callable[[], bytes]) -> None:
    """Wait for the first response of a server."""
    while True:
        try:
            first()
        except OSError:
            if server.process.poll() is not None:
                raise SystemExit(f"{server.name} did not start") from None
            time.sleep(0.001)
        else:
            return


MOCKVEO = ("-m", "mockveo", "serve", "--port", "{port}", "--seed", "1", "--no-render")
QUIET, LOGGED, BOTH = "mockveo --quiet", "mockveo --no-findings", "mockveo"
#: What a server writes: nothing, the log, or the log and findings.
OUTPUTS = {QUIET: ("--quiet",), LOGGED: ("--no-findings",), BOTH: ()}


@dataclass
class Costs:
    """The CPU microseconds of a GET and of a POST of one server, by turn."""

    name: str
    turns: list[tuple[float, float]]

    def medians(self, relation: Callable[[float, float], float], other: Costs) -> tuple[float, float]:
        """Return the medians of how the costs relate to those of another server in the same turn."""
        pairs = [
            (relation(get, other_get), relation(post, other_post))
            for (get, post), (other_get, other_post) in zip(self.turns, other.turns, strict=True)
        ]
        got, posted = map(statistics.median, zip(*pairs, strict=True))
        return got, posted


def per_request(turns: int, base: Path | None = None) -> list[Costs]:
    """Return what a GET and a POST cost on each server; the servers take turns."""
    bare = str(HERE / "bare.py")
    with ExitStack() as stack:
        servers = [
            stack.enter_context(started("bare uvicorn", bare, "bare", "{port}")),
            stack.enter_context(started("Starlette route", bare, "starlette", "{port}")),
            *(stack.enter_context(started(name, *MOCKVEO, *flags)) for name, flags in OUTPUTS.items()),
        ]
        for name, flags in OUTPUTS.items() if base else ():
            servers.append(stack.enter_context(started(f"{name}, base", *MOCKVEO, *flags, checkout=base or ROOT)))
        post, costs = request("POST", "/v1/videos", form()), [Costs(server.name, []) for server in servers]
        for server in servers:  # imports rules, and fills the journal
            server.load(request("GET", server.get), REQUESTS_PER_TURN)
        for _ in range(turns):
            for server, cost in zip(servers, costs, strict=True):
                got = server.load(request("GET", server.get), REQUESTS_PER_TURN)
                cost.turns.append((got, server.load(post, REQUESTS_PER_TURN)))
    return costs


def print_costs(costs: Sequence[Costs]) -> None:
    """Print the costs of a request, as multiples of the bare server's too, and what the log and findings add."""
    print(f"CPU us per request               GET  x bare    POST  x bare   (POST: a form of {len(form())} bytes)")
    for cost in costs:
        got, posted = cost.medians(lambda own, _: own, cost)
        got_ratio, posted_ratio = cost.medians(truediv, costs[0])
        print(f"{cost.name:<28}{got:>8.0f}{got_ratio:>8.2f}{posted:>8.0f}{posted_ratio:>8.2f}")
    by_name = {cost.name: cost for cost in costs}
    for more, name, less in (("the log", LOGGED, QUIET), ("findings", BOTH, LOGGED), ("both", BOTH, QUIET)):
        got, posted = by_name[name].medians(sub, by_name[less])
        print(f"added by {more:<19}{got:>8.1f}{'':8}{posted:>8.1f}")


def first_answer(rounds: int, *command: str, checkout: Path = ROOT) -> float:
    """Return the milliseconds until a server's first 200 (median)."""
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        port = free_port()
        process = subprocess.Popen([sys.executable, *(part.format(port=port) for part in command)], cwd=checkout)
        server = ServerProcess("started", process, port)
        wait(server, lambda port=port: once(port, request("GET", "/api/models")))  # type: ignore[misc]
        times.append((time.perf_counter() - begun) * 1000)
        process.terminate()
        process.wait()
    return statistics.median(times)


def command_time(rounds: int, *arguments: str, checkout: Path = ROOT) -> float:
    """Return the milliseconds that a Python command takes (median)."""
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True, cwd=checkout)
        times.append((time.perf_counter() - begun) * 1000)
    return statistics.median(times)


def big_image(rounds: int) -> tuple[float, float]:
    """Return the milliseconds and MB that a create with an image of 10 MB costs."""
    data = request("POST", "/v1/videos", form(os.urandom(10_000_000)))
    with started("mockveo", *MOCKVEO, "--quiet") as server:
        before = server.resident()
        times = []
        for _ in range(rounds):
            begun = time.perf_counter()
            once(server.port, data)
            times.append((time.perf_counter() - begun) * 1000)
        return statistics.median(times), server.resident() - before


def memory(count: int) -> tuple[float, float, float]:
    """Return the MB after the start, after a first fill of the journal, and after `count` requests."""
    with started("mockveo", *MOCKVEO, "--quiet") as server:
        start = server.resident()
        server.load(request("GET", server.get), 5000)
        warm = server.resident()
        server.load(request("GET", server.get), count)
        return start, warm, server.resident()


def main() -> None:
    """Print the tables."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--turns", type=int, default=30, help="default: 30")
    options.add_argument("--quick", action="store_true", help="a tenth of the load")
    options.add_argument("--base", type=Path, help="another checkout to compare with")
    chosen = options.parse_args()
    scale = 10 if chosen.quick else 1
    os.sched_setaffinity(0, {1})

    print_costs(per_request(max(chosen.turns // scale, 5), chosen.base))

    os.sched_setaffinity(0, {0, 1})
    bare = first_answer(7, str(HERE / "bare.py"), "bare", "{port}")
    nothing = command_time(7, "-c", "pass")
    print(f"\nstart to first 200: bare uvicorn {bare:.0f} ms; python -c pass: {nothing:.0f} ms")
    for checkout in filter(None, (ROOT, chosen.base)):
        ready = first_answer(7, *MOCKVEO, "--quiet", checkout=checkout)
        imported = command_time(7, "-c", "import mockveo", checkout=checkout)
        shown = command_time(7, "-m", "mockveo", "--help", checkout=checkout)
        name = "mockveo" if checkout == ROOT else "base"
        print(f"{name}: first 200 {ready:.0f} ms, import mockveo {imported:.0f} ms, --help {shown:.0f} ms")

    milliseconds, grown = big_image(5)
    print(f"image of 10 MB: {milliseconds:.1f} ms, +{grown:.1f} MB")
    count = 200_000 // scale
    start, warm, after = memory(count)
    print(f"resident: {start:.1f} MB after the start, {warm:.1f} after 5000 requests, {after:.1f} after {count}")

    jobs = subprocess.run(
        [sys.executable, str(HERE / "jobs.py"), str(1_000_000 // scale)], check=True, capture_output=True, text=True
    )
    print(jobs.stdout.strip())


if __name__ == "__main__":
    main()
