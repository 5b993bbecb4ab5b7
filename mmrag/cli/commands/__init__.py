"""One command a file, thin over the library; heavy imports stand inside the functions."""

from __future__ import annotations
