"""Mutants that send a request to a wrong place, as a wrong form, or not at all."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from zoo_client import Answer, CorrectClient, Job, Trouble, mutant

# The URL


@mutant("known-operation", "did-create")
class SingularPath(CorrectClient):
    """The path is /v1/video."""

    def create_url(self) -> str:
        return f"{self.case.base_url}/video"


@mutant("known-operation", "did-create")
class VersionTwice(CorrectClient):
    """The version is appended to a base URL that ends in it."""

    def create_url(self) -> str:
        return f"{self.case.base_url}/v1/videos"


@mutant("known-operation", "did-create")
class TrailingSlash(CorrectClient):
    """The path ends in a slash."""

    def create_url(self) -> str:
        return f"{super().create_url()}/"


@mutant("known-operation", only=True)
class ListsFirst(CorrectClient):
    """It lists the jobs before it creates one."""

    def create(self) -> Job:
        self.ask("GET", self.create_url())
        return super().create()


@mutant("known-operation")
class CleansUp(CorrectClient):
    """It deletes the job at the end."""

    def video(self, job: Job) -> dict[str, Any]:
        self.ask("DELETE", self.job_url(job))
        return super().video(job)


@mutant("known-operation")
class PollsStatus(CorrectClient):
    """It polls /v1/videos/{id}/status."""

    def job_url(self, job: Job) -> str:
        return f"{super().job_url(job)}/status"


# The form


@mutant("multipart-wellformed")
class JsonBody(CorrectClient):
    """The create is JSON, with images as base64."""

    def form(self) -> tuple[str, bytes]:
        images = [base64.b64encode(self.data(image)).decode() for image in self.images()]
        return "application/json", json.dumps({**self.fields(), "input_reference": images}).encode()


@mutant("multipart-wellformed", verdict="warning")
class JsonText(CorrectClient):
    """A create without images is JSON, as real programs of this route send it."""

    def form(self) -> tuple[str, bytes]:
        return super().form() if self.images() else ("application/json", json.dumps(self.fields()).encode())


@mutant("multipart-wellformed", verdict="warning")
class UrlencodedText(CorrectClient):
    """A create without images is urlencoded, which the service accepts."""

    def form(self) -> tuple[str, bytes]:
        if self.images():
            return super().form()
        return "application/x-www-form-urlencoded", urlencode(self.fields()).encode()


@mutant("multipart-wellformed")
class UrlencodedAll(CorrectClient):
    """Every create is urlencoded, with the paths of images."""

    def form(self) -> tuple[str, bytes]:
        fields = [*self.fields().items(), *(("input_reference", image.path) for image in self.images())]
        return "application/x-www-form-urlencoded", urlencode(fields).encode()


@mutant("multipart-wellformed")
class NoBoundary(CorrectClient):
    """The Content-Type lacks its boundary, as when it is set by hand."""

    def form(self) -> tuple[str, bytes]:
        return "multipart/form-data", super().form()[1]


@mutant("multipart-wellformed")
class OtherBoundary(CorrectClient):
    """The Content-Type names another boundary than the body has."""

    def form(self) -> tuple[str, bytes]:
        kind, body = super().form()
        return kind + "0", body


@mutant("multipart-wellformed", only=True)
class NoClosingBoundary(CorrectClient):
    """The last boundary is missing."""

    def joined(self, boundary: bytes, parts: Sequence[bytes]) -> bytes:
        return super().joined(boundary, parts).removesuffix(b"--%b--\r\n" % boundary)


@mutant("prompt-exact", "omit-unset", unlikely="the prompt must contain the boundary")
class FixedBoundary(CorrectClient):
    """The boundary is a word that may be in the prompt."""

    def form(self) -> tuple[str, bytes]:
        kind, body = super().form()
        boundary = kind.rpartition("=")[2]
        return "multipart/form-data; boundary=boundary", body.replace(boundary.encode(), b"boundary")


@mutant("multipart-wellformed", verdict="warning")
class LineFeeds(CorrectClient):
    """Lines of the form end in LF only."""

    def joined(self, boundary: bytes, parts: Sequence[bytes]) -> bytes:
        return super().joined(boundary, parts).replace(b"\r\n", b"\n")


@mutant("idempotency-key", only=True)
class IdempotencyKey(CorrectClient):
    """The create has an Idempotency-Key."""

    def own_headers(self, method: str, url: str) -> dict[str, str]:
        more = {"Idempotency-Key": self.case.id} if method == "POST" else {}
        return {**super().own_headers(method, url), **more}


# Parameters in other places


@mutant("params-in-form", only=True)
class ParametersInQuery(CorrectClient):
    """The parameters are in the query too."""

    def create_url(self) -> str:
        return f"{super().create_url()}?{urlencode(self.fields())}"


@mutant("params-in-form", "param-exact")
class ModelInHeader(CorrectClient):
    """The model is a header."""

    def fields(self) -> dict[str, Any]:
        return {name: value for name, value in super().fields().items() if name != "model"}

    def own_headers(self, method: str, url: str) -> dict[str, str]:
        model = {"X-Model": self.model() or "veo3-fast"} if method == "POST" else {}
        return {**super().own_headers(method, url), **model}


@mutant("params-in-form", verdict="info")
class BodyOfPolls(CorrectClient):
    """A poll has the id in a body too."""

    def send(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        if method == "POST" or not self.trusted(url):
            return super().send(method, url, body, headers)
        return super().send(method, url, b'{"id": 1}', {**headers, "Content-Type": "application/json"})


# Clients that send nothing


@mutant("did-create", only=True)
class DryRun(CorrectClient):
    """Nothing is ever sent."""

    def create(self) -> Job:
        raise Trouble("dry run")


@mutant("did-create")
class KnowsSizes(CorrectClient):
    """It refuses an unknown size."""

    def create(self) -> Job:
        if self.size() not in (None, "16x9"):
            raise Trouble("unknown size")
        return super().create()


@mutant("did-create")
class LimitsPrompts(CorrectClient):
    """It refuses a prompt that is longer than another API allows."""

    def create(self) -> Job:
        if len(self.prompt()) > 4000:
            raise Trouble("the prompt is too long")
        return super().create()


@mutant("did-create")
class AsciiFilenames(CorrectClient):
    """It fails on a file name outside ASCII."""

    def part(self, headers: Mapping[str, str], data: bytes) -> bytes:
        return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode("ascii") + b"\r\n" + data
