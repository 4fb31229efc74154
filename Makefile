# Sanji 三级互动. `make` lists the commands to know; everything they need goes into .venv.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory --no-builtin-rules

PACKAGES := shared broker district town village demo bench
PYTHON := .venv/bin/python
INSTALLED := .venv/.installed

# What the demo and the story stand on: ws or rabbitmq; the story also sqlite or postgresql.
CARRIER ?= ws
STORE ?= sqlite
SEED ?= 1
COUNT ?= 100
ARGS ?=
UPGRADE ?=

.PHONY: help demo demo-reset story trace test check simulate bench stack screens mutants vectors format lock clean compile

# A line of help is the text behind `##`; `#+` marks the rest, listed by name.
help:
	@echo 'Sanji 三级互动: a district 区, its towns 镇 and villages 村'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' Makefile
	@echo
	@awk -F ':.*#[+] ' '/^[a-z-]+:.*#[+] / {printf "  also: %-11s %s\n", $$1, $$2}' Makefile

demo: $(INSTALLED) compile ## a whole district to look at and to use, until Ctrl-C
	@$(PYTHON) -m demo.play --carrier $(CARRIER) $(ARGS)

demo-reset: $(INSTALLED) #+ throws the demo's district away
	@$(PYTHON) -m demo.play --reset

story: $(INSTALLED) compile ## a whole district on this machine: one voice goes up, one answer comes down
	@$(PYTHON) -m demo.story --carrier $(CARRIER) --store $(STORE) $(ARGS)

trace: $(INSTALLED) compile ## one record's journey, step by step: bytes, file:line, size, time
	@$(PYTHON) -m demo.trace $(ARGS)

# One worker a core of the smallest machine we promise.
# With ARGS (make test ARGS='tests/unit -k feed') only that runs, without coverage.
test: $(INSTALLED) compile ## all tests; SANJI_SERVICES=require makes a missing service a failure
	@limit=600; [ "$${SANJI_SERVICES:-}" != require ] || limit=900; \
	args=($(ARGS)); [ $${#args[@]} -gt 0 ] || args=(-n 2 --dist worksteal --cov --cov-report=term:skip-covered); \
	timeout --foreground --signal=INT --kill-after=30 $$limit $(PYTHON) -m pytest "$${args[@]}" || { \
		code=$$?; \
		case $$code in 124|137) echo "make test: stopped after $$limit s, the time it may take; the slowest: make test ARGS=--durations=20" >&2;; esac; \
		exit $$code; }

check: $(INSTALLED) ## what CI checks before the tests: style, format, types, layers
	@echo '== compile';       $(PYTHON) -m compileall -q $(PACKAGES) tests
	@echo '== ruff check';    .venv/bin/ruff check --quiet
	@echo '== ruff format';   .venv/bin/ruff format --check --quiet || { echo 'not formatted: make format' >&2; .venv/bin/ruff format --check; }
	@echo '== mypy';          $(PYTHON) -m mypy
	@echo '== layers';        .venv/bin/lint-imports --no-logo

simulate: $(INSTALLED) compile ## many nodes, bad lines, crashes, virtual time: COUNT=100 histories from SEED=1
	@$(PYTHON) -m tests.simulation --seed $(SEED) --count $(COUNT) $(ARGS)

bench: $(INSTALLED) compile #+ measures against a straight line and what we owe, in 4 to 5 minutes: build/bench/bench.json
	@$(PYTHON) -m bench $(ARGS)

stack: $(INSTALLED) compile #+ the nodes of docker-compose.yml by hand, over a private RabbitMQ and PostgreSQL
	@SANJI_SERVICES=require $(PYTHON) -m pytest -v tests/integration/test_stack.py

screens: $(INSTALLED) compile #+ photographs every page in Chromium for docs/screens
	@$(PYTHON) -m tests.browser.sheet

mutants: $(INSTALLED) compile #+ plants known mistakes one by one; each must be caught by a test
	@$(PYTHON) -m tests.mutants $(ARGS)

vectors: $(INSTALLED) compile #+ writes the signed records in tests/vectors anew
	@$(PYTHON) -m tests.vectors $(ARGS)

format: $(INSTALLED) #+ formats, and mends what ruff can mend safely
	@.venv/bin/ruff check --fix --quiet || true
	@.venv/bin/ruff format

# The resolver lives in a folder of its own; UPGRADE=--upgrade moves every release, the default none.
lock: #+ writes requirements.lock from pyproject.toml (UPGRADE=--upgrade for newer releases)
	@[ -x build/lock/bin/uv ] || { python3 -m venv build/lock && build/lock/bin/python -m pip install -qq uv; }
	@build/lock/bin/uv pip compile pyproject.toml --extra dev --group crosscheck --universal \
		--python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
		--custom-compile-command 'make lock' --quiet $(UPGRADE) --output-file requirements.lock
	@echo "requirements.lock: $$(grep -c '==' requirements.lock) releases"

clean: #+ removes what make and the tools have made, .venv included
	@rm -rf .venv build dist htmlcov .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find $(PACKAGES) tests -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

# compileall writes bytecode also where PYTHONDONTWRITEBYTECODE is set: many short processes start
# from it. A file that does not compile is for the command itself to report.
compile: $(INSTALLED)
	@$(PYTHON) -m compileall -qq $(PACKAGES) || true

$(INSTALLED): requirements.lock pyproject.toml
	@found=; for python in python3 python3.14 python3.13 python3.12 python3.11; do \
		if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	[ -n "$$found" ] || { echo 'Python 3.11 or newer is missing: apt-get install python3 python3-venv' >&2; exit 1; }; \
	if ! "$$found" -c 'import ensurepip, venv' 2>/dev/null; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "installing $$found-venv"; \
			apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$$found-venv" >/dev/null; \
		else \
			echo "$$found-venv is missing: apt-get install $$found-venv" >&2; exit 1; \
		fi; \
	fi; \
	[ -x $(PYTHON) ] || { echo "creating .venv ($$("$$found" --version))"; "$$found" -m venv .venv; }
	@echo 'installing requirements.lock'
	@$(PYTHON) -m pip install -qq --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@echo 'installing sanji (editable)'
	@$(PYTHON) -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(PYTHON) -m compileall -q $(PACKAGES) || true
	@touch $@
