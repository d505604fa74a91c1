"""Which module may import which: the layers of ARCHITECTURE.md, held."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import mockveo_contracts
import pytest

import mockveo

MODULES = sorted(Path(mockveo.__file__).parent.glob("*.py"))
THEIR_MODULES = sorted(Path(mockveo_contracts.__file__).parent.glob("*.py"))

#: Module -> the modules of ours it may import. What is not here may import nothing of ours.
ARROWS: dict[str, set[str]] = {
    "__init__": {"server", "settings"},
    "__main__": {"cli"},
    "_paths": set(),
    "errors": set(),
    # Pure: the standard library, their parsers and each other.
    "files": {"errors"},
    "settings": {"clock", "errors"},
    "clock": set(),
    "hosts": set(),
    "forms": set(),
    "scenarios": {"_paths", "errors", "files", "vocabulary"},
    "vocabulary": {"errors"},
    "jobs": {"scenarios"},
    "overlays": {"errors"},
    "document": {"errors", "structure"},
    "structure": set(),
    "spec": {"_paths", "document", "errors", "files", "overlays"},
    "journal": {"forms"},
    "values": {"forms", "journal", "spec"},
    "styles": {"jobs", "scenarios"},
    "clips": {"errors", "rendering"},
    "rendering": {"clips", "uploads"},
    "uploads": set(),
    "durations": {"errors"},
    "har": {"__init__", "journal"},
    "stories": {"scenarios"},
    "rules": {"errors", "files", "rules_course", "rules_outcome", "rules_requests", "stories"},
    "rules_requests": {"forms", "journal", "rules", "stories"},
    "rules_course": {"rules", "rules_requests", "stories"},
    "rules_outcome": {"rules", "rules_course", "stories"},
    "traces": {"errors", "files", "journal", "spec"},
    "watch": {"journal", "rules"},
    # State
    "stores": {"jobs"},
    "world": {"_paths", "clock", "errors", "jobs", "journal", "scenarios", "settings", "spec", "stores"},
    "worlds": {"errors", "journal", "scenarios", "settings", "spec", "world"},
    # HTTP
    "answers": set(),
    "control": {
        *("_paths", "answers", "calls", "document", "errors", "faults", "files", "forms", "har", "hosts", "jobs"),
        *("journal", "rules", "scenarios", "wire", "worlds"),
    },
    "calls": {"journal", "scenarios", "spec", "world"},
    "faults": {"answers", "calls", "scenarios"},
    "wire": {"answers", "calls", "faults", "hosts", "journal", "spec", "world"},
    "api": {
        *("answers", "calls", "clips", "errors", "forms", "hosts", "jobs", "scenarios", "spec", "styles", "values"),
        *("wire", "world"),
    },
    "protocol": {"answers", "calls", "faults"},
    "server": {
        *("answers", "api", "calls", "clips", "control", "errors", "hosts", "journal", "protocol", "settings", "spec"),
        *("wire", "world", "worlds"),
    },
    # Shells
    "console": {"__init__", "errors", "hosts", "journal", "server", "settings", "watch"},
    "remote": {"errors"},
    "commands": {"_paths", "durations", "errors", "remote", "rules", "scenarios", "traces"},
    "checks": {"commands", "console", "errors", "rules", "settings"},
    "cli": {"__init__", "checks", "commands", "console", "settings"},
    "testing": {"clock", "durations", "errors", "jobs", "journal", "rules", "scenarios", "server", "world"},
    "pytest_plugin": {"__init__", "errors", "server", "testing"},
}

#: The same for the contract tests, whose files import each other and whatever of mockveo they need.
CONTRACTS: dict[str, set[str]] = {
    "__init__": {"case"},
    "case": set(),
    "check": {"client_report", "drivers", "functions", "generated", "known", "programs", "report", "scripts", "stage"},
    "client_report": {"drivers", "logs", "report", "scripts", "stage"},
    "conversations": {"case", "scripts", "stage"},
    "drivers": {"scripts", "stage"},
    "formats": {"junit", "page", "report", "sarif", "terminal", "wording"},
    "functions": {"case", "drivers", "scripts", "stage", "virtual"},
    "generated": {"drivers", "report", "scripts", "stage"},
    "images": set(),
    "junit": {"terminal", "wording"},
    "known": set(),
    "logs": {"stage"},
    "page": {"report", "wording"},
    "processes": {"drivers"},
    "programs": {"case", "conversations", "drivers", "processes", "scripts", "sessions", "stage"},
    "pytest": {"check", "known", "terminal", "verify"},
    "replay": {"scripts", "stage"},
    "report": {"known"},
    "sarif": {"terminal", "wording"},
    "scripts": {"images"},
    "server_budget": set(),
    "server_checks": {"server_exchanges", "server_rules"},
    "server_checks_content": {"server_exchanges", "server_rules"},
    "server_checks_course": {"server_exchanges", "server_rules"},
    "server_exchanges": set(),
    "server_fuzz": {"server_budget", "server_exchanges", "server_rules", "server_wire", "verify"},
    "server_histories": {"server_budget", "server_exchanges", "server_rules", "server_run", "verify"},
    "server_pace": set(),
    "server_probes": {"server_exchanges", "server_run", "server_wire"},
    "server_report": {"report", "server_exchanges", "server_rules", "server_wire"},
    "server_rules": {"server_checks", "server_checks_content", "server_checks_course", "server_exchanges"},
    "server_run": {"server_exchanges", "server_pace", "server_wire"},
    "server_wire": {"server_budget", "server_exchanges", "server_pace"},
    "sessions": {"case", "conversations", "drivers", "processes", "scripts", "stage"},
    "stage": {"case", "images", "scripts", "virtual"},
    "terminal": {"wording"},
    "verify": {
        "known",
        "server_budget",
        "server_exchanges",
        "server_fuzz",
        "server_histories",
        "server_pace",
        "server_probes",
        "server_report",
        "server_run",
        "server_wire",
    },
    "virtual": set(),
    "wording": {"report", "scripts"},
}

#: Third parties -> the modules that may import them.
THIRD_PARTIES = {
    "click": {"checks", "cli", "commands"},
    "yaml": {"files"},
    "jsonschema_rs": {"spec", "document", "vocabulary"},
    "jsonpath": {"overlays"},
    "multipart": {"forms"},
    "orjson": {
        *("files", "scenarios", "forms", "journal", "answers", "faults", "wire", "api", "control", "console", "traces"),
        "vocabulary",
    },
    "starlette": {"answers", "calls", "faults", "wire", "control", "server"},
    "uvicorn": {"protocol", "server"},
    "anyio": {"api"},
    "mockveo_contracts": {"checks"},
    "pytest": {"pytest_plugin"},
    "av": {"rendering"},
    "PIL": {"rendering", "uploads"},
    "numpy": {"rendering"},
}


#: Of the contract tests.
THEIRS = {
    "hypothesis": {"generated", "server_histories"},
    "jsonschema_rs": {"report", "server_checks"},
    "pytest": {"pytest"},
    "requests": {"server_fuzz"},
    "schemathesis": {"server_fuzz"},
}


def imports(path: Path) -> set[str]:
    """Full names of what a module imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import"
            modules = {alias.name for alias in node.names if (path.parent / f"{alias.name}.py").exists()}
            package = node.module == path.parent.name and modules
            found |= {f"{node.module}.{name}" for name in modules} if package else {node.module or ""}
    return found


@pytest.mark.parametrize("path", [*MODULES, *THEIR_MODULES], ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_a_module_imports_what_the_picture_says(path: Path) -> None:
    package = path.parent.name
    ours = {name.partition(".")[2] or "__init__" for name in imports(path) if name.split(".")[0] == package}
    assert ours == (ARROWS if path in MODULES else CONTRACTS)[path.stem]


@pytest.mark.parametrize("path", [*MODULES, *THEIR_MODULES], ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_a_third_party_has_few_doors(path: Path) -> None:
    ours, doors = ("mockveo", THIRD_PARTIES) if path in MODULES else ("mockveo_contracts", {**THEIRS, "mockveo": None})
    known = {ours, "__future__", *sys.stdlib_module_names}
    for name in {name.split(".")[0] for name in imports(path)} - known:
        allowed = doors[name]
        assert allowed is None or path.stem in allowed, f"{path.stem} imports {name}"


def test_the_picture_shows_no_module_that_is_gone() -> None:
    assert set(ARROWS) == {path.stem for path in MODULES}
    assert set(CONTRACTS) == {path.stem for path in THEIR_MODULES}


def test_no_file_and_no_function_is_too_long() -> None:
    for path in [*MODULES, *THEIR_MODULES]:
        source = path.read_text()
        assert source.count("\n") <= 400, path.name
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 55, f"{path.name}: {node.name}"
