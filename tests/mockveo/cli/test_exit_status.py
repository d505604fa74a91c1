"""The exit status of a command that does not come to its end, which is never that of a broken rule."""

from __future__ import annotations

import logging
from tempfile import gettempdir

import click
import pytest
from click.testing import CliRunner

from mockveo.cli.main import LazyGroup, main


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(13, "Permission denied", "a.json"), "mockveo: [Errno 13] Permission denied: 'a.json'\n"),
        (
            OSError(28, "No space left on device"),
            f"mockveo: there is no room for the output, or for files in {gettempdir()}: No space left on device\n",
        ),
        (KeyboardInterrupt(), "mockveo: interrupted\n"),
        (click.Abort(), "mockveo: interrupted\n"),
        (KeyError("id"), ""),
    ],
    ids=lambda value: type(value).__name__,
)
def test_command_that_could_not_run_exits_with_2(
    error: BaseException, message: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails() -> None:
        raise error

    monkeypatch.setattr(LazyGroup, "get_command", lambda *_: click.Command("check", callback=fails))
    result = CliRunner().invoke(main, ["check"])
    assert (result.exit_code, result.output) == (2, message)
    assert [record.levelno for record in caplog.records] == ([] if message else [logging.ERROR])
