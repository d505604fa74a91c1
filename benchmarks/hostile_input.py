"""The rows of `benchmarks/hostile.py` about single requests and files, and its fuzzer: CPU time, in process."""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from hostile_server import ROOT, ROWS, Row, row

sys.path.insert(0, str(ROOT / "tests" / "support"))
#: Settings of the worlds that a fuzzer's requests meet, in turn.
FUZZED: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"strict": True, "clock": "manual"},
    {"self_check": True, "profile": "docs-2026-10"},
    {"profile": "gateway", "clock": "poll"},
    {"credit": 5, "max_jobs": 20, "max_exchanges": 20},
)
#: Requests that one application gets.
PART: Final = 20_000


_MIB: Final = 2**20


def _body(content_type: str, data: bytes, path: str = "/v1/videos", method: str = "POST") -> Callable[[], float]:
    """Return what measures the CPU milliseconds for which a request holds the event loop, the best of three."""

    def measure() -> float:
        import mockveo

        app = mockveo.app(seed=1, render=False)
        asyncio.run(_asked(app, "POST", "/v1/videos", "application/json", b'{"prompt":"p"}'))
        return min(asyncio.run(_asked(app, method, path, content_type, data)) for _ in range(3))

    return measure


async def _asked(app: Any, method: str, path: str, content_type: str, data: bytes) -> float:
    messages = iter([{"type": "http.request", "body": data}])

    async def receive() -> Any:
        return next(messages, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        assert message.get("status", 0) < 500, message

    headers = [(b"host", b"127.0.0.1"), (b"authorization", b"Bearer sk"), (b"content-type", content_type.encode())]
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers, "root_path": ""}
    begun = time.process_time()
    await app(scope, receive, send)
    return (time.process_time() - begun) * 1000


def _multipart(value: bytes) -> bytes:
    return b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n' + value + b"\r\n--b--\r\n"


def _list(item: bytes) -> bytes:
    return b'{"prompt":[' + item * (_BIG // len(item)) + b"1]}"


_BIG: Final = _MIB - 200
_FORM, _JSON, _URL = "multipart/form-data; boundary=b", "application/json", "application/x-www-form-urlencoded"
_NAMES = json.dumps({f"a {number}": "x" for number in range(15_000)}).encode()
for _name, _subject, _before, _kind, _data, *_where in (
    ("percents", "urlencoded prompt= and 1 MB of %", "6,000 (10 MB)", _URL, b"prompt=" + b"%" * _BIG),
    ("escapes", "urlencoded, 1 MB of %41", "1,900 (10 MB)", _URL, b"prompt=" + b"%41" * (_BIG // 3)),
    (
        "lists",
        'JSON {"prompt": [[],[],...]} of 1 MB',
        "3,500 (10 MB)",
        _JSON,
        _list(b"[],"),
    ),
    (
        "numbers",
        'JSON {"prompt": [1,1,...]} of 1 MB',
        "2,200 (10 MB)",
        _JSON,
        _list(b"1,"),
    ),
    ("long_tag", "a tag with a name of 1 MB", "1,400 (9 MB)", _FORM, _multipart(b"[mockveo:" + b"x" * _BIG + b"]")),
    ("tags", "[mockveo:fails] x 70,000", "1,000 (x 700,000)", _FORM, _multipart(b"[mockveo:fails]" * (_BIG // 15))),
    ("latin", "a prompt of 1 MB that is not UTF-8", "1,100 (32 MB)", _FORM, _multipart(b"\xff" * _BIG)),
    ("too_long", "a prompt of 32 MB", "1,100", _FORM, _multipart(b"\xff" * 32 * 1_000_000)),
    (
        *("names", "PUT /_mockveo/scenario with 15,000 wrong names of headers", "77,000 (10,000 names)", _JSON),
        *(b'{"scenario":{"faults":[{"headers":' + _NAMES + b"}]}}", "/_mockveo/scenario", "PUT"),
    ),
    (
        *("omitted", "PUT /_mockveo/scenario with 80,000 values of a wrong type", "not measured", _JSON),
        *(b'{"scenario":{"style":{"omit":[' + b"1," * 80_000 + b"1]}}}", "/_mockveo/scenario", "PUT"),
    ),
):
    ROWS[_name] = Row("1b", _name, _subject, 50, "ms", _before, _body(_kind, _data, *_where))


def _checked(text: str) -> float:
    """Return the seconds in which the command refuses a scenario; it must give one sentence and no traceback."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "x.yaml"
        path.write_text(text, encoding="utf-8")
        begun = time.perf_counter()
        command = [sys.executable, "-m", "mockveo", "scenarios", "check", str(path)]
        answer = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=120)
        assert answer.returncode == 2, answer
        assert "Traceback" not in answer.stderr
        return time.perf_counter() - begun


@row("1g", "refusing 600 bytes of billion laughs", 2, "s", "3 GB, then killed")
def laughs() -> float:
    """Return the seconds that 600 bytes of billion laughs take."""
    rows = [f"a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 10)}]" for number in range(1, 9)]
    return _checked("\n".join(["a0: &a0 [x, x, x, x, x, x, x, x, x, x]", *rows]))


@row("1h", "judge of 20,000 ids, CPU time", 5, "s", "over 600")
def judged() -> float:
    """Return the seconds in which judge reads 20,000 ids, each created and polled once."""
    exchanges: list[dict[str, Any]] = []
    for number in range(20_000):
        job = {"id": f"task_{number}", "status": "queued", "progress": 0, "object": "video"}
        for method, path in (("POST", "/v1/videos"), ("GET", f"/v1/videos/task_{number}")):
            request = {"method": method, "path": path, "headers": [["authorization", "Bearer (key 0f2c10bf)"]]}
            response = {"status": 200, "headers": [["content-type", "application/json"]], "body": job}
            when = {"number": len(exchanges) + 1, "time": 1773297229 + len(exchanges)}
            exchanges.append({**when, "request": request, "response": response, "job": job["id"]})
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "x.json"
        file.write_text(json.dumps({"exchanges": exchanges}), encoding="utf-8")
        begun = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        command = [sys.executable, "-m", "mockveo", "judge", str(file)]
        answer = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=900)
        assert "Traceback" not in answer.stderr, answer.stderr[-2000:]
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - begun


#: Files that ask for much time or memory: overlays by their targets, others by what they hold.
BOMBS: Final = (
    *("[" * 100_000, "a: &a [*a]", "{" * 300 + "}" * 300, "a: " + "1" * 5000, "- " * 5000, "? " * 5000),
    *(
        "&a a: " + "*a " * 100,
        "\x00",
        "a: .nan",
        "'" + "x" * 1_000_000,
        "%YAML 9.9\n---\n",
        "a: !!binary x",
        "{a: {a: [",
    ),
    *("{a: {a: [", "\ufeff", "!!python/name:os.system"),
)
TARGETS: Final = (
    *(
        "$" + ".a" * 20_000,
        "$..*..*..*..*",
        "$..[?@..[?@..[?@..a]]]",
        "$..[?@.description =~ /(a+)+$/]",
        "$[" * 500,
        "$",
    ),
    *(
        "$[" * 500,
        "$.paths[*]..*",
        "$..[?match(@, '(.*)*')]",
        "$..[?search(@.description, '(([a-z ])+.)+[A-Z]([a-z])+$')]",
    ),
)


@row(
    "1g",
    f"longest of {len(BOMBS)} files that ask for much, in 8 places, and 9 overlays",
    5,
    "s",
    "ever",
)
def bombs() -> float:
    """Return seconds; a traceback counts 1,000."""
    from click.testing import CliRunner

    from mockveo.cli.main import main
    from mockveo.errors import SpecError
    from mockveo.spec.spec import load

    longest = 0.0
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "x.yaml"
        file = str(path)
        commands = (
            ["scenarios", "check", file], ["serve", "--port", "0", "--spec", file], ["judge", file], ["replay", file],
            ["serve", "--port", "0", "--overlay", file], ["report", file, "--as", f"html={file}.html"], ["load", file],
            ["check", "--known", file, "--case", "poll/503", "--", "true"],
        )  # fmt: skip
        for command in commands:
            for bomb in BOMBS:
                path.write_bytes(bomb.encode("utf-8", "surrogatepass"))
                begun = time.perf_counter()
                done = CliRunner().invoke(main, command)
                is_explained = isinstance(done.exception, SystemExit) and "bug of mockveo" not in done.output
                longest = max(longest, time.perf_counter() - begun if is_explained else 1000)
        for target in TARGETS:
            path.write_text(json.dumps({"overlay": "1.0.0", "actions": [{"target": target, "update": {}}]}))
            begun = time.perf_counter()
            with suppress(SpecError), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it selects nothing
                load(overlays=[path])
            longest = max(longest, time.perf_counter() - begun)
    return longest


@row("1a", "unasked 5xx, tracebacks and leaks of 20,000 fuzzed requests", 0, "", "679 of 1.73 M")
def fuzzed() -> float:
    """Return the number."""
    return _fuzzed(PART, 0)


def fuzz(count: int, seed: int) -> None:
    """Send hostile requests and print what they got; exit with 1 if anything met an error of ours, or showed a key."""
    sys.exit(1 if _fuzzed(count, seed, print) else 0)


def _fuzzed(count: int, seed: int, report: Callable[[str], None] = lambda _: None) -> int:
    from fuzz_runs import fuzz_in_process

    sent, begun, wrong = 0, time.perf_counter(), 0
    while sent < count:
        number = sent // PART
        with tempfile.TemporaryDirectory() as corpus:
            part = min(PART, count - sent)
            verdict = fuzz_in_process(seed * 1_000_003 + number, part, Path(corpus), **FUZZED[number % len(FUZZED)])
        sent += part
        wrong += len(verdict.faults)
        report(
            f"{sent:>10,} requests in {time.perf_counter() - begun:.0f} s: {verdict.unasked} unasked 5xx, "
            f"{verdict.tracebacks} tracebacks, {verdict.leaks} leaks; {dict(verdict.statuses.most_common(6))}"
        )
        for evidence in verdict.faults[:5]:
            report(f"  {evidence}")
    return wrong
