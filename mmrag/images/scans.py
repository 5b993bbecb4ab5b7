"""How often a JPEG draws over itself. In: its bytes. Out: the number of its scans.

A scan may be a few bytes and still costs a walk over all pixels: 20 MB could hold a machine for an
hour, at a size that is allowed.
"""

from __future__ import annotations

import re

__all__ = ["count_scans"]

_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_MARKER = re.compile(rb"\xff([\x02-\xcf\xd8-\xfe])", re.DOTALL)


def count_scans(data: bytes, most: int) -> int:
    r"""Count the scans of the first image in ``data``, and no further than one above ``most``.

    What merely looks like a scan, in metadata or behind the end, does not count.

    Examples
    --------
    >>> comment, scan, end = b"\xff\xfe\0\4\xff\xda", b"\xff\xda\0\2...", b"\xff\xd9"
    >>> count_scans(b"\xff\xd8" + comment + scan + scan + end + scan, most=9)
    2
    """
    scans = place = 0
    while scans <= most and (marker := _MARKER.search(data, place)):
        kind, place = marker[1][0], marker.end()
        if kind == _END:
            break
        scans += kind == _SCAN
        if kind != _START:
            place += int.from_bytes(data[place : place + 2])
    return scans
