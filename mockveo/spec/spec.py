"""The OpenAPI document with its overlays, in the form the server uses: a Spec.

The document is the only place where paths, fields, limits, defaults, aliases and error texts are written down.
This module reads it once at the start and compiles

- an `Operation` for each operation that mockveo can play, with
- a `Form` if it takes a body (its fields, and what is wrong with a set of values),
- a `Shape` for its success (which values belong in the response), and
- an `ErrorExample` for each error, by its name.

A keyword that mockveo would not enforce stops the load, since a response that ignores it would be wrong.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import jsonschema_rs

from mockveo import yamlfiles
from mockveo._paths import data_file, profiles
from mockveo.errors import SpecError
from mockveo.schemas import first_error
from mockveo.spec.errors import ErrorBody
from mockveo.spec.form import Form, read_form
from mockveo.spec.models import add_models
from mockveo.spec.openapi import Document, Shape
from mockveo.spec.operations import DOCUMENTED, SAMPLES
from mockveo.spec.prices import Price, read_prices
from mockveo.spec.structure import Json, escape
from mockveo.spec.templates import fill
from mockveo.text import MAX_MESSAGE_CHARACTERS, brief, truncate_middle

DEFAULT_PROFILE: Final = "docs-2026-03"
_METHODS: Final = ("get", "put", "post", "delete", "patch", "head", "options", "trace")


class ErrorExample(NamedTuple):
    """An error of the document, with {braces} to fill in."""

    status: int
    body: Json

    def fill(self, values: Mapping[str, str]) -> Json:
        """Return the body with each `{name}` replaced by `values[name]`."""
        return fill(self.body, values)


@dataclass(frozen=True, slots=True)
class Query:
    """A query parameter."""

    name: str
    default: str | None
    schema: Mapping[str, Json]
    _validator: jsonschema_rs.Draft202012Validator

    def only(self, values: Collection[str]) -> bool:
        """Return whether the parameter takes only some of these values."""
        accepted = list(values)  # an odd value of the document may not be hashable
        return all(value in accepted for value in self.schema.get("enum", [None]))

    def problem(self, value: str) -> str | None:
        """Return what is wrong with a value, in a sentence; None for a valid one."""
        if self._validator.is_valid(value):
            return None
        wanted = str(dict(self.schema))
        if "enum" in self.schema:
            wanted = f"one of {', '.join(map(str, self.schema['enum']))}"
        return f"{self.name} is {brief(value)}, wanted {wanted}"


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation: its path, its parameters and its responses."""

    id: str
    method: str
    path: str
    authorised: bool
    #: Media type -> the form of a body of that type; empty without a body.
    forms: Mapping[str, Form]
    queries: tuple[Query, ...]
    success: Shape | None
    errors: Mapping[str, ErrorExample]
    _document: Document = field(repr=False)
    #: The form of the first media type, which the page names; None without a body.
    form: Form | None

    def answer_problem(self, status: int, body: Json) -> str | None:
        """Return how a JSON response of ours breaks the document, if it does; for --self-check."""
        pointer = f"/paths/{escape(self.path)}/{self.method.lower()}/responses/{status}"
        if self._document.find(pointer) is None:
            return f"status {status} is not documented for {self.id}"
        schema = f"{pointer}/content/application~1json/schema"
        if self._document.find(schema) is None:
            return f"a JSON body is not documented for {status} of {self.id}"
        error = first_error(self._document.validator(schema), body)
        if error is not None:
            return f"{status} of {self.id}: {error.message} at /{'/'.join(map(str, error.instance_path))}"
        return None


class Spec:
    """The contract that a server plays or a suite checks; `load` builds one."""

    def __init__(self, tree: Json, text: bytes) -> None:
        self.document = Document(tree)
        #: The effective document as YAML, as it is served.
        self.text = text
        self.operations: dict[str, Operation] = {}
        for operation in self._operations():
            if operation.id in self.operations:
                raise SpecError(f"the operationId {operation.id} stands at two places; expected one")
            self.operations[operation.id] = operation
        if "createVideo" not in self.operations or "retrieveVideo" not in self.operations:
            raise SpecError("the document needs the operations createVideo and retrieveVideo (see `operationId`)")
        form = self.operations["createVideo"].form
        if form is None:
            raise SpecError("createVideo has no requestBody")
        #: The form of a create.
        self.form = form
        if form.fields.get("prompt", {}).get("type") != "string" or not form.requires("prompt"):
            raise SpecError("the form of createVideo needs a `prompt` of type string among its required fields")
        #: Model as a client may send it -> model in responses; None if the document lists no aliases.
        self.aliases: Mapping[str, str] | None = form.fields.get("model", {}).get("x-aliases")
        #: The known prices, by the model as a client sends it.
        self.prices: Mapping[str, Price] = read_prices(form.fields.get("model", {}), form.fields)
        self._read_lifecycle()
        #: Fields of the form that a job remembers besides prompt, model and files, since responses may repeat them.
        self.kept = tuple(
            name
            for name, node in form.fields.items()
            if name not in ("prompt", "model") and name in form.texts
            if node.get("type") in ("string", "integer", "number", "boolean")
        )
        for name in ("prompt", "model", *self.kept):
            default = form.fields.get(name, {}).get("default")
            if isinstance(default, dict | list):
                raise SpecError(f"the default of the form's field {name} is {brief(default)}; expected text, e.g. a")
        self.unknown_path = self._unknown_path()
        success = self.operations["retrieveVideo"].success
        #: Whether a key is taken without the word Bearer before it.
        self.raw_keys = self._takes_raw_keys()
        #: Whether the response to a poll may carry a `video_url`.
        self.has_video_url = success is not None and "video_url" in success.names

    def error(self, name: str, operation: Operation | None = None) -> ErrorExample | None:
        """Return an error by its name, preferably the operation's own."""
        own = [operation] if operation else []
        holders = [*own, *self.operations.values()]
        return next((holder.errors[name] for holder in holders if name in holder.errors), None)

    @property
    def error_names(self) -> list[str]:
        """Return the names of all errors."""
        return list(dict.fromkeys(name for operation in self.operations.values() for name in operation.errors))

    @property
    def error_codes(self) -> dict[str, str]:
        """Return the codes of the errors by name."""
        return {
            name: ErrorBody.parse(error.body).code
            for operation in self.operations.values()
            for name, error in operation.errors.items()
        }

    def _read_lifecycle(self) -> None:
        """Read from `x-transitions` how a job succeeds and how it fails."""
        pointer = f"{self._success_pointer('retrieveVideo')}/properties/status"
        transitions = self.document.at(pointer, "schema").get("x-transitions")
        if not isinstance(transitions, dict) or not transitions:
            raise SpecError(
                f"{pointer}: `x-transitions` is missing; expected e.g. {{queued: [completed], completed: []}}"
            )
        for status, following in transitions.items():
            for name in [status, *following]:
                if name not in transitions or not self.document.validator(pointer).is_valid(name):
                    raise SpecError(f"{pointer}: `x-transitions` names {brief(name)}, which is not one of the statuses")
        way = [next(iter(transitions))]
        while transitions[way[-1]]:
            way.append(transitions[way[-1]][0])
            if len(way) > len(transitions):
                raise SpecError(f"{pointer}: the first transitions form a circle; expected a way to an end")
        #: Statuses of a job that succeeds, in order.
        self.lifecycle: tuple[str, ...] = tuple(way)
        self.statuses = frozenset(transitions)
        #: Statuses without a transition.
        self.terminal = frozenset(status for status, following in transitions.items() if not following)
        failures = [status for status in transitions if status in self.terminal and status != way[-1]]
        #: The status of a job that failed.
        self.failure: str = failures[0] if failures else way[-1]

    def _takes_raw_keys(self) -> bool:
        """Return whether `security` has an alternative that is the whole Authorization header."""
        schemes = self.document.find("/components/securitySchemes") or {}
        names = [name for alternative in self.document.tree.get("security", []) for name in alternative]
        wanted = ("apiKey", "header", "authorization")
        nodes = [self.document.follow(schemes.get(name, {}), "securityScheme") for name in names]
        return any((node.get("type"), node.get("in"), str(node.get("name")).lower()) == wanted for node in nodes)

    def _unknown_path(self) -> ErrorExample:
        response = self.document.at("/components/responses/UnknownPath", "response")
        examples = dict(self._examples("/components/responses/UnknownPath", int(response.get("x-status", 404))))
        if not examples:
            raise SpecError("/components/responses/UnknownPath has no example; expected the body of the response")
        return next(iter(examples.values()))

    def _success_pointer(self, operation_id: str) -> str:
        operation = self.operations[operation_id]
        path = f"/paths/{escape(operation.path)}/{operation.method.lower()}"
        return f"{path}/responses/200/content/application~1json/schema"

    def _operations(self) -> Iterator[Operation]:
        for path, item in self.document.at("/paths").items():
            for method in _METHODS:
                if method in item:
                    yield self._operation(path, method)

    def _operation(self, path: str, method: str) -> Operation:
        pointer = f"/paths/{escape(path)}/{method}"
        node = self.document.at(pointer, "operation")
        name = node.get("operationId")
        if name not in DOCUMENTED:
            raise SpecError(
                f"{pointer}: `operationId` is {brief(name)}, which mockveo cannot play; expected one of"
                f" {', '.join(DOCUMENTED)}. Remove the operation, e.g. with an overlay: "
                f"{{target: \"$.paths['{path}'].{method}\", remove: true}}"
            )
        errors: dict[str, ErrorExample] = {}
        for status in node["responses"]:
            if not re.fullmatch(r"[1-5]\d\d", str(status)):
                wrong = f"{pointer}/responses: {brief(status)} is not a status"
                raise SpecError(f'{wrong}; expected three digits, e.g. "200"')
            if int(status) >= 400:
                errors.update(self._examples(f"{pointer}/responses/{status}", int(status)))
        success = f"{pointer}/responses/200/content/application~1json/schema"
        shape = None
        if name in SAMPLES and self.document.find(success) is not None:
            shape = Shape(self.document, success, SAMPLES[name])
            self.document.validator(success)  # refuses what is no JSON Schema
        forms = self._forms(f"{pointer}/requestBody") if "requestBody" in node else {}
        return Operation(
            id=name,
            method=method.upper(),
            path=path,
            authorised=bool(node.get("security", self.document.tree.get("security"))),
            forms=forms,
            form=next(iter(forms.values()), None),
            queries=tuple(self._queries(pointer)),
            success=shape,
            errors=errors,
            _document=self.document,
        )

    def _examples(self, pointer: str, status: int) -> Iterator[tuple[str, ErrorExample]]:
        content = f"{pointer}/content/application~1json"
        self.document.at(pointer, "response")
        media = self.document.find(content, "media") or {}
        for name in media.get("examples", {}):
            example = f"{content}/examples/{escape(name)}"
            self.document.at(example, "example")
            body = self.document.at(f"{example}/value")
            error = first_error(self.document.validator(f"{content}/schema"), body)
            if error is not None:
                reason = truncate_middle(error.message, MAX_MESSAGE_CHARACTERS)
                raise SpecError(f"{example} does not fit its schema: {reason}")
            yield name, ErrorExample(status, body)

    def _queries(self, pointer: str) -> Iterator[Query]:
        for holder in (pointer, pointer.rpartition("/")[0]):
            for parameter in self.document.at(holder).get("parameters", []):
                node = self.document.follow(parameter, "parameter")
                if node["in"] == "path":
                    continue
                if node["in"] != "query" or node.get("required") or "requestBody" in self.document.at(pointer):
                    raise SpecError(
                        f"{holder}/parameters: {node['name']} (`in: {node['in']}`) would not be enforced; expected a"
                        " parameter of the path, or an optional one of the query of an operation without a body"
                    )
                schema = self.document.follow(node.get("schema", {}), "schema")
                validator = self.document.compiled(schema, f"{holder}/parameters, {node['name']}")
                yield Query(node["name"], schema.get("default"), schema, validator)

    def _forms(self, pointer: str) -> dict[str, Form]:
        media_types = tuple(self.document.at(pointer, "requestBody").get("content", {}))
        return {
            name: read_form(self.document, f"{pointer}/content/{escape(name)}", media_types) for name in media_types
        }


def load(
    spec: str | Path | None = None,
    *,
    profile: str = DEFAULT_PROFILE,
    overlays: Sequence[str | Path] = (),
    models: Sequence[str] = (),
) -> Spec:
    """Return the Spec of an OpenAPI file, by default of ours.

    A profile changes it, then the overlays in order, then the models are added to its own. Raises SpecError, whose
    text names the file, the key, its value and what was expected.
    """
    path = Path(spec) if spec is not None else data_file("openapi.yaml")
    text = yamlfiles.read(path, SpecError)
    tree = yamlfiles.parse(text, path.name, SpecError)
    shipped = profiles()
    if profile not in shipped:
        raise SpecError(f"the profile {brief(profile)} does not exist; expected one of {', '.join(shipped)}")
    applied = [overlay for overlay in (shipped[profile], *map(Path, overlays)) if overlay is not None]
    for overlay in applied:
        from mockveo.spec.overlays import apply

        changes = yamlfiles.parse(yamlfiles.read(overlay, SpecError), overlay.name, SpecError)
        tree = apply(tree, changes, overlay.name)
    try:
        if models:
            add_models(Document(tree), models)
        if applied or models:
            text = yamlfiles.dump(tree).encode()
        return Spec(tree, text)
    except SpecError as error:
        changed = "".join(f" with {overlay.name}" for overlay in applied)
        raise SpecError(f"{path.name}{changed}: {error}") from None
