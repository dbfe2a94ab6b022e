"""The CPU image, built on a stand-in base: the same bytes twice, what is inside, and a measurement by a user without a name."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runner.contract.errors import Unsupported
from runner.contract.files import sha256_of_file
from runner.host import paths
from runner.host.images import build, build_context, buildah
from runner.host.readers import lockfile
from runner.host.stacks import requirements
from runner.host.verbs import request as requests
from tests.images import bases, layers
from tests.images.conftest import Built
from tests.images.containers import Container, Ran, another_clock

STACK = "cpu"


@pytest.fixture(scope="module")
def container(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Container:
    return Container(built(STACK).image, tmp_path_factory.mktemp("cpu"))


@pytest.fixture(scope="module")
def request_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("requests")
    assert requests.main(["cpu-2", "--model", "bloom-tiny", "--out", str(folder)]) == 0
    (path,) = folder.iterdir()
    return path


@pytest.fixture(scope="module")
def measured(container: Container, request_file: Path) -> Ran:
    return container.bench(request_file)


def test_a_user_without_a_name_measures_on_a_read_only_root(measured: Ran) -> None:
    assert measured.status == 0, measured.errors
    (launch,) = measured.result["launches"]
    assert launch["status"] == "complete"
    assert len(launch["ranks"]) == 2


def test_what_is_installed_is_what_is_locked(measured: Ran, built: Built) -> None:
    """Names, versions and the bytes of every file; the bill of materials has each with the hash of its locked file."""
    inventory = measured.result["environment"]["inventory"]
    assert inventory is not None
    assert (inventory["missing"], inventory["changed"], inventory["altered_files"], inventory["added"]) == (
        {},
        {},
        [],
        {},
    )
    stack = lockfile.read().stacks[STACK]
    installed = measured.result["environment"]["packages"]
    target = requirements.target_environment(measured.result["environment"]["python"])
    locked = {}
    for entry in (stack.requirements, stack.torch):
        assert entry is not None, "the cpu stack has a file for torch"
        for package in requirements.read((paths.ROOT / entry.file).read_text()):
            if requirements.serves(package, target):
                locked[package.name] = package
    assert installed == {name: package.version for name, package in locked.items()}
    bill = json.loads((paths.ROOT / "build" / "images" / STACK / "sbom.json").read_text())
    python = {package["name"]: package for package in bill["components"] if package["purl"].startswith("pkg:pypi/")}
    assert {name: package["version"] for name, package in python.items()} == installed
    for name, package in python.items():
        (sha256,) = (entry["content"] for entry in package["hashes"])
        assert sha256 in locked[name].hashes
    assert any(package["purl"].startswith("pkg:deb/debian/libc6@") for package in bill["components"])


def test_a_file_that_was_changed_after_the_build_is_refused(
    container: Container, built: Built, request_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text(
        f"FROM {built(STACK).tag}\nUSER 0\n"
        "RUN echo '#' >> /opt/bench/lib/python3.11/site-packages/transformers/modeling_utils.py\nUSER 10001\n"
    )
    altered = buildah.build(buildah.build_arguments(tmp_path, "localhost/bloomz-bench/altered:latest", {}, {}, 0))
    ran = Container(altered, tmp_path).bench(request_file)
    assert ran.status == Unsupported.exit_code
    assert "transformers/modeling_utils.py was changed or lost" in ran.errors


def test_nothing_of_it_can_be_written(container: Container) -> None:
    """Not by its own user on a root that could be written, and not by root on the read-only one."""
    write = "import pathlib; pathlib.Path('/opt/{}/new').write_text('')"
    for place in ("kit", "bench"):
        by_user = container.python(write.format(place), user="10001:10001", options=["--read-only=false"])
        assert by_user.status == 1 and "Permission denied" in by_user.errors
        by_root = container.python(write.format(place), user="0:0")
        assert by_root.status == 1 and "Read-only file system" in by_root.errors


def test_results_that_cannot_be_written_are_refused_before_measuring(container: Container, request_file: Path) -> None:
    ran = container.bench(request_file, "--results", "/nowhere")
    assert ran.status == 7, ran.errors


def test_it_holds_the_runner_without_its_host_side(container: Container) -> None:
    code = "import pathlib; print(*sorted(str(p.relative_to('/opt/kit')) for p in pathlib.Path('/opt/kit').rglob('*') if p.is_file()))"
    stack = lockfile.read().stacks[STACK]
    assert container.python(code).output.split() == sorted(build_context.kit_files(stack))
    refused = container.run("-m", "runner", "compare", entrypoint="/opt/bench/bin/python")
    assert refused.status == 2
    assert "this image holds only bench" in refused.errors


def test_labels_say_what_it_was_built_from(built: Built) -> None:
    labels = buildah.config(built(STACK).image)["config"]["Labels"]
    assert labels["bloomz-bench.stack"] == STACK
    assert labels["bloomz-bench.lock"] == sha256_of_file(paths.LOCK)
    assert labels["bloomz-bench.inputs"] == build.inputs_of(lockfile.read(), STACK, bases.make(STACK))
    assert labels["bloomz-bench.builder"] == f"buildah {buildah.version()}"
    assert labels["bloomz-bench.base"] == "stand-in"
    assert "org.opencontainers.image.base.digest" not in labels
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, encoding="utf-8", cwd=paths.ROOT).stdout
    assert labels["org.opencontainers.image.revision"].removesuffix("-dirty") == head.strip()


@pytest.fixture(scope="module")
def twins(built: Built, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Export the image, and a twin built from a copy: other path, umask, time zone, locale, and the clock of 2031 inside."""
    folder = tmp_path_factory.mktemp("twins")
    built(STACK)
    os.link(paths.ROOT / "build" / "images" / STACK / "sbom.json", folder / "one.json")
    digests = [buildah.push(f"localhost/bloomz-bench/{STACK}:latest", f"oci:{folder / 'one'}:image")]
    copy = folder / "a place with a longer name"
    subprocess.run(["git", "clone", "--quiet", str(paths.ROOT), str(copy)], check=True)
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, capture_output=True, encoding="utf-8", cwd=paths.ROOT).stdout.split("\0"):
        if name and (paths.ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(paths.ROOT / name, copy / name)
    environment = {
        **os.environ,
        **another_clock(folder),
        "TZ": "Pacific/Chatham",
        "LANG": "C",
        "LC_ALL": "POSIX",
        "TMPDIR": str(folder),
    }
    command = [sys.executable, "-m", "runner", "image", STACK, "--base", bases.make(STACK)]
    done = subprocess.run(
        command, cwd=copy, env=environment, umask=0o077, capture_output=True, encoding="utf-8", timeout=1800
    )
    assert done.returncode == 0, done.stderr
    os.link(copy / "build" / "images" / STACK / "sbom.json", folder / "two.json")
    digests.append(buildah.push(f"localhost/bloomz-bench/{STACK}:latest", f"oci:{folder / 'two'}:image"))
    return folder, digests


def test_two_cold_builds_are_the_same_bytes(twins: tuple[Path, list[str]]) -> None:
    folder, digests = twins
    (digest, first), (other_digest, second) = layers.read(folder / "one"), layers.read(folder / "two")
    assert layers.differences(first, second) == []
    assert digest == other_digest == digests[0] == digests[1]
    assert (folder / "one.json").read_bytes() == (folder / "two.json").read_bytes()


def test_layers_hold_no_time_and_no_trace_of_building(twins: tuple[Path, list[str]], built: Built) -> None:
    folder, _ = twins
    _, all_layers = layers.read(folder / "one")
    epoch = int(subprocess.run(["git", "log", "-1", "--format=%ct"], capture_output=True, cwd=paths.ROOT).stdout)
    base = len(buildah.config(bases.make(STACK))["rootfs"]["diff_ids"])
    added = all_layers[base:]
    assert added
    for layer in added:
        assert layers.unclean(layer, epoch) == []


def test_a_planted_date_is_caught(tmp_path: Path, built: Built) -> None:
    """What a build writes of its clock is another byte in every twin; a time, an owner or a trace is named in one layer alone."""
    (tmp_path / "Dockerfile").write_text(
        f"FROM {bases.make(STACK)}\nRUN date +%N > /opt/date && echo built > /var/log/build.log && chmod 666 /var/log/build.log\n"
    )
    exported = []
    for name in ("one", "two"):
        tag = f"localhost/bloomz-bench/planted-{name}:latest"
        made = buildah.build(buildah.build_arguments(tmp_path, tag, {}, {}, 7))
        buildah.push(made, f"oci:{tmp_path / name}:image")
        exported.append(layers.read(tmp_path / name))
    (digest, first), (other_digest, second) = exported
    assert digest != other_digest
    (lines,) = layers.differences(first, second)
    assert "opt/date" in lines
    unclean = layers.unclean(first[-1], 8)
    for problem in ("opt/date: its time is 7", "var/log/build.log: owner (0, 0), mode 666", "build.log: is a trace"):
        assert any(problem in line for line in unclean), problem
