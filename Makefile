# The menu: `make` prints it.
RUN := .venv/bin/uv run --locked --all-groups

.PHONY: menu check test fix docs made

menu: ## this menu
	@grep -hE '^[a-z]+: ##' $(MAKEFILE_LIST) | awk -F ': ## ' '{printf "  make %-8s %s\n", $$1, $$2}'

check: ## style, types, import floors
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) lint-imports
	$(RUN) pyright

test: ## all tests
	$(RUN) pytest

fix: ## format, and mend what the linter can
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

docs: ## build the pages, strictly
	$(RUN) sphinx-build -W --keep-going -q -b html docs build/site

made: ## make anew what is made from code
	$(RUN) python -m grafana.build
	$(RUN) python deploy/kubernetes/prometheus_rule.py
	$(RUN) python -m gateway.configuration.reference > docs/configuration.md
