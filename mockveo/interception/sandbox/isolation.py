"""Which isolations there are here: what `auto` tries, and what `mockveo doctor` says beforehand."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final

from mockveo.interception.sandbox import kernel

#: The isolations, the strongest first.
ISOLATIONS: Final = ("namespace", "landlock", "environment")
_NOT_LINUX: Final = "this system has none; only Linux does"


def candidates(isolate: str, refusals: dict[str, str], *, require_proof: bool = False) -> Iterator[str]:
    """Yield the isolations to try, the strongest first; note in `refusals` why others are out of the question."""
    allowed = ISOLATIONS if isolate == "auto" else (isolate,)
    if require_proof:
        allowed = ("namespace",)
    for isolation in allowed:
        refusal = obvious_refusal(isolation)
        if refusal:
            refusals[isolation] = refusal
        else:
            yield isolation


def obvious_refusal(isolation: str) -> str:
    """Return why an isolation is impossible here, or "" if only a try can show it."""
    if isolation == "environment":
        return ""
    if sys.platform != "linux":
        return _NOT_LINUX
    if isolation == "landlock":
        version = kernel.landlock_version()
        if version == 0:
            return "the kernel has no Landlock, or it is off; Linux 6.7 with lsm=landlock on its command line has it"
        if version < kernel.LANDLOCK_TCP:
            return f"Landlock {version} of this kernel cannot restrict TCP; Linux 6.7 and newer can"
    return ""
