"""The places of the data files, in the package or in a checkout; and writing a file whole or not at all."""

import errno
import os
import secrets
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


def write_whole(path: Path, data: bytes, *, private: bool = False) -> None:
    """Write a file in one step; a private one only its owner can read. Raises OSError, and the old file stays."""
    cannot_be_replaced = path.exists() and not path.is_file()  # a pipe or a terminal
    path = path.resolve()  # A link stays, and leads to the new file.
    if cannot_be_replaced or (path.exists() and not os.access(path.parent, os.W_OK)):
        path.write_bytes(data)
        return
    unfinished = path.with_name(f"{path.name[:50]}.{secrets.token_hex(4)}")  # names have an end
    try:
        descriptor = os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600 if private else 0o666)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        _replace(path, unfinished, data)
    finally:
        unfinished.unlink(missing_ok=True)


def _replace(path: Path, unfinished: Path, data: bytes) -> None:
    try:
        unfinished.replace(path)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        path.write_bytes(data)  # a file that is mounted by itself, as containers do
