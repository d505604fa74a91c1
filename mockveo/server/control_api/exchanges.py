"""The control API's operations on one exchange. `control.yaml` describes them."""

from __future__ import annotations

from functools import partial

from mockveo.server.context import ControlError, RequestContext, in_thread
from mockveo.server.control_requests import ControlRequest, Later
from mockveo.spec.structure import Json
from mockveo.traffic.record import ExchangeRecord


class ExchangeControl:
    """The handlers of an exchange."""

    def get_exchange(self, call: RequestContext, _: ControlRequest) -> Json:
        return find_exchange(call).to_json()

    def get_messages(self, call: RequestContext, _: ControlRequest) -> Json:
        # Imported lazily, here and below, since only a dashboard needs it.
        from mockveo.dashboard.exchanges import messages
        from mockveo.dashboard.snippets import snippets

        exchange = find_exchange(call).to_json()
        origin = call.origins.other if exchange.get("elsewhere") else call.origins.own
        return {"messages": messages(exchange), "code": snippets(exchange, f"{origin}{call.world.prefix}")}

    def compare_exchanges(self, call: RequestContext, request: ControlRequest) -> Later:
        from mockveo.dashboard.exchanges import compared

        first, second = find_exchange(call), find_exchange(call, request.queries["other"])
        return partial(in_thread, lambda: {"rows": compared(first.to_json(), second.to_json())})


def find_exchange(call: RequestContext, digits: str = "") -> ExchangeRecord:
    """Return the exchange of a number, by default of the one that the path names. Raises ControlError."""
    number = int(digits or call.path_value)
    for exchange in call.world.journal.since(number - 1, 1):
        if exchange.number == number:
            return exchange
    message = f"the journal of this world has no exchange {number} (any more)"
    raise ControlError(404, "exchange_not_found", message)
