"""A local mock server for CometAPI's shared /v1/videos route, and contract tests for its clients and servers.

    with mockveo.serve(speed=100) as server:
        client = MyClient(base_url=server.base_url, api_key=server.key)

`serve` and `app` take the settings of `mockveo serve`, e.g. `speed=100, scenario="fails"`. Importing the package is
cheap: the server is loaded when one of them is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mockveo._version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack

    from mockveo.keywords import RunKeywords, SettingsKeywords
    from mockveo.server.app import Application
    from mockveo.server.run import ServerThread
    from mockveo.testing.programs import ProgramResult

__all__ = ["__version__", "app", "run", "serve"]


def serve(**settings: Unpack[SettingsKeywords]) -> ServerThread:
    """Return a server on a free port of 127.0.0.1, in a thread.

    It is a context manager that starts and stops the server. Raises MockveoError, whose message says what to fix.
    """
    from mockveo.server.run import ServerThread
    from mockveo.settings import of

    return ServerThread(of(**{"port": 0, **settings}))


def app(**settings: Unpack[SettingsKeywords]) -> Application:
    """Return an ASGI application, e.g. for httpx.ASGITransport or starlette.testclient.TestClient.

    Raises MockveoError, whose message says what to fix.
    """
    from mockveo.server.app import Application
    from mockveo.settings import of

    return Application(of(**settings), check_hosts=False)


def run(command: Sequence[str], **keywords: Unpack[RunKeywords]) -> ProgramResult:
    """Run a program, unmodified, against the fake, as `mockveo run` does, and return what it did.

    It has `exit_status`, `stdout`, `stderr`, `requests`, `findings`, `proof` and `bill`. Raises MockveoError if the
    program cannot be run, or not within `timeout` seconds.
    """
    from mockveo.settings import Settings
    from mockveo.testing.programs import run as run_program

    return run_program(command, Settings(), keywords)
