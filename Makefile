# Everything a person or CI runs. `make demo` and `make test` set up all they need in .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
MEMO ?= examples/memo.m4a
LLM ?= 1
export HF_HUB_OFFLINE := 1

.PHONY: help demo test test-all lint bench proofs docs clean
help:
	@echo "make demo      set up, then speech -> text -> picture -> text -> speech on a memo (MEMO=file for yours,"
	@echo "               LLM=0 without the local language model of 1.1 GB)"
	@echo "make test      the tests, and the proofs in short; under 15 minutes after installation"
	@echo "make test-all  the slow ones too"
	@echo "make lint      ruff and mypy"
	@echo "make bench     the figures of the README"
	@echo "make proofs    what the measurement of loss must prove (PROOFS=--full for the whole)"
	@echo "make docs      renew the generated parts of docs/"

$(VENV)/.made:
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.offline: pyproject.toml constraints.txt setup.py | $(VENV)/.made
	@scripts/say-downloads
	$(PIP) --editable '.[offline]'
	$(BIN)/hopline models pull offline
	@touch $@

$(VENV)/.dev: $(VENV)/.offline
	@echo "The tests need some 350 MB of packages more (torch, transformers, diffusers, Gradio, a browser's driver);"
	@echo "where pip finds no processor-only build of torch, that one alone brings gigabytes."
	$(PIP) --editable '.[offline,dev]'
	@scripts/browser
	@touch $@

# LLM=0 leaves out the local language model (1.1 GB): then the typed planner alone picks the tools.
demo: $(VENV)/.offline
	@BIN=$(BIN) PIP="$(PIP)" LLM=$(LLM) scripts/local-model
	@BIN=$(BIN) MEMO=$(MEMO) LLM=$(LLM) scripts/demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -m "not slow"
	$(BIN)/python benchmarks/proofs.py

test-all: $(VENV)/.dev
	@BIN=$(BIN) PIP="$(PIP)" LLM=require scripts/local-model
	$(BIN)/hopline models pull Systran/faster-whisper-base
	$(BIN)/python -m pytest
	$(BIN)/python benchmarks/proofs.py --full

lint: $(VENV)/.dev
	@BIN=$(BIN) scripts/lint

bench: $(VENV)/.dev
	@BIN=$(BIN) scripts/bench

proofs: $(VENV)/.dev
	$(BIN)/python benchmarks/proofs.py $(PROOFS)

docs: $(VENV)/.dev
	$(BIN)/python docs/generate.py

clean:
	rm -rf $(VENV) demo-out build dist *.egg-info
