"""What a machine has of what mmrag needs. In: settings. Out: checks, each ✗ with its remedy."""

from __future__ import annotations

import json
import os
import platform
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from mmrag.app.settings import Settings
from mmrag.errors import MMRagError

__all__ = ["Check", "checks"]

ENOUGH_GIB = 2.0


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: what was found, and when it is not well, what to do."""

    name: str
    well: bool
    found: str
    remedy: str = ""


def checks(settings: Settings) -> Iterator[Check]:
    """Look at one thing after the other; a look that fails is itself the finding."""
    looks: list[tuple[str, Callable[[Settings], Check]]] = [
        ("device", _device),
        ("memory", _memory),
        ("encoder", _encoder),
        ("reranker", _reranker),
        ("milvus lite", _milvus_lite),
        ("database", _database),
    ]
    if settings.llm_url:
        looks[3] = ("LLM server", _llm_server)
    for name, look in looks:
        try:
            yield look(settings)
        except MMRagError as error:
            yield Check(name, False, "no", str(error))


def _device(settings: Settings) -> Check:
    import torch

    if torch.cuda.is_available():
        return Check("device", True, f"cuda, {torch.cuda.get_device_name()}")
    if torch.backends.mps.is_available():
        return Check("device", True, "mps, Apple GPU")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = f"cpu, {cores} cores, {platform.machine()}, torch {torch.__version__}"
    if settings.device not in (None, "cpu"):
        remedy = f"{settings.device!r} is set, but torch sees no such device: --device cpu"
        return Check("device", False, found, remedy)
    return Check("device", True, found)


def _memory(_: Settings) -> Check:
    free = _free_gib()
    if free is None:
        return Check("memory", True, "not told by this system")
    remedy = "" if free >= ENOUGH_GIB else f"close something: {ENOUGH_GIB} GiB should be free"
    return Check("memory", free >= ENOUGH_GIB, f"{free:.1f} GiB free", remedy)


def _free_gib() -> float | None:
    import torch

    if torch.cuda.is_available():
        return torch.cuda.mem_get_info()[0] / 2**30
    meminfo = Path("/proc/meminfo")
    if not meminfo.is_file():
        return None
    facts = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
    return int(facts["MemAvailable"].split()[0]) / 2**20


def _encoder(settings: Settings) -> Check:
    from mmrag.embedding.published import PUBLISHED, WEIGHTS_REPO

    name = settings.model
    if name not in PUBLISHED:
        return _local("encoder", name, "mmrag.embedding")
    variant = PUBLISHED[name]
    return _on_hub("encoder", name, WEIGHTS_REPO, variant.weights_file)


def _reranker(settings: Settings) -> Check:
    from mmrag.vision.hub import PUBLISHED

    name = settings.reranker
    if name not in PUBLISHED:
        return _local("reranker", name, "mmrag.vision")
    return _on_hub("reranker", name, name, "model.safetensors.index.json")


def _local(name: str, model: str, package: str) -> Check:
    from importlib.resources import files

    folder = Path(str(files(package))) / "demo" if model == "demo" else Path(model).expanduser()
    weights = [*folder.glob("*.safetensors"), *folder.glob("*.pth")]
    if weights:
        size = sum(file.stat().st_size for file in weights) / 1e6
        return Check(name, True, f"{model}, {size:.0f} MB in {folder}")
    remedy = f"{folder} holds no weights: give another folder, or a published name"
    return Check(name, False, f"{model}, not here", remedy)


def _on_hub(name: str, model: str, repo: str, file: str) -> Check:
    from huggingface_hub import try_to_load_from_cache

    if isinstance(try_to_load_from_cache(repo, file), str):
        return Check(name, True, f"{model}, downloaded")
    remedy = (
        f"fetched on first use; or now: hf download {repo}{'' if repo == model else ' ' + file}"
    )
    return Check(name, False, f"{model}, not downloaded yet", remedy)


def _milvus_lite(_: Settings) -> Check:
    from importlib.metadata import version

    from llama_index.indices.composed_image import milvus_store

    with tempfile.TemporaryDirectory() as folder:
        store = milvus_store(Path(folder) / "check.db", "check", 4, model="check")
        store.close()
    return Check("milvus lite", True, f"{version('milvus-lite')}, pymilvus {version('pymilvus')}")


def _database(settings: Settings) -> Check:
    from mmrag.app.shelves import shelves

    found = shelves(settings.db, settings.token.get_secret_value())
    shelf = next((shelf for shelf in found if shelf.name == settings.collection), None)
    if shelf is None:
        remedy = f"mmrag index FOLDER --into {settings.db}"
        return Check("database", False, f"{settings.db}, no {settings.collection!r} in it", remedy)
    return Check("database", True, f"{settings.db}, {shelf.pictures} pictures by {shelf.model}")


def _llm_server(settings: Settings) -> Check:
    from mmrag.vision.chat_server import ChatServer

    key = settings.llm_key.get_secret_value()
    server = ChatServer(settings.llm_url, settings.reranker, key, timeout=30)
    completion = server(
        messages=[{"role": "user", "content": "Say hello."}],  # not what the schema allows
        max_tokens=60,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "grades", "strict": True, "schema": SCHEMA},
        },
    )
    found = f"{settings.llm_url}, {settings.reranker}"
    if _obeys(completion.choices[0].message.content or ""):
        return Check("LLM server", True, f"{found}, enforces schemas")
    remedy = "it ignores response_format, so more answers need repair; vLLM enforces it"
    return Check("LLM server", False, f"{found}, does not enforce schemas", remedy)


def _obeys(answer: str) -> bool:
    try:
        grades = json.loads(answer)
    except ValueError:
        return False
    return isinstance(grades, dict) and list(map(type, cast("Any", grades).values())) == [int]


SCHEMA = {
    "type": "object",
    "properties": {"1": {"type": "integer"}},
    "required": ["1"],
    "additionalProperties": False,
}
