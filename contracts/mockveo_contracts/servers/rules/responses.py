"""Checks of single answers: are they what the document says, and is refused what has to be?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Final

import jsonschema_rs

from mockveo.http.statuses import FROM_EDGE
from mockveo.rules.engine import Breach, Checks, breach
from mockveo.spec.errors import ErrorBody
from mockveo.spec.openapi import escape
from mockveo.spec.operations import JSON_OPERATIONS
from mockveo.spec.spec import ErrorExample, Operation, Spec
from mockveo.text import truncate
from mockveo_contracts.servers.exchanges import USUAL, Conversation, SentExchange

checks: Final = Checks[Conversation]()


#: Characters of a body in a message; arbitrary.
MAX_TEXT: Final = 120


@checks.check("answered")
def answered(conversation: Conversation) -> list[Breach] | None:
    """A lost answer, or half of one."""
    return [
        breach(f"{one.method} {one.path}: {one.trouble}; wanted an answer", one)
        for one in conversation.settled
        if one.trouble
    ]


@checks.check("no-server-error")
def no_server_error(conversation: Conversation) -> list[Breach] | None:
    """5xx, but where the document has it for the request."""
    seen = [one for one in conversation.settled if one.status]
    return [
        breach(f"{_what(one)} is answered with {one.status}{_told(one)}; wanted {_wanted(one, conversation.spec)}", one)
        for one in seen
        if one.status >= 500 and one.status != _expected_status(one, conversation.spec)
        if one.error_code != "model_not_found"
    ] or (None if not seen else [])


@checks.check("answer-json")
def answer_json(conversation: Conversation) -> list[Breach] | None:
    """What is no object of JSON, or does not say so."""
    seen = [one for one in conversation.of(*JSON_OPERATIONS, "retrieveVideoContent") if _is_json(one)]
    found = []
    for one in seen:
        if not isinstance(one.json, dict):
            found.append(breach(f"{_what(one)}: the body of {one.status} is {_short(one.data)}; wanted an object", one))
        elif one.media_type != "application/json":
            told = one.media_type or "none"
            found.append(breach(f"{_what(one)}: the Content-Type is {told}; wanted application/json", one))
    return found if seen else None


def _is_json(one: SentExchange) -> bool:
    if one.method == "HEAD" or one.status in FROM_EDGE or 300 <= one.status < 400 or one.trouble:
        return False
    return one.status >= 400 or one.operation in JSON_OPERATIONS


@checks.check("answer-schema")
def answer_schema(conversation: Conversation) -> list[Breach] | None:
    """Fields and types that the pages have otherwise."""
    return _schema_breaches(conversation, assumed=False)


@checks.check("answer-schema-assumed")
def answer_schema_assumed(conversation: Conversation) -> list[Breach] | None:
    """The same of what is assumed."""
    return _schema_breaches(conversation, assumed=True)


def _schema_breaches(conversation: Conversation, *, assumed: bool) -> list[Breach] | None:
    seen = [one for one in conversation.of(*JSON_OPERATIONS) if one.status == 200 and one.answer]
    found: dict[str, Breach] = {}
    for one in seen:
        for message, is_assumed in schema_problems(conversation.spec, one):
            if is_assumed is assumed:
                found.setdefault(message, breach(f"{one.method} {one.template}: {message}", one))
    return list(found.values()) if seen else None


def schema_problems(spec: Spec, one: SentExchange) -> Iterator[tuple[str, bool]]:
    """What is wrong with a JSON answer by its schema, and whether that is only assumed."""
    pointer = _schema(spec.operations[one.operation], one.status)
    if spec.document.find(pointer) is None:
        return
    try:
        errors = list(spec.document.validator(pointer).iter_errors(one.json))
    except UnicodeEncodeError:
        yield "a text has half a surrogate pair, which is in no UTF-8", False
        return
    for error in errors:
        path = [*error.instance_path]
        if isinstance(error.kind, jsonschema_rs.ValidationErrorKind.Required):
            path.append(error.kind.property)
        place = ".".join(map(str, path))
        yield f"{place}: {_said(error)}" if place else _said(error), _assumed(spec, pointer, path)


def _said(error: jsonschema_rs.ValidationError) -> str:
    """What a validator says, short."""
    kind = error.kind
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.Required):
        return "missing"
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.Type):
        return f"{error.instance!r} is no {' or '.join(kind.types)}"[:200]
    return error.message[:200]


def _assumed(spec: Spec, pointer: str, path: Sequence[str | int]) -> bool:
    for part in path:
        pointer += "/items" if isinstance(part, int) else f"/properties/{escape(part)}"
        node = spec.document.find(pointer)
        if isinstance(node, Mapping) and node.get("x-source") == "assumed":
            return True
    return False


def _schema(operation: Operation, status: int) -> str:
    path = f"/paths/{escape(operation.path)}/{operation.method.lower()}"
    return f"{path}/responses/{status}/content/application~1json/schema"


@checks.check("status-documented")
def status_documented(conversation: Conversation) -> list[Breach] | None:
    """Statuses that the document does not know; of what is expected to be refused the rules of that say more."""
    found, seen = [], False
    for one in conversation.of(*conversation.spec.operations):
        operation = conversation.spec.operations[one.operation]
        if one.expected or one.method != operation.method or one.purpose != USUAL:
            continue
        seen = True
        known = conversation.spec.document.at(f"/paths/{escape(operation.path)}/{operation.method.lower()}/responses")
        if str(one.status) not in known and one.status < 500:
            found.append(
                breach(f"{_what(one)} is answered with {one.status}; the document has {', '.join(known)}", one)
            )
    return found if seen else None


@checks.check("envelope")
def envelope(conversation: Conversation) -> list[Breach] | None:
    """Errors in another envelope than the document's."""
    found, seen = [], False
    for one in conversation.of(*conversation.spec.operations):
        if one.status < 400 or one.method == "HEAD" or not one.answer:
            continue
        example = _example(one, conversation.spec)
        exact = example is not None and example.status == one.status
        pointer = _schema(conversation.spec.operations[one.operation], one.status)
        if not exact and (one.expected or conversation.spec.document.find(pointer) is None):
            continue
        seen = True
        nested, wanted = ErrorBody.parse(one.answer).envelope == "nested", bool(example and "error" in example.body)
        if exact and nested is not wanted:
            told = "nested, {error: {...}}" if wanted else "flat, {code, message}"
            found.append(breach(f"{_what(one)}: the error is {_short(one.data)}; wanted it {told}", one))
        else:
            problems = [message for message, _ in schema_problems(conversation.spec, one)]
            if problems:
                found.append(breach(f"{_what(one)}: the error is {_short(one.data)}; {problems[0]}", one))
    return found if seen else None


@checks.check("error-code")
def error_code(conversation: Conversation) -> list[Breach] | None:
    """Errors with another code."""
    found, seen = [], False
    for one in conversation.of(*conversation.spec.operations):
        example = _example(one, conversation.spec)
        if example is None or example.status != one.status or evidence(conversation.spec, one) == "assumed":
            continue
        wanted, told = ErrorBody.parse(example.body).code, one.error_code
        if wanted and one.answer:
            seen = True
            if told != wanted:
                found.append(breach(f"{_what(one)}: the code is {told!r}; wanted {wanted!r}", one))
    return found if seen else None


#: Rules by which a request must be refused, with the error that the request names as expected.
REFUSED: Final = (
    *("auth-required", "auth-scheme", "auth-bad-key", "prompt-required", "model-required", "unknown-model", "choices"),
    *("too-many-images", "form-malformed", "unknown-id", "content-unknown-id", "content-early"),
    *("content-variant",),
)


def _refusals(conversation: Conversation, *, rule: str) -> list[Breach] | None:
    """Return the requests about a rule that are accepted, or refused otherwise than expected."""
    exchanges = conversation.about(rule)
    breaches = (refusal(conversation.spec, exchange) for exchange in exchanges)
    return [breach for breach in breaches if breach] if exchanges else None


for _rule in REFUSED:
    checks.add(_rule, partial(_refusals, rule=_rule))


@checks.check("schema-negative")
def schema_negative(conversation: Conversation) -> list[Breach] | None:
    """Return the invalid requests that are accepted. Only the generator knows which of its requests are invalid."""
    return conversation.generated.get("schema-negative")


def refusal(spec: Spec, one: SentExchange) -> Breach | None:
    """The breach where a request is not refused as expected. Another status 4xx is less, but where pages name one."""
    example = _example(one, spec)
    if one.status == example.status if example else 400 <= one.status < 500:
        return None
    message = f"{_what(one)} is answered with {one.status}{_told(one)}; wanted {_wanted(one, spec)}"
    if one.succeeded and one.made:
        message = f"{_what(one)} makes a job; wanted {_wanted(one, spec)}"
    refused = 400 <= one.status < 500
    return breach(message, one, lenient=refused and evidence(spec, one) != "documented")


@checks.check("form-media-type")
def form_media_type(conversation: Conversation) -> list[Breach] | None:
    """What is no form, and not refused by any status 4xx."""
    seen = conversation.about("form-media-type")
    found = [refusal(conversation.spec, one) for one in seen if not 400 <= one.status < 500]
    return [one for one in found if one] if seen else None


@checks.check("auth-other-key")
def auth_other_key(conversation: Conversation) -> list[Breach] | None:
    """A job that another key sees. How that is refused depends on whether the key is anybody's."""
    seen = conversation.about("auth-other-key")
    found = []
    for one in seen:
        if one.succeeded:
            found.append(breach(f"{_what(one)} is answered with {one.status}; the job is another key's", one))
        elif one.key == "other" and one.status != 401 and (problem := refusal(conversation.spec, one)):
            found.append(problem)
    return found if seen else None


@checks.check("create-accepted")
def create_accepted(conversation: Conversation) -> list[Breach] | None:
    """A create as the page says that is refused, or accepted with another status."""
    return _accepted(conversation, "create-accepted")


@checks.check("unicode")
def unicode(conversation: Conversation) -> list[Breach] | None:
    """The same of one in many scripts; where a plain one is refused too, that is not why."""
    plain = [one for one in conversation.exchanges if one.purpose in ("images-accepted", "create-accepted")]
    if any(not one.succeeded for one in plain[-1:]):
        return None
    return _accepted(conversation, "unicode")


@checks.check("images-accepted")
def images_accepted(conversation: Conversation) -> list[Breach] | None:
    """The same of one with images; that with an unusual prompt says nothing where it is refused."""
    made = [one for one in conversation.about("unicode") if one.made and one.body and one.body.files]
    return [] if made else _accepted(conversation, "images-accepted")


def _accepted(conversation: Conversation, purpose: str) -> list[Breach] | None:
    seen = conversation.about(purpose)
    return [
        breach(f"{_what(one)} is answered with {one.status}{_told(one)}; wanted 200", one)
        for one in seen[-1:]
        if not one.succeeded or (one.status != 200 and purpose == "create-accepted")
    ] or (None if not seen else [])


@checks.check("models-listed")
def models_listed(conversation: Conversation) -> list[Breach] | None:
    """Lists that are none."""
    seen = conversation.about("models-listed")
    found = []
    for one in seen:
        if one.status != 200:
            found.append(breach(f"{_what(one)} is answered with {one.status}{_told(one)}; wanted 200", one))
        elif not one.answer.get("data"):
            found.append(breach(f"{_what(one)} lists no model", one))
    return found if seen else None


@checks.check("unknown-path")
def unknown_path(conversation: Conversation) -> list[Breach] | None:
    """Paths that are none, answered with success."""
    seen = conversation.about("unknown-path")
    return [
        breach(f"{_what(one)} is answered with {one.status}; wanted 404", one) for one in seen if one.succeeded
    ] or ([] if seen else None)


@checks.check("unknown-method")
def unknown_method(conversation: Conversation) -> list[Breach] | None:
    """Methods that are none, answered with anything but a refusal."""
    seen = conversation.about("unknown-method")
    return [
        breach(f"{_what(one)} is answered with {one.status}; wanted 405 or 404", one)
        for one in seen
        if not 400 <= one.status < 500
    ] or ([] if seen else None)


def evidence(spec: Spec, one: SentExchange) -> str:
    """Where the document has the expected error from: documented, observed, gateway or assumed."""
    operation = spec.operations.get(one.operation)
    example = _example(one, spec)
    if operation is None or example is None:
        return "assumed"
    pointer = f"/paths/{escape(operation.path)}/{operation.method.lower()}/responses/{example.status}"
    response = spec.document.find(pointer) or {}
    shown = spec.document.find(f"{pointer}/content/application~1json/examples/{escape(one.expected)}") or {}
    return str(shown.get("x-source") or response.get("x-source") or "gateway")


def _example(one: SentExchange, spec: Spec) -> ErrorExample | None:
    operation = spec.operations.get(one.operation)
    return operation.errors.get(one.expected) if operation and one.expected else None


def _expected_status(one: SentExchange, spec: Spec) -> int:
    example = _example(one, spec)
    return example.status if example else 0


def _wanted(one: SentExchange, spec: Spec) -> str:
    example = _example(one, spec)
    if example is None:
        return "a status 4xx" if one.expected or one.purpose != USUAL else "an answer"
    code = ErrorBody.parse(example.body).code
    return f"{example.status}{f' {code}' if code else ''}"


def _what(one: SentExchange) -> str:
    return f"{one.method} {one.template}{f' ({one.note})' if one.note else ''}"


def _told(one: SentExchange) -> str:
    """The error that an answer tells of, in brackets."""
    message = ErrorBody.parse(one.answer).message
    return f" ({truncate(message, MAX_TEXT)})" if message else ""


def _short(data: bytes) -> str:
    return repr(truncate(data[: 4 * MAX_TEXT].decode("utf-8", "replace"), MAX_TEXT))
