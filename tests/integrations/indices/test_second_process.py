"""A collection outlives the process that made it, and is not shared by accident."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from llama_index.core.schema import QueryBundle, TextNode

PRELUDE = """
from llama_index.core.schema import QueryBundle
from llama_index.embeddings.visualized_bge import VisualizedBGEEmbedding
from llama_index.indices.composed_image import ComposedImageIndex
from mmrag.testing import toy_encoder

embedding = VisualizedBGEEmbedding(encoder=toy_encoder())
"""


def run_python(code: str, **options) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own."""
    script = PRELUDE + textwrap.dedent(code)
    command = [sys.executable, "-c", script]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


def test_a_second_process_finds_the_same_after_the_first_closed(index, milvus_lite, images):
    query = QueryBundle("in red", image_path=str(images / "blue.png"))
    here = [found.node_id for found in index.as_retriever(similarity_top_k=4).retrieve(query)]
    index.close()
    there = run_python(f"""
        index = ComposedImageIndex.open({str(milvus_lite)!r}, embedding)
        query = QueryBundle("in red", image_path={str(images / "blue.png")!r})
        print(*[found.node_id for found in index.as_retriever(similarity_top_k=4).retrieve(query)])
        print(index.add_folder({str(images)!r}, metadata=lambda p: {{"price": len(p.stem)}}))
    """)
    ids, report = there.stdout.splitlines()
    assert ids.split() == here
    assert report.endswith("10 unchanged")


def test_a_lite_folder_open_in_another_process_is_a_locked_error(index, milvus_lite):
    there = run_python(f"ComposedImageIndex.open({str(milvus_lite)!r}, embedding)")
    last = there.stderr.strip().splitlines()[-1]
    assert there.returncode == 1
    assert last.startswith("mmrag.errors.StoreLockedError:")
    assert "is open in another process" in last
    assert f"milvus-lite server --data-dir {milvus_lite}" in last
    assert "DataDirLockedError" not in there.stderr  # one sentence, not the traceback of Milvus


@pytest.mark.parametrize("parent_mode", [0o755, 0o700], ids=["in a readable folder", "in a private folder"])
def test_a_lite_folder_without_write_permission_is_an_error(index, milvus_lite, tmp_path, parent_mode):
    index.close()
    for path in [*milvus_lite.rglob("*"), milvus_lite]:
        path.chmod(0o555)
    for parent in [*tmp_path.parents]:  # others may pass through pytest's own folders, and write nowhere
        if parent.stat().st_uid == os.geteuid():
            parent.chmod(parent.stat().st_mode | 0o011)
    tmp_path.chmod(parent_mode)
    try:
        there = run_python(
            f"""
            import os
            if os.geteuid() == 0:
                os.setuid(65534)
            ComposedImageIndex.open({str(milvus_lite)!r}, embedding)
            """
        )
    finally:
        for path in [milvus_lite, *milvus_lite.rglob("*")]:
            path.chmod(0o755)
    last = there.stderr.strip().splitlines()[-1]
    assert last.startswith("mmrag.errors.StoreError:")
    assert "Check that you may write there" in last


def test_a_full_disk_is_an_error_and_nothing_is_lost(index, milvus_lite, tmp_path):
    index.close()
    big = Path(tmp_path / "more")
    there = run_python(f"""
        import os, resource, shutil
        from pathlib import Path
        from PIL import Image
        folder = Path({str(big)!r}); folder.mkdir()
        for i in range(400):
            Image.new("RGB", (9, 9), (i % 256, i // 256, 7)).save(folder / f"{{i}}.png")
        index = ComposedImageIndex.open({str(milvus_lite)!r}, embedding)
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
        index.add_folder(folder)
    """)
    last = there.stderr.strip().splitlines()[-1]
    assert last.startswith("mmrag.errors.Store"), there.stderr[-2000:]
    again = run_python(f"""
        index = ComposedImageIndex.open({str(milvus_lite)!r}, embedding)
        index.add_folder({str(big)!r})
        print(index.vector_store.count())
    """)
    assert again.stdout.strip() == "410", again.stderr[-2000:]


def test_a_spawned_worker_embeds_with_the_embedding_it_is_sent(embedding):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        (there,) = pool.apply(embedding, ([TextNode(text="red")],))
    assert there.embedding == embedding.get_text_embedding("red")
