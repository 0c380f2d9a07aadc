# SPDX-License-Identifier: Apache-2.0
# Everything runs in .venv, which the first command makes; only Python >= 3.11 and make have to be there.

VENV := .venv
BIN := $(VENV)/bin
NEEDS := import sys; sys.exit(sys.version_info < (3, 11))

# The first interpreter that is new enough; PYTHON=... chooses one.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
	$$python -c "$(NEEDS)" 2>/dev/null && echo $$python && break; done)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test check bench gpu docs dist clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.installed-train  ## train, evaluate and compare three upsamplers on synthetic scenes (about 10 minutes on 2 cores)
	@$(BIN)/dealias demo

# Two processes of one thread: the tensors of the tests are small, more threads would only wait for each other. Tests that
# fork come after, alone. Exit code 5: no such tests among those chosen.
test: $(VENV)/.installed-all  ## all tests, doctests included; TESTS="-k freqfusion" chooses
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not alone" $(TESTS) || [ $$? -eq 5 ]
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m alone $(TESTS) || [ $$? -eq 5 ]

check: $(VENV)/.installed-all  ## lint, formatting, types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: $(VENV)/.installed-all  ## speed and memory against other forms, and how they grow, written to benchmarks/results
	@$(BIN)/python benchmarks/run.py
	@$(BIN)/python benchmarks/growth.py

gpu: $(VENV)/.installed-all  ## on a CUDA machine: GPU tests, benchmarks, CamVid comparison; skips what is already recorded
	@$(BIN)/python benchmarks/gpu.py

docs: $(VENV)/.installed-all  ## build the documentation into site/; links and docstrings are checked
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

dist: $(VENV)/.installed-all  ## build the source archive and the wheel into dist/
	@$(BIN)/python -c "from setuptools import build_meta as b; b.build_sdist('dist'); b.build_wheel('dist')"

clean:  ## remove the environment and caches; runs/ and benchmarks/results stay
	rm -rf $(VENV) build dist site src/*.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp per set of extras, touched once pip has succeeded, so that a failed install is tried again.
$(VENV)/.installed-%: pyproject.toml | $(BIN)/pip
	@echo "Installing dealias[$*] into $(VENV): about two minutes the first time, PyTorch is large ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[$*]"
	@$(BIN)/dealias kernels build --optional
	@touch $@ $(if $(filter all,$*),$(VENV)/.installed-train)

$(BIN)/pip:
	@test -n "$(PYTHON)" || { echo "dealias needs Python >= 3.11: none of python3, python3.13, python3.12, python3.11, python is." \
		"Install one, or name it: make PYTHON=/path/to/python" >&2; exit 1; }
	@"$(PYTHON)" -c "$(NEEDS)" 2>/dev/null || { echo "dealias needs Python >= 3.11; PYTHON=$(PYTHON) is" \
		"$$("$(PYTHON)" --version 2>&1)" >&2; exit 1; }
	@echo "Creating $(VENV) with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv $(VENV)
