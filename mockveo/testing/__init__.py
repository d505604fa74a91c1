"""The objects behind the pytest fixtures; `mockveo.testing.Mockveo` is the type of the fixture `mockveo`.

They work without pytest too:

    with mockveo.serve(**DEFAULTS) as server, MockveoWorlds(server).new("mine", scenario="retry-after") as world:
        my_client(world.base_url, world.key)
        assert world.requests.summary[:3] == ["create 429", "create 429", "create 200 queued"]

The server runs in another thread than the test, so jobs and requests are immutable snapshots.
"""

from mockveo.rules.bill import Bill, BilledJob, JobCount
from mockveo.testing.requests import ReceivedFile, Request, Requests
from mockveo.testing.worlds import DEFAULTS, JobHandle, Mockveo, MockveoWorlds, ScenarioSource, safe_name

__all__ = [
    "DEFAULTS",
    "Bill",
    "BilledJob",
    "JobCount",
    "JobHandle",
    "Mockveo",
    "MockveoWorlds",
    "ReceivedFile",
    "Request",
    "Requests",
    "ScenarioSource",
    "safe_name",
]
