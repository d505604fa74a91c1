"""Where the data files are: beside the package when installed, at the repository's top level in a checkout."""

from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def data_file(name: str) -> Path:
    """The path of `openapi.yaml`, `overlays/` or `scenarios/`, wherever this copy of mockveo keeps it."""
    packaged = _PACKAGE / name
    return packaged if packaged.exists() else _PACKAGE.parent / name


def profiles() -> dict[str, Path | None]:
    """The profiles we ship, by name: the default needs no overlay, each other one is a file of `overlays/`."""
    overlays = data_file("overlays")
    return {"docs-2026-03": None} | {path.stem: path for path in sorted(overlays.glob("*.yaml"))}


@cache
def built_in_scenarios() -> dict[str, Path]:
    """The scenarios we ship, by name: each one is a file of `scenarios/`, and a plain one the first."""
    files = sorted(data_file("scenarios").glob("*.yaml"))
    return {path.stem: path for path in sorted(files, key=lambda path: path.stem != "normal")}
