"""A correct client with the standard library alone, at each level of the client protocol.

client.py session [MAX_IN_FLIGHT] · client.py once · client.py run
"""

from __future__ import annotations

import http.client
import json
import mimetypes
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from operator import attrgetter
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

TROUBLE = (408, 425, 429, 500, 502, 503, 504, 520, 522, 524)
FEATURES = {"images": 2, "content": True, "deadline": True, "poll_interval": True}


class DeadlinePassed(Exception):
    """There is no time left."""


class JobFailed(Exception):
    """The API says that the job failed."""


class Refused(Exception):
    """The API says no."""


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers = response.status, response.headers
        self.body = response.read()  # raises IncompleteRead where it breaks off

    @property
    def json(self) -> dict[str, Any]:
        try:
            data = json.loads(self.body)
        except ValueError:
            return {}
        return data if isinstance(data, dict) else {}

    @property
    def is_video(self) -> bool:
        return self.body[4:8] == b"ftyp"  # the first box of every MP4

    @property
    def message(self) -> str:
        nested = self.json.get("error")
        return str((nested if isinstance(nested, dict) else self.json).get("message") or f"status {self.status}")

    @property
    def wait(self) -> float:
        value = self.headers.get("Retry-After")
        if value is None:
            return 0.0
        try:
            return float(value)
        except ValueError:
            return parsedate_to_datetime(value).timestamp() - time.time()


class Call:
    """One case, played."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.case, self.url = case, urlsplit(case["base_url"])
        self.until = time.monotonic() + case["deadline_s"]
        #: The answer to its create, once there is one.
        self.job: dict[str, Any] = {}

    def ask(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> Answer:
        left = self.until - time.monotonic()
        if left <= 0:
            raise DeadlinePassed("the deadline has passed")
        connection = http.client.HTTPConnection(self.url.netloc, timeout=left)
        headers = {"Authorization": f"Bearer {self.case['api_key']}"} | ({"Content-Type": kind} if kind else {})
        try:
            connection.request(method, self.url.path + path, body, headers)
            return Answer(connection.getresponse())
        except TimeoutError:
            raise DeadlinePassed("the deadline passed in the middle of a request") from None
        finally:
            connection.close()

    def sleep(self, seconds: float) -> None:
        if time.monotonic() + seconds >= self.until:
            raise DeadlinePassed("the deadline would pass while waiting")
        time.sleep(seconds)

    def get(self, path: str, whole: Callable[[Answer], object] = attrgetter("json")) -> Answer:
        """Tries again, with growing pauses, where trouble may pass or a 200 is not whole."""
        pause = self.case["poll_interval_s"]
        while True:
            try:
                answer = self.ask("GET", path)
            except (OSError, http.client.HTTPException):
                answer = None
            if answer is not None and answer.status == 200 and whole(answer):
                return answer
            if answer is not None and answer.status != 200 and answer.status not in TROUBLE:
                raise Refused(answer.message)
            self.sleep(max(pause, answer.wait if answer is not None else 0.0))
            pause *= 2

    def create(self) -> dict[str, Any]:
        pause = self.case["poll_interval_s"]
        while True:
            answer = self.ask("POST", "/videos", *form(self.case["input"]))
            if answer.status == 200 and answer.json.get("id"):
                return answer.json
            # Nothing was made of it, it says: it may be sent again.
            if answer.status not in (425, 429, 503) or answer.json.get("error", {}).get("code") == "model_not_found":
                raise Refused(answer.message)
            self.sleep(max(pause, answer.wait))
            pause *= 2

    def run(self) -> tuple[dict[str, Any], bytes]:
        job = self.job = self.create()
        path = f"/videos/{quote(job['id'], safe='')}"
        while job.get("status") not in ("completed", "failed", "error"):
            self.sleep(self.case["poll_interval_s"])
            job = self.get(path).json
        if job["status"] != "completed":
            error = job.get("error")
            raise JobFailed(str(error.get("message") if isinstance(error, dict) else error))
        return job, self.get(f"{path}/content", attrgetter("is_video")).body


def form(given: dict[str, Any]) -> tuple[bytes, str]:
    boundary = uuid.uuid4().hex
    body = b""
    for name in ("prompt", "model", "size"):
        if given.get(name) is not None:
            body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{given[name]}\r\n'.encode()
    for image in given["images"]:
        name = image["filename"].replace("\\", "%5C").replace('"', "%22")
        disposition = f'form-data; name="input_reference"; filename="{name}"'
        head = f"--{boundary}\r\nContent-Disposition: {disposition}\r\nContent-Type: {image['content_type']}\r\n\r\n"
        body += head.encode() + Path(image["path"]).read_bytes() + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def play(case: dict[str, Any], *, store: bool = True) -> dict[str, Any]:
    common: dict[str, Any] = {"type": "result", "id": case["id"], "video": None, "content_path": None, "error": None}
    call = Call(case)
    try:
        job, video = call.run()
    except Exception as error:  # noqa: BLE001 - every error is reported
        word = {JobFailed: "failed", DeadlinePassed: "timeout"}.get(type(error), "error")
        # The job of a client that gives up goes on.
        video_of = {"id": call.job["id"]} if word == "timeout" and call.job else None
        return {
            **common,
            "outcome": word,
            "video": video_of,
            "error": {"type": type(error).__name__, "message": str(error)},
        }
    if store:
        path = Path(case["state_dir"], "video.mp4")
        path.write_bytes(video)
        common["content_path"] = str(path)
    return {**common, "outcome": "completed", "video": {name: job.get(name) for name in ("id", "status", "model")}}


WRITING = threading.Lock()


def say(message: dict[str, Any]) -> None:
    with WRITING:
        sys.stdout.write(f"{json.dumps(message)}\n")
        sys.stdout.flush()


def session(width: int) -> None:
    with ThreadPoolExecutor(width) as pool:
        for line in sys.stdin:
            message = json.loads(line)
            if message["type"] == "hello":
                me = {"client": "stdlib", "version": "1.0", "features": FEATURES, "max_in_flight": width}
                say({"type": "hello", **me})
            elif message["type"] == "case":
                pool.submit(lambda case=message: say(play(case)))


def from_environment() -> dict[str, Any]:
    given = os.environ
    return {
        "id": "",
        "base_url": given["COMETAPI_BASE_URL"],
        "api_key": given["COMETAPI_KEY"],
        "poll_interval_s": float(given["MOCKVEO_POLL_INTERVAL_S"]),
        "deadline_s": float(given["MOCKVEO_DEADLINE_S"]),
        "input": {
            "prompt": given["MOCKVEO_PROMPT"],
            "model": given.get("MOCKVEO_MODEL"),
            "size": given.get("MOCKVEO_SIZE"),
            "images": [
                {"path": path, "filename": Path(path).name, "content_type": mimetypes.guess_type(path)[0]}
                for path in given.get("MOCKVEO_IMAGES", "").split(os.pathsep)
                if path
            ],
        },
    }


def main(level: str, width: str = "1") -> None:
    if level == "session":
        session(int(width))
    elif level == "once":
        say(play(json.loads(sys.stdin.readline())))
    else:
        result = play(from_environment(), store=False)
        if result["outcome"] != "completed":
            sys.exit(result["error"]["message"])


if __name__ == "__main__":
    main(*sys.argv[1:])
