"""`--ready-file` as a user knows it: it says where the server listens, and harms no other file."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import httpx
import pytest
from serve_process import run, running

#: What may be at a path that mockveo did not write.
FOREIGN = {
    "text": "precious: yes\n",
    "nothing": "",
    "JSON": '{"url": "http://127.0.0.1:1"}',
    "list": '["url", "pid"]',
    "long": '{"url": "", "pid": 1, "more": "%s"}' % ("x" * 5000),
}


def assert_refused(path: Path) -> None:
    done = run("--port", "0", "--ready-file", str(path))
    assert done.returncode == 2
    assert done.stderr.startswith(f"mockveo: --ready-file '{path}' cannot be written: ")
    assert done.stderr.endswith("e.g. --ready-file ready.json\n")
    assert done.stderr.count("\n") == 1


def test_ready_file_holds_url_port_and_pid(tmp_path: Path) -> None:
    with running(tmp_path, "--quiet") as server:
        assert set(server.ready) == {"url", "base_url", "port", "pid"}
        assert server.ready["base_url"] == f"{server.url}/v1"
        assert server.ready["pid"] == server.process.pid
        assert httpx.get(f"{server.url}/api/models").status_code == 200
        assert [path.name for path in tmp_path.iterdir()] == ["ready.json"]
        assert server.stop() == (0, "", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["missing/ready.json", "file/ready.json", ".", "x" * 300])
def test_ready_file_that_cannot_be_written_is_explained_in_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    assert_refused(tmp_path / name)


@pytest.mark.parametrize("kind", FOREIGN)
def test_ready_file_over_a_foreign_file_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "precious.yaml"
    path.write_text(FOREIGN[kind])
    assert_refused(path)
    assert path.read_text() == FOREIGN[kind]
    assert list(tmp_path.iterdir()) == [path]


def test_ready_file_over_a_pipe_or_a_link_is_refused(tmp_path: Path) -> None:
    pipe, link, dangling = (tmp_path / name for name in ("pipe", "link", "dangling"))
    os.mkfifo(pipe)
    (tmp_path / "ready.json").write_text('{"url": "http://127.0.0.1:1", "pid": 1}')
    link.symlink_to("ready.json")
    dangling.symlink_to("nowhere")
    before = sorted(tmp_path.iterdir())
    for path in (pipe, link, dangling):
        assert_refused(path)
    assert sorted(tmp_path.iterdir()) == before
    assert pipe.is_fifo()
    assert link.is_symlink()
    assert dangling.is_symlink()


def test_failed_start_touches_no_ready_file(tmp_path: Path) -> None:
    path = tmp_path / "ready.json"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        arguments = ("--port", str(taken.getsockname()[1]), "--ready-file", str(path))
        assert run(*arguments).returncode == 2
        assert not path.exists()
        path.write_text('{"url": "http://127.0.0.1:1", "pid": 1}')
        os.utime(path, (1, 1))
        assert run(*arguments).returncode == 2
    assert path.stat().st_mtime == 1


def test_ready_file_of_a_killed_server_is_replaced(tmp_path: Path) -> None:
    with running(tmp_path) as killed:
        killed.process.kill()
        killed.process.wait()
    assert json.loads((tmp_path / "ready.json").read_text()) == killed.ready
    with running(tmp_path, "--quiet") as server:
        assert server.ready["pid"] == server.process.pid != killed.ready["pid"]
        assert server.stop() == (0, "", "")
    assert not (tmp_path / "ready.json").exists()


def test_server_leaves_the_ready_file_of_a_later_one(tmp_path: Path) -> None:
    with running(tmp_path, "--quiet") as earlier, running(tmp_path, "--quiet") as later:
        assert earlier.stop() == (0, "", "")
        assert json.loads((tmp_path / "ready.json").read_text()) == later.ready
        assert later.stop() == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_server_leaves_a_file_that_took_the_place_of_its_own(tmp_path: Path) -> None:
    with running(tmp_path, "--quiet") as server:
        (tmp_path / "ready.json").write_text("mine now")
        assert server.stop() == (0, "", "")
    assert (tmp_path / "ready.json").read_text() == "mine now"
