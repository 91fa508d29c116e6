# Countersign. `make run` starts it, `make test` tests it; README.md says the rest.

PYTHON ?= python3
PORT ?= 8000
WORKERS ?= 2
BIN := .venv/bin
NAMED := $(if $(TESTS),$(TESTS),)

.PHONY: run test check harness mutation bench bench-architecture clean help

help:
	@echo "make run      install, set up and start everything (PORT=8000)"
	@echo "make test     run the tests (TESTS='path -k word' for some of them)"
	@echo "make check    linters, types, import contracts, migrations, deployment check"
	@echo "make harness  the races, 200 rounds each, and every cell of the approval matrix"
	@echo "make mutation put small mistakes into the approval rules; the tests have to notice 90 % of each module"
	@echo "make bench    measure speed on PostgreSQL and write docs/benchmarks.md"
	@echo "make bench-architecture  measure propagation, previews and imports up to a million components (ten minutes)"
	@echo "make clean    remove .venv and caches; your data in var/ stays"

run: .venv/.runtime
	@$(BIN)/python manage.py setup
	@$(BIN)/python manage.py demo
	@exec $(BIN)/python manage.py up --port $(PORT)

test: .venv/.development
	@PYTHON=$(BIN)/python WORKERS=$(WORKERS) sh .ci/tests $(NAMED)

check: .venv/.development
	@PYTHON=$(BIN)/python sh .ci/check

harness: .venv/.development
	@HARNESS_ROUNDS=200 PYTHON=$(BIN)/python WORKERS=0 sh .ci/tests changemgmt/tests/harness changemgmt/tests/approvals/test_matrix.py

mutation: .venv/.development
	@$(BIN)/python -m bench.mutation

bench: .venv/.development
	@$(BIN)/python -m bench.run

bench-architecture: .venv/.development
	@$(BIN)/python -m bench.architecture

clean:
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis staticfiles

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Countersign needs Python 3.11 or later; $(PYTHON) is older. Name another with PYTHON=python3.12."; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
		|| { echo "Python's venv module is missing. On Debian: sudo apt install python3-venv"; exit 1; }
	@echo "Making .venv"
	@$(PYTHON) -m venv .venv

.venv/.runtime: requirements.txt | .venv/bin/python
	@echo "Installing what Countersign needs (about half a minute, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/.development: requirements-dev.txt requirements.txt | .venv/bin/python
	@echo "Installing what the tests need (about a minute, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch .venv/.runtime $@
