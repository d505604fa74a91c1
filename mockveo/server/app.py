"""From settings to a running server: `build` makes the ASGI application, `Server` runs it on a socket.

uvicorn does the HTTP. What is added here is small: readiness is told when the socket listens, a client that closes
its sending side early still gets an answer, and Ctrl-C is a clean end.
"""

from __future__ import annotations

import asyncio
import errno
import random
import re
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from types import TracebackType
from typing import Any, Final, Self

import uvicorn
from starlette.routing import Router

from mockveo.content.clips import Clips
from mockveo.errors import SettingsError
from mockveo.http.hosts import LOOPBACK_ORIGIN, Hosts
from mockveo.http.responses import Response, error_of_ours
from mockveo.server.connection import Protocol
from mockveo.server.context import PREFIX, WORLD
from mockveo.server.endpoints import Routes
from mockveo.server.handlers import bind
from mockveo.settings import Settings, flag
from mockveo.simulator.world import Origins, World
from mockveo.simulator.worlds import Worlds
from mockveo.spec.spec import Spec, load
from mockveo.traffic.journal import Feed

#: A key to paste where any key will do.
SAMPLE_KEY: Final = "sk-mockveo"
#: What answers the scopes that are no requests: to begin and to end, and web sockets.
_NO_HTTP: Final = Router()
_WORLD: Final = re.compile(r"/@([A-Za-z0-9._~-]{1,100})(?=/|$)")
#: Turns of the loop in which a new connection is accepted, its bytes read, and an answer to them begun.
_TURNS: Final = 5
#: Seconds that open exchanges get to finish in when the server is stopped.
GRACE: Final = 2


class Application:
    """The ASGI application and what is behind it. `feed` takes the exchanges of all worlds."""

    def __init__(self, settings: Settings, *, check_hosts: bool = True, feed: Feed | None = None) -> None:
        self.settings = settings
        self.seed = settings.seed if settings.seed is not None else random.SystemRandom().randrange(2**32)
        self.origins = Origins()
        self.clips = Clips(render=settings.render)
        self._hosts = Hosts(settings.allow_host) if check_hosts else None
        self._specs: dict[str, Spec] = {}
        self._routes: dict[str, tuple[Routes, Routes]] = {}
        self.worlds = Worlds(settings, seed=self.seed, spec=self._spec, origins=self.origins, feed=feed)
        #: The port of the other origin.
        self.other_port = 8361
        #: Whether the server is about to stop.
        self.closing = False

    @property
    def world(self) -> World:
        """The default world, whose paths have no prefix."""
        return self.worlds.default

    @property
    def spec(self) -> Spec:
        """The document of the default world."""
        return self.worlds.default.spec

    def _spec(self, profile: str) -> Spec:
        if profile not in self._specs:
            spec = load(self.settings.spec, profile=profile, overlays=self.settings.overlay)
            self._routes[profile] = bind(spec, self.clips, self._hosts)
            self._specs[profile] = spec
        return self._specs[profile]

    @cached_property
    def _control(self) -> Routes:
        # Here, not above: a server that nobody controls does not wait for it.
        from mockveo.server.control import Control

        return Control(self.worlds, self._hosts, lambda: self.closing).routes()

    def asgi(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        """Answers one ASGI request: finds its world, and leaves the rest to that one's routes.

        What it returns is to be awaited; as a coroutine of its own it would cost each request a frame.
        """
        if scope["type"] != "http":
            return _NO_HTTP(scope, receive, send)
        path: str = scope["path"]
        world, prefix = self.worlds.default, scope.get("root_path", "")
        if prefix:
            scope["path"] = path = path.removeprefix(prefix)
        if path[1:2] == "@":
            found = _WORLD.match(path)
            if found is None:
                return _misnamed(path, send)
            if found[1] not in self.worlds and not self._admits(scope):
                return _refused(send)
            world, prefix = self.worlds.get(found[1]), prefix + found[0]
            scope["path"] = path = path[found.end() :] or "/"
        scope[WORLD], scope[PREFIX] = world, prefix
        server = scope.get("server")
        if server and server[1] == self.other_port:
            return self._routes[world.settings.profile][1](scope, receive, send)
        if path[1:2] == "_" and path.startswith("/_mockveo"):
            return self._control(scope, receive, send)
        return self._routes[world.settings.profile][0](scope, receive, send)

    def _admits(self, scope: Any) -> bool:
        """Whether a request may make a world: not a page's of another site, which would push others out."""
        headers = dict(scope["headers"])
        origin = headers.get(b"origin", b"").decode("latin-1")
        if self._hosts is None or origin:
            return not origin or re.fullmatch(LOOPBACK_ORIGIN, origin) is not None
        return self._hosts.serve(headers.get(b"host")) and headers.get(b"sec-fetch-site") != b"cross-site"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The same as a coroutine, as which frameworks know an ASGI application."""
        await self.asgi(scope, receive, send)


def build(settings: Settings, *, check_hosts: bool = True) -> Application:
    """The application for these settings. Raises SettingsError or SpecError, which say what to mend."""
    return Application(settings, check_hosts=check_hosts)


class Server(uvicorn.Server):
    """A server on a socket that is bound when it is made, so that a taken port is known at once.

    Raises SettingsError where the address cannot be bound.
    """

    def __init__(
        self,
        app: Application,
        *,
        on_ready: Callable[[], None] = lambda: None,
        on_beat: Callable[[], None] = lambda: None,
    ) -> None:
        settings = app.settings
        super().__init__(
            uvicorn.Config(
                app.asgi,
                http=Protocol,
                loop="asyncio",
                ws="none",
                lifespan="off",
                interface="asgi3",
                access_log=False,
                log_config=None,
                log_level="critical",
                server_header=False,
                date_header=False,  # ours is by the clock of the world
                proxy_headers=False,
                timeout_graceful_shutdown=GRACE,
            )
        )
        self._app = app
        self._on_ready = on_ready
        self._on_beat = on_beat
        #: What it runs on, once it does.
        self.loop: asyncio.AbstractEventLoop | None = None
        self._socket = _bind(settings.host, settings.port, "port")
        try:
            self._other = _bind(settings.host, settings.other_port, "other_port")
        except SettingsError:
            self._socket.close()
            raise
        app.other_port = self._other.getsockname()[1]
        #: The port it listens on.
        self.port: int = self._socket.getsockname()[1]
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
        #: Where it is, without a trailing slash, e.g. http://127.0.0.1:8360.
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}"
        app.origins.own, app.origins.other = self.url, f"{self.url.rpartition(':')[0]}:{app.other_port}"

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts to listen, and says so."""
        self.loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops to listen, and to make clips."""
        self._app.closing = True
        self._app.clips.close()
        await super().shutdown(sockets)

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        self._on_beat()
        if counter % 10 == 0:
            for connection in list(self.server_state.connections):
                assert isinstance(connection, Protocol)
                connection.wait(1.0)
        return await super().on_tick(counter)

    async def settle(self) -> bool:
        """Takes what clients have sent so far; whether an answer is still under way."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        connections: Any = self.server_state.connections
        # None before the first request of a connection.
        return any(one.cycle is not None and not one.cycle.response_complete for one in connections)

    def close(self) -> None:
        """Gives the port back, of a server that was never run too."""
        self._socket.close()
        self._other.close()

    def run_here(self) -> None:
        """Serves in the calling thread until `should_exit`; in the main thread SIGINT and SIGTERM are a clean end."""
        with _quiet_signals():
            self.run(sockets=[self._socket, self._other])


def _bind(host: str, port: int, setting: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named since asyncio sets TCP_NODELAY only where it is: without, an answer waits 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise SettingsError(
                f"port {port} of {host} is taken, perhaps by another mockveo; choose one with"
                f" {flag(setting)} {port + 1}, or {flag(setting)} 0 for a free one"
            ) from None
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingsError(
            f"cannot listen on {host}, port {port}: {reason}; the default is --host 127.0.0.1"
        ) from None
    return listener


async def _refused(send: Any) -> None:
    text = "a page of another site, or a host that is not served, makes no world; call it from this machine first"
    await _send(error_of_ours(403, "cross_site", text), send)


async def _send(answer: Response, send: Any) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _misnamed(path: str, send: Any) -> None:
    name = path[2:].partition("/")[0]
    message = (
        f"{name[:80]!r} cannot be the name of a world; wanted up to 100 letters, digits, dots, hyphens, underscores"
    )
    await _send(error_of_ours(400, "invalid_world", f"{message} and tildes, e.g. /@mine/v1/videos"), send)


@contextmanager
def _quiet_signals() -> Iterator[None]:
    """The signal that stopped uvicorn is raised again when it is done; here that is to end in nothing."""
    in_main = threading.current_thread() is threading.main_thread()
    handled = (signal.SIGINT, signal.SIGTERM) if in_main else ()
    before = [signal.signal(number, lambda *_: None) for number in handled]
    try:
        yield
    finally:
        for number, handler in zip(handled, before, strict=True):
            signal.signal(number, handler)


class ServerThread:
    """A server in a thread of its own, for tests and notebooks: `with mockveo.serve() as server: server.base_url`."""

    def __init__(self, settings: Settings) -> None:
        self.app = build(settings)
        self._ready = threading.Event()
        self._server = Server(self.app, on_ready=self._ready.set)
        self._started = False
        #: A key that the server accepts.
        self.key = settings.key[0] if settings.key else SAMPLE_KEY
        #: The server's root, e.g. http://127.0.0.1:40123.
        self.url = self._server.url
        #: What clients take as base URL; ends in /v1.
        self.base_url = f"{self.url}/v1"
        #: For the environment of a program that is a client.
        self.env = {"COMETAPI_BASE_URL": self.base_url, "COMETAPI_KEY": self.key}
        self._thread = threading.Thread(target=self._server.run_here, name="mockveo", daemon=True)

    def start(self) -> Self:
        """Starts to serve; returns once it listens."""
        self._started = True
        self._thread.start()
        if not self._ready.wait(timeout=30):
            raise RuntimeError("the server did not start within 30 s")
        return self

    def settle(self) -> bool:
        """Lets the server take what clients have sent so far; whether an answer is still under way."""
        loop = self._server.loop
        return loop is not None and asyncio.run_coroutine_threadsafe(self._server.settle(), loop).result()

    def stop(self) -> None:
        """Stops; returns once the port is free again."""
        self._server.should_exit = True
        if self._started:
            self._thread.join(timeout=30)
        self._server.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
