# Everything runs in .venv: made on first use, and again only when the requirements change.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
JOBS ?= 2
# One thread of torch per worker: more would only wait for each other.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n $(JOBS) --dist loadgroup --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: demo test test-full lint docs bench audit lock help

demo: $(READY)  ## Draw a catalog of 900 images, index it, and search it by image and sentence
	$(BIN)/mmrag demo

test: $(READY)  ## Run all tests and doctests; some only: make test ARGS="tests/vision -k slot"
	$(PYTEST) $(ARGS)

test-full: $(READY)  ## The same with every example tried and with a real Milvus server: far longer
	$(PYTEST) --hypothesis-profile full -m '' $(ARGS)

lint: $(READY)  ## Check style (ruff) and types (pyright)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright --pythonpath $(BIN)/python

docs: $(READY)  ## Draw the figures of docs/architecture.md anew, from the import graph
	$(BIN)/python docs/draw_architecture.py

bench: $(READY)  ## Time each part against its alternative
	set -e; for script in tests/benchmarks/bench_*.py; do echo "== $$script"; $(BIN)/python "$$script"; done

audit: $(READY)  ## Look up every pinned version among known vulnerabilities; offline: ADVISORIES=folder
ifdef ADVISORIES
	$(BIN)/python tests/audit/run.py $(ADVISORIES)
else
	$(PYTHON) -m venv .venv/audit
	.venv/audit/bin/pip install --quiet pip-audit
	.venv/audit/bin/pip-audit --strict --no-deps --disable-pip -r constraints.txt
endif

lock: $(READY)  ## Write constraints.txt anew, out of what .venv holds now
	{ sed -n '/^#/p' constraints.txt; $(BIN)/pip freeze --exclude-editable | sed 's/+cpu$$//' | LC_ALL=C sort -f; } > .venv/lock
	mv .venv/lock constraints.txt
	touch $(READY)

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "mmrag needs Python 3.11 or newer: name one, as in make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt -e ".[dev]"
	@touch $@
