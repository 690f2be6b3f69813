# Every target sets up what it needs. PYTHON chooses the interpreter of .venv (3.11 or newer).
PYTHON ?= $(shell for v in 3.11 3.12 3.13 3; do python$$v -c "" 2>/dev/null && echo python$$v && break; done)
BIN := .venv/bin
.DEFAULT_GOAL := help
.PHONY: help demo test check format lint types gencheck pythons foreign torture check-vm powercut bench gentestcert proto clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: gentestcert ## run a job over mutual TLS, watch it, stop another
	@$(BIN)/python examples/demo.py

test: .venv/ready ## the whole test suite
	$(BIN)/pytest

check: format lint types gencheck test pythons ## all that CI checks

format: .venv/ready
	$(BIN)/ruff format --check .

lint: .venv/ready
	$(BIN)/ruff check .

types: .venv/ready
	$(BIN)/mypy

gencheck: .venv/ready ## is gen/ what proto/ says?
	@rm -rf .gencheck && mkdir .gencheck
	@$(BIN)/python -m grpc_tools.protoc -I proto --plugin=$(BIN)/protoc-gen-python_betterproto \
		--python_betterproto_out=.gencheck proto/workerservice.proto 2>/dev/null
	@diff -r --exclude=__pycache__ .gencheck gen || { echo "gen/ is not up to date: run make proto"; exit 1; }
	@rm -rf .gencheck

pythons: .venv/ready ## a marked subset of the tests on each newer Python that is found
	@.ci/pythons

foreign: .venv/ready ## clients in Go, Node and Python: install what they need, test with them
	@.ci/foreign
	$(BIN)/pytest tests/e2e/test_every_language.py

torture: .venv/ready ## 1,000 times kill -9 of the server under load (KILLS=N: fewer)
	$(BIN)/python -m tests.torture --kills $(or $(KILLS),1000)

check-vm: ## limits under a real systemd with all cgroup controllers, in a virtual machine (Debian, root)
	@.ci/vm

powercut: ## what jobs are after a power cut, in a virtual machine (Debian, root)
	@.ci/vm powercut

bench: .venv/ready ## ratios against a peer, measured in the same run
	$(BIN)/python -m tests.bench

gentestcert: .venv/ready ## certs/test: an authority, a server and clients of each role
	@$(BIN)/workercerts test certs/test

proto: .venv/ready ## generate gen/ from proto/
	rm -rf gen && mkdir gen
	$(BIN)/python -m grpc_tools.protoc -I proto --plugin=$(BIN)/protoc-gen-python_betterproto \
		--python_betterproto_out=gen proto/workerservice.proto

clean: ## remove all that the other targets made
	rm -rf .venv .gencheck .pytest_cache .mypy_cache .ruff_cache build dist *.egg-info certs/test tests/e2e/node/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
