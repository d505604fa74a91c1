"""The worlds of a server by name: made when first called, the least recently called forgotten."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from mockveo.errors import SettingsError
from mockveo.http.origins import ServerOrigins
from mockveo.settings import Settings, typed
from mockveo.simulator import scenarios
from mockveo.simulator.fault_selection import Kills
from mockveo.simulator.scenarios import Scenario
from mockveo.simulator.stores.kinds import open_stores
from mockveo.simulator.stores.store import WorldReplacedError
from mockveo.simulator.world import World
from mockveo.spec.spec import Spec
from mockveo.text import brief
from mockveo.traffic.journal import Feed

#: The settings that each world can have of its own.
OWN: Final = (
    *("profile", "scenario", "clock", "speed", "step", "seed", "strict", "self_check", "key", "credit", "budget"),
    *("max_body", "max_jobs", "max_image_bytes", "max_exchanges"),
)


class Worlds:
    """The worlds of a server. The one named "" always exists. Safe for threads."""

    def __init__(
        self, settings: Settings, *, seed: int, spec: Callable[[str], Spec], origins: ServerOrigins, feed: Feed | None
    ) -> None:
        self._settings = settings
        self._seed = seed
        self._spec = spec
        self._origins = origins
        #: What keeps the worlds.
        self.stores = open_stores(settings, feed)
        self._lock = threading.Lock()
        self._named: OrderedDict[str, World] = OrderedDict()
        self._held: set[str] = set()
        # Read once, so that editing the file cannot give worlds different scenarios.
        self._scenario = scenarios.find(settings.scenario)
        self.default = self._made("")
        for name in self.stores.names()[: settings.max_worlds]:
            self.get(name)

    def get(self, name: str) -> World:
        """Return the world with that name, made now if it does not exist."""
        if not name:
            return self.default
        with self._lock:
            world = self._named.get(name)
            if world is not None:
                self._named.move_to_end(name)
                return world
        # Without the lock, because a shared store takes its time.
        made = self._made(name)
        with self._lock:
            world = self._named.setdefault(name, made)
            self._make_room()
            return world

    def reopen(self, world: World) -> World:
        """Return a world as it is now, because another process has replaced it."""
        present = self.get(world.name)
        return present if present is not world else self._install(world.name, self._made(world.name))

    def reset(
        self,
        name: str,
        changes: Mapping[str, Any] | None = None,
        scenario: Scenario | None = None,
        *,
        kills: Kills | None = None,
    ) -> World:
        """Replace a world by a new one, with changes to the server's settings; leave all others alone.

        `scenario` takes precedence over the one in the settings; it may kill the client if there are `kills`. Raises
        MockveoError, and keeps the old world, if a change is invalid.
        """
        for key in changes or {}:
            if key not in OWN:
                raise SettingsError(f"{brief(key)} is not a setting of a world; expected one of {', '.join(OWN)}")
        return self._install(name, self._made(name, changes or {}, scenario, fresh=True, kills=kills))

    def load(self, name: str, document: Any) -> World:
        """Replace a world by a saved one. Raises MockveoError, and keeps the old world, if the document is invalid."""
        from mockveo.simulator import saving

        def prepare(new: World) -> None:
            saving.fill(new, document)

        return self._install(name, self._made(name, saving.changes_of(document), fresh=True, prepare=prepare))

    def _install(self, name: str, world: World) -> World:
        with self._lock:
            if name:
                self._named[name] = world
                self._named.move_to_end(name)
                self._make_room()
            else:
                self.default = world
        return world

    def __contains__(self, name: str) -> bool:
        return not name or name in self._named

    def hold(self, name: str) -> None:
        """Keep a world from being forgotten, until `release`."""
        self._held.add(name)

    def release(self, name: str) -> None:
        """Let a world be forgotten again."""
        self._held.discard(name)

    def _make_room(self) -> None:
        if len(self._named) <= self._settings.max_worlds:
            return
        for name in self._named:
            if name not in self._held:
                del self._named[name]
                self.stores.forget(name)
                return

    def _made(
        self,
        name: str,
        changes: Mapping[str, Any] | None = None,
        scenario: Scenario | None = None,
        *,
        fresh: bool = False,
        prepare: Callable[[World], None] = lambda _: None,
        kills: Kills | None = None,
    ) -> World:
        launch = None if fresh else self.stores.launch(name)
        if launch is not None:
            changes = launch["changes"]
        settings = replace(self._settings, **typed(changes)) if changes else self._settings
        is_servers = settings.scenario == self._settings.scenario
        own = self._scenario if is_servers else scenarios.find(settings.scenario)
        seed = self._seed if not changes or settings.seed is None else settings.seed
        if launch is not None and settings.seed is None:
            seed = launch["seed"]
        world = World(
            self._spec(settings.profile),
            settings,
            scenario or own,
            seed=f"{seed}/{name}" if name else seed,
            name=name,
            origins=self._origins,
            store=self.stores.open(name, settings, fresh=fresh),
            kills=kills,
        )
        prepare(world)
        if not world.store.is_fleeting:
            _relaunch(world, launch, {"changes": changes or {}, "seed": seed, "scenario": [own.name, own.data]})
            try:
                world.store.submit()
            except WorldReplacedError:  # Another process has just made it.
                return self._made(name)
        world.reopened = lambda: self.reopen(world)
        return world

    def __iter__(self) -> Iterator[World]:
        with self._lock:
            return iter([self.default, *self._named.values()])

    def __len__(self) -> int:
        return 1 + len(self._named)


def _relaunch(world: World, before: Mapping[str, Any] | None, launch: dict[str, Any]) -> None:
    """Keep with what a world is made; settings that have changed since the time before take effect.

    The scenario is that of the settings, also if a caller gave the world another one.
    """
    launch |= {name: getattr(world.settings, name) for name in ("clock", "speed", "step")}
    if before is not None:
        for name, attribute in (("clock", "mode"), ("speed", "speed"), ("step", "step")):
            if launch[name] != before[name]:
                setattr(world.clock, attribute, launch[name])
        if launch["scenario"] != before["scenario"]:
            name, data = launch["scenario"]
            world.use(scenarios.scenario(data, name))
    if launch != before:
        world.store.cell("launch", None).value = launch
