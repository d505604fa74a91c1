"""Versions of libraries: no version that mockveo allows or pins has a vulnerability that SECURITY.md lists."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from paths import ROOT

PINNED = ["requirements/runtime.txt", "requirements/image.txt", "requirements/dev.txt"]


def advisories() -> Iterator[tuple[str, Version, str]]:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    for library, mended, advisory in re.findall(r"^\| (\S+) \| (\d\S*) \| (CVE-\S+|GHSA-\S+) \|", text, re.MULTILINE):
        yield canonicalize_name(library), Version(mended), advisory


def floors() -> Mapping[str, Version]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    requirements = map(Requirement, [*project["dependencies"], *(text for extra in extras for text in extra)])
    return {
        canonicalize_name(requirement.name): Version(specifier.version)
        for requirement in requirements
        for specifier in requirement.specifier
        if specifier.operator == ">="
    }


@pytest.mark.parametrize(("library", "mended", "advisory"), list(advisories()))
def test_allowed_and_pinned_versions_are_mended(library: str, mended: Version, advisory: str) -> None:
    floor = floors().get(library, mended)
    assert floor >= mended, f"pyproject.toml allows {library} {floor}, which has {advisory}"
    for file in PINNED:
        text = (ROOT / file).read_text(encoding="utf-8")
        for version in re.findall(rf"^{library}==([^ \\;]+)", text, re.MULTILINE | re.IGNORECASE):
            assert Version(version) >= mended, f"{file} pins {library} {version}, which has {advisory}"


def test_every_library_that_parses_a_request_is_in_the_table() -> None:
    listed = {library for library, _, _ in advisories()}
    assert {"starlette", "uvicorn", "multipart", "orjson", "pyyaml", "pillow"} <= listed


def test_every_requirement_has_a_floor() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    names = {
        canonicalize_name(Requirement(text).name)
        for text in [*project["dependencies"], *(text for extra in extras for text in extra)]
    }
    assert names - {"mockveo"} == floors().keys()
