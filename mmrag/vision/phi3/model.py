"""Phi-3 Vision, ready to use. In: messages, or a composite image. Out: text, or a ranking."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Lock

import PIL.Image
import torch
from torch import Tensor
from transformers.modeling_outputs import CausalLMOutputWithPast

from mmrag.device import resolve_device, resolve_dtype
from mmrag.errors import AnswerError
from mmrag.images import content_hash
from mmrag.ranking import Ranking
from mmrag.vision.base import Message
from mmrag.vision.config import Method, RankingRecipe
from mmrag.vision.phi3.checkpoint import load_vision_model
from mmrag.vision.phi3.constrained_decoding import SlotFiller
from mmrag.vision.phi3.conversation import published_turns
from mmrag.vision.phi3.generation import NetworkReader, continuation
from mmrag.vision.phi3.hub import find_checkpoint
from mmrag.vision.phi3.modeling import Phi3VisionNetwork
from mmrag.vision.phi3.prefix_cache import Beginnings
from mmrag.vision.phi3.processing import Inputs, Phi3VisionProcessor
from mmrag.vision.phi3.ranking_template import answer_script, read_ranking
from mmrag.vision.phi3.template import longest, perform

__all__ = ["Phi3Vision"]


class Phi3Vision:
    """A vision LLM on this machine; safe for concurrent callers.

    Parameters
    ----------
    network
        In eval mode, on its device.
    processor
        Of the same checkpoint.
    recipe
        How the checkpoint wants to be asked to rank.
    name
        What to call it.
    """

    def __init__(
        self,
        network: Phi3VisionNetwork,
        processor: Phi3VisionProcessor,
        recipe: RankingRecipe | None = None,
        *,
        name: str = "phi-3-vision",
    ) -> None:
        self.network, self.processor, self.name = network, processor, name
        self.recipe = RankingRecipe() if recipe is None else recipe
        self._lock, self._beginnings = Lock(), Beginnings()

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        *,
        device: torch.device | str | None = None,
        dtype: str | torch.dtype | None = None,
        revision: str | None = None,
    ) -> Phi3Vision:
        """Load a checkpoint; no code of its repository runs.

        Parameters
        ----------
        name_or_path
            ``"microsoft/Phi-3-vision-128k-instruct"``, ``"microsoft/Phi-3.5-vision-instruct"``,
            ``"demo"`` (bundled), or a folder in the published layout.
        device
            The fastest there is, when not given.
        dtype
            bfloat16 on a GPU and float32 on a CPU, when not given.
        revision
            Branch, tag or commit on the hub.

        Raises
        ------
        CheckpointError
            When the checkpoint cannot be found, or is not one of Phi-3 Vision.
        """
        folder = find_checkpoint(name_or_path, revision=revision)
        place = resolve_device(device)
        precise = torch.float32 if place.type == "cpu" else torch.bfloat16
        return cls(
            load_vision_model(folder, device=place, dtype=resolve_dtype(dtype, default=precise)),
            Phi3VisionProcessor.of_folder(folder),
            RankingRecipe.of_folder(folder),
            name=str(name_or_path),
        )

    def prepare(
        self,
        messages: Sequence[Mapping[str, str]],
        images: Sequence[PIL.Image.Image] = (),
        num_crops: int | None = None,
    ) -> Inputs:
        """Turn messages into the network's input exactly as published.

        ``<|image_1|>`` and special tokens in the messages are live; for text of strangers there
        are `chat` and `rank`.
        """
        return self.processor(self.processor.prompt(messages), images, num_crops)

    def forward(self, **inputs: Tensor) -> CausalLMOutputWithPast:
        """Run the network once on what `prepare` gave; logits are (batch, tokens, vocabulary)."""
        with self._lock, torch.inference_mode():
            return self.network(**{k: v.to(self.network.device) for k, v in inputs.items()})

    def chat(
        self, messages: Sequence[Message], images: Sequence[PIL.Image.Image] = (), *, max_new_tokens: int = 256
    ) -> str:
        """Answer a conversation about ``images``; see `stream`."""
        return "".join(self.stream(messages, images, max_new_tokens=max_new_tokens))

    def stream(
        self, messages: Sequence[Message], images: Sequence[PIL.Image.Image] = (), *, max_new_tokens: int = 256
    ) -> Iterator[str]:
        """Answer a conversation piece by piece, most likely token by token.

        Parameters
        ----------
        messages
            OpenAI-style turns. PixelInputs open the first user turn, or stand where a content part
            ``{"type": "image"}`` places them. Special tokens in texts are broken up.
        images
            In the order of their places.
        max_new_tokens
            Most tokens of the answer.

        Raises
        ------
        AnswerError
            When prompt and answer do not fit the model's context.
        """
        vocabulary = self.processor.vocabulary
        prompt = self.processor.prompt(published_turns(messages, len(images), vocabulary))
        reader = self._open(prompt, images, None, max_new_tokens)
        ids: list[int] = []
        told = ""
        for token in continuation(reader, vocabulary.ends, max_new_tokens):
            ids.append(token)
            text = vocabulary.decode(ids)
            if not text.endswith("\N{REPLACEMENT CHARACTER}"):  # half a letter waits for the rest
                yield text[len(told) :]
                told = text
        yield vocabulary.decode(ids)[len(told) :]

    def rank(
        self, prompt: str, image: PIL.Image.Image, n: int, *, method: Method = "permutation", describe: bool = False
    ) -> Ranking:
        """Rank the candidates 1..n of one composite: complete by construction, never repaired.

        Parameters
        ----------
        prompt
            What is wanted; it follows the image. Special tokens in it are broken up.
        image
            Query and numbered candidates in one image.
        n
            Number of candidates.
        method
            ``"permutation"``: at each place the model chooses among the labels still unused.
            ``"grades"``: it grades each label from 0 to 10, and the expected grades are sorted.
            ``"first"``: its odds for the first place are sorted, and nothing more is decoded.
        describe
            Let it put the wish and each candidate into words first.

        Returns
        -------
        Ranking
            ``scores`` are expected grades for ``"grades"``, otherwise the probability of being the
            first choice; ``answer`` is the whole answer as JSON.

        Raises
        ------
        AnswerError
            When prompt and answer do not fit the model's context.
        """
        vocabulary, recipe = self.processor.vocabulary, self.recipe
        script = answer_script(n, method, describe, words=recipe.words, reason_tokens=recipe.reason_tokens)
        turns = published_turns([{"role": "user", "content": prompt}], 1, vocabulary)
        room = longest(script, vocabulary)
        reader = self._open(self.processor.prompt(turns), [image], recipe.num_crops, room)
        answer = perform(script, SlotFiller(reader, vocabulary), vocabulary)
        return read_ranking(answer, n, method)

    def _open(self, prompt: str, images: Sequence[PIL.Image.Image], num_crops: int | None, room: int) -> NetworkReader:
        ids = self.processor.ids(prompt, images, num_crops)
        config = self.network.config
        if len(ids) + room > config.context:
            raise AnswerError(
                f"a prompt of {len(ids)} tokens and an answer of up to {room} exceed the model's "
                f"context of {config.context}: shorten the prompt, give fewer or plainer images "
                "(num_crops), or ask for a shorter answer"
            )
        if not images:
            return NetworkReader(self.network, self._lock, ids)
        images_end = len(ids) - ids[::-1].index(self.processor.vocabulary.placeholder)
        if images_end <= config.short_context < len(ids):
            # past this length all positions turn by other factors: the beginning read alone
            # would differ from the same beginning in the whole
            return NetworkReader(self.network, self._lock, ids, self.processor.images(images, num_crops))
        beginning = ids[:images_end]
        key = (tuple(map(content_hash, images)), num_crops, tuple(beginning))
        cache = self._beginnings.get(key)
        if cache is None:
            first = NetworkReader(self.network, self._lock, beginning, self.processor.images(images, num_crops))
            first.read([])
            cache = first.cache
            self._beginnings.put(key, cache)
        return NetworkReader(self.network, self._lock, ids[images_end:], cache=cache)
