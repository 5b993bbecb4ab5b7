"""Everything mmrag raises on purpose: one tree, each message with its values and the next step."""

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
    """Root of the tree: catch this to catch all that mmrag raises on purpose."""


class ImageError(MMRagError, ValueError):
    """An image was refused; the message names source, limit and remedy."""


class QueryError(MMRagError, ValueError):
    """A query is empty or says two things at once."""


class SettingError(MMRagError, ValueError):
    """A parameter has a value it cannot have."""


class CheckpointError(MMRagError):
    """Weights are missing, damaged, or of another model."""


class EncodeError(MMRagError):
    """An item cannot become a vector; ``index`` tells which, where there are several."""

    def __init__(self, message: str, index: int | None = None) -> None:
        super().__init__(message)
        self.index = index


class StoreError(MMRagError):
    """The vector store refused or cannot be reached."""


class StoreMismatchError(StoreError):
    """A collection was made by another encoder, dimension or metric."""


class StoreLockedError(StoreError):
    """Another process holds the Milvus Lite folder."""


class AnswerError(MMRagError):
    """A vision LLM failed to answer, or answered what cannot be read."""


class BusyError(MMRagError):
    """Too much is asked at once; ``retry_after`` tells in how many seconds to ask again."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class MissingExtraError(MMRagError, ImportError):
    """A feature needs an optional dependency that is not installed."""


def require(module: str, *, extra: str, feature: str) -> ModuleType:
    """Import an optional dependency, or say exactly what to install.

    Raises
    ------
    MissingExtraError
        When ``module`` cannot be imported.

    Examples
    --------
    >>> require("no_module", extra="web", feature="Serving")
    Traceback (most recent call last):
    mmrag.errors.MissingExtraError: Serving needs 'no_module'. Install it: pip install "mmrag[web]"
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(f"{feature} needs '{module}'. Install it: pip install \"mmrag[{extra}]\"") from error
