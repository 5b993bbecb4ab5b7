"""A query of a text, an image, or both, and its form as one string with a Markdown image."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from mmrag.errors import QueryError
from mmrag.images.policy import ImageSource
from mmrag.images.redact import describe_source

__all__ = ["Query"]

# Possessive (`++`): a data: URI has megabytes, and backtracking would cost memory.
_IMAGE_OR_LITERAL = re.compile(
    r"""(?<!\\) (?P<slashes> (?:\\\\)*)
    (?: \\ (?P<literal> !\[ )                                     # escaped: text
      | !\[ (?: [^\[\]\\]++ | \\.                                # ![what it shows
            | \[ (?: [^\[\]\\]++ | \\. )* \] )* \]               #   [, or about it]]
        \( (?P<inside> (?: < (?:[^<>\\]++ | \\.)* >               # (<any path>) or
                         | \\. | \( (?: [^()\\\n]++ | \\. )* \)   # (a plain path (1).jpg)
                         | [^()<\\\n]++ )+ ) \) )""",
    re.VERBOSE | re.DOTALL,
)
_NEEDS_BRACKETS = re.compile(r"""[\s()<>\\"']""")


@dataclass(frozen=True, repr=False)
class Query:
    """A text, an image, or both. The text is never parsed; `parse` reads Markdown.

    Attributes
    ----------
    text : str
        The sentence, stripped of surrounding space. Default: empty.
    image : ImageSource, optional
        Any source that `mmrag.load_image` reads.

    Raises
    ------
    QueryError
        If both are empty, or the text cannot be encoded as UTF-8.

    Examples
    --------
    >>> Query("phone case with this", image="leopard.jpg")
    Query(text='phone case with this', image='leopard.jpg')
    """

    text: str = ""
    image: ImageSource | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", self.text.strip())
        if self.image == "":
            object.__setattr__(self, "image", None)
        if not self.text and self.image is None:
            raise QueryError("the query is empty: give a text, an image, or both")
        try:
            self.text.encode()
        except UnicodeEncodeError as error:  # bytes of another encoding, or half of an emoji
            raise QueryError(
                f"character {error.start + 1} of the query's text is none: give the text as UTF-8"
            ) from error

    @classmethod
    def parse(cls, string: str) -> Query:
        r"""Parse a string that may hold one Markdown image; an escaped or incomplete one stays text.

        Raises `QueryError` if it holds several different images, or nothing at all.

        >>> Query.parse("phone case with this ![a leopard](photos/leopard (1).jpg)")
        Query(text='phone case with this', image='photos/leopard (1).jpg')
        >>> Query.parse(r"how to write \![](a.jpg)").text
        'how to write ![](a.jpg)'
        """
        texts, images, end = [""], list[str](), 0
        for match in _IMAGE_OR_LITERAL.finditer(string):
            texts[-1] += string[end : match.start()] + match["slashes"][::2]
            end = match.end()
            if match["literal"]:
                texts[-1] += match["literal"]
            elif target := _image_path(match["inside"]):
                images.append(target)
                texts.append("")
            else:
                texts[-1] += match[0][len(match["slashes"]) :]
        texts[-1] += string[end:]
        images = list(dict.fromkeys(images))  # chat engines repeat what was said before
        if len(images) > 1:
            shown = ", ".join(map(describe_source, images))
            raise QueryError(f"the query holds {len(images)} images ({shown}): keep one")
        return cls(" ".join(text.strip() for text in texts), *images)

    def __str__(self) -> str:
        r"""Format the query as a string that `parse` reads; raise `QueryError` if the image has no path.

        >>> print(Query("mug like this!", image="my cups/old one.jpg"))
        mug like this! ![](<my cups/old one.jpg>)
        """
        text = re.sub(r"(\\*)!\[", r"\1\1\\![", self.text)
        if self.image is None:
            return text
        if not isinstance(self.image, (str, os.PathLike)):
            raise QueryError(
                f"{describe_source(self.image)} is in memory and has no name to write: save the image and give its path"
            )
        path = os.fspath(self.image)
        path = "<" + re.sub(r"([\\<>])", r"\\\1", path) + ">" if _NEEDS_BRACKETS.search(path) else path
        return f"{text} ![]({path})".strip()

    def __repr__(self) -> str:
        image = self.image if self.image is None else describe_source(self.image)
        return f"Query(text={self.text!r}, image={image})"


def _image_path(inside: str) -> str:
    path = inside.strip()
    if path[-1:] in ("'", '"') and (start := path.rfind(path[-1], 0, -1)) > 0:
        path = path[:start].rstrip() if path[start - 1].isspace() else path  # path "title"
    if path.startswith("<") and path.endswith(">"):
        path = path[1:-1]
    return re.sub(r"\\([\\()<>])", r"\1", path)
