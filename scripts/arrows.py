"""The arrows of the house: which room may import which. ARCHITECTURE.md is drawn from this table, a test holds it.

A room is a folder of `mockveo/` or `contracts/mockveo_contracts/`, or a file at the top of one. Every import counts: at
the top of a file, inside a function, for type checking, and by name through `importlib`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {"mockveo": ROOT / "mockveo", "mockveo_contracts": ROOT / "contracts" / "mockveo_contracts"}

#: Room -> the rooms that it imports. `mockveo_contracts` is written `contracts`.
ARROWS: dict[str, set[str]] = {
    "mockveo": {"mockveo._version", "mockveo.keywords", "mockveo.server", "mockveo.settings", "mockveo.testing"},
    "mockveo.__main__": {"mockveo.cli"},
    "mockveo._paths": set(),
    "mockveo._version": set(),
    "mockveo.cli": {
        "contracts.cli",
        "mockveo._paths",
        "mockveo._version",
        "mockveo.console",
        "mockveo.content",
        "mockveo.control_client",
        "mockveo.durations",
        "mockveo.errors",
        "mockveo.interception",
        "mockveo.rules",
        "mockveo.server",
        "mockveo.settings",
        "mockveo.simulator",
        "mockveo.text",
        "mockveo.traffic",
        "mockveo.yamlfiles",
    },
    "mockveo.console": {
        "mockveo._paths",
        "mockveo.simulator",
        "mockveo._version",
        "mockveo.text",
        "mockveo.errors",
        "mockveo.http",
        "mockveo.interception",
        "mockveo.rules",
        "mockveo.server",
        "mockveo.settings",
        "mockveo.traffic",
        "mockveo.environment",
    },
    "mockveo.content": {"mockveo.errors"},
    "mockveo.control_client": {"mockveo.errors", "mockveo.spec", "mockveo.yamlfiles"},
    "mockveo.realtime": set(),
    "mockveo.durations": {"mockveo.errors"},
    "mockveo.environment": set(),
    "mockveo.errors": set(),
    "mockveo.dashboard": {"mockveo.simulator", "mockveo.text", "mockveo.traffic", "mockveo.yamlfiles"},
    "mockveo.http": {"mockveo.text", "mockveo.yamlfiles"},
    "mockveo.interception": {
        "mockveo._paths",
        "mockveo.dashboard",
        "mockveo.errors",
        "mockveo.http",
        "mockveo.rules",
        "mockveo.server",
        "mockveo.settings",
        "mockveo.simulator",
        "mockveo.spec",
        "mockveo.text",
        "mockveo.traffic",
    },
    "mockveo.keywords": {"mockveo.simulator"},
    "mockveo.pytest_plugin": {"mockveo", "mockveo.errors", "mockveo.server", "mockveo.testing"},
    "mockveo.rules": {
        "mockveo.errors",
        "mockveo.http",
        "mockveo.spec",
        "mockveo.text",
        "mockveo.traffic",
        "mockveo.yamlfiles",
    },
    "mockveo.schemas": {"mockveo.errors", "mockveo.text"},
    "mockveo.server": {
        "mockveo._paths",
        "mockveo._version",
        "mockveo.content",
        "mockveo.dashboard",
        "mockveo.errors",
        "mockveo.http",
        "mockveo.rules",
        "mockveo.settings",
        "mockveo.simulator",
        "mockveo.spec",
        "mockveo.text",
        "mockveo.traffic",
        "mockveo.yamlfiles",
        "mockveo.environment",
        "mockveo.realtime",
        "mockveo.schemas",
    },
    "mockveo.settings": {"mockveo.errors", "mockveo.http", "mockveo.text"},
    "mockveo.simulator": {
        "mockveo._paths",
        "mockveo._version",
        "mockveo.errors",
        "mockveo.http",
        "mockveo.schemas",
        "mockveo.settings",
        "mockveo.spec",
        "mockveo.traffic",
        "mockveo.yamlfiles",
        "mockveo.realtime",
        "mockveo.text",
    },
    "mockveo.spec": {"mockveo._paths", "mockveo.errors", "mockveo.text", "mockveo.yamlfiles", "mockveo.schemas"},
    "mockveo.testing": {
        "mockveo.interception",
        "mockveo.settings",
        "mockveo.durations",
        "mockveo.errors",
        "mockveo.keywords",
        "mockveo.rules",
        "mockveo.server",
        "mockveo.simulator",
        "mockveo.spec",
        "mockveo.traffic",
        "mockveo.environment",
        "mockveo.yamlfiles",
    },
    "mockveo.text": set(),
    "mockveo.traffic": {
        "mockveo._version",
        "mockveo.errors",
        "mockveo.http",
        "mockveo.schemas",
        "mockveo.spec",
        "mockveo.text",
        "mockveo.yamlfiles",
    },
    "mockveo.yamlfiles": {"mockveo.errors", "mockveo.text"},
    "contracts": {"contracts.case"},
    "contracts.case": {"mockveo.errors", "mockveo.text"},
    "contracts.cases": {
        "mockveo._paths",
        "mockveo.errors",
        "mockveo.rules",
        "mockveo.http",
        "mockveo.schemas",
        "mockveo.simulator",
        "mockveo.spec",
        "mockveo.yamlfiles",
    },
    "contracts.check": {"contracts.clients"},
    "contracts.cli": {
        "contracts.case",
        "contracts.cases",
        "contracts.clients",
        "contracts.workspace",
        "contracts.interruption",
        "contracts.reports",
        "contracts.servers",
        "mockveo.console",
        "mockveo.control_client",
        "mockveo.errors",
        "mockveo.rules",
        "mockveo.server",
        "mockveo.settings",
        "mockveo.yamlfiles",
        "mockveo.environment",
        "mockveo.text",
    },
    "contracts.clients": {
        "mockveo.http",
        "contracts.case",
        "contracts.cases",
        "contracts.workspace",
        "contracts.interruption",
        "contracts.reports",
        "mockveo.errors",
        "mockveo.rules",
        "mockveo.server",
        "mockveo.settings",
        "mockveo.simulator",
        "mockveo.spec",
        "mockveo.text",
        "mockveo.traffic",
        "mockveo.environment",
        "mockveo.yamlfiles",
    },
    "contracts.pytest": {
        "contracts.clients",
        "contracts.reports",
        "contracts.servers",
        "mockveo.errors",
        "mockveo.rules",
    },
    "contracts.reports": {
        "mockveo._paths",
        "mockveo.dashboard",
        "mockveo._version",
        "mockveo.errors",
        "mockveo.rules",
        "mockveo.text",
        "mockveo.traffic",
        "mockveo.yamlfiles",
    },
    "contracts.interruption": set(),
    "contracts.workspace": set(),
    "contracts.servers": {
        "contracts.cases",
        "contracts.interruption",
        "contracts.reports",
        "mockveo",
        "mockveo._paths",
        "mockveo.control_client",
        "mockveo.errors",
        "mockveo.http",
        "mockveo.rules",
        "mockveo.spec",
        "mockveo.text",
        "mockveo.traffic",
        "mockveo.yamlfiles",
    },
    "contracts.verify": {"contracts.servers"},
}


def modules() -> dict[str, Path]:
    """Return every module of the two packages by its full name."""
    return {
        ".".join([package, *path.relative_to(folder).with_suffix("").parts]).removesuffix(".__init__"): path
        for package, folder in PACKAGES.items()
        for path in sorted(folder.rglob("*.py"))
    }


def imports(path: Path, names: Mapping[str, object]) -> Iterator[str]:
    """Yield the modules among `names` that a file imports, wherever in the file and however."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield from [full] if full in names else [str(node.module)] if node.module in names else []
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            # A module that is imported by its name, e.g. "mockveo_contracts.cli:check".
            named = re.fullmatch(r"(mockveo(?:_contracts)?\.[\w.]+):\w+", node.value)
            yield from [named[1]] if named and named[1] in names else []


def graph() -> dict[str, set[str]]:
    """Return each module with the modules that it imports."""
    names = modules()
    return {name: set(imports(path, names)) - {name} for name, path in names.items()}


def room(module: str) -> str:
    """Return the room that a module is in, e.g. `mockveo.http` for `mockveo.http.forms`."""
    package, *rest = module.split(".")
    return ".".join([package.replace("mockveo_contracts", "contracts"), *rest[:1]])


def drawn(edges: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    """Return the arrows between rooms that a graph of modules has."""
    arrows: dict[str, set[str]] = {}
    for module, imported in edges.items():
        arrows.setdefault(room(module), set()).update(map(room, imported))
    return {name: others - {name} for name, others in arrows.items()}


def circles(edges: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return the groups of nodes that reach each other, each sorted."""

    def reach(start: str) -> set[str]:
        reached: set[str] = set()
        waiting = [start]
        while waiting:
            new = set(edges.get(waiting.pop(), ())) - reached
            reached |= new
            waiting += new
        return reached

    below = {node: reach(node) for node in edges}
    groups = {tuple(sorted(other for other in below[node] if node in below[other])) for node in edges}
    return sorted(map(list, groups - {()}))
