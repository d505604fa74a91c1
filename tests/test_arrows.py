"""Which module may import which: the layers of ARCHITECTURE.md, held."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import mockveo

PACKAGE = Path(mockveo.__file__).parent
MODULES = sorted(PACKAGE.glob("*.py"))

#: Module -> the modules of ours it may import. What is not here may import nothing of ours.
ARROWS: dict[str, set[str]] = {
    "__init__": {"server", "settings"},
    "__main__": {"cli"},
    "_paths": set(),
    "errors": set(),
    # Pure: the standard library, their parsers and each other.
    "settings": {"errors"},
    "clock": set(),
    "hosts": set(),
    "forms": set(),
    "scenarios": {"errors"},
    "jobs": {"scenarios"},
    "overlays": {"errors"},
    "document": {"errors", "structure"},
    "structure": set(),
    "spec": {"_paths", "document", "errors", "overlays"},
    "journal": {"forms"},
    "clips": {"errors", "rendering"},
    "rendering": {"clips", "uploads"},
    "uploads": set(),
    # State
    "stores": {"jobs"},
    "world": {"clock", "jobs", "journal", "scenarios", "settings", "spec", "stores"},
    # HTTP
    "wire": {"hosts", "journal", "settings", "spec", "world"},
    "api": {"clips", "errors", "forms", "hosts", "jobs", "journal", "settings", "spec", "wire", "world"},
    "server": {"api", "clips", "errors", "hosts", "scenarios", "settings", "spec", "wire", "world"},
    # Shells
    "console": {"__init__", "errors", "hosts", "journal", "server", "settings"},
    "cli": {"__init__", "console", "errors", "settings"},
}

#: Third parties -> the modules that may import them.
THIRD_PARTIES = {
    "click": {"cli"},
    "yaml": {"spec"},
    "jsonschema_rs": {"spec", "document"},
    "jsonpath": {"overlays"},
    "multipart": {"forms"},
    "orjson": {"spec", "forms", "wire", "api", "console"},
    "starlette": {"wire", "api", "server"},
    "uvicorn": {"server"},
    "anyio": {"api"},
    "av": {"rendering"},
    "PIL": {"rendering", "uploads"},
    "numpy": {"rendering"},
}


def imports(path: Path) -> set[str]:
    """Full names of what a module imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import"
            submodules = {alias.name for alias in node.names if (PACKAGE / f"{alias.name}.py").exists()}
            found |= (
                {f"mockveo.{name}" for name in submodules}
                if node.module == "mockveo" and submodules
                else {node.module or ""}
            )
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_module_imports_what_the_picture_says(path: Path) -> None:
    ours = {name.partition(".")[2] or "__init__" for name in imports(path) if name.split(".")[0] == "mockveo"}
    assert ours == ARROWS[path.stem]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_third_party_has_few_doors(path: Path) -> None:
    for name in (
        {name.split(".")[0] for name in imports(path)} - {"mockveo", "__future__"} - set(sys.stdlib_module_names)
    ):
        assert path.stem in THIRD_PARTIES[name], f"{path.stem} imports {name}"


def test_the_picture_shows_no_module_that_is_gone() -> None:
    assert set(ARROWS) == {path.stem for path in MODULES}


def test_no_file_and_no_function_is_too_long() -> None:
    for path in MODULES:
        source = path.read_text()
        assert source.count("\n") <= 400, path.name
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 55, f"{path.name}: {node.name}"
