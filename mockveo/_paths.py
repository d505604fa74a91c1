"""The places of the data files, in the package or in a checkout."""

from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def data_file(name: str) -> Path:
    """Return the path of `openapi.yaml`, `overlays/` or `scenarios/`."""
    packaged = _PACKAGE / name
    return packaged if packaged.exists() else _PACKAGE.parent / name


def profiles() -> dict[str, Path | None]:
    """Return the overlays of the profiles by name; the default profile has none."""
    overlays = data_file("overlays")
    return {"docs-2026-03": None} | {path.stem: path for path in sorted(overlays.glob("*.yaml"))}


@cache
def built_in_scenarios() -> dict[str, Path]:
    """Return the files of the built-in scenarios by name, the plain one first."""
    files = sorted(data_file("scenarios").glob("*.yaml"))
    return {path.stem: path for path in sorted(files, key=lambda path: path.stem != "normal")}
