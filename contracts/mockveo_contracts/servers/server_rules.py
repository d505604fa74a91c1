"""The rules of the contract for servers."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from mockveo.rules.engine import RuleBook
from mockveo_contracts.servers.exchanges import Conversation
from mockveo_contracts.servers.rules import content, lifecycle, responses, transfer, upstream


@cache
def server_rules() -> RuleBook[Conversation]:
    """Return the book of server rules, loaded on the first call."""
    path = Path(__file__).with_name("rules.yaml")
    modules = (responses, lifecycle, content, transfer, upstream)
    return RuleBook(path, *(module.checks for module in modules), pages="docs/server-rules")
