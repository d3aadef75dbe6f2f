# Every target makes the environment it needs first (.venv, from requirements.lock) and reuses it afterwards.
SHELL := /bin/sh
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# No tool of this project reports home.
export DVC_NO_ANALYTICS = 1
export DO_NOT_TRACK = true
export PREFECT_SERVER_ANALYTICS_ENABLED = false
export MLFLOW_DISABLE_TELEMETRY = true
export BENTOML_DO_NOT_TRACK = True
export GX_ANALYTICS_ENABLED = false
export HF_HUB_DISABLE_TELEMETRY = 1
# Prefect and its flows talk to a server on this machine only; `make server` starts it.
export PREFECT_HOME ?= $(CURDIR)/.prefect
POOL ?= cpu
FILES ?= $(sort $(shell find tests -name 'test_*.py'))

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-alone lint repro ready server deploy worker mlflow serve benchmarks leaderboard pipeline lock clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup:  ## make .venv from requirements.lock (every other target does this by itself)
	@tools/setup

demo: ready  ## the whole pipeline on the embedded data: train, distil, merge, evaluate, package (minutes on 2 CPU cores)
	@dvc repro
	@tools/show-results

# Three processes on two cores: tests of servers and of processes that end wait a good part of their time. A process that
# crashes ends the run: xdist would run the test that crashed it again and again.
test: setup  ## all tests, in random order: no GPU and no network needed
	@pytest -n 3 --dist loadfile --no-loadscope-reorder --max-worker-restart 0 --durations 25 $(ARGS)

test-alone: setup  ## every file of tests in a process of its own (a long time; FILES="..." for some); not part of CI
	@failed=; for file in $(FILES); do pytest $(ARGS) $$file || failed="$$failed $$file"; done; \
		[ -z "$$failed" ] || { echo "failed alone:$$failed"; exit 1; }

lint: setup  ## ruff, formatting included; mypy, strict
	@ruff check . && ruff format --check . && tools/check-types

# DVC works in a copy without git, such as an unpacked archive, once it is told so.
ready: setup
	@git rev-parse --git-dir >/dev/null 2>&1 || dvc config --local core.no_scm true

repro: ready  ## dvc repro: run what changed
	@dvc repro $(ARGS)

server: setup  ## a Prefect server on 127.0.0.1:4200
	@prefect server start --host 127.0.0.1

deploy: setup  ## make the work pools and register the deployments of prefect.yaml (needs `make server`)
	@tools/deploy

worker: setup  ## a Prefect worker for POOL=cpu, or POOL=gpu, which runs one flow at a time
	@LIMELIGHT_HOME=$(CURDIR) PREFECT_API_URL=$${PREFECT_API_URL:-http://127.0.0.1:4200/api} \
		env --default-signal=INT prefect worker start --pool $(POOL) --type process \
		$(if $(filter gpu,$(POOL)),--limit 1)

mlflow: setup  ## MLflow's pages on 127.0.0.1:5000
	@python -m limelight.tracking
	@MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false mlflow server --backend-store-uri sqlite:///mlflow.db --workers 1 --host 127.0.0.1

serve: setup  ## serve the packaged champion on 127.0.0.1:3000
	@limelight serve

# These train, or need a GPU, another program or finished evaluations.
NOT_BY_DEFAULT := peers sampling full_size foreground options paired

benchmarks: setup  ## every benchmark with its defaults, on this machine (but those that train, or need a GPU, another program or reports)
	@for file in $(filter-out $(NOT_BY_DEFAULT:%=benchmarks/%.py),$(wildcard benchmarks/[a-z]*.py)); do \
		echo "== $$file"; python -m benchmarks.$$(basename $$file .py) || exit 1; done

leaderboard: setup  ## compare models on sets of real photos: ARGS="--data NAME=FOLDER ..." (tools/leaderboard --help)
	@tools/leaderboard $(ARGS)

pipeline: setup  ## write dvc.yaml anew, after a stage's imports changed
	@python tools/pipeline

lock: setup  ## compile requirements.lock anew from pyproject.toml
	@uv pip compile pyproject.toml --extra all --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-annotate --no-header --quiet --output-file requirements.lock

clean:  ## remove what the pipeline made and what is in artifacts/, keep the environment and the data
	@rm -rf artifacts reports work mlflow.db mlartifacts data/datasets data/lists data/index.json
