"""`evaluate` runs every query mode, applies grades, exclusions and subsets, and reports what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from mmrag.errors import SettingError
from mmrag.evaluation import EvalDataset, EvalQuery, Evaluation, evaluate, read_dataset
from mmrag.query import Query
from mmrag.ranking import Ranking
from mmrag.rerank import ListwiseReranker
from mmrag.search import ImageSearcher
from mmrag.testing import MockVision, failing, malformed, reversing, scripted


@pytest.fixture
def reranked_by(searcher, monkeypatch):
    """Lets a mock stand where the vision LLM would."""

    def use(vision: MockVision, **settings) -> MockVision:
        monkeypatch.setitem(searcher.__dict__, "reranker", ListwiseReranker(vision, **settings))
        return vision

    return use


def judged(*queries: EvalQuery, **facts) -> EvalDataset:
    return EvalDataset("by hand", queries, **facts)


def by_image(shop: Path, name: str, answer: str, **facts) -> EvalQuery:
    return EvalQuery(f"{name}→{answer}", "dots", "", shop / f"{name}.png", {answer: 1}, **facts)


def test_an_image_finds_itself_and_a_query_without_text_finds_nothing_by_text(searcher, shop):
    evaluation = evaluate(searcher, judged(by_image(shop, "red", "red")), rerank=False)
    assert evaluation.score("hit@1", "composed").value == 1
    assert evaluation.score("hit@1", "image only").value == 1
    assert evaluation.score("hit@4", "text only").value == 0
    assert evaluation.results[0].rankings["composed"][0] == "red"
    assert "text only" not in evaluation.results[0].rankings
    assert (evaluation.num_images, evaluation.depth, evaluation.top, evaluation.reranker) == (6, 4, 4, None)


def test_each_query_mode_retrieves_what_the_searcher_does(searcher, shop):
    query = EvalQuery("q", "dots", "a green dot", shop / "red.png", {"green": 1})
    result = evaluate(searcher, judged(query), rerank=False).results[0]
    for mode, asked in {
        "text only": Query("a green dot"),
        "image only": Query(image=shop / "red.png"),
        "composed": Query("a green dot", shop / "red.png"),
    }.items():
        hits = searcher.retrieve(asked, top=4).results
        assert result.rankings[mode] == [Path(hit.path).stem for hit in hits]


def test_an_excluded_image_takes_no_rank(searcher, shop):
    plain = evaluate(searcher, judged(by_image(shop, "red", "black")), rerank=False)
    without = evaluate(searcher, judged(by_image(shop, "red", "black", excluded=frozenset(["red"]))), rerank=False)
    before, after = (evaluation.results[0].rankings["composed"] for evaluation in (plain, without))
    assert before[0] == "red"
    assert after[:3] == before[1:]
    assert len(after) == 4


def test_only_the_gallery_is_searched(searcher, shop):
    query = by_image(shop, "red", "black")
    gallery = frozenset(["black", "blue", "not indexed"])
    evaluation = evaluate(searcher, judged(query, galleries={"dots": gallery}), rerank=False)
    assert set(evaluation.results[0].rankings["composed"]) == {"black", "blue"}


def test_a_subset_is_ranked_by_itself_without_the_reference(searcher, shop, reranked_by):
    few = ("red", "green", "black", "blue")
    query = by_image(shop, "red", "green", excluded=frozenset(["red"]), subset=few)
    asked = judged(query, cutoffs=(1,), subset_cutoffs=(1, 3))
    straight = evaluate(searcher, asked, rerank=False).results[0].metrics["composed"]
    assert straight["subset recall@3"] == 1
    vision = reranked_by(MockVision(reversing()))
    turned = evaluate(searcher, asked)
    assert sorted(call.n for call in vision.requests) == [3, 4]
    assert turned.score("subset recall@1", "composed").value == straight["subset recall@1"]
    alone = evaluate(searcher, judged(query, galleries={"dots": frozenset(few[1:])}), rerank=False)
    position = alone.results[0].rankings["composed"].index("green")
    assert straight["subset recall@1"] == (position == 0)
    assert turned.score("subset recall@1", "reranked").value == (position == 2)


def test_reranking_turns_the_front_and_leaves_the_rest(searcher, shop, reranked_by):
    reranked_by(MockVision(reversing()))
    evaluation = evaluate(searcher, judged(by_image(shop, "red", "red"), cutoffs=(1, 6)))
    before, after = (evaluation.results[0].rankings[mode] for mode in ("composed", "reranked"))
    assert after == before[:4][::-1] + before[4:]
    assert len(after) == 6
    assert evaluation.score("hit@1", "composed").value == 1
    assert evaluation.score("hit@1").value == 0
    assert evaluation.score("MRR").value == pytest.approx(1 / 4)
    assert evaluation.score("MRR", "gain").value == pytest.approx(-3 / 4)
    assert evaluation.results[0].reason == "The last shall be first."
    assert {"encode", "search", "compose", "rank"} <= set(evaluation.latencies)
    assert evaluation.answers is not None
    assert (evaluation.answers.malformed, evaluation.answers.failed, evaluation.answers.repaired) == (0, 0, 0)


def test_malformed_and_failed_answers_are_counted_separately(searcher, shop, reranked_by):
    asked = judged(by_image(shop, "red", "red"), by_image(shop, "blue", "blue"))
    reranked_by(MockVision(scripted("[1, 2]", Ranking(order=[1, 2, 3, 4]))))
    answers = evaluate(searcher, asked).answers
    assert answers is not None
    assert (answers.calls, answers.malformed, answers.repaired) == (2, 0.5, 0.5)
    for lost in (malformed("refusal"), failing(RuntimeError("no"))):
        reranked_by(MockVision(lost))
        evaluation = evaluate(searcher, asked)
        assert evaluation.answers is not None
        assert (evaluation.answers.calls, evaluation.answers.malformed, evaluation.answers.failed) == (2, 0, 1)
        assert evaluation.answers.repaired == 1
        assert evaluation.score("hit@1").value == 1


def test_missing_answers_and_unreadable_queries_are_named(searcher, shop):
    evaluation = evaluate(
        searcher,
        judged(by_image(shop, "red", "red"), by_image(shop, "blue", "lost"), by_image(shop, "nowhere", "blue")),
        rerank=False,
    )
    assert evaluation.missing == ["lost"]
    assert list(evaluation.skipped) == ["nowhere→blue"]
    assert "nowhere.png" in evaluation.skipped["nowhere→blue"]
    assert [result.id for result in evaluation.results] == ["red→red", "blue→lost"]
    assert evaluation.score("hit@1").value == 0.5


def test_no_readable_query_is_an_error(searcher, shop):
    with pytest.raises(SettingError, match="--images"):
        evaluate(searcher, judged(by_image(shop, "nowhere", "blue")), rerank=False)


def test_no_graded_image_in_the_index_is_an_error(searcher, shop):
    with pytest.raises(SettingError, match=r"'lost'.*6 others, as 'black'.*--item"):
        evaluate(searcher, judged(by_image(shop, "red", "lost")), rerank=False)


def test_images_can_be_named_by_a_field(searcher, shop, tmp_path):
    settings = searcher.settings.model_copy(update={"db": str(tmp_path / "sku.db")})
    with ImageSearcher(settings, {"sku": int}) as numbered:
        numbered.index.add_folder(shop, metadata={"red.png": {"sku": 7}, "blue.png": {"sku": 8}})
        asked = judged(by_image(shop, "red", "7"), galleries={"dots": frozenset(["7", "8"])})
        evaluation = evaluate(numbered, asked, rerank=False, item="sku")
    assert evaluation.results[0].rankings["composed"] == ["7", "8"]
    assert evaluation.images["7"].path == str(shop / "red.png")


def test_a_field_that_nothing_has_is_refused(searcher, shop):
    with pytest.raises(SettingError, match="'sku'"):
        evaluate(searcher, judged(by_image(shop, "red", "red")), rerank=False, item="sku")


def test_graded_answers_count_by_their_grade(searcher, write_dataset):
    folder = write_dataset(a=("", "red.png", {"red": 1, "blue": 2}))
    evaluation = evaluate(searcher, read_dataset([folder]), rerank=False)
    assert evaluation.score("hit@1").value == 0  # red is only partly right
    assert evaluation.score("nDCG@1").value == pytest.approx(0.5)


def test_an_evaluation_survives_json(searcher, write_dataset, tmp_path, reranked_by):
    reranked_by(MockVision(scripted("[2, 1]")))
    folder = write_dataset(a_1=("dot", "red.png", {"red": 1}), b_1=("dot", None, {"blue": 1}))
    evaluation = evaluate(searcher, read_dataset([folder]))
    evaluation.save(tmp_path / "new" / "run.json")
    again = Evaluation.load(tmp_path / "new" / "run.json")
    assert again == evaluation
    assert again.scores == evaluation.scores
    assert again.latencies == evaluation.latencies
    assert again.answers == evaluation.answers
    assert again.worst() == evaluation.worst()


def test_another_json_is_no_evaluation(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    for name in ("x.json", "nowhere.json"):
        with pytest.raises(SettingError, match="--json"):
            Evaluation.load(tmp_path / name)


def test_files_of_one_content_answer_to_every_name(searcher, shop, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for name, color in {"a": "red", "b": "red", "c": "blue"}.items():
        Image.new("RGB", (30, 30), color).save(images / f"{name}.png")
    settings = searcher.settings.model_copy(update={"db": str(tmp_path / "twins.db")})
    with ImageSearcher(settings) as twins:
        twins.index.add_folder(images)
        for name in "ab":
            evaluation = evaluate(twins, judged(by_image(images, "a", name)), rerank=False)
            assert evaluation.num_images == 2
            assert evaluation.missing == []
            assert evaluation.score("hit@1").value == 1


def test_names_that_mean_two_images_are_refused(searcher, tmp_path):
    for color in ("red", "blue"):
        (tmp_path / "images" / color).mkdir(parents=True)
        Image.new("RGB", (30, 30), color).save(tmp_path / "images" / color / "1.png")
    Image.new("RGB", (30, 30), "green").save(tmp_path / "images" / "2.png")
    settings = searcher.settings.model_copy(update={"db": str(tmp_path / "doubled.db")})
    with ImageSearcher(settings) as doubled:
        doubled.index.add_folder(tmp_path / "images")
        query = by_image(tmp_path / "images", "2", "1")
        with pytest.raises(SettingError, match="'1'"):
            evaluate(doubled, judged(query), rerank=False)
        evaluation = evaluate(doubled, judged(by_image(tmp_path / "images", "2", "2")), rerank=False)
        assert evaluation.results[0].rankings["composed"][0] == "2"
        assert len(set(evaluation.results[0].rankings["composed"])) == 3
