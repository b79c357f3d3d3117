# Every target makes the environment that it needs: git, make and a Python 3.10 to 3.13 with venv
# are enough to begin with. PYTHON chooses the interpreter.

PYTHON ?= python3
PREFIX ?= /opt/multa
DESTDIR ?=
UNITDIR ?= /usr/lib/systemd/system
SYSUSERSDIR ?= /usr/lib/sysusers.d
TMPFILESDIR ?= /usr/lib/tmpfiles.d
SYSCONFDIR ?= /etc
BINDIR ?= /usr/local/bin
MANDIR ?= /usr/local/share/man
DATADIR ?= /usr/share
# Of pyproject.toml, with commas between them: what some functions of an installation need.
EXTRAS ?=
export EXTRAS PYTHON PREFIX DESTDIR UNITDIR SYSUSERSDIR TMPFILESDIR SYSCONFDIR BINDIR MANDIR DATADIR

DEMO_CAPTURE := tests/captures/demo.pcap
DEMO_MODELS := models/iot-gateway
RECIPE ?= iot-gateway

PIP := -m pip install -qq --disable-pip-version-check --no-input

# tflite-runtime 2.14, the last release, has wheels up to Python 3.11.
OLD_ENOUGH := import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 11))
RUNTIME_PYTHON = $(firstword $(foreach python,$(PYTHON) python3.11 python3.10,\
	$(if $(shell $(python) -c '$(OLD_ENOUGH)' 2>/dev/null && echo yes),$(python))))

.DEFAULT_GOAL := help
.PHONY: help demo test check other-runtime test-packages model verify bench install uninstall deb clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: .venv/.complete ## Replay a shipped capture with the shipped model (no TensorFlow)
	@mkdir -p out
	.venv/bin/multa-sensor replay $(DEMO_CAPTURE) --models $(DEMO_MODELS) --summary -o out/demo-alerts.json
	@echo "The alerts, one JSON object a line: out/demo-alerts.json"

test: test-packages .venv-test/.complete other-runtime check ## Lint, types, and all tests with coverage
	.venv-test/bin/python -m pytest --quiet --numprocesses auto --dist loadfile \
		--cov --cov-report=term:skip-covered

check: .venv-test/.complete
	.venv-test/bin/ruff format --check .
	.venv-test/bin/ruff check .
	.venv-test/bin/mypy

test-packages:
	@tests/install-debian-packages.sh

# A second environment, in which a test lets the bundles answer on the older runtime.
other-runtime:
ifeq ($(RUNTIME_PYTHON),)
	@echo "Not tested with tflite-runtime: it needs python3.11 or python3.10, and neither is here"
else
	@$(MAKE) --no-print-directory .venv-tflite-runtime/.complete || { \
		rm -rf .venv-tflite-runtime; \
		echo "Not tested with tflite-runtime: it can't be installed here"; }
endif

model: ## Record in the lab (as root), train, and export models/iot-gateway (or RECIPE=...); hours
	@$(MAKE) --no-print-directory .venv-test/.complete
	.venv-test/bin/multa-trainer recipe $(RECIPE) --out models/$(RECIPE)

verify: ## Run the long proofs of TARGET=..., dated output in docs/results/
	@test -f "verify/$(TARGET)" || { \
		echo "usage: make verify TARGET=...; there are:" $$(ls verify) >&2; exit 64; }
	@$(MAKE) --no-print-directory .venv-test/.complete
	PATH="$(CURDIR)/.venv-test/bin:$$PATH" verify/$(TARGET)

bench: ## Measure beside other tools, which are installed under out/; OPTIONS="--resume", "--help"
	@$(MAKE) --no-print-directory .venv-test/.complete
	.venv-test/bin/python -m bench --page docs/results/bench.md $(OPTIONS)

.venv/.complete: pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/python $(PIP) --editable .
	@touch $@

.venv-test/.complete: pyproject.toml
	$(PYTHON) -m venv .venv-test
	.venv-test/bin/python $(PIP) --editable '.[test]'
	@touch $@

# What the sensor imports, with the older runtime, then itself without its default one.
.venv-tflite-runtime/.complete: pyproject.toml
	$(RUNTIME_PYTHON) -m venv .venv-tflite-runtime
	.venv-tflite-runtime/bin/python $(PIP) tflite-runtime==2.14.0 'numpy<2' dpkt click
	.venv-tflite-runtime/bin/python $(PIP) --no-deps --editable .
	@touch $@

# Snorkel, to compare with. PyTorch comes first, without CUDA where such a build is to be had: the
# usual one is gigabytes more.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
.venv-snorkel/.complete: pyproject.toml
	$(PYTHON) -m venv .venv-snorkel
	.venv-snorkel/bin/python $(PIP) --index-url $(TORCH_INDEX) torch || \
		.venv-snorkel/bin/python $(PIP) torch
	.venv-snorkel/bin/python $(PIP) --editable '.[snorkel]'
	@touch $@

install: ## Install the sensor with its systemd units, as root (PREFIX, DESTDIR, EXTRAS=signatures)
	@systemd/install.sh

uninstall: ## Remove what install made, less configuration, logs and users
	@systemd/uninstall.sh

deb: ## Build a Debian package of the same, with Debian's own Python: out/multa_*.deb
	@packaging/deb.sh

clean: ## Remove environments, caches and build output
	rm -rf .venv .venv-test .venv-tflite-runtime .venv-snorkel build dist out *.egg-info .coverage
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
