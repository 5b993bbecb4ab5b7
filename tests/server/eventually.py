"""Patience with a server: it shows its clients a deletion, or others' writes, some 0.2 s later."""

from __future__ import annotations

import time
from collections.abc import Callable


def in_the_end(read: Callable[[], object], expected: object) -> bool:
    """Tell whether a reading comes to what is expected, within five seconds."""
    for _ in range(50):
        if read() == expected:
            return True
        time.sleep(0.1)
    return read() == expected
