"""Random ids in the forms that were observed."""

from __future__ import annotations

import string
import time
import uuid
from hashlib import blake2b, sha512
from typing import Final

from mockveo.simulator.stores.store import Counters, Store
from mockveo.spec.templates import fill

#: The characters of ids and request ids. Source: observed, `task_` + 32 of these.
ALPHANUMERIC: Final = string.digits + string.ascii_letters
_CHARACTER_OF_BYTE: Final = "".join(ALPHANUMERIC[byte * len(ALPHANUMERIC) // 256] for byte in range(256)).encode()
#: Request ids carry the time of this zone. Source: observed, "20260205132859798638387SIHCnxzJ", taken as UTC+8.
UTC_PLUS_8_S: Final = 8 * 3600
#: Dice that a world may have: those of its ids and those of its noise.
MAX_DICE: Final = 2


class Dice:
    """A source of random bytes. The n-th draw follows from the seed; the store counts the draws of each name."""

    def __init__(self, store: Store, name: str, seed: int | str) -> None:
        self._draws: Counters = store.counters("draws", MAX_DICE)
        self._name = name
        self._key = sha512(repr(seed).encode()).digest()

    def draw(self, size: int) -> bytes:
        """Return random bytes, at most 64."""
        number = self._draws.increment(self._name)
        return blake2b(b"%d" % number, key=self._key, digest_size=size).digest()


class OneThrow:
    """A source of random bytes that all follow from a text."""

    def __init__(self, text: str) -> None:
        self._key = sha512(text.encode("utf-8", "surrogatepass")).digest()

    def draw(self, size: int) -> bytes:
        """Return random bytes, at most 64, the same each time."""
        return blake2b(key=self._key, digest_size=size).digest()


def _characters(drawn: bytes) -> str:
    return drawn.translate(_CHARACTER_OF_BYTE).decode()


def random_characters(dice: Dice | OneThrow, count: int) -> str:
    """Return random letters and digits, at most 64."""
    return _characters(dice.draw(count))


def job_id(dice: Dice | OneThrow, shape: str | None = None) -> str:
    """Return an id for a new job, in the form of a scenario if it has one, e.g. "video_{digits}"."""
    if shape is None:
        return f"task_{random_characters(dice, 32)}"
    drawn = dice.draw(64)
    values = {
        "letters": _characters(drawn[:32]),
        # 15 digits, none of them a leading zero: every JSON reader keeps such a number exactly.
        "digits": str(10**14 + int.from_bytes(drawn[32:48]) % (9 * 10**14)),
        "uuid": str(uuid.UUID(bytes=drawn[48:], version=4)),
    }
    return str(fill(shape, values))


def request_id(dice: Dice, date: float) -> str:
    """Return a request id: date and time in UTC+8, nanoseconds, 8 characters."""
    moment = time.strftime("%Y%m%d%H%M%S", time.gmtime(date + UTC_PLUS_8_S))
    return f"{moment}{int(date % 1 * 1e9):09d}{random_characters(dice, 8)}"
