"""Departures from the zoo's correct client that are no defects: no rule may mind them."""

from __future__ import annotations

from collections.abc import Mapping
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from mockveo_contracts import Image, Outcome
from zoo_client import Answer, Client, Job, equivalent


@equivalent
class UnixLines(Client):
    """Forms normalise line breaks, so nobody can ask for one kind of them."""

    def prompt(self) -> str:
        return super().prompt().replace("\r\n", "\n")


@equivalent
class OtherOrder(Client):
    """The order of fields of different names means nothing (RFC 7578 section 5.2)."""

    def fields(self) -> dict[str, Any]:
        return dict(reversed(super().fields().items()))


@equivalent
class OtherNames(Client):
    """What a file is called is the client's business."""

    def file_headers(self, image: Image) -> dict[str, str]:
        suffix = image.filename.rpartition(".")[2]
        disposition = f'form-data; name="input_reference"; filename="image.{suffix}"'
        return {**super().file_headers(image), "Content-Disposition": disposition}


@equivalent
class LowerCaseScheme(Client):
    """Schemes are case-insensitive (RFC 9110 section 11.1)."""

    def authorization(self) -> str:
        return f"bearer {self.case.api_key}"


@equivalent
class Chunked(Client):
    """A body may be sent in chunks."""

    def send(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        return super().send(method, url, iter([body]) if body else body, headers)  # type: ignore[arg-type]


@equivalent
class NewConnections(Client):
    """A connection for each request is slow, and right."""

    def send(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        connection: HTTPConnection | None = self.connections.pop(urlsplit(url).netloc, None)
        if connection is not None:
            connection.close()
        return super().send(method, url, body, {**headers, "Connection": "close"})


@equivalent
class CreatesOnce(Client):
    """Nobody has to send a create again."""

    def may_create_again(self, _answer: Answer) -> bool:
        return False


@equivalent
class RefusesRedirects(Client):
    """Nobody has to follow a redirect; of a poll or a download it is an error like any."""

    def ask(self, method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        return self.send(method, url, body, headers or {})


@equivalent
class FailedIsError(Client):
    """A job that failed may be told as an error, since the caller learns of it."""

    def outcome(self, job: Job) -> Outcome:
        return self.went_wrong(self.reason(job)) if self.failed(job) else super().outcome(job)


@equivalent
class PatientDownloads(Client):
    """Who cannot fetch the video may say that the call went wrong."""

    def outcome(self, job: Job) -> Outcome:
        done = super().outcome(job)
        return self.went_wrong(done.error["message"]) if done.outcome == "completed" and done.error else done


@equivalent
class SlowPolls(Client):
    """Slower polls than were asked for are fine."""

    def interval(self) -> float:
        return 2 * super().interval()


@equivalent
class NoDialects(Client):
    """The words of other dialects are not documented, so nobody has to know them."""

    def status(self, job: Job) -> str:
        return str(job.get("status"))


@equivalent
class NoVideo(Client):
    """A result without a video says less, and nothing wrong."""

    def outcome(self, job: Job) -> Outcome:
        done = super().outcome(job)
        return Outcome(done.outcome, None, done.content_path, done.error)


@equivalent
class OctetStream(Client):
    """Images may be sent as any bytes, by the document."""

    def file_headers(self, image: Image) -> dict[str, str]:
        return {**super().file_headers(image), "Content-Type": "application/octet-stream"}


@equivalent
class ShrinkingPauses(Client):
    """Pauses that shrink are a defect, but a few of them look like jitter, and jitter is right."""

    def pause(self, attempt: int) -> float:
        return super().pause(4) / (attempt + 1)
