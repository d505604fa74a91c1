"""Random ids in the forms that were observed."""

from __future__ import annotations

import random
import string
import time
import uuid
from typing import Final

from mockveo.spec.templates import fill

#: The characters of ids and request ids. Source: observed, `task_` + 32 of these.
ALPHANUMERIC: Final = string.digits + string.ascii_letters
_CHARACTER_OF_BYTE: Final = "".join(ALPHANUMERIC[byte * len(ALPHANUMERIC) // 256] for byte in range(256)).encode()
#: Request ids carry the time of this zone. Source: observed, "20260205132859798638387SIHCnxzJ", taken as UTC+8.
UTC_PLUS_8_S: Final = 8 * 3600


def random_characters(dice: random.Random, count: int) -> str:
    """Return random letters and digits."""
    return dice.randbytes(count).translate(_CHARACTER_OF_BYTE).decode()


def job_id(dice: random.Random) -> str:
    """Return an id for a new job."""
    return f"task_{random_characters(dice, 32)}"


def shaped_id(shape: str, dice: random.Random) -> str:
    """Return an id for a new job in the form of a scenario, e.g. "video_{digits}"."""
    values = {
        "letters": random_characters(dice, 32),
        # 15 digits, none of them a leading zero: every JSON reader keeps such a number exactly.
        "digits": str(dice.randrange(10**14, 10**15)),
        "uuid": str(uuid.UUID(bytes=dice.randbytes(16), version=4)),
    }
    return str(fill(shape, values))


def request_id(dice: random.Random, date: float) -> str:
    """Return a request id: date and time in UTC+8, nanoseconds, 8 characters."""
    moment = time.strftime("%Y%m%d%H%M%S", time.gmtime(date + UTC_PLUS_8_S))
    return f"{moment}{int(date % 1 * 1e9):09d}{random_characters(dice, 8)}"
