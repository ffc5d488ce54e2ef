# Two commands do everything: `make demo` shows the whole life of a server, `make test` proves it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test again laws lab-test wires-test machines-test lab-test-full lint bench clean

demo: $(VENV)/ready
	$(BIN)/python -m metal.lab.demo

test: $(VENV)/ready lint
	$(BIN)/pytest -n 2

# What failed the last time, once more and alone; that nothing is known to have failed is an error.
again: $(VENV)/ready
	$(BIN)/pytest -m '' --last-failed --last-failed-no-failures none

# Every law on other cases than `make test` has: now and then, by hand. What is broken is printed.
laws: $(VENV)/ready
	$(BIN)/pytest -n 2 -m hypothesis --hypothesis-profile others

# As root, with the packages that .ci/run names; one test after the other where nothing else is said: they
# measure, and two labs on two cores measure each other. First three servers with libvirt and Ceph, moved, lost and healed.
LAB_MINUTES ?= 50
LAB = timeout --foreground $(LAB_MINUTES)m $(BIN)/pytest -m lab --durations=10
lab-test: $(VENV)/ready
	$(LAB) tests/trio tests/hypervisor tests/heal

# Networks of namespaces: two sites' gateways, and a boot network with real firmware on it.
wires-test: $(VENV)/ready
	$(LAB) tests/packets tests/boot_network

# Whole machines under QEMU, from their firmware to a log-in. Each takes one core and waits for itself.
machines-test: $(VENV)/ready
	$(LAB) -n 2 --dist worksteal tests/machines tests/live

lab-test-full: $(VENV)/ready
	$(BIN)/pytest -m 'lab or lab_full' --durations=20

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(VENV)/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "metal needs Python 3.11 or newer; set PYTHON=…" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || \
		{ echo "No venv module: install it with 'apt install python3-venv' and try again." >&2; exit 2; }
	@echo 'fetching Python packages: a few minutes without a word'
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@# The libvirt driver's tests want libvirt-python, which is compiled: only where it can be.
	@! pkg-config --exists libvirt 2>/dev/null || \
		$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[libvirt]' || \
		echo "libvirt-python could not be built: its tests are skipped" >&2
	@touch $@

bench: $(VENV)/ready
	$(BIN)/python -m metal.lab.bench

clean:
	rm -rf $(VENV) .demo .lab
