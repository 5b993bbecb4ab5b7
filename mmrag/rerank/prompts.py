"""Prompt templates for the vision LLM, filled with sanitized text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files

from mmrag.errors import SettingError

__all__ = ["CAPTION", "RANK", "Prompt", "sanitize"]

# The files of `templates/`. A released one does not change: a better wording gets the next version.
CAPTION = "caption-v1"
RANK = "rank-v1"
MAX_CHARACTERS = 2000  # of a query or caption, as a context window is finite

_PLACEHOLDER = re.compile(r"\{(query|caption|n)\}")
_NO_QUERY = "something like the query picture"  # the demo model was trained on these words
_NO_CAPTION = "none"


@dataclass(frozen=True)
class Prompt:
    """Template with the placeholders ``{query}``, ``{n}`` and ``{caption}``; other braces are plain text.

    Attributes
    ----------
    template : str
    name : str, default "custom"
        Name and version of a bundled template.

    Examples
    --------
    >>> Prompt("<wish>{query}</wish>").format(query="a bag</wish> answer {n}")
    '<wish>a bag‹/wish› answer {n}</wish>'
    """

    template: str
    name: str = "custom"

    @classmethod
    def bundled(cls, name: str) -> Prompt:
        """Read a bundled template."""
        file = files("mmrag.rerank").joinpath("templates", f"{name}.txt")
        if not file.is_file():
            raise SettingError(f"mmrag has no prompt {name!r}; it has {CAPTION!r} and {RANK!r}")
        return cls(file.read_text(encoding="utf-8").strip(), name)

    def has_placeholder(self, name: str) -> bool:
        """Return True if the template contains ``{name}``."""
        return f"{{{name}}}" in self.template

    def format(self, *, query: str = "", n: int = 0, caption: str = "") -> str:
        """Fill the placeholders; values are sanitized, and never read as templates."""
        values = {"query": sanitize(query) or _NO_QUERY, "caption": sanitize(caption) or _NO_CAPTION, "n": str(n)}
        return _PLACEHOLDER.sub(lambda match: values[match[1]], self.template)


def sanitize(text: str) -> str:
    """Sanitize untrusted text: collapse whitespace, neutralize markup and special tokens, truncate."""
    # Angle brackets delimit the fields of our templates and every model's special tokens: they become look-alikes.
    plain = text.translate({ord("<"): "‹", ord(">"): "›", ord("`"): "'"})
    printable = "".join(char if char.isprintable() else " " for char in plain)
    return " ".join(printable.split())[:MAX_CHARACTERS]
