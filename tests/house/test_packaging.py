"""The wheel: exactly these files, and they work without the repository."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from paths import ROOT

import mockveo

#: Folder -> its modules. A new module is added here.
MODULES = {
    "mockveo": (
        "__init__ __main__ _paths _version control_client durations environment errors keywords pytest_plugin realtime "
        "schemas settings text yamlfiles"
    ),
    "mockveo/cli": "__init__ control doctor judge main run scenarios serve",
    "mockveo/console": "__init__ foreground log options output ready_file worker workers",
    "mockveo/content": "__init__ clips media rendering uploads",
    "mockveo/dashboard": "__init__ bundle cases exchanges files snippets unrepeated",
    "mockveo/http": "__init__ encodings forms hosts multipart_reader origins parts responses statuses urlencoded",
    "mockveo/interception": (
        "__init__ certificates crossings fences handshakes options outcome page proof report resolver run "
        "serving variables"
    ),
    "mockveo/interception/sandbox": "__init__ channel connections isolation kernel namespace supervisor",
    "mockveo/rules": (
        "__init__ bill client_rules credentials engine live money outcome requests requirements restarts retries "
        "sequence trace"
    ),
    "mockveo/server": (
        "__init__ app billing connection context control control_lists control_requests endpoints faults "
        "handlers recording routes run"
    ),
    "mockveo/server/control_api": "__init__ cases changes events exchanges jobs measures pages prometheus",
    "mockveo/simulator": (
        "__init__ accounts clock fault fault_selection identifiers jobs presentation saving scenario_shelf scenarios "
        "tickets world worlds"
    ),
    "mockveo/simulator/stores": (
        "__init__ changes database kinds lasting lasting_parts memory memory_parts records redis_server "
        "shared sqlite store"
    ),
    "mockveo/spec": (
        "__init__ errors form job_body job_statuses models openapi operations overlays prices spec structure targets "
        "templates"
    ),
    "mockveo/testing": "__init__ programs requests worlds",
    "mockveo/traffic": (
        "__init__ bounds exchange form_values har har_entry har_reading importing journal record redaction"
    ),
    "mockveo_contracts": "__init__ case check interruption pytest verify workspace",
    "mockveo_contracts/cases": "__init__ definitions generation images kills shards shrinking",
    "mockveo_contracts/cli": (
        "__init__ cases check check_run replay report reporting reporting_options rules verify verify_run"
    ),
    "mockveo_contracts/clients": (
        "__init__ check driver functions messages pending processes programs recorder restarts search "
        "sessions testbed virtual_time wire_log"
    ),
    "mockveo_contracts/reports": (
        "__init__ case_result finding formats github har html json_report junit known_failures model progress "
        "sarif terminal"
    ),
    "mockveo_contracts/servers": (
        "__init__ budget curl exchanges fuzzing http_client pacing plan probe_run probes run server_report "
        "server_rules stateful verify"
    ),
    "mockveo_contracts/servers/rules": "__init__ content lifecycle responses transfer upstream",
}
#: Folder -> its other files.
DATA = {
    "mockveo": "py.typed",
    "mockveo/content": "landscape.jpg landscape.mp4 landscape.webp portrait.jpg portrait.mp4 portrait.webp",
    "mockveo/dashboard": "vendor.LICENSE.txt",
    "mockveo/dashboard/static": (
        "app.js board.js icon.svg index.html job.js parts.css parts.js start.html store.js style.css tools.js "
        "trouble.js vendor.js"
    ),
    "mockveo/interception": "page.js",
    "mockveo/rules": "rules.yaml",
    "mockveo/rules/sets": "2026-11.yaml",
    "mockveo/server": "control.yaml",
    "mockveo/simulator": "scenario.schema.json",
    "mockveo/simulator/stores": "commit.lua",
    "mockveo/traffic": "exchange.schema.json har.schema.json",
    "mockveo_contracts": "py.typed",
    "mockveo_contracts/cases": "case.schema.json catalogue.yaml",
    "mockveo_contracts/reports": "report.css report.html report.js report.schema.json",
    "mockveo_contracts/servers": "rules.yaml",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(directory), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = directory.glob("*.whl")
    return path


def test_wheel_holds_exactly_these_files(wheel: Path) -> None:
    files = {f"{folder}/{name}.py" for folder, names in MODULES.items() for name in names.split()}
    files |= {f"{folder}/{name}" for folder, names in DATA.items() for name in names.split()}
    files |= {f"mockveo/scenarios/{path.name}" for path in (ROOT / "scenarios").glob("*.yaml")}
    files |= {"mockveo/openapi.yaml", "mockveo/overlays/docs-2026-10.yaml", "mockveo/overlays/gateway.yaml"}
    about = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    files |= {f"mockveo-{mockveo.__version__}.dist-info/{name}" for name in about}
    with zipfile.ZipFile(wheel) as archive:
        assert set(archive.namelist()) == files


def test_wheel_works_away_from_the_repository(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import mockveo, pathlib\n"
        "assert pathlib.Path(mockveo.__file__).is_relative_to(sys.argv[1]), mockveo.__file__\n"
        "for profile in ('docs-2026-03', 'docs-2026-10', 'gateway'):\n"
        "    app = mockveo.app(profile=profile, render=False)\n"
        "    assert app.spec.operations['createVideo'].path == '/v1/videos'\n"
        "from mockveo.simulator.scenarios import built_in\n"
        "assert len(list(built_in())) > 20\n"
        "from mockveo_contracts.cases.definitions import catalogue\n"
        "from mockveo_contracts.servers.server_rules import server_rules\n"
        "from mockveo_contracts.reports.html import html\n"
        "assert len(catalogue()) > 60 and len(server_rules().rules) > 40 and '<html' in html([])\n"
        "from mockveo.content.clips import Clips\n"
        "from mockveo.content.media import Source\n"
        "assert Clips(render=False).get(Source('task_1', '9x16', 'p'), 'video')[4:8] == b'ftyp'\n"
    )
    subprocess.run([sys.executable, "-I", "-c", code, str(tmp_path)], cwd=tmp_path, check=True)


def old_python(directory: Path) -> Path:
    """Return a Python that says it is 3.9."""
    program = directory / "python3"
    claim = "import sys; sys.version_info = (3, 9); exec(sys.argv[1])"
    program.write_text(f'#!/bin/sh\nshift\nexec {sys.executable} -c "{claim}" "$@"\n')
    program.chmod(0o755)
    return program


def test_makefile_with_an_old_python_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    command = ["make", "--silent", f"PYTHON={old_python(tmp_path)}", ".venv/bin/python"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "is Python 3.9; expected 3.11 or newer, e.g. make PYTHON=python3.12" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_makefile_whose_environment_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    half = "import os, sys; os.makedirs('.venv/bin'); open('.venv/bin/python', 'w'); sys.exit(1)"
    (tmp_path / "venv.py").write_text(half)
    done = subprocess.run(["make", f"PYTHON={sys.executable}", ".venv/bin/python"], cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert not (tmp_path / ".venv").exists()
