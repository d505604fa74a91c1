"""Traces for the rules: traffic of a real server, with a case and an outcome."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import httpx

from mockveo.rules.client_rules import client_rules
from mockveo.rules.engine import Verdict
from mockveo.rules.trace import CallTrace
from mockveo.server.run import ServerThread
from mockveo.simulator.fault_selection import Kills
from mockveo.simulator.scenarios import scenario
from mockveo.traffic.exchange import Exchange

SECRET = "sk-a-case-of-its-own"
KEY = {"Authorization": f"Bearer {SECRET}"}
PROMPT = "A paper kite floats above a field."
FIRST, LAST = (b"\x89PNG\r\n\x1a\n" + bytes([number]) * 5000 for number in (1, 2))
HEAD, TAIL = (
    ("input_reference", ("first.png", FIRST, "image/png")),
    ("input_reference", ("last.png", LAST, "image/png")),
)
#: Defaults of the document for fields that are left out.
DEFAULTS = {"model": "veo3-fast", "size": "16x9"}
ALL_FEATURES = {"images": 2, "content": True, "deadline": True, "poll_interval": True, "model": True, "size": True}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def image(data: bytes, name: str = "first.png") -> dict[str, Any]:
    return {"path": f"a/{name}", "filename": name, "content_type": "image/png", "sha256": sha256(data)}


def outcome(word: str | None, **more: Any) -> dict[str, Any]:
    nothing = {"video": None, "content_path": None, "error": None, "content": None, "leaks": [], "ended_by": None}
    return {**nothing, "outcome": word, **more}


def stored(data: bytes) -> dict[str, Any]:
    return {"sha256": sha256(data), "bytes": len(data)}


def read_job(answer: httpx.Response) -> dict[str, Any]:
    """Return the job in a response, without its outer envelope; empty without one."""
    try:
        body = answer.json()
    except ValueError:
        return {}
    inner = body.get("data") if isinstance(body, dict) else None
    job = inner if isinstance(inner, dict) else body
    return job if isinstance(job, dict) else {}


class Recorder:
    """A world whose time stands still, a client to send requests with, and the trace of them."""

    def __init__(self, server: ServerThread, name: str, http: httpx.Client, **settings: Any) -> None:
        self.http = http
        self.server = server
        self.name = name
        self.world = server.app.worlds.reset(name, {"clock": "manual", "seed": 7, **settings}, kills=Kills(9))
        self.url = f"{server.url}/@{name}"

    def play(self, *faults: Mapping[str, Any], **more: Any) -> None:
        """Use a scenario from now on."""
        self.world.use(scenario({"faults": list(faults), **more}))

    def send(self, method: str, path: str, **more: Any) -> httpx.Response | None:
        """Send a request with the key; None without a complete response that can be decoded."""
        more.setdefault("headers", KEY)
        url = path if path.startswith("http") else f"{self.url}{path}"
        try:
            return self.http.request(method, url, **more)
        except httpx.RequestError:
            return None

    def create(self, *files: Any, headers: Mapping[str, str] | None = None, **fields: Any) -> str:
        """Send a form; return the id of the new job, or an empty text."""
        parts = [(name, (None, value)) for name, value in {"prompt": PROMPT, **fields}.items() if value is not None]
        return self.job_id(self.send("POST", "/v1/videos", files=[*parts, *files], headers={**KEY, **(headers or {})}))

    def raw(self, content_type: str, body: bytes) -> str:
        """Send a create with a handmade body."""
        headers = {**KEY, **({"Content-Type": content_type} if content_type else {})}
        return self.job_id(self.send("POST", "/v1/videos", content=body, headers=headers))

    def form(self, *parts: str | bytes) -> str:
        """Send a form of handmade parts, each with its headers."""
        lines = [part.encode() if isinstance(part, str) else part for part in parts]
        whole = [
            head.replace(b"\n", b"\r\n") + b"\r\n\r\n" + value
            for head, _, value in (line.partition(b"\n\n") for line in lines)
        ]
        body = b"".join(b"--x\r\n" + part + b"\r\n" for part in whole) + b"--x--\r\n"
        return self.raw("multipart/form-data; boundary=x", body)

    def job_id(self, answer: httpx.Response | None) -> str:
        return str(read_job(answer).get("id", "")) if answer is not None and answer.status_code == 200 else ""

    def poll(self, job: str, times: int = 1, **more: Any) -> Any:
        """Poll a job; return it as in the last response."""
        for _ in range(times):
            answer = self.send("GET", f"/v1/videos/{job}", **more)
        return read_job(answer) if answer is not None else {}

    def content(self, job: str, query: str = "", **more: Any) -> bytes:
        answer = self.send("GET", f"/v1/videos/{job}/content{query}", **more)
        return answer.content if answer is not None else b""

    def pass_time(self, seconds: float = 1000) -> None:
        self.world.clock.advance(seconds)

    def finished(self, **more: Any) -> str:
        """Follow a job from its create to its end; return its id."""
        job = self.create(**more)
        self.poll(job)
        self.pass_time()
        self.poll(job)
        return job

    @property
    def trace(self) -> list[dict[str, Any]]:
        return [record.to_json() for record in self.world.journal]

    def call(
        self,
        reported: str | Mapping[str, Any] | None = None,
        *,
        times: Sequence[float] = (),
        pace: float = 1.0,
        features: Mapping[str, Any] | None = None,
        **case: Any,
    ) -> CallTrace:
        """Return the trace as a call with a case.

        Names of the input in `case` go to its input, others to the case. Without `times` the exchanges are a second
        apart.
        """
        trace = timed(self.trace, times)
        usual = {"prompt": PROMPT, "model": None, "size": None, "images": []}
        data = {
            "id": "1",
            "base_url": f"{self.url}/v1",
            "api_key": SECRET,
            "poll_interval_s": 0.5,
            "deadline_s": 600.0,
        }
        data |= {name: value for name, value in case.items() if name not in usual}
        data["input"] = usual | {name: value for name, value in case.items() if name in usual}
        result = outcome(reported) if isinstance(reported, str) else reported
        features = ALL_FEATURES if features is None else features
        exchanges = [Exchange.from_json(exchange) for exchange in trace]
        return CallTrace(exchanges, case=data, outcome=result, features=features, defaults=DEFAULTS, pace=pace)

    def traffic(self, *, times: Sequence[float] = ()) -> CallTrace:
        """Return the trace as a call without a case."""
        return CallTrace([Exchange.from_json(data) for data in timed(self.trace, times)])


def timed(trace: list[dict[str, Any]], times: Sequence[float]) -> list[dict[str, Any]]:
    """Return a trace with other times; after the last of them the exchanges are a second apart."""
    at, given = -1.0, list(times)
    for place, data in enumerate(trace):
        at = given[place] if place < len(given) else at + 1.0
        data["time"] = 1_800_000_000.0 + at
    return trace


class RuleExample(NamedTuple):
    """A recorded call, a rule, and the expected verdict; `message` is a pattern."""

    rule: str
    verdict: str
    message: str
    record: Callable[[Recorder], CallTrace]

    def __str__(self) -> str:
        return f"{self.rule}-{self.verdict.replace(' ', '-')}-{self.record.__name__}"


class RuleExamples(list[RuleExample]):
    """Recorded calls with the expected verdicts."""

    def expect(self, *rules: str, verdict: str = "pass", message: str = "") -> Callable[[Any], Any]:
        """Add the decorated function, which records a call, with the verdict on it."""

        def add(record: Callable[[Recorder], CallTrace]) -> Callable[[Recorder], CallTrace]:
            self.extend(RuleExample(rule, verdict, message, record) for rule in rules)
            return record

        return add


def judged(call: CallTrace, rule: str) -> Verdict:
    (verdict,) = client_rules().judge(call, [rule])
    return verdict


def check(example: RuleExample, recorder: Recorder) -> None:
    """Record a call and compare the verdict with the expected one."""
    call = example.record(recorder)
    verdict = judged(call, example.rule)
    assert verdict.verdict == example.verdict, (verdict, [exchange.line for exchange in call.exchanges])
    for breach in verdict.breaches:
        assert re.search(example.message, breach.message), breach.message
        assert SECRET not in breach.message
        earlier = call.restart.earlier if call.restart else []
        assert set(breach.exchanges) <= {exchange.number for exchange in (*earlier, *call.exchanges)}
    assert bool(verdict.breaches) == bool(example.message)


def asked_to_wait(retry_after: str, date: str) -> float:
    """Return the seconds of a Retry-After in a response of that date."""
    if retry_after.replace(".", "", 1).isdecimal():
        return float(retry_after)
    return (parsedate_to_datetime(retry_after) - parsedate_to_datetime(date)).total_seconds()


class Virtual:
    """Time that only the pauses of a client advance."""

    def __init__(self) -> None:
        self.now = 0.0
        #: When each request was sent.
        self.sent: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Reference:
    """A correct client, by the API's pages alone: no rule may find anything."""

    PASSING = (408, 425, 429, 500, 502, 503, 504, 520, 522, 524)

    def __init__(self, case: Mapping[str, Any], http: httpx.Client, time: Virtual) -> None:
        self.case = case
        self.http = http
        self.time = time
        self.end = time.now + case["deadline_s"]
        self.pause = float(case["poll_interval_s"])

    def __call__(self) -> dict[str, Any]:
        job: dict[str, Any] = {}
        try:
            job = self.created()
            done = self.followed(job)
            video = {"id": job["id"], "status": done.get("status"), "model": done.get("model") or job.get("model")}
            if done["status"] in ("completed", "SUCCESS"):
                return self.downloaded(video)
            reason = done.get("error") or {"message": "failed without a reason"}
            return outcome("failed", video=video, error={"type": "failed", "message": reason["message"]})
        except TimeoutError as error:
            video = {"id": job["id"]} if job else None
            return outcome("timeout", video=video, error={"type": "deadline", "message": str(error)})
        except OSError as error:
            return outcome("error", error={"type": "error", "message": str(error)})

    def created(self) -> dict[str, Any]:
        for attempt in range(8):
            answer = self.ask("POST", "/videos", files=self.form())
            if answer is None:
                raise OSError("the job may exist")
            job = read_job(answer)
            if answer.status_code == 200 and job.get("id"):
                return job
            if answer.status_code not in (429, 503) or self.error(answer)[0] == "model_not_found":
                raise OSError(self.error(answer)[1])
            self.wait(answer, attempt)
        raise OSError("the service is too busy")

    def followed(self, job: dict[str, Any]) -> dict[str, Any]:
        failures, latest = 0, job
        while latest.get("status") not in ("completed", "failed", "error", "SUCCESS", "FAILED"):
            self.sleep(self.pause)
            answer = self.ask("GET", f"/videos/{job['id']}")
            lost = answer is None or answer.status_code in self.PASSING
            if not lost and answer is not None and answer.status_code == 200 and read_job(answer).get("status"):
                latest, failures = read_job(answer), 0
                continue
            if (
                not lost
                and answer is not None
                and self.error(answer)[0] != "task_not_exist"
                and answer.status_code != 200
            ):
                raise OSError(self.error(answer)[1])
            self.wait(answer, failures)
            failures += 1
        return latest

    def downloaded(self, video: dict[str, Any]) -> dict[str, Any]:
        for attempt in range(6):
            answer = self.ask("GET", f"/videos/{video['id']}/content")
            if answer is not None and answer.status_code == 200 and answer.content[4:8] == b"ftyp":
                return outcome("completed", video=video, content=stored(answer.content), content_path="a.mp4")
            self.wait(answer, attempt)
        return outcome("completed", video=video, error={"type": "download", "message": "it could not be fetched"})

    def form(self) -> list[Any]:
        given = self.case["input"]
        fields = {name: given[name] for name in ("prompt", "model", "size") if given[name] is not None}
        files = [
            ("input_reference", (image["filename"], image["data"], image["content_type"])) for image in given["images"]
        ]
        return [*((name, (None, value)) for name, value in fields.items()), *files]

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response | None:
        self.time.sent.append(self.time.now)
        try:
            headers = {"Authorization": f"Bearer {self.case['api_key']}"}
            return self.http.request(method, f"{self.case['base_url']}{path}", headers=headers, **more)
        except httpx.TransportError:
            return None

    def wait(self, answer: httpx.Response | None, attempt: int) -> None:
        retry_after = answer.headers.get("retry-after") if answer is not None else None
        if answer is not None and retry_after:
            self.sleep(asked_to_wait(retry_after, answer.headers["date"]))
        else:
            self.sleep(self.pause * 2 ** min(attempt, 5))

    def sleep(self, seconds: float) -> None:
        if self.time.now + seconds > self.end:
            raise TimeoutError(f"not done after {self.case['deadline_s']} s")
        self.time.sleep(seconds)

    @staticmethod
    def error(answer: httpx.Response) -> tuple[str, str]:
        try:
            body = answer.json()
        except ValueError:
            return "", f"an answer of {answer.status_code}"
        nested = body.get("error")
        where = nested if isinstance(nested, dict) else body
        return str(where.get("code") or ""), str(where.get("message") or "")
