"""Mutants of the small server: whom they let in, what they accept, and what they serve; and all of them as one."""

from __future__ import annotations

import base64
import json
from typing import Any

import broken_jobs  # noqa: F401  # its mutants are there once it is imported
import broken_transfer  # noqa: F401
from small_server import (
    CORRECT,
    FAILING,
    MODELS,
    MUTANTS,
    OTHER,
    OURS,
    VIDEO,
    Refused,
    Small,
    SmallJob,
    breaks,
    flat,
    nested,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

__all__ = ["CORRECT", "FAILING", "MUTANTS", "OTHER", "OURS", "Small", "application"]


# Keys.


@breaks("auth-required", "auth-scheme", "auth-bad-key", "auth-other-key")
class NoAuth(Small):
    def owner(self, request: Request) -> str:  # noqa: ARG002
        return OURS


@breaks("auth-scheme")
class AnyScheme(Small):
    def owner(self, request: Request) -> str:
        header = request.headers.get("authorization", "")
        if header.startswith("Basic "):
            header = base64.b64decode(header.removeprefix("Basic ")).decode()
        key = header.removeprefix("Bearer ").strip(":")
        if key not in (OURS, OTHER):
            raise self.unauthorised()
        return key


@breaks("auth-bad-key")
class AnyKey(Small):
    def owner(self, request: Request) -> str:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise self.unauthorised()
        return key


@breaks("auth-other-key")
class OtherTenant(Small):
    def may_see(self, owner: str, job: SmallJob) -> bool:  # noqa: ARG002
        return True


@breaks("auth-required", "auth-scheme", "auth-bad-key")
class Forbidden(Small):
    def unauthorised(self) -> Refused:
        return nested(403, "Forbidden")


@breaks("envelope")
class FlatUnauthorised(Small):
    def unauthorised(self) -> Refused:
        return flat(401, "invalid_token")


@breaks("auth-required")
class OpenContent(Small):
    async def content(self, request: Request) -> Response:
        return self.video(request) if "authorization" not in request.headers else await super().content(request)


# Statuses and envelopes.


@breaks("create-accepted")
class Created201(Small):
    async def create(self, request: Request) -> Response:
        response = await super().create(request)
        response.status_code = 201
        return response


@breaks("unknown-id", "auth-other-key")
class NotFound(Small):
    def unknown(self) -> Refused:
        return flat(404, "task_not_exist")


@breaks("envelope")
class NestedUnknownId(Small):
    def unknown(self) -> Refused:
        return nested(400, "no such task", code="task_not_exist")


@breaks(error_code="warning")
class OtherCode(Small):
    def unknown(self) -> Refused:
        return flat(400, "not_found")


@breaks("answer-json")
class SaysHtml(Small):
    def json(self, status: int, body: Any) -> Response:
        return Response(json.dumps(body), status, media_type="text/html")


@breaks("unknown-model")
class AnyModel(Small):
    def validate(self, fields: dict[str, str], files: list[bytes]) -> None:
        super().validate({**fields, "model": "veo3"}, files)


@breaks(unknown_model="warning")
class UnknownModel400(Small):
    def no_channel(self) -> Refused:
        return nested(400, "no such model", code="model_not_found")


@breaks("prompt-required", "unknown-model", "form-media-type", "form-malformed", too_many_images="info")
class AcceptsAnything(Small):
    async def form(self, request: Request) -> tuple[dict[str, str], list[bytes]]:
        try:
            return await super().form(request)
        except Refused:
            return {}, []

    def validate(self, fields: dict[str, str], files: list[bytes]) -> None:
        pass


@breaks("prompt-required")
class BlankPrompt(Small):
    def validate(self, fields: dict[str, str], files: list[bytes]) -> None:
        super().validate({**fields, **({"prompt": "x"} if "prompt" in fields else {})}, files)


@breaks("form-malformed")
class CutOffForm(Small):
    async def form(self, request: Request) -> tuple[dict[str, str], list[bytes]]:
        try:
            return await super().form(request)
        except Refused as refused:
            if refused.body["code"] != "invalid_multipart_form":
                raise
            return {"prompt": "whatever was there"}, []


@breaks("form-media-type", "no-server-error")
class CrashesOnText(Small):
    async def form(self, request: Request) -> tuple[dict[str, str], list[bytes]]:
        if request.headers.get("content-type", "").startswith("text/"):
            raise nested(500, "internal error")
        return await super().form(request)


@breaks("unicode", "no-server-error")
class CrashesOnUnicode(Small):
    def validate(self, fields: dict[str, str], files: list[bytes]) -> None:
        super().validate(fields, files)
        if not fields["prompt"].isascii():
            raise nested(500, "'ascii' codec can't encode characters")


@breaks("no-server-error")
class CrashesOnOddIds(Small):
    def find(self, request: Request) -> SmallJob:
        if not request.path_params["id"].isalnum() and "task_" not in request.path_params["id"]:
            raise nested(500, "internal error")
        return super().find(request)


@breaks("images-accepted")
class NoImages(Small):
    def validate(self, fields: dict[str, str], files: list[bytes]) -> None:
        super().validate(fields, files)
        if files:
            raise flat(400, "invalid_request", "images are not supported")


@breaks("images-order")
class SwapsImages(Small):
    def kept(self, files: list[bytes]) -> list[str]:
        return super().kept(files[::-1])


@breaks("images-all")
class DropsSecondImage(Small):
    def kept(self, files: list[bytes]) -> list[str]:
        return super().kept(files[:1])


@breaks("images-all")
class KeepsLastImageTwice(Small):
    def kept(self, files: list[bytes]) -> list[str]:
        return super().kept(files[-1:] * len(files))


@breaks("status-documented")
class Polls202(Small):
    async def retrieve(self, request: Request) -> Response:
        response = await super().retrieve(request)
        response.status_code = 200 if json.loads(response.body)["status"] in ("completed", "failed") else 202
        return response


# Content.


@breaks("content-early")
class ContentEarly(Small):
    def ready(self, job: SmallJob) -> bool:
        return not job.fails


@breaks("content-failed")
class ContentOfFailed(Small):
    def ready(self, job: SmallJob) -> bool:
        return self.progress_of(job)[0] in ("completed", "failed")


@breaks("content-available")
class NoContent(Small):
    def video(self, request: Request) -> Response:  # noqa: ARG002
        raise nested(404, "Task not found", "invalid_request_error")


def _served(data: bytes, kind: str = "video/mp4") -> type[Small]:
    class Served(Small):
        def video(self, request: Request) -> Response:  # noqa: ARG002
            return Response(data, media_type=kind)

    return Served


@breaks("content-video")
class ContentHtml(_served(b"<html><body>Your video is ready</body></html>", "text/html")):  # type: ignore[misc]
    pass


@breaks("content-video")
class ContentJson(_served(b'{"url": "https://cdn.example/video.mp4"}', "application/json")):  # type: ignore[misc]
    pass


@breaks("content-video")
class ContentCutOff(_served(VIDEO[:-20])):  # type: ignore[misc]
    pass


@breaks("content-video")
class ContentEmpty(_served(b"")):  # type: ignore[misc]
    pass


@breaks("content-video")
class ContentOctets(_served(VIDEO, "application/octet-stream")):  # type: ignore[misc]
    pass


@breaks("no-server-error", head="warning")
class CrashesOnHead(Small):
    def video(self, request: Request) -> Response:
        if request.method == "HEAD":
            raise nested(500, "internal error")
        return super().video(request)


@breaks("answered", "content-video")
class ContentBreaksOff(Small):
    def video(self, request: Request) -> Response:
        if request.method == "HEAD" or "range" in request.headers:
            return super().video(request)
        return Response(VIDEO, 200, {"content-length": str(len(VIDEO) + 100)}, "video/mp4")


@breaks(content_unknown_id="info", auth_other_key="warning")
class UnknownContent400(Small):
    async def content(self, request: Request) -> Response:
        response = None
        try:
            response = await super().content(request)
        except Refused as refused:
            raise Refused(400 if refused.status == 404 else refused.status, refused.body) from None
        return response


@breaks(content_variant="info")
class AnyVariant(Small):
    async def content(self, request: Request) -> Response:
        if request.query_params.get("variant") not in ("thumbnail", "spritesheet"):
            request.scope["query_string"] = b""
        return await super().content(Request(request.scope, request.receive))


# The rest.


@breaks(unknown_method="warning")
class AnyMethod(Small):
    def app(self) -> Starlette:
        application = super().app()

        async def changed(_: Request) -> Response:
            return self.json(200, {})

        application.router.routes.append(Route("/v1/videos/{id}", changed, methods=["PUT", "PATCH"]))
        return application


@breaks(answer_schema_assumed="info")
class AssumedFields(Small):
    async def models(self, request: Request) -> Response:
        self.owner(request)
        return self.json(200, {"object": "list", "data": [{"id": model, "object": "model"} for model in MODELS]})


@breaks(models_listed="warning")
class NoModels(Small):
    async def models(self, request: Request) -> Response:
        self.owner(request)
        return self.json(200, {"object": "list", "data": []})


@breaks(unknown_path="warning")
class AnyPath(Small):
    async def otherwise(self, _: Request) -> Response:
        return self.json(200, {})


def application() -> tuple[Starlette, dict[str, Small]]:
    """Return an application with each mutant and each correct server below its name, and all of them."""
    kinds = {**CORRECT, **{name: mutant.server for name, mutant in MUTANTS.items()}}
    servers: dict[str, Small] = {name: kind() for name, kind in kinds.items()}
    return Starlette(routes=[Mount(f"/{name}", server.app()) for name, server in servers.items()]), servers
