"""What the user showed. In: an agent's context. Out: the image that they sent last."""

from __future__ import annotations

from llama_index.core.base.llms.types import ImageBlock, MessageRole
from llama_index.core.memory import BaseMemory
from llama_index.core.workflow import Context
from llama_index.embeddings.composed_image.image_sources import block_image

from mmrag.images import ImageSource

__all__ = ["last_image"]


async def last_image(ctx: Context | None) -> ImageSource | None:
    """Look for it in the agent's memory; what tools and models said does not count."""
    memory = await ctx.store.get("memory", default=None) if ctx is not None else None
    if not isinstance(memory, BaseMemory):
        return None
    for message in reversed(await memory.aget_all()):
        if message.role != MessageRole.USER:
            continue
        for block in reversed(message.blocks):
            if isinstance(block, ImageBlock) and (source := block_image(block)) is not None:
                return source
    return None
