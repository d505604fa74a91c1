"""Serving a case to be called by hand: the same world as in a check, and what to call it with."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from mockveo import yamlfiles
from mockveo.server.app import Application
from mockveo_contracts.cases.definitions import TestCase
from mockveo_contracts.clients.testbed import pictures


@contextmanager
def by_hand(script: TestCase) -> Iterator[Callable[[Application, str], str]]:
    """What makes an application serve a script, and tells how to call it; its images are there for as long."""
    with TemporaryDirectory(prefix="mockveo-") as place:
        images = [image.path for image, _ in pictures(script, Path(place))]

        def opening(app: Application, url: str) -> str:
            one = script.fitted(app.spec)
            app.worlds.reset(one.world, {"seed": one.seed}, one.scenario)
            app.worlds.hold(one.world)
            return _told(one, f"{url}/@{one.world}/v1", images)

        yield opening


def _told(script: TestCase, base_url: str, images: list[str]) -> str:
    form = {"prompt": script.prompt, "model": script.model, "size": script.size}
    fields = " ".join(f"--form-string {shlex.quote(f'{name}={value}')}" for name, value in form.items() if value)
    # curl takes a name in quotes for what it is, whatever is in it.
    quoted = [path.replace("\\", "\\\\").replace('"', '\\"') for path in images]
    parts = "".join(" -F " + shlex.quote(f'input_reference=@"{path}"') for path in quoted)
    lines = [
        f"mockveo replays {script.name}: {script.says}",
        f"  export COMETAPI_BASE_URL={base_url}",
        f"  export COMETAPI_KEY={script.key}",
        f'  curl -H "Authorization: Bearer $COMETAPI_KEY" {fields}{parts} $COMETAPI_BASE_URL/videos',
        f"  give up after {script.deadline:g} s; poll no faster than every {script.poll_interval:g} s; the scenario:",
        *(f"    {line}" for line in yamlfiles.dump(dict(script.scenario.data)).splitlines()),
    ]
    return "\n".join(lines)
