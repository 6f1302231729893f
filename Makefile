.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
UV := .tools/bin/uv
# Generated code must load on the oldest protobuf runtime we support, so the generator is old on purpose, and isolated.
PROTOC := $(UV) tool run --from grpcio-tools==1.76.0 --with 'setuptools<80' python -m grpc_tools.protoc
# What decides or translates: every branch of it is tested. What of it does I/O is not.
PURE := */antiphon_contract/*,*/antiphon_router/core/*,*/antiphon_wires/*,*/codec/*,*/codec.py,*/key_versions.py,*/vault_documents.py,*/antiphon_keys/rotation.py,*/antiphon_keys/orders.py,*/antiphon_keys/document.py,*/antiphon_keys/observed.py
IMPURE := */adapter.py,*/vendor.py,*/service.py,*/native.py,*/http_tunnel.py
MEMBERS := $(patsubst %/pyproject.toml,%,$(wildcard protos/pyproject.toml protos/*/pyproject.toml services/*/pyproject.toml \
  services/providers/*/pyproject.toml router/pyproject.toml clients/*/pyproject.toml deploy/*/pyproject.toml tests/*/pyproject.toml))

help: ## Show the targets
	@grep -hE '^[a-z -]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: .venv/.installed ## Make .venv with every program and tool, from requirements.lock

.venv/.installed: requirements.lock pyproject.toml $(MEMBERS:%=%/pyproject.toml)
	@echo "installing the locked environment into .venv (once)"
	@test -x $(UV) || { $(PYTHON) -m venv .tools && .tools/bin/pip install -q uv==0.13.9; }
	@test -x $(BIN)/python || $(UV) venv -q --python $(PYTHON) .venv
	@$(UV) pip sync -q --python $(BIN)/python --require-hashes requirements.lock
	@$(UV) pip install -q --python $(BIN)/python --no-deps $(MEMBERS:%=-e ./%)
	@touch $@

.PHONY: help install protos lock check test demo up parity mutations fuzz bench bench-peers languages sim faults saboteurs soak
demo: install ## Run the suite with a real model: stream an answer, kill a replica, rotate a key under calls
	@$(BIN)/python -m antiphon_embedded demo

up: install ## Run the whole suite in the foreground; Ctrl-C drains it
	@$(BIN)/python -m antiphon_embedded up

test: check ## Run every test; no network, no key
	$(BIN)/pytest -n 3 --dist loadfile --cov --cov-report= --ignore tests/integration
	$(BIN)/pytest --cov --cov-append --cov-report= tests/integration
	@$(BIN)/coverage report --fail-under=90
	@$(BIN)/coverage report --fail-under=100 --include='$(PURE)' --omit='$(IMPURE)'

check: install ## Style, types, drift of the generated code
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/mypy $(foreach member,$(filter-out protos,$(MEMBERS)),-p $(notdir $(wildcard $(member)/src/antiphon_*)))

protos: install ## Regenerate protos/gen from protos/**/*.proto
	@rm -rf protos/gen/python && mkdir -p protos/gen/python
	cd protos && ../$(PROTOC) -I. --python_out=gen/python --pyi_out=gen/python --grpc_python_out=gen/python $$(find antiphon -name '*.proto' | sort)
	@find protos/gen/python/antiphon -type d -exec touch {}/__init__.py \; && touch protos/gen/python/antiphon/py.typed

drift: protos ## Fail if the committed generated code is not what the protos give
	git diff --exit-code protos/gen

languages: install ## Generate and compile the contract for Go, TypeScript, Java and Rust
	@tests/languages/compile

parity: install ## Parity suite for every provider, into docs/results/parity.json and docs/parity.md
	$(BIN)/python tests/parity
mutations: install ## Slips in a copy of the codecs, judged by their unit tests, into docs/results/mutations.json
	$(BIN)/python tests/mutations
fuzz: install ## 100,000 damaged answers per codec, into docs/results/fuzz.json
	FUZZ=$${FUZZ:-100000} $(BIN)/python tests/parity fuzz
sim: install ## The router's core under virtual time, into docs/results/sim.json (SEEDS=100000)
	$(BIN)/python tests/simulation --seeds $(or $(SEEDS),2000) --write
bench: install ## Cost ratios measured in one run, into docs/results/bench.json
	$(BIN)/python -m antiphon_bench
bench-peers: install ## The same work through other gateways, into docs/results/peers.json
	$(BIN)/python -m antiphon_bench peers
faults saboteurs soak: install ## Real processes and faults on purpose, into docs/results (ONLY=G01,G03, MINUTES=30)
	$(BIN)/python -m antiphon_harness $@ $(if $(ONLY),--only $(ONLY)) $(if $(MINUTES),--minutes $(MINUTES))
lock: install ## Resolve dependencies anew into requirements.lock (hashes, no index names)
	$(UV) lock --upgrade
	$(UV) export -q --frozen --all-packages --all-extras --no-emit-workspace --no-header --no-annotate > requirements.lock
