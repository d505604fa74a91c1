"""The dashboard's files, the page at the root that leads there, and what protects all that a browser gets."""

from __future__ import annotations

from typing import Final

from starlette.types import Message, Send

from mockveo.dashboard import files
from mockveo.http.responses import Response, content_response
from mockveo.server.context import ControlError, RequestContext
from mockveo.server.control_requests import ROOT, ControlHandler, ControlRequest

#: Headers of every response: its media type is taken as said, no page frames it, and no other site embeds it.
PROTECTION: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", files.POLICY.encode()),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
)


def protecting(send: Send) -> Send:
    """Return what sends the same with the headers above, errors too."""

    async def protected(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *PROTECTION]}
        await send(message)

    return protected


def _index(call: RequestContext, _: ControlRequest) -> Response:
    return _file(call, "index.html")


def _start(call: RequestContext, _: ControlRequest) -> Response:
    return _file(call, "start.html")


def _redirect(call: RequestContext, _: ControlRequest) -> Response:
    location = f"{call.world.prefix}{ROOT}/".encode()
    return Response(307, [(b"location", location), (b"content-length", b"0")], b"")


def _static(call: RequestContext, _: ControlRequest) -> Response:
    if call.path_value not in files.names():
        message = f"the dashboard has no file {call.path_value!r}; expected one of {', '.join(sorted(files.names()))}"
        raise ControlError(404, "unknown_path", message)
    return _file(call, call.path_value)


def _file(call: RequestContext, name: str) -> Response:
    response = content_response(files.text(name).encode(), files.media_type(name), call.headers, call.scope["method"])
    # Asked for again each time, and answered with 304, so that a page is never older than its server.
    response.headers.append((b"cache-control", b"no-cache"))
    return response


#: Path -> its handler.
PAGES: Final[dict[str, ControlHandler]] = {
    "/": _start,
    ROOT: _redirect,
    f"{ROOT}/": _index,
    f"{ROOT}/ui/{{file}}": _static,
}
