"""Report of an indexing run: counts, and the reason for each skipped file."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

__all__ = ["IndexReport", "Skipped"]


@dataclass(frozen=True)
class Skipped:
    """A file, or a URL without its secrets, that is not in the index, and why."""

    name: str
    reason: str

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self.name)

    def __str__(self) -> str:
        # A name may hold what would speak to a terminal, or begin a line of its own.
        name = self.name if self.name.isprintable() else repr(self.name)
        return f"{name}: {self.reason}"


@dataclass(frozen=True)
class IndexReport:
    """Counts of files, each file in exactly one of them; ``deleted`` ones are no longer there.

    Attributes
    ----------
    source : str
        The folder, table or pattern that named the files.
    new : int
        Files not seen before, holding an image not seen before.
    changed : int
        Files seen before that now hold another image, or have other metadata.
    moved : int
        Known images under another path, their old file gone.
    duplicate : int
        Known images under one more name: stored once, with all names. Also a second line of a table about one file.
    deleted : int
        Files that are gone, or that a table no longer names (``sync=True``).
    unchanged : int
        Files left alone.
    skipped : tuple of Skipped
        Files that hold no image, and why.
    embedded : int
        Images that were encoded.
    seconds : float
        How long it took.
    """

    source: str
    new: int = 0
    changed: int = 0
    moved: int = 0
    duplicate: int = 0
    deleted: int = 0
    unchanged: int = 0
    skipped: tuple[Skipped, ...] = ()
    embedded: int = 0
    seconds: float = 0.0

    @property
    def files(self) -> int:
        """How many files were looked at."""
        return sum(count for name, count in self._counts() if name != "deleted")

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {name}" for name, count in self._counts() if count)
        return f"{self.files} files in {self.seconds:.1f} s: {counts or 'nothing to do'}"

    def _repr_html_(self) -> str:
        heads = "".join(f"<th>{name}</th>" for name, _ in self._counts())
        cells = "".join(f"<td>{count}</td>" for _, count in self._counts())
        items = "".join(f"<li>{escape(str(skipped))}</li>" for skipped in self.skipped)
        why = "<summary>what was skipped, and why</summary>"
        reasons = f"<details>{why}<ul>{items}</ul></details>" if items else ""
        return (
            f"<p>{escape(self.source)}: {self.files} files in {self.seconds:.1f} s</p>"
            f"<table><tr>{heads}</tr><tr>{cells}</tr></table>{reasons}"
        )

    def _counts(self) -> list[tuple[str, int]]:
        names = ("new", "changed", "moved", "duplicate", "deleted", "unchanged")
        return [*((name, getattr(self, name)) for name in names), ("skipped", len(self.skipped))]
