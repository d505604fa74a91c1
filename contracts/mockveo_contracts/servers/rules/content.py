"""Checks of what goes in and comes out as bytes: images and videos."""

from __future__ import annotations

from typing import Final

from mockveo.rules.engine import Breach, Checks, breach
from mockveo.rules.trace import FAILURE, SUCCESS
from mockveo_contracts.servers.exchanges import Conversation, SentExchange

checks: Final = Checks[Conversation]()

#: Boxes that a video cannot do without.
NEEDED: Final = ("ftyp", "moov", "mdat")


@checks.check("images-all")
def images_all(conversation: Conversation) -> list[Breach] | None:
    """Images that did not arrive."""
    found, seen = [], False
    for job, arrived in conversation.arrived.items():
        create = conversation.creates[job]
        sent = [one.sha256 for one in create.body.files] if create.body else []
        seen = seen or bool(sent)
        if sorted(sent) != sorted(arrived):
            lost = [str(number) for number, one in enumerate(sent, 1) if one not in arrived]
            told = f"image {' and '.join(lost)} did not arrive" if lost else "other images arrived too"
            found.append(breach(f"{len(sent)} images were sent, {len(arrived)} arrived: {told}", create))
    return found if seen else None


@checks.check("images-order")
def images_order(conversation: Conversation) -> list[Breach] | None:
    """Images that arrived in another order."""
    found, seen = [], False
    for job, arrived in conversation.arrived.items():
        create = conversation.creates[job]
        sent = [one.sha256 for one in create.body.files] if create.body else []
        if len(sent) > 1 and sorted(sent) == sorted(arrived):
            seen = True
            if sent != list(arrived):
                found.append(breach("the images arrived in another order than they were sent in", create))
    return found if seen else None


def _fetched(conversation: Conversation) -> list[tuple[SentExchange, str]]:
    """The requests for the content of a job with our key, each with the status that the job had been told to have."""
    found = []
    for one in conversation.about("content-available"):
        states = [told.state for told in conversation.courses.get(one.job, []) if told.number < one.number]
        found.append((one, states[-1] if states else ""))
    return found


@checks.check("content-available")
def content_available(conversation: Conversation) -> list[Breach] | None:
    """Completed jobs without content. There may have been several tries; the last one counts."""
    seen = [one for one, state in _fetched(conversation) if state in SUCCESS][-1:]
    return [
        breach(f"the job has completed, and its content is answered with {one.status}", one)
        for one in seen
        if not one.succeeded
    ] or ([] if seen else None)


@checks.check("content-failed")
def content_failed(conversation: Conversation) -> list[Breach] | None:
    """Failed jobs with content."""
    seen = [one for one in conversation.about("content-failed") if one.method == "GET"]
    return [
        breach(f"the job has failed, and its content is answered with {one.status}", one)
        for one in seen
        if one.succeeded
    ] or ([] if seen else None)


@checks.check("content-video")
def content_video(conversation: Conversation) -> list[Breach] | None:
    """Content that is no video, or says that it is none."""
    seen = [one for one, state in _fetched(conversation) if one.status == 200 and state not in FAILURE]
    found = []
    for one in seen:
        problem = mp4_problem(one.data)
        if problem:
            found.append(breach(f"the content is no MP4: {problem}", one))
        if one.media_type != "video/mp4":
            found.append(breach(f"the Content-Type is {one.media_type or 'missing'}; wanted video/mp4", one))
        promised = one.answer_headers.get("content-length")
        if promised is not None and promised != str(len(one.data)):
            found.append(breach(f"Content-Length is {promised}, {len(one.data)} bytes came", one))
    return found if seen else None


def mp4_problem(data: bytes) -> str:
    """What is wrong with an MP4 file, by its boxes; empty where nothing is. Source: ISO/IEC 14496-12 section 4.2."""
    if not data:
        return "it is empty"
    kinds: list[str] = []
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4])
        kind = data[at + 4 : at + 8].decode("latin-1")
        if not kinds and kind != "ftyp":
            return f"it begins with {data[:40]!r}; wanted a box ftyp"
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16])
        elif size == 0:
            size = len(data) - at
        if size < 8 or at + size > len(data):
            return f"the box {kind!r} at {at} has {size} bytes, of which {len(data) - at} are there"
        kinds.append(kind)
        at += size
    lacks = [kind for kind in NEEDED if kind not in kinds]
    return f"it has no box {' and no box '.join(lacks)}" if lacks else ""


@checks.check("content-range")
def content_range(conversation: Conversation) -> list[Breach] | None:
    """Ranges that are others than were asked for."""
    seen = [one for one in conversation.about("content-range") if one.succeeded]
    whole = next((one for one, _ in _fetched(conversation) if one.status == 200), None)
    if not seen or whole is None:
        return None
    found = []
    for one in seen:
        first, _, last = one.headers["Range"].removeprefix("bytes=").partition("-")
        wanted = whole.data[int(first) : int(last) + 1] if one.status == 206 else whole.data
        told = one.answer_headers.get("content-range", "")
        if one.data != wanted:
            found.append(breach(f"bytes {first} to {last} were asked for, {len(one.data)} others came", whole, one))
        elif one.status == 206 and told != f"bytes {first}-{int(first) + len(wanted) - 1}/{len(whole.data)}":
            found.append(breach(f"Content-Range is {told!r} for bytes {first} to {last} of {len(whole.data)}", one))
    return found


@checks.check("head")
def head(conversation: Conversation) -> list[Breach] | None:
    """HEAD that is answered with success, and otherwise than GET."""
    seen = conversation.about("head")
    whole = next((one for one, _ in _fetched(conversation) if one.status == 200), None)
    found = []
    for one in seen:
        promised = one.answer_headers.get("content-length")
        if one.succeeded and whole and promised is not None and promised != str(len(whole.data)):
            found.append(breach(f"HEAD has Content-Length {promised}, GET {len(whole.data)} bytes", whole, one))
        elif not one.succeeded and not 400 <= one.status < 500:
            found.append(breach(f"HEAD is answered with {one.status}; wanted the status of GET, or 405", one))
    return found if seen else None


@checks.check("video-url")
def video_url(conversation: Conversation) -> list[Breach] | None:
    """URLs of videos that lead to none."""
    found, seen = [], conversation.about("video-url")
    for one in seen:
        problem = f"it is answered with {one.status}" if one.status != 200 else mp4_problem(one.data)
        if problem:
            found.append(breach(f"video_url does not lead to the video: {problem}", one))
    for course in conversation.courses.values():
        for one in course:
            url = one.answer.get("video_url")
            if isinstance(url, str) and one.state in SUCCESS and not url.startswith(("http://", "https://")):
                return [*found, breach(f"video_url is {url!r}; wanted a URL", one)]
    return found if seen else None
