"""The published variants of Visualized BGE: which files they are, and the sizes no file tells."""

from __future__ import annotations

from dataclasses import dataclass

from mmrag.embedding.visualized_bge.modeling import VisionConfig

__all__ = ["PUBLISHED", "TEXT_FILES", "WEIGHTS_REPO", "Variant"]

WEIGHTS_REPO = "BAAI/bge-visualized"
TEXT_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json")


@dataclass(frozen=True)
class Variant:
    """One published encoder.

    Attributes
    ----------
    weights_file, size, sha256
        The file in `WEIGHTS_REPO`, its bytes, and its hash where it is known.
    text_repo
        Where `TEXT_FILES` come from.
    vision_config
        Of the tower, as in EVA-CLIP's ``model_configs``; the weights' repository has no copy.
    """

    weights_file: str
    size: int
    sha256: str | None
    text_repo: str
    vision_config: VisionConfig


PUBLISHED = {
    "base-en-v1.5": Variant(
        weights_file="Visualized_base_en_v1.5.pth",
        size=392_860_018,
        sha256="07e58cf70ee6962530490ef1ac5b632e7e0153ba8c7ed49d55e0f41ec97bf6a6",
        text_repo="BAAI/bge-base-en-v1.5",
        # EVA02-CLIP-B-16
        vision_config=VisionConfig(image_size=224, patch_size=16, width=768, layers=12),
    ),
    "m3": Variant(
        weights_file="Visualized_m3.pth",
        size=1_746_155_890,
        sha256=None,
        text_repo="BAAI/bge-m3",
        # EVA02-CLIP-L-14
        vision_config=VisionConfig(image_size=224, patch_size=14, width=1024, layers=24),
    ),
}
