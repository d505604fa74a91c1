"""A small correct server of `/v1/videos`, written for these tests alone.

It shares no code with mockveo. Its jobs go on with each poll, so that a test need not wait. The modules `broken_*` are
its mutants: each is broken in one way.
"""

from __future__ import annotations

import email.message
import hashlib
import re
import struct
import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

OURS, OTHER = "sk-ours", "sk-other"
MODELS = {
    "veo3-fast": "veo_3_1-4K", "veo3": "veo_3_1", "veo3-pro": "veo_3_1-pro",
    "veo3.1-fast": "veo_3_1-fast", "veo3.1": "veo_3_1", "veo3.1-pro": "veo_3_1-pro",
}  # fmt: skip
#: Status and progress, poll by poll.
LIFECYCLE = [
    ("queued", 0),
    ("queued", 0),
    ("in_progress", 10),
    ("in_progress", 40),
    ("in_progress", 99),
    ("completed", 100),
]
FAILING = "fail, please"


def box(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data) + 8) + kind + data


VIDEO = box(b"ftyp", b"isom\0\0\2\0isomiso2") + box(b"moov", box(b"mvhd", bytes(100))) + box(b"mdat", bytes(range(256)))


def parts(content_type: str, body: bytes) -> tuple[dict[str, str], list[bytes]]:
    """The fields and the files of a form of multipart/form-data."""
    message = email.message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    fields, files = {}, []
    for part in message.get_payload():
        assert isinstance(part, email.message.Message)
        data = part.get_payload(decode=True)
        assert isinstance(data, bytes)
        if part.get_filename() is None:
            fields[str(part.get_param("name", header="content-disposition"))] = data.decode()
        else:
            files.append(data)
    return fields, files


@dataclass
class SmallJob:
    id: str
    owner: str
    model: str
    alias: str
    size: str
    fails: bool
    images: list[str]
    created_at: int = field(default_factory=lambda: int(time.time()))
    polls: int = 0


class Refused(Exception):
    """An error: its status and its body."""

    def __init__(self, status: int, body: Any) -> None:
        self.status, self.body = status, body


def nested(status: int, message: str, kind: str = "comet_api_error", code: str = "") -> Refused:
    return Refused(status, {"error": {"message": message, "type": kind, "code": code}})


def flat(status: int, code: str, message: str = "") -> Refused:
    return Refused(status, {"code": code, "message": message or code, "data": None})


class Small:
    """The correct one. Mutants override a method."""

    def __init__(self) -> None:
        self.jobs: dict[str, SmallJob] = {}
        self.count = 0

    # Who asks, and for what.

    def owner(self, request: Request) -> str:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or key not in (OURS, OTHER):
            raise self.unauthorised()
        return key

    def unauthorised(self) -> Refused:
        return nested(401, "Invalid token (request id: 20260101000000000000000abcdefgh)")

    def find(self, request: Request) -> SmallJob:
        job = self.jobs.get(request.path_params["id"])
        if job is None or not self.may_see(self.owner(request), job):
            raise self.unknown()
        return job

    def may_see(self, owner: str, job: SmallJob) -> bool:
        return owner == job.owner

    def unknown(self) -> Refused:
        return flat(400, "task_not_exist")

    # Create.

    async def create(self, request: Request) -> Response:
        owner = self.owner(request)
        fields, files = await self.form(request)
        self.validate(fields, files)
        alias = fields.get("model", "veo3-fast")
        job = SmallJob(
            id=self.new_id(),
            owner=owner,
            model=MODELS.get(alias, alias),
            alias=alias,
            size=fields.get("size", "16x9"),
            fails=fields.get("prompt") == FAILING,
            images=self.kept(files),
        )
        self.jobs[job.id] = job
        return self.json(200, self.created(job))

    async def form(self, request: Request) -> tuple[dict[str, str], list[bytes]]:
        kind = request.headers.get("content-type", "").partition(";")[0]
        if kind not in ("multipart/form-data", "application/x-www-form-urlencoded"):
            raise flat(400, "invalid_request", f"{kind} is no form")
        body = await request.body()
        if kind.startswith("multipart"):
            boundary = request.headers["content-type"].partition("boundary=")[2].encode()
            if not boundary or not body.rstrip().endswith(b"--" + boundary + b"--"):
                raise flat(400, "invalid_multipart_form")
            return parts(request.headers["content-type"], body)
        return dict(parse_qsl(body.decode())), []

    def validate(self, fields: dict[str, str], files: list[bytes]) -> None:
        if fields.get("model", "veo3-fast") not in MODELS:
            raise self.no_channel()
        if not fields.get("prompt", "").strip():
            raise flat(400, "invalid_request", "prompt is required")
        if len(files) > 2:
            raise flat(400, "invalid_request", "too many images")

    def no_channel(self) -> Refused:
        return nested(503, "no available channel", code="model_not_found")

    def new_id(self) -> str:
        self.count += 1
        return f"task_{hashlib.sha256(str(self.count).encode()).hexdigest()[:32]}"

    def kept(self, files: list[bytes]) -> list[str]:
        return [hashlib.sha256(file).hexdigest() for file in files]

    # Responses about a job.

    def created(self, job: SmallJob) -> dict[str, Any]:
        body = {**self.describe(job), "seconds": ""}
        del body["task_id"]
        return body

    def describe(self, job: SmallJob) -> dict[str, Any]:
        status, progress = self.progress_of(job)
        body = {
            "id": job.id, "task_id": job.id, "object": "video", "model": job.model, "size": job.size,
            "status": status, "progress": progress, "created_at": job.created_at,
        }  # fmt: skip
        return {**body, **self.reason()} if status == "failed" else body

    def progress_of(self, job: SmallJob) -> tuple[str, int]:
        status, progress = LIFECYCLE[min(job.polls, len(LIFECYCLE) - 1)]
        return ("failed", 99) if job.fails and status == "completed" else (status, progress)

    def reason(self) -> dict[str, Any]:
        return {"error": {"code": "moderation_blocked", "message": "The prompt was refused."}}

    async def retrieve(self, request: Request) -> Response:
        self.owner(request)
        job = self.find(request)
        job.polls += 1
        return self.json(200, self.describe(job))

    # Content.

    async def content(self, request: Request) -> Response:
        self.owner(request)
        try:
            job = self.find(request)
        except Refused as refused:
            if refused.status == 401:
                raise
            raise nested(404, "Task not found", "invalid_request_error") from None
        if not self.ready(job):
            raise nested(400, "Task is not completed yet", "invalid_request_error")
        if request.query_params.get("variant", "video") not in ("video", "thumbnail", "spritesheet"):
            raise nested(400, "no such variant", "invalid_request_error")
        variant = request.query_params.get("variant", "video")
        return self.video(request) if variant == "video" else self.asset(request)

    def asset(self, request: Request) -> Response:  # noqa: ARG002
        return Response(b"RIFF\4\0\0\0WEBP", media_type="image/webp")

    def ready(self, job: SmallJob) -> bool:
        return self.progress_of(job)[0] == "completed"

    def video(self, request: Request) -> Response:
        ranges = request.headers.get("range", "")
        if ranges.startswith("bytes=") and request.method == "GET":
            first, _, last = ranges.removeprefix("bytes=").partition("-")
            start = int(first) if first else len(VIDEO) - int(last)
            end = min(int(last) + 1, len(VIDEO)) if first and last else len(VIDEO)
            return self.part(start, end)
        return Response(VIDEO, media_type="video/mp4")

    def part(self, start: int, end: int) -> Response:
        headers = {"content-range": f"bytes {start}-{end - 1}/{len(VIDEO)}"}
        return Response(VIDEO[start:end], 206, headers, "video/mp4")

    # The rest.

    async def models(self, request: Request) -> Response:
        self.owner(request)
        data = [{"id": model, "object": "model", "created": 1, "owned_by": "google"} for model in MODELS]
        return self.json(200, {"object": "list", "data": data})

    async def public(self, _: Request) -> Response:
        rest = {"provider": "Google", "model_type": "video", "features": [], "pricing": {}, "api_doc_url": ""}
        data = [{"id": model, **rest} for model in MODELS]
        return self.json(200, {"success": True, "page": 0, "page_size": 0, "total": len(data), "data": data})

    async def otherwise(self, _: Request) -> Response:
        return self.json(404, {"error": {"message": "Invalid URL", "type": "invalid_request_error", "code": ""}})

    def json(self, status: int, body: Any) -> Response:
        return JSONResponse(body, status)

    def app(self) -> Starlette:
        async def refused(_: Request, error: Exception) -> Response:
            assert isinstance(error, Refused)
            return self.json(error.status, error.body)

        routes = [
            Route("/v1/videos", self.create, methods=["POST"]),
            Route("/v1/videos/{id}", self.retrieve, methods=["GET"]),
            Route("/v1/videos/{id}/content", self.content, methods=["GET"]),
            Route("/v1/models", self.models, methods=["GET"]),
            Route("/api/models", self.public, methods=["GET"]),
        ]
        application = Starlette(routes=routes, exception_handlers={Refused: refused})
        application.router.default = self._default  # type: ignore[method-assign]
        return application

    async def _default(self, scope: Any, receive: Any, send: Any) -> None:
        response = await self.otherwise(Request(scope, receive))
        await response(scope, receive, send)


class BrokenServer(NamedTuple):
    server: type[Small]
    #: The rules that it breaks, with their verdicts.
    breaks: dict[str, str]


MUTANTS: dict[str, BrokenServer] = {}
#: Servers with a habit that breaks no rule.
CORRECT: dict[str, type[Small]] = {"correct": Small}


def _name(server: type[Small]) -> str:
    return "-".join(re.findall("[A-Z][^A-Z]*", server.__name__)).lower()


def correct(server: type[Small]) -> type[Small]:
    """Register a server with a habit that breaks no rule."""
    CORRECT[_name(server)] = server
    return server


def breaks(*rules: str, **others: str) -> Any:
    """Register a mutant; the rules are violations, the keywords others: `head="warning"`, with _ for -."""

    def register(server: type[Small]) -> type[Small]:
        verdicts = dict.fromkeys(rules, "violation") | {rule.replace("_", "-"): word for rule, word in others.items()}
        MUTANTS[_name(server)] = BrokenServer(server, verdicts)
        return server

    return register
