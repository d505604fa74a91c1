"""Rules about files: the images that go in and the videos that come out."""

from __future__ import annotations

from typing import Final

from mockveo.rules.engine import Breach, Checks, breach
from mockveo.spec.job_statuses import Progression
from mockveo_contracts.servers.exchanges import Conversation, SentExchange

checks: Final = Checks[Conversation]()

#: Boxes that every video needs. Source: ISO/IEC 14496-12.
REQUIRED_BOXES: Final = ("ftyp", "moov", "mdat")
#: Bytes of a file that a message shows. Arbitrary.
MAX_SHOWN_BYTES: Final = 40


def _sent_and_arrived(conversation: Conversation) -> list[tuple[SentExchange, list[str], list[str]]]:
    """Return the creates with images, with the hashes of the sent and of the arrived ones."""
    images = []
    for job, arrived in {**_arrived_upstream(conversation), **conversation.arrived}.items():
        create = conversation.creates[job]
        sent = [file.sha256 for file in create.body.files] if create.body else []
        images.append((create, sent, list(arrived)))
    return images


def _arrived_upstream(conversation: Conversation) -> dict[str, list[str]]:
    """Return the hashes of the images that arrived upstream, by jobs. A gateway may replace a form by URLs in JSON."""
    arrived = {}
    for job, create in conversation.creates.items():
        for exchange in conversation.upstream.get(create.number, ()):
            media_type = exchange.headers.get("content-type", "").partition(";")[0]
            # Of several creates the last counts.
            if exchange.operation == "create" and media_type.lower() == "multipart/form-data":
                arrived[job] = [file.get("sha256", "") for file in exchange.files]
    return arrived


@checks.check("images-all")
def images_all(conversation: Conversation) -> list[Breach] | None:
    breaches, exercised = [], False
    for create, sent, arrived in _sent_and_arrived(conversation):
        exercised = exercised or bool(sent)
        if sorted(sent) != sorted(arrived):
            lost = [str(number) for number, sha256 in enumerate(sent, 1) if sha256 not in arrived]
            problem = f"image {' and '.join(lost)} did not arrive" if lost else "other images arrived too"
            message = f"{len(sent)} images were sent, {len(arrived)} arrived: {problem}"
            breaches.append(breach(message, create))
    return breaches if exercised else None


@checks.check("images-order")
def images_order(conversation: Conversation) -> list[Breach] | None:
    complete = [
        (create, sent == arrived)
        for create, sent, arrived in _sent_and_arrived(conversation)
        if len(sent) > 1 and sorted(sent) == sorted(arrived)
    ]
    message = "the images arrived in another order than they were sent in"
    breaches = [breach(message, create) for create, in_order in complete if not in_order]
    return breaches if complete else None


def _fetches(conversation: Conversation) -> list[tuple[SentExchange, Progression]]:
    """Return the requests for content with our key, each with what the latest status of its job meant."""
    fetches: list[tuple[SentExchange, Progression]] = []
    for exchange in conversation.about("content-available"):
        lifecycle = conversation.lifecycles.get(exchange.job, [])
        earlier = [shown.shown.meaning for shown in lifecycle if shown.number < exchange.number]
        fetches.append((exchange, earlier[-1] if earlier else ""))
    return fetches


def whole_content(conversation: Conversation) -> SentExchange | None:
    """Return the response with the whole video; None if there is none, or it is no video."""
    return next(
        (
            exchange
            for exchange, _ in _fetches(conversation)
            if exchange.status == 200 and not exchange.content_encoding and not mp4_problem(exchange.data)
        ),
        None,
    )


@checks.check("content-available")
def content_available(conversation: Conversation) -> list[Breach] | None:
    # Of several tries, the last one counts.
    fetches = [exchange for exchange, meaning in _fetches(conversation) if meaning == "success"]
    if not fetches:
        return None
    last = fetches[-1]
    message = f"the job has completed, but its content is answered with {last.status}"
    return [] if last.succeeded else [breach(message, last)]


@checks.check("content-failed")
def content_failed(conversation: Conversation) -> list[Breach] | None:
    fetches = [exchange for exchange in conversation.about("content-failed") if exchange.method == "GET"]
    breaches = [
        breach(f"the job has failed, but its content is answered with {exchange.status}", exchange)
        for exchange in fetches
        if exchange.succeeded
    ]
    return breaches if fetches else None


@checks.check("content-video")
def content_video(conversation: Conversation) -> list[Breach] | None:
    fetches = [
        exchange for exchange, meaning in _fetches(conversation) if exchange.status == 200 and meaning != "failure"
    ]
    breaches = []
    for exchange in fetches:
        if exchange.trouble:
            breaches.append(breach(f"the content is not complete: {exchange.trouble}", exchange))
            continue
        problem = mp4_problem(exchange.data)
        if problem:
            breaches.append(breach(f"the content is not an MP4 file: {problem}", exchange))
        if exchange.media_type != "video/mp4":
            actual = exchange.media_type or "missing"
            breaches.append(breach(f"the Content-Type is {actual}; expected video/mp4", exchange))
    return breaches if fetches else None


def mp4_problem(data: bytes) -> str:
    """Return what is wrong with the boxes of an MP4 file, or an empty text. Source: ISO/IEC 14496-12 section 4.2."""
    if not data:
        return "it is empty"
    kinds: list[str] = []
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4])
        kind = data[at + 4 : at + 8].decode("latin-1")
        if not kinds and kind != "ftyp":
            return f"it begins with {data[:MAX_SHOWN_BYTES]!r}; expected a box ftyp"
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16])
        elif size == 0:
            size = len(data) - at
        if size < 8 or at + size > len(data):
            return f"the box {kind!r} at {at} has {size} bytes, but only {len(data) - at} are left"
        kinds.append(kind)
        at += size
    missing = [kind for kind in REQUIRED_BOXES if kind not in kinds]
    return f"it has no box {' and no box '.join(missing)}" if missing else ""


@checks.check("content-asset")
def content_asset(conversation: Conversation) -> list[Breach] | None:
    exchanges = [exchange for exchange in conversation.about("content-asset") if exchange.status == 200]
    whole = whole_content(conversation)
    breaches = [
        breach(f"{exchange.path.partition('?')[2]} is answered with the video", exchange)
        for exchange in exchanges
        if not mp4_problem(exchange.data) or (whole and exchange.data == whole.data)
    ]
    return breaches if exchanges else None


@checks.check("video-url")
def video_url(conversation: Conversation) -> list[Breach] | None:
    exchanges = conversation.about("video-url")
    breaches = []
    for exchange in exchanges:
        problem = f"it is answered with {exchange.status}" if exchange.status != 200 else mp4_problem(exchange.data)
        if problem:
            breaches.append(breach(f"video_url does not lead to the video: {problem}", exchange))
    for lifecycle in conversation.lifecycles.values():
        for exchange in lifecycle:
            url = exchange.members.get("video_url")
            is_url = isinstance(url, str) and url.startswith(("http://", "https://"))
            if isinstance(url, str) and exchange.shown.meaning == "success" and not is_url:
                return [*breaches, breach(f"video_url is {url!r}; expected a URL", exchange)]
    return breaches if exchanges else None
