"""Load a reranker by the name of its model, the folder of its checkpoint or the address of its server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmrag.errors import SettingError
from mmrag.rerank.base import Reranker
from mmrag.rerank.listwise import ListwiseReranker

if TYPE_CHECKING:
    import torch

__all__ = ["load_reranker"]


def load_reranker(
    name_or_folder_or_url: str | Path,
    *,
    model: str = "",
    device: torch.device | str | None = None,
    dtype: torch.dtype | str | None = None,
    api_key: str = "",
    timeout: float = 60.0,
    **settings: Any,
) -> Reranker:
    """Load a reranker.

    Parameters
    ----------
    name_or_folder_or_url : str or Path
        ``"demo"`` (bundled), a Phi-3 Vision name such as ``"microsoft/Phi-3.5-vision-instruct"``, a folder in its
        published layout, or the address of an OpenAI-compatible server such as ``"http://localhost:8000/v1"``.
    model : str, optional
        Name of the model at the server. Required with an address, unused otherwise.
    device : torch.device or str, optional
        For a local model. Default: the fastest available.
    dtype : torch.dtype or str, optional
        For a local model. Default: bfloat16 on a GPU, float32 on a CPU.
    api_key : str, optional
        For a server. Default: none.
    timeout : float, default 60
        Seconds that a server may be silent.
    **settings
        Settings of `ListwiseReranker`, for instance ``window`` or ``policy``.

    Raises
    ------
    CheckpointError
        If there is no such model or folder.
    SettingError
        If an address is given without a model, or a setting is invalid.

    Examples
    --------
    >>> load_reranker("http://localhost:8000/v1", model="Qwen/Qwen2.5-VL-7B-Instruct").window
    9
    """
    from mmrag.vision import InstructorVision, Phi3Vision

    if not str(name_or_folder_or_url).startswith(("http://", "https://")):
        return ListwiseReranker(
            Phi3Vision.from_pretrained(name_or_folder_or_url, device=device, dtype=dtype), **settings
        )
    if not model:
        raise SettingError(
            f"{name_or_folder_or_url} serves models by name: give one, load_reranker(address, model='Qwen/…')"
        )
    vlm = InstructorVision.from_openai(
        base_url=str(name_or_folder_or_url), model=model, api_key=api_key, timeout=timeout
    )
    return ListwiseReranker(vlm, **settings)
