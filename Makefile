# Everything runs in .venv, made with python3 alone; versions are those of constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
LOWEST := .venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-lowest.txt

.PHONY: demo test test-lowest debug bench slow clean

demo: .venv/demo
	$(BIN)/python -m adaptfilt demo --out demo.png

test: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto

# What every filter keeps to, with the lowest versions that are allowed.
test-lowest: .venv-lowest/test
	OMP_NUM_THREADS=1 .venv-lowest/bin/pytest -n auto tests/test_contract.py tests/test_native.py

# The same in code that checks its bounds; without LLVM's optimiser it compiles in two thirds of the time.
debug: .venv/test
	ADAPTFILT_DEBUG=1 NUMBA_OPT=0 OMP_NUM_THREADS=1 $(BIN)/pytest -n auto tests/test_contract.py

slow: .venv/test
	$(BIN)/pytest -m "slow or not slow"

bench: .venv/test
	$(PIP) -r benchmarks/requirements.txt
	$(PIP) --no-deps --target build/adaptfilt-0.3 --upgrade adaptfilt==0.3
	$(BIN)/python -m benchmarks.cpu --out docs/benchmarks.md --plot docs/pictures/benchmarks.png --long

.venv/demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) torch
	$(PIP) --editable .[audio]
	touch $@

.venv/test: .venv/demo
	$(PIP) --editable .[dev]
	touch $@

.venv-lowest/test: pyproject.toml constraints-lowest.txt
	$(PYTHON) -m venv .venv-lowest
	$(LOWEST) torch
	$(LOWEST) --editable .[audio] pytest pytest-xdist hypothesis
	touch $@

clean:
	rm -rf .venv .venv-lowest build *.egg-info
