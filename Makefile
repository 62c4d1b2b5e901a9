# Everything from a fresh clone, with nothing but python3 and make:
#
#   make bench      `pluralbench maze --preset quick`, written to results/quick (four to six minutes on two cores)
#   make test       the fast tests (about five minutes on two cores); make test-all runs the slow ones too
#   make test-faults    killed processes, full disks, hostile files: slow tests, about five minutes
#   make test-habitat PYTHON=python   the household on habitat-sim, where that python has it (docs/habitat-sim.md)
#   make check      formatting, lint and types
#   make docs       the documentation as a site in site/, and every command and code block in it (about six minutes)
#   make package    wheel and sdist in dist/, tried in an empty environment (about two minutes; package-extras: every extra too)
#   make clean      removes the virtual environment and what the tools left behind; never results/
#
# Another interpreter:                make PYTHON=python3.11 bench
# PyTorch without CUDA (Linux):       make PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu" bench

PYTHON ?= python3
PIP_FLAGS ?=
JOBS ?= 2

FAULTS := tests/benchmarks/test_kills.py tests/benchmarks/test_launch.py tests/test_hostile_sizes.py tests/test_fuzz.py tests/iql/test_iql_checkpoints.py

VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(PIP_FLAGS)

.PHONY: help bench test test-all test-faults test-habitat check docs site test-docs package package-extras format clean

help:
	@sed -n '3,14s/^# \{0,1\}//p' Makefile

bench: $(VENV)/installed
	$(BIN)/python -m benchmarks maze --preset quick --launcher local --out results

# One thread per process: two processes with two threads each on two cores would only get in each other's way.
test: $(VENV)/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n $(JOBS) --dist loadfile

test-all: $(VENV)/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile

test-faults: $(VENV)/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow -n $(JOBS) $(FAULTS)

# habitat-sim comes by conda: in that environment, not in .venv
test-habitat:
	$(PYTHON) -c "import pluralbench.envs.household.habitat_simulator as h; print(h.import_habitat()[0].__version__)"
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest -rs tests/envs/test_household_simulators.py tests/envs/test_habitat_simulator.py \
	  tests/envs/test_household_environments.py \
	  tests/envs/test_habitat_lab.py tests/benchmarks/test_simulator_choice.py
	$(PYTHON) -m benchmarks habitat-rearrange --preset smoke --simulator habitat --out results
	$(PYTHON) -m benchmarks habitat-tidy --preset smoke --simulator habitat --out results

check: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: site test-docs

# Warnings are errors. To read it with its search: python3 -m http.server --directory site
site: $(VENV)/installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

# Every page done as a reader would do it, in an empty folder; make test runs the quick ones.
test-docs: $(VENV)/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow -n $(JOBS) tests/test_docs.py

# As the Dockerfile installs: with TORCH_INDEX=https://download.pytorch.org/whl/cpu without CUDA.
package: $(VENV)/installed-dev
	$(BIN)/python tests/check_package.py --python $(PYTHON)

package-extras: $(VENV)/installed-dev
	$(BIN)/python tests/check_package.py --python $(PYTHON) --extras

format: $(VENV)/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The stamps say that the installation in .venv is the one of these two files.
$(VENV)/installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing PluralBench and its dependencies into $(VENV) (some minutes the first time)"
	$(INSTALL) -e .
	@touch $@

$(VENV)/installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing PluralBench and the development tools into $(VENV) (some minutes the first time)"
	$(INSTALL) -e ".[dev]"
	@touch $@ $(VENV)/installed

$(VENV)/installed-docs: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing the tools that make the site into $(VENV)"
	$(INSTALL) -e ".[docs]"
	@touch $@ $(VENV)/installed

# PyBullet comes ready built for Python 3.10 and 3.11 only; newer ones compile it.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "PluralBench needs Python 3.10 or newer: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info >= (3, 12))' || command -v c++ >/dev/null || \
	  { echo "PyBullet has no ready build for this Python and there is no C++ compiler to make one:" \
	    "install g++, or use Python 3.11: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "python3 cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

clean:
	rm -rf $(VENV) build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
