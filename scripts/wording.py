"""The words of the house: `python scripts/wording.py [PATH...]` prints the places that break a rule, and their counts.

It holds rules 2 and 4 of the wording guide in CONTRIBUTING.md over code, comments, messages, tests and docs, and the
rule that a class name is used once. `--count` prints the counts of each folder alone.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("mockveo", "contracts", "scenarios", "overlays", "tests", "scripts", "benchmarks", "docs")
FILES = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "openapi.yaml", "pyproject.toml", "Makefile", ".ci/run")
SUFFIXES = {".py", ".md", ".yaml", ".toml", ".json", ".html", ".css", ".js", ".mjs", ".go", ".sh"}
#: They quote what they forbid.
QUOTING = {"scripts/wording.py", "tests/house/test_wording.py", "CONTRIBUTING.md"}

#: Phrase -> better words. A blank stands for the end of a line too.
PHRASES = {
    "where there (is|are)": "if, when",
    "(is|are|was|were) (not )?to be": "must, should",
    "(is|are) not to(?! be)": "must not, should not",
    "(?<!there.)(is|are|was|were) (?-i:none)": "unknown, invalid, missing, not a ...",
    "whoever|nobody": "the caller, the client, you",
    # The client protocol names a rule `ambiguous-create-told`.
    r"tell|tells|telling|(?<!ambiguous\wcreate\w)(?<!ambiguous-create-)told": "report, show, log, say",
    "beside": "besides, next to",
}
PATTERNS = {
    re.compile(rf"(?<![^\W_])(?<!\w\.)({phrase})(?![^\W_])".replace(" ", r"[\s#/*]+"), re.IGNORECASE): better
    for phrase, better in PHRASES.items()
}
#: Names that say nothing of what they hold, and so are bound nowhere.
EMPTY_NAMES = {"one", "found", "told", "seen", "known", "what"}
#: `known` is a documented keyword of client_contract and server_contract, after the command's --known.
DOCUMENTED = {
    ("contracts/mockveo_contracts/pytest.py", "known"),
    ("contracts/mockveo_contracts/clients/check.py", "known"),
    ("contracts/mockveo_contracts/servers/plan.py", "known"),
}


class WordingHit(NamedTuple):
    """A place with a word that has a better one, with the remedy."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


def sources() -> Iterator[Path]:
    """Yield the files whose words are checked."""
    yield from (ROOT / name for name in FILES)
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in SUFFIXES and "node_modules" not in path.parts and path.is_file():
                yield path


def phrases(file: str, text: str) -> Iterator[WordingHit]:
    """Yield the phrases of a text that have a better word."""
    for pattern, better in PATTERNS.items():
        for match in pattern.finditer(text):
            phrase = " ".join(match[0].split())
            yield WordingHit(file, text.count("\n", 0, match.start()) + 1, f"{phrase!r}; write: {better}")


def empty_names(file: str, text: str) -> Iterator[WordingHit]:
    """Yield the variables, parameters, attributes and functions of a module whose names say nothing."""
    for node in ast.walk(ast.parse(text)):
        for name in bound(node):
            if name in EMPTY_NAMES and (file, name) not in DOCUMENTED:
                yield WordingHit(file, getattr(node, "lineno", 0), f"{name!r} is a name; write: what it holds")


def bound(node: ast.AST) -> list[str | None]:
    """Return the names that a node binds."""
    match node:
        case ast.Name(ctx=ast.Store(), id=name) | ast.Attribute(ctx=ast.Store(), attr=name) | ast.arg(arg=name):
            return [name]
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.ExceptHandler(name=name) | ast.MatchAs(name=name) | ast.MatchStar(name=name):
            return [name]
        case ast.MatchMapping(rest=name):
            return [name]
        case ast.alias(name=name, asname=alias):
            return [alias or name]
    return []


def hits(paths: Iterable[Path]) -> Iterator[WordingHit]:
    """Yield the places in some files that break a rule."""
    for path in paths:
        file = path.relative_to(ROOT).as_posix()
        text = path.read_text()
        if file not in QUOTING:
            yield from phrases(file, text)
        if path.suffix == ".py":
            yield from empty_names(file, text)


def repeated_classes() -> dict[str, list[str]]:
    """Return the class names that the repository has twice, with their files; classes in functions do not count."""
    classes: dict[str, list[str]] = defaultdict(list)
    for path in sources():
        # The clients that tests run are programs of their own.
        if path.suffix == ".py" and not path.is_relative_to(ROOT / "tests" / "clients"):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.ClassDef):
                    classes[node.name].append(path.relative_to(ROOT).as_posix())
    return {name: files for name, files in sorted(classes.items()) if len(files) > 1}


def folder(hit: WordingHit) -> str:
    """Return the folder of a place, or the file if it lies at the top."""
    return hit.file.rpartition("/")[0] or hit.file


def main() -> int:
    """Print the places and their counts; 1 if there are any."""
    parser = argparse.ArgumentParser(description="Prints the places that break a rule of the wording guide.")
    parser.add_argument("paths", nargs="*", type=Path, help="files and folders; default: all")
    parser.add_argument("--count", action="store_true", help="print only the counts of each folder")
    arguments = parser.parse_args()
    within = [path.resolve() for path in arguments.paths] or [ROOT]
    broken = list(hits(path for path in sources() if any(path.is_relative_to(root) for root in within)))
    if not arguments.count:
        print(*broken, sep="\n")
    for name, count in Counter(map(folder, broken)).most_common():
        print(f"{count:5} {name}")
    repeated = repeated_classes()
    for name, files in repeated.items():
        print(f"class {name} is in {', '.join(files)}")
    return 1 if broken or repeated else 0


if __name__ == "__main__":
    sys.exit(main())
