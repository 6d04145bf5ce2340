# make setup   a virtual environment .venv in this clone, with everything installed
# make demo    train a small recogniser with two algorithms on two learners, and compare their word error rates
# make test    all tests         make lint    style checks
# make check   before each commit: the tests that need no MPI ranks, no corpora and little time (under 3 minutes)
SHELL := /bin/bash
VENV := .venv
STAMP := $(VENV)/.installed
DEMO := egs/mini/s5/exp/demo
PYTEST_ARGS ?= -q -n 2 --dist loadfile
export PYTHON

.PHONY: help setup demo test check lint clean distclean

help:
	@sed -n 's/^# //p' Makefile

setup: $(STAMP)

$(STAMP): setup.cfg pyproject.toml constraints.txt tools/setup.sh
	@tools/setup.sh
	@touch $@

demo: setup
	egs/mini/s5/run.sh --exp-dir $(DEMO) --learners 2 --strategy ssgd --name ssgd
	egs/mini/s5/run.sh --exp-dir $(DEMO) --learners 2 --strategy bmuf --name bmuf --stage 6
	$(VENV)/bin/asrpar compare $(DEMO)/ssgd $(DEMO)/bmuf

test: setup
	$(VENV)/bin/python -m pytest $(PYTEST_ARGS)

check: setup
	$(VENV)/bin/python -m pytest $(PYTEST_ARGS) -m 'not (slow or mpi or slurm or corpora)'

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	find . -path ./$(VENV) -prune -o \( -name '*.sh' -o -path './.ci/run' \) -print0 | xargs -0 $(VENV)/bin/shellcheck

clean:
	rm -rf egs/*/s5/exp build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -print0 | xargs -0 rm -rf

distclean: clean
	rm -rf $(VENV)
