"""Loading of rerankers by name, folder or address."""

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
    """Load a vision LLM by its name, the folder of its checkpoint or the address of its server, and rerank with it.

    Parameters
    ----------
    name_or_folder_or_url : str or Path
        ``"demo"`` (bundled), a Phi-3 Vision name such as ``"microsoft/Phi-3.5-vision-instruct"``, a folder in its
        published layout, or an OpenAI-compatible address such as ``"http://localhost:8000/v1"``.
    model : str
        Name of the model at the server; needed with an address, unused without.
    device, dtype : optional
        Of a local model. Default: the fastest device; bfloat16 on a GPU, float32 on a CPU.
    api_key, timeout : optional
        Of a server; ``timeout`` in seconds.
    **settings
        Keywords of `ListwiseReranker`, for instance ``window`` or ``policy``.

    Examples
    --------
    >>> load_reranker("http://localhost:8000/v1", model="Qwen/Qwen2.5-VL-7B-Instruct", window=4).window
    4
    """
    from mmrag.vision import InstructorVision, Phi3Vision

    name = str(name_or_folder_or_url)
    if not name.startswith(("http://", "https://")):
        return ListwiseReranker(Phi3Vision.from_pretrained(name, device=device, dtype=dtype), **settings)
    if not model:
        raise SettingError("an address needs the name of a model there: load_reranker(address, model='Qwen/…')")
    vlm = InstructorVision.from_openai(base_url=name, model=model, api_key=api_key, timeout=timeout)
    return ListwiseReranker(vlm, **settings)
