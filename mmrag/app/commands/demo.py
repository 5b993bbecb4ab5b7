"""`mmrag demo`: the whole pipeline on a drawn catalogue, offline, with the bundled models."""

from __future__ import annotations

__all__ = ["demo"]


def demo() -> None:
    """Show it."""
