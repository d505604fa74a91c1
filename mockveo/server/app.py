"""The ASGI application: it finds the world of a request and passes the request to that world's routes."""

from __future__ import annotations

import random
import re
from collections.abc import Awaitable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from starlette.routing import Router

from mockveo.content.clips import Clips
from mockveo.errors import SettingsError, StoreError
from mockveo.http.hosts import Hosts
from mockveo.http.origins import ServerOrigins, host_of
from mockveo.http.responses import Response, error_of_ours
from mockveo.server.context import PREFIX, WORLD
from mockveo.server.endpoints import EndpointTable
from mockveo.server.routes import bind
from mockveo.settings import Settings
from mockveo.simulator.world import World
from mockveo.simulator.worlds import Worlds
from mockveo.spec.spec import Spec, load
from mockveo.text import brief
from mockveo.traffic.journal import Feed

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from mockveo.server.control_api.prometheus import Metrics

#: Answers scopes that are not HTTP: lifespan and web sockets.
_NOT_HTTP: Final = Router()
#: The prefix of a world. A name has at most 100 characters: arbitrary, but a URL of it stays readable.
_WORLD_PREFIX: Final = re.compile(r"/@([A-Za-z0-9._~-]{1,100})(?=/|$)")
#: The port of the other origin in process, where nothing listens; also the default of `Origins`.
OTHER_PORT_IN_PROCESS: Final = 8361


class Application:
    """The ASGI application and its worlds. `feed` takes the exchanges of all worlds.

    Raises SettingsError, SpecError or ScenarioError, which say what to correct.
    """

    def __init__(self, settings: Settings, *, check_hosts: bool = True, feed: Feed | None = None) -> None:
        self.settings = settings
        self.seed = settings.seed if settings.seed is not None else random.SystemRandom().randrange(2**32)
        self.origins = ServerOrigins(settings.public_url, settings.other_url)
        self.clips = Clips(render=settings.render)
        #: The names that requests may be for.
        self.hosts = Hosts(settings.allow_host, settings.allow_origin, checked=check_hosts)
        for url in (settings.public_url, settings.other_url):
            if url is not None and (host := host_of(url)):
                self.hosts.allow(host["name"])
        self._specs: dict[str, Spec] = {}
        #: Profile -> the endpoints at the server's own origin and at the other one.
        self._endpoints: dict[str, tuple[EndpointTable, EndpointTable]] = {}
        #: What it counts for Prometheus, if that is asked for.
        self.metrics = _metrics() if settings.metrics else None
        if self.metrics is not None:
            feed = self.metrics.feed(feed)
        self.worlds = Worlds(settings, seed=self.seed, spec=self._spec, origins=self.origins, feed=feed)
        if self.metrics is not None:
            self.worlds.stores.watch(self.metrics.observe_store)
        #: The port of the other origin.
        self.other_port = OTHER_PORT_IN_PROCESS
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
            settings = self.settings
            spec = load(settings.spec, profile=profile, overlays=settings.overlay, models=settings.model)
            self._endpoints[profile] = bind(spec, self.clips, self.hosts)
            self._specs[profile] = spec
        return self._specs[profile]

    @cached_property
    def _control(self) -> ASGIApp:
        # Imported lazily so that a server starts fast if nothing calls its control API.
        from mockveo.server.control import Control

        return Control(self.worlds, self.hosts, self.clips, lambda: self.closing, self.metrics).app()

    def asgi(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        """Return an awaitable that serves one ASGI request; as a coroutine it would cost each request a frame."""
        if scope["type"] != "http":
            return _NOT_HTTP(scope, receive, send)
        path: str = scope["path"]
        world, prefix = self.worlds.default, scope.get("root_path", "")
        if prefix:
            scope["path"] = path = path.removeprefix(prefix)
        if path[1:2] == "@":
            match = _WORLD_PREFIX.match(path)
            if match is None:
                return _invalid_name(path, send)
            if match[1] not in self.worlds and (self.worlds.stores.is_shared or not self._may_make_world(scope)):
                return self._open_and_serve(match[1], scope, receive, send)
            world, prefix = self.worlds.get(match[1]), prefix + match[0]
            scope["path"] = path = path[match.end() :] or "/"
        scope[WORLD], scope[PREFIX] = world, prefix
        server = scope.get("server")
        if server and server[1] == self.other_port:
            return self._endpoints[world.settings.profile][1](scope, receive, send)
        if (path[1:2] == "_" and path.startswith("/_mockveo")) or (path == "/" and _is_opened(scope)):
            return self._control(scope, receive, send)
        return self._endpoints[world.settings.profile][0](scope, receive, send)

    async def _open_and_serve(self, name: str, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request once its world has been read from the store, if it may make one."""
        if not self._may_make_world(scope):
            await _refuse_world(send)
            return
        import anyio.to_thread

        try:
            await anyio.to_thread.run_sync(self.worlds.get, name)
        except StoreError as error:
            await _send(error_of_ours(503, "store_unavailable", str(error)), send)
        else:
            await self.asgi(scope, receive, send)

    def close(self) -> None:
        """Have all worlds kept; it serves no more then."""
        self.worlds.stores.close()

    def _may_make_world(self, scope: Any) -> bool:
        """Return whether a request is not from a page of another site, which could push other worlds out."""
        headers = dict(scope["headers"])
        origin = headers.get(b"origin")
        if origin:
            return self.hosts.allow_origin(origin)
        return self.hosts.serve(headers.get(b"host")) and headers.get(b"sec-fetch-site") != b"cross-site"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one ASGI request, as a coroutine for frameworks that recognise an application by that."""
        await self.asgi(scope, receive, send)


def _is_opened(scope: Any) -> bool:
    """Return whether somebody opens a path in a browser, which asks for a page as no client of the API does."""
    headers = dict(scope["headers"])
    is_navigation = headers.get(b"sec-fetch-mode", b"navigate") == b"navigate"
    return scope["method"] in ("GET", "HEAD") and is_navigation and b"text/html" in headers.get(b"accept", b"")


def _metrics() -> Metrics:
    # Imported lazily, as it needs an extra and is rarely wanted.
    try:
        from mockveo.server.control_api.prometheus import Metrics
    except ModuleNotFoundError as error:
        if error.name != "prometheus_client":
            raise
        raise SettingsError(
            "--metrics needs the prometheus_client package; install it with: pip install 'mockveo[metrics]'"
        ) from None
    return Metrics()


async def _refuse_world(send: Any) -> None:
    text = "a page of another site, or a host that is not served, makes no world; call it from this machine first"
    await _send(error_of_ours(403, "cross_site", text), send)


async def _invalid_name(path: str, send: Any) -> None:
    name = brief(path[2:].partition("/")[0])
    message = (
        f"{name} cannot be the name of a world; expected up to 100 letters, digits, dots, hyphens, underscores"
        " and tildes, e.g. /@mine/v1/videos"
    )
    await _send(error_of_ours(400, "invalid_world", message), send)


async def _send(response: Response, send: Any) -> None:
    await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
    await send({"type": "http.response.body", "body": response.body})
