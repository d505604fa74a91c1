"""The temporary directories of runs: each goes with its run, or with the next one if the run was killed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mockveo_contracts.workspace import LOCK, PREFIX, workspace

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nothing is removed there")
RUN = """
import sys
from mockveo_contracts.workspace import workspace
with workspace() as path:
    (path / "1").mkdir()
    print(path, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def run() -> tuple[subprocess.Popen[str], Path]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", RUN], text=True, **pipes)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_directory_of_a_killed_run_goes_with_the_next_one_and_that_of_a_live_run_stays(temporary: Path) -> None:
    (killed, left), (alive, kept) = run(), run()
    try:
        killed.kill()
        killed.communicate()
        assert left.is_dir()
        with workspace() as mine:
            assert sorted(temporary.iterdir()) == sorted([kept, mine])
        assert (kept / "1").is_dir()
    finally:
        alive.communicate("")
    assert list(temporary.iterdir()) == []


def test_what_is_not_surely_ours_stays(temporary: Path) -> None:
    target = temporary / "target"
    target.mkdir()
    (target / LOCK).touch()
    (temporary / f"{PREFIX}link").symlink_to(target)
    for name, mode in (("open", 0o777), ("being-made", 0o700)):
        (temporary / f"{PREFIX}{name}").mkdir()
        (temporary / f"{PREFIX}{name}").chmod(mode)
    (temporary / f"{PREFIX}open" / LOCK).touch()
    (temporary / f"{PREFIX}file").touch()
    before = sorted(temporary.rglob("*"))
    with workspace():
        pass
    assert sorted(temporary.rglob("*")) == before


def test_directory_that_is_being_made_is_not_taken_for_a_dead_one(temporary: Path) -> None:
    def start_and_end(runs: int) -> None:
        for _ in range(runs):
            with workspace() as mine:
                (mine / "1").mkdir()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(start_and_end, [100] * 4))
    assert list(temporary.iterdir()) == []
