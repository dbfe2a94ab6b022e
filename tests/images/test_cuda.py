"""The image of the GPU script's stack on stand-ins: a base with a compiler and no Python, Python from an image of its own.

No GPU is here, so nothing is measured: what is installed is held against the lock, and a request is refused for want of a device.
"""

import json

import pytest

from runner.host import buildah, context, image, lockfile, paths, requirements
from tests.images import bases
from tests.images.containers import Container

STACK = "cuda-2023"


@pytest.fixture(scope="module")
def container(built, tmp_path_factory):
    return Container(built(STACK).image, tmp_path_factory.mktemp("cuda"))


def test_what_is_installed_is_what_is_locked(built):
    """Names and versions of every package, torch and its CUDA libraries too, each with the hash of its locked file."""
    stack = lockfile.read().stacks[STACK]
    listed = image._ask_packages(built(STACK).image, image.PYTHON)
    python = buildah.ask(
        built(STACK).image, image.PYTHON, "-c", "import platform; print(platform.python_version())"
    ).strip()
    target = requirements.target_environment(python)
    locked = {
        one.name: one
        for entry in (stack.requirements, stack.torch)
        for one in requirements.read((paths.ROOT / entry.file).read_text())
        if one.serves(target)
    }
    assert {name: found["version"] for name, found in listed.items()} == {
        name: one.version for name, one in locked.items()
    }
    bill = json.loads((paths.ROOT / "build" / "images" / STACK / "sbom.json").read_text())
    python_packages = [one for one in bill["components"] if one["purl"].startswith("pkg:pypi/")]
    assert len(python_packages) == len(locked)
    for one in python_packages:
        (sha256,) = (entry["content"] for entry in one["hashes"])
        assert sha256 in locked[one["name"]].hashes


def test_torch_is_the_cuda_build_and_every_file_is_as_its_record_says(container):
    code = (
        "import torch, deepspeed; from runner.bench import environment, inventory; found = environment.distributions();"
        "print(torch.__version__, torch.version.cuda, [f for one in found.values() for f in inventory.altered_files(one)])"
    )
    ran = container.python(code)
    assert ran.status == 0, ran.errors
    version = lockfile.read().stacks[STACK].packages["torch"].version
    assert ran.output.strip().splitlines()[-1].startswith(f"{version}+cu117 11.7 []")


def test_a_compiler_is_there_for_deepspeed_s_kernels(container):
    assert container.run("--version", entrypoint="g++").status == 0


def test_nothing_of_it_can_be_written_and_it_holds_no_host_side(container, built):
    ran = container.python("open('/opt/kit/new', 'w')", user="10001:10001", options=["--read-only=false"])
    assert ran.status == 1 and "Permission denied" in ran.errors
    files = container.python(
        "import pathlib; print(*[p for p in pathlib.Path('/opt/kit').rglob('*') if p.is_file()])"
    ).output
    assert len(files.split()) == len(context.kit_files(lockfile.read().stacks[STACK]))
    assert "runner/host" not in files
    assert buildah.config(built(STACK).image)["config"]["User"] == "10001:10001"
    assert bases.make(STACK) == built(STACK).base
