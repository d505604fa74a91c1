"""Stories for the judge: traffic of a real server, and what is known of a case beside it."""

from __future__ import annotations

import hashlib
import re
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import httpx
import pytest

from mockveo.rules.client_rules import client_rules
from mockveo.rules.engine import Verdict
from mockveo.rules.trace import CallTrace
from mockveo.server.app import ServerThread
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
#: What a document of this generation has for what is left out.
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
    """The job in an answer, out of its outer envelope; empty where there is none."""
    try:
        body = answer.json()
    except ValueError:
        return {}
    inner = body.get("data") if isinstance(body, dict) else None
    found = inner if isinstance(inner, dict) else body
    return found if isinstance(found, dict) else {}


class Stage:
    """A world of its own whose time stands still, a client that does as it is told, and the story of it all."""

    def __init__(self, server: ServerThread, name: str, http: httpx.Client, **settings: Any) -> None:
        self.http = http
        self.server = server
        self.name = name
        self.world = server.app.worlds.reset(name, {"clock": "manual", "seed": 7, **settings})
        self.url = f"{server.url}/@{name}"

    def play(self, *faults: Mapping[str, Any], **more: Any) -> None:
        """The scenario of the world from now on."""
        self.world.use(scenario({"faults": list(faults), **more}))

    def send(self, method: str, path: str, **more: Any) -> httpx.Response | None:
        """A request with the key, None where no whole answer came."""
        more.setdefault("headers", KEY)
        url = path if path.startswith("http") else f"{self.url}{path}"
        try:
            return self.http.request(method, url, **more)
        except httpx.TransportError:
            return None

    def create(self, *files: Any, headers: Mapping[str, str] | None = None, **fields: Any) -> str:
        """Sends a form; the id of the job that was made, or nothing."""
        parts = [(name, (None, value)) for name, value in {"prompt": PROMPT, **fields}.items() if value is not None]
        return self.told(self.send("POST", "/v1/videos", files=[*parts, *files], headers={**KEY, **(headers or {})}))

    def raw(self, content_type: str, body: bytes) -> str:
        """Sends a create with a body that was made by hand."""
        headers = {**KEY, **({"Content-Type": content_type} if content_type else {})}
        return self.told(self.send("POST", "/v1/videos", content=body, headers=headers))

    def form(self, *parts: str | bytes) -> str:
        """Sends a form of parts that were made by hand, each with its headers."""
        lines = [part.encode() if isinstance(part, str) else part for part in parts]
        whole = [
            head.replace(b"\n", b"\r\n") + b"\r\n\r\n" + value
            for head, _, value in (one.partition(b"\n\n") for one in lines)
        ]
        body = b"".join(b"--x\r\n" + one + b"\r\n" for one in whole) + b"--x--\r\n"
        return self.raw("multipart/form-data; boundary=x", body)

    def told(self, answer: httpx.Response | None) -> str:
        return str(read_job(answer).get("id", "")) if answer is not None and answer.status_code == 200 else ""

    def poll(self, job: str, times: int = 1, **more: Any) -> Any:
        """Asks for a job; what the last answer says."""
        for _ in range(times):
            answer = self.send("GET", f"/v1/videos/{job}", **more)
        return read_job(answer) if answer is not None else {}

    def content(self, job: str, query: str = "", **more: Any) -> bytes:
        answer = self.send("GET", f"/v1/videos/{job}/content{query}", **more)
        return answer.content if answer is not None else b""

    def pass_time(self, seconds: float = 1000) -> None:
        self.world.clock.advance(seconds)

    def finished(self, **more: Any) -> str:
        """A job from its create to the poll that tells its end."""
        job = self.create(**more)
        self.poll(job)
        self.pass_time()
        self.poll(job)
        return job

    @property
    def trace(self) -> list[dict[str, Any]]:
        return [one.to_json() for one in self.world.journal]

    def story(
        self,
        said: str | Mapping[str, Any] | None = None,
        *,
        times: Sequence[float] = (),
        pace: float = 1.0,
        features: Mapping[str, Any] | None = None,
        **case: Any,
    ) -> CallTrace:
        """What happened, as of a case: the words of `case` that it asks for are of its input, others its own.

        The exchanges are a second apart where no `times` are given.
        """
        trace = timed(self.trace, times)
        wanted = {"prompt": PROMPT, "model": None, "size": None, "images": []}
        known = {
            "id": "1",
            "base_url": f"{self.url}/v1",
            "api_key": SECRET,
            "poll_interval_s": 0.5,
            "deadline_s": 600.0,
        }
        known |= {name: value for name, value in case.items() if name not in wanted}
        known["input"] = wanted | {name: value for name, value in case.items() if name in wanted}
        result = outcome(said) if isinstance(said, str) else said
        features = ALL_FEATURES if features is None else features
        seen = [Exchange.from_json(data) for data in trace]
        return CallTrace(seen, case=known, outcome=result, features=features, defaults=DEFAULTS, pace=pace)

    def traffic(self, *, times: Sequence[float] = ()) -> CallTrace:
        """What happened, of which no case is known."""
        return CallTrace([Exchange.from_json(data) for data in timed(self.trace, times)])


def timed(trace: list[dict[str, Any]], times: Sequence[float]) -> list[dict[str, Any]]:
    """A trace with other times: those given, and after the last of them a second from one to the next."""
    at, given = -1.0, list(times)
    for place, data in enumerate(trace):
        at = given[place] if place < len(given) else at + 1.0
        data["time"] = 1_800_000_000.0 + at
    return trace


class Told(NamedTuple):
    """A story, the rule that it is about, and what the judge is to say of it."""

    rule: str
    verdict: str
    message: str
    tell: Callable[[Stage], CallTrace]

    def __str__(self) -> str:
        return f"{self.rule}-{self.verdict.replace(' ', '-')}-{self.tell.__name__}"


class Tales(list[Told]):
    """Stories with what the judge is to say of them."""

    def told(self, *rules: str, verdict: str = "pass", message: str = "") -> Callable[[Any], Any]:
        """Keeps a function that plays a story; `message` is what the judge's has to have in it, as a pattern."""

        def keep(tell: Callable[[Stage], CallTrace]) -> Callable[[Stage], CallTrace]:
            self.extend(Told(rule, verdict, message, tell) for rule in rules)
            return tell

        return keep


def judged(story: CallTrace, rule: str) -> Verdict:
    (verdict,) = client_rules().judge(story, [rule])
    return verdict


def check(one: Told, stage: Stage) -> None:
    """Plays a story, and holds what the judge says against what it is to say."""
    story = one.tell(stage)
    verdict = judged(story, one.rule)
    assert verdict.verdict == one.verdict, (verdict, [exchange.line for exchange in story.exchanges])
    for breach in verdict.breaches:
        assert re.search(one.message, breach.message), breach.message
        assert SECRET not in breach.message
        assert set(breach.exchanges) <= {exchange.number for exchange in story.exchanges}
    assert bool(verdict.breaches) == bool(one.message)


@pytest.fixture(scope="session")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), trust_env=False) as client:
        yield client


@pytest.fixture
def stage(server: ServerThread, http: httpx.Client, request: pytest.FixtureRequest) -> Stage:
    return Stage(server, re.sub(r"[^A-Za-z0-9._~-]", "-", request.node.name)[-90:], http)


def asked_to_wait(retry_after: str, date: str) -> float:
    """Seconds of a Retry-After in an answer of that date."""
    if retry_after.replace(".", "", 1).isdecimal():
        return float(retry_after)
    return (parsedate_to_datetime(retry_after) - parsedate_to_datetime(date)).total_seconds()


class Virtual:
    """The time of a client that only counts its pauses."""

    def __init__(self) -> None:
        self.now = 0.0
        #: When each request was sent.
        self.sent: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Reference:
    """A client as it should be, by the pages and no more: what it does must never be flagged."""

    PASSING = (408, 425, 429, 500, 502, 503, 504, 520, 522, 524)

    def __init__(self, case: Mapping[str, Any], http: httpx.Client, time: Virtual) -> None:
        self.case = case
        self.http = http
        self.time = time
        self.end = time.now + case["deadline_s"]
        self.pause = float(case["poll_interval_s"])

    def __call__(self) -> dict[str, Any]:
        try:
            job = self.created()
            done = self.followed(job)
            video = {"id": job["id"], "status": done.get("status"), "model": done.get("model") or job.get("model")}
            if done["status"] in ("completed", "SUCCESS"):
                return self.downloaded(video)
            reason = done.get("error") or {"message": "failed without a reason"}
            return outcome("failed", video=video, error={"type": "failed", "message": reason["message"]})
        except TimeoutError as error:
            return outcome("timeout", error={"type": "deadline", "message": str(error)})
        except OSError as error:
            return outcome("error", error={"type": "error", "message": str(error)})

    def created(self) -> dict[str, Any]:
        for attempt in range(8):
            answer = self.ask("POST", "/videos", files=self.form())
            if answer is None:
                raise OSError("nobody knows whether the job was made")
            job = read_job(answer)
            if answer.status_code == 200 and job.get("id"):
                return job
            if answer.status_code not in (429, 503) or self.error(answer)[0] == "model_not_found":
                raise OSError(self.error(answer)[1])
            self.wait(answer, attempt)
        raise OSError("the service is too busy")

    def followed(self, job: dict[str, Any]) -> dict[str, Any]:
        troubles, found = 0, job
        while found.get("status") not in ("completed", "failed", "error", "SUCCESS", "FAILED"):
            self.sleep(self.pause)
            answer = self.ask("GET", f"/videos/{job['id']}")
            lost = answer is None or answer.status_code in self.PASSING
            if not lost and answer is not None and answer.status_code == 200 and read_job(answer).get("status"):
                found, troubles = read_job(answer), 0
                continue
            if (
                not lost
                and answer is not None
                and self.error(answer)[0] != "task_not_exist"
                and answer.status_code != 200
            ):
                raise OSError(self.error(answer)[1])
            self.wait(answer, troubles)
            troubles += 1
        return found

    def downloaded(self, video: dict[str, Any]) -> dict[str, Any]:
        for attempt in range(6):
            answer = self.ask("GET", f"/videos/{video['id']}/content")
            if answer is not None and answer.status_code == 200:
                return outcome("completed", video=video, content=stored(answer.content), content_path="a.mp4")
            self.wait(answer, attempt)
        return outcome("completed", video=video, error={"type": "download", "message": "it could not be fetched"})

    def form(self) -> list[Any]:
        given = self.case["input"]
        fields = {name: given[name] for name in ("prompt", "model", "size") if given[name] is not None}
        files = [("input_reference", (one["filename"], one["data"], one["content_type"])) for one in given["images"]]
        return [*((name, (None, value)) for name, value in fields.items()), *files]

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response | None:
        self.time.sent.append(self.time.now)
        try:
            headers = {"Authorization": f"Bearer {self.case['api_key']}"}
            return self.http.request(method, f"{self.case['base_url']}{path}", headers=headers, **more)
        except httpx.TransportError:
            return None

    def wait(self, answer: httpx.Response | None, attempt: int) -> None:
        told = answer.headers.get("retry-after") if answer is not None else None
        usual = self.pause * 2 ** min(attempt, 5)
        self.sleep(asked_to_wait(told, answer.headers["date"]) if told and answer is not None else usual)

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
