# make demo       train the law example and show what came out
# make test       style, types, layers and the fast tests
# make test-all   the slow tests too
# make demo-real  the law example on Gemma 3 270M (fetches 240 MB once)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CONSTRAINT=$(CURDIR)/constraints.txt $(BIN)/python -m pip install --quiet
# two processes of one thread each: with torch's default threads two would wait for each other
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

.PHONY: setup dev demo demo-real test test-all lint docs clean

setup: $(VENV)/.installed

dev: $(VENV)/.installed-dev

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(INSTALL) -e '.[dev]'
	touch $@

demo: setup
	$(BIN)/python train.py --config configs/law_qa.yaml resume_from_checkpoint=auto

demo-real: setup models/gemma3-270m/config.json
	$(BIN)/python train.py --config configs/law_qa_gemma3_270m.yaml resume_from_checkpoint=auto

models/%/config.json: | setup
	$(BIN)/lora-scripts base get $*

lint: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(PYTEST)

test-all: lint
	$(PYTEST) -m 'slow or not slow'

docs: dev
	$(BIN)/python -m lora_scripts.config.document > docs/config.md
	$(BIN)/python tools/document_cli.py > docs/cli.md

clean:
	rm -rf $(VENV) output build dist
