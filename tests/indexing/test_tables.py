"""A table's columns become typed fields, whatever the format, and images are found beside it."""

from __future__ import annotations

import csv
import json
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrag.errors import SettingError
from mmrag.filters import FieldComparison
from mmrag.indexing import ImageEntry
from mmrag.indexing.tables import field_name, field_names, open_table

ROWS = [
    {"file": "a.jpg", "title": "Mug", "price": 9.5, "stock": 3, "new": True},
    {"file": "b.jpg", "title": "Bag", "price": 20.0, "stock": 0, "new": False},
]


def write_csv(file, rows):
    with file.open("w", encoding="utf-8-sig", newline="") as lines:
        writer = csv.DictWriter(lines, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_jsonl(file, rows):
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_parquet(file, rows):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(arrow.Table.from_pylist(rows), file)


@pytest.mark.parametrize("write", [write_csv, write_jsonl, write_parquet])
def test_every_format_gives_the_same_typed_rows(tmp_path, write):
    file = tmp_path / f"shop.{write.__name__.removeprefix('write_')}"
    write(file, ROWS)
    table = open_table(file)
    assert table.columns == {"title": str, "price": float, "stock": int, "new": bool}
    assert list(table) == [
        ImageEntry(str(tmp_path / "a.jpg"), {"title": "Mug", "price": 9.5, "stock": 3, "new": True}),
        ImageEntry(str(tmp_path / "b.jpg"), {"title": "Bag", "price": 20.0, "stock": 0, "new": False}),
    ]
    assert list(table) == list(table)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "2"], int),
        (["1", "2.5", "-3e2"], float),
        (["1", "x"], str),
        (["007", "1"], str),
        (["true", "False"], bool),
        (["true", "1"], str),
        (["", "4"], int),
        (["inf", "1"], str),
        (["99999999999999999999", "1"], str),
        (["9007199254740993", "1"], str),
        (["9007199254740992", "1"], int),
    ],
)
def test_a_column_of_text_gets_the_narrowest_type_that_holds_it(tmp_path, values, kind):
    file = tmp_path / "shop.csv"
    write_csv(file, [{"image": "a.jpg", "field": value} for value in values])
    table = open_table(file)
    assert table.columns == {"field": kind}
    for entry, value in zip(table, values, strict=True):
        assert entry.metadata == ({} if value == "" else {"field": pytest.approx(_read(kind, value))})


def _read(kind, value):
    return value.lower() == "true" if kind is bool else kind(value)


def test_urls_are_kept_and_rows_without_an_image_are_left_out(tmp_path):
    file = tmp_path / "shop.jsonl"
    write_jsonl(file, [{"url": "https://a.example/1.jpg"}, {"url": ""}, {"url": None}])
    assert [entry.path for entry in open_table(file)] == ["https://a.example/1.jpg"]


def test_columns_that_cannot_be_filtered_are_named(tmp_path):
    file = tmp_path / "shop.jsonl"
    kept = {"id": "7", "document_id": "d"}
    write_jsonl(file, [{"image": "a.jpg", "tags": ["x"], "none": None, **kept}])
    table = open_table(file)
    assert set(table.skipped_columns) == {"tags", "none"}
    assert next(iter(table)).metadata == {"item_id": 7, "item_document_id": "d"}


def test_columns_of_one_name_are_kept_apart(tmp_path):
    file = tmp_path / "shop.csv"
    write_csv(file, [{"image": "a.jpg", "Price (€)": "5", "Price ($)": "6", "Price_2": "7"}])
    table = open_table(file)
    assert table.fields == {"Price (€)": "Price", "Price ($)": "Price_2", "Price_2": "Price_2_2"}
    assert next(iter(table)).metadata == {"Price": 5, "Price_2": 6, "Price_2_2": 7}


def test_long_names_of_columns_are_cut_and_kept_apart(tmp_path):
    file = tmp_path / "shop.csv"
    write_csv(file, [{"image": "a.jpg", "x" * 300: "5", "x" * 301: "6"}])
    assert next(iter(open_table(file))).metadata == {"x" * 200: 5, "x" * 200 + "_2": 6}


def test_the_image_column_can_be_given_and_is_an_error_when_unknown(tmp_path):
    file = tmp_path / "shop.csv"
    write_csv(file, [{"photo": "a.jpg", "title": "Mug"}])
    assert next(iter(open_table(file, "photo"))).path == str(tmp_path / "a.jpg")
    with pytest.raises(SettingError, match=r"it has photo, title.*--image-column"):
        open_table(file)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", b'{"image": "a.jpg"}\n{oops\n', "line 2: no JSON"),
        ("a.jsonl", b"[1]\n", "line 1: a JSON object"),
        ("a.csv", b"image\n\xff\xfe\n", "cannot be read"),
        ("a.csv", b"", "no rows"),
        ("a.parquet", b"not parquet", "cannot be read as Parquet"),
        ("a.xlsx", b"", "no reader for '.xlsx'"),
        ("a.csv", b'image\na.jpg\n"b.jpg\nc.jpg\n', "line 4 cannot be read: unexpected end.*quote"),
        ("a.csv", b"image\n" + b"x" * 200_000, "line 2 cannot be read: field larger"),
    ],
)
def test_a_broken_table_is_one_clear_error(tmp_path, name, text, message):
    (tmp_path / name).write_bytes(text)
    with pytest.raises(SettingError, match=message):
        open_table(tmp_path / name)


def test_a_table_that_changed_since_it_was_opened_is_refused(tmp_path):
    file = tmp_path / "shop.csv"
    write_csv(file, [{"image": "a.jpg", "price": 1}])
    table = open_table(file)
    for other in ({"image": "a.jpg", "price": "x"}, {"photo": "a.jpg", "price": 2}):
        write_csv(file, [other])
        with pytest.raises(SettingError, match="changed while it was read: index it again"):
            list(table)


def test_a_table_that_changes_while_it_is_read_is_refused(tmp_path):
    file = tmp_path / "shop.csv"
    write_csv(file, [{"image": "a.jpg"}, {"image": "b.jpg"}])
    rows = iter(open_table(file))
    next(rows)
    write_csv(tmp_path / "new.csv", [{"image": "c.jpg"}])
    (tmp_path / "new.csv").rename(file)
    with pytest.raises(SettingError, match="changed while it was read"):
        list(rows)


def test_byte_order_marks_crlf_and_line_breaks_in_cells_are_read(tmp_path):
    file = tmp_path / "shop.csv"
    file.write_bytes('\ufeffimage,note\r\na.jpg,"one\r\ntwo"\r\n'.encode())
    assert list(open_table(file)) == [ImageEntry(str(tmp_path / "a.jpg"), {"note": "one\r\ntwo"})]
    lines = tmp_path / "shop.jsonl"
    lines.write_text('\ufeff{"image": "a.jpg"}\r\n')
    assert list(open_table(lines)) == [ImageEntry(str(tmp_path / "a.jpg"), {})]


def test_what_parquet_holds_beside_text_and_numbers_is_skipped_columns(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    row = {"image": "a.jpg", "day": date(2026, 1, 2), "price": Decimal("1.5"), "raw": b"x"}
    write_parquet(tmp_path / "shop.parquet", [row])
    assert set(open_table(tmp_path / "shop.parquet").skipped_columns) == {"day", "price", "raw"}
    far = arrow.table({"image": ["a.jpg"], "day": arrow.array([2**62], arrow.timestamp("us"))})
    from pyarrow import parquet

    parquet.write_table(far, tmp_path / "far.parquet")
    with pytest.raises(SettingError, match="cannot be read as Parquet"):
        open_table(tmp_path / "far.parquet")


@given(column=st.text(min_size=1))
def test_every_column_gets_a_name_that_a_filter_takes(column):
    assert FieldComparison(field_name(column), "==", 1)


@given(columns=st.lists(st.text(), unique=True))
def test_no_column_hides_another(columns):
    fields = field_names(columns)
    assert list(fields) == columns
    assert len(set(fields.values())) == len(columns)
