"""Visualized BGE: texts, images and composed queries to unit vectors."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from mmrag.device import resolve_device, resolve_dtype
from mmrag.embedding.base import EncoderInfo, EncoderItem, Progress, Role
from mmrag.embedding.batching import EncodeRequest, TokenCache, deduplicate, make_batches, pad_batch, prefetch
from mmrag.embedding.hub import PRETRAINED_MODELS, download
from mmrag.embedding.visualized_bge.checkpoint import load_checkpoint, load_network
from mmrag.embedding.visualized_bge.modeling import JointEncoder
from mmrag.embedding.visualized_bge.processing import ItemTokenizer, image_pixels
from mmrag.errors import CheckpointError, EncodeError, ImageError, SettingError
from mmrag.images import ImageSource, load_image
from mmrag.query import Query

__all__ = ["VisualizedBGE"]

_DEMO = Path(__file__).parent / "demo"
_DECODER_THREADS = 4
_PREPROCESSING = "visualized-bge-1"  # part of the fingerprint: change it with the preprocessing


class VisualizedBGE:
    """Encoder of texts, images, and images with a text, to unit vectors of one space; thread-safe.

    Parameters
    ----------
    network : JointEncoder
        Is switched to eval mode. Its weights must not change afterwards: image tokens are cached.
    tokenizer : PreTrainedTokenizerBase
        The tokenizer of the network's text model.
    name : str
        Name that collections record.
    fingerprint : str, optional
        Default: computed from the weights.
    cached_images : int
        Number of images whose tokens are cached, so that another text about one of them costs only the text model.
        Default: 64.
    """

    def __init__(
        self,
        network: JointEncoder,
        tokenizer: PreTrainedTokenizerBase,
        *,
        name: str,
        fingerprint: str | None = None,
        cached_images: int = 64,
    ) -> None:
        self.network = network.eval()
        self.tokenizer = tokenizer
        self.info = EncoderInfo(name, fingerprint or _fingerprint(network, tokenizer), network.dim)
        self._tokenizer = ItemTokenizer(tokenizer, text_limit=network.text_limit, composed_limit=network.composed_limit)
        self._cache = TokenCache(cached_images)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        *,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        revision: str | None = None,
    ) -> VisualizedBGE:
        """Load an encoder as `mmrag.load_encoder` does, optionally at a revision of the weights on the hub.

        ``dtype="bfloat16"`` doubles the speed and changes vectors in the third decimal place; the default is float32.
        """
        torch_device, torch_dtype = resolve_device(device), resolve_dtype(dtype, default=torch.float32)
        if revision is not None and name_or_path not in PRETRAINED_MODELS:
            raise SettingError(
                f"revision {revision!r} means nothing for {str(name_or_path)!r}, which is not on "
                f"the hub: leave it out, or name one of {', '.join(PRETRAINED_MODELS)}"
            )
        network, tokenizer, name = _load(name_or_path, revision)
        fingerprint = _fingerprint(network, tokenizer)  # of the file's weights, whatever the dtype
        for parameter in network.parameters():
            # Parameters only: the rope tables are exact to three digits already and stay as they are.
            parameter.data = parameter.data.to(torch_dtype)
        return cls(network.to(torch_device), tokenizer, name=name, fingerprint=fingerprint)

    @property
    def device(self) -> torch.device:
        """Device of the network."""
        return self.network.projection.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Number type of the network; vectors are always float32."""
        return self.network.projection.weight.dtype

    def unknown_words(self, text: str) -> list[str]:
        """List the words of a text that the vocabulary lacks, each once."""
        return self._tokenizer.unknown_words(text)

    def encode(
        self,
        items: Sequence[EncoderItem],
        *,
        role: Role = "document",
        batch_size: int = 32,
        on_progress: Progress | None = None,
    ) -> npt.NDArray[np.float32]:
        """Encode items to unit vectors, float32 ``(n, dim)``, in input order.

        The same call returns the same bits again. With other items or another batch size, the last bits may differ.

        Parameters
        ----------
        items : sequence of Query, str or image
            A `str` is a text, never parsed; a `Query` is what it holds; anything else (path, bytes, binary file, PIL
            image) is an image.
        role : {"query", "document"}
            Ignored: this model encodes both alike.
        batch_size : int
            Number of items per forward pass. Default: 32.
        on_progress : callable, optional
            Called after each batch with the number of items encoded and the number of all items.

        Raises
        ------
        EncodeError
            If an item is empty or its image is refused; ``index`` is its position.
        """
        if isinstance(items, (str, bytes, bytearray, Query)):
            raise EncodeError(f"{items!r:.80} is one item: give a list of items")
        if batch_size < 1:
            raise SettingError(f"batch_size={batch_size} holds nothing: give 1 or more")
        self.network.eval()  # the caller may have trained it since
        requests = self._tokenizer.tokenize(list(items))
        batches = make_batches(deduplicate(requests), batch_size)
        with_image = [request for batch in batches for request in batch if request.image is not None]
        vectors = np.empty((len(requests), self.info.dim), np.float32)
        done = 0
        with closing(prefetch(self._preprocess, with_image, ahead=batch_size, threads=_DECODER_THREADS)) as images:
            for batch in batches:
                batch_images = [] if batch[0].image is None else list(islice(images, len(batch)))
                for request, vector in zip(batch, self._forward(batch, batch_images), strict=True):
                    vectors[list(request.positions)] = vector
                    done += len(request.positions)
                if on_progress is not None:
                    on_progress(done, len(requests))
        return vectors

    def _preprocess(self, request: EncodeRequest) -> tuple[str, Tensor]:
        """Return normalized pixels, ``(3, side, side)``, after their key in the token cache."""
        try:
            image = load_image(cast(ImageSource, request.image))
            pixels = image_pixels(image, self.network.vision_config.image_size)
        except ImageError as error:
            index = request.positions[0]
            raise EncodeError(f"item {index}: {error}", index) from error
        return hashlib.sha256(pixels.numpy().tobytes()).hexdigest(), pixels

    @torch.inference_mode()
    def _forward(self, batch: list[EncodeRequest], images: list[tuple[str, Tensor]]) -> npt.NDArray[np.float32]:
        device = self.device
        tokens = self._image_tokens(images) if images else None
        ids, mask = pad_batch(batch, cast(int, self.tokenizer.pad_token_id))
        return self.network(ids.to(device), mask.to(device), tokens).cpu().numpy()  # (batch, dim)

    def _image_tokens(self, images: list[tuple[str, Tensor]]) -> Tensor:
        unique = dict(images)
        tokens = self._cache.get(list(unique))
        if tokens is None:
            pixels = torch.stack(list(unique.values())).to(self.device, self.dtype)
            tokens = list(self.network.image_tokens(pixels))
            self._cache.put(unique, tokens)
        by_key = dict(zip(unique, tokens, strict=True))
        return torch.stack([by_key[key] for key, _ in images])  # (batch, N, dim)


def _load(name_or_path: str | Path, revision: str | None) -> tuple[JointEncoder, PreTrainedTokenizerBase, str]:
    if isinstance(name_or_path, str) and name_or_path in PRETRAINED_MODELS:
        weights, text = download(name_or_path, revision=revision)
        return *load_network(weights, text, PRETRAINED_MODELS[name_or_path].vision_config), name_or_path
    folder = _DEMO if name_or_path == "demo" else Path(name_or_path).expanduser()
    if folder == _DEMO and not _DEMO.is_dir():
        raise CheckpointError(
            f"this copy of mmrag comes without the demo encoder ({_DEMO}): install a released "
            "one, or train it: python -m examples.train_demo_models encoder"
        )
    if not folder.is_dir():
        raise CheckpointError(
            f"{str(name_or_path)!r} is neither a folder nor an encoder's name: "
            f"the names are {', '.join(PRETRAINED_MODELS)} and demo"
        )
    return *load_checkpoint(folder), folder.resolve().name


def _fingerprint(network: JointEncoder, tokenizer: PreTrainedTokenizerBase) -> str:
    """Hash the sizes, the vocabulary and a sample of every tensor: cheap, and new after any training."""
    sizes = dataclasses.asdict(network.vision_config), network.text_limit, len(tokenizer)
    digest = hashlib.sha256(repr((_PREPROCESSING, sizes)).encode())
    for name, tensor in network.state_dict().items():
        sample = tensor.flatten()[:: max(1, tensor.numel() // 64)]
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(sample.float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
