"""The ASGI application: it finds the world of a request and passes the request to that world's routes."""

from __future__ import annotations

import random
import re
from collections.abc import Awaitable
from functools import cached_property
from typing import Any, Final

from starlette.routing import Router

from mockveo.content.clips import Clips
from mockveo.http.hosts import Hosts
from mockveo.http.responses import Response, error_of_ours
from mockveo.server.context import PREFIX, WORLD
from mockveo.server.endpoints import EndpointTable
from mockveo.server.routes import bind
from mockveo.settings import Settings
from mockveo.simulator.world import Origins, World
from mockveo.simulator.worlds import Worlds
from mockveo.spec.spec import Spec, load
from mockveo.traffic.journal import Feed

#: Answers scopes that are not HTTP: lifespan and web sockets.
_NOT_HTTP: Final = Router()
#: The prefix of a world. A name has at most 100 characters: arbitrary, but a URL of it stays readable.
_WORLD_PREFIX: Final = re.compile(r"/@([A-Za-z0-9._~-]{1,100})(?=/|$)")
#: The port of the other origin in process, where nothing listens; also the default of `Origins`.
OTHER_PORT_IN_PROCESS: Final = 8361
#: Characters of an invalid name that an error shows. Arbitrary: about one line.
MAX_NAME_CHARACTERS: Final = 80


class Application:
    """The ASGI application and its worlds. `feed` takes the exchanges of all worlds.

    Raises SettingsError, SpecError or ScenarioError, which say what to correct.
    """

    def __init__(self, settings: Settings, *, check_hosts: bool = True, feed: Feed | None = None) -> None:
        self.settings = settings
        self.seed = settings.seed if settings.seed is not None else random.SystemRandom().randrange(2**32)
        self.origins = Origins()
        self.clips = Clips(render=settings.render)
        self._hosts = Hosts(settings.allow_host, settings.allow_origin, checked=check_hosts)
        self._specs: dict[str, Spec] = {}
        #: Profile -> the endpoints at the server's own origin and at the other one.
        self._endpoints: dict[str, tuple[EndpointTable, EndpointTable]] = {}
        self.worlds = Worlds(settings, seed=self.seed, spec=self._spec, origins=self.origins, feed=feed)
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
            self._endpoints[profile] = bind(spec, self.clips, self._hosts)
            self._specs[profile] = spec
        return self._specs[profile]

    @cached_property
    def _control(self) -> EndpointTable:
        # Imported lazily so that a server starts fast if nothing calls its control API.
        from mockveo.server.control import Control

        return Control(self.worlds, self._hosts, lambda: self.closing).endpoints()

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
            if match[1] not in self.worlds and not self._may_make_world(scope):
                return _refuse_world(send)
            world, prefix = self.worlds.get(match[1]), prefix + match[0]
            scope["path"] = path = path[match.end() :] or "/"
        scope[WORLD], scope[PREFIX] = world, prefix
        server = scope.get("server")
        if server and server[1] == self.other_port:
            return self._endpoints[world.settings.profile][1](scope, receive, send)
        if path[1:2] == "_" and path.startswith("/_mockveo"):
            return self._control(scope, receive, send)
        return self._endpoints[world.settings.profile][0](scope, receive, send)

    def _may_make_world(self, scope: Any) -> bool:
        """Return whether a request is not from a page of another site, which could push other worlds out."""
        headers = dict(scope["headers"])
        origin = headers.get(b"origin")
        if origin:
            return self._hosts.allow_origin(origin)
        return self._hosts.serve(headers.get(b"host")) and headers.get(b"sec-fetch-site") != b"cross-site"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one ASGI request, as a coroutine for frameworks that recognise an application by that."""
        await self.asgi(scope, receive, send)


async def _refuse_world(send: Any) -> None:
    text = "a page of another site, or a host that is not served, makes no world; call it from this machine first"
    await _send(error_of_ours(403, "cross_site", text), send)


async def _invalid_name(path: str, send: Any) -> None:
    name = path[2:].partition("/")[0][:MAX_NAME_CHARACTERS]
    message = (
        f"{name!r} cannot be the name of a world; expected up to 100 letters, digits, dots, hyphens, underscores"
        " and tildes, e.g. /@mine/v1/videos"
    )
    await _send(error_of_ours(400, "invalid_world", message), send)


async def _send(response: Response, send: Any) -> None:
    await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
    await send({"type": "http.response.body", "body": response.body})
