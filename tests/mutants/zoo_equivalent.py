"""Variants of the correct client that are right too: no rule may report them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from mockveo_contracts import Image, Outcome
from zoo_client import Answer, CorrectClient, Job, Trouble, equivalent


@equivalent
class UnixLines(CorrectClient):
    """Forms normalise line breaks, so either kind is right."""

    def prompt(self) -> str:
        return super().prompt().replace("\r\n", "\n")


@equivalent
class OtherOrder(CorrectClient):
    """The order of fields of different names means nothing (RFC 7578 section 5.2)."""

    def fields(self) -> dict[str, Any]:
        return dict(reversed(super().fields().items()))


@equivalent
class OtherNames(CorrectClient):
    """The client chooses the names of files."""

    def file_headers(self, image: Image) -> dict[str, str]:
        suffix = image.filename.rpartition(".")[2]
        disposition = f'form-data; name="input_reference"; filename="image.{suffix}"'
        return {**super().file_headers(image), "Content-Disposition": disposition}


@equivalent
class LowerCaseScheme(CorrectClient):
    """Schemes are case-insensitive (RFC 9110 section 11.1)."""

    def authorization(self) -> str:
        return f"bearer {self.case.api_key}"


@equivalent
class Chunked(CorrectClient):
    """A body may be sent in chunks."""

    def send(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        return super().send(method, url, iter([body]) if body else body, headers)  # type: ignore[arg-type]


@equivalent
class NewConnections(CorrectClient):
    """A connection for each request is slow, but right."""

    def send(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        connection: HTTPConnection | None = self.connections.pop(urlsplit(url).netloc, None)
        if connection is not None:
            connection.close()
        return super().send(method, url, body, {**headers, "Connection": "close"})


@equivalent
class CreatesOnce(CorrectClient):
    """A client need not retry a create."""

    def may_create_again(self, _answer: Answer) -> bool:
        return False


@equivalent
class RefusesRedirects(CorrectClient):
    """A client need not follow redirects; for a poll or a download, one is an ordinary error."""

    def ask(self, method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        return self.send(method, url, body, headers or {})


@equivalent
class FailedIsError(CorrectClient):
    """A failed job may be reported as an error, since the caller learns of it."""

    def outcome(self, job: Job) -> Outcome:
        return self.went_wrong(self.reason(job)) if self.failed(job) else super().outcome(job)


@equivalent
class PatientDownloads(CorrectClient):
    """A client that cannot fetch the video may report an error."""

    def outcome(self, job: Job) -> Outcome:
        done = super().outcome(job)
        return self.went_wrong(done.error["message"]) if done.outcome == "completed" and done.error else done


@equivalent
class NoVideoIsError(PatientDownloads):
    """A body that is not a video may be reported as an error at once."""

    def may_fetch_again(self, answer: Answer) -> bool:
        return answer.status != 200 and super().may_fetch_again(answer)


@equivalent
class PollsAfterTheEnd(RefusesRedirects):
    """A job that has completed at once may be polled, and if that fails be reported as an error."""

    def follow(self, created: Job) -> Job:
        if not self.ended(created):
            return super().follow(created)
        answer = self.ask("GET", self.job_url(created))
        if not self.job(answer):
            raise Trouble(self.message(answer))
        return {**created, **self.job(answer)}


@equivalent
class ReasonAsJson(CorrectClient):
    """A reason may be reported within JSON, which escapes its quotes and line breaks."""

    def reason(self, job: Job) -> str:
        return json.dumps({"error": super().reason(job)})


@equivalent
class ReasonAsPythonPrintsIt(CorrectClient):
    """A reason may be reported as Python prints an object that holds it."""

    def reason(self, job: Job) -> str:
        return repr({"error": super().reason(job)})


@equivalent
class SlowPolls(CorrectClient):
    """Polls may be slower than requested."""

    def interval(self) -> float:
        return 2 * super().interval()


@equivalent
class NoDialects(CorrectClient):
    """The words of other dialects are not documented, so a client need not know them."""

    def status(self, job: Job) -> str:
        return str(job.get("status"))


@equivalent
class NoVideo(CorrectClient):
    """A result without a video says less, but nothing wrong."""

    def outcome(self, job: Job) -> Outcome:
        done = super().outcome(job)
        return Outcome(done.outcome, None, done.content_path, done.error)


@equivalent
class OctetStream(CorrectClient):
    """Images may be sent with any media type, by the API description."""

    def file_headers(self, image: Image) -> dict[str, str]:
        return {**super().file_headers(image), "Content-Type": "application/octet-stream"}


@equivalent
class JitteredPauses(CorrectClient):
    """The pauses grow with jitter, which makes some of them shorter than the one before."""

    def pause(self, attempt: int) -> float:
        return super().pause(attempt + 1) * (0.9, 0.4, 0.7, 0.3)[attempt % 4]
