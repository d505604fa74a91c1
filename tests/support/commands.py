"""The environment of commands that tests run."""

from __future__ import annotations

import os

#: Settings of this shell must not reach a command under test.
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("MOCKVEO_")}
