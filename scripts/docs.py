"""Writes what the documents repeat from the code: `python scripts/docs.py`; with `--check` it only looks.

- README.md: the tables of settings and scenarios
- docs/scenarios.md: the keys of a scenario
- docs/rules.md: the rules
- docs/servers.md: the rules for servers
- ARCHITECTURE.md: the pictures of which module imports which
"""

import ast
import json
import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import yaml
from mockveo_contracts.servers.server_rules import server_rules

from mockveo.rules.client_rules import client_rules
from mockveo.rules.engine import Rule
from mockveo.settings import Settings, flag
from mockveo.simulator.scenarios import SCHEMA, built_in
from mockveo.spec.spec import load

ROOT = Path(__file__).resolve().parent.parent
#: Modules -> those that call them, whose types they name.
BACK = {"rendering": {"clips"}, "server_fuzz": {"verify"}, "server_histories": {"verify"}}


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


def rule_table(known: Mapping[str, Rule], level: str) -> str:
    """Rules, by severity, under headings of a level."""
    blocks = []
    for severity, title in (("must", "MUST"), ("should", "SHOULD"), ("info", "INFO")):
        rules = [rule for rule in known.values() if rule.severity == severity]
        rows = [f"| `{rule.id}`{' *' if rule.wire else ''} | {rule.description} | {rule.source} |" for rule in rules]
        blocks.append("\n".join([f"{level} {title}", "", "| rule | | source |", "|---|---|---|", *rows]))
    return "\n\n".join(blocks)


def modules(package: Path) -> dict[str, set[str]]:
    """Each module of a package with those it imports, at the top of the file or within a function."""
    names = {path.stem for path in package.glob("*.py")} - {"__init__", "__main__"}
    found = {}
    for name in sorted(names):
        imported = set()
        for node in ast.walk(ast.parse((package / f"{name}.py").read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == package.name:
                imported |= {(node.module or "").partition(".")[2]} if node.module != package.name else set()
                imported |= {alias.name for alias in node.names if node.module == package.name}
        # Some name the types of those that call them; the picture shows who calls whom.
        back = BACK.get(name, set()) | ({"rules", "server_rules"} if "rules_" in name or "_checks" in name else set())
        found[name] = (imported & names) - back - {"errors", "_paths"}
    return found


def reduced(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """The graph without the arrows that a longer way implies."""

    def below(name: str) -> set[str]:
        return graph[name].union(*(below(child) for child in graph[name]))

    return {
        name: {one for one in to if not any(one in below(other) for other in to - {one})} for name, to in graph.items()
    }


def picture(package: Path) -> str:
    """The modules as a diagram of GitHub's; `errors` and `_paths`, which anyone may import, are left out."""
    arrows = [
        f"  {name} --> {' & '.join(sorted(to))}" if to else f"  {name}"
        for name, to in reduced(modules(package)).items()
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
        ("picture", picture(ROOT / "mockveo"), ROOT / "ARCHITECTURE.md"),
        ("picture of the contracts", picture(ROOT / "contracts" / "mockveo_contracts"), ROOT / "ARCHITECTURE.md"),
        ("keys", keys(), ROOT / "docs" / "scenarios.md"),
        ("errors", errors(), ROOT / "docs" / "scenarios.md"),
        ("rules", rule_table(client_rules().rules, "##"), ROOT / "docs" / "rules.md"),
        ("server rules", rule_table(server_rules().rules, "###"), ROOT / "docs" / "servers.md"),
    ):
        old = path.read_text()
        new = filled(old, name, block)
        if old != new and "--check" in sys.argv:
            raise SystemExit(f"{path.name}: {name} is old; run python scripts/docs.py")
        path.write_text(new)


if __name__ == "__main__":
    main()
