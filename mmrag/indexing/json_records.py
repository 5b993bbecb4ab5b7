"""Readers of JSON lists and JSON lines, whose errors name file, line and field."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from mmrag.errors import SettingError

__all__ = ["Located", "Record", "parse_json", "read_lines", "read_list", "read_records", "read_text"]

Record = TypeVar("Record", bound=BaseModel)
NOT_JSON = (ValueError, RecursionError)  # the latter for endless nesting
Located = tuple[str, Any]  # position of a JSON value in its file, for messages, and the value


def read_records(values: Iterable[Located], model: type[Record]) -> Iterator[Record]:
    """Validate JSON values with a pydantic model; raises `SettingError` at the first that does not fit."""
    for position, value in values:
        try:
            yield model.model_validate(value)
        except ValidationError as error:
            fault = error.errors()[0]
            field = ".".join(map(str, fault["loc"])) or "the record"
            raise SettingError(f"{position}, {field}: {fault['msg']}") from error


def read_lines(file: Path) -> Iterator[Located]:
    """Read JSON lines, also gzipped, without empty ones; raises `SettingError` for one that is no JSON."""
    try:
        opened = gzip.open if file.suffix == ".gz" else open
        with opened(file, "rt", encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    position = f"{file}, line {number}"
                    yield position, parse_json(line, position)
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise _unreadable(file, error) from error


def read_list(file: Path) -> list[Located]:
    """Read a file that is one JSON list, with the line of each element; raises `SettingError` if it is none."""
    text = read_text(file)
    decoder, at, line, counted = json.JSONDecoder(), _skip_space(text, 0), 1, 0
    values: list[Located] = []
    sign, at = text[at : at + 1], at + 1
    if sign != "[":
        raise SettingError(f"{file}: a JSON list was expected, as the data set publishes it")
    while sign != "]":
        at = _skip_space(text, at)
        line, counted = line + text.count("\n", counted, at), at
        if text[at : at + 1] == "]" and not values:
            break
        try:
            value, at = decoder.raw_decode(text, at)
        except NOT_JSON as error:
            raise SettingError(f"{file}, line {line}: no JSON ({error})") from error
        values.append((f"{file}, line {line}, record {len(values) + 1}", value))
        at = _skip_space(text, at)
        sign, at = text[at : at + 1], at + 1
        if sign not in (",", "]"):
            raise SettingError(f"{file}, line {line}: ',' or ']' was expected after a record")
    return values


def parse_json(text: str, position: str) -> Any:
    """Parse JSON; raises `SettingError` with the position if it is none."""
    try:
        return json.loads(text)
    except NOT_JSON as error:
        raise SettingError(f"{position}: no JSON ({error})") from error


def read_text(file: Path) -> str:
    """Read a UTF-8 file; raises `SettingError` if it cannot be read."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(file, error) from error


def _skip_space(text: str, at: int) -> int:
    while text[at : at + 1].isspace():
        at += 1
    return at


def _unreadable(file: Path, error: Exception) -> SettingError:
    return SettingError(f"{file} cannot be read: {error}. Check the path, and save it as UTF-8")
