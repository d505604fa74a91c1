"""The servers that mockveo is compared with: `python bare.py bare|starlette PORT` serves fixed bytes or JSON."""

from __future__ import annotations

import sys
from typing import Any

import uvicorn

VIDEO = {
    "id": "task_pa9CKKtYlTdxO7IIHOKKhXfjxEu4EQoR",
    "size": "16x9",
    "model": "veo_3_1-4K",
    "object": "video",
    "status": "queued",
    "task_id": "task_pa9CKKtYlTdxO7IIHOKKhXfjxEu4EQoR",
    "progress": 0,
    "created_at": 1773297229,
}


def bare() -> Any:
    """Return an ASGI application that reads the body and responds with fixed bytes."""
    body = str(VIDEO).replace("'", '"').replace(": ", ":").replace(", ", ",").encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while scope["method"] == "POST" and (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def starlette() -> Any:
    """Return a Starlette application with JSON routes."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def retrieve(_: Request) -> JSONResponse:
        return JSONResponse(VIDEO)

    async def create(request: Request) -> JSONResponse:
        await request.body()
        return JSONResponse(VIDEO)

    return Starlette(
        routes=[
            Route("/v1/videos", create, methods=["POST"]),
            Route("/v1/videos/{video_id}", retrieve),
            Route("/api/models", retrieve),
        ]
    )


if __name__ == "__main__":
    uvicorn.run(
        {"bare": bare, "starlette": starlette}[sys.argv[1]](),
        port=int(sys.argv[2]),
        http="httptools",
        loop="asyncio",
        lifespan="off",
        ws="none",
        access_log=False,
        log_level="critical",
    )
