"""The image of SynapseAI 1.10 on a stand-in of the vendor's: what the base brings stays its own, the fork is built from its commit.

The device is emulated; no time is looked at. The fork comes from a local copy that BLOOMZ_BENCH_DEEPSPEED_GIT names, where GitHub
cannot be reached.
"""

import os

import pytest

from runner.contract import strictjson
from runner.contract.errors import Unreachable, Unsupported
from runner.host import buildah, image, lockfile, paths
from tests.emulation import runs
from tests.images import bases
from tests.images.containers import Container
from tests.stacks import build

STACK = "gaudi-1.10"
COPY = "BLOOMZ_BENCH_DEEPSPEED_GIT"


@pytest.fixture(scope="module")
def made(runtime):
    """Build the image; the fork's source is in lock's own place, or in the copy that was named."""
    lock = lockfile.read()
    named = os.environ.get(COPY)
    checkouts = {lock.stacks[STACK].packages["deepspeed"].source: named} if named else {}
    try:
        return image.build(lock, STACK, bases.make(STACK), checkouts=checkouts)
    except Unreachable as problem:
        if named:
            raise
        pytest.skip(f"{problem}. Name a copy of the vendor's DeepSpeed in {COPY}.")


@pytest.fixture(scope="module")
def container(made, tmp_path_factory):
    return Container(made.image, tmp_path_factory.mktemp("gaudi"))


@pytest.fixture(scope="module")
def request_file(tmp_path_factory):
    """A request of the emulated device: the versions are those of the image, the vendor's stand-ins by their names."""
    folder = build.find(STACK)
    assert folder is not None
    asked = runs.request(STACK, folder)
    packages = {**asked.stack.packages, "deepspeed": lockfile.read().stacks[STACK].packages["deepspeed"].version}
    asked = runs.replace(asked, stack=runs.replace(asked.stack, packages=packages))
    path = tmp_path_factory.mktemp("requests") / "request.json"
    path.write_text(strictjson.pretty(asked.to_json()))
    return path


@pytest.fixture(scope="module")
def measured(container, request_file):
    return container.bench(request_file, options=["--env", "LOCAL_SIZE=1"])


def test_a_user_without_a_name_runs_the_emulated_device(measured):
    assert measured.status == 0, measured.errors
    (launch,) = measured.result["launches"]
    assert launch["status"] == "complete"
    assert measured.result["environment"]["python"].startswith("3.8.")


def test_what_is_installed_is_the_lock_over_the_base(measured, made):
    inventory = measured.result["environment"]["inventory"]
    assert (inventory["missing"], inventory["changed"], inventory["altered_files"], inventory["added"]) == (
        {},
        {},
        [],
        {},
    )
    lock = lockfile.read().stacks[STACK]
    installed = measured.result["environment"]["packages"]
    commit = lockfile.read().sources[lock.packages["deepspeed"].source].commit
    assert installed["deepspeed"] == f"{lock.packages['deepspeed'].version}+{commit[:7]}"


def test_torch_and_the_plugin_are_the_base_s_own(container, made):
    code = (
        "import importlib.metadata as m;"
        "print([str(m.distribution(n).locate_file('')) for n in ('torch', 'habana-torch-plugin', 'transformers')])"
    )
    base, own = "/usr/local/lib/python3.8/site-packages", "/opt/bench/lib/python3.8/site-packages"
    assert container.python(code).output.strip() == str([base, base, own])
    before = image._ask_packages(made.base, "/usr/local/bin/python3", paths.ROOT)
    assert {"torch", "habana-torch-plugin"} <= set(before)
    assert image._ask_packages(made.image, "/usr/local/bin/python3") == before


def test_a_base_package_that_changed_since_the_build_is_refused(made, request_file, tmp_path):
    (tmp_path / "Dockerfile").write_text(
        f"FROM {made.tag}\nUSER 0\nRUN echo '#' >> /usr/local/lib/python3.8/site-packages/torch/serialization.py\nUSER 10001\n"
    )
    altered = buildah.build(tmp_path, "localhost/bloomz-bench/altered-gaudi:latest", {}, {}, 0)
    ran = Container(altered, tmp_path).bench(request_file, options=["--env", "LOCAL_SIZE=1"])
    assert ran.status == Unsupported.exit_code
    assert "torch/serialization.py was changed or lost" in ran.errors


def test_the_wheel_of_the_fork_is_the_same_bytes_for_another_commit_of_the_kit(made, monkeypatch):
    """Its sha256 is in the image; once it is in the lock, pip refuses any other, so it may not hold the kit's own time."""
    named = os.environ.get(COPY)
    lock = lockfile.read()
    checkouts = {lock.stacks[STACK].packages["deepspeed"].source: named} if named else {}
    first = buildah.ask(made.image, "cat", "/opt/bench/built.txt").split()
    assert first[0] == "deepspeed" and len(first[1]) == 64
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    again = image.build(lock, STACK, bases.make(STACK), checkouts=checkouts)
    assert again.image != made.image
    assert buildah.ask(again.image, "cat", "/opt/bench/built.txt").split() == first
