"""A client as a program: the lines of the client protocol, for a function that plays a case.

A first line that is a hello begins a session, one that is a case asks for that case alone.
"""

from __future__ import annotations

import json
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

from course import FEATURES, Case, Result

#: A client that plays a case.
Play: TypeAlias = Callable[[Case], Result]
#: Cases that are played at the same time, each in a thread of its own.
AT_ONCE = 4
_WRITING = threading.Lock()


def speak(name: str, version: str, play: Play, **features: Any) -> None:
    """Speaks the protocol until its input ends; `features` are those that are not the usual ones."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for line in iter(sys.stdin.readline, ""):
            message = json.loads(line)
            if message["type"] == "hello":
                hello = {"client": name, "version": version, "features": {**FEATURES, **features}}
                _say({"type": "hello", **hello, "max_in_flight": AT_ONCE})
            elif message["type"] == "case":
                pool.submit(_answer, play, message)


def _answer(play: Play, case: Case) -> None:
    try:
        _say({"type": "result", "id": case["id"], **play(case)})
    except Exception:  # noqa: BLE001 - the adapter's own mistake, as the client's are results
        _say({"type": "adapter_error", "id": case["id"], "message": traceback.format_exc()})


def _say(message: Mapping[str, Any]) -> None:
    with _WRITING:
        print(json.dumps(message), flush=True)  # noqa: T201 - standard output is the protocol's
