"""Protocol of a vision LLM, its chat messages and its ranking settings, stored as `rerank.json` beside its weights."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, Protocol, TypedDict, cast, get_args, runtime_checkable

from PIL import Image

from mmrag.errors import CheckpointError, QueryError
from mmrag.ranking import Ranking

__all__ = ["RANKING_CONFIG_FILE", "Message", "Method", "RankingConfig", "VisionLLM", "place_images", "read_json_object"]

Method = Literal["permutation", "grades", "first"]
"""Choose one label after the other, grade each label, or sort by the probability of being first."""

RANKING_CONFIG_FILE = "rerank.json"


class Message(TypedDict):
    """One chat turn in OpenAI's form; content is text, or a list of content parts."""

    role: str
    content: str | list[dict[str, Any]]


@runtime_checkable
class VisionLLM(Protocol):
    """A vision LLM, local or remote, that ranks the numbered cells of a composite image and chats."""

    @property
    def ranking_config(self) -> RankingConfig:
        """Prompt, composite size and method with which this model ranks."""
        ...

    def rank(
        self, prompt: str, image: Image.Image, n: int, *, method: Method = "permutation", describe: bool = False
    ) -> Ranking:
        """Rank candidates 1..n of the composite ``image``."""
        ...

    def chat(
        self, messages: Sequence[Message], images: Sequence[Image.Image] = (), *, max_new_tokens: int = 256
    ) -> str:
        """Answer a conversation about ``images``."""
        ...


@dataclass(frozen=True)
class RankingConfig:
    """Prompt, composite size and method with which a vision LLM ranks.

    Attributes
    ----------
    method : {"permutation", "grades", "first"}
        See `Method`.
    describe : bool
        Whether the model describes the query and each candidate before it ranks.
    prompt : str or None
        Template with ``{query}`` and ``{n}``. None: the reranker's own.
    cell, columns : int
        Side of a cell of the composite in pixels, and cells per row.
    num_crops : int or None
        Maximum number of crops of an image. None: as in the checkpoint's `preprocessor_config.json`.
    max_description_tokens : int
        Limit of each description.
    max_reason_tokens : int
        Limit of the reason.
    """

    method: Method = "permutation"
    describe: bool = False
    prompt: str | None = None
    cell: int = 336
    columns: int = 4
    num_crops: int | None = None
    max_description_tokens: int = 16
    max_reason_tokens: int = 60

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise CheckpointError(f"no ranking method {self.method!r}: use one of {', '.join(get_args(Method))}")
        for name in ("cell", "columns", "max_description_tokens", "max_reason_tokens"):
            if getattr(self, name) < 1:
                raise CheckpointError(f"{name} of a ranking must be at least 1, not {getattr(self, name)}")

    def to_json(self) -> str:
        """Return the text of `rerank.json`."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RankingConfig:
        """Make a config from the fields of a `rerank.json`; missing fields have their defaults."""
        known = [field.name for field in fields(cls)]
        if unknown := sorted(set(values) - set(known)):
            raise CheckpointError(f"{RANKING_CONFIG_FILE} has unknown fields {unknown}: use only {known}")
        return cls(**values)

    @classmethod
    def from_folder(cls, folder: Path) -> RankingConfig:
        """Read the `rerank.json` of a checkpoint; without the file, all fields have their defaults."""
        file = folder / RANKING_CONFIG_FILE
        return cls.from_dict(read_json_object(file)) if file.is_file() else cls()


def place_images(messages: Sequence[Message], num_images: int) -> list[tuple[str, list[dict[str, Any]]]]:
    """Split messages into content parts, with one ``{"type": "image"}`` part per image.

    Where the messages hold no image part, the images open the first user turn.
    """
    turns: list[tuple[str, list[dict[str, Any]]]] = []
    for turn in messages:
        content = turn["content"]
        turns.append((turn["role"], [{"type": "text", "text": content}] if isinstance(content, str) else [*content]))
    if not any(part.get("type") == "image" for _, parts in turns for part in parts):
        first_user_parts = next((parts for role, parts in turns if role == "user"), [])
        first_user_parts[:0] = [{"type": "image"}] * num_images
    placed = sum(part.get("type") == "image" for _, parts in turns for part in parts)
    if placed != num_images:
        raise QueryError(
            f"{num_images} images are given and the messages place {placed}: give one image for each "
            '{"type": "image"}, or place none and have a user turn'
        )
    return turns


def read_json_object(file: Path) -> dict[str, Any]:
    """Read a JSON object from a file of a checkpoint."""
    if not file.is_file():
        raise CheckpointError(
            f"{file.parent} holds no {file.name}: name a folder in Phi-3 Vision's published layout, "
            "or download the checkpoint again"
        )
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{file} is not valid JSON ({error}): download it again") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{file} does not hold a JSON object: download it again")
    return cast("dict[str, Any]", value)
