"""A stack that a pod installs by itself is the stack of the built image: the same packages, bytes, variables and tokens.

The stand-in bases are those of the images. A download needs the index that pip asks on this machine; the fork and pdsh come from the
copies that ``gaudi`` names, served to git in the place of their addresses.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.host.images import contents
from runner.host.readers import lockfile
from runner.host.readers.lockfile import UNRESOLVED, Lock
from runner.host.stacks import recipe
from runner.host.verbs import request as requests
from tests.images import bases, gaudi
from tests.images.conftest import Built
from tests.images.containers import Container, Ran
from tests.images.podlike import TREE, VARIABLES, Pod

# One stack of each family; `make test-images IMAGES=cpu` names families.
STACKS = [
    stack
    for stack in ("cpu", gaudi.STACK, "cuda-2023")
    if stack.partition("-")[0] in os.environ.get("IMAGES", "cpu cuda gaudi").split()
]
# What a pod's own container has and an image has not, or the other way round.
OF_A_RUN = {"HOSTNAME", "container", "HF_HOME"}
# A Python that comes from another image lies at another place in a pod.
OF_AN_INTERPRETER = {"PATH", "LD_LIBRARY_PATH"}


def the_lock(stack: str) -> Lock:
    """Return the lock, with the versions of the stand-ins where the vendor's are unresolved."""
    lock = lockfile.read()
    pinned = lock.stacks[stack]
    release = pinned.image.tag.split("-")[0]
    packages = {
        name: replace(pin, version=release) if (pin.version, pin.origin) == (UNRESOLVED, "base") else pin
        for name, pin in pinned.packages.items()
    }
    return replace(lock, stacks={**lock.stacks, stack: replace(pinned, packages=packages)})


def git_options(folder: Path) -> list[str]:
    """Return the options by which git takes each named copy in the place of its repository's address; ``folder`` keeps the settings."""
    # a copy belongs to another user than the pod's
    lines, options = ["[safe]", "directory = *"], ["--volume", f"{folder}/gitconfig:/etc/gitconfig:ro"]
    for name, copy in gaudi.copies().items():
        lines += [f'[url "file://{copy}"]', f"insteadOf = {lockfile.read().sources[name].repository}"]
        options += ["--volume", f"{copy}:{copy}:ro"]
    (folder / "gitconfig").write_text("\n".join([*lines, ""]))
    return options


@pytest.fixture(scope="module", params=STACKS)
def stack(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def image(stack: str, built: Built, tmp_path_factory: pytest.TempPathFactory) -> Container:
    return Container(built(stack).image, tmp_path_factory.mktemp(stack))


@pytest.fixture(scope="module")
def pod(stack: str, image: Container, tmp_path_factory: pytest.TempPathFactory) -> Pod:
    """Return a pod whose stack is installed; the image was built before, so that a base or a copy that is missing is told there."""
    folder = tmp_path_factory.mktemp(f"pod-{stack}")
    made = Pod(the_lock(stack), stack, bases.make(stack), bases.interpreter_of(stack), folder)
    for ran in (*made.prepare(), made.download(git_options(folder)), made.install()):
        assert ran.status == 0, ran.errors[-4000:]
    return made


def of_image(image: Container, code: str, *arguments: str) -> Any:
    ran = image.run("-c", code, *arguments, entrypoint="/opt/bench/bin/python", user="10001:10001")
    assert ran.status == 0, ran.errors
    return json.loads(ran.output)


def of_pod(pod: Pod, code: str, *arguments: str) -> Any:
    ran = pod.enter("/opt/bench/bin/python", "-c", code, *arguments)
    assert ran.status == 0, ran.errors
    return json.loads(ran.output)


def differences(one: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    return sorted(key for key in {*one, *other} if one.get(key) != other.get(key))


def test_every_file_of_the_environment_is_the_same(stack: str, image: Container, pod: Pod) -> None:
    """Packages, programs, what was built from git, links and modes; with an interpreter of its own, the links to that alone differ."""
    first, second = of_image(image, TREE, "/opt/bench"), of_pod(pod, TREE, "/opt/bench")
    assert len(first) > 10_000
    allowed = {"pyvenv.cfg", "bin/python3", "bin/python"} if bases.interpreter_of(stack) else set()
    assert set(differences(first, second)) <= {f"/opt/bench/{name}" for name in allowed}


def test_the_kit_is_the_same_beside_its_recipe(stack: str, image: Container, pod: Pod) -> None:
    first, second = of_image(image, TREE, "/opt/kit"), of_pod(pod, TREE, "/opt/kit")
    torch = lockfile.read().stacks[stack].torch
    own = [path for path in second if path.startswith(recipe.RECIPE)] + (
        [f"{recipe.KIT}/{torch.file}"] if torch else []
    )
    assert differences(first, second) == sorted(own)
    assert (f"{recipe.KIT}/base.json" in first) == (stack == gaudi.STACK)


def test_packages_are_listed_alike_by_name_version_and_record(image: Container, pod: Pod) -> None:
    first, second = of_image(image, contents.LIST_PACKAGES), of_pod(pod, contents.LIST_PACKAGES)
    assert len(first) > 30
    assert first == second


def test_variables_are_those_of_the_image(stack: str, image: Container, pod: Pod) -> None:
    first, second = of_image(image, VARIABLES), of_pod(pod, VARIABLES)
    assert (first["BLOOMZ_BENCH_INSTALLATION"], second["BLOOMZ_BENCH_INSTALLATION"]) == ("image", "pod")
    allowed = {*OF_A_RUN, "BLOOMZ_BENCH_INSTALLATION", *(OF_AN_INTERPRETER if bases.interpreter_of(stack) else ())}
    # a shell that starts a program says where it stands
    allowed |= {"PWD", "OLDPWD", "SHLVL", "_"} | {"TORCHINDUCTOR_CACHE_DIR"}
    assert set(differences(first, second)) <= allowed
    assert second["PATH"].startswith("/opt/bench/bin:") and second["PYTHONPATH"].startswith("/opt/kit")


@pytest.fixture(scope="module")
def request_file(stack: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("requests")
    if stack == gaudi.STACK:
        return gaudi.request(folder / "request.json", ranks=1)
    if stack != "cpu":
        pytest.skip(f"{stack} measures on its device alone")
    assert requests.main(["cpu-1", "--model", "bloom-tiny", "--out", str(folder)]) == 0
    (path,) = folder.iterdir()
    return path


@pytest.fixture(scope="module")
def measured(image: Container, pod: Pod, request_file: Path) -> tuple[Ran, Ran]:
    options = ["--env", "LOCAL_SIZE=1"]
    command = ("python3", "-m", "runner", "bench", "--results", "/results", f"/requests/{request_file.name}")
    both = image.bench(request_file, options=options), pod.enter(*command, files=[request_file], options=options)
    for ran in both:
        assert ran.status == 0, ran.errors
    return both


def test_both_give_the_same_tokens_and_inventory(measured: tuple[Ran, Ran]) -> None:
    first, second = (ran.result for ran in measured)
    (one,), (other,) = first["launches"], second["launches"]
    assert one["status"] == other["status"] == "complete"
    assert one["tokens"]["output_ids"] == other["tokens"]["output_ids"]
    assert first["environment"]["packages"] == second["environment"]["packages"]
    inventories = [
        dict(environment["inventory"] or {}) for environment in (first["environment"], second["environment"])
    ]
    assert inventories[0] == inventories[1]
    assert [inventories[1][word] for word in ("missing", "changed", "altered_files", "injected")] == [{}, {}, [], []]


def test_a_result_says_who_installed_the_stack(measured: tuple[Ran, Ran]) -> None:
    assert [ran.result["environment"]["installation"] for ran in measured] == ["image", "pod"]


def test_it_is_installed_again_over_what_a_try_left(pod: Pod) -> None:
    """A kubelet that starts an init container again finds the volumes as they were."""
    before = of_pod(pod, TREE, "/opt/bench")
    (pod.folder / "environment" / "left").write_text("by a try before")
    (pod.folder / "tmp" / "source").mkdir()
    ran = pod.install()
    assert ran.status == 0, ran.errors[-2000:]
    assert of_pod(pod, TREE, "/opt/bench") == before
