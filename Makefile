# Every target prepares what it needs the first time; nothing has to be run by hand before it.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt
WORLD ?=

# Most tests start servers, engines and browsers. What fails is run again, twice at most, and said: a machine that stood
# still for seconds fails no suite, and a fault fails it three times.
PYTEST := $(BIN)/pytest -q --reruns 2 --reruns-delay 2 -rfER

# Tests start interpreters by the dozen; each would compile everything anew where none of them may write it down.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup serve test test-fast test-slow test-browser test-network test-interop test-soak test-use train-smoke check generate format bench clean

help: ## This list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Worldloom needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V). Try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv

# torch comes first and alone: nothing that is installed later may bring another build of it.
.venv/.server: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --upgrade pip
	$(PIP) torch
	$(PIP) --editable '.[server]'
	@touch $@

.venv/.dev: .venv/.server
	$(PIP) --editable '.[server,gym,dev]'
	@touch $@

.venv/.train: .venv/.dev
	$(PIP) --editable '.[server,gym,dev,train]'
	@touch $@

setup: .venv/.dev ## Prepare .venv for development

setup-train: .venv/.train ## The same, with the engines that make training data

serve: .venv/.server ## Run the server and open a world in the browser (WORLD=name chooses another)
	$(BIN)/worldloom serve $(if $(WORLD),--world $(WORLD))

test: test-fast test-slow test-browser test-interop ## The fast suite, what takes longer, the one that drives Chromium, then other people's players

test-fast: .venv/.dev
	$(PYTEST) -n 4 --dist worksteal

test-slow: .venv/.dev
	$(PYTEST) -n 2 --dist worksteal -m 'slow and not soak' tests

test-browser: .venv/.dev
	@sh tests/browser/chromium.sh
	$(PYTEST) -m browser tests/browser

test-network: .venv/.dev ## What a visitor sees over a bad line, between two network namespaces
	@sh tests/browser/chromium.sh
	$(PYTEST) -m network tests/network

test-interop: .venv/.dev ## What others wrote: Firefox, GStreamer, whip-whep, Godot; AsyncAPI, TypeScript and C# read the protocol
	@sh tests/browser/chromium.sh
	@sh tests/interop/peers.sh build/interop
	$(PYTEST) -m interop tests/interop

test-soak: .venv/.dev ## Minutes of use and of abuse (WORLDLOOM_SOAK_MINUTES of ordinary use, 5 by default)
	$(PYTEST) -s -m soak tests

test-use: .venv/.dev ## Minutes of ordinary use alone: memory, drops and clocks (WORLDLOOM_SOAK_MINUTES, 5 by default)
	$(PYTEST) -s -m soak tests/soak/test_soak.py

train-smoke: .venv/.dev ## The whole recipe at toy size: record, train, evaluate, and see that it learnt
	$(PYTEST) -m smoke tests/models/training

# The folders appear under their import names for the type checker.
build/typing/worldloom:
	@mkdir -p $@ && ln -sfn ../../../models ../../../streamer ../../../client $@/

check: .venv/.dev build/typing/worldloom ## Style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	MYPYPATH=build/typing $(BIN)/mypy -p worldloom.models -p worldloom.streamer -p worldloom.client
	MYPYPATH=build/typing $(BIN)/mypy tests
	$(PYTEST) tests/test_layers.py

generate: .venv/.dev ## Write anew what is generated from the messages: page, AsyncAPI document, types
	$(BIN)/python -m worldloom.streamer.docs docs/protocol.md
	$(BIN)/python -m worldloom.streamer.asyncapi docs/asyncapi.yaml
	$(BIN)/python -m worldloom.streamer.typescript client/js/protocol.d.ts
	$(BIN)/python -m worldloom.streamer.csharp client/csharp/Protocol.cs

format: .venv/.dev ## Rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.dev ## Speed and latency of the shipped worlds on this machine, as JSON
	@sh tests/browser/chromium.sh
	@for world in $$($(BIN)/python -c 'from worldloom.models.catalog import shipped_worlds; print(*shipped_worlds())'); do \
	  $(BIN)/worldloom bench engine --world $$world --seconds 20 --json && \
	  $(BIN)/worldloom bench stream --world $$world --seconds 30 --json || exit 1; \
	done

clean: ## Remove everything that was made here, except trained runs
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
