# Each target is one real command; `demo` and `test` need nothing but git, Python 3.11+, make and a C++ compiler.
.PHONY: demo test check bench ready
.NOTPARALLEL:
PYTHON ?= python3
BIN := .venv/bin

ready:
	@$(PYTHON) .ci/setup.py

demo: ready
	@$(BIN)/agent demo

test: ready
	@$(BIN)/agent models pull qwen2.5-coder-0.5b
	@$(BIN)/agent models pull qwen2.5-coder-1.5b
	@$(BIN)/python .ci/test.py

check: ready
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports
	@$(BIN)/pyright

bench: ready
	@$(BIN)/python -m bench
