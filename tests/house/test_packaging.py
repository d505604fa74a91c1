"""The wheel: exactly these files, and they work where the repository is not."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from paths import ROOT

import mockveo


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(directory), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = directory.glob("*.whl")
    return built


def test_it_holds_exactly_these_files(wheel: Path) -> None:
    names = (
        "__init__ __main__ _paths answers api calls checks cli clips clock commands console control document"
        " durations errors faults files forms har hosts jobs journal overlays protocol pytest_plugin remote"
        " rendering rules rules_course rules_outcome rules_requests scenarios server settings spec stores"
        " stories structure styles testing traces uploads values vocabulary watch wire world worlds"
    )
    contracts = (
        "__init__ case check client_report conversations drivers formats functions generated images junit"
        " known logs page processes programs pytest replay report sarif scripts server_budget server_checks"
        " server_checks_content server_checks_course server_exchanges server_fuzz server_histories server_pace"
        " server_probes server_report server_rules server_run server_wire sessions stage terminal verify"
        " virtual wording"
    )
    modules = {f"mockveo/{name}.py" for name in names.split()}
    modules |= {f"mockveo_contracts/{name}.py" for name in contracts.split()}
    media = {
        f"mockveo/content/{shape}.{kind}" for shape in ("landscape", "portrait") for kind in ("mp4", "webp", "jpg")
    }
    data = {"mockveo/openapi.yaml", "mockveo/overlays/docs-2026-10.yaml", "mockveo/overlays/gateway.yaml"}
    data |= {f"mockveo/scenarios/{path.name}" for path in (ROOT / "scenarios").glob("*.yaml")}
    data |= {"mockveo/scenario.schema.json", "mockveo/control.yaml", "mockveo/rules.yaml"}
    data |= {f"mockveo_contracts/report.{kind}" for kind in ("css", "html", "js", "schema.json")}
    data |= {
        f"mockveo_contracts/{name}" for name in ("case.schema.json", "catalogue.yaml", "server_rules.yaml", "py.typed")
    }
    about = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    info = {f"mockveo-{mockveo.__version__}.dist-info/{name}" for name in about}
    with zipfile.ZipFile(wheel) as archive:
        assert set(archive.namelist()) == modules | media | data | info | {"mockveo/py.typed"}


def test_it_works_away_from_the_repository(wheel: Path, tmp_path: Path) -> None:
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
        "from mockveo_contracts.reports.html import page\n"
        "assert len(catalogue()) > 60 and len(server_rules().rules) > 40\n"
        "from mockveo.content.clips import Clips, Source\n"
        "assert Clips(render=False).get(Source('task_1', '9x16', 'p'), 'video')[4:8] == b'ftyp'\n"
    )
    subprocess.run([sys.executable, "-I", "-c", code, str(tmp_path)], cwd=tmp_path, check=True)
