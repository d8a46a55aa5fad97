# `make up` runs Soonish, `make test` checks everything; each installs what it needs first.
# The programs in .venv are called directly: `uv run` would cost half a second and sit between
# `make` and the process that Ctrl-C is meant for.

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/soonish
export PATH := $(CACHE)/node/bin:$(PATH):$(CACHE)/uv/bin
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
RUN := exec .venv/bin
COUNT ?= 1

.NOTPARALLEL:
.PHONY: up test test-steady lint types bench screenshots messages chaos clean bootstrap bootstrap-dev bootstrap-test

up: bootstrap
	@$(RUN)/soonish up

test: bootstrap-test lint types
	@export CHROMIUM="$$(scripts/bootstrap.sh browser)" && $(RUN)/pytest -n 2 --dist loadgroup --second-tries

# COUNT times without second tries, and fails for any failure: all tests, or those that TESTS names.
test-steady: bootstrap-test
	@export CHROMIUM="$$(scripts/bootstrap.sh browser)"; failed=0; for round in $$(seq $(COUNT)); do \
	  echo "Round $$round of $(COUNT)"; \
	  .venv/bin/pytest -n 2 --dist loadgroup $(TESTS) || failed=$$((failed + 1)); \
	done; echo "$$failed of $(COUNT) rounds failed"; [ "$$failed" = 0 ]

lint: bootstrap-dev
	@$(RUN)/ruff check .
	@$(RUN)/ruff format --check .
	@.venv/bin/lint-imports --no-logo --no-cache >/dev/null || .venv/bin/lint-imports --no-logo --no-cache
	@$(RUN)/bandit -q -c pyproject.toml -r src scripts

# In the tests only the calls are checked, to find stale ones before the tests run.
types: bootstrap-test
	@.venv/bin/pyright
	@$(RUN)/pyright -p tests

bench: bootstrap-dev
	@$(RUN)/python -m bench

screenshots: bootstrap-test
	@export CHROMIUM="$$(scripts/bootstrap.sh browser)" && $(RUN)/python -m tests.browser.screenshots

# After a change of texts: brings the catalogues up to date. Translate what is new in the .po files.
messages: bootstrap-dev
	@.venv/bin/python tools/messages.py update
	@.venv/bin/python tools/messages.py compile

chaos: bootstrap-test
	@$(RUN)/pytest -m chaos tests/chaos tests/delivery

# Everything that the set-up made in the clone; the data in .soonish stays.
clean:
	rm -rf .venv node_modules src/soonish/web/assets src/soonish/locales/*/LC_MESSAGES/*.mo .pytest_cache .ruff_cache .hypothesis

bootstrap:
	@scripts/bootstrap.sh

bootstrap-dev:
	@scripts/bootstrap.sh dev

bootstrap-test:
	@scripts/bootstrap.sh test
