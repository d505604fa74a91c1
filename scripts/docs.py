"""Writes what the documents repeat from the code: `python scripts/docs.py`; with `--check` it only looks.

- README.md: the tables of settings and scenarios
- docs/scenarios.md: the keys of a scenario
- docs/rules.md: the rules
- ARCHITECTURE.md: the picture of which module imports which
"""

import ast
import json
import sys
from dataclasses import fields
from pathlib import Path

import yaml

from mockveo.rules import catalogue
from mockveo.scenarios import SCHEMA, built_in
from mockveo.settings import Settings, flag
from mockveo.spec import load

ROOT = Path(__file__).resolve().parent.parent


def settings() -> str:
    """A table of the settings."""
    rows = ["| flag | default | |", "|---|---|---|"]
    for setting in fields(Settings):
        default = "" if setting.default in (None, ()) else f"`{setting.default}`".replace("False", "off")
        rows.append(f"| `{flag(setting.name)}` | {default} | {setting.metadata['help']} |")
    return "\n".join(rows)


def scenario_table() -> str:
    """A table of the built-in scenarios."""
    return "\n".join(["| scenario | |", "|---|---|", *(f"| `{one.name}` | {one.summary} |" for one in built_in())])


def keys() -> str:
    """Tables of the keys of a scenario, from its schema."""
    schema = json.loads(SCHEMA.read_text())
    blocks = []
    for title, node in (
        ("A scenario", schema),
        ("A phase", schema["$defs"]["phase"]),
        ("`style`", schema["$defs"]["style"]),
        ("A fault", schema["$defs"]["fault"]),
    ):
        rows = [f"## {title}", "", "| key | | e.g. |", "|---|---|---|"]
        for name, key in node["properties"].items():
            known = {**schema["$defs"].get(key.get("$ref", "").rpartition("/")[2], {}), **key}
            example = yaml.safe_dump(
                known["examples"][0], default_flow_style=True, width=1000, sort_keys=False
            ).removesuffix("...\n")
            rows.append(f"| `{name}` | {known['description']} | `{example.strip()}` |")
        blocks.append("\n".join(rows))
    return "\n\n".join(blocks)


def errors() -> str:
    """The errors of the document, by name."""
    spec = load()
    rows = ["| error | status | code | operations |", "|---|---|---|---|"]
    for name in spec.error_names:
        of = [one.id for one in spec.operations.values() if name in one.errors]
        found = spec.error(name)
        rows.append(f"| `{name}` | {found.status if found else ''} | `{spec.error_codes[name]}` | {', '.join(of)} |")
    return "\n".join(rows)


def rule_table() -> str:
    """The rules of the contract, by severity."""
    blocks = []
    for severity, title in (("must", "MUST"), ("should", "SHOULD"), ("info", "INFO")):
        rules = [rule for rule in catalogue().values() if rule.severity == severity]
        rows = [f"| `{rule.id}`{' *' if rule.wire else ''} | {rule.says} | {rule.source} |" for rule in rules]
        blocks.append("\n".join([f"## {title}", "", "| rule | | source |", "|---|---|---|", *rows]))
    return "\n\n".join(blocks)


def modules() -> dict[str, set[str]]:
    """Each module of the package with those it imports, at the top of the file or within a function."""
    package = ROOT / "mockveo"
    names = {path.stem for path in package.glob("*.py")} - {"__init__", "__main__"}
    found = {}
    for name in sorted(names):
        imported = set()
        for node in ast.walk(ast.parse((package / f"{name}.py").read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "mockveo":
                imported |= {(node.module or "").partition(".")[2]} if node.module != "mockveo" else set()
                imported |= {alias.name for alias in node.names if node.module == "mockveo"}
        # rendering and clips name each other's types, and checks the rules they stand behind; the picture shows who
        # calls whom.
        back = {"clips"} if name == "rendering" else {"rules"} if name.startswith("rules_") else set()
        found[name] = (imported & names) - back - {"errors", "_paths"}
    return found


def reduced(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """The graph without the arrows that a longer way implies."""

    def below(name: str) -> set[str]:
        return graph[name].union(*(below(child) for child in graph[name]))

    return {
        name: {one for one in to if not any(one in below(other) for other in to - {one})} for name, to in graph.items()
    }


def picture() -> str:
    """The modules as a diagram of GitHub's; `errors` and `_paths`, which anyone may import, are left out."""
    arrows = [
        f"  {name} --> {' & '.join(sorted(to))}" if to else f"  {name}"
        for name, to in reduced(modules()).items()
        if name not in ("errors", "_paths")
    ]
    return "\n".join(["```mermaid", "flowchart TD", *arrows, "```"])


def filled(text: str, name: str, block: str) -> str:
    """The text with what is between the two marks of that name replaced."""
    head, mark, rest = text.partition(f"<!-- {name}: written by scripts/docs.py -->\n")
    _, end, tail = rest.partition("<!-- end -->")
    if not mark or not end:
        raise SystemExit(f"the marks of {name!r} are missing")
    return f"{head}{mark}{block}\n{end}{tail}"


def main() -> None:
    """Writes the blocks, or says which are old."""
    for name, block, path in (
        ("settings", settings(), ROOT / "README.md"),
        ("scenarios", scenario_table(), ROOT / "README.md"),
        ("picture", picture(), ROOT / "ARCHITECTURE.md"),
        ("keys", keys(), ROOT / "docs" / "scenarios.md"),
        ("errors", errors(), ROOT / "docs" / "scenarios.md"),
        ("rules", rule_table(), ROOT / "docs" / "rules.md"),
    ):
        old = path.read_text()
        new = filled(old, name, block)
        if old != new and "--check" in sys.argv:
            raise SystemExit(f"{path.name}: {name} is old; run python scripts/docs.py")
        path.write_text(new)


if __name__ == "__main__":
    main()
