"""Rooms import each other only as the table of arrows says, and no files import each other in a circle."""

from __future__ import annotations

import ast
import runpy
import sys

import pytest
from paths import ROOT

HOUSE = runpy.run_path(str(ROOT / "scripts" / "arrows.py"))
MODULES = HOUSE["modules"]()

#: Third parties -> the modules that may import them.
THIRD_PARTIES = {
    "mockveo": {
        "click": {
            "cli.main",
            "cli.serve",
            "cli.control",
            "cli.scenarios",
            "cli.judge",
            "cli.doctor",
            "cli.run",
            "console.options",
            "console.output",
        },
        "yaml": {"yamlfiles"},
        "jsonschema_rs": {"spec.spec", "spec.form", "spec.openapi", "spec.structure", "spec.targets", "schemas"},
        "jsonpath": {"spec.targets"},
        "multipart": {"http.forms", "http.multipart_reader"},
        "orjson": {
            *(
                "yamlfiles",
                "simulator.scenarios",
                "simulator.saving",
                "simulator.fault",
                "http.forms",
                "traffic.redaction",
                "http.responses",
                "server.faults",
            ),
            *(
                "server.endpoints",
                "server.routes",
                "server.control_api.events",
                "server.control_requests",
                "console.ready_file",
                "console.log",
                "console.worker",
                "console.workers",
                "schemas",
            ),
            *("simulator.stores.lasting_parts", "simulator.stores.records", "simulator.stores.sqlite"),
            *("simulator.stores.shared", "simulator.scenario_shelf"),
        },
        "prometheus_client": {"server.control_api.prometheus"},
        "redis": {"simulator.stores.redis_server"},
        "starlette": {
            "http.responses",
            "server.context",
            "server.faults",
            "server.endpoints",
            "server.control",
            "server.control_api.events",
            "server.control_api.pages",
            "server.app",
            "server.connection",
        },
        "uvicorn": {"server.connection", "server.run"},
        "httptools": {"server.connection"},
        "anyio": {"server.app", "server.context", "server.control_api.measures"},
        "cryptography": {"interception.certificates"},
        "pytest": {"pytest_plugin"},
        "av": {"content.rendering"},
        "PIL": {"content.rendering", "content.uploads"},
    },
    "mockveo_contracts": {
        "click": {
            *("cli.check", "cli.check_run", "cli.verify", "cli.verify_run", "cli.cases", "cli.report"),
            *("cli.reporting_options", "cli.rules"),
        },
        "hypothesis": {"cases.generation", "servers.stateful"},
        "jsonschema_rs": {"reports.json_report", "servers.rules.responses"},
        "pytest": {"pytest"},
        "requests": {"servers.fuzzing"},
        "schemathesis": {"servers.fuzzing"},
        "urllib3": {"servers.fuzzing"},
    },
}


def test_rooms_import_what_the_table_says() -> None:
    assert HOUSE["drawn"](HOUSE["graph"]()) == HOUSE["ARROWS"]


def test_rooms_do_not_import_each_other() -> None:
    assert HOUSE["circles"](HOUSE["ARROWS"]) == []


def test_files_do_not_import_each_other() -> None:
    assert HOUSE["circles"](HOUSE["graph"]()) == []


def third_parties(source: str) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            names.add((node.module or "").split(".")[0])
    return names - {"mockveo", "mockveo_contracts", "__future__", *sys.stdlib_module_names}


@pytest.mark.parametrize("name", MODULES)
def test_module_imports_only_its_third_parties(name: str) -> None:
    package, _, module = name.partition(".")
    parties = THIRD_PARTIES[package]
    assert third_parties(MODULES[name].read_text()) == {party for party in parties if module in parties[party]}


def test_third_parties_name_modules_that_exist() -> None:
    named = {
        f"{package}.{name}" for package, parties in THIRD_PARTIES.items() for name in set().union(*parties.values())
    }
    assert named <= MODULES.keys()


@pytest.mark.parametrize("name", MODULES)
def test_files_and_functions_are_short(name: str) -> None:
    source = MODULES[name].read_text()
    assert source.count("\n") <= 400
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 55, node.name


def test_folders_hold_few_modules() -> None:
    folders: dict[str, int] = {}
    for path in MODULES.values():
        folders[str(path.parent)] = folders.get(str(path.parent), 0) + (path.name != "__init__.py")
    assert max(folders.values()) <= 14, folders
