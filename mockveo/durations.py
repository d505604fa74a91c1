"""Durations as people write them, in seconds."""

from __future__ import annotations

import math
import re
from typing import Final

from mockveo.errors import SettingsError

#: Seconds of each unit, in the order they are written.
UNITS: Final = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_NUMBER: Final = r"([0-9]+(?:\.[0-9]+)?)"
_SECONDS: Final = re.compile(_NUMBER)
_DURATION: Final = re.compile(r"\s*".join(rf"(?:{_NUMBER}\s*{unit})?" for unit in UNITS))


def seconds(duration: float | str) -> float:
    """Return the seconds of 90, "90", "1m30s", "1h 5m" or "250ms".

    Raises SettingsError for anything else, and for a negative or infinite duration.
    """
    value: object = _parse(duration) if isinstance(duration, str) else duration
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise SettingsError(
            f"{duration!r} is not a duration; expected seconds, or numbers with the units {', '.join(UNITS)} in this"
            " order, e.g. 90, 1m30s or 250ms"
        )
    return float(value)


def _parse(text: str) -> float | None:
    text = text.strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        return None
    total = sum(float(number) * unit for number, unit in zip(match.groups("0"), UNITS.values(), strict=True))
    return round(total, 9)  # 9ms are 0.009, not 0.009000000000000001
