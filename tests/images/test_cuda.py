"""The images of the CUDA stacks on stand-ins: of 2023, a base with a compiler and no Python, Python from an image of its own; of
today, one image with both.

No GPU is here, so nothing is measured: what is installed is held against the lock, and what needs a compiler finds it.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from runner.contract.errors import Unsupported
from runner.host import paths
from runner.host.images import build, build_context, buildah, contents
from runner.host.readers import lockfile
from runner.host.stacks import requirements
from tests.images import bases
from tests.images.conftest import Built
from tests.images.containers import Container

# that torch is built for
CUDA = {"cuda-2023": "11.7", "cuda": "13.0"}


@pytest.fixture(scope="module", params=CUDA)
def stack(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def container(stack: str, built: Built, tmp_path_factory: pytest.TempPathFactory) -> Container:
    return Container(built(stack).image, tmp_path_factory.mktemp(stack))


def test_what_is_installed_is_what_is_locked(stack: str, built: Built) -> None:
    """Names and versions of every package, torch and its CUDA libraries too, each with the hash of its locked file."""
    pinned = lockfile.read().stacks[stack]
    listed = contents.python_packages(built(stack).image, contents.PYTHON)
    python = buildah.ask(
        built(stack).image, contents.PYTHON, "-c", "import platform; print(platform.python_version())"
    ).strip()
    target = requirements.target_environment(python)
    locked = {
        package.name: package
        for entry in (pinned.requirements, pinned.torch)
        if entry is not None
        for package in requirements.read((paths.ROOT / entry.file).read_text())
        if requirements.serves(package, target)
    }
    assert {name: facts["version"] for name, facts in listed.items()} == {
        name: package.version for name, package in locked.items()
    }
    bill = json.loads((paths.ROOT / "build" / "images" / stack / "sbom.json").read_text())
    python_packages = [package for package in bill["components"] if package["purl"].startswith("pkg:pypi/")]
    assert len(python_packages) == len(locked)
    for package in python_packages:
        (sha256,) = (entry["content"] for entry in package["hashes"])
        assert sha256 in locked[package["name"]].hashes


def test_torch_is_the_cuda_build_and_every_file_is_as_its_record_says(stack: str, container: Container) -> None:
    code = (
        "import torch, deepspeed; from runner.bench.facts import distributions, inventory; found = distributions.installed();"
        "print(torch.__version__, torch.version.cuda, [f for one in found.values() for f in inventory.altered_files(one)])"
    )
    ran = container.python(code)
    assert ran.status == 0, ran.errors
    version = lockfile.read().stacks[stack].packages["torch"].version
    build = f"+cu{CUDA[stack].replace('.', '')}"
    assert ran.output.strip().splitlines()[-1] == f"{version}{build} {CUDA[stack]} []"


def test_a_compiler_is_there(stack: str, container: Container) -> None:
    """For DeepSpeed's kernels of 2023; today's torch compiles with it, and needs Python's headers too."""
    assert container.run("--version", entrypoint="g++").status == 0
    if lockfile.read().stacks[stack].engine == "compiled":
        code = (
            "import torch; x = torch.arange(4.0); double = torch.compile(lambda x: (x * 2).relu(), fullgraph=True);"
            "print(double(x).tolist(), torch._dynamo.utils.counters['stats']['unique_graphs'])"
        )
        # a folder of a pod is executable, podman's tmpfs is not
        ran = container.python(code, options=["--env", "TORCHINDUCTOR_CACHE_DIR=/results", "--env", "TMPDIR=/results"])
        assert ran.output.strip() == "[0.0, 2.0, 4.0, 6.0] 1", ran.errors


def test_nothing_of_it_can_be_written_and_it_holds_no_host_side(stack: str, container: Container, built: Built) -> None:
    ran = container.python("open('/opt/kit/new', 'w')", user="10001:10001", options=["--read-only=false"])
    assert ran.status == 1 and "Permission denied" in ran.errors
    files = container.python(
        "import pathlib; print(*[p for p in pathlib.Path('/opt/kit').rglob('*') if p.is_file()])"
    ).output
    assert len(files.split()) == len(build_context.kit_files(lockfile.read().stacks[stack]))
    assert "runner/host" not in files
    assert buildah.config(built(stack).image)["config"]["User"] == "10001:10001"
    assert bases.make(stack) == built(stack).base


def test_building_leaves_nothing_behind_but_the_image(stack: str, built: Built) -> None:
    assert built(stack).image
    said = subprocess.run(["buildah", "containers", "--json"], capture_output=True, check=True).stdout
    images = {bases.make(stack), bases.interpreter_of(stack)}
    assert [container for container in json.loads(said) or [] if container["imagename"] in images] == []


def test_a_base_without_a_library_of_its_python_ends_the_build_with_what_it_lacks(
    runtime: None, tmp_path: Path
) -> None:
    """The Python of another image was linked on that image; of what it needs here, the base alone tells."""
    name = "cuda-2023"
    (tmp_path / "Dockerfile").write_text(f"FROM {bases.make(name)}\nRUN rm /usr/lib/x86_64-linux-gnu/libsqlite3.so*\n")
    spoiled = buildah.build(buildah.build_arguments(tmp_path, "localhost/bloomz-bench/spoiled:latest", {}, {}, 0))
    planned = build.plan(lockfile.read(), name, spoiled, bases.interpreter_of(name), folder=tmp_path / "image")
    with pytest.raises(Unsupported) as refused:
        build.execute(planned)
    assert (
        "The Python of this image lacks libraries on this base: _sqlite3 (libsqlite3.so.0: cannot open shared object file:"
        " No such file or directory). Name a base that has them, or another interpreter." in str(refused.value)
    )
