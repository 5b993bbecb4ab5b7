"""What a run tells of itself, in a terminal and in a notebook."""

from __future__ import annotations

from mmrag.indexing import IndexReport, Skipped


def test_a_report_reads_as_one_line_and_as_a_table():
    report = IndexReport("/a", new=3, unchanged=1, seconds=1.25)
    assert str(report) == "4 files in 1.2 s: 3 new, 1 unchanged"
    assert "<td>3</td>" in report._repr_html_()


def test_a_reason_cannot_write_into_a_notebook():
    skipped = Skipped("/a/<img src=x>.png", "<script>alert(1)</script>")
    html = IndexReport("/<b>", skipped=(skipped,))._repr_html_()
    assert "<script" not in html
    assert "<img" not in html
    assert "<b>" not in html
