"""The cost of a request to mockveo, compared with a server that does nothing: `python benchmarks/serve.py`.

Servers run on one core, the load generator on the other, in turns within one run; CPU time is what the operating
system charged the server's process. Compare the ratios of one run, not the figures of different machines. Linux only.
`--base DIRECTORY` adds another checkout, such as that of the commit before.
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
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
CONNECTIONS = 8
#: Short, since the speed of a machine drifts.
REQUESTS_PER_TURN = 500
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
        """Return the CPU seconds of its main thread so far."""
        return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[0]) / 1e9

    def resident(self) -> float:
        """Return its resident memory in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024

    def load(self, data: bytes, count: int) -> float:
        """Send `count` requests over several connections and return the CPU microseconds of each."""
        before = self.cpu()
        hammer(self.port, data, count)
        return (self.cpu() - before) / count * 1e6


def hammer(port: int, data: bytes, count: int) -> None:
    """Send a request repeatedly; each connection waits for the response before the next."""
    selector = selectors.DefaultSelector()
    connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS)]
    sent = 0
    for connection in connections:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ, connection)
        connection.sendall(data)
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
                connection.sendall(data)
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


def per_request(rounds: int, count: int, base: Path | None = None) -> dict[str, tuple[float, float, float, float]]:
    """Return the CPU microseconds of a GET and of a POST by server, and both as multiples of the bare server's.

    The servers take short turns. The median of the rounds counts.
    """
    bare = str(HERE / "bare.py")
    with ExitStack() as stack:
        servers = [
            stack.enter_context(started("bare uvicorn", bare, "bare", "{port}")),
            stack.enter_context(started("Starlette route", bare, "starlette", "{port}")),
            stack.enter_context(started("mockveo", *MOCKVEO)),
            stack.enter_context(started("mockveo --quiet", *MOCKVEO, "--quiet")),
        ]
        if base:
            before = started("mockveo --quiet, base", *MOCKVEO, "--quiet", checkout=base)
            servers.append(stack.enter_context(before))
        post = request("POST", "/v1/videos", form())
        figures: dict[str, list[tuple[float, float]]] = {server.name: [] for server in servers}
        for _ in range(rounds):
            got, posted = dict.fromkeys(figures, 0.0), dict.fromkeys(figures, 0.0)
            turns = max(count // REQUESTS_PER_TURN, 1)
            for _ in range(turns):
                for server in servers:
                    got[server.name] += server.load(request("GET", server.get), REQUESTS_PER_TURN) / turns
                    posted[server.name] += server.load(post, REQUESTS_PER_TURN) / turns
            for name, pairs in figures.items():
                pairs.append((got[name], posted[name]))
    table = {}
    for name, pairs in figures.items():
        ratios = [
            (get / bare_get, post / bare_post)
            for (get, post), (bare_get, bare_post) in zip(pairs, figures["bare uvicorn"], strict=True)
        ]
        columns = (*zip(*pairs, strict=True), *zip(*ratios, strict=True))
        got_us, posted_us, got_ratio, posted_ratio = map(statistics.median, columns)
        table[name] = (got_us, posted_us, got_ratio, posted_ratio)
    return table


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
    options.add_argument("--rounds", type=int, default=3, help="default: 3")
    options.add_argument("--quick", action="store_true", help="a tenth of the load")
    options.add_argument("--base", type=Path, help="another checkout to compare with")
    chosen = options.parse_args()
    scale = 10 if chosen.quick else 1
    os.sched_setaffinity(0, {1})

    figures = per_request(chosen.rounds, 20_000 // scale, chosen.base)
    print(f"CPU us per request         GET  x bare    POST  x bare   (POST: a form of {len(form())} bytes)")
    for name, (got, posted, got_ratio, posted_ratio) in figures.items():
        print(f"{name:<22}{got:>8.0f}{got_ratio:>8.2f}{posted:>8.0f}{posted_ratio:>8.2f}")

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
