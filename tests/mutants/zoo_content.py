"""Mutants that store a wrong video, or fetch it wrongly."""

from __future__ import annotations

from collections.abc import Mapping

from mockveo_contracts import Outcome
from zoo_client import Answer, CorrectClient, Job, Trouble, mutant


class _Fetches(CorrectClient):
    """A client that stores something other than the video."""

    def keeps(self, answer: Answer) -> bool:
        raise NotImplementedError

    def is_video(self, _answer: Answer) -> bool:
        return True

    def ask(self, method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        answer = super().ask(method, url, body, headers)
        return answer._replace(status=200) if "/content" in url and self.keeps(answer) else answer


@mutant("content-exact", only=True)
class StoresHalf(_Fetches):
    """A truncated download is stored."""

    def keeps(self, answer: Answer) -> bool:
        return answer.status == 0 and bool(answer.body)


@mutant("content-exact")
class StoresErrors(_Fetches):
    """The body of any answer to a download is stored as the video."""

    def keeps(self, answer: Answer) -> bool:
        return answer.status >= 400


@mutant("content-exact")
class StoresText(CorrectClient):
    """The video is stored as text."""

    def store(self, data: bytes) -> str:
        return super().store(data.decode("utf-8", "replace").encode())


@mutant("content-exact")
class StoresMore(CorrectClient):
    """A line break is appended to the video."""

    def store(self, data: bytes) -> str:
        return super().store(data + b"\n")


@mutant("content-exact")
class StoresBlock(CorrectClient):
    """Only the first block of the video is stored."""

    def store(self, data: bytes) -> str:
        return super().store(data[:4096])


@mutant("content-exact")
class StoresTheThumbnail(CorrectClient):
    """A picture is stored as the video."""

    def content_url(self, job: Job) -> str:
        return f"{super().content_url(job)}?variant=thumbnail"

    def is_video(self, _answer: Answer) -> bool:
        return True


@mutant("content-exact")
class AsksForTheThumbnail(CorrectClient):
    """A picture is asked for, and then refused since it is no video."""

    def content_url(self, job: Job) -> str:
        return f"{super().content_url(job)}?variant=thumbnail"


@mutant("content-exact")
class StoresTheSpritesheet(StoresTheThumbnail):
    """A spritesheet is stored as the video; its name in the URL is percent-encoded."""

    def content_url(self, job: Job) -> str:
        return f"{CorrectClient.content_url(self, job)}?variant=%73pritesheet"


@mutant("content-exact")
class StoresAnySuccess(CorrectClient):
    """Whatever comes with 200 is stored as the video."""

    def is_video(self, _answer: Answer) -> bool:
        return True


@mutant("content-exact")
class StoresWhatIsNotEmpty(CorrectClient):
    """Whatever comes with 200 and is not empty is stored as the video."""

    def is_video(self, answer: Answer) -> bool:
        return bool(answer.body)


@mutant("content-exact")
class StoresByMediaType(CorrectClient):
    """Whatever is labelled as a video is stored as one."""

    def is_video(self, answer: Answer) -> bool:
        return answer.headers.get("content-type") == "video/mp4"


@mutant("content-exact")
class ForgetsTheDownload(CorrectClient):
    """A download that did not succeed is reported as completed, without a file and without an error."""

    def outcome(self, job: Job) -> Outcome:
        done = super().outcome(job)
        return Outcome("completed", done.video, done.content_path) if done.outcome == "completed" else done


@mutant("retry-bounded", unlikely="no generated answer of 200 is no video for ever")
class FetchesUntilVideo(CorrectClient):
    """A download that brings no video is repeated until the deadline."""

    def download(self, job: Job) -> str:
        while True:
            answer = self.ask("GET", self.content_url(job))
            if answer.status != 200:
                raise Trouble(self.message(answer))
            if self.is_video(answer):
                return self.store(answer.body)
            self.sleep(0.02)
