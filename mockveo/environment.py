"""The environment variables of client programs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

#: The hosts of a server on this machine.
_LOOPBACK: Final = "127.0.0.1,localhost"


def client_environment(base_url: str, key: str) -> dict[str, str]:
    """Return the variables that lead a program to a server, and past the proxy of this machine."""
    return {
        "COMETAPI_BASE_URL": base_url,
        "COMETAPI_KEY": key,
        # A program that reads only these would go to the real service, with the user's own key.
        "OPENAI_BASE_URL": base_url,
        "OPENAI_API_KEY": key,
        **without_proxy(os.environ),
    }


def without_proxy(environment: Mapping[str, str]) -> dict[str, str]:
    """Return NO_PROXY of an environment with this machine, by both names that programs read."""
    return {name: ",".join(filter(None, [environment.get(name), _LOOPBACK])) for name in ("NO_PROXY", "no_proxy")}


def exports(base_url: str, key: str) -> list[str]:
    """Return the lines for a shell that set the same variables."""
    return [
        f"  export COMETAPI_BASE_URL={base_url}",
        f"  export COMETAPI_KEY={key}",
        '  export OPENAI_BASE_URL="$COMETAPI_BASE_URL" OPENAI_API_KEY="$COMETAPI_KEY"',
        f'  export NO_PROXY="${{NO_PROXY:+$NO_PROXY,}}{_LOOPBACK}" no_proxy="${{no_proxy:+$no_proxy,}}{_LOOPBACK}"',
    ]
