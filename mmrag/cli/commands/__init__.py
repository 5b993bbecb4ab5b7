"""One command per file; heavy imports stand inside the functions."""

from __future__ import annotations
