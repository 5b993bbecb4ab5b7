"""Phi-3 Vision on this machine: chat, streaming and ranking of composite images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock

import torch
from PIL import Image
from torch import Tensor
from transformers.modeling_outputs import CausalLMOutputWithPast

from mmrag.device import resolve_device, resolve_dtype
from mmrag.errors import AnswerError
from mmrag.images import content_hash
from mmrag.ranking import Ranking
from mmrag.vision.base import Message, Method, RankingConfig
from mmrag.vision.phi3.checkpoint import find_checkpoint, load_vision_model
from mmrag.vision.phi3.generation import CachedDecoder, PrefixCache, greedy_decode
from mmrag.vision.phi3.modeling import Phi3VisionNetwork
from mmrag.vision.phi3.processing import Phi3VisionInputs, Phi3VisionProcessor, render_messages
from mmrag.vision.phi3.ranking_template import RankingTemplate
from mmrag.vision.phi3.template import ConstrainedDecoder, fill_template, max_tokens

__all__ = ["Phi3Vision"]


class Phi3Vision:
    """Phi-3 Vision as a local `VisionLLM`. Thread-safe.

    Parameters
    ----------
    network : Phi3VisionNetwork
        In eval mode, on its device.
    processor : Phi3VisionProcessor
        Of the same checkpoint.
    ranking_config : RankingConfig or None
        Prompt, composite size and method for `rank`. None: the defaults.
    name : str
        Model name in reports.
    """

    def __init__(
        self,
        network: Phi3VisionNetwork,
        processor: Phi3VisionProcessor,
        ranking_config: RankingConfig | None = None,
        *,
        name: str = "phi-3-vision",
    ) -> None:
        self.network, self.processor, self.name = network, processor, name
        self.ranking_config = ranking_config or RankingConfig()
        self._lock, self._prefix_cache = Lock(), PrefixCache()

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        *,
        device: torch.device | str | None = None,
        dtype: str | torch.dtype | None = None,
        revision: str | None = None,
    ) -> Phi3Vision:
        """Load a checkpoint, or raise `CheckpointError`; code in its repository is never run.

        Parameters
        ----------
        name_or_path : str or Path
            ``"microsoft/Phi-3-vision-128k-instruct"``, ``"microsoft/Phi-3.5-vision-instruct"``, ``"demo"``
            (bundled), or a folder in the published layout.
        device : torch.device or str or None
            None: the fastest one available.
        dtype : str or torch.dtype or None
            None: bfloat16 on a GPU, float32 on a CPU.
        revision : str or None
            Branch, tag or commit on the hub.
        """
        folder = find_checkpoint(name_or_path, revision=revision)
        resolved_device = resolve_device(device)
        default_dtype = torch.float32 if resolved_device.type == "cpu" else torch.bfloat16
        return cls(
            load_vision_model(folder, device=resolved_device, dtype=resolve_dtype(dtype, default=default_dtype)),
            Phi3VisionProcessor.from_folder(folder),
            RankingConfig.from_folder(folder),
            name=str(name_or_path),
        )

    def prepare(
        self, messages: Sequence[Mapping[str, str]], images: Sequence[Image.Image] = (), num_crops: int | None = None
    ) -> Phi3VisionInputs:
        """Prepare the network's inputs exactly as published.

        ``<|image_1|>`` and special tokens in the messages are active; for untrusted text use `chat` and `rank`.
        """
        return self.processor(self.processor.apply_chat_template(messages), images, num_crops)

    def forward(self, **inputs: Tensor) -> CausalLMOutputWithPast:
        """Run the network on prepared inputs; logits are (batch, tokens, vocabulary)."""
        with self._lock, torch.inference_mode():
            return self.network(**{name: tensor.to(self.network.device) for name, tensor in inputs.items()})

    def chat(
        self, messages: Sequence[Message], images: Sequence[Image.Image] = (), *, max_new_tokens: int = 256
    ) -> str:
        """Answer a conversation about ``images``; see `stream`."""
        return "".join(self.stream(messages, images, max_new_tokens=max_new_tokens))

    def stream(
        self, messages: Sequence[Message], images: Sequence[Image.Image] = (), *, max_new_tokens: int = 256
    ) -> Iterator[str]:
        """Answer a conversation in pieces, by greedy decoding; if it exceeds the context, raise `AnswerError`.

        Parameters
        ----------
        messages : sequence of Message
            Images stand where ``{"type": "image"}`` parts are, or at the start of the first user turn. Special
            tokens in texts are broken up.
        images : sequence of PIL.Image.Image
            In the order of the messages.
        max_new_tokens : int
            Limit of the answer.
        """
        tokenizer = self.processor.tokenizer
        decoder = self._prefill(messages, images, None, max_new_tokens)
        ids: list[int] = []
        text = ""
        for token_id in greedy_decode(decoder, tokenizer.stop_token_ids, max_new_tokens):
            ids.append(token_id)
            longer = tokenizer.decode(ids)
            if not longer.endswith("\N{REPLACEMENT CHARACTER}"):  # an incomplete character waits for its last byte
                yield longer[len(text) :]
                text = longer
        yield tokenizer.decode(ids)[len(text) :]

    def rank(
        self, prompt: str, image: Image.Image, n: int, *, method: Method = "permutation", describe: bool = False
    ) -> Ranking:
        """Rank candidates 1..n of a composite image. Complete by construction, never repaired.

        A prompt and answer that do not fit the model's context raise `AnswerError`.

        Parameters
        ----------
        prompt : str
            The request, after the image. Special tokens in it are broken up.
        image : PIL.Image.Image
            Query and numbered candidates.
        n : int
            Number of candidates.
        method : {"permutation", "grades", "first"}
            ``"permutation"``: the model chooses one label after the other, among those unused. ``"grades"``: it
            grades each label from 0 to 10; the expected grades are sorted. ``"first"``: the probabilities of being
            first are sorted; nothing more is decoded.
        describe : bool
            Whether the model first describes the query and each candidate.

        Returns
        -------
        Ranking
            ``scores`` are expected grades for ``"grades"``, otherwise the probability of being first; ``answer`` is
            the whole answer as JSON.
        """
        tokenizer = self.processor.tokenizer
        ranking_template = RankingTemplate(n, replace(self.ranking_config, method=method, describe=describe))
        template = ranking_template.build()
        messages: list[Message] = [{"role": "user", "content": prompt}]
        decoder = self._prefill(messages, [image], self.ranking_config.num_crops, max_tokens(template, tokenizer))
        return ranking_template.ranking(fill_template(template, ConstrainedDecoder(decoder, tokenizer), tokenizer))

    def _prefill(
        self, messages: Sequence[Message], images: Sequence[Image.Image], num_crops: int | None, max_new_tokens: int
    ) -> CachedDecoder:
        """Return a decoder of the messages; the part up to the last image comes from the prefix cache."""
        rendered = render_messages(messages, len(images), self.processor.tokenizer)
        ids = self.processor.encode(self.processor.apply_chat_template(rendered), images, num_crops)
        config = self.network.config
        if len(ids) + max_new_tokens > config.context_length:
            raise AnswerError(
                f"a prompt of {len(ids)} tokens and an answer of up to {max_new_tokens} exceed the model's "
                f"context of {config.context_length}: shorten the prompt, give fewer or smaller images "
                "(num_crops), or limit the answer"
            )
        prefix_length = len(ids) - ids[::-1].index(self.processor.tokenizer.image_token_id) if images else 0
        if prefix_length <= config.original_context_length < len(ids) or not images:
            # past this length all positions use the long RoPE factors, those of the prefix included
            return CachedDecoder(self.network, self._lock, ids, self.processor.preprocess_images(images, num_crops))
        prefix = ids[:prefix_length]
        key = (tuple(map(content_hash, images)), num_crops, tuple(prefix))
        cache = self._prefix_cache.get(key)
        if cache is None:
            pixel_inputs = self.processor.preprocess_images(images, num_crops)
            decoder = CachedDecoder(self.network, self._lock, prefix, pixel_inputs)
            decoder.step([])
            cache = decoder.cache
            self._prefix_cache.put(key, cache)
        return CachedDecoder(self.network, self._lock, ids[prefix_length:], cache=cache)
