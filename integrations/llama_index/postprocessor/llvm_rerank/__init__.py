"""Rerank retrieved images with a vision LLM that sees the query image as well."""

from __future__ import annotations

from llama_index.postprocessor.llvm_rerank.base import LlamaIndexChatClient, LLVMRerank

__all__ = ["LLVMRerank", "LlamaIndexChatClient"]
