"""The rules of the contract for servers, and the judge.

`server_rules.yaml` says each in a sentence; a pure check stands behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from mockveo.rules import engine
from mockveo.rules.engine import Breach, Rule, Verdict, verdict
from mockveo_contracts.servers.exchanges import Conversation, SentExchange

#: What breaks a rule; None where the conversation has nothing to do with it.
Check = Callable[[Conversation], "list[Breach] | None"]
CHECKS: Final[dict[str, Check]] = {}


@cache
def catalogue() -> Mapping[str, Rule]:
    """All rules by their ids, in the order of the file."""
    return engine.read(Path(__file__).with_name("rules.yaml"))


def find(name: str) -> Rule:
    """The rule of that id. Raises RuleError, which names the nearest and all there are."""
    return engine.find(name, catalogue())


def check(rule: str) -> Callable[[Check], Check]:
    """Puts a check behind a rule."""

    def put(function: Check) -> Check:
        CHECKS[rule] = function
        return function

    return put


def breach(message: str, *seen: SentExchange, lenient: bool = False) -> Breach:
    """A breach, with the exchanges that show it."""
    return Breach(message, tuple(one.number for one in seen), lenient)


def judge(conversation: Conversation) -> list[Verdict]:
    """What the judge says of a conversation, rule by rule."""
    known = _checks()
    return [verdict(rule, known[rule.id](conversation) if rule.id in known else None) for rule in catalogue().values()]


@cache
def _checks() -> Mapping[str, Check]:
    # Here, not above: they import this module to say what they are.
    from mockveo_contracts.servers.rules import (
        content,  # noqa: F401
        lifecycle,  # noqa: F401
        responses,  # noqa: F401
    )

    return CHECKS
