"""Generated requests: schemathesis drives the document with examples, boundaries, random data and links.

It needs `mockveo[schemathesis]`, which is imported only here. Findings are reported under the rules for servers.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

from mockveo.errors import MockveoError, SettingsError
from mockveo.rules.engine import Breach, verdict
from mockveo.text import truncate
from mockveo_contracts.interruption import Interrupted
from mockveo_contracts.reports.finding import Finding
from mockveo_contracts.servers.budget import OutOfBudget
from mockveo_contracts.servers.exchanges import Body, Conversation, SentExchange
from mockveo_contracts.servers.http_client import TIMER_TOLERANCE_S, OpenConnections, limited, patience_of, shut
from mockveo_contracts.servers.probe_run import Arrivals
from mockveo_contracts.servers.run import VerifyRun
from mockveo_contracts.servers.server_rules import server_rules

#: The name of the sequences that follow links from one operation to the next.
LINKS: Final = "links"
#: A sequence has several requests, so one is made for this many examples of an operation. Arbitrary.
EXAMPLES_PER_SEQUENCE: Final = 4
#: Checks of schemathesis -> the rules that they correspond to.
RULES: Final = {
    "not_a_server_error": "no-server-error",
    "status_code_conformance": "status-documented",
    "content_type_conformance": "answer-json",
    "response_schema_conformance": "answer-schema",
    "negative_data_rejection": "schema-negative",
}
#: All rules that judge generated requests.
JUDGED: Final = ("answered", *RULES.values())
#: Rules that judge what a gateway sends upstream for generated creates.
UPSTREAM: Final = ("upstream-once", "upstream-model", "upstream-key")
#: A server error that the document allows: 503 for a model that no channel serves.
_EXPECTED_STATUSES: Final = ("2xx", "3xx", "4xx", "503")
#: Characters of a message, and of a problem of schemathesis. Arbitrary.
MAX_MESSAGE: Final = 400
MAX_PROBLEM: Final = 300


def says(operation: str) -> str:
    """Return the description of a generated check."""
    if operation == LINKS:
        return "Generated sequences along the links of the document."
    return f"Generated requests for {operation}: examples, boundaries and random data."


def fuzz(run: VerifyRun, operation: str) -> list[Finding]:
    """Generate requests for an operation, or along the links; return the findings. Raises SettingsError."""
    name = f"generated/{operation}"
    creates = operation in (LINKS, "createVideo")
    allowed = run.plan.generated_creates if run.plan.generated_creates is not None else run.near
    if creates and not allowed:
        reason = "generated creates could make many jobs here; --generated-creates allows it"
        run.recorder.skip(name, says(operation), reason)
        return []
    search = _Search(run, operation)
    problem = search.run()
    if problem:
        run.recorder.skip(name, says(operation), f"the rest of it: {problem}")
    if not search.requests and problem:
        return []
    breaches, book = search.breaches, server_rules()
    verdicts = [verdict(book.find(rule), breaches[rule]) for rule in JUDGED]
    conversation = Conversation(
        [*search.exchanges, *search.creates], run.client.spec, upstream=search.arrivals.by_create(),
        upstream_key=run.plan.upstream_key, generated=breaches,
    )  # fmt: skip
    verdicts += book.judge(conversation, UPSTREAM if search.creates else ())
    run.recorder.report.generated += search.requests
    return run.recorder.record(name, says(operation), conversation, run.command(name), verdicts=verdicts)


class _Search:
    """One search and its result: for each rule and message the shortest requests that show it."""

    def __init__(self, run: VerifyRun, operation: str) -> None:
        self._run = run
        self._operation = operation
        self._smallest: dict[tuple[str, str], list[SentExchange]] = {}
        #: Why the budget ended the search.
        self._exhausted = ""
        #: The case that is being sent, its request until the response arrives, and the last one without a response.
        self._case: Any = None
        self._request: Any = None
        self._unanswered: tuple[Any, Any] | None = None
        self._timer = threading.Timer(0, lambda: None)
        self._sent_at = 0.0
        #: What was opened, which a signal shuts.
        self._connections = OpenConnections()
        self.requests = 0
        #: The creates, if what arrives upstream of them is known.
        self.creates: list[SentExchange] = []
        self.arrivals = Arrivals(run.shared.upstream)

    @property
    def exchanges(self) -> list[SentExchange]:
        """The exchanges that show the findings."""
        return [exchange for chain in self._smallest.values() for exchange in chain]

    @property
    def breaches(self) -> Mapping[str, list[Breach]]:
        """The breaches, by rule."""
        breaches: dict[str, list[Breach]] = {rule: [] for rule in JUDGED}
        for (rule, message), chain in self._smallest.items():
            breaches[rule].append(Breach(message, tuple(exchange.number for exchange in chain)))
        return breaches

    def run(self) -> str:
        """Search; return why it ended early, or an empty text."""
        problem = ""
        try:
            engine, finished, errors = self._engine()
            with self._hooks(), self._run.plan.stop.cutting(self._connections.shut):
                stream = engine.execute()
                for event in stream:
                    if isinstance(event, finished):
                        self._take(event.recorder)
                    elif isinstance(event, errors):
                        error = self._problem(event)
                        problem = problem or error
                    if self._exhausted:
                        stream.stop()
                self._settle()
        except MockveoError:
            raise
        except Exception as error:  # noqa: BLE001 - a bug of schemathesis ends this check, and no other.
            problem = _described(error)
        return self._exhausted or problem

    def _problem(self, event: Any) -> str:
        error = getattr(event, "value", None) or getattr(event, "exception", event)
        return "" if self._is_lost(error) else _described(error)

    @contextmanager
    def _hooks(self) -> Iterator[None]:
        """Register hooks before and after each request, and unregister them at the end, as hooks are global."""
        import schemathesis
        from schemathesis.hooks import unregister
        from urllib3 import HTTPConnectionPool, HTTPSConnectionPool

        def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:  # noqa: ARG001 - as hooks are called
            self._settle()
            self._case = case
            # `auth` is called with every request that is sent, also with the second one after a closed connection.
            kwargs["auth"] = self._before_request
            kwargs["timeout"] = patience_of(self._run.budget)

        def after_call(context: Any, case: Any, response: Any) -> None:  # noqa: ARG001 - as hooks are called
            self._request = None
            self._timer.cancel()
            self._run.budget.receive(len(response.content), 0.0)
            if self._creates(case):
                self._run.budget.note(response.status_code)
                self._look_upstream(case, response)

        hooks = {"before_call": before_call, "after_call": after_call}
        for name, hook in hooks.items():
            schemathesis.hook(name)(hook)
        try:
            with self._connections.noted(HTTPConnectionPool, HTTPSConnectionPool):
                yield
        finally:
            for hook in hooks.values():
                unregister(hook)

    def _creates(self, case: Any) -> bool:
        create = self._run.client.spec.operations["createVideo"]
        return (case.method, case.path) == (create.method, create.path)

    def _before_request(self, request: Any) -> Any:
        """Charge the budget for a request that is about to be sent."""
        self._settle()
        try:
            self._run.budget.take(creates=self._creates(self._case))
        except OutOfBudget as error:
            self._exhausted = str(error)
            raise
        if self._creates(self._case):
            self.arrivals.prepare()
        request.register_hook("response", self._limit_body)
        self._request = request
        self._sent_at = time.perf_counter()
        self.requests += 1
        return request

    def _limit_body(self, response: Any, **_: Any) -> None:
        """Limit the total time of a body, as the timeout of requests starts anew with each byte, and its bytes."""
        from requests import RequestException

        response.raw.stream = limited(response.raw.stream, RequestException)
        self._timer = threading.Timer(patience_of(self._run.budget), shut, (response.raw,))
        self._timer.daemon = True
        self._timer.start()

    def _look_upstream(self, case: Any, response: Any) -> None:
        """Keep an answered create if what arrives upstream of it is known."""
        if not self.arrivals.are_known:
            return
        request, headers = response.request, {name.lower(): values[0] for name, values in response.headers.items()}
        answer = {"status": response.status_code, "answer_headers": headers, "data": response.content or b""}
        body = request.body.encode() if isinstance(request.body, str) else request.body
        create = self._exchange(case, request.url, dict(request.headers), body, time=time.time(), **answer)
        self.arrivals.add(create)
        self.creates.append(replace(create, body=create.body and create.body.with_fields()))

    def _settle(self) -> None:
        """Note the latest request if it got no complete response."""
        self._timer.cancel()
        if self._request is not None:
            self._unanswered, self._request = (self._case, self._request), None
            self._run.budget.receive(0, time.perf_counter() - self._sent_at)
            if self._creates(self._case):
                self._run.budget.note(0)

    def _is_lost(self, error: object) -> bool:
        """Return whether an error means that a response did not arrive completely; then keep the exchange."""
        from requests import RequestException

        self._settle()
        if not isinstance(error, RequestException) or self._unanswered is None:
            return False
        if self._run.plan.stop.asked:
            self._exhausted = self._exhausted or str(Interrupted())
            return True
        if self._run.budget.left <= TIMER_TOLERANCE_S:
            self._exhausted = self._exhausted or f"--max-seconds {self._run.budget.seconds:g} are over"
            return True
        case, request = self._unanswered
        trouble = _trouble(error)
        message = f"{self._operation}: {case.method} {case.path}: {trouble}; expected an answer"
        if ("answered", message) not in self._smallest:
            body = request.body.encode() if isinstance(request.body, str) else request.body
            headers = dict(request.headers)
            lost = self._exchange(case, request.url, headers, body, time=time.time(), trouble=trouble)
            self._smallest["answered", message] = [lost]
        return True

    def _engine(self) -> tuple[Any, Any, Any]:
        """Return the engine of schemathesis, and its events for a finished scenario and for errors."""
        try:
            import schemathesis
            from schemathesis.config import SchemathesisConfig
            from schemathesis.engine import events, from_schema
        except ImportError:
            raise SettingsError(
                "generated requests need schemathesis; install it with: pip install 'mockveo[schemathesis]'"
            ) from None
        config = SchemathesisConfig.from_dict(self._config())
        document = _without_examples(self._run.client.spec.document.tree)
        schema: Any = schemathesis.openapi.from_dict(document, config=config)
        if self._operation != LINKS:
            schema = schema.include(operation_id=self._operation)

        return from_schema(schema), events.ScenarioFinished, (events.NonFatalError, events.FatalError)

    def _config(self) -> dict[str, Any]:
        """Return the settings of schemathesis; none comes from a file or the working directory."""
        plan, client = self._run.plan, self._run.client
        scheme = next(iter(client.spec.document.find("/components/securitySchemes") or {"bearer": {}}))
        is_links = self._operation == LINKS
        examples = max(plan.examples // EXAMPLES_PER_SEQUENCE, 1) if is_links else plan.examples
        phases = ("stateful",) if is_links else ("examples", "coverage", "fuzzing")
        checks = {name: {"enabled": True} for name in RULES}
        return {
            "seed": random.Random(f"{plan.seed}/{self._operation}").randrange(2**32),
            "base-url": client.root,
            # By its security scheme: a header would be taken for data and varied.
            "auth": {"openapi": {scheme: {"bearer": client.keys.ours}}},
            "generation": {"max-examples": examples, "database": "none", "with-security-parameters": False},
            "phases": {name: {"enabled": name in phases} for name in ("examples", "coverage", "fuzzing", "stateful")},
            "continue-on-failure": True,
            "checks": {
                "enabled": False,
                **checks,
                "not_a_server_error": {"enabled": True, "expected-statuses": list(_EXPECTED_STATUSES)},
            },
        }

    def _take(self, recorder: Any) -> None:
        for case_id, nodes in recorder.checks.items():
            for node in nodes:
                if node.failure_info is not None and node.name in RULES:
                    self._keep(recorder, case_id, node)

    def _keep(self, recorder: Any, case_id: str, node: Any) -> None:
        """Keep the exchanges of a failure if they are the shortest that show it."""
        from schemathesis.core.failures import MalformedJson

        failure = node.failure_info.failure
        # What is no JSON is found by the check of the schema.
        rule = "answer-json" if isinstance(failure, MalformedJson) else RULES[node.name]
        chain = list(self._chain(recorder, failure.case_id or case_id))
        lines = [line.strip() for line in failure.message.splitlines() if line.strip()]
        details = "; ".join(lines[:4]) or f"answered with {chain[-1].status if chain else 'nothing'}"
        message = truncate(f"{self._operation}: {failure.title}: {details}", MAX_MESSAGE)
        if rule == "schema-negative" and any(name in message for name in self._files):
            return  # the API's behaviour for a text instead of a file, or for one file too many, is unknown
        if rule == "no-server-error" and any(exchange.error_code == "model_not_found" for exchange in chain[-1:]):
            return
        kept = self._smallest.get((rule, message))
        if chain and (kept is None or _size(chain) < _size(kept)):
            self._smallest[rule, message] = chain

    @property
    def _files(self) -> frozenset[str]:
        form = self._run.client.spec.operations["createVideo"].form
        return form.file_fields if form else frozenset()

    def _chain(self, recorder: Any, case_id: str) -> Iterator[SentExchange]:
        """Yield the exchanges that lead to a failure, in order."""
        for case in recorder.iter_chain_cases(case_id=case_id):
            interaction = recorder.interactions.get(case.id)
            if interaction is None:
                continue
            request, response = interaction.request, interaction.response
            answer: dict[str, Any] = {"trouble": "no answer"}
            if response:
                answer = {
                    "duration_s": response.elapsed,
                    "status": response.status_code,
                    "answer_headers": {name.lower(): values[0] for name, values in response.headers.items()},
                    "data": response.content or b"",
                }
            headers = {name: values[0] for name, values in request.headers.items()}
            yield self._exchange(case, request.uri, headers, request.body, time=interaction.timestamp, **answer)

    def _exchange(
        self, case: Any, url: str, headers: dict[str, str], body: bytes | None, **answer: Any
    ) -> SentExchange:
        """Record an exchange of schemathesis as the latest one of the run."""
        client, parts = self._run.client, urlsplit(url)
        lower = {name.lower(): value for name, value in headers.items()}
        nothing = {"duration_s": 0.0, "status": 0, "answer_headers": {}, "data": b"", "trouble": ""}
        query = f"?{parts.query}" if parts.query else ""
        exchange = SentExchange(
            number=len(client.exchanges) + 1,
            operation=str(case.operation.definition.raw.get("operationId", "")),
            method=case.method,
            path=(parts.path + query).removeprefix(urlsplit(client.root).path),
            headers=headers,
            body=Body(lower.get("content-type"), body) if body else None,
            purpose="generated",
            expected="",
            key="ours" if client.keys.ours in lower.get("authorization", "") else "",
            job=str((case.path_parameters or {}).get("video_id", "")),
            at=client.pace.now(),
            **{**nothing, **answer},
        )
        client.exchanges.append(exchange)
        return exchange


def _trouble(error: Exception) -> str:
    """Return why a response did not arrive, by the kind of error of requests."""
    kind = type(error).__name__
    if kind == "RequestException":
        return str(error)
    if kind == "ContentDecodingError":
        return "the body cannot be decoded by its Content-Encoding"
    return "no answer in time" if "Timeout" in kind else "the connection broke off"


def _described(problem: object) -> str:
    return truncate(f"schemathesis could not go on: {type(problem).__name__}: {problem}", MAX_PROBLEM)


def _without_examples(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document without its examples of ids, which schemathesis would send instead of other ids."""
    copy: dict[str, Any] = deepcopy(dict(tree))
    for item in copy.get("paths", {}).values():
        for operation in item.values():
            for response in operation.get("responses", {}).values() if isinstance(operation, dict) else ():
                for content in response.get("content", {}).values():
                    content.pop("examples", None)
    for parameter in copy.get("components", {}).get("parameters", {}).values():
        parameter.pop("example", None)
    return copy


def _size(chain: list[SentExchange]) -> tuple[int, int]:
    sizes = [len(exchange.path) + (len(exchange.body.data) if exchange.body else 0) for exchange in chain]
    return len(chain), sum(sizes)
