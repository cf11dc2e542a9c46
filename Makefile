.DEFAULT_GOAL := help
.PHONY: help setup demo test fast journeys lint types check ci clean
MANAGE := .venv/bin/python manage.py
PYTEST := .venv/bin/python -m pytest
# Reads settings without a database or secrets of this machine.
ANY_SETTINGS := DATABASE_URL=sqlite://:memory: DEBUG=true

help: ## Says what can be made
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: ## .venv with the pinned packages, libmagic, a browser
	@scripts/setup

demo: ## The whole story on this machine: open the printed address (port: PORT, default 8000)
	@scripts/setup --without-browser
	@$(MANAGE) demo

test: fast journeys ## All tests; needs nothing running

fast: setup ## The fast tests, on PostgreSQL with Redis and on SQLite
	$(PYTEST) -n 2 -m "not journey"
	$(PYTEST) -n 2 -m "not journey" --db sqlite

journeys: setup ## Whole stories against the product's own processes, in a browser
	$(PYTEST) -m journey

lint: setup ## ruff
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

types: setup ## mypy --strict
	$(ANY_SETTINGS) .venv/bin/mypy

check: lint types ## Everything but the tests
	$(ANY_SETTINGS) $(MANAGE) makemigrations --check --dry-run
	scripts/check-production

ci: ## What the build server runs
	.ci/run

clean: ## Removes what was made, the demo's data included
	rm -rf .venv data .pytest_cache .mypy_cache .ruff_cache .hypothesis test-results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
