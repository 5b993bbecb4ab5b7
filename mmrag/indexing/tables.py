"""Readers of CSV, TSV, JSONL and Parquet tables with a column of images and typed metadata."""

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
from mmrag.indexing.json_records import read_lines
from mmrag.indexing.records import ImageEntry

__all__ = ["TABLE_SUFFIXES", "Table", "open_table"]

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
IMAGE_COLUMNS = ("image", "image_path", "picture", "file", "filename", "path", "image_url", "url")
MAX_NAME_LENGTH = 200  # Milvus takes 255, and of two that are cut to one name, one gets a number
MAX_NUMBER = 2**53  # beyond it a float cannot tell neighbors apart: such digits are an id
STORE_COLUMNS = ("id", "doc_id", "text", "embedding", "document_id", "ref_doc_id")  # a table's become item_…


@dataclass(frozen=True)
class Table:
    """The rows of a table as image entries, read anew each time."""

    file: Path  # relative paths of images start in its folder
    image_column: str
    columns: Mapping[str, type[Scalar]]  # type of each metadata field
    fields: Mapping[str, str]  # name of each metadata field, as filters use it, by the name of its column
    state: tuple[int, int, int]  # of the file when it was opened
    skipped_columns: tuple[str, ...] = ()  # those that hold lists or objects, or nothing at all

    @property
    def name(self) -> str:
        """The absolute path of the file."""
        return str(self.file.resolve())

    def __iter__(self) -> Iterator[ImageEntry]:
        """Read the rows; raises `SettingError` if one cannot be read, or the file has changed."""
        try:
            for row in _rows(self.file):
                if image := str(row.get(self.image_column) or "").strip():
                    path = image if "://" in image else str(self.file.parent / image)
                    yield ImageEntry(path, dict(self._metadata(row)))
        except ValueError:  # a SettingError is one, too
            self._require_unchanged()
            raise
        self._require_unchanged()

    def _require_unchanged(self) -> None:
        if _state(self.file) != self.state:
            raise SettingError(f"{self.file} changed while it was read: index it again")

    def _metadata(self, row: Mapping[str, Any]) -> Iterator[tuple[str, Scalar]]:
        for column, value in row.items():
            if (field := self.fields.get(column)) and value not in (None, ""):
                yield field, _convert(self.columns[field], value)


def open_table(file: Path, image_column: str | None = None) -> Table:
    """Read a table once, to find the type of each column, and the one of images by its name unless it is given.

    Raises `SettingError` if the file cannot be read as what its name says, or no column names images.
    """
    state = _state(file)
    types: dict[str, type[object] | None] = {}
    for row in _rows(file):
        for column, value in row.items():
            types[column] = _common_type(types.get(column), value)
    image = _image_column(file, list(types), image_column)
    del types[image]
    known = {column: scalar for column, scalar in types.items() if scalar not in (None, object)}
    fields = field_names(known)
    columns = {fields[column]: cast("type[Scalar]", scalar) for column, scalar in known.items()}
    return Table(file, image, columns, fields, state, skipped_columns=tuple(types.keys() - known.keys()))


def field_name(column: str) -> str:
    """Convert a column's name to one that filters can use.

    >>> [field_name(column) for column in ("price", "Unit price (€)", "2nd", "id")]
    ['price', 'Unit_price', 'item_2nd', 'item_id']
    """
    name = re.sub(r"\W+", "_", column, flags=re.ASCII).strip("_")
    taken = name in STORE_COLUMNS or name in RESERVED_WORDS
    name = f"item_{name}" if not name or name[0].isdigit() or taken else name
    return name[:MAX_NAME_LENGTH]


def field_names(columns: Iterable[str]) -> dict[str, str]:
    """Give each column a unique name: "Price (€)" and "Price ($)" become Price and Price_2."""
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
            case ".csv" | ".tsv" as suffix:
                yield from _csv_rows(file, "," if suffix == ".csv" else "\t")
            case ".jsonl":
                yield from _jsonl_rows(file)
            case ".parquet":
                yield from _parquet_rows(file)
            case suffix:
                raise SettingError(f"{file}: no reader for {suffix!r}; there are {TABLE_SUFFIXES}")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{file} cannot be read: {error}. Save it as UTF-8 CSV or JSONL") from error


def _state(file: Path) -> tuple[int, int, int]:
    try:
        stat = file.stat()
    except OSError as error:
        raise SettingError(f"{file} cannot be read: {error}. Check the path") from error
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


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
    for position, row in read_lines(file):
        if not isinstance(row, dict):
            raise SettingError(f"{position}: a JSON object was expected")
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
    by_name = {column.lower(): column for column in reversed(columns)}  # of several, the first one
    for name in [wanted.lower()] if wanted else IMAGE_COLUMNS:
        if name in by_name:
            return by_name[name]
    raise SettingError(
        f"{file}: no column {wanted or 'of images'!r}; it has {', '.join(columns) or 'no rows'}. "
        "Name the one with paths or URLs: --image-column NAME"
    )


def _type_of(value: Any) -> type[object] | None:
    match value:
        case None | "":
            return None
        case int() if abs(value) > MAX_NUMBER:
            return str
        case bool() | int() | float():
            return type(value)
        case str():
            return _type_of_text(value)
        case _:
            return object


def _type_of_text(text: str) -> type[Scalar]:
    if text.lower() in ("true", "false"):
        return bool
    if re.fullmatch(r"0|-?[1-9]\d*", text):  # "007" is an id, not a number
        return int if len(text) < 20 and abs(int(text)) <= MAX_NUMBER else str
    if re.fullmatch(r"-?(0|[1-9]\d*)?\.\d+|-?(0|[1-9]\d*)\.?([eE][+-]?\d{1,2})?", text):
        return float
    return str


def _common_type(known: type[object] | None, value: Any) -> type[object] | None:
    scalar = _type_of(value)
    if known is None or scalar is None or known is scalar:
        return known or scalar
    if {known, scalar} == {int, float}:
        return float
    return object if object in (known, scalar) else str


def _convert(scalar: type[Scalar], value: Any) -> Scalar:
    if scalar is bool:
        return str(value).lower() == "true"
    if scalar is float and _type_of(value) is int:
        return int(value)  # a 6 among prices stays the 6 it was before others got decimals
    return scalar(value)
