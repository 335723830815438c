# Two commands: `make` sets up this machine and builds the default image; `make test` runs the tests.
# What happens in set-up: thanos_tui/bootstrap.py.

PROFILE ?= profiles/thanos.thanos
FORMAT ?= vhd
OUTPUT ?= out
PYTHON ?= python3
TESTS ?= tests

thanos := .venv/bin/thanos-tui
# Two at a time: most tests wait for something. Those of a file stay together, as they share what they boot.
pytest := .venv/bin/python -m pytest --numprocesses 2 --dist loadgroup

.DEFAULT_GOAL := build

.PHONY: build run setup setup-testing test test-all lint bench bench-tui demo-firefox clean help

build: setup ## set up, then build PROFILE as FORMAT into OUTPUT
	@$(thanos) --replay $(PROFILE) --format $(FORMAT) --output $(OUTPUT) --generate-key

run: setup ## build PROFILE as FORMAT, boot it and open a console
	@$(thanos) --replay $(PROFILE) --format $(FORMAT) --output $(OUTPUT) --generate-key --run

setup: ## what a build needs: system packages and a virtual environment
	@$(PYTHON) thanos_tui/bootstrap.py

setup-testing: ## what the tests need besides
	@$(PYTHON) thanos_tui/bootstrap.py --testing

lint: setup-testing ## style, types and the layers
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy && .venv/bin/lint-imports

test: lint ## the tests, boots included
	@$(pytest) -m "not long" $(TESTS)

test-all: lint ## the long ones too
	@$(pytest) $(TESTS)

bench: setup-testing ## measure, side by side with upstream linuxkit where it is installed
	@.venv/bin/python benchmarks/road.py && .venv/bin/python benchmarks/linuxkit.py && .venv/bin/python benchmarks/disks.py

bench-tui: setup-testing ## measure the app, side by side with two other menuconfigs
	@.venv/bin/python benchmarks/tui.py

demo-firefox: setup-testing ## boot a kiosk with Firefox, look at its screen and listen to it
	@.venv/bin/python docs/firefox.py

clean: ## remove outputs and the virtual environment; the cache in ~/.cache/thanos-tui stays
	@rm -rf $(OUTPUT) .venv build dist *.egg-info

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16
