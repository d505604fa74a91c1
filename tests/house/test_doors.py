"""What comes from outside is read, and what goes to a terminal is written, in one place each."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Reading JSON of others is for `yamlfiles`, whose readers are bounded. These read what mockveo itself has written.
READERS = {
    "mockveo/yamlfiles.py",
    "mockveo/schemas.py",  # its own schemas
    "mockveo/http/forms.py",  # a number of at most a few characters
    "mockveo/simulator/scenarios.py",  # what it has just written
    "mockveo/simulator/saving.py",
    "mockveo/simulator/stores/records.py",  # the stores' own entries
    "mockveo/simulator/stores/shared.py",
    "mockveo/simulator/stores/sqlite.py",
    "mockveo/simulator/stores/lasting_parts.py",
    "mockveo/server/faults.py",  # a scenario's, which was checked when it was set
    "mockveo/testing/worlds.py",  # what it has just written
    "mockveo/interception/sandbox/channel.py",  # its own processes
    "mockveo/interception/sandbox/supervisor.py",
    "mockveo/console/worker.py",
    "mockveo/console/workers.py",
    "mockveo/console/ready_file.py",  # at most a few hundred bytes
    "contracts/mockveo_contracts/case.py",  # what it has just written
}
#: Printing is for `console/output.py`, which makes visible what could act on a terminal.
PRINTERS = {
    "mockveo/console/output.py",
    "contracts/mockveo_contracts/reports/formats.py",  # a report in a format for programs, to standard output
}
READING = {"orjson.loads", "json.loads", "json.load", "yaml.load", "yaml.safe_load"}
PRINTING = {"click.echo", "click.secho", "print", "sys.stdout.write", "sys.stderr.write", "logging.basicConfig"}


def calls(names: set[str]) -> Iterator[tuple[str, int, str]]:
    """Yield file, line and name of each call of one of these names."""
    for package in ("mockveo", "contracts"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func) in names:
                    yield path.relative_to(ROOT).as_posix(), node.lineno, ast.unparse(node.func)


def test_json_and_yaml_of_others_is_read_by_the_bounded_readers_alone() -> None:
    assert {call for call in calls(READING) if call[0] not in READERS} == set()
    assert {file for file, _, _ in calls(READING)} == READERS


def test_terminals_are_written_to_by_one_module() -> None:
    assert {call for call in calls(PRINTING) if call[0] not in PRINTERS} == set()
    assert {file for file, _, _ in calls(PRINTING)} == PRINTERS
