"""Encoders: texts, images and both together to vectors of one space."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmrag.embedding.base import Encoder, EncoderInfo, as_query
from mmrag.errors import CheckpointError

if TYPE_CHECKING:
    import torch

    from mmrag.embedding.visualized_bge.model import VisualizedBGE

__all__ = ["Encoder", "EncoderInfo", "VisualizedBGE", "as_query", "load_encoder"]


def load_encoder(
    name_or_folder: str | Path, *, device: str | torch.device | None = None, dtype: str | torch.dtype | None = None
) -> Encoder:
    """Load an encoder; its name or the folder's layout decides of which family.

    Parameters
    ----------
    name_or_folder : str or Path
        ``"base-en-v1.5"`` or ``"m3"`` from the Hugging Face hub, ``"demo"``, which is bundled and knows only the drawn
        catalog, or a folder in Visualized BGE's layout.
    device : str or torch.device, optional
        ``"cpu"``, ``"cuda"`` or ``"mps"``. Default: the fastest available.
    dtype : str or torch.dtype, optional
        Number type of the weights. Default: the one that the family was published with.

    Raises
    ------
    CheckpointError
        If the name is unknown, or files are missing, damaged or of another model.
    """
    # Here, as both import torch and transformers.
    from mmrag.embedding.hub import PRETRAINED_MODELS
    from mmrag.embedding.visualized_bge.model import VisualizedBGE

    names = (*PRETRAINED_MODELS, "demo")
    folder = Path(name_or_folder).expanduser()
    # A name is a name also where a folder is called so: `mmrag demo` leaves a folder demo/.
    if name_or_folder not in names and folder.is_dir() and not (folder / "text").is_dir():
        raise CheckpointError(
            f"{folder} holds no encoder that mmrag knows: Visualized BGE has one *.safetensors or *.pth, text/ and "
            f"vision_config.json. Give such a folder, or one of the names {', '.join(PRETRAINED_MODELS)} and demo"
        )
    return VisualizedBGE.from_pretrained(name_or_folder, device=device, dtype=dtype)


def __getattr__(name: str) -> Any:
    if name != "VisualizedBGE":
        raise AttributeError(f"module 'mmrag.embedding' has no attribute {name!r}")
    from mmrag.embedding.visualized_bge.model import VisualizedBGE

    return VisualizedBGE
