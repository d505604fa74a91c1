"""HAR of any tool as exchanges in their JSON form.

What an exporter leaves out - bodies, credentials, the parts of a form - is left out of the exchange too, so that no
rule takes it for wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, cast
from urllib.parse import unquote

from mockveo.errors import TraceError
from mockveo.http.forms import URLENCODED
from mockveo.http.parts import MULTIPART, ParsedForm
from mockveo.schemas import DataSchema
from mockveo.spec.errors import ErrorBody
from mockveo.spec.operations import OPERATION_IDS
from mockveo.spec.spec import Operation, Spec, load
from mockveo.traffic.exchange import ExchangeJson, RequestJson
from mockveo.traffic.form_values import CreateRequest, misplaced_parameters
from mockveo.traffic.har_entry import HarEntry, SavedForm
from mockveo.traffic.record import Deviation
from mockveo.traffic.redaction import fingerprint, redact_headers, redact_key, redact_query, redactor

_ENTRY: Final = DataSchema(Path(__file__).with_name("har.schema.json"), "the entry")
#: Operations by which the root of the API is recognised; other services list models too.
_VIDEO_OPERATIONS: Final = frozenset(OPERATION_IDS[name] for name in ("create", "retrieve", "content"))
#: Statuses of a path that a server does not have. Source: RFC 9110 sections 15.5.5 and 15.5.6.
_NO_SUCH_PATH: Final = (404, 405)
#: Deviations that the names and kinds of the parts of a form show, whatever an exporter made of their bytes.
_OF_PARTS: Final = frozenset(
    {"image-field-name", "text-for-file", "file-for-text", "unknown-part", "repeated-field", "file-media-type"}
)
#: Members of a job that lead to its video. Source: the pages, and the gateway family for the others.
_URL_NAMES: Final = ("video_url", "url", "fail_reason")


class _Target(NamedTuple):
    """What an entry requests: a path below the API's root, or the address of a video."""

    path: str
    #: None for an unknown path.
    operation: str | None
    job: str | None = None
    elsewhere: bool = False


def of_har(log: Mapping[str, Any], name: str) -> list[ExchangeJson]:
    """Return the exchanges with the API in a HAR, in order of time. Raises TraceError, which names file and entry."""
    entries = log.get("entries")
    if not isinstance(entries, list):
        raise TraceError(f"{name}: not HAR 1.2: log.entries is no list; expected what `mockveo har` prints")
    reader = _HarReader(load(), name)
    for place, data in enumerate(entries, 1):
        reader.add(place, data)
    return reader.exchanges()


class _HarReader:
    """A reader of the entries of one file, which are understood together."""

    def __init__(self, spec: Spec, name: str) -> None:
        self._name = name
        self._patterns = [
            (operation, re.compile(f"(.*?)({re.sub('{[^}]+}', '[^/]+', operation.path)})", re.DOTALL))
            for operation in spec.operations.values()
        ]
        self._paths = ", ".join(f"{operation.method} {operation.path}" for operation in spec.operations.values())
        self._operations = spec.operations
        #: The service is known to accept a form without images that is URL-encoded.
        self._accepted = (*spec.form.media_types, URLENCODED)
        self._entries: list[HarEntry] = []

    def add(self, place: int, data: Any) -> None:
        """Add an entry, unless it is a preflight. Raises TraceError for one that is not HAR 1.2."""
        entry = None
        try:
            mistakes = _ENTRY.mistakes(data)
            if not mistakes:
                entry = HarEntry(place, data)
        except (ValueError, OverflowError, OSError) as problem:
            mistakes = [str(problem)]
        if entry is None:
            raise TraceError(f"{self._name}: entry {place} is not HAR 1.2: {mistakes[0]}")
        # Browsers send preflights by themselves. Source: Fetch standard, CORS-preflight fetch.
        if entry.own or entry.method != "OPTIONS":
            self._entries.append(entry)

    def exchanges(self) -> list[ExchangeJson]:
        """Return the exchanges with the API, and those with the addresses of its videos."""
        roots = self._roots()
        targets = {entry: self._target(entry, roots) for entry in self._entries}
        videos = _videos(entry for entry, target in targets.items() if target is not None)
        for entry, target in targets.items():
            job = videos.get(entry.url)
            if target is None and job is not None and entry.method == "GET":
                targets[entry] = _Target(entry.path, OPERATION_IDS["delivery"], job, elsewhere=True)
        return self._in_order({entry: target for entry, target in targets.items() if target is not None})

    def _roots(self) -> list[str]:
        """Return the roots of the API, the longest first: each an origin and a prefix."""
        candidates = []
        for entry in self._entries:
            operation, prefix = self._match(entry.method, entry.path)
            if operation is not None and operation.id in _VIDEO_OPERATIONS and not entry.own:
                candidates.append((entry, operation, entry.origin + prefix))
        roots = {root for entry, operation, root in candidates if _is_evident(entry, operation)}
        # Without any evidence a path with a prefix may be that of any service.
        roots = roots or {entry.origin for entry, _, _ in candidates}
        return sorted(roots, key=len, reverse=True)

    def _match(self, method: str, path: str) -> tuple[Operation | None, str]:
        """Return the operation of a path, and the prefix before it."""
        method = "GET" if method == "HEAD" else method
        for operation, pattern in self._patterns:
            match = pattern.fullmatch(path) if operation.method == method else None
            if match is not None:
                return operation, match[1]
        return None, ""

    def _target(self, entry: HarEntry, roots: Iterable[str]) -> _Target | None:
        """Return what an entry requests of the API; None if it is about something else."""
        if entry.own:
            return _Target(re.sub(r"^/@[^/]+", "", entry.path), entry.own.get("operation"))
        root = next((root for root in roots if entry.address.startswith(f"{root}/")), None)
        if root is None:
            return None
        path = entry.address.removeprefix(root)
        operation, prefix = self._match(entry.method, path)
        if operation is not None and not prefix:
            is_about_job = operation.path.count("/") > 2  # e.g. /v1/videos/{id}
            return _Target(path, operation.id, unquote(path.split("/")[3]) if is_about_job else entry.job.id or None)
        # What the service answers without an error it knows, though the document does not.
        return _Target(path, None) if path.startswith("/v1/") and entry.status >= 400 else None

    def _in_order(self, targets: Mapping[HarEntry, _Target]) -> list[ExchangeJson]:
        """Return the exchanges in order of time. Source: HAR 1.2, which lets entries come in any order."""
        places = [entry.place for entry in targets]
        answered = any(200 <= entry.status < 300 for entry in targets)
        # Without a key nothing is answered, so somebody took out what the file lacks.
        sanitised = answered and not any(entry.credential for entry in targets)
        sizes_known = any(entry.size > 0 for entry in targets)
        exchanges = []
        for number, entry in zip(places, sorted(targets, key=lambda entry: entry.time), strict=True):
            exchange = self._exchange(entry, number, targets[entry])
            if entry.credential or (entry.headers and not sanitised):
                exchange["key_sent"] = bool(entry.credential)
            if sizes_known and entry.size_missing:
                exchange["response"] = None
            exchange.update(entry.own)  # type: ignore[typeddict-item]  # its types are checked with all exchanges
            exchanges.append(exchange)
        return exchanges

    def _exchange(self, entry: HarEntry, number: int, target: _Target) -> ExchangeJson:
        is_unknown = target.operation is None
        exchange: ExchangeJson = {
            "number": number,
            "time": entry.time,
            "at": entry.time,
            "elsewhere": target.elsewhere,
            "operation": target.operation,
            "error": "unknown_path" if is_unknown else None,
            "hint": f"the paths are {self._paths}" if is_unknown else None,
            "key": fingerprint(entry.credential) if entry.credential else None,
            "job": target.job,
            "request": _request(entry, target),
            "response": entry.response(),
        }
        form = entry.form() if target.operation == OPERATION_IDS["create"] else None
        if form is not None:
            exchange["request"]["fields"], exchange["request"]["files"] = form.fields, form.files
        if target.operation is not None and not target.elsewhere:
            key = entry.credential.rpartition(" ")[2]
            exchange["deviations"] = [
                {"code": note.code, "message": redact_key(note.message, key)}
                for note in self._deviations(entry, target.operation, form)
            ]
        hiding = redactor([*entry.headers, ("authorization", entry.credential)], entry.query.encode(), _texts(exchange))
        return cast(ExchangeJson, hiding.redact(exchange))

    def _deviations(self, entry: HarEntry, name: str, form: SavedForm | None) -> Iterator[Deviation]:
        """Yield how a request deviates from the document, as far as its entry shows that."""
        operation = self._operations.get(name)
        if operation is not None:
            headers = [header.lower().encode() for header, _ in entry.headers]
            yield from misplaced_parameters(operation, entry.query.encode(), headers)
        if form is None or operation is None or operation.form is None:
            return
        if form.fields and form.media_type not in self._accepted:
            yield Deviation(
                "content-type", f"sent as {form.media_type or 'nothing'}; the page says {self._accepted[0]}"
            )
        if form.media_type == MULTIPART:
            request = CreateRequest.parse(ParsedForm(list(form.parts)), operation.form, MULTIPART)
            yield from (note for note in request.deviations if note.code in _OF_PARTS)


def _is_evident(entry: HarEntry, operation: Operation) -> bool:
    """Return whether an entry shows that the API is there, and not a path of the same name."""
    if entry.status in _NO_SUCH_PATH:
        return False
    shows_json = bool(entry.job.ids or entry.job.status) or ErrorBody.parse(entry.body).present
    return operation.id == OPERATION_IDS["create"] or shows_json or "json" in entry.media_type


def _texts(exchange: ExchangeJson) -> list[tuple[str, Any]]:
    return [(field["name"], field["value"]) for field in exchange["request"].get("fields", ())]


def _request(entry: HarEntry, target: _Target) -> RequestJson:
    key = entry.credential.rpartition(" ")[2]
    request: RequestJson = {
        "method": entry.method,
        "path": redact_key(target.path, key),
        "query": redact_key(redact_query(entry.query), key),
    }
    # The cookies of a browser for another origin do not come from the API.
    headers = [(name, value) for name, value in entry.headers if not target.elsewhere or name.lower() != "cookie"]
    if not entry.credential and not entry.own:
        headers = [(name, value) for name, value in headers if name.lower() != "authorization"]
    if entry.content_type and all(name.lower() != "content-type" for name, _ in headers):
        headers.append(("content-type", entry.content_type))
    if headers:
        request["headers"] = redact_headers(headers)
    return request


def _videos(entries: Iterable[HarEntry]) -> dict[str, str]:
    """Return the URLs that responses showed as those of videos, with the jobs."""
    videos = {}
    for entry in entries:
        urls = [entry.job.members.get(name) for name in _URL_NAMES]
        job = entry.job.id or unquote(entry.path.removesuffix("/content").rpartition("/")[2])
        for url in [*urls, entry.location]:
            if isinstance(url, str) and url.startswith(("http://", "https://")):
                videos[url.partition("#")[0]] = job
    return videos
