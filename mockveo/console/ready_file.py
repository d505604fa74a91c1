"""The ready file: says where a server listens. It never takes the place of another file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import orjson

from mockveo._paths import write_whole
from mockveo.errors import SettingsError

#: Most bytes of a ready file: a URL twice, a port and a process id.
_MAX_BYTES: Final = 4096


class ReadyFile:
    """The ready file of this process."""

    def __init__(self, path: Path) -> None:
        """Check the path, and touch nothing. Raises SettingsError if it holds something else, or cannot be written."""
        self._path = path
        self._content: Mapping[str, Any] | None = None
        with _explained(path):
            _check(path)

    def write(self, url: str, port: int) -> None:
        """Write it in one step, so that a reader never sees half of it. Raises SettingsError."""
        content = {"url": url, "base_url": f"{url}/v1", "port": port, "pid": os.getpid()}
        with _explained(self._path):
            _check(self._path)  # Again: it may have been made while the server started.
            write_whole(self._path, orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE))
        self._content = content

    def remove(self) -> None:
        """Remove what this process wrote, unless another has taken its place."""
        if self._content is not None and _read(self._path) == self._content:
            self._path.unlink(missing_ok=True)


def _check(path: Path) -> None:
    """Raise OSError if a path is neither free nor the ready file of an earlier run."""
    if not os.access(path.parent.resolve(strict=True), os.W_OK | os.X_OK):
        raise PermissionError(None, "no permission to write in its directory")
    if os.path.lexists(path) and _read(path) is None:
        raise FileExistsError(None, "it exists, and mockveo did not write it")


def _read(path: Path) -> Mapping[str, Any] | None:
    """Return what a ready file says, None if the path is anything else. Opens nothing but a regular file."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        with path.open("rb") as file:
            content = orjson.loads(file.read(_MAX_BYTES))
    except (OSError, orjson.JSONDecodeError):
        return None
    return content if isinstance(content, dict) and {"url", "pid"} <= content.keys() else None


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SettingsError(
            f"--ready-file {str(path)!r} cannot be written: {error.strerror}; expected a new file in an existing"
            " directory, or the ready file of an earlier run, e.g. --ready-file ready.json"
        ) from None
