"""Doubles for testing an app built on mmrag: no weights, no network."""

from __future__ import annotations

from mmrag.testing.encoder import ToyEncoder, toy_encoder

__all__ = ["ToyEncoder", "toy_encoder"]
