"""The probes: sequences of requests to a server, repeatable by their seed.

A probe only sends requests; the rules judge the responses. Probes share jobs, as a job may cost money.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from mockveo.rules.requirements import FIRST
from mockveo.spec.spec import Query
from mockveo_contracts.servers.exchanges import Body, SentExchange
from mockveo_contracts.servers.http_client import urlencoded
from mockveo_contracts.servers.probe_run import ProbeRun

#: Text in many scripts: CJK, a combining mark, right to left, beyond the basic plane, a joined emoji.
UNICODE: Final = "紙の凧が野原の上に浮かぶ。Ça va, ñandú e\u0301 — مرحبا 𝄞 🪁👩\u200d🚀"
#: Pause before an ended job is polled again, if time can be advanced. Arbitrary, well beyond any job.
LATER_S: Final = 3600.0
#: Tries for the content of a job that has just completed. Arbitrary.
MAX_CONTENT_TRIES: Final = 3


#: Ranges of a content: from its middle, as browsers begin (Safari with 0-1), all of it, and its end.
RANGES: Final = ("4-99", "0-1", "0-", "-1")


class Probe(NamedTuple):
    """A sequence of requests."""

    name: str
    says: str
    ask: Callable[[ProbeRun], None]
    #: The month of the first requirements that ask for it.
    since: str = FIRST


PROBES: Final[dict[str, Probe]] = {}


def probe(
    name: str, says: str, *, since: str = FIRST
) -> Callable[[Callable[[ProbeRun], None]], Callable[[ProbeRun], None]]:
    """Register the decorated function as a probe."""

    def register(ask: Callable[[ProbeRun], None]) -> Callable[[ProbeRun], None]:
        PROBES[name] = Probe(name, says, ask, since)
        return ask

    return register


@probe("models/lists", "The models of a key, and the public models.")
def models(run: ProbeRun) -> None:
    """Request both lists."""
    for operation, key in (("listModels", "ours"), ("listPublicModels", "")):
        if operation in run.spec.operations:
            run.get(operation, purpose="models-listed", key=key)


@probe("job/text-only", "A job from a prompt alone, followed to its end and beyond, with its content.")
def text_only(run: ProbeRun) -> None:
    """Create one job and request all that belongs to it."""
    create = run.create(run.multipart(run.fields()), purpose="create-accepted")
    if not create.made:
        return
    job = create.made
    first = run.poll(job).shown
    if first.status and not first.ended:
        _content(run, job, "content-early", "content_not_ready", note="before the end")
    _hidden(run, job)
    _after(run, job, run.follow(job))


def _hidden(run: ProbeRun, job: str) -> None:
    """Request a job with another key."""
    key = "other" if run.client.keys.other else "bad"
    run.get("retrieveVideo", job, purpose="auth-other-key", expected="task_not_exist", key=key, note="another key")
    _content(run, job, "auth-other-key", "task_not_found", key=key, note="another key")


def _content(run: ProbeRun, job: str, purpose: str, expected: str = "", **more: str) -> SentExchange | None:
    if "retrieveVideoContent" not in run.spec.operations:
        return None
    return run.get("retrieveVideoContent", job, purpose=purpose, expected=expected, **more)


def _after(run: ProbeRun, job: str, end: SentExchange) -> None:
    """Request what an ended job has, then poll it again."""
    if end.shown.meaning == "failure":
        _content(run, job, "content-failed", note="of a failed job")
    # If polls cannot be read, the job may have completed nevertheless.
    if end.shown.meaning == "success" or (end.succeeded and end.trouble):
        _video(run, job, end)
    if end.shown.ended:
        run.poll(job)
        run.client.pace.wait(LATER_S if run.control else 0.0)
        run.poll(job)


def _video(run: ProbeRun, job: str, end: SentExchange) -> None:
    url = end.members.get("video_url")
    if isinstance(url, str):
        run.client.fetch(url, purpose="video-url")
    # The content may lag behind the status.
    for attempt in range(MAX_CONTENT_TRIES):
        if attempt:
            run.client.pace.wait(run.client.pace.interval * 2 ** (attempt - 1))
        exchange = _content(run, job, "content-available")
        if exchange is None:
            return
        if exchange.succeeded or exchange.failed:
            break
    content = "retrieveVideoContent"
    for requested in RANGES:
        headers = {"Range": f"bytes={requested}"}
        run.get(content, job, purpose="content-range", headers=headers, note=f"bytes {requested}")
    run.get(content, job, purpose="head", method="HEAD")
    for query in run.spec.operations[content].queries:
        if query.name == "variant":
            _variants(run, job, query)


def _variants(run: ProbeRun, job: str, query: Query) -> None:
    """Request the documented variants other than the video, and one that is unknown."""
    for name in query.schema.get("enum", ()):
        if name != query.default:
            _content(run, job, "content-asset", query=f"variant={name}")
    _content(run, job, "content-variant", "invalid_variant", query="variant=none-of-these")


@probe("job/images", "A job with images, with a prompt in many scripts, with model and size, followed to its end.")
def images(run: ProbeRun) -> None:
    """Create one job, or two if the first is refused for its prompt."""
    names = [name for name in ("model", "size", "seconds") if name in run.form.fields]
    fields = run.fields(**{name: run.value(name) for name in names})
    most = _most_images(run)
    create = run.create(run.multipart({**fields, "prompt": UNICODE}, run.images(most)), purpose="unicode")
    if not create.made:
        purpose = "images-accepted" if most else "create-accepted"
        create = run.create(run.multipart(fields, run.images(most)), purpose=purpose)
    if create.made:
        run.look_at_images(create)
        run.follow(create.made)


def _most_images(run: ProbeRun) -> int:
    field = next(iter(sorted(run.form.file_fields)), None)
    if field is None:
        return 0
    node = run.form.fields[field]
    return min(int(node.get("maxItems", 2)), 2) if "items" in node else 1


@probe("job/fails", "A job that fails: its reason, and that it has no content.")
def fails(run: ProbeRun) -> None:
    """Create a job that fails, if the server has a way to trigger that."""
    prompt = run.shared.failing_prompt
    if run.control is not None and prompt is None:
        run.control.next("fails")
    elif prompt is None:
        return
    create = run.create(run.multipart(run.fields(**({"prompt": prompt} if prompt else {}))), purpose="create-accepted")
    if create.made:
        _after(run, create.made, run.follow(create.made))


@probe("auth/no-key", "Every operation that needs a key, without one.")
def no_key(run: ProbeRun) -> None:
    """Send four requests without a key."""
    job = run.shared.jobs[-1] if run.shared.jobs else run.unknown_id()
    for operation in ("retrieveVideo", "retrieveVideoContent", "listModels"):
        if operation in run.spec.operations and run.spec.operations[operation].authorised:
            path_id = "" if operation == "listModels" else job
            run.get(operation, path_id, purpose="auth-required", expected="invalid_token", key="", note="no key")
    body = run.multipart(run.fields())
    run.create(body, purpose="auth-required", expected="invalid_token", key="", note="no key")


@probe("auth/other-scheme", "A valid key with another scheme than Bearer.")
def other_scheme(run: ProbeRun) -> None:
    """Send the key as Basic, and without a scheme."""
    job = run.shared.jobs[-1] if run.shared.jobs else run.unknown_id()
    schemes = {"basic": "scheme Basic", "raw": "the key without a scheme"}
    if run.spec.raw_keys:
        del schemes["raw"]
    for key, note in schemes.items():
        run.get("retrieveVideo", job, purpose="auth-scheme", expected="invalid_token", key=key, note=note)


@probe("auth/bad-key", "An invalid key.")
def bad_key(run: ProbeRun) -> None:
    """Send two requests that cost nothing."""
    more = {"purpose": "auth-bad-key", "expected": "invalid_token", "key": "bad", "note": "an invalid key"}
    run.get("retrieveVideo", run.unknown_id(), **more)
    if "listModels" in run.spec.operations:
        run.get("listModels", **more)


@probe("errors/unknown-id", "Unknown jobs, and malformed ids.")
def unknown_id(run: ProbeRun) -> None:
    """Request unknown and malformed ids."""
    for job in (run.unknown_id(), run.unknown_id().lower(), "1"):
        run.get("retrieveVideo", job, purpose="unknown-id", expected="task_not_exist")
    _content(run, run.unknown_id(), "content-unknown-id", "task_not_found")
    for job in ("%00", "%F0%9F%AA%81", "..%2F..%2Fetc%2Fpasswd", "%22%27%3B--", "x" * 2000):
        run.get("retrieveVideo", job, purpose="no-server-error", note="a malformed id")


@probe("errors/prompt", "Creates without a prompt, or with a blank one.")
def no_prompt(run: ProbeRun) -> None:
    """Send three forms, and one with unusual fields."""
    fields = run.fields()
    del fields["prompt"]
    more = {"purpose": "prompt-required", "expected": "prompt_required"}
    run.create(
        run.multipart({**fields, "size": run.value("size")} if "size" in run.form.fields else fields),
        **more,
        note="no prompt",
    )
    run.create(run.multipart({**fields, "prompt": ""}), **more, note="an empty prompt")
    run.create(run.multipart({**fields, "prompt": " \t "}), **more, note="a blank prompt")
    unusual = {**fields, "input_reference": "no file", "\u00fcnknown": UNICODE}
    run.create(run.multipart(unusual), **more, note="no prompt, and unusual fields")


@probe("errors/model", "Creates with an unknown model, and without a required one.")
def no_model(run: ProbeRun) -> None:
    """Send one or two forms."""
    if "model" not in run.form.fields:
        return
    if run.spec.aliases is not None:
        name = f"no-such-model-{run.dice.randrange(10**6)}"
        run.create(
            run.multipart(run.fields(model=name)),
            purpose="unknown-model",
            expected="model_not_found",
            note="an unknown model",
        )
    if run.form.requires("model"):
        fields = run.fields()
        del fields["model"]
        run.create(run.multipart(fields), purpose="model-required", expected="model_required", note="no model")


@probe("errors/choices", "Values that the page does not list.")
def choices(run: ProbeRun) -> None:
    """Send one form for each field with listed values."""
    for name, node in run.form.fields.items():
        if "enum" in node and name in run.form.texts:
            wrong = next(value for value in ("5", "none-of-these") if value not in map(str, node["enum"]))
            expected = f"invalid_{name}"
            run.create(
                run.multipart(run.fields(**{name: wrong})), purpose="choices", expected=expected, note=f"{name} {wrong}"
            )


@probe("errors/too-many-images", "One image more than the page allows.")
def too_many_images(run: ProbeRun) -> None:
    """Send one form."""
    most = _most_images(run)
    if most:
        expected = "invalid_input_reference"
        body = run.multipart(run.fields(), run.images(most + 1))
        run.create(body, purpose="too-many-images", expected=expected, note=f"{most + 1} images")


@probe("errors/media-type", "Bodies that are not forms.")
def media_type(run: ProbeRun) -> None:
    """Send text, XML and bytes."""
    prompt = run.value("prompt")
    for kind, data in (
        ("text/plain", prompt.encode()),
        ("application/xml", f"<prompt>{prompt}</prompt>".encode()),
        ("application/octet-stream", run.dice.randbytes(64)),
    ):
        run.create(Body(kind, data), purpose="form-media-type", expected="invalid_request", note=kind)


@probe("errors/malformed", "Incomplete and malformed forms.")
def malformed(run: ProbeRun) -> None:
    """Send forms without a boundary, with another one, and truncated."""
    # One of a single pixel, so that the whole form fits in a command line.
    good = run.multipart(run.fields(), run.images(min(_most_images(run), 1), size=(1, 1)))
    more = {"purpose": "form-malformed", "expected": "invalid_multipart_form"}
    run.create(Body("multipart/form-data", good.data), **more, note="no boundary")
    run.create(Body("multipart/form-data; boundary=another", good.data), **more, note="another boundary")
    run.create(Body(good.content_type, good.data[: len(good.data) // 2]), **more, note="truncated")


@probe("errors/paths", "Unknown paths and methods.")
def paths(run: ProbeRun) -> None:
    """Send requests to unknown paths and with unknown methods."""
    job = run.unknown_id()
    run.client.send("GET", f"/v1/no-such-path-{run.dice.randrange(1000)}", purpose="unknown-path")
    run.client.send("POST", "/v1/no-such-path", urlencoded({"prompt": run.value("prompt")}), purpose="unknown-path")
    path = run.spec.operations["retrieveVideo"].path.replace("{video_id}", job)
    for method in ("PUT", "PATCH"):
        run.client.send(method, path, urlencoded({"status": "completed"}), purpose="unknown-method")
