"""Image search for agents: the request and response schema, image references, and the search itself."""

from __future__ import annotations
