"""What a machine has of what mmrag needs. In: settings. Out: checks, each with its next step."""

from __future__ import annotations

import json
import platform
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from mmrag.errors import MMRagError, StoreError
from mmrag.images.redact import describe_source
from mmrag.settings import Settings

__all__ = ["Check", "State", "checks"]

ENOUGH_GIB = 2.0

State = Literal["well", "not yet", "broken"]
"""What is not yet there has its next step, and is no fault: all else works without it."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: how it is, what was found, and the next step."""

    name: str
    state: State
    found: str
    remedy: str = ""


def checks(settings: Settings) -> Iterator[Check]:
    """Look at one thing after the other; a look that fails is itself the finding."""
    looks: dict[str, Callable[[Settings], tuple[State, str, str]]] = {
        "device": _device,
        "memory": _memory,
        "demo": _demo,
        "encoder": _encoder,
        "LLM server" if settings.llm_url else "reranker": (_llm_server if settings.llm_url else _reranker),
        "milvus lite": _milvus_lite,
        "database": _database,
    }
    for name, look in looks.items():
        try:
            yield Check(name, *look(settings))
        except MMRagError as error:
            yield Check(name, "broken", "does not work", str(error))
        except Exception as error:  # whatever breaks, of whichever package: that is the finding
            again = "install again: pip install --force-reinstall mmrag"
            yield Check(name, "broken", f"{type(error).__name__}: {error}", again)


def _device(settings: Settings) -> tuple[State, str, str]:
    import torch

    from mmrag.device import resolve_device

    device = resolve_device(settings.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return "well", f"{device}, {name}, torch {torch.__version__}", ""


def _memory(_: Settings) -> tuple[State, str, str]:
    free = _free_gib()
    if free is None:
        return "well", "not told by this system", ""
    if free < ENOUGH_GIB:
        remedy = f"enough for the demo; for published models, free {ENOUGH_GIB} GiB or more"
        return "not yet", f"{free:.1f} GiB free", remedy
    return "well", f"{free:.1f} GiB free", ""


def _free_gib() -> float | None:
    import torch

    if torch.cuda.is_available():
        return torch.cuda.mem_get_info()[0] / 2**30
    meminfo = Path("/proc/meminfo")
    if not meminfo.is_file():
        return None
    facts = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
    return int(facts["MemAvailable"].split()[0]) / 2**20


def _demo(_: Settings) -> tuple[State, str, str]:
    from mmrag.embedding import VisualizedBGE
    from mmrag.vision import Phi3Vision

    VisualizedBGE.from_pretrained("demo", device="cpu")
    Phi3Vision.from_pretrained("demo", device="cpu")
    return "well", "the bundled encoder and reranker load", ""


def _encoder(settings: Settings) -> tuple[State, str, str]:
    from mmrag.embedding.hub import PRETRAINED_MODELS, WEIGHTS_REPO

    name = settings.model
    if name in PRETRAINED_MODELS:
        return _on_hub(name, WEIGHTS_REPO, PRETRAINED_MODELS[name].weights_file)
    return _here(name, "mmrag.embedding.visualized_bge")


def _reranker(settings: Settings) -> tuple[State, str, str]:
    name = settings.reranker
    if name.count("/") == 1 and not Path(name).is_dir():
        return _on_hub(name, name)
    return _here(name, "mmrag.vision.phi3")


def _here(model: str, package: str) -> tuple[State, str, str]:
    from importlib.resources import files

    folder = Path(str(files(package))) / "demo" if model == "demo" else Path(model).expanduser()
    weights = [*folder.glob("*.safetensors"), *folder.glob("*.pth")]
    if weights:
        size = sum(file.stat().st_size for file in weights) / 1e6
        return "well", f"{model}, {size:.1f} MB in {folder}", ""
    remedy = f"{folder} holds no weights: give another folder, or a published name"
    return "broken", f"{model}, not here", remedy


def _on_hub(model: str, repo: str, weights: str = "") -> tuple[State, str, str]:
    from huggingface_hub import try_to_load_from_cache

    if isinstance(try_to_load_from_cache(repo, weights or "config.json"), str):
        return "well", f"{model}, downloaded", ""
    remedy = f"fetched on first use; or now: hf download {repo} {weights}".rstrip()
    return "not yet", f"{model}, not downloaded yet", remedy


def _milvus_lite(_: Settings) -> tuple[State, str, str]:
    from importlib.metadata import version

    from llama_index.indices.composed_image import milvus_store

    with tempfile.TemporaryDirectory() as folder:
        store = milvus_store(Path(folder) / "check.db", "check", 4, model="check")
        store.close()
    return "well", f"{version('milvus-lite')}, pymilvus {version('pymilvus')}", ""


def _database(settings: Settings) -> tuple[State, str, str]:
    from llama_index.indices.composed_image.collections import shelves
    from llama_index.indices.composed_image.connection import place_of

    db, name = settings.where, settings.collection
    place = place_of(settings.db)
    if place.folder and not place.folder.exists():
        _see_that_one_may_write(place.folder)
        return "not yet", f"{db}, nothing indexed yet", f"mmrag index FOLDER --into {db}"
    found = {shelf.name: shelf for shelf in shelves(settings.db, settings.token.get_secret_value())}
    if name not in found:
        remedy = f"mmrag index FOLDER --into {db} --collection {name}"
        return "not yet", f"{db}, no {name!r} in it yet", remedy
    shelf = found[name]
    told = f"{db}, {shelf.images} images by {shelf.model or 'another program'}"
    if shelf.model != Path(settings.model).expanduser().resolve().name:
        remedy = f"{settings.model} cannot search it: give its --model, or another --collection"
        return "broken", told, remedy
    return "well", told, ""


def _see_that_one_may_write(folder: Path) -> None:
    nearest = next(parent for parent in folder.parents if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise StoreError(f"{nearest} cannot be written to ({error.strerror}): --db elsewhere") from error


def _llm_server(settings: Settings) -> tuple[State, str, str]:
    from mmrag.vision.remote.client import ChatServer

    key = settings.llm_key.get_secret_value()
    server = ChatServer(settings.llm_url, settings.reranker, key, timeout=30)
    completion = server(
        messages=[{"role": "user", "content": "Say hello."}],  # not what the schema allows
        max_tokens=60,
        response_format={"type": "json_schema", "json_schema": {"name": "grades", "strict": True, "schema": SCHEMA}},
    )
    found = f"{describe_source(settings.llm_url)}, {settings.reranker}"
    if _obeys(completion.choices[0].message.content or ""):
        return "well", f"{found}, enforces schemas", ""
    remedy = "it ignores response_format, so more answers need repair; vLLM enforces it"
    return "not yet", f"{found}, does not enforce schemas", remedy


def _obeys(answer: str) -> bool:
    try:
        grades = json.loads(answer)
    except ValueError:
        return False
    return isinstance(grades, dict) and list(map(type, cast("Any", grades).values())) == [int]


SCHEMA = {"type": "object", "properties": {"1": {"type": "integer"}}, "required": ["1"], "additionalProperties": False}
