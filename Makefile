# Two commands do all the set-up: `make run` starts Trapline, `make test` tests it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: run install test check bench fuzz docs fidelity debian clean

run: install  ## start traps, journal and analysis on loopback ports
	$(BIN)/trapline up

install: $(STAMP)  ## make .venv with the command .venv/bin/trapline

$(STAMP): pyproject.toml
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq python3-venv && \
	  $(PYTHON) -m venv $(VENV); } || { \
	  echo "python3 with venv is needed: apt-get install python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

debian:  ## get the real servers and clients that tests are tried against (root, Debian)
	@sh tests/debian-packages
	@$(PYTHON) -m tests.fidelity.debian

test: install debian  ## every test; those that lack a program or root say so loudly
	tests/in-namespace $(BIN)/python -m pytest -n 2 --dist loadgroup -r s tests

check: install  ## style, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install debian  ## measure against named peers; prints the tables of docs/benchmarks.md
	@for one in bench/*.py; do echo "== $$one"; $(BIN)/python $$one || exit 1; done

fidelity: install debian  ## compare the personas with the real servers, reply by reply
	$(BIN)/python bench/fidelity.py

fuzz: install  ## 10,000 sessions of hostile octets
	$(BIN)/python -m pytest -q -m fuzz tests/system/test_fuzz.py

docs: install  ## check that the events catalogue says what the code says
	$(BIN)/python -m pytest -q tests/test_docs.py

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
