"""Rules about what a gateway sends upstream, which the journal of the mockveo behind it shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mockveo.rules.engine import Breach, Checks, breach
from mockveo.text import counted
from mockveo.traffic.exchange import Exchange
from mockveo.traffic.redaction import fingerprint
from mockveo_contracts.servers.exchanges import Conversation, SentExchange

checks: Final = Checks[Conversation]()

#: Operations that need a key.
_WITH_KEY: Final = ("create", "retrieve", "content")


def _creates(
    conversation: Conversation, operations: Sequence[str] = ("create",)
) -> list[tuple[SentExchange, list[Exchange]]]:
    """Return our creates, each with what arrived upstream from it to the next, of these operations."""
    return [
        (exchange, [arrived for arrived in conversation.upstream[exchange.number] if arrived.operation in operations])
        for exchange in conversation.exchanges
        if exchange.number in conversation.upstream
    ]


@checks.check("upstream-once")
def upstream_once(conversation: Conversation) -> list[Breach] | None:
    breaches, exercised = [], False
    for create, arrived in _creates(conversation):
        # After an error of the server, or without a response, a job may exist or not.
        if not (create.made or 400 <= create.status < 500):
            continue
        exercised = True
        jobs = sum(bool(exchange.job) for exchange in arrived)
        if jobs != bool(create.made):
            result = "made 1 job" if create.made else f"was refused with {create.status}"
            breaches.append(breach(f"the create {result}, but {counted(jobs, 'job')} upstream", create))
    return breaches if exercised else None


@checks.check("upstream-model")
def upstream_model(conversation: Conversation) -> list[Breach] | None:
    breaches, exercised = [], False
    for create, arrived in _creates(conversation):
        sent = dict(create.body.fields).get("model") if create.body else None
        if sent is None or not create.made:
            continue
        for exchange in arrived:
            exercised = True
            models = [field["value"] for field in exchange.fields if field["name"] == "model"]
            if models != [sent]:
                arrival = f"{', '.join(map(repr, models))} arrived" if models else "none arrived"
                breaches.append(breach(f"model {sent!r} was sent, {arrival} upstream", create))
    return breaches if exercised else None


@checks.check("upstream-key")
def upstream_key(conversation: Conversation) -> list[Breach] | None:
    breaches, exercised = [], False
    expected = fingerprint(conversation.upstream_key) if conversation.upstream_key else None
    for create, arrived in _creates(conversation, _WITH_KEY):
        caller = fingerprint(create.headers.get("Authorization", ""))
        exercised = exercised or bool(arrived)
        problems = {(exchange.operation, _key_problem(exchange.key, caller, expected)): None for exchange in arrived}
        breaches += [
            breach(f"{problem} upstream ({operation}); expected the gateway's own", create)
            for operation, problem in problems
            if problem
        ]
    return breaches if exercised else None


def _key_problem(arrived: str | None, caller: str, expected: str | None) -> str:
    """Return what is wrong with the fingerprint of a key that arrived, or an empty text."""
    if arrived is None:
        return "no key arrived"
    if arrived == expected:
        return ""
    if arrived == caller:
        return "the caller's key arrived"
    return "another key arrived" if expected else ""
