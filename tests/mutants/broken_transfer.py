"""Mutants of the small server in how they transfer a body: in ranges, encoded, as a variant."""

from __future__ import annotations

import gzip

from small_server import VIDEO, Small, breaks, correct
from starlette.requests import Request
from starlette.responses import Response


@breaks(content_range="warning")
class OtherRange(Small):
    def part(self, start: int, end: int) -> Response:
        return Response(VIDEO[: end - start], 206, super().part(start, end).headers, "video/mp4")


@breaks(content_range="warning")
class RangeOfWhole(Small):
    """Ignores ranges, and claims that it does not."""

    def part(self, start: int, end: int) -> Response:  # noqa: ARG002
        return Response(VIDEO, 200, {"content-range": f"bytes 0-{len(VIDEO) - 1}/{len(VIDEO)}"}, "video/mp4")


@breaks(content_range="warning")
class OpenRangeOfWhole(Small):
    def part(self, start: int, end: int) -> Response:
        if end < len(VIDEO):
            return super().part(start, end)
        return Response(VIDEO, 200, {"content-range": f"bytes {start}-{end - 1}/{len(VIDEO)}"}, "video/mp4")


@breaks(content_range="warning")
class RangeWithoutContentRange(Small):
    def part(self, start: int, end: int) -> Response:
        return Response(VIDEO[start:end], 206, media_type="video/mp4")


@breaks(content_range="warning")
class SuffixFromStart(Small):
    """Reads "-1" as the bytes up to 1."""

    def part(self, start: int, end: int) -> Response:
        return super().part(0, 2) if start == len(VIDEO) - 1 else super().part(start, end)


@breaks(content_range="warning")
class RefusesRanges(Small):
    def part(self, start: int, end: int) -> Response:  # noqa: ARG002
        return Response(b"", 416, {"content-range": f"bytes */{len(VIDEO)}"})


@correct
class StarRange(Small):
    """Does not say how long the file is."""

    def part(self, start: int, end: int) -> Response:
        return Response(VIDEO[start:end], 206, {"content-range": f"bytes {start}-{end - 1}/*"}, "video/mp4")


@correct
class ShortRange(Small):
    """Sends fewer bytes than were requested, and says so."""

    def part(self, start: int, end: int) -> Response:
        return super().part(start, min(end, start + 50))


@correct
class NoRange(Small):
    def part(self, start: int, end: int) -> Response:  # noqa: ARG002
        return Response(VIDEO, media_type="video/mp4")


@breaks("content-asset")
class AlwaysVideo(Small):
    def asset(self, request: Request) -> Response:
        return self.video(request)


def _labelled(response: Response, body: bytes) -> Response:
    """Return a response with another body, and with the label of gzip."""
    media_type = response.headers["content-type"]
    return Response(body, response.status_code, {"content-encoding": "gzip"}, media_type)


@breaks("answered", "content-video")
class LabelsContentGzip(Small):
    def video(self, request: Request) -> Response:
        response = super().video(request)
        return response if "range" in request.headers else _labelled(response, bytes(response.body))


@breaks("answered")
class LabelsPollsGzip(Small):
    async def retrieve(self, request: Request) -> Response:
        response = await super().retrieve(request)
        return _labelled(response, bytes(response.body))


@breaks(content_encoding="warning")
class EncodesUnasked(Small):
    async def retrieve(self, request: Request) -> Response:
        response = await super().retrieve(request)
        return _labelled(response, gzip.compress(response.body))


@breaks(content_encoding="warning")
class EncodesContentUnasked(Small):
    def video(self, request: Request) -> Response:
        response = super().video(request)
        return response if "range" in request.headers else _labelled(response, gzip.compress(response.body))


@breaks("answer-json")
class CutsPolls(Small):
    """States the length of the compressed body, and sends the other one, which ends there."""

    async def retrieve(self, request: Request) -> Response:
        response = await super().retrieve(request)
        return Response(bytes(response.body)[:-40], response.status_code, media_type="application/json")
