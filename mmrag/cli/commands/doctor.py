"""`mmrag doctor`: checks of device, memory, models, Milvus and the LLM server, each with its next step."""

from __future__ import annotations

import json
import platform
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import typer

from mmrag.cli.console import stderr_console, stdout_console, write_json
from mmrag.cli.options import Collection, Database, Device, Json, Model, Reranker
from mmrag.errors import MMRagError, StoreError

if TYPE_CHECKING:
    from mmrag.settings import Settings

__all__ = ["Check", "State", "doctor", "run_checks"]

State = Literal["well", "not yet", "broken"]
"""What is "not yet" set up does not keep the rest from working."""
Finding = tuple[State, str, str]
"""State, what was found, and the next step."""

MARKS = {"well": ("✓", "green"), "not yet": ("○", "yellow"), "broken": ("✗", "red")}
MIN_FREE_GIB = 2.0
SCHEMA = {"type": "object", "properties": {"1": {"type": "integer"}}, "required": ["1"], "additionalProperties": False}


@dataclass(frozen=True)
class Check:
    """Result of one check."""

    name: str
    state: State
    found: str
    remedy: str = ""


def doctor(
    db: Database = None,
    collection: Collection = None,
    model: Model = None,
    reranker: Reranker = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Check device, memory, models, Milvus and the LLM server; exit with 1 when one is ✗.

    ○ marks what is not set up yet, with what to type for it.

    Example: mmrag doctor --db shop.db --model m3
    """
    from mmrag.settings import read_settings

    settings = read_settings(db=db, collection=collection, model=model, reranker=reranker, device=device)
    checks: list[Check] = []
    with stderr_console().status("checking"):
        for check in run_checks(settings):
            checks.append(check)
            if not as_json:
                _show(check)
    if as_json:
        write_json([asdict(check) for check in checks])
    if any(check.state == "broken" for check in checks):
        raise typer.Exit(1)


def _show(check: Check) -> None:
    from rich.text import Text

    mark, color = MARKS[check.state]
    name = Text(f" {check.name:<12}", style="bold")
    stdout_console().print(Text(mark, style=color) + name + Text(check.found), soft_wrap=True)
    if check.remedy:
        stdout_console().print(Text(f"  {check.remedy}", style="yellow"), soft_wrap=True)


def run_checks(settings: Settings) -> Iterator[Check]:
    """Run all checks; an exception is reported as a broken check."""
    checks: dict[str, Callable[[Settings], Finding]] = {
        "device": _device,
        "memory": _memory,
        "demo": _demo,
        "encoder": _encoder,
        "LLM server" if settings.llm_url else "reranker": _llm_server if settings.llm_url else _reranker,
        "milvus lite": _milvus_lite,
        "database": _database,
    }
    for name, check in checks.items():
        try:
            yield Check(name, *check(settings))
        except MMRagError as error:
            yield Check(name, "broken", "does not work", str(error))
        except Exception as error:  # any package may be broken
            reinstall = "install again: pip install --force-reinstall mmrag"
            yield Check(name, "broken", f"{type(error).__name__}: {error}", reinstall)


def _device(settings: Settings) -> Finding:
    import torch

    from mmrag.device import resolve_device

    device = resolve_device(settings.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return "well", f"{device}, {name}, torch {torch.__version__}", ""


def _memory(_: Settings) -> Finding:
    import torch

    meminfo = Path("/proc/meminfo")
    if torch.cuda.is_available():
        free = torch.cuda.mem_get_info()[0] / 2**30
    elif meminfo.is_file():
        fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        free = int(fields["MemAvailable"].split()[0]) / 2**20
    else:
        return "well", "unknown on this system", ""
    if free < MIN_FREE_GIB:
        remedy = f"enough for the demo; for published models, free {MIN_FREE_GIB} GiB or more"
        return "not yet", f"{free:.1f} GiB free", remedy
    return "well", f"{free:.1f} GiB free", ""


def _demo(_: Settings) -> Finding:
    from mmrag.embedding import VisualizedBGE
    from mmrag.vision import Phi3Vision

    VisualizedBGE.from_pretrained("demo", device="cpu")
    Phi3Vision.from_pretrained("demo", device="cpu")
    return "well", "the bundled encoder and reranker load", ""


def _encoder(settings: Settings) -> Finding:
    from mmrag.embedding.hub import PRETRAINED_MODELS, WEIGHTS_REPO

    name = settings.model
    if name in PRETRAINED_MODELS:
        return _on_hub(name, WEIGHTS_REPO, PRETRAINED_MODELS[name].weights_file)
    return _in_folder(name, "mmrag.embedding.visualized_bge")


def _reranker(settings: Settings) -> Finding:
    name = settings.reranker
    if name.count("/") == 1 and not Path(name).is_dir():
        return _on_hub(name, name)
    return _in_folder(name, "mmrag.vision.phi3")


def _in_folder(model: str, package: str) -> Finding:
    from importlib.resources import files

    folder = Path(str(files(package))) / "demo" if model == "demo" else Path(model).expanduser()
    weights = [*folder.glob("*.safetensors"), *folder.glob("*.pth")]
    if weights:
        size = sum(file.stat().st_size for file in weights) / 1e6
        return "well", f"{model}, {size:.1f} MB in {folder}", ""
    return "broken", f"{model}, not here", f"{folder} holds no weights: give another folder, or a published name"


def _on_hub(model: str, repo: str, weights: str = "") -> Finding:
    from huggingface_hub import try_to_load_from_cache

    if isinstance(try_to_load_from_cache(repo, weights or "config.json"), str):
        return "well", f"{model}, downloaded", ""
    remedy = f"fetched on first use; or now: hf download {repo} {weights}".rstrip()
    return "not yet", f"{model}, not downloaded yet", remedy


def _milvus_lite(_: Settings) -> Finding:
    from importlib.metadata import version

    from llama_index.indices.composed_image import milvus_store

    with tempfile.TemporaryDirectory() as folder:
        milvus_store(Path(folder) / "check.db", "check", 4, model="check").close()
    return "well", f"{version('milvus-lite')}, pymilvus {version('pymilvus')}", ""


def _database(settings: Settings) -> Finding:
    from llama_index.indices.composed_image.connection import parse_uri

    from mmrag.collections import list_collections

    db, name = settings.where, settings.collection
    folder = parse_uri(settings.db).folder
    if folder and not folder.exists():
        _require_writable(folder)
        return "not yet", f"{db}, nothing indexed yet", f"mmrag index FOLDER --into {db}"
    collections = {each.name: each for each in list_collections(settings.db, settings.token.get_secret_value())}
    if name not in collections:
        return "not yet", f"{db}, no {name!r} in it yet", f"mmrag index FOLDER --into {db} --collection {name}"
    found = f"{db}, {collections[name].images} images by {collections[name].model or 'another program'}"
    if collections[name].model != Path(settings.model).expanduser().resolve().name:
        return "broken", found, f"{settings.model} cannot search it: give its --model, or another --collection"
    return "well", found, ""


def _require_writable(folder: Path) -> None:
    nearest = next(parent for parent in folder.parents if parent.exists())
    try:
        tempfile.TemporaryFile(dir=nearest).close()
    except OSError as error:
        raise StoreError(f"{nearest} cannot be written to ({error.strerror}): --db elsewhere") from error


def _llm_server(settings: Settings) -> Finding:
    from mmrag.images.redact import describe_source
    from mmrag.vision.remote.client import OpenAICompatibleClient

    server = OpenAICompatibleClient(
        settings.llm_url, settings.reranker, settings.llm_key.get_secret_value(), timeout=30
    )
    completion = server(
        messages=[{"role": "user", "content": "Say hello."}],  # not what the schema allows
        max_tokens=60,
        response_format={"type": "json_schema", "json_schema": {"name": "grades", "strict": True, "schema": SCHEMA}},
    )
    found = f"{describe_source(settings.llm_url)}, {settings.reranker}"
    if _matches_schema(completion.choices[0].message.content or ""):
        return "well", f"{found}, enforces schemas", ""
    remedy = "it ignores response_format, so more answers need repair; vLLM enforces it"
    return "not yet", f"{found}, does not enforce schemas", remedy


def _matches_schema(answer: str) -> bool:
    try:
        grades = json.loads(answer)
    except ValueError:
        return False
    return isinstance(grades, dict) and list(map(type, cast("Any", grades).values())) == [int]
