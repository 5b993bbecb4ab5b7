"""HTTP and MCP servers: the search page with its JSON API, and the image search tools."""

from __future__ import annotations
