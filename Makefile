# What one does here. `make study` and `make test` do all the set-up on a machine with Python ≥ 3.11.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= study
FIGURES ?= figures
SITE ?= site

FRAMEWORKS := $(addprefix tests/test_,torch.py torch_distributed.py jax.py interop.py native.py matrix.py migration.py unet.py \
  sampling.py import.py docs.py gallery.py gpu.py training.py figure_batches.py figure_end_to_end.py)

.PHONY: study figures test frameworks verify lint bench docs proofs clean

study: $(VENV)/.study
	$(BIN)/lovasz-opt study --out $(OUT)

# The figures of the paper on one page, $(FIGURES)/report.html; with LOVASZ_OPT_DATA on the real data sets.
figures: $(VENV)/.study
	$(BIN)/lovasz-opt figures --out $(FIGURES)
	$(BIN)/lovasz-opt report --out $(FIGURES)

test: $(VENV)/.test
	$(BIN)/python -m pytest -n auto --dist loadfile

verify: $(VENV)/.study
	$(BIN)/lovasz-opt verify

lint: $(VENV)/.dev
	$(BIN)/ruff check lovasz_opt tests benchmarks proofs docs .ci
	$(BIN)/ruff format --check lovasz_opt tests benchmarks proofs docs .ci
	$(BIN)/mypy

# Peers that are not in this environment (benchmarks/README.md) are named in the table.
bench: $(VENV)/.test
	$(BIN)/python benchmarks/peers.py

# The same package with PyTorch and JAX, in an environment of its own: they are large, and the core needs neither.
frameworks: $(VENV)-frameworks/.ready
	$(VENV)-frameworks/bin/python -m pytest -n auto --dist loadfile $(FRAMEWORKS)

# The documentation site, site/index.html, with PyTorch and JAX for their part of the gallery.
docs: $(VENV)-frameworks/.ready
	$(VENV)-frameworks/bin/sphinx-build -q -W --keep-going -b html -c docs . $(SITE)
	$(VENV)-frameworks/bin/python docs/check_links.py $(SITE)

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

# One stamp per set of optional dependencies; a change of pyproject.toml installs again.
$(VENV)/.study $(VENV)/.test $(VENV)/.dev: $(VENV)/.%: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable ".[$*]"
	touch $@

$(VENV)-frameworks/.ready: pyproject.toml tests/frameworks.txt
	$(PYTHON) -m venv $(VENV)-frameworks
	$(VENV)-frameworks/bin/python -m pip install --quiet -r tests/frameworks.txt
	$(VENV)-frameworks/bin/python -m pip install --quiet --no-deps -r tests/peers.txt
	$(VENV)-frameworks/bin/python -m pip install --quiet --editable ".[test,docs,torch,jax,array-api]"
	touch $@

# Everything that a machine can check of the proofs; installs Coq where it may.
proofs:
	bash proofs/check.sh

clean:
	rm -rf $(VENV) $(VENV)-frameworks $(VENV)-minimum $(OUT) $(FIGURES) $(SITE) docs/api/generated docs/auto_gallery build dist
	find . -name __pycache__ -prune -exec rm -rf {} +
