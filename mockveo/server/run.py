"""From settings to a running server: `Server` serves an application on a socket, `ServerThread` in a thread.

uvicorn does the HTTP. What is added here is small: readiness is reported when the socket listens, a client that
closes its sending side early still gets a response, and Ctrl-C is a clean end.
"""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import uvicorn

from mockveo.environment import client_environment
from mockveo.errors import SettingsError
from mockveo.server.app import Application
from mockveo.server.connection import ClientConnection
from mockveo.settings import Settings, flag

_Result = TypeVar("_Result")

#: A key that clients can use when any key will do.
SAMPLE_KEY: Final = "sk-mockveo"
#: Turns of the loop in which a new connection is accepted, its bytes are read, and a response begins.
SETTLE_TURNS: Final = 5
#: Connections that are accepted in a turn of the loop. Far below the spare descriptors, because some turns go by before
#: other connections are closed for them.
ACCEPTS_PER_TURN: Final = 8
#: Connections that wait in the kernel to be accepted; those beyond try again after a second. Precedent: uvicorn.
BACKLOG: Final = 2048
#: How long open exchanges may take to finish when the server stops. Arbitrary.
SHUTDOWN_GRACE_S: Final = 2
#: How long idle clients get to send a request to a worker that ends, or to notice that it does. Arbitrary.
DRAIN_S: Final = 1.0
DRAIN_PAUSE_S: Final = 0.02
#: How long a thread may take to start or stop. Arbitrary: far longer than on a busy machine.
THREAD_TIMEOUT_S: Final = 30


@dataclass(frozen=True, slots=True)
class Listener:
    """A further socket on which a server answers, with TLS if it has a context."""

    socket: socket.socket
    tls: ssl.SSLContext | None = None
    #: Whether requests that come to it are to the other origin.
    other_origin: bool = False


class Server(uvicorn.Server):
    """A server on a socket that is bound at once, so a port in use is reported before the start.

    `sockets` are those of `listening_sockets` if they are bound already. If it `drains`, connections are not closed at
    the end until their clients know. Raises SettingsError if the address cannot be bound.
    """

    def __init__(
        self,
        app: Application,
        *,
        on_ready: Callable[[], None] = lambda: None,
        on_beat: Callable[[], None] = lambda: None,
        sockets: list[socket.socket] | None = None,
        drains: bool = False,
    ) -> None:
        settings = app.settings
        super().__init__(
            uvicorn.Config(
                app.asgi,
                http=ClientConnection,
                loop="mockveo.realtime:RealTimeLoop",
                ws="none",
                lifespan="off",
                interface="asgi3",
                access_log=False,
                log_config=None,
                log_level="critical",
                server_header=False,
                date_header=False,  # The world's clock gives the date.
                proxy_headers=False,
                timeout_graceful_shutdown=SHUTDOWN_GRACE_S,
                backlog=ACCEPTS_PER_TURN,
            )
        )
        self._app = app
        self._on_ready = on_ready
        self._on_beat = on_beat
        self._further: list[Listener] = []
        #: The loop on which it runs, once it does.
        self.loop: asyncio.AbstractEventLoop | None = None
        self._drains = drains
        try:
            self._sockets = sockets or listening_sockets(settings)
        except SettingsError:
            app.close()
            raise
        app.other_port = self._sockets[1].getsockname()[1]
        #: The port on which it listens.
        self.port: int = self._sockets[0].getsockname()[1]
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
        origin = f"http://[{host}]" if ":" in host else f"http://{host}"
        #: Its root without a trailing slash, e.g. http://127.0.0.1:8360.
        self.url = f"{origin}:{self.port}"
        app.origins.listen_at(self.url, f"{origin}:{app.other_port}")

    def listen_on(self, listener: Listener) -> None:
        """Answer on a further socket too, from the start on."""
        self._further.append(listener)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, and report it."""
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(_report)
        self._looked = asyncio.get_running_loop().time()
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(BACKLOG)
        for further in self._further:
            self.servers.append(await self._serve_further(self.loop, further))
        self._on_ready()

    async def _serve_further(self, loop: asyncio.AbstractEventLoop, listener: Listener) -> asyncio.Server:
        def connection() -> ClientConnection:
            made = ClientConnection(self.config, self.server_state, self.lifespan.state, loop)
            if listener.other_origin:
                made.seeming_port = self._app.other_port
            return made

        return await loop.create_server(connection, sock=listener.socket, ssl=listener.tls, backlog=BACKLOG)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening and making clips."""
        self._app.closing = True
        self._app.clips.close()
        if self._drains:
            await self._drain()
        await super().shutdown(sockets)

    async def _drain(self) -> None:
        """Take no new connections, and let each response say that it is the last; other workers go on."""
        for server in self.servers:
            server.close()
        self.server_state.default_headers.append((b"connection", b"close"))
        deadline = asyncio.get_running_loop().time() + DRAIN_S
        # No event, as uvicorn has none for the end of a connection.
        while self.server_state.connections and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(DRAIN_PAUSE_S)

    async def on_tick(self, counter: int) -> bool:
        """Watch for idle and slow connections once a second; uvicorn calls this ten times a second."""
        self._on_beat()
        if counter % 10 == 0:
            now = asyncio.get_running_loop().time()
            passed, self._looked = now - self._looked, now  # more than a second while the server is busy
            for connection in list(self.server_state.connections):
                assert isinstance(connection, ClientConnection)
                connection.wait(passed)
        return await super().on_tick(counter)

    async def settle(self) -> bool:
        """Take what clients have sent so far; return whether a response is still under way."""
        for _ in range(SETTLE_TURNS):
            await asyncio.sleep(0)
        connections: Any = self.server_state.connections
        # A connection has no cycle before its first request.
        cycles = [connection.cycle for connection in connections if connection.cycle is not None]
        return any(not cycle.response_complete for cycle in cycles)

    def close(self) -> None:
        """Release the ports and the store, even if the server never ran."""
        self._app.close()
        for listener in self._sockets:
            listener.close()

    def run_here(self) -> None:
        """Serve in the calling thread until `should_exit`; in the main thread signals end it cleanly."""
        try:
            with _quiet_signals(), self._ended_by_hang_up():
                self.run(sockets=self._sockets)
        finally:
            self._app.close()

    @contextmanager
    def _ended_by_hang_up(self) -> Iterator[None]:
        """Let SIGHUP, e.g. of a closed terminal, end the server too, unless it is ignored as by `nohup`."""
        number = getattr(signal, "SIGHUP", None)
        in_main = threading.current_thread() is threading.main_thread()
        if number is None or not in_main or signal.getsignal(number) is signal.SIG_IGN:
            yield
            return

        def end(*_: object) -> None:
            self.should_exit = True

        before = signal.signal(number, end)
        try:
            yield
        finally:
            signal.signal(number, before)


def listening_sockets(settings: Settings) -> list[socket.socket]:
    """Return the bound sockets of the server's own origin and of the other one, and perhaps those on ::1.

    Raises SettingsError if an address cannot be bound.
    """
    sockets: list[socket.socket] = []
    try:
        sockets.append(bind(settings.host, settings.port, "port"))
        sockets.append(bind(settings.host, settings.other_port, "other_port"))
        if settings.host in ("127.0.0.1", "localhost"):
            # What some programs take `localhost` for.
            for name, listener in zip(("port", "other_port"), list(sockets), strict=True):
                try:
                    sockets.append(bind("::1", listener.getsockname()[1], name))
                except SettingsError as error:
                    if getattr(settings, name) and "is taken" in str(error):
                        raise
    except SettingsError:
        for each in sockets:
            each.close()
        raise
    return sockets


def bind(host: str, port: int, setting: str) -> socket.socket:
    """Return a socket for an address of a setting. Raises SettingsError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only if the protocol is named; without it a response waits 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        if port:
            # Until a socket listens, another server can bind its port too, and only one of them could start.
            listener.listen(BACKLOG)
    except (OSError, OverflowError, TypeError) as error:  # TypeError: the host cannot be encoded
        listener.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise SettingsError(
                f"port {port} of {host} is taken, perhaps by another mockveo; choose one with"
                f" {flag(setting)} {port + 1}, or {flag(setting)} 0 for a free one"
            ) from None
        if isinstance(error, PermissionError):
            raise SettingsError(
                f"port {port} of {host} needs more rights than this user has; choose a higher one, e.g."
                f" {flag(setting)} {port + 8000}"
            ) from None
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingsError(
            f"cannot listen on {host}, port {port}: {reason}; the default is --host 127.0.0.1"
        ) from None
    return listener


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what failed in the loop, except that no connection can be accepted, which asyncio tries again."""
    error = context.get("exception")
    if not (isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)):
        loop.default_exception_handler(context)


@contextmanager
def _quiet_signals() -> Iterator[None]:
    """Ignore the signal that stopped uvicorn, which uvicorn raises again at its end."""
    in_main = threading.current_thread() is threading.main_thread()
    handled = (signal.SIGINT, signal.SIGTERM) if in_main else ()
    before = [signal.signal(number, lambda *_: None) for number in handled]
    try:
        yield
    finally:
        for number, handler in zip(handled, before, strict=True):
            signal.signal(number, handler)


class ServerThread:
    """A server in its own thread, for tests and notebooks: `with mockveo.serve() as server: server.base_url`."""

    def __init__(self, settings: Settings) -> None:
        if settings.workers > 1:
            raise SettingsError(
                f"workers is {settings.workers}; expected 1: a thread is one worker, `serve` has several"
            )
        self.app = Application(settings)
        self._ready = threading.Event()
        self._server = Server(self.app, on_ready=self._ready.set)
        self._started = False
        #: A key that the server accepts.
        self.key = settings.key[0] if settings.key else SAMPLE_KEY
        #: The server's root, e.g. http://127.0.0.1:40123.
        self.url = self._server.url
        #: The base URL of clients; ends in /v1.
        self.base_url = f"{self.url}/v1"
        #: Environment variables for a client in another process.
        self.env = client_environment(self.base_url, self.key)
        self._thread = threading.Thread(target=self._server.run_here, name="mockveo", daemon=True)

    def start(self) -> Self:
        """Start to serve; return once the server listens."""
        self._started = True
        self._thread.start()
        if not self._ready.wait(timeout=THREAD_TIMEOUT_S):
            raise RuntimeError(f"the server did not start within {THREAD_TIMEOUT_S} s")
        return self

    def listen_on(self, listener: Listener) -> None:
        """Answer on a further socket too, from the start on."""
        self._server.listen_on(listener)

    def call(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Run a coroutine in the server's loop, once it has started, and return its result."""
        assert self._server.loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._server.loop).result()

    def settle(self) -> bool:
        """Let the server take what clients have sent so far; return whether a response is still under way."""
        return self._server.loop is not None and self.call(self._server.settle())

    def begin_stop(self) -> None:
        """Let the server stop, without waiting for it."""
        self._server.should_exit = True

    def stop(self) -> None:
        """Stop the server; return once the port is free again."""
        self.begin_stop()
        if self._started:
            self._thread.join(timeout=THREAD_TIMEOUT_S)
        self._server.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
