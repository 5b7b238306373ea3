# Deelname: everything that one types here. A bare Debian needs python3 (3.11 or newer), python3-venv and make.

PYTHON ?= python3
VENV ?= .venv
DATA ?= data
PORT_BASE ?= 4600
WORKERS ?= 4
MARKS ?= not engine
TAG ?= latest

BIN := $(VENV)/bin
UV := $(BIN)/uv
UV_INSTALL := $(UV) pip install --quiet --python $(BIN)/python
MEMBERS := contracts services/chassis services/registration services/notifications services/reporting deploy deploy/catcher cli
MEMBER_FILES := $(addsuffix /pyproject.toml,$(MEMBERS))
RUN_STAMP := $(VENV)/.installed-demo
DEVELOPMENT_STAMP := $(VENV)/.installed-development
COMPILED_STAMP := $(VENV)/.compiled-tests
# What a partner in JavaScript has; without npm the tests say what they left out.
NODE_STAMP := $(if $(shell command -v npm),$(VENV)/node/.installed)

export UV_PYTHON_DOWNLOADS := never
# A service is a process, and the tests start hundreds: reading compiled modules takes a third of compiling them anew.
export UV_COMPILE_BYTECODE := 1
unexport PYTHONDONTWRITEBYTECODE

# An option for what was given with the command or in the environment; the demo has places of its own.
given = $(if $(filter command environment,$(firstword $(origin $(1)))),$(2) $($(1)))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
IMAGES := registration notifications reporting tools catcher
.PHONY: images help demo run test check lint format types imports tests bench schemas lock install install-development clean

help: ## list these targets
	@echo "make TARGET, where TARGET is one of"
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf '  %-22s%s\n' "$$name" "$$text"; done

demo: $(RUN_STAMP) ## the whole system with the sample programmes, until Ctrl-C; ONCE=1 stops by itself and fails if something is amiss, DATA and PORT_BASE say where
	$(BIN)/deelname demo $(if $(ONCE),--once) $(call given,DATA,--data) $(call given,PORT_BASE,--port-base)

run: $(RUN_STAMP) ## the whole system, empty; DATA=data PORT_BASE=4600 say where
	$(BIN)/deelname up --data $(DATA) --port-base $(PORT_BASE)

test: lint imports ## everything that proves it: linters, types, import rules, tests
	@# The type checker keeps one processor busy for half a minute, and tests wait a lot: they go side by side.
	@$(MAKE) --no-print-directory types >.mypy.out 2>&1 & types=$$!; \
	$(MAKE) --no-print-directory $(COMPILED_STAMP) && $(MAKE) --no-print-directory tests; tested=$$?; \
	wait $$types; typed=$$?; cat .mypy.out; rm .mypy.out; \
	echo "What needs a Docker engine is not in this: make tests MARKS=engine"; \
	test $$tested -eq 0 -a $$typed -eq 0

check: lint types imports ## what needs no test run

lint: $(DEVELOPMENT_STAMP) ## style and format, changed by nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(DEVELOPMENT_STAMP) ## put the code into the one format and repair what a linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(DEVELOPMENT_STAMP) ## the strict type checker
	$(BIN)/mypy

imports: $(DEVELOPMENT_STAMP) ## who may import whom (pyproject.toml, [tool.importlinter])
	$(BIN)/lint-imports

tests: $(DEVELOPMENT_STAMP) $(NODE_STAMP) ## the tests alone; ARGS="tests/contracts -k subjects" picks some, MARKS=engine those that need Docker
	@# Tests that kill brokers and services side by side may run out of patience on a busy machine: what failed has one
	@# more try by itself, with nothing beside it, and must pass then.
	@# More workers than the two processors that we count on, because tests wait a lot.
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "$(MARKS)" $(ARGS) \
	  || { test $$? -eq 1 && $(BIN)/pytest --last-failed -m "$(MARKS)" $(ARGS); }

images: ## the images that compose.yaml names, deelname-registration:latest and so on; TAG=... another tag, DEELNAME_PYTHON_IMAGE=... another base
	@# The machine's own network, so that packages come from where they come from outside.
	@for service in $(IMAGES); do \
	  docker build --quiet --network host --file deploy/Dockerfile --build-arg SERVICE=$$service \
	    $(foreach setting,PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST,$(if $($(setting)),--build-arg $(setting))) \
	    --build-arg PYTHON_IMAGE=$(DEELNAME_PYTHON_IMAGE) \
	    --tag deelname-$$service:$(TAG) . || exit 1; \
	done

bench: $(DEVELOPMENT_STAMP) ## measure the four paths beside raw probes of the same durability
	$(BIN)/python -m benchmarks $(ARGS)

schemas: $(DEVELOPMENT_STAMP) ## write the JSON Schemas and AsyncAPI documents anew; the tests compare them
	$(BIN)/python -m contracts.schemas
	$(BIN)/python -m tests.workspace.asyncapi

install: $(RUN_STAMP) ## what running needs, into .venv

install-development: $(DEVELOPMENT_STAMP) $(NODE_STAMP) ## what working on it needs, into .venv

clean: ## forget the virtual environment and everything that can be made again
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# Installing -----------------------------------------------------------------------------------------------------------
# pip brings uv; uv brings everything else by version and hash. Stamp files say what is there already.

$(UV): requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Deelname needs Python 3.11 or newer, and '$(PYTHON)' is not it: apt-get install python3 python3-venv, or make PYTHON=/path/to/python3." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "Python's venv module is not complete: apt-get install python3-venv" >&2; exit 1; }
	$(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/uv.txt
	@touch $@

$(RUN_STAMP): requirements/demo.txt requirements/build.txt $(MEMBER_FILES) | $(UV)
	$(UV_INSTALL) --require-hashes --requirement requirements/demo.txt
	$(UV_INSTALL) --no-deps --build-constraint requirements/build.txt $(addprefix --editable ,$(addprefix ./,$(MEMBERS)))
	@touch $@

$(DEVELOPMENT_STAMP): requirements/development.txt $(RUN_STAMP)
	$(UV_INSTALL) --require-hashes --requirement requirements/development.txt
	@touch $@

ifneq ($(NODE_STAMP),)
$(NODE_STAMP): requirements/node/package.json requirements/node/package-lock.json | $(UV)
	@mkdir -p $(@D) && cp $^ $(@D)
	npm ci --prefix $(@D) --ignore-scripts --no-audit --no-fund --silent && touch $@ \
	  || echo "NO PACKAGES OF NODE: what needs them will not be tested." >&2
endif

# pytest compiles tests in its own way, each of its workers all of them: this does it for them once after a change.
$(COMPILED_STAMP): $(DEVELOPMENT_STAMP) $(shell find tests -name '*.py')
	@$(BIN)/pytest --collect-only -qq >$@.out || { cat $@.out; exit 1; }
	@rm $@.out && touch $@

# Locking --------------------------------------------------------------------------------------------------------------
# development.txt is resolved first and constrains the others, so that one version of a package runs everywhere.

COMPILE = $(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url \
  --no-emit-find-links --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade) \
  $(foreach name,contracts chassis registration notifications reporting deploy catcher,--no-emit-package deelname-$(name)) \
  --no-emit-package deelname
CONSTRAINED = $(COMPILE) --no-annotate --constraint requirements/development.txt

lock: $(UV) ## resolve the dependencies anew into requirements/; UPGRADE=1 takes newer versions
	printf 'uv\n' | $(COMPILE) --no-annotate --output-file requirements/uv.txt -
	printf 'setuptools>=80\n' | $(COMPILE) --no-annotate --output-file requirements/build.txt -
	$(COMPILE) --output-file requirements/development.txt deploy/pyproject.toml cli/pyproject.toml --group pyproject.toml:development
	$(CONSTRAINED) --output-file requirements/demo.txt deploy/pyproject.toml cli/pyproject.toml
	$(CONSTRAINED) --output-file requirements/deelname.txt cli/pyproject.toml
	$(CONSTRAINED) --output-file requirements/registration.txt services/registration/pyproject.toml
	$(CONSTRAINED) --output-file requirements/notifications.txt services/notifications/pyproject.toml
	$(CONSTRAINED) --output-file requirements/reporting.txt services/reporting/pyproject.toml
	$(CONSTRAINED) --extra tracing --output-file requirements/tracing.txt services/chassis/pyproject.toml
	$(CONSTRAINED) --output-file requirements/catcher.txt deploy/catcher/pyproject.toml
	printf 'cryptography\n' | $(CONSTRAINED) --output-file requirements/tools.txt cli/pyproject.toml -
	@# Without the addresses from which npm fetched them: each machine has its own.
	if command -v npm >/dev/null; then cd requirements/node && npm $(if $(UPGRADE),update,install) --package-lock-only \
	  --ignore-scripts --no-audit --no-fund --silent --omit-lockfile-registry-resolved; fi
