"""A case served by hand: the same world as in a check, and how to call it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mockveo import yamlfiles
from mockveo.environment import exports
from mockveo.server.app import Application
from mockveo_contracts.cases.definitions import TestCase
from mockveo_contracts.clients.testbed import write_images
from mockveo_contracts.workspace import workspace


@contextmanager
def by_hand(test_case: TestCase) -> Iterator[Callable[[Application, str], str]]:
    """Return a function that makes an application serve a case, and says how to call it; its images last as long."""
    with workspace() as directory:
        images = [image.path for image, _ in write_images(test_case, directory)]

        def opening(app: Application, url: str) -> str:
            fitted = test_case.fitted(app.spec)
            app.worlds.reset(fitted.world, {"seed": fitted.seed}, fitted.scenario)
            app.worlds.hold(fitted.world)
            return _instructions(fitted, f"{url}/@{fitted.world}/v1", images)

        yield opening


def _instructions(test_case: TestCase, base_url: str, images: list[str]) -> str:
    form = {"prompt": test_case.prompt, "model": test_case.model, "size": test_case.size}
    fields = " ".join(f"--form-string {shlex.quote(f'{name}={value}')}" for name, value in form.items() if value)
    # In quotes curl takes a file's name as it is, whatever characters it has.
    quoted = [path.replace("\\", "\\\\").replace('"', '\\"') for path in images]
    parts = "".join(" -F " + shlex.quote(f'input_reference=@"{path}"') for path in quoted)
    pace = f"give up after {test_case.deadline:g} s; poll no faster than every {test_case.poll_interval:g} s"
    lines = [
        f"mockveo replays {test_case.name}: {test_case.description}",
        *exports(base_url, test_case.key),
        f'  curl -H "Authorization: Bearer $COMETAPI_KEY" {fields}{parts} $COMETAPI_BASE_URL/videos',
        f"  {pace}; the scenario:",
        *(f"    {line}" for line in yamlfiles.dump(dict(test_case.scenario.data)).splitlines()),
    ]
    return "\n".join(lines)
