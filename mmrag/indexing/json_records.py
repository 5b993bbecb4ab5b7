"""Records out of a file. In: a JSON list, or JSON lines, perhaps gzipped. Out: typed records.

What is wrong with a record is told with its file, line and field.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from mmrag.errors import SettingError

__all__ = ["Placed", "Record", "parse", "read_lines", "read_list", "read_records", "read_text"]

Record = TypeVar("Record", bound=BaseModel)
NOT_JSON = (ValueError, RecursionError)  # the latter of what is nested without end
Placed = tuple[str, Any]
"""Where a piece of JSON stands, in words, and the piece."""


def read_records(pieces: Iterable[Placed], kind: type[Record]) -> Iterator[Record]:
    """Check pieces of JSON against a pydantic model.

    Raises
    ------
    SettingError
        At the first that does not fit.
    """
    for place, piece in pieces:
        try:
            yield kind.model_validate(piece)
        except ValidationError as error:
            fault = error.errors()[0]
            field = ".".join(map(str, fault["loc"])) or "the record"
            raise SettingError(f"{place}, {field}: {fault['msg']}") from error


def read_lines(file: Path) -> Iterator[Placed]:
    """Read JSON lines; empty ones are passed over.

    Raises
    ------
    SettingError
        When the file cannot be read, or a line is no JSON.
    """
    try:
        opened = gzip.open if file.suffix == ".gz" else open
        with opened(file, "rt", encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    place = f"{file}, line {number}"
                    yield place, parse(line, place)
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise _unreadable(file, error) from error


def read_list(file: Path) -> list[Placed]:
    """Read a file that is one JSON list, and tell the line of each element.

    Raises
    ------
    SettingError
        When the file cannot be read, or is no JSON list.
    """
    text = read_text(file)
    decoder, at, line = json.JSONDecoder(), _after_space(text, 0), 1
    if text[at : at + 1] != "[":
        raise SettingError(f"{file}: a JSON list was expected, as the data set publishes it")
    line += text.count("\n", 0, at)
    found: list[Placed] = []
    sign, at, seen = "[", at + 1, at
    while sign != "]":
        at = _after_space(text, at)
        line, seen = line + text.count("\n", seen, at), at
        if text[at : at + 1] == "]" and not found:
            break
        try:
            piece, at = decoder.raw_decode(text, at)
        except NOT_JSON as error:
            raise SettingError(f"{file}, line {line}: no JSON ({error})") from error
        found.append((f"{file}, line {line}, record {len(found) + 1}", piece))
        at = _after_space(text, at)
        sign, at = text[at : at + 1], at + 1
        if sign not in (",", "]"):
            raise SettingError(f"{file}, line {line}: ',' or ']' was expected after a record")
    return found


def parse(text: str, place: str) -> Any:
    """Read a piece of JSON; ``place`` says where it stands.

    Raises
    ------
    SettingError
        When it is no JSON.
    """
    try:
        return json.loads(text)
    except NOT_JSON as error:
        raise SettingError(f"{place}: no JSON ({error})") from error


def read_text(file: Path) -> str:
    """Read a text file.

    Raises
    ------
    SettingError
        When it cannot be read.
    """
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(file, error) from error


def _after_space(text: str, at: int) -> int:
    while text[at : at + 1].isspace():
        at += 1
    return at


def _unreadable(file: Path, error: Exception) -> SettingError:
    return SettingError(f"{file} cannot be read: {error}. Check the path, and save it as UTF-8")
