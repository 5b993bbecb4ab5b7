"""The loss of the demo reranker: the target answer about a list of candidates.

Three inputs with the same answer: composites, descriptions (a cell is the sum of the word embeddings of what it shows),
and text alone, which teaches to compare words.
"""

from __future__ import annotations

from functools import cached_property, lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from examples.train_demo_models.attribute_head import AttributeHead
from examples.train_demo_models.composites import CELL, COLUMNS, MOST, ROWS, CompositeBuilder
from examples.train_demo_models.ranking_batches import RankingBatch
from examples.train_demo_models.sampling import ANY, SampledQuery
from examples.train_demo_models.targets import GRADES, AttributeTargets, TargetTemplate
from examples.train_demo_models.training_images import SWATCH, ImageAttributes, TrainingImages
from mmrag.datasets.attributes import COLORS
from mmrag.datasets.wording import QueryType
from mmrag.rerank.prompts import Prompt
from mmrag.vision import RankingConfig
from mmrag.vision.phi3.modeling import Phi3VisionNetwork
from mmrag.vision.phi3.processing import Phi3VisionProcessor, render_messages

__all__ = ["RankingObjective", "attributes"]

# Which words of a query (color, pattern, product) only the query's image tells.
_SHOWN_BY_IMAGE = {
    QueryType.SWATCH_PRODUCT: (False, True, False),
    QueryType.PRODUCT_PRODUCT: (False, True, False),
    QueryType.RECOLOR: (False, True, True),
    QueryType.REPATTERN: (False, False, True),
    QueryType.TEXT: (False, False, False),
    QueryType.IMAGE: (True, True, True),
}
_NOISE = 0.3  # of described images, in standard deviations


class RankingObjective(nn.Module):
    """The network under training, with all that turns lists into its input.

    Parameters
    ----------
    network
        Trained in place.
    processor, ranking_config
        Those that are shipped with it.
    attribute_head
        The head of vision pretraining. Its predictions replace the labels in the decoder's inputs of
        half of the lists, so that grades do not rely on perfect descriptions.
    training_images
        What the rows of lists mean.
    """

    def __init__(
        self,
        network: Phi3VisionNetwork,
        processor: Phi3VisionProcessor,
        ranking_config: RankingConfig,
        attribute_head: AttributeHead,
        training_images: TrainingImages,
    ) -> None:
        super().__init__()
        self.network, self.attribute_head = network, attribute_head
        self.training_images = training_images
        self.cutter = CompositeBuilder(training_images, processor.image_processor)
        self._processor = processor
        self._wording = Prompt(ranking_config.prompt or "{query}")
        self._form = lru_cache(maxsize=MOST)(
            lambda n: TargetTemplate(n, ranking_config, processor.tokenizer)  # pyright: ignore
        )
        self._ids = lru_cache(maxsize=100_000)(self._prompt_ids)

    def text_loss(self, lists: RankingBatch) -> tuple[Tensor, dict[str, float]]:
        """Practise without images: compare the words that are dictated."""
        words = self._words(lists)
        form = self._form(lists.rows.shape[1])
        return self._answer_loss(lists.queries, form, form.fill(words), words, None)

    def description_loss(self, lists: RankingBatch) -> tuple[Tensor, dict[str, float]]:
        """Practise on described images: find a candidate by its number, say what is there."""
        words = self._words(lists)
        form = self._form(lists.rows.shape[1])
        images = self._raster(*self._descriptions(lists), projected=True)
        return self._answer_loss(lists.queries, form, form.fill(words), words, images)

    def image_loss(self, lists: RankingBatch, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """Practise on composites."""
        words = self._words(lists)
        form = self._form(lists.rows.shape[1])
        rows = [query.row for query in lists.queries]
        device = self.network.device
        crops = self.cutter.build(rows, lists.rows, rng).to(device)
        with torch.autocast(device.type, torch.bfloat16):
            patches = self.network.image_embedding.crop_features(crops.flatten(0, 1))
            patches = patches.unflatten(0, crops.shape[:2])  # (lists, cells, grid, grid, c)
            images = self._raster(patches[:, 1:], patches[:, 0], projected=False)
            images = self.network.image_embedding.projection(images)  # (lists, tokens, hidden)
            own = self._own_words(lists, words, patches[:, 1:].detach())
        inputs = form.fill(own)
        half = torch.from_numpy(rng.random(len(inputs)) < 0.5)
        labels = form.fill(words)
        inputs = torch.where(half[:, None], inputs, labels)
        return self._answer_loss(lists.queries, form, labels, words, images, inputs=inputs)

    def _answer_loss(
        self,
        queries: list[SampledQuery],
        form: TargetTemplate,
        labels: Tensor,
        words: AttributeTargets,
        images: Tensor | None,
        inputs: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, float]]:
        """Let the model read ``inputs`` (the labels, when not given) and expect the labels."""
        device = self.network.device
        prompts, mask = self._prompts(queries, imaged=images is not None)
        answers = labels if inputs is None else inputs
        ids = torch.cat([prompts, answers], dim=1).to(device)
        mask = torch.cat([mask, torch.ones_like(answers)], dim=1).to(device)
        with torch.autocast(device.type, torch.bfloat16):
            seen = None if images is None else images.flatten(0, 1)
            output = self.network(ids, mask, image_tokens=seen, logits_to_keep=answers.shape[1] + 1)
        logits = output.logits[:, :-1].float()  # (lists, answer, vocabulary)
        wrong = F.cross_entropy(logits.transpose(1, 2), labels.to(device), reduction="none")
        named = torch.tensor([[not seen for seen in _SHOWN_BY_IMAGE[query.query_type]] for query in queries])
        knowable = named.to(device) | (images is not None)  # what can be known at all
        target = (wrong[:, form.target] * knowable).sum() / knowable.sum()
        grade = wrong[:, form.grades].mean()
        reason = wrong[:, form.reason : form.reason + 2].mean()  # and the quote that closes it
        closed = wrong[:, form.shows[:, -1] + 1].mean() + wrong[:, form.target[-1] + 1].mean()
        grades = words.grades.to(device)
        at_grades = logits[:, form.grades][..., form.digits]  # (lists, n, 4)
        order = _rank_loss(at_grades.softmax(-1) @ torch.tensor(GRADES, device=device).float(), grades)
        loss = target + 2 * grade + order + 0.2 * (closed + reason)
        figures = {"target": target.item(), "grade": grade.item(), "order": order.item()}
        if images is not None:
            shows = wrong[:, form.shows].mean()
            loss = loss + 3 * shows
            figures["shows"] = shows.item()
        figures["right"] = (at_grades.argmax(-1) == grades).float().mean().item()
        figures["reason"] = reason.item()
        return loss, figures

    def _words(self, lists: RankingBatch) -> AttributeTargets:
        shown = attributes(self.training_images.attributes.select(lists.rows))
        grades = torch.from_numpy(lists.grades)
        return AttributeTargets(_target_attributes(lists.queries), shown, grades, best=grades.argmax(1))

    def _own_words(self, lists: RankingBatch, words: AttributeTargets, patches: Tensor) -> AttributeTargets:
        """Name each cell (lists, places, grid, grid, c) as the tower alone would."""
        tokens = patches.flatten(2, 3).flatten(0, 1)
        named = self.attribute_head.guesses(tokens).unflatten(0, patches.shape[:2]).cpu()
        guess = named[..., [2, 1, 0]]  # (lists, places, 3): color, pattern, product
        guess[..., 2] = guess[..., 2].clamp(max=SWATCH - 1)
        seen = torch.tensor([_SHOWN_BY_IMAGE[query.query_type] for query in lists.queries])
        target = torch.where(seen, guess[:, 0], words.target)
        return AttributeTargets(target, guess[:, 1 : 1 + lists.rows.shape[1]], words.grades, words.best)

    def _descriptions(self, lists: RankingBatch) -> tuple[Tensor, Tensor]:
        """Cells (lists, places, grid, grid, hidden) as sums of words, and the global view."""
        n, grid = lists.rows.shape[1], self.network.config.tokens_per_side
        cells = self.sums(self.training_images.attributes.select(lists.rows))  # (lists, n, hidden)
        cells = cells + self.number_words[:n]
        rows = np.array([query.row or 0 for query in lists.queries])
        query = self.sums(self.training_images.attributes.select(rows))  # (lists, hidden)
        worded = torch.tensor([query.row is None for query in lists.queries], device=query.device)
        query = query.masked_fill(worded[:, None], 0.0)
        empty = query.new_zeros(len(query), MOST - n, query.shape[-1])
        places = torch.cat([query[:, None], cells, empty], dim=1)[:, :, None, None]
        places = places.expand(-1, -1, grid, grid, -1)
        noise = _NOISE * cells.detach().std()
        places = places + noise * torch.randn_like(places)
        return places, noise * torch.randn_like(places[:, 0])

    def sums(self, shown: ImageAttributes) -> Tensor:
        """Add up the words for what is shown: (…, hidden)."""
        named = attributes(shown)
        words = self.network.decoder.embed_tokens.weight
        product = named[..., 2].clamp(max=SWATCH - 1)
        colors, patterns, products = (words[names.to(words.device)] for names in self._form(MOST).names)
        thing = products[product] * (named[..., 2:] != SWATCH).to(words.device)
        return colors[named[..., 0]] + patterns[named[..., 1]] + thing

    @property
    def number_words(self) -> Tensor:
        """The words for the numbers 1 to 9: (9, hidden)."""
        words = self.network.decoder.embed_tokens.weight
        return words[self._form(MOST).labels.to(words.device)]

    def _raster(self, parts: Tensor, whole: Tensor, *, projected: bool) -> Tensor:
        """Lay out many composites as `ImageEmbedding.merge_crops` lays out one: (lists, tokens, c)."""
        images = self.network.image_embedding
        ends = torch.stack([images.sub_separator, images.global_separator])
        sub_separator, global_separator = images.projection(ends) if projected else ends
        parts = parts.unflatten(1, (ROWS, COLUMNS)).transpose(2, 3).flatten(3, 4).flatten(1, 2)
        lines = [_lines(image, sub_separator) for image in (parts, whole)]
        between = global_separator.to(lines[0].dtype).expand(len(parts), 1, -1)
        return torch.cat([lines[0], between, lines[1]], dim=1)

    def _prompts(self, queries: list[SampledQuery], *, imaged: bool) -> tuple[Tensor, Tensor]:
        prompts = [self._ids(query.text, imaged) for query in queries]
        longest = max(map(len, prompts))
        padding = self._processor.tokenizer.pad_token_id
        ids = [[padding] * (longest - len(prompt)) + prompt for prompt in prompts]
        mask = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
        return torch.tensor(ids), torch.tensor(mask)

    def _prompt_ids(self, text: str, imaged: bool) -> list[int]:
        images = [self._frame] if imaged else []
        content = self._wording.format(query=text, n=MOST)
        turns = render_messages([{"role": "user", "content": content}], len(images), self._processor.tokenizer)
        return self._processor.encode(self._processor.apply_chat_template(turns), images)

    @cached_property
    def _frame(self) -> Image.Image:
        return Image.new("RGB", (COLUMNS * CELL, ROWS * CELL))


def attributes(shown: ImageAttributes) -> Tensor:
    """Stack what is shown in the order in which it is named: (…, 3) color, pattern, product."""
    named: list[NDArray[np.int64]] = [shown.color, shown.pattern, shown.product]
    return torch.from_numpy(np.stack(named, axis=-1))


def _target_attributes(queries: list[SampledQuery]) -> Tensor:
    return torch.tensor([[len(COLORS) if w.color == ANY else w.color, w.pattern, w.product] for w in queries])


def _lines(image: Tensor, sub_separator: Tensor) -> Tensor:
    ends = sub_separator.to(image.dtype).expand(*image.shape[:2], 1, -1)  # (lists, y, 1, c)
    return torch.cat([image, ends], dim=2).flatten(1, 2)  # (lists, y (x + 1), c)


def _rank_loss(expected: Tensor, grades: Tensor) -> Tensor:
    """RankNet (Burges et al. 2005) on expected grades; the full match counts threefold."""
    ahead = (expected[:, :, None] - expected[:, None, :]) * 4 / 3
    should = (grades[:, :, None] > grades[:, None, :]).float()
    should = should * (1 + 2 * (grades[:, :, None] == 3).float())
    return (F.softplus(-ahead) * should).sum() / should.sum().clamp(min=1)
