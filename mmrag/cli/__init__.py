"""What people touch: the command line, its reports and sheets."""

from __future__ import annotations
