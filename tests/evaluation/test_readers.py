"""Each reader takes the publisher's form, and names file, line and field of what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mmrag.datasets import plan_catalog, qrels, queries, write_queries
from mmrag.errors import SettingError
from mmrag.evaluation import read_dataset
from mmrag.indexing.json_records import read_list

CIRR = {
    "pairid": 12063,
    "reference": "dev-1-0-img0",
    "target_hard": "dev-2-0-img1",
    "target_soft": {"dev-2-0-img1": 1.0},
    "caption": "make it darker",
    "img_set": {"id": 3, "members": ["dev-1-0-img0", "dev-2-0-img1", "dev-3-0-img0"]},
}
FASHION = {"candidate": "B001", "target": "B002", "captions": [" is red ", "has long sleeves"]}
CIRCO = {
    "id": 0,
    "reference_img_id": 88,
    "target_img_id": 17,
    "relative_caption": "with a dog",
    "shared_concept": "a bench",
    "gt_img_ids": [17, 5],
    "semantic_aspects": ["addition"],
}


def publish(file: Path, records: object) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(records, indent=1))
    return file


@pytest.fixture
def images(tmp_path) -> Path:
    """The reference images, some of them in sub-folders."""
    folder = tmp_path / "images"
    for name in ("dev/1/dev-1-0-img0.png", "B001.jpg", "000000000088.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(folder / name)
    return folder


def test_a_drawn_catalog_is_read_as_it_was_written(tmp_path):
    items = plan_catalog(288)
    written = [*queries("recolour", 3, 5, items), *queries("text", 2, 5, items)]
    write_queries(tmp_path / "asked", written, items)
    judged = read_dataset([tmp_path / "asked"])
    assert [(q.id, q.kind, q.text) for q in judged.queries] == [(q.id, q.query_type, q.text) for q in written]
    assert [q.image is not None for q in judged.queries] == [True] * 3 + [False] * 2
    assert judged.queries[0].image == tmp_path / "asked" / "recolour-0000.jpg"
    lines = [f"{q.id} 0 {item} {grade}" for q in judged.queries for item, grade in q.grades.items()]
    assert lines == qrels(written, items)
    assert (judged.name, judged.exact, judged.relevant) == ("asked", 2, 2)


def test_cirr_leaves_the_reference_out_and_ranks_the_image_set(tmp_path, images):
    file = publish(tmp_path / "captions" / "cap.rc2.val.json", [CIRR])
    names = {name: f"./dev/{name}.png" for name in CIRR["img_set"]["members"]}
    publish(tmp_path / "image_splits" / "split.rc2.val.json", names)
    judged = read_dataset([file], images)
    (query,) = judged.queries
    assert query.image == images / "dev" / "1" / "dev-1-0-img0.png"
    assert query.grades == {"dev-2-0-img1": 1}
    assert query.excluded == {"dev-1-0-img0"}
    assert query.subset == tuple(names)
    assert judged.cutoffs == (1, 5, 10, 50)
    assert judged.subset_cutoffs == (1, 2, 3)
    assert judged.galleries == {"CIRR": frozenset(names)}


def test_fashioniq_joins_captions_and_keeps_categories_apart(tmp_path, images):
    files = [publish(tmp_path / "captions" / f"cap.{category}.val.json", [FASHION]) for category in ("dress", "shirt")]
    publish(tmp_path / "image_splits" / "split.dress.val.json", ["B001", "B002"])
    judged = read_dataset(files, images)
    assert [(q.kind, q.text) for q in judged.queries] == [
        ("dress", "is red and has long sleeves"),
        ("shirt", "is red and has long sleeves"),
    ]
    assert judged.queries[0].image == images / "B001.jpg"
    assert judged.queries[0].grades == {"B002": 1}
    assert judged.queries[0].excluded == frozenset()
    assert judged.cutoffs == (10, 50)
    assert judged.galleries == {"dress": frozenset(["B001", "B002"])}
    assert len({q.id for q in judged.queries}) == 2


def test_circo_counts_every_ground_truth_and_hits_the_target(tmp_path, images):
    judged = read_dataset([publish(tmp_path / "val.json", [CIRCO])], images)
    (query,) = judged.queries
    assert query.image == images / "000000000088.jpg"
    assert query.grades == {"000000000017": 2, "000000000005": 1}
    assert (judged.relevant, judged.exact) == (1, 2)
    assert judged.cutoffs == (5, 10, 25, 50)


def test_a_missing_image_keeps_its_name_for_the_error(tmp_path, images):
    judged = read_dataset([publish(tmp_path / "val.json", [CIRCO | {"reference_img_id": 9}])], images)
    assert "000000000009" in str(judged.queries[0].image)


@pytest.mark.parametrize(
    ("name", "record", "without", "message"),
    [
        ("cap.rc2.test1.json", CIRR, "target_hard", r"line 19, record 2, target_hard"),
        ("cap.dress.test.json", FASHION, "target", r"line 10, record 2, target"),
        ("test.json", CIRCO, "gt_img_ids", r"line 16, record 2, gt_img_ids"),
    ],
)
def test_a_record_without_a_field_is_reported_by_line(tmp_path, images, name, record, without, message):
    broken = {field: value for field, value in record.items() if field != without}
    file = publish(tmp_path / name, [record, broken])
    with pytest.raises(SettingError, match=message) as caught:
        read_dataset([file], images)
    assert str(file) in str(caught.value)


def test_a_split_without_answers_is_refused(tmp_path, images):
    file = publish(tmp_path / "cap.dress.test.json", [{"candidate": "B001", "captions": ["a"]}])
    with pytest.raises(SettingError, match=r"line 2, record 1: no target.*validation split"):
        read_dataset([file], images)


def test_a_wrong_type_is_reported_with_its_field(tmp_path, images):
    file = publish(tmp_path / "cap.rc2.val.json", [CIRR | {"img_set": {"members": ["a", 5]}}])
    with pytest.raises(SettingError, match=r"img_set\.members\.1: Input should be a valid string"):
        read_dataset([file], images)


def test_truncated_json_is_reported_by_line(tmp_path, images):
    file = tmp_path / "val.json"
    file.write_text(json.dumps([CIRCO], indent=1)[:-40])
    with pytest.raises(SettingError, match=r"val\.json, line 2: no JSON"):
        read_dataset([file], images)


@pytest.mark.parametrize("name", ["cap.rc2.val.json", "split.rc2.val.json", "queries.jsonl"])
def test_json_that_is_nested_without_end_is_refused(tmp_path, images, name):
    captions = publish(tmp_path / "captions" / "cap.rc2.val.json", [CIRR])
    (tmp_path / "image_splits").mkdir()
    (tmp_path / "qrels.txt").touch()
    folders = {"cap": captions.parent, "split": tmp_path / "image_splits", "queries": tmp_path}
    (folders[name.partition(".")[0]] / name).write_text("[" * 100_000)
    with pytest.raises(SettingError, match=rf"{name}.*no JSON"):
        read_dataset([tmp_path if name.endswith("l") else captions], images)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{}", "JSON list"), ("", "JSON list"), ('[{"a": 1}]', "no known format"), ("[]", "no known format")],
)
def test_other_json_is_refused(tmp_path, images, text, message):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(SettingError, match=message):
        read_dataset([tmp_path / "x.json"], images)


def test_what_is_missing_is_reported_with_the_option(tmp_path):
    file = publish(tmp_path / "val.json", [CIRCO])
    with pytest.raises(SettingError, match="--images"):
        read_dataset([file])
    with pytest.raises(SettingError, match="no folder"):
        read_dataset([file], tmp_path / "nowhere")
    with pytest.raises(SettingError, match=r"queries\.jsonl"):
        read_dataset([tmp_path / "nowhere"])


def test_parts_that_are_measured_differently_stay_apart(tmp_path, images):
    one = publish(tmp_path / "val.json", [CIRCO])
    other = publish(tmp_path / "cap.dress.val.json", [FASHION])
    with pytest.raises(SettingError, match="cutoffs"):
        read_dataset([one, other], images)
    with pytest.raises(SettingError, match="twice"):
        read_dataset([one, one], images)


@pytest.mark.parametrize(
    ("asked", "judged", "message"),
    [
        ('{"id": "a", "text": "mug"}\n{"id": 7}', "a 0 x 1", r"queries\.jsonl, line 2, id"),
        ('{"id": "a", "text": "mug"}\n\nnothing', "a 0 x 1", r"queries\.jsonl, line 3: no JSON"),
        ('{"id": "a", "text": "mug"}', "a 0 x 1\na 0 y", r"qrels\.txt, line 2"),
        ('{"id": "a", "text": "mug"}', "a 0 x best", r"qrels\.txt, line 1"),
        ('{"id": "a", "text": "mug"}', "a 0 x 1\nb 0 x 1", r"grades 1 queries.*'b'"),
        ('{"id": "a", "text": "mug"}', "a 0 x 0", r"no relevant image for 'a'"),
        ('{"id": "a", "text": " "}', "a 0 x 1", r"'a'.*no text and no image"),
        ("", "", r"no queries"),
    ],
)
def test_a_fault_in_a_folder_is_reported_by_line(tmp_path, asked, judged, message):
    (tmp_path / "queries.jsonl").write_text(asked)
    (tmp_path / "qrels.txt").write_text(judged)
    with pytest.raises(SettingError, match=message):
        read_dataset([tmp_path])


VALUES = st.dictionaries(st.text(max_size=5), st.integers() | st.text(), max_size=3)


@given(records=st.lists(VALUES, max_size=6), indent=st.none() | st.integers(0, 3))
def test_lists_are_read_as_json_reads_them(tmp_path_factory, records, indent):
    file = tmp_path_factory.getbasetemp() / "any.json"
    file.write_text(json.dumps(records, indent=indent), encoding="utf-8")
    pieces = read_list(file)
    assert [piece for _, piece in pieces] == records
    lines = file.read_text().split("\n")
    for location, _ in pieces:
        line = int(location.split("line ")[1].split(",")[0])
        assert "{" in lines[line - 1]


@given(text=st.text(alphabet='[]{},:"ab1 \n\\', max_size=30))
def test_no_text_breaks_the_reader(tmp_path_factory, text):
    file = tmp_path_factory.getbasetemp() / "noise.json"
    file.write_text(text, encoding="utf-8")
    try:
        pieces = read_list(file)
    except SettingError:
        return
    assert text.lstrip().startswith("[")
    assert all(str(file) in location for location, _ in pieces)
