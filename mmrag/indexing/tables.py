"""A shop's table. In: CSV, JSONL or Parquet with a column of images. Out: images with metadata.

Every other column becomes metadata of one type (text, int, float, bool) that filters can use.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, cast

from mmrag.errors import SettingError, require
from mmrag.filters import RESERVED_WORDS, Scalar
from mmrag.indexing import Listed
from mmrag.indexing.json_records import read_lines

__all__ = ["SUFFIXES", "Table", "open_table"]

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
IMAGE_COLUMNS = ("image", "image_path", "picture", "file", "filename", "path", "image_url", "url")
LONGEST_NAME = 200  # Milvus takes 255, and of two that are cut to one name, one gets a number
LARGEST_NUMBER = 2**53  # beyond it a float cannot tell neighbors apart: such digits are a name
STORE_COLUMNS = ("id", "doc_id", "text", "embedding", "document_id", "ref_doc_id")
"""What the store calls its own; a table's column of that name becomes ``item_…``."""


@dataclass(frozen=True)
class Table:
    """A table that can be read again and again; iterating gives a `Listed` a row.

    Attributes
    ----------
    file
        Where it stands; relative paths of images start in its folder.
    image_column
        The column that names the images.
    columns
        Type of each metadata field, by the name it can be filtered by.
    fields
        That name, by the column's own.
    state
        Time, size and number of the file when it was looked through.
    left_out
        Columns that hold lists or objects, or nothing at all.
    """

    file: Path
    image_column: str
    columns: Mapping[str, type[Scalar]]
    fields: Mapping[str, str]
    state: tuple[int, int, int]
    left_out: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The absolute path of the file."""
        return str(self.file.resolve())

    def __iter__(self) -> Iterator[Listed]:
        """Read the rows.

        Raises
        ------
        SettingError
            When the table cannot be read to its end, or changed after it was looked through.
        """
        try:
            for row in _rows(self.file):
                image = str(row.get(self.image_column) or "").strip()
                if image:
                    yield Listed(self._located(image), dict(self._typed(row)))
        except ValueError:  # a SettingError is one, too
            self._refuse_changes()
            raise
        self._refuse_changes()

    def _refuse_changes(self) -> None:
        if _state(self.file) != self.state:
            raise SettingError(f"{self.file} changed while it was read: index it again")

    def _located(self, image: str) -> str:
        return image if "://" in image else str(self.file.parent / image)

    def _typed(self, row: Mapping[str, Any]) -> Iterator[tuple[str, Scalar]]:
        for column, value in row.items():
            if (field := self.fields.get(column)) and value not in (None, ""):
                yield field, _as(self.columns[field], value)


def open_table(file: Path, image_column: str | None = None) -> Table:
    """Look through a table once, to find its image column and the type of every other.

    Parameters
    ----------
    file
        ``.csv``, ``.tsv``, ``.jsonl``, or ``.parquet`` (needs the extra ``parquet``).
    image_column
        The column of paths or URLs; found by its name (``image``, ``file``, ``url``, …) when None.

    Raises
    ------
    SettingError
        When the file cannot be read as what its name says, or no column names images.
    """
    state = _state(file)
    kinds: dict[str, type[object] | None] = {}
    for row in _rows(file):
        for column, value in row.items():
            kinds[column] = _wider(kinds[column], value) if column in kinds else _kind(value)
    image = _image_column(file, list(kinds), image_column)
    del kinds[image]
    known = {column: kind for column, kind in kinds.items() if kind not in (None, object)}
    fields = field_names(known)
    return Table(
        file=file,
        image_column=image,
        columns={fields[column]: cast("type[Scalar]", kind) for column, kind in known.items()},
        fields=fields,
        state=state,
        left_out=tuple(kinds.keys() - known.keys()),
    )


def field_name(column: str) -> str:
    """Name a column so that a filter can name it.

    Examples
    --------
    >>> [field_name(column) for column in ("price", "Unit price (€)", "2nd", "id")]
    ['price', 'Unit_price', 'item_2nd', 'item_id']
    """
    name = re.sub(r"\W+", "_", column, flags=re.ASCII).strip("_")
    taken = name in STORE_COLUMNS or name in RESERVED_WORDS
    name = f"item_{name}" if not name or name[0].isdigit() or taken else name
    return name[:LONGEST_NAME]


def field_names(columns: Iterable[str]) -> dict[str, str]:
    """Name each column differently: "Price (€)" and "Price ($)" are Price and Price_2."""
    fields: dict[str, str] = {}
    for column in columns:
        name = field_name(column)
        others = (f"{name}_{number}" for number in count(2))
        taken = fields.values()
        fields[column] = name if name not in taken else next(n for n in others if n not in taken)
    return fields


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    try:
        match file.suffix.lower():
            case ".csv":
                yield from _csv_rows(file, ",")
            case ".tsv":
                yield from _csv_rows(file, "\t")
            case ".jsonl":
                yield from _jsonl_rows(file)
            case ".parquet":
                yield from _parquet_rows(file)
            case suffix:
                raise SettingError(f"{file}: no reader for {suffix!r}; there are {SUFFIXES}")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{file} cannot be read: {error}. Save it as UTF-8 CSV or JSONL") from error


def _state(file: Path) -> tuple[int, int, int]:
    try:
        facts = file.stat()
    except OSError as error:
        raise SettingError(f"{file} cannot be read: {error}. Check the path") from error
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


def _csv_rows(file: Path, delimiter: str) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8-sig", newline="") as lines:  # spreadsheets write the mark
        reader = csv.DictReader(lines, delimiter=delimiter, strict=True)
        try:
            for row in reader:
                yield {column: value for column, value in row.items() if isinstance(column, str)}
        except csv.Error as error:
            raise SettingError(
                f"{file}, line {reader.reader.line_num} cannot be read: {error}. "
                "A quote may be open there, or on a line before"
            ) from error


def _jsonl_rows(file: Path) -> Iterator[dict[str, Any]]:
    for place, row in read_lines(file):
        if not isinstance(row, dict):
            raise SettingError(f"{place}: a JSON object was expected")
        yield cast("dict[str, Any]", row)


def _parquet_rows(file: Path) -> Iterator[dict[str, Any]]:
    parquet = cast("Any", require("pyarrow.parquet", extra="parquet", feature="Reading Parquet"))
    arrow = cast("Any", require("pyarrow", extra="parquet", feature="Reading Parquet"))
    try:
        for batch in parquet.ParquetFile(file).iter_batches():
            yield from cast("Iterable[dict[str, Any]]", batch.to_pylist())
    except (arrow.ArrowException, ValueError, OverflowError) as error:  # as of dates
        raise SettingError(f"{file} cannot be read as Parquet: {error}") from error


def _image_column(file: Path, columns: list[str], wanted: str | None) -> str:
    names = [wanted] if wanted else IMAGE_COLUMNS
    for name in names:
        if found := next((column for column in columns if column.lower() == name.lower()), None):
            return found
    raise SettingError(
        f"{file}: no column {wanted or 'of images'!r}; it has {', '.join(columns) or 'no rows'}. "
        "Name the one with paths or URLs: --image-column NAME"
    )


def _kind(value: Any) -> type[object] | None:
    match value:
        case None | "":
            return None
        case int() if abs(value) > LARGEST_NUMBER:
            return str
        case bool() | int() | float():
            return type(value)
        case str():
            return _kind_of_text(value)
        case _:
            return object


def _kind_of_text(text: str) -> type[Scalar]:
    if text.lower() in ("true", "false"):
        return bool
    if re.fullmatch(r"0|-?[1-9]\d*", text):  # "007" is a name, not a number
        return int if len(text) < 20 and abs(int(text)) <= LARGEST_NUMBER else str
    if re.fullmatch(r"-?(0|[1-9]\d*)?\.\d+|-?(0|[1-9]\d*)\.?([eE][+-]?\d{1,2})?", text):
        return float
    return str


def _wider(known: type[object] | None, value: Any) -> type[object] | None:
    kind = _kind(value)
    if known is None or kind is None or known is kind:
        return known or kind
    if {known, kind} == {int, float}:
        return float
    return object if object in (known, kind) else str


def _as(kind: type[Scalar], value: Any) -> Scalar:
    if kind is bool:
        return str(value).lower() == "true"
    if kind is float and _kind(value) is int:
        return int(value)  # a 6 among prices stays the 6 it was before others got decimals
    return kind(value)
