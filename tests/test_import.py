"""`import mmrag` is fast and lazy: each public name imports its module on first use."""

from __future__ import annotations

import subprocess
import sys

import pytest

import mmrag


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_mmrag_imports_no_heavy_library():
    heavy = ("torch", "llama_index", "transformers", "pymilvus", "numpy", "PIL", "pydantic", "rich")
    assert run_python(f"import sys, mmrag; print([n for n in {heavy} if n in sys.modules])") == "[]"


def test_importing_mmrag_takes_less_than_three_tenths_of_a_second():
    code = "import time; start = time.perf_counter(); import mmrag; print(time.perf_counter() - start)"
    assert min(float(run_python(code)) for _ in range(5)) < 0.3


def test_load_image_imports_no_torch():
    assert run_python("import sys, mmrag; mmrag.load_image; print('torch' in sys.modules)") == "False"


def test_the_public_names_are_listed():
    assert set(dir(mmrag)) >= {
        "ImagePolicy", "InstructorVision", "ListwiseReranker", "MMRagError", "Phi3Vision", "Query",
        "Ranking", "VisualizedBGE", "load_encoder", "load_image",
    }  # fmt: skip


@pytest.mark.parametrize("name", mmrag.__all__)
def test_every_public_name_can_be_imported(name):
    assert getattr(mmrag, name).__name__ == name


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(AttributeError, match=r"no attribute 'Qwery'; it has ImagePolicy, .*Query"):
        _ = mmrag.Qwery
