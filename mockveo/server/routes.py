"""From a document to the routes of a server, at its own origin and at the other one."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from mockveo.content.clips import Clips
from mockveo.content.media import MEDIA_TYPES
from mockveo.errors import SpecError
from mockveo.http.hosts import Hosts
from mockveo.http.responses import Response, content_response
from mockveo.server.context import RequestContext
from mockveo.server.endpoints import Endpoint, EndpointTable, Route
from mockveo.server.handlers import Handlers
from mockveo.spec.spec import Operation, Spec

#: operationId -> the errors that its handler needs.
NEEDED_ERRORS: Mapping[str, tuple[str, ...]] = {
    "createVideo": (
        *("invalid_request", "invalid_multipart_form", "body_too_large", "model_not_found", "insufficient_quota"),
    ),
    "retrieveVideo": ("task_not_exist",),
    "retrieveVideoContent": ("task_not_found", "content_not_ready"),
    "retrievePublicModel": ("model_unknown",),
}


def bind(spec: Spec, clips: Clips, hosts: Hosts) -> tuple[EndpointTable, EndpointTable]:
    """Return the endpoints of a spec at the server's own origin and at the other one.

    Raises SpecError if the document lacks something that a handler needs.
    """
    handlers = Handlers(clips)
    by_operation = {
        "createVideo": handlers.create_video,
        "retrieveVideo": handlers.retrieve_video,
        "retrieveVideoContent": handlers.retrieve_content,
        "listModels": handlers.list_models,
        "listPublicModels": handlers.list_models,
        "retrievePublicModel": handlers.retrieve_model,
    }
    by_path: dict[str, dict[str, Route]] = {}
    for operation in spec.operations.values():
        _check(operation)
        read = handlers.read_form if operation.id == "createVideo" else None
        route = Route(operation, by_operation[operation.id], operation.id, read)
        by_path.setdefault(operation.path, {})[operation.method] = route
    deliveries = {"/videos/{video_id}.mp4": {"GET": Route(None, handlers.deliver_video, "deliverVideo")}}
    own = _table({**by_path, **_document_routes(spec)}, hosts, other_origin=False)
    return own, _table({**by_path, **deliveries}, hosts, other_origin=True)


def _table(by_path: Mapping[str, Mapping[str, Route]], hosts: Hosts, *, other_origin: bool) -> EndpointTable:
    endpoints = {path: Endpoint(routes, hosts, other_origin=other_origin) for path, routes in by_path.items()}
    return EndpointTable(endpoints, Endpoint({}, hosts, other_origin=other_origin))


def _check(operation: Operation) -> None:
    """Check what a handler takes for granted of its operation. Raises SpecError."""
    for name in (*NEEDED_ERRORS.get(operation.id, ()), *(["invalid_token"] if operation.authorised else [])):
        if name not in operation.errors:
            raise SpecError(f"{operation.id} has no error example named {name!r} among its responses")
    if operation.id in ("retrieveVideo", "retrieveVideoContent") and operation.path.count("{") != 1:
        raise SpecError(
            f"the path of {operation.id} is {operation.path}; expected one parameter: /v1/videos/{{video_id}}"
        )
    if operation.id != "retrieveVideoContent" and operation.success is None:
        raise SpecError(f"{operation.id} has no response 200 with a schema for application/json")
    for query in operation.queries:
        if query.name == "variant" and not query.only(MEDIA_TYPES):
            raise SpecError(f"the variants of {operation.id} are not all among {', '.join(MEDIA_TYPES)}")


def _document_routes(spec: Spec) -> dict[str, dict[str, Route]]:
    def as_yaml(call: RequestContext) -> Response:
        return content_response(spec.text, "application/yaml", call.headers)

    def as_json(call: RequestContext) -> Response:
        return content_response(orjson.dumps(spec.document.tree), "application/json", call.headers)

    return {"/openapi.yaml": {"GET": Route(None, as_yaml)}, "/openapi.json": {"GET": Route(None, as_json)}}
