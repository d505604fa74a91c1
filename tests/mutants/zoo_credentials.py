"""Mutants that send the wrong key, or the key to a wrong place."""

from __future__ import annotations

import base64
import logging
from typing import Any, ClassVar

from mockveo_contracts import Outcome
from zoo_client import CorrectClient, Job, mutant


@mutant("auth-bearer")
class NoAuthorization(CorrectClient):
    """The key is not sent."""

    def own_headers(self, _method: str, _url: str) -> dict[str, str]:
        return {}


@mutant("auth-bearer", only=True)
class TokenScheme(CorrectClient):
    """The scheme is Token."""

    def authorization(self) -> str:
        return f"Token {self.case.api_key}"


@mutant("auth-bearer")
class BareKey(CorrectClient):
    """The key is sent without a scheme."""

    def authorization(self) -> str:
        return self.case.api_key


@mutant("auth-bearer")
class QuotedKey(CorrectClient):
    """The key is sent in quotes, as a shell may leave them."""

    def authorization(self) -> str:
        return f'Bearer "{self.case.api_key}"'


@mutant("auth-bearer")
class KeyOfCreatesOnly(CorrectClient):
    """The key is sent with the create only."""

    def own_headers(self, method: str, url: str) -> dict[str, str]:
        return super().own_headers(method, url) if method == "POST" else {}


@mutant("auth-bearer")
class OtherHeader(CorrectClient):
    """The key is sent as X-Api-Key."""

    def own_headers(self, _method: str, _url: str) -> dict[str, str]:
        return {"X-Api-Key": self.case.api_key}


@mutant("auth-in-url", only=True)
class KeyInQuery(CorrectClient):
    """The key is in the query too."""

    def create_url(self) -> str:
        return f"{super().create_url()}?key={self.case.api_key}"


@mutant("auth-in-url")
class KeyInQueryOfDownloads(CorrectClient):
    """The key is in the URL of the download, so that a player can open it."""

    def content_url(self, job: Job) -> str:
        return f"{super().content_url(job)}?access_token={self.case.api_key}"


@mutant("auth-cross-origin", only=True)
class KeyFollowsRedirects(CorrectClient):
    """The key is sent along to any redirect target, as by urllib."""

    def trusted(self, _url: str) -> bool:
        return True


@mutant("auth-cross-origin")
class KeyToDelivery(CorrectClient):
    """The key is sent with the signed URL of the video."""

    def content_url(self, job: Job) -> str:
        return str(job.get("video_url") or super().content_url(job))

    def trusted(self, url: str) -> bool:
        return super().trusted(url) or ".mp4" in url


@mutant("key-in-output", only=True)
class PrintsKey(CorrectClient):
    """It prints the headers that it sends."""

    def create(self) -> Job:
        print(self.own_headers("POST", self.create_url()))  # noqa: T201
        return super().create()


@mutant("key-in-output")
class LogsKey(CorrectClient):
    """It logs the key."""

    def create(self) -> Job:
        logging.getLogger("zoo").warning("creating with %s", self.case.api_key)
        return super().create()


@mutant("key-in-output")
class KeyInErrors(CorrectClient):
    """Error messages contain the request, with its key."""

    def went_wrong(self, message: str) -> Outcome:
        return super().went_wrong(f"{message} ({self.authorization()})")


@mutant("key-in-output")
class KeyInResult(CorrectClient):
    """The result holds the settings of the client."""

    def video(self, job: Job) -> dict[str, Any]:
        return {**super().video(job), "client": {"key": self.case.api_key}}


@mutant("key-in-output")
class PrintsBasicCredentials(CorrectClient):
    """It prints the key in Base64, as in a header of the scheme Basic, which anybody can read."""

    def create(self) -> Job:
        print("Basic", base64.b64encode(f"api:{self.case.api_key}".encode()).decode())  # noqa: T201
        return super().create()


# Almost the right header


@mutant("auth-bearer")
class SchemeTwice(CorrectClient):
    """The scheme is added to a key that has it already."""

    def authorization(self) -> str:
        return f"Bearer {super().authorization()}"


@mutant("auth-bearer")
class HeaderTwice(CorrectClient):
    """The header is sent by the session and by the request, so it arrives twice."""

    def own_headers(self, method: str, url: str) -> dict[str, str]:
        headers = super().own_headers(method, url)
        return {**headers, **{name.lower(): value for name, value in headers.items()}}


@mutant("auth-bearer")
class KeyOfTheFirstCase(CorrectClient):
    """The key is read once and kept for all calls."""

    key: ClassVar[str] = ""

    def authorization(self) -> str:
        KeyOfTheFirstCase.key = self.key or self.case.api_key
        return f"Bearer {self.key}"


@mutant("auth-bearer", verdict="warning")
class TwoHeaders(CorrectClient):
    """The key is sent as X-Api-Key too, for any gateway that might read it."""

    def own_headers(self, method: str, url: str) -> dict[str, str]:
        headers = super().own_headers(method, url)
        return {**headers, "X-Api-Key": self.case.api_key} if headers else {}


@mutant("auth-bearer", "unknown-parts", verdict="warning")
class KeyInForm(CorrectClient):
    """The key is a field of the form too."""

    def fields(self) -> dict[str, Any]:
        return {**super().fields(), "api_key": self.case.api_key}


@mutant("auth-cross-origin")
class KeyOfItsOwnHeader(CorrectClient):
    """A header of its own carries the key to every host."""

    def own_headers(self, method: str, url: str) -> dict[str, str]:
        return {**super().own_headers(method, url), "X-Client": self.case.api_key}


@mutant("auth-cross-origin")
class KeyInReferer(CorrectClient):
    """Another origin learns the key from the address of the page that the request comes from."""

    def own_headers(self, method: str, url: str) -> dict[str, str]:
        page = {} if self.trusted(url) else {"Referer": f"http://app.example/?key={self.case.api_key}"}
        return {**super().own_headers(method, url), **page}


@mutant("auth-bearer", "auth-cross-origin", verdict="warning")
class KeyInCookie(CorrectClient):
    """The key is in a cookie too, as a browser's session would have it."""

    def own_headers(self, method: str, url: str) -> dict[str, str]:
        return {**super().own_headers(method, url), "Cookie": f"theme=dark; session={self.case.api_key}"}
