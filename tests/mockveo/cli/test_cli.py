"""The command as a user runs it: a process, its output, its files and its exit status."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
from commands import CLEAN
from serve_process import run, running

import mockveo
from mockveo.cli.main import COMMANDS, main
from mockveo.settings import Settings, flag

KEY = {"Authorization": "Bearer sk-secret-key"}
FORM = {"prompt": (None, "a kite")}


@pytest.mark.parametrize("command", [[], ["serve"]])
def test_serve_prints_where_it_listens_and_logs_each_exchange(tmp_path: Path, command: list[str]) -> None:
    with running(tmp_path, *command, "--seed", "7", "--no-findings") as server:
        assert httpx.post(f"{server.url}/v1/videos", headers=KEY, files=FORM).status_code == 200
        assert httpx.post(f"{server.url}/v1/videos", headers=KEY, data={"prompt": "p"}).status_code == 200
        assert httpx.get(f"{server.url}/v1/videos/x").status_code == 401
        status, out, err = server.stop()
    assert (status, err) == (0, "")
    first, base, key, _, proxy, *lines = out.splitlines()
    assert first.startswith(f"mockveo {mockveo.__version__} on {server.url}  (profile docs-2026-03, scenario normal")
    assert "speed 10, seed 7" in first
    assert base == f"  export COMETAPI_BASE_URL={server.url}/v1"
    assert key == "  export COMETAPI_KEY=sk-mockveo"
    assert "127.0.0.1,localhost" in proxy
    assert lines.pop() == "bill: 2 made, 0 delivered, 0 wasted, 2 open; the price of veo3-fast is unknown"
    assert [re.sub("task_[0-9A-Za-z]{32}", "ID", line[9:]) for line in lines] == [
        "POST /v1/videos 200 queued 0 % ID",
        "POST /v1/videos 200 queued 0 % ID",
        "! sent as application/x-www-form-urlencoded; the page says multipart/form-data",
        "GET /v1/videos/x 401 invalid_token",
        "! there is no Authorization header",
    ]
    assert "sk-secret-key" not in out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_stops_cleanly_with_an_open_connection(tmp_path: Path, number: int) -> None:
    with running(tmp_path) as server, httpx.Client() as client:
        client.get(f"{server.url}/api/models")
        status, _, err = server.stop(number)
    assert (status, err) == (0, "")
    assert not (tmp_path / "ready.json").exists()


def test_json_log_holds_each_exchange(tmp_path: Path) -> None:
    with running(tmp_path, "--log", "json", "--no-findings") as server:
        httpx.post(f"{server.url}/v1/videos", headers=KEY, data={"prompt": "p"})
        httpx.get(f"{server.url}/nowhere")
        status, out, _ = server.stop()
    assert status == 0
    create, unknown, end = (json.loads(line) for line in out.splitlines())
    assert (end["bill"]["made"], end["bill"]["open"]) == (1, 1)
    assert create["operation"] == "createVideo"
    assert create["response"]["status"] == 200
    assert create["job_status"] == "queued"
    assert create["key"].startswith("key ")
    assert create["deviations"][0]["code"] == "content-type"
    assert (unknown["response"]["status"], unknown["error"], unknown["key"]) == (404, "unknown_path", None)
    assert "sk-secret-key" not in out


def test_log_ends_with_the_bill_of_all_worlds_and_their_waste(tmp_path: Path) -> None:
    with running(tmp_path, "--clock", "manual") as server:
        for world in ("", "/@mine"):
            httpx.post(f"{server.url}{world}/v1/videos", headers=KEY, files=FORM)
        httpx.post(f"{server.url}/@mine/_mockveo/clock/advance", json={"seconds": 600})
        _, out, _ = server.stop()
    bill, wasted = out.splitlines()[-2:]
    assert bill.startswith("bill: 2 made, 0 delivered, 1 wasted, 1 open (1 abandoned while running); ")
    assert re.fullmatch(
        r" +task_\w+ veo3-fast in /@mine: abandoned while running: made 600 s ago, .* \[exchange 1\]", wasted
    )


@pytest.mark.parametrize("log", ["text", "json"])
def test_log_reports_each_finding_once(tmp_path: Path, log: str) -> None:
    with running(tmp_path, "--log", log, "--scenario", "accepted-then-dropped") as server:
        for _ in range(2):
            with suppress(httpx.ReadError):
                httpx.post(f"{server.url}/v1/videos", headers=KEY, files=FORM)
        for _ in range(3):
            httpx.get(f"{server.url}/v1/videos/x?api_key=sk-secret-key", headers=KEY)
            time.sleep(0.15)
        _, out, err = server.stop()
    assert err == ""
    assert "sk-secret-key" not in out
    lines = out.splitlines()
    if log == "json":
        logged = [line["finding"] for line in map(json.loads, lines) if "finding" in line]
        findings = [(finding["verdict"], finding["rule"], finding["message"]) for finding in logged]
    else:
        matches = [re.fullmatch(r" +\? (\w+) of ([a-z-]+): (.*)", line) for line in lines]
        findings = [(match[1], match[2], match[3]) for match in matches if match]
    retry = "2 creates for one call, after a lost response: 1 job is paid for in vain"
    assert findings.count(("warning", "no-blind-retry", retry)) == 1
    assert [finding[:2] for finding in findings].count(("violation", "auth-in-url")) == 1


def test_settings_can_be_environment_variables(tmp_path: Path) -> None:
    with running(
        tmp_path, MOCKVEO_SEED="9", MOCKVEO_SPEED="3", MOCKVEO_KEY="sk-secret-key", MOCKVEO_STRICT="1"
    ) as server:
        assert httpx.post(f"{server.url}/v1/videos", headers=KEY, data={"prompt": "p"}).status_code == 400
        assert httpx.get(f"{server.url}/v1/models", headers={"Authorization": "Bearer other"}).status_code == 401
        _, out, _ = server.stop()
    assert "speed 3, seed 9" in out
    assert "sk-secret-key" not in out


@pytest.mark.parametrize("setting", fields(Settings), ids=lambda setting: setting.name)
def test_invalid_variable_of_a_setting_is_refused(setting: Any) -> None:
    """Each variable is read: an invalid value stops the start, and the message shows it."""
    bad = {"host": "192.0.2.1", "profile": "x", "spec": "nowhere.yaml", "overlay": "nowhere.yaml", "scenario": "x"}
    bad |= {"corpus": __file__, "store": "nowhere/mockveo.db"}
    value = bad.get(setting.name, "not a number")
    if setting.name in ("key", "model", "allow_host", "allow_origin"):
        return  # any text is valid; test_settings_can_be_environment_variables covers the key
    result = (
        run("--port", "0", **{f"MOCKVEO_{setting.name.upper()}": value})
        if setting.name != "port"
        else run(MOCKVEO_PORT=value)
    )
    assert result.returncode == 2
    assert value in result.stderr or value.split()[0] in result.stderr
    assert "Traceback" not in result.stderr


def test_serve_help_shows_flag_and_variable_of_each_setting() -> None:
    text = re.sub(r"\s+", " ", run("serve", "--help").stdout)
    for setting in fields(Settings):
        assert f"{flag(setting.name)}" in text
        assert f"env var: MOCKVEO_{setting.name.upper()}" in text


def test_taken_port_is_explained_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("--port", str(port))
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr == (
        f"mockveo: port {port} of 127.0.0.1 is taken, perhaps by another mockveo; choose one with"
        f" --port {port + 1}, or --port 0 for a free one\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--speed", "-1"], "mockveo: --speed is -1.0; expected 1e-06 to 1e+09, e.g. --speed 10\n"),
        (["--speed", "0"], "mockveo: --speed is 0; expected more than 0. To stop time use --clock manual\n"),
        (
            ["--clock", "sundial"],
            "mockveo: --clock is 'sundial'; expected one of wall, manual, poll, e.g. --clock manual\n",
        ),
        (
            ["--scenario", "nromal"],
            "mockveo: the scenario 'nromal' does not exist; did you mean 'normal'? expected one of normal,",
        ),
        (["--profile", "x"], "mockveo: the profile 'x' does not exist; expected one of docs-2026-03,"),
        (["--spec", "nowhere.yaml"], "mockveo: nowhere.yaml: cannot be read: No such file or directory\n"),
        (["--port", "x"], "mockveo: --port is 'x'; expected a whole number, e.g. --port 8360\n"),
        (["--prot", "1"], "No such option '--prot'. (Did you mean one of: '--host', '--port'"),
        (
            ["sevre"],
            "mockveo: the command is 'sevre'; did you mean 'serve'? expected one of serve, run, doctor, advance,",
        ),
        # Hosts that cannot be a name of DNS.
        (["--host", "é.."], "mockveo: cannot listen on é.., port 8360: encoding of hostname failed; the default is"),
        (["--store", "redis://.."], "mockveo: --store is redis://..: its host and port cannot be read;"),
        (["jobs", "--url", "x" * 64], "expected the root URL of a mockveo server, e.g. --url http://127.0.0.1:8360\n"),
        (["--log", "yaml"], "mockveo: --log is 'yaml'; expected one of text, json, e.g. --log text\n"),
    ],
)
def test_mistake_is_explained_and_exits_with_2(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("arguments", [["--port"], ["report", "--as"], ["judge"], ["explain"], ["scenarios"], []])
def test_error_about_a_long_value_fits_a_screen(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "r.json").touch()
    result = run(*arguments, "x" * 70_000, *([str(tmp_path / "r.json")] if "report" in arguments else []))
    assert result.returncode == 2
    assert result.stderr.startswith(("mockveo: ", "Usage: mockveo "))
    assert len(result.stderr) < 4200


def test_overlay_without_effect_is_a_warning(tmp_path: Path) -> None:
    overlay = tmp_path / "o.yaml"
    overlay.write_text("overlay: 1.0.0\nactions: [{target: $.nope, update: {}}]")
    with running(tmp_path, "--overlay", str(overlay)) as server:
        _, _, err = server.stop()
    assert err == "mockveo: warning: o.yaml: action 1: `target` '$.nope' selects nothing\n"


def test_host_beyond_loopback_is_a_warning(tmp_path: Path) -> None:
    with running(tmp_path, "--host", "0.0.0.0") as server:
        assert server.url.startswith("http://127.0.0.1:")
        _, _, err = server.stop()
    assert err.startswith("mockveo: warning: --host 0.0.0.0 opens the server to the network")


def test_version_is_printed() -> None:
    assert run("--version").stdout == f"mockveo {mockveo.__version__}\n"


def test_help_lists_each_command_with_its_summary() -> None:
    text = run("--help").stdout
    for title, section in COMMANDS.items():
        assert f"\n{title}:\n" in text
        for name, entry in section.items():
            assert re.search(rf"^  {name} +{re.escape(entry.summary)}$", text, re.MULTILINE), name


@pytest.mark.parametrize("name", [name for section in COMMANDS.values() for name in section])
def test_command_help_begins_with_the_summary_of_the_table(name: str) -> None:
    context = click.Context(main)
    command = main.get_command(context, name)
    assert command.name == name
    summary = next(entry for section in COMMANDS.values() for key, entry in section.items() if key == name).summary
    assert command.get_short_help_str(200) == summary
    for parameter in command.params:
        assert not isinstance(parameter, click.Option) or parameter.help, parameter.name


def test_help_and_version_load_no_server() -> None:
    code = r"""
import re, sys
from mockveo.cli.main import COMMANDS, main
names = [name for section in COMMANDS.values() for name in section]
for arguments in (["--help"], ["--version"], *([name, "--help"] for name in names)):
    main(arguments, standalone_mode=False)
    heavy = {"starlette", "uvicorn", "asyncio", "yaml", "jsonschema_rs", "orjson", "hypothesis", "multipart"}
    kit = r"mockveo_contracts\.(reports\.(?!formats$)|clients|servers)"
    heavy |= {name for name in sys.modules if re.match(kit, name)}
    assert not heavy & set(sys.modules), (arguments, heavy & set(sys.modules))
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=CLEAN)
    subprocess.run(
        [sys.executable, "-c", "import sys, mockveo; assert 'starlette' not in sys.modules"], check=True, env=CLEAN
    )


def test_exchanges_too_fast_for_the_log_are_counted(tmp_path: Path) -> None:
    with running(tmp_path, "--max-exchanges", "5") as server:
        with httpx.Client() as client:
            for _ in range(200):
                client.get(f"{server.url}/api/models")
        _, out, err = server.stop()
    logged = sum("GET /api/models" in line for line in out.splitlines())
    left_out = sum(int(count) for count in re.findall(r"mockveo: (\d+) exchanges came too fast", err))
    assert logged + left_out == 200


def test_reader_that_does_not_read_blocks_nothing(tmp_path: Path) -> None:
    with running(tmp_path) as server:  # its standard output is not read
        with httpx.Client(timeout=10) as client:
            for _ in range(300):
                for path in ("/api/models?", "/v1/" + "x" * 2000):
                    client.get(f"{server.url}{path}")
        server.process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + 15
        while server.process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert server.process.returncode == 0


def test_reader_that_closed_the_pipe_stops_nothing(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        assert server.process.stdout is not None
        server.process.stdout.close()
        for _ in range(5):
            assert httpx.get(f"{server.url}/api/models").status_code == 200
            time.sleep(0.15)
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(15) == 0
        assert server.process.stderr is not None
        assert server.process.stderr.read() == ""


def test_output_that_is_not_utf_8_stops_nothing(tmp_path: Path) -> None:
    with running(tmp_path, PYTHONIOENCODING="ascii") as server:
        assert httpx.get(f"{server.url}/%E6%97%A5").status_code == 404
        time.sleep(0.3)
        assert httpx.get(f"{server.url}/%E6%97%A5").status_code == 404
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(15) == 0


def test_ctrl_c_does_not_wait_for_clips_of_clients_that_left(tmp_path: Path) -> None:
    with running(tmp_path, "--scenario", "instant", "--render") as server:
        jobs = [httpx.post(f"{server.url}/v1/videos", headers=KEY, files=FORM).json()["id"] for _ in range(8)]
        for job in jobs:
            with pytest.raises(httpx.ReadTimeout):
                httpx.get(f"{server.url}/v1/videos/{job}/content", headers=KEY, timeout=0.05)
        begun = time.monotonic()
        status, _, err = server.stop()
    assert (status, err) == (0, "")
    assert time.monotonic() - begun < 8


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["rules"], ["scenarios", "schema"], ["scenarios"]])
def test_output_that_is_closed_or_full_ends_without_a_traceback(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "mockveo", *arguments]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=CLEAN, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("mockveo: ")
    assert done.stderr.endswith("No space left on device\n")
    closed = ["sh", "-c", 'exec "$@" <&- >&-', "sh", *command]
    done = subprocess.run(closed, stderr=subprocess.PIPE, text=True, env=CLEAN, check=False)
    assert (done.returncode, done.stderr) == (0, "")
