SHELL := /bin/bash
.PHONY: help venv demo test bench lint format lock clean

help:
	@echo "make demo    install, start the gateway, submit a real MLflow project and follow it to its end"
	@echo "make test    install every real part (Slurm, PostgreSQL, MLflow) and run all tests"
	@echo "make lint    ruff, mypy, import directions, shellcheck"
	@echo "make bench   measure; prints ratios"

venv:
	@scripts/bootstrap

demo:
	@DEMO_BEGAN=$$(date +%s) bash -c 'scripts/bootstrap && scripts/demo'

test: venv
	@scripts/test

bench: venv
	@scripts/bench

lint: venv
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/shellcheck -x $$(git grep --untracked -lE '^#! ?/bin/(ba)?sh|^# shellcheck shell=' -- ':!*.py' ':!*.md' ':!*.jinja' ':!Makefile')

format: venv
	.venv/bin/ruff check --fix-only --quiet .
	.venv/bin/ruff format --quiet .

# The lock holds names, versions and hashes, and no address of a registry.
lock: venv
	.venv/bin/uv pip compile -q pyproject.toml --universal --all-extras --group dev --generate-hashes --no-header \
	  --no-emit-index-url --no-annotate --python-version 3.11 -o requirements/lock.txt

clean:
	rm -rf .venv .demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
