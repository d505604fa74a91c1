"""Rules about single responses: whether they match the document, and whether invalid requests are refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

import jsonschema_rs

from mockveo.http.statuses import FROM_EDGE
from mockveo.rules.engine import Breach, Checks, breach
from mockveo.spec.errors import ErrorBody
from mockveo.spec.operations import JSON_OPERATIONS
from mockveo.spec.spec import ErrorExample, Operation, Spec
from mockveo.spec.structure import escape
from mockveo.text import truncate
from mockveo_contracts.servers.exchanges import USUAL, Conversation, SentExchange

checks: Final = Checks[Conversation]()

#: Characters of a body in a message. Arbitrary.
MAX_TEXT: Final = 120
#: Characters of a problem by a schema in a message. Arbitrary.
MAX_PROBLEM: Final = 200
#: Fields of a job that are never null.
ALWAYS_APPLY: Final = frozenset({"id", "object", "status"})


@checks.check("answered")
def answered(conversation: Conversation) -> list[Breach] | None:
    return [
        breach(f"{exchange.method} {exchange.path}: {exchange.trouble}; expected an answer", exchange)
        for exchange in conversation.settled
        if exchange.trouble
    ]


@checks.check("no-server-error")
def no_server_error(conversation: Conversation) -> list[Breach] | None:
    spec = conversation.spec
    exchanges = [exchange for exchange in conversation.settled if exchange.status]
    errors = [
        exchange
        for exchange in exchanges
        if exchange.status >= 500 and exchange.error_code != "model_not_found" and not _is_expected(exchange, spec)
    ]
    breaches = [breach(f"{_answered(exchange)}; expected {_expected(exchange, spec)}", exchange) for exchange in errors]
    return breaches if exchanges else None


@checks.check("answer-json")
def answer_json(conversation: Conversation) -> list[Breach] | None:
    exchanges = conversation.of(*JSON_OPERATIONS, "retrieveVideoContent")
    should_be_json = [exchange for exchange in exchanges if _should_be_json(exchange)]
    breaches = []
    for exchange in should_be_json:
        if not isinstance(exchange.json, dict):
            body = f"the body of {exchange.status} is {_shown(exchange.data)}"
            breaches.append(breach(f"{_request(exchange)}: {body}; expected a JSON object", exchange))
        elif exchange.media_type != "application/json":
            actual = exchange.media_type or "missing"
            message = f"{_request(exchange)}: the Content-Type is {actual}; expected application/json"
            breaches.append(breach(message, exchange))
    return breaches if should_be_json else None


def _should_be_json(exchange: SentExchange) -> bool:
    # Web servers in front of an API refuse ranges themselves.
    is_of_web_server = 300 <= exchange.status < 400 or exchange.status == 416 or exchange.status in FROM_EDGE
    if exchange.method == "HEAD" or is_of_web_server or exchange.trouble:
        return False
    return exchange.status >= 400 or exchange.operation in JSON_OPERATIONS


@checks.check("answer-schema")
def answer_schema(conversation: Conversation) -> list[Breach] | None:
    return _schema_breaches(conversation, assumed=False)


@checks.check("answer-schema-assumed")
def answer_schema_assumed(conversation: Conversation) -> list[Breach] | None:
    return _schema_breaches(conversation, assumed=True)


def _schema_breaches(conversation: Conversation, *, assumed: bool) -> list[Breach] | None:
    answers = [exchange for exchange in conversation.of(*JSON_OPERATIONS) if exchange.status == 200 and exchange.answer]
    breaches: dict[str, Breach] = {}
    for exchange in answers:
        for problem in schema_problems(conversation.spec, exchange):
            if problem.assumed is assumed:
                message = f"{exchange.method} {exchange.template}: {problem.message}"
                breaches.setdefault(problem.message, breach(message, exchange, lenient=problem.is_unset))
    return list(breaches.values()) if answers else None


class SchemaProblem(NamedTuple):
    """What is wrong with a JSON response by its schema."""

    message: str
    #: Whether the schema is only assumed there.
    assumed: bool = False
    #: Whether a field is null, as gateways write one that does not apply yet. An id and a status always apply.
    is_unset: bool = False


def schema_problems(spec: Spec, exchange: SentExchange) -> Iterator[SchemaProblem]:
    """Yield what is wrong with a JSON response by its schema."""
    pointer = _schema(spec.operations[exchange.operation], exchange.status)
    if spec.document.find(pointer) is None:
        return
    try:
        errors = list(spec.document.validator(pointer).iter_errors(exchange.json))
    except UnicodeEncodeError:
        yield SchemaProblem("a text has half a surrogate pair, which UTF-8 cannot encode")
        return
    for error in errors:
        path = [*error.instance_path]
        if isinstance(error.kind, jsonschema_rs.ValidationErrorKind.Required):
            path.append(error.kind.property)
        place = ".".join(map(str, path))
        message = f"{place}: {_problem(error)}" if place else _problem(error)
        # The instance of a missing field is the object that lacks it.
        is_unset = error.instance is None and place not in ALWAYS_APPLY
        yield SchemaProblem(message, _is_assumed(spec, pointer, path), is_unset)


def _problem(error: jsonschema_rs.ValidationError) -> str:
    """Return what a validator reports, short."""
    kind = error.kind
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.Required):
        return "missing"
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.Type):
        return truncate(f"{error.instance!r} is not of the type {' or '.join(kind.types)}", MAX_PROBLEM)
    return truncate(error.message, MAX_PROBLEM)


def _is_assumed(spec: Spec, pointer: str, path: Sequence[str | int]) -> bool:
    for part in path:
        pointer += "/items" if isinstance(part, int) else f"/properties/{escape(part)}"
        node = spec.document.find(pointer)
        if isinstance(node, Mapping) and node.get("x-source") == "assumed":
            return True
    return False


def _responses(operation: Operation) -> str:
    return f"/paths/{escape(operation.path)}/{operation.method.lower()}/responses"


def _schema(operation: Operation, status: int) -> str:
    return f"{_responses(operation)}/{status}/content/application~1json/schema"


@checks.check("status-documented")
def status_documented(conversation: Conversation) -> list[Breach] | None:
    # More specific rules judge the requests that should be refused.
    operations = conversation.spec.operations
    ordinary = [
        exchange
        for exchange in conversation.of(*operations)
        if not exchange.expected
        and exchange.method == operations[exchange.operation].method
        and exchange.purpose == USUAL
    ]
    breaches = []
    for exchange in ordinary:
        documented = conversation.spec.document.at(_responses(operations[exchange.operation]))
        if str(exchange.status) not in documented and exchange.status < 500:
            answer = f"{_request(exchange)} is answered with {exchange.status}"
            breaches.append(breach(f"{answer}; the document has {', '.join(documented)}", exchange))
    return breaches if ordinary else None


@checks.check("envelope")
def envelope(conversation: Conversation) -> list[Breach] | None:
    errors = [
        exchange for exchange in conversation.of(*conversation.spec.operations) if _has_envelope(conversation, exchange)
    ]
    problems = [(exchange, _envelope_problem(conversation.spec, exchange)) for exchange in errors]
    breaches = [
        breach(f"{_request(exchange)}: the error is {_shown(exchange.data)}; {problem}", exchange)
        for exchange, problem in problems
        if problem
    ]
    return breaches if errors else None


def _has_envelope(conversation: Conversation, exchange: SentExchange) -> bool:
    """Return whether the document says which envelope an error has."""
    if exchange.status < 400 or exchange.method == "HEAD" or not exchange.answer:
        return False
    pointer = _schema(conversation.spec.operations[exchange.operation], exchange.status)
    has_schema = conversation.spec.document.find(pointer) is not None
    return _is_expected(exchange, conversation.spec) or (not exchange.expected and has_schema)


def _envelope_problem(spec: Spec, exchange: SentExchange) -> str:
    example = _example(exchange, spec)
    if example is not None and example.status == exchange.status:
        should_be_nested = ErrorBody.parse(example.body).envelope == "nested"
        if (exchange.error.envelope == "nested") is not should_be_nested:
            return f"expected {'nested, {error: {...}}' if should_be_nested else 'flat, {code, message}'}"
    return next((problem.message for problem in schema_problems(spec, exchange)), "")


@checks.check("error-code")
def error_code(conversation: Conversation) -> list[Breach] | None:
    breaches, exercised = [], False
    for exchange in conversation.of(*conversation.spec.operations):
        example = _example(exchange, conversation.spec)
        if example is None or example.status != exchange.status or not exchange.answer:
            continue
        expected, actual = ErrorBody.parse(example.body).code, exchange.error_code
        if not expected or evidence(conversation.spec, exchange) == "assumed":
            continue
        exercised = True
        if actual != expected:
            breaches.append(breach(f"{_request(exchange)}: the code is {actual!r}; expected {expected!r}", exchange))
    return breaches if exercised else None


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


def refusal(spec: Spec, exchange: SentExchange) -> Breach | None:
    """Return the breach of a request that is not refused as expected; lenient for another 4xx, unless documented."""
    refused = 400 <= exchange.status < 500
    example = _example(exchange, spec)
    as_expected = exchange.status == example.status if example else refused
    if as_expected:
        return None
    actual = f"{_request(exchange)} makes a job" if exchange.succeeded and exchange.made else _answered(exchange)
    lenient = refused and evidence(spec, exchange) != "documented"
    return breach(f"{actual}; expected {_expected(exchange, spec)}", exchange, lenient=lenient)


@checks.check("form-media-type")
def form_media_type(conversation: Conversation) -> list[Breach] | None:
    exchanges = conversation.about("form-media-type")
    accepted = [exchange for exchange in exchanges if not 400 <= exchange.status < 500]
    breaches = (refusal(conversation.spec, exchange) for exchange in accepted)
    return [breach for breach in breaches if breach] if exchanges else None


@checks.check("auth-other-key")
def auth_other_key(conversation: Conversation) -> list[Breach] | None:
    # The right refusal depends on whether the other key is a valid one.
    exchanges = conversation.about("auth-other-key")
    breaches = []
    for exchange in exchanges:
        if exchange.succeeded:
            message = f"{_request(exchange)} is answered with {exchange.status}, but the job belongs to another key"
            breaches.append(breach(message, exchange))
        elif exchange.key == "other" and exchange.status != 401:
            problem = refusal(conversation.spec, exchange)
            breaches += [problem] if problem else []
    return breaches if exchanges else None


@checks.check("create-accepted")
def create_accepted(conversation: Conversation) -> list[Breach] | None:
    return _accepted(conversation, "create-accepted")


@checks.check("unicode")
def unicode(conversation: Conversation) -> list[Breach] | None:
    # If an ordinary create is refused too, the prompt is not the reason.
    plain = [
        exchange for exchange in conversation.exchanges if exchange.purpose in ("images-accepted", "create-accepted")
    ]
    if plain and not plain[-1].succeeded:
        return None
    return _accepted(conversation, "unicode")


@checks.check("images-accepted")
def images_accepted(conversation: Conversation) -> list[Breach] | None:
    # A create with images and an unusual prompt may be refused for its prompt, so only its success counts.
    made = [create for create in conversation.about("unicode") if create.made and create.body and create.body.files]
    return [] if made else _accepted(conversation, "images-accepted")


def _accepted(conversation: Conversation, purpose: str) -> list[Breach] | None:
    exchanges = conversation.about(purpose)
    if not exchanges:
        return None
    last = exchanges[-1]
    if last.succeeded and (last.status == 200 or purpose != "create-accepted"):
        return []
    return [breach(f"{_answered(last)}; expected 200", last)]


@checks.check("models-listed")
def models_listed(conversation: Conversation) -> list[Breach] | None:
    exchanges = conversation.about("models-listed")
    breaches = []
    for exchange in exchanges:
        if exchange.status != 200:
            breaches.append(breach(f"{_answered(exchange)}; expected 200", exchange))
        elif not exchange.answer.get("data"):
            breaches.append(breach(f"{_request(exchange)} lists no model", exchange))
    return breaches if exchanges else None


@checks.check("unknown-path")
def unknown_path(conversation: Conversation) -> list[Breach] | None:
    exchanges = conversation.about("unknown-path")
    breaches = [
        breach(f"{_request(exchange)} is answered with {exchange.status}; expected 404", exchange)
        for exchange in exchanges
        if exchange.succeeded
    ]
    return breaches if exchanges else None


@checks.check("unknown-method")
def unknown_method(conversation: Conversation) -> list[Breach] | None:
    exchanges = conversation.about("unknown-method")
    breaches = [
        breach(f"{_request(exchange)} is answered with {exchange.status}; expected 405 or 404", exchange)
        for exchange in exchanges
        if not 400 <= exchange.status < 500
    ]
    return breaches if exchanges else None


def evidence(spec: Spec, exchange: SentExchange) -> str:
    """Return the evidence for the expected error: documented, observed, gateway or assumed."""
    operation = spec.operations.get(exchange.operation)
    example = _example(exchange, spec)
    if operation is None or example is None:
        return "assumed"
    pointer = f"{_responses(operation)}/{example.status}"
    response = spec.document.find(pointer) or {}
    example_node = spec.document.find(f"{pointer}/content/application~1json/examples/{escape(exchange.expected)}") or {}
    return str(example_node.get("x-source") or response.get("x-source") or "gateway")


def _example(exchange: SentExchange, spec: Spec) -> ErrorExample | None:
    operation = spec.operations.get(exchange.operation)
    return operation.errors.get(exchange.expected) if operation and exchange.expected else None


def _is_expected(exchange: SentExchange, spec: Spec) -> bool:
    example = _example(exchange, spec)
    return example is not None and example.status == exchange.status


def _expected(exchange: SentExchange, spec: Spec) -> str:
    example = _example(exchange, spec)
    if example is not None:
        return f"{example.status} {ErrorBody.parse(example.body).code}".rstrip()
    return "a 4xx status" if exchange.expected or exchange.purpose != USUAL else "an answer"


def _request(exchange: SentExchange) -> str:
    note = f" ({exchange.note})" if exchange.note else ""
    return f"{exchange.method} {exchange.template}{note}"


def _answered(exchange: SentExchange) -> str:
    """Return the request and its status, with the message of the error."""
    message = truncate(exchange.error.message, MAX_TEXT)
    error = f" ({message})" if message else ""
    return f"{_request(exchange)} is answered with {exchange.status}{error}"


def _shown(data: bytes) -> str:
    return repr(truncate(data[: 4 * MAX_TEXT].decode("utf-8", "replace"), MAX_TEXT))
