.DEFAULT_GOAL := help
.PHONY: help setup demo test fast journeys soak bench lint types check rehearse sbom audit ci clean screenshots
MANAGE := .venv/bin/python manage.py
PYTEST := .venv/bin/python -m pytest
# Two processes more than the two cores of a small machine: the journeys, all in one of them, and the engine's
# tests mostly wait.
PARALLEL := -n 4 --no-loadscope-reorder
# Reads settings without a database or secrets of this machine.
ANY_SETTINGS := DATABASE_URL=sqlite://:memory: DEBUG=true

help: ## Says what can be made
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: ## .venv with the pinned packages, libmagic, a browser
	@scripts/setup

demo: ## The whole story on this machine: open the printed address (port: PORT, default 8000)
	@scripts/setup --without-browser
	@$(MANAGE) demo

test: setup ## All tests; needs nothing running
	@scripts/test $(PARALLEL)

fast: setup ## The fast tests, on PostgreSQL with Redis
	$(PYTEST) $(PARALLEL) -m "not journey"

journeys: setup ## Whole stories against the product's own processes, in a browser
	$(PYTEST) $(PARALLEL) -m journey

soak: setup ## The soak tests in turns, for MINUTES (default 5)
	.venv/bin/python -m tests.soak --minutes $(or $(MINUTES),5)

bench: setup ## Every bench, one table in docs/performance.md (BASELINE: folder of the Node service, for ratios)
	.venv/bin/python -m bench $(if $(BASELINE),--baseline $(BASELINE))

lint: setup ## ruff
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

types: setup ## mypy --strict
	$(ANY_SETTINGS) .venv/bin/mypy

check: lint types ## Everything but the tests
	$(ANY_SETTINGS) $(MANAGE) makemigrations --check --dry-run
	scripts/check-production

sbom: ## docs/sbom.json: what the product is made of (CycloneDX)
	@.venv/bin/python -m scripts.sbom

audit: ## Known vulnerabilities of the pinned packages; says where to get the advisories
	@.venv/bin/python -m scripts.sbom --check
	@.venv/bin/python -m scripts.audit

ci: ## What the build server runs
	.ci/run

clean: ## Removes what was made, the demo's data included
	rm -rf .venv data .pytest_cache .mypy_cache .ruff_cache .hypothesis test-results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

rehearse: setup ## The recipes of deploy/ on this machine: image folder, units, nginx, backup, alerts
	scripts/rehearse-deploy

screenshots: setup ## docs/screens: the pages as a person sees them
	.venv/bin/python -m tests.screenshots
