"""Cases that kill a client everywhere: in each exchange of a normal run, one case for each, as crash testers do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from mockveo_contracts.cases.definitions import TestCase, parse_case

#: The group of such a case; its name has that of the case, the number and the operation of the exchange.
EVERYWHERE = "kill-everywhere/"


def kill_everywhere(test_case: TestCase, operations: Iterable[str]) -> Iterator[TestCase]:
    """Yield a case with a kill for each exchange of a normal run of a case, given the operations of that run."""
    counts = Counter[str]()
    base = test_case.name.rpartition("/")[2]
    scenario = test_case.data["scenario"]
    data = test_case.scenario.data if isinstance(scenario, str) else scenario
    for number, operation in enumerate(operations, 1):
        counts[operation] += 1
        kill = "during" if operation in ("content", "delivery") else "before"
        fault = {"operation": operation, "nth": counts[operation], "kill": kill}
        if operation == "create":
            fault["applied"] = True
        where = f"the {operation} that is exchange {number}"
        yield parse_case(
            {
                **test_case.data,
                "name": f"{EVERYWHERE}{base}-{number}-{operation}",
                "says": f"{test_case.name}, and the client is killed in {where}.",
                "scenario": {**data, "faults": [fault, *data.get("faults", ())]},
            }
        )
