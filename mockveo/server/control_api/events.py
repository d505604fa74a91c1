"""The control API's stream of server-sent events. `control.yaml` describes it.

Theory of operation. Nothing is pushed: while somebody listens, the stream looks for what is new ten times a second, so
a server without listeners pays for none of this. Exchanges have numbers, which are the ids of their events, so a client
that comes back goes on where it was. Jobs and the state of the world have none: their events carry the whole, and a
client that comes back gets it anew after `hello`, whose `run` says whether the world is still the one it knew.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, Final

import orjson
from starlette.types import Receive

from mockveo._version import __version__
from mockveo.errors import StoreError
from mockveo.http.responses import Response
from mockveo.server.context import WORLD, RequestContext, refreshed
from mockveo.server.control_api.changes import JobChanges
from mockveo.server.control_lists import job_json
from mockveo.server.control_requests import ControlRequest
from mockveo.server.faults import leaves_within
from mockveo.simulator.world import World
from mockveo.simulator.worlds import Worlds
from mockveo.spec.structure import Json
from mockveo.text import whole_number

#: Pause between two looks for new exchanges. Arbitrary: short for a person.
EVENTS_INTERVAL_S: Final = 0.1
#: Longest silence of an event stream. Source: HTML Standard, section 9.2.7, recommends a comment every 15 seconds.
EVENTS_SILENCE_S: Final = 15.0
#: Exchanges that an event stream takes from the journal at once. Arbitrary.
EVENTS_AT_ONCE: Final = 4


class EventControl:
    """The handler of the stream. `state_of` returns what it shows of a world besides exchanges and jobs."""

    def __init__(
        self,
        worlds: Worlds,
        changes: JobChanges,
        closing: Callable[[], bool],
        state_of: Callable[[RequestContext], Json],
    ) -> None:
        self._worlds = worlds
        self._changes = changes
        self._closing = closing
        self._state_of = state_of

    def follow_exchanges(self, call: RequestContext, request: ControlRequest) -> Response:
        # A browser that reconnects asks for the same URL, and says in the header how far it has come.
        since = call.headers.get(b"last-event-id", b"").decode("latin-1") or request.queries.get("since", "")
        number = call.world.journal.count
        if since.isdecimal():
            number = whole_number(since)
        headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
        if call.scope["method"] == "HEAD":
            return Response(200, headers, b"")
        watching = request.queries["state"] == "true"
        return Response(200, headers, b"", partial(self._events, call, number, watching))

    async def _present(self, name: str) -> World:
        """Return a world as it is now, also if other processes change it; as this one knows it if the store is away."""
        world = self._worlds.get(name)
        if self._worlds.stores.is_shared:
            with suppress(StoreError):
                return await refreshed(world)
        return world

    async def _events(
        self, call: RequestContext, number: int, watching: bool, receive: Receive
    ) -> AsyncIterator[bytes]:
        """Yield server-sent events of the exchanges after a number, and of the state if that is watched."""
        # Imported lazily, since only a dashboard needs it.
        from mockveo.dashboard.exchanges import summary_of

        name = call.world.name
        world, silence = call.world, 0.0
        state = _State(self._changes, self._state_of, call) if watching else None
        yield b": mockveo\n\n"
        if state is not None:
            yield state.hello(world)
        while not self._closing():
            present = await self._present(name)
            if present is not world or number > present.journal.count:
                world, number = present, 0
                yield b"event: reset\ndata: {}\n\n"
                if state is not None:
                    yield state.hello(world)
            # A few at a time: a client that does not read must not keep what the journal has forgotten.
            shown: dict[str, None] = {}
            while exchanges := world.journal.since(number, EVENTS_AT_ONCE):
                for exchange in exchanges:
                    data = exchange.to_json() if state is None else summary_of(exchange.to_json())
                    yield b"event: exchange\nid: %d\ndata: %s\n\n" % (exchange.number, orjson.dumps(data))
                    number = exchange.number
                    shown[exchange.job_id] = None
                silence = 0.0
            for event in state.events(world, shown) if state is not None else ():
                yield event
                silence = 0.0
            if silence >= EVENTS_SILENCE_S:
                yield b": alive\n\n"
                silence = 0.0
            if await leaves_within(EVENTS_INTERVAL_S, call.scope, receive):
                return
            silence += EVENTS_INTERVAL_S


class _State:
    """What one listener has been sent of jobs and of the world's state."""

    def __init__(self, changes: JobChanges, state_of: Callable[[RequestContext], Json], call: RequestContext) -> None:
        self._changes = changes
        self._taken = 0
        self._state_of = state_of
        self._call = call
        self._sent: Any = None

    def hello(self, world: World) -> bytes:
        """Return the first event: which world it is."""
        self._sent, self._taken = None, self._changes.count(world)
        data = {
            "run": self._changes.run_of(world),
            "version": __version__,
            "world": world.name,
            "seed": world.seed,
            "profile": world.settings.profile,
            "base_url": self._call.base_url,
            "corpus": world.settings.corpus or None,
            "last": world.journal.count,
        }
        return _event("hello", data)

    def events(self, world: World, job_ids: Iterable[str]) -> Iterator[bytes]:
        """Yield the jobs that exchanges were about or that were changed, and the state if somebody changed it."""
        changed = self._changes.since(world, self._taken)
        self._taken = self._changes.count(world)
        for job_id in dict.fromkeys([*job_ids, *changed]):
            job = world.jobs.get(job_id) if job_id else None
            if job is not None:
                yield _event("job", job_json(world, job, with_timeline=True))
            elif job_id:
                yield _event("forgotten", {"id": job_id})
        scenarios = world.scenarios
        present = (world.clock.setting, scenarios.plan.key, [each.name for each in scenarios.waiting()])
        if present != self._sent:
            self._sent = present
            self._call.world = self._call.scope[WORLD] = world
            yield _event("state", self._state_of(self._call))


def _event(name: str, data: Json) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps(data))
