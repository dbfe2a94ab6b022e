# The front door. Every recipe is one or two calls of `python -m runner`; `make help` is made from the ## lines below.

# The first Python on the path that serves (3.10 to 3.13); name another with PYTHON=...
SERVES := import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python3.10; do \
	if $$python -c '$(SERVES)' 2>/dev/null; then echo $$python; break; fi; done)

VENV ?= .venv
PY = $(VENV)/bin/python
RESULTS ?= results
REQUESTS ?= build/requests

# pip in its one form: hashes checked, nothing resolved, nothing built but what is said to be
PIP_INSTALL = $(PY) -m pip install --quiet --require-hashes --no-deps
# what builds and runs images, as Debian names it
IMAGE_TOOLS = buildah podman runc mmdebstrap skopeo docker-registry faketime apache2-utils iproute2 openssh-client
# torch's version, read from the lock's cpu stack
TORCH = $$(sed -n '/^  cpu:/,/^[a-z]/{/^      torch:/{n;s/^ *version: //p;};}' versions.lock)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup bench bench-dataset bench-gaudi2 bench-gaudi bench-a100 bench-cpu-cluster compare claims render test test-unit test-py38 lint policy fuzz mutation test-stacks test-images test-cluster bench-stacks images images-check perf lock lock-check clean

##@ Measure

bench: $(VENV)/.host $(VENV)/.cpu  ## measure BLOOM here, on 1 and 2 ranks, beside the published table (options: ARGS="--model bloom-560m ...")
	@mkdir -p build
	$(PY) -m runner request $(if $(CASES),$(CASES),cpu-1 cpu-2) $(ARGS) --out $(REQUESTS) > build/requests.txt
	$(PY) -m runner bench --results $(RESULTS) $(if $(MODEL_DIR),--model-dir $(MODEL_DIR)) $$(cat build/requests.txt) > build/results.txt
	$(PY) -m runner compare $$(cat build/results.txt)

DATASET ?= examples/sentences.jsonl
COLUMN ?= text

bench-dataset: $(VENV)/.host $(VENV)/.cpu  ## complete a column of a dataset here (DATASET=file COLUMN=name, options: ARGS=...)
	@mkdir -p build
	$(PY) -m runner request cpu-dataset --dataset-file $(DATASET) --column $(COLUMN) $(ARGS) --out $(REQUESTS) > build/requests.txt
	$(PY) -m runner bench --results $(RESULTS) --dataset-file $(DATASET) $(if $(MODEL_DIR),--model-dir $(MODEL_DIR)) $$(cat build/requests.txt) > build/results.txt
	$(PY) -m runner compare $$(cat build/results.txt)

# One set of manifests: rendered for the cluster (RENDER="--registry ..."), submitted, followed (ARGS="--only ..."), collected,
# compared. What one run of it lost keeps the others from nothing: their results are compared, and then it fails. With --detach and
# --dry-run there is nothing to collect yet: what submit prints is shown.
define bench_on_a_cluster
	@mkdir -p build
	$(PY) -m runner render $(1) $(RENDER) --out build/manifests > build/manifests.txt
	failed=0; $(PY) -m runner submit $$(cat build/manifests.txt) $(ARGS) > build/logs.txt || failed=$$?; \
	if [ -n "$(filter --detach --dry-run,$(ARGS))" ]; then cat build/logs.txt; \
	elif [ -s build/logs.txt ]; then \
		$(PY) -m runner collect $$(cat build/logs.txt) --results $(RESULTS) > build/results.txt || failed=$$?; \
		$(PY) -m runner compare $$(cat build/results.txt) || failed=$$?; \
	fi; exit $$failed
endef

bench-gaudi2: $(VENV)/.host  ## measure the published Gaudi2 cells on the cluster of your kubeconfig
	$(call bench_on_a_cluster,gaudi2)

bench-gaudi: $(VENV)/.host  ## the same for first-generation Gaudi
	$(call bench_on_a_cluster,gaudi)

bench-a100: $(VENV)/.host  ## the same for A100-80GB
	$(call bench_on_a_cluster,a100)

bench-cpu-cluster: $(VENV)/.host  ## walk the same path on any cluster, without an accelerator
	$(call bench_on_a_cluster,cpu)

compare: $(VENV)/.host  ## set all results beside the published table
	$(PY) -m runner compare $(RESULTS)

claims: $(VENV)/.host  ## print the published numbers and what is known for and against them
	$(PY) -m runner claims

render: $(VENV)/.host  ## write the Kubernetes manifests below k8s/ (for a cluster of yours: ARGS="--out FOLDER --registry ...")
	$(PY) -m runner render $(ARGS)

perf: $(VENV)/.host $(VENV)/.cpu  ## measure the runner itself: its overhead, the engines, memory bandwidth (on a GPU: ARGS="--device cuda --model bloomz-7b1 --precision float16 --tokens 100")
	$(PY) -m tests.perf $(ARGS)

##@ Check

test: lint policy test-unit test-py38  ## lint, types, policies of manifests, import contracts, all tests, and those of contract and bench on Python 3.8

IMAGES ?= cpu cuda gaudi

test-images: $(VENV)/.dev  ## build images on stand-in bases and run them, try a registry, prove every lock; needs root (option: IMAGES=cpu)
	@dpkg --status $(IMAGE_TOOLS) > /dev/null 2>&1 || { echo "installing $(IMAGE_TOOLS)"; \
		apt-get -qq update && apt-get -qq install -y --no-install-recommends $(IMAGE_TOOLS); }
	$(PY) -m pytest -m images $(IMAGES:%=tests/images/test_%.py) tests/images/test_registry.py tests/images/test_locks.py

test-unit: $(VENV)/.dev  ## all tests on this Python
	$(PY) -m pytest

test-py38: $(VENV)/.py38  ## the tests of contract and bench that need no torch, on a real Python 3.8
	if [ -f $(VENV)/.py38-skipped ]; then cat $(VENV)/.py38-skipped; else $(VENV)/py38/bin/python -m pytest -m "not torch" tests/contract tests/bench; fi

lint: $(VENV)/.dev  ## ruff, mypy, the import contracts, and hadolint
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports --no-cache
	$(VENV)/bin/hadolint images/*/Dockerfile

policy: $(VENV)/.policy  ## a policy linter over the rendered manifests
	$(PY) -m tests.policy $(VENV)/policy/bin/checkov

SECONDS ?= 60

fuzz: $(VENV)/.dev  ## feed the readers of foreign bytes with new examples for SECONDS (default 60)
	@end=$$(($$(date +%s) + $(SECONDS))); while [ $$(date +%s) -lt $$end ]; do \
		FUZZ_EXAMPLES=1000 $(PY) -m pytest -q --hypothesis-seed=$$(date +%s%N) tests/host/test_fuzz_readers.py || exit 1; done

test-stacks: $(VENV)/.dev  ## build the exact stacks, less the chips (12 GB in all), and test upstream's code and the runner in them
	$(PY) -m tests.stacks
	$(PY) -m pytest -m stacks tests/emulation tests/injection

test-cluster: $(VENV)/.dev  ## the client and the manifests on the real cluster of KUBECONFIG, or on the API server of KUBEBUILDER_ASSETS; else it skips and says so
	$(PY) -m pytest -m cluster -rs tests/cluster

bench-stacks: $(VENV)/.dev  ## run every stack that can run without its chip: versions, what stood in, and whether the tokens are right
	$(PY) -m tests.emulation

mutation: $(VENV)/.mutation  ## change the deciding modules one place at a time; fail if the tests notice less than 85% (options: ARGS=host/verdict)
	nice -n 10 $(VENV)/mutation/bin/python -m tests.mutation $(ARGS)

##@ Pin

images: $(VENV)/.host  ## build the image of every stack (options: STACKS="cpu cuda" PUSH=registry/team ARGS=...)
	$(PY) -m runner image $(STACKS) $(if $(PUSH),--push $(PUSH)) $(ARGS)

images-check: $(VENV)/.host  ## say, offline, which pushed images are no longer of what is here
	$(PY) -m runner image $(STACKS) --check

lock: $(VENV)/.dev  ## resolve versions.lock where the network reaches, and compile all requirements
	$(PY) -m runner lock

lock-check: $(VENV)/.host  ## compare the requirements files with versions.lock, offline
	$(PY) -m runner lock --check

##@ House

setup: $(VENV)/.host $(VENV)/.cpu  ## make the environment that bench needs, and nothing else

clean:  ## remove the environment and what was built; results stay
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache

help:  ## this list
	@awk 'BEGIN {FS = ":.*##"} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*##/ {printf "  %-17s %s\n", $$1, $$2}' Makefile

# --- the environment, one layer after the other; a layer is made again when its lock changes ---

$(VENV)/.build: requirements/build.txt
	@if [ -z "$(PYTHON)" ]; then echo "make: no Python 3.10 to 3.13 was found. Install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 2; fi
	@echo "making the environment in $(VENV) with $$($(PYTHON) --version)"
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) --only-binary :all: -r requirements/build.txt
	@touch $@

$(VENV)/.host: requirements/host.txt $(VENV)/.build
	$(PIP_INSTALL) --only-binary :all: -r requirements/host.txt
	@touch $@

# torch comes by version alone, without a hash: every index carries its own build of it. On Linux the usual one brings CUDA
# libraries of 3 GB; an index of CPU builds, named in PIP_EXTRA_INDEX_URL, avoids them. DeepSpeed is the one source
# distribution; it is built by the locked setuptools, without compiling any kernel.
$(VENV)/.cpu: images/cpu/requirements-cpu.txt versions.lock $(VENV)/.build
	@echo "installing torch, transformers and DeepSpeed: one to a few minutes"
	$(PY) -m pip install --quiet torch==$(TORCH)
	DS_BUILD_OPS=0 $(PIP_INSTALL) --only-binary :all: --no-binary deepspeed --no-build-isolation -r images/cpu/requirements-cpu.txt
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.host $(VENV)/.cpu
	$(PIP_INSTALL) --only-binary :all: -r requirements/dev.txt
	@touch $@

# An environment over the other: its own packages come first, the other's are seen through a .pth.
$(VENV)/.mutation: requirements/mutation.txt $(VENV)/.dev
	$(PY) -m venv --clear --without-pip $(VENV)/mutation
	PIP_PYTHON=$(VENV)/mutation/bin/python $(PIP_INSTALL) --only-binary :all: -r requirements/mutation.txt
	site='import sysconfig; print(sysconfig.get_path("purelib"))'; \
		$(PY) -c "$$site" > "$$($(VENV)/mutation/bin/python -c "$$site")/below.pth"
	@touch $@

# The linter pins half the index: an environment of its own.
$(VENV)/.policy: requirements/policy.txt $(VENV)/.dev
	$(PY) -m venv --clear --without-pip $(VENV)/policy
	PIP_PYTHON=$(VENV)/policy/bin/python $(PIP_INSTALL) --only-binary :all: -r requirements/policy.txt
	@touch $@

# A real Python 3.8: on the path, or among pyenv's. Without one its tests are skipped and said to be; in CI they are not.
$(VENV)/.py38: requirements/py38.txt $(VENV)/.build
	@rm -f $(VENV)/.py38-skipped
	@python=$$(for p in "$(PYTHON38)" python3.8 "$$HOME"/.pyenv/versions/3.8.*/bin/python "$$PYENV_ROOT"/versions/3.8.*/bin/python; do \
		if [ -n "$$p" ] && "$$p" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 8))' 2>/dev/null; then echo "$$p"; break; fi; done); \
	if [ -n "$$python" ]; then \
		"$$python" -m venv $(VENV)/py38 && $(VENV)/py38/bin/python -m pip install --quiet --require-hashes --no-deps --only-binary :all: -r requirements/py38.txt; \
	elif [ -n "$$CI" ]; then echo "make: no Python 3.8 was found; CI needs one. Install it, or name it: make PYTHON38=/path/to/python3.8" >&2; exit 2; \
	else echo "SKIPPED: the tests on Python 3.8, which was not found. Install it (pyenv install 3.8), or name it: make PYTHON38=..." > $(VENV)/.py38-skipped; fi
	@touch $@
