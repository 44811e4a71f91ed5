# What people and machines start. Every target makes the environment first where it is not there yet.
SHELL := bash
PYTHON_HERE := .venv/bin/python
BENCHMARKS := overhead arrival search fingerprint memory speech repair diarize api refusals answers

.PHONY: run setup demo test soak check bench lock
.DEFAULT_GOAL := run

run: setup  ## Nexus with Dagster's UI, until Ctrl-C; an empty archive first gets the samples
	@exec $(PYTHON_HERE) -m samples.run

setup:  ## system packages and .venv; quick when nothing is to do
	@scripts/setup.sh

demo: setup  ## the samples from inbox to search in a home of their own, then the end
	@$(PYTHON_HERE) -m samples.demo

test: setup  ## everything that can be tested in a quarter of an hour
	@$(PYTHON_HERE) -m pytest -q -m "not soak" -n 4 --dist loadfile --no-loadscope-reorder

soak: setup  ## what takes long
	@$(PYTHON_HERE) -m pytest -q -m soak --timeout 3600

check: setup  ## style, types, import rules, docs
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(PYTHON_HERE) -m pytest -q tests/test_docs.py

bench: $(addprefix bench-,$(subst _,-,$(BENCHMARKS)))  ## every benchmark

bench-%: setup
	@$(PYTHON_HERE) -m bench.$(subst -,_,$*)

lock: scripts/lock.sh  ## remake the locks from pyproject.toml
	@scripts/lock.sh
