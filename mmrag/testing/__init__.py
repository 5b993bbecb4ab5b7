"""Doubles for testing an app built on mmrag: no weights, no network."""

from __future__ import annotations

from mmrag.testing.encoder import ToyEncoder, toy_encoder
from mmrag.testing.vision import (
    MALFORMED,
    Asked,
    MockVision,
    completion,
    failing,
    looking,
    malformed,
    oracle,
    reversing,
    scripted,
    slow,
)

__all__ = [
    "MALFORMED",
    "Asked",
    "MockVision",
    "ToyEncoder",
    "completion",
    "failing",
    "looking",
    "malformed",
    "oracle",
    "reversing",
    "scripted",
    "slow",
    "toy_encoder",
]
