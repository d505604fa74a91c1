"""Standard output, as the commands write to it."""

from __future__ import annotations

import os
import sys


def discard_output() -> None:
    """Send further output to nowhere, after the reader closed the pipe.

    Without this, flushing the buffer at exit would raise BrokenPipeError again.
    """
    sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115
