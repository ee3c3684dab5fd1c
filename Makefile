# Everything runs in .venv, made with python3 alone; versions are those of constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
LOWEST := .venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-lowest.txt

.PHONY: demo test test-lowest debug bench slow fuzz mutate docs dist clean

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

# The same in code that checks its bounds; without LLVM's optimiser it compiles in two thirds of the time. It is kept in
# no cache but in memory, so that every family of filters gets processes of its own.
FAMILIES := gradient least_squares equalisers robust recursive frequency kernel noise_control set_membership
debug: .venv/test
	set -e; for family in $(FAMILIES); do echo $$family; \
	ADAPTFILT_DEBUG=1 NUMBA_OPT=0 OMP_NUM_THREADS=1 $(BIN)/pytest -n auto tests/test_contract.py \
	--family $$family; done

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

# Offline, and without a warning; needs no recording.
docs: .venv/docs
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -W --keep-going -b html docs build/site
	@echo "site: build/site/index.html"

# A wheel and an sdist; the wheel is tried alone, away from the repository.
dist: .venv/dist
	rm -rf dist build/lib build/dist
	$(BIN)/python -m build --no-isolation --outdir dist .
	$(BIN)/python -m twine check --strict dist/*
	$(PYTHON) -m venv build/dist/venv
	build/dist/venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt dist/*.whl
	cp tests/installed.py build/dist/ && cd build/dist && venv/bin/python -P installed.py

.venv/demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) torch
	$(PIP) --editable .[audio]
	touch $@

# The peers are compared with where they can be installed.
.venv/test: .venv/demo
	$(PIP) --editable .[dev]
	-$(PIP) --timeout 20 --retries 1 --editable .[peers]
	touch $@

.venv/docs: .venv/demo
	$(PIP) --editable .[docs]
	touch $@

.venv/dist: .venv/test
	$(PIP) --editable .[dist]
	touch $@

.venv-lowest/test: pyproject.toml constraints-lowest.txt
	$(PYTHON) -m venv .venv-lowest
	$(LOWEST) torch
	$(LOWEST) --editable .[audio] pytest pytest-xdist hypothesis
	touch $@

clean:
	rm -rf .venv .venv-lowest build dist docs/gallery docs/sg_execution_times.rst *.egg-info
