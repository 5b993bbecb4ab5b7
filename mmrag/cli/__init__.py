"""The `mmrag` command."""

from __future__ import annotations
