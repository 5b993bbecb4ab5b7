"""Visualized BGE as its users meet it: texts, images and both together in, unit vectors out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Literal, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from mmrag.device import device_of, dtype_of
from mmrag.embedding.batching import Request, batches, merged, padded, prefetched
from mmrag.embedding.cache import TokenCache
from mmrag.embedding.hub import download
from mmrag.embedding.published import PUBLISHED
from mmrag.embedding.visualized_bge.checkpoint import load_encoder, load_network
from mmrag.embedding.visualized_bge.joint import JointEncoder
from mmrag.embedding.visualized_bge.processing import PreprocessedImage, preprocess_image
from mmrag.embedding.visualized_bge.tokenization import Item, Reader
from mmrag.errors import CheckpointError, EncodeError, ImageError, SettingError
from mmrag.images import ImageSource
from mmrag.query import Query

__all__ = ["VisualizedBGE"]

_DEMO = Path(__file__).parent / "demo"
_KINDS = ("text", "image", "composed")
_DECODERS = 4


class VisualizedBGE:
    """An encoder that puts texts, images and images with a text into one space.

    Several threads may share one. The weights are taken as fixed: what it remembers of an image
    stays true only while they are.

    Parameters
    ----------
    network
        Is put, and kept, in eval mode.
    tokenizer
        Of the network's text model.
    name
        Under which vectors are stored.
    cached_images
        How many images' tokens are remembered, so that another sentence about one of them costs
        only the text model.
    """

    def __init__(
        self, network: JointEncoder, tokenizer: PreTrainedTokenizerBase, *, name: str, cached_images: int = 64
    ) -> None:
        self.network = network.eval()
        self.tokenizer = tokenizer
        self.name = name
        self._pad = cast(int, tokenizer.pad_token_id)
        self._reader = Reader(tokenizer, text_limit=network.text_limit, composed_limit=network.composed_limit)
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
        """Load an encoder.

        Parameters
        ----------
        name_or_path
            ``"base-en-v1.5"`` or ``"m3"`` from the hub, ``"demo"``, which comes with mmrag and
            knows only its drawn catalog, or a folder in the published layout.
        device
            ``"cpu"``, ``"cuda"``, ``"mps"``; the fastest there is when not given.
        dtype
            ``"float32"``, or ``"bfloat16"`` for twice the speed and vectors that differ in the
            third decimal place.
        revision
            Of the weights' repository on the hub.

        Raises
        ------
        CheckpointError
            When the files are missing, damaged or of another model; it says how to place them.
        SettingError
            When device, dtype or revision cannot be had.
        """
        place, precision = device_of(device), dtype_of(dtype, default=torch.float32)
        if revision is not None and name_or_path not in PUBLISHED:
            raise SettingError(
                f"revision {revision!r} means nothing for {str(name_or_path)!r}, which is not on "
                f"the hub: leave it out, or name one of {', '.join(PUBLISHED)}"
            )
        network, tokenizer, name = _load(name_or_path, revision)
        for parameter in network.parameters():
            # Parameters only: rope tables are exact to three digits already and stay as they are.
            parameter.data = parameter.data.to(precision)
        return cls(network.to(place), tokenizer, name=name)

    @property
    def dim(self) -> int:
        """The length of every vector."""
        return self.network.dim

    @property
    def device(self) -> torch.device:
        """Where the network runs."""
        return self.network.projection.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """What the network computes in; vectors are float32 always."""
        return self.network.projection.weight.dtype

    def supports(self, kind: Literal["text", "image", "composed"]) -> bool:
        """Tell whether items of a kind can be encoded: all three can."""
        return kind in _KINDS

    def unknown_words(self, text: str) -> list[str]:
        """List the words of a text that the vocabulary cannot spell, each once."""
        return self._reader.unknown_words(text)

    def encode(
        self,
        items: Sequence[Item],
        *,
        batch_size: int = 32,
        show_progress: bool = False,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> npt.NDArray[np.float32]:
        """Turn items into vectors.

        The same call gives the same bits again. In other company, or at another batch size, a
        vector may differ in its last ones.

        Parameters
        ----------
        items
            In any mixture: a `str` is a text, a `Query` is what it holds, everything else
            (path, bytes, file, PIL image) is an image.
        batch_size
            How many go through the network at once.
        show_progress
            Draw a bar on stderr.
        on_progress
            Called after each batch with the number of items done, and of all.

        Returns
        -------
        numpy.ndarray
            float32, ``(n, dim)``, each row of length 1, in the order of the items.

        Raises
        ------
        EncodeError
            When an item is empty, or its image is refused; ``index`` tells which.
        """
        if isinstance(items, (str, bytes, bytearray, Query)):
            raise EncodeError(f"{items!r:.80} is one item: give a list of items")
        if batch_size < 1:
            raise SettingError(f"batch_size={batch_size} holds nothing: give 1 or more")
        self.network.eval()  # whoever has trained it since
        requests = self._reader.requests(list(items))
        work = batches(merged(requests), batch_size)
        imaged = [request for batch in work for request in batch if request.image is not None]
        made = prefetched(self._image, imaged, ahead=batch_size, threads=_DECODERS)
        vectors = np.empty((len(requests), self.dim), np.float32)
        done = 0
        with tqdm(total=len(requests), disable=not show_progress, desc=self.name) as bar, closing(made) as images:
            for batch in work:
                shown = [] if batch[0].image is None else list(islice(images, len(batch)))
                for request, vector in zip(batch, self._vectors(batch, shown), strict=True):
                    vectors[list(request.places)] = vector
                    bar.update(len(request.places))
                    done += len(request.places)
                if on_progress is not None:
                    on_progress(done, len(requests))
        return vectors

    def _image(self, request: Request) -> PreprocessedImage:
        source, side = cast(ImageSource, request.image), self.network.vision_config.image_size
        try:
            return preprocess_image(source, side)
        except ImageError as error:
            place = request.places[0]
            raise EncodeError(f"item {place}: {error}", place) from error

    @torch.inference_mode()
    def _vectors(self, batch: list[Request], images: list[PreprocessedImage]) -> npt.NDArray[np.float32]:
        ids, mask = (tensor.to(self.device) for tensor in padded(batch, self._pad))
        tokens = self._tokens(images) if images else None
        return self.network(ids, mask, tokens).cpu().numpy()  # (batch, dim)

    def _tokens(self, images: list[PreprocessedImage]) -> Tensor:
        unique = {image.key: image.pixels for image in images}
        known = self._cache.find(list(unique))
        if known is None:
            pixels = torch.stack(list(unique.values())).to(self.device, self.dtype)
            known = list(self.network.image_tokens(pixels))
            self._cache.keep(unique, known)
        tokens = dict(zip(unique, known, strict=True))
        return torch.stack([tokens[image.key] for image in images])  # (batch, N, dim)


def _load(name_or_path: str | Path, revision: str | None) -> tuple[JointEncoder, PreTrainedTokenizerBase, str]:
    if isinstance(name_or_path, str) and name_or_path in PUBLISHED:
        found = download(name_or_path, revision=revision)
        return *load_network(found.weights, found.text, found.vision_config), name_or_path
    if name_or_path == "demo":
        if not _DEMO.is_dir():
            raise CheckpointError(
                f"this copy of mmrag comes without the demo encoder ({_DEMO}): install a released "
                "one, or train it: python -m examples.train_demo_models encoder"
            )
        return *load_encoder(_DEMO), "demo"
    folder = Path(name_or_path).expanduser()
    if not folder.is_dir():
        raise CheckpointError(
            f"{str(name_or_path)!r} is neither a folder nor an encoder's name: "
            f"the names are {', '.join(PUBLISHED)} and demo"
        )
    return *load_encoder(folder), folder.resolve().name
