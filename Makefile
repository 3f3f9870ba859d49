# One command a job; `make` alone lists them. Each sets up .venv by itself where that is needed.

.DEFAULT_GOAL := help
.PHONY: help lint check test test-cgroup2 fuzz benchmark docs format lock audit clean setup

PYTHON_ENV := .venv/bin/python
UV ?= uv

# make's own process must see what ./bench says: tests that need an engine may install one.
export BENCH_INSTALL_ENGINE ?= auto

help: ## list these targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 18

setup: ## make .venv from the lock files, developers' tools included
	@buildtools/setup-venv --dev

lint: setup ## lint and types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

check: lint ## lint, types and the fast tests: a minute and a half, no engine
	$(PYTHON_ENV) -m pytest -q -m "not engine and not slow"

# What measures has the host to itself; the rest shares its CPUs: first what is without containers,
# then what mostly waits for them, each of its workers with an engine of its own. What failed is run
# once more, last and alone: of 800 tests that measure, a host that stalls for a second fails one.
# Both are shown, and who fails twice has failed (docs/decisions/050).
AGAIN = { [ $$? -eq 1 ] && echo "=== what failed, once more ===" && \
	$(PYTHON_ENV) -m pytest --last-failed --last-failed-no-failures=none; }

# An engine of each worker takes root, and is none that was named.
OWN := $(if $(DOCKER_HOST),,$(filter 0,$(shell id -u)))

test: setup ## all tests, real containers included
	@rm -rf .pytest_cache/v/cache/lastfailed
	$(PYTHON_ENV) -m pytest -q -m "not engine and not alone" --numprocesses=logical \
		--dist=worksteal || $(AGAIN)
	$(if $(OWN),$(PYTHON_ENV) -m pytest -q -m beside tests/docker --numprocesses=4 \
		--dist=worksteal || $(AGAIN))
	$(PYTHON_ENV) -m pytest -m "(engine or alone)$(if $(OWN), and not beside)" || $(AGAIN)

# SUITE=forky: another Debian, with another kernel, engine and runtime. ALL=1: every such test.
SUITE ?= bookworm

test-cgroup2: setup ## the tests with containers in a machine of our own with cgroup v2
	$(PYTHON_ENV) -m tests.vm $(SUITE) $(if $(ALL),--all)

benchmark: setup ## the figures that limitbench is held to, measured on this host
	$(PYTHON_ENV) -m benchmarks

# FUZZ="--folders 30000 --others 10000": for as long as you like.
fuzz: setup ## malformed inputs by the thousand: no traceback, no hang, no growth, no silent number
	nice -n 19 $(PYTHON_ENV) -m tests.fuzz $(FUZZ)

docs: setup ## the pages that are made of the code: docs/limits.md, findings.md, claims.md
	$(PYTHON_ENV) -c "from harness.limits.described import markdown; print(markdown())" > docs/limits.md
	$(PYTHON_ENV) -c "from harness.inspection.findings.described import markdown; print(markdown())" \
		> docs/findings.md
	$(PYTHON_ENV) -c "from pathlib import Path; from harness.claims.described import page; \
		print(page(Path('docs/claims')))" > docs/claims.md

format: setup ## let ruff format the code and mend what it can
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

# Versions already locked stay unless they must move; `make lock UPGRADE=--upgrade` moves them all.
# The build backend is locked too, so that the package itself is installed without a download.
LOCK := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(UPGRADE)

lock: ## write the lock files again from pyproject.toml (needs uv and the package index)
	@command -v $(UV) >/dev/null || { echo "make lock needs uv: pip install uv" >&2; exit 2; }
	$(LOCK) pyproject.toml buildtools/backend.in --output-file requirements.lock
	$(LOCK) pyproject.toml buildtools/backend.in --extra dev --constraints requirements.lock \
		--output-file requirements-dev.lock

audit: ## ask what is known of vulnerabilities in the lock files (needs the package index)
	@buildtools/audit

clean: ## remove what can be made again: .venv, caches, builds (never results)
	rm -rf .venv dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.git/*' -type d -prune -exec rm -rf {} +
