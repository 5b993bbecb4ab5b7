"""The exceptions of mmrag, one tree below `MMRagError`."""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = [
    "AnswerError",
    "BusyError",
    "CheckpointError",
    "EncodeError",
    "ImageError",
    "MMRagError",
    "MissingExtraError",
    "QueryError",
    "SettingError",
    "StoreError",
    "StoreLockedError",
    "StoreMismatchError",
    "require",
]


class MMRagError(Exception):
    """Base class of all exceptions of mmrag."""


class ImageError(MMRagError, ValueError):
    """An image was refused, is missing or damaged."""


class QueryError(MMRagError, ValueError):
    """A query or a filter is empty or invalid."""


class SettingError(MMRagError, ValueError):
    """A parameter has an invalid value."""


class CheckpointError(MMRagError):
    """Weights are missing, damaged, or of another model."""


class EncodeError(MMRagError):
    """An item cannot be encoded; ``index`` is its position among several."""

    def __init__(self, message: str, index: int | None = None) -> None:
        super().__init__(message)
        self.index = index


class StoreError(MMRagError):
    """The vector store refused an operation or cannot be reached."""


class StoreMismatchError(StoreError):
    """A collection has vectors of another encoder, dimension or metric."""


class StoreLockedError(StoreError):
    """Another process holds the lock of the Milvus Lite folder."""


class AnswerError(MMRagError):
    """A vision LLM failed to answer, or its answer cannot be parsed."""


class BusyError(MMRagError):
    """Too many requests at once; retry after ``retry_after`` seconds."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class MissingExtraError(MMRagError, ImportError):
    """A feature needs an optional dependency that is not installed."""


def require(module: str, *, extra: str, feature: str) -> ModuleType:
    """Import an optional dependency, or raise `MissingExtraError` with the command that installs it.

    >>> require("no_module", extra="web", feature="Serving")
    Traceback (most recent call last):
    mmrag.errors.MissingExtraError: Serving needs 'no_module'. Install it: pip install "mmrag[web]"
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(f"{feature} needs '{module}'. Install it: pip install \"mmrag[{extra}]\"") from error
