"""Pictures that a table or a pattern names, into an index. In: their list. Out: a report.

A picture is known by its content, as in `ComposedImageIndex.add_folder`: what is stored already is
not embedded again, only told its new metadata.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

from llama_index.core.schema import ImageNode
from llama_index.indices.composed_image import ComposedImageIndex
from PIL import Image

from mmrag.app.table import Listed
from mmrag.embedding import VisualizedBGE
from mmrag.errors import ImageError
from mmrag.images import ImagePolicy, content_hash, load_image
from mmrag.indexing import IndexReport, Skipped

__all__ = ["index_listed"]

BATCH = 64


def index_listed(
    index: ComposedImageIndex,
    encoder: VisualizedBGE,
    listed: Iterable[Listed],
    policy: ImagePolicy,
    on_progress: Callable[[int], None],
) -> IndexReport:
    """Embed and store listed pictures, batch by batch; a batch that is stored stays.

    Parameters
    ----------
    index, encoder
        Where they go, and what turns them into vectors.
    listed
        Paths, or URLs on hosts that ``policy`` names, each with its metadata. A picture that is
        listed twice keeps what was said first.
    policy
        What may be opened.
    on_progress
        Called with the number of pictures done.
    """
    started = time.perf_counter()
    counts = Counter[str]()
    skipped: list[Skipped] = []
    seen: set[str] = set()
    rows = iter(listed)
    done = 0
    while batch := list(islice(rows, BATCH)):
        opened: list[_Opened] = []
        for item in batch:
            try:
                picture = _open(item, policy)
            except ImageError as error:
                skipped.append(Skipped(Path(item.source), str(error)))
                continue
            if picture.id in seen:
                counts["duplicate"] += 1
                continue
            seen.add(picture.id)
            opened.append(picture)
        new = _store(index, encoder, opened)
        counts.update(new=new, unchanged=len(opened) - new)
        done += len(batch)
        on_progress(done)
    seconds = time.perf_counter() - started
    return IndexReport(
        Path.cwd(), skipped=tuple(skipped), embedded=counts["new"], seconds=seconds, **counts
    )


@dataclass(frozen=True)
class _Opened:
    id: str
    image: Image.Image
    listed: Listed


def _open(listed: Listed, policy: ImagePolicy) -> _Opened:
    if "://" in listed.source:
        image = load_image(listed.source, policy)
        return _Opened(content_hash(image), image, listed)
    path = Path(listed.source)
    image = load_image(path, policy)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path} went away while it was read: check the path") from error
    return _Opened(sha256(content).hexdigest(), image, listed)


def _store(index: ComposedImageIndex, encoder: VisualizedBGE, opened: Sequence[_Opened]) -> int:
    stored = index.vector_store.vectors([picture.id for picture in opened])
    fresh = [picture for picture in opened if picture.id not in stored]
    embedded = encoder.encode([picture.image for picture in fresh]).tolist()
    vectors = stored | dict(zip([picture.id for picture in fresh], embedded, strict=True))
    if opened:
        index.vector_store.add([_node(picture, vectors[picture.id]) for picture in opened])
    return len(fresh)


def _node(picture: _Opened, vector: Sequence[float]) -> ImageNode:
    source, metadata = picture.listed.source, picture.listed.metadata
    remote = "://" in source
    place: dict[str, Any] = (
        {"image_url": source} if remote else {"image_path": str(Path(source).resolve())}
    )
    name = source.rsplit("/", 1)[-1]
    return ImageNode(
        id_=picture.id,
        text=str(metadata.get("title", name)),
        metadata={"file_name": name, **metadata},
        embedding=list(vector),
        **place,
    )
