"""The worlds of a server by name: made when first called, the least recently called forgotten."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from mockveo.errors import SettingsError
from mockveo.settings import Settings, typed
from mockveo.simulator import scenarios
from mockveo.simulator.scenarios import Scenario
from mockveo.simulator.world import Origins, World, memory_store
from mockveo.spec.spec import Spec
from mockveo.traffic.journal import Feed, Journal

#: The settings that each world can have of its own.
OWN: Final = (
    *("profile", "scenario", "clock", "speed", "step", "seed", "strict", "self_check", "key", "credit"),
    *("max_body", "max_jobs", "max_image_bytes", "max_exchanges"),
)


class Worlds:
    """The worlds of a server. The one named "" always exists. Safe for threads."""

    def __init__(
        self, settings: Settings, *, seed: int, spec: Callable[[str], Spec], origins: Origins, feed: Feed | None
    ) -> None:
        self._settings = settings
        self._seed = seed
        self._spec = spec
        self._origins = origins
        self._feed = feed
        self._lock = threading.Lock()
        self._named: OrderedDict[str, World] = OrderedDict()
        self._held: set[str] = set()
        # Read once, so that editing the file cannot give worlds different scenarios.
        self._scenario = scenarios.find(settings.scenario)
        self.default = self._made("", settings)

    def get(self, name: str) -> World:
        """Return the world with that name, made now if it does not exist."""
        if not name:
            return self.default
        with self._lock:
            world = self._named.get(name)
            if world is None:
                world = self._named[name] = self._made(name, self._settings)
                self._make_room()
            else:
                self._named.move_to_end(name)
            return world

    def reset(self, name: str, changes: Mapping[str, Any] | None = None, scenario: Scenario | None = None) -> World:
        """Replace a world by a new one, with changes to the server's settings; leave all others alone.

        `scenario` takes precedence over the one in the settings. Raises MockveoError, and keeps the old world, if a
        change is invalid.
        """
        for key in changes or {}:
            if key not in OWN:
                raise SettingsError(f"{key!r} is not a setting of a world; expected one of {', '.join(OWN)}")
        world = self._made(name, replace(self._settings, **typed(changes or {})), scenario)
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
                return

    def _made(self, name: str, settings: Settings, scenario: Scenario | None = None) -> World:
        if scenario is None:
            is_servers = settings.scenario == self._settings.scenario
            scenario = self._scenario if is_servers else scenarios.find(settings.scenario)
        seed = self._seed if settings is self._settings or settings.seed is None else settings.seed
        return World(
            self._spec(settings.profile),
            settings,
            scenario,
            seed=f"{seed}/{name}" if name else seed,
            name=name,
            origins=self._origins,
            store=memory_store(settings, Journal(settings.max_exchanges, self._feed, name)),
        )

    def __iter__(self) -> Iterator[World]:
        with self._lock:
            return iter([self.default, *self._named.values()])

    def __len__(self) -> int:
        return 1 + len(self._named)
