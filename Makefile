# Everything runs in .venv, made with python3 alone; versions are those of constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test bench slow fuzz mutate clean

demo: .venv/demo
	$(BIN)/python -m adaptfilt demo --out demo.png

test: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto

slow: .venv/test
	$(BIN)/pytest -m "slow or not slow"

fuzz: .venv/test
	OMP_NUM_THREADS=1 $(BIN)/python tests/fuzzer.py $(or $(SEQUENCES),100000) $(if $(SEED),--seed $(SEED))

mutate: .venv/test
	$(BIN)/python tests/mutate.py $(or $(MUTANTS),60) $(if $(SEED),--seed $(SEED))

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

clean:
	rm -rf .venv build *.egg-info
