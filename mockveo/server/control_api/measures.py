"""The control API's operation for Prometheus. `control.yaml` describes it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from mockveo.errors import StoreError
from mockveo.http.responses import Response
from mockveo.server.context import ControlError, RequestContext, refreshed
from mockveo.server.control_requests import ControlRequest
from mockveo.simulator.worlds import Worlds

if TYPE_CHECKING:
    from mockveo.server.control_api.prometheus import Metrics


class MetricsControl:
    """The handler of metrics, which are None unless the server was asked to count."""

    def __init__(self, worlds: Worlds, metrics: Metrics | None) -> None:
        self._worlds = worlds
        self._metrics = metrics

    def get_metrics(self, call: RequestContext, _: ControlRequest) -> Response:
        metrics = self._metrics
        if metrics is None:
            raise ControlError(404, "no_metrics", "this server counts nothing; expected `mockveo serve --metrics`")

        async def made() -> Response:
            import anyio.to_thread

            if self._worlds.stores.is_shared:
                with suppress(StoreError):
                    for world in list(self._worlds):
                        await refreshed(world)
            return await anyio.to_thread.run_sync(metrics.response, self._worlds)

        call.later = made
        return Response(200, [], b"")
