"""Which image a stack's container runs, and how podman and docker come to it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from runner.contract.errors import InputError, Unsupported
from runner.host.containers import images
from runner.host.containers.images import StackImage
from runner.host.images import build, buildah
from runner.host.images.build import BuiltImage
from runner.host.readers import lockfile
from runner.host.readers.lockfile import PushedImage

LOCK = lockfile.read()
ID = "5c" * 32
REFERENCE = f"registry.example/team/bloomz-bench-cpu@sha256:{'12' * 32}"
PUSHED = PushedImage("registry.example/team/bloomz-bench-cpu", f"sha256:{'34' * 32}", "inputs")


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the record of an image of the CPU's stack that was built here, of these files."""
    monkeypatch.setattr(build, "BUILD", tmp_path)
    path = tmp_path / "images" / "cpu" / "image.json"
    path.parent.mkdir(parents=True)
    built = BuiltImage(ID, "localhost/x", "base", True, "0" * 40, build.inputs_of(LOCK, "cpu"), 7, 2_000_000, "1.28.2")
    path.write_text(json.dumps(asdict(built)))
    return path


def changed(record: Path, **changes: object) -> None:
    record.write_text(json.dumps({**json.loads(record.read_text()), **changes}))


def test_the_user_s_image_comes_before_the_lock_s_and_this_before_the_one_built_here(record: Path) -> None:
    lock = replace(LOCK, built={"cpu": PUSHED})
    assert images.find(lock, "cpu", {"cpu": REFERENCE}) == StackImage(REFERENCE, None)
    assert images.find(lock, "cpu", {}) == StackImage(PUSHED.reference, None)
    assert images.find(LOCK, "cpu", {}) == StackImage(f"localhost/bloomz-bench/cpu@sha256:{ID}", ID)


def test_an_image_on_a_stand_in_says_so(record: Path) -> None:
    changed(record, pinned=False, base="localhost/base", inputs=build.inputs_of(LOCK, "cpu", "localhost/base"))
    assert images.find(LOCK, "cpu", {}).stand_in
    changed(record, base="localhost/another")
    with pytest.raises(InputError, match="built of other files"):
        images.find(LOCK, "cpu", {})


def test_an_image_of_other_files_is_refused(record: Path) -> None:
    changed(record, inputs="0" * 64)
    with pytest.raises(InputError, match="The image of cpu was built of other files.*`make images STACKS=cpu`"):
        images.find(LOCK, "cpu", {})


@pytest.mark.parametrize("content", ["", "{}", "[]"], ids=["empty", "bare", "list"])
def test_without_an_image_the_command_that_builds_it_is_said(record: Path, content: str) -> None:
    record.write_text(content)
    with pytest.raises(InputError, match="No image of cpu was built here.*`make images STACKS=cpu`"):
        images.find(LOCK, "cpu", {})


def test_podman_knows_a_built_image_by_its_id_and_docker_by_a_tag_of_it() -> None:
    built = StackImage(f"localhost/bloomz-bench/cpu@sha256:{ID}", ID)
    assert images.known_as("podman", "cpu", built) == ID
    assert images.known_as("docker", "cpu", built) == f"localhost/bloomz-bench/cpu:{ID[:32]}"
    for program in ("podman", "docker"):
        assert images.known_as(program, "cpu", StackImage(REFERENCE, None)) == REFERENCE


def test_an_image_that_is_gone_from_the_store_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "podman"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(InputError, match="is gone from podman's store. Build it"):
        images.bring("podman", "cpu", StackImage("x", ID), ID)


def test_an_image_is_loaded_into_docker_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """buildah writes what docker reads, byte by byte, and no file between."""
    taken = tmp_path / "taken"
    scripts = {
        "docker": f'[ "$1" = load ] && exec cat > "{taken}"; [ -e "{taken}" ]',
        "buildah": 'printf "%s" "$*"',
    }
    for name, script in scripts.items():
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    image = StackImage("x", ID)
    name = images.known_as("docker", "cpu", image)
    images.bring("docker", "cpu", image, name)
    assert taken.read_text() == f"push --quiet -- {ID} docker-archive:/dev/stdout:{name}"
    (tmp_path / "buildah").unlink()
    images.bring("docker", "cpu", image, name)


@pytest.mark.parametrize("fails", ["giver", "taker"])
def test_an_image_that_cannot_be_handed_over_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    program = tmp_path / "buildah"
    program.write_text(f"#!/bin/sh\necho no such image >&2\nexit {int(fails == 'giver')}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    code = f"import sys; sys.stdin.read(); sys.exit({int(fails == 'taker')})"
    with pytest.raises(Unsupported, match="did not take the image: no such image"):
        buildah.hand_over(ID, "x", [sys.executable, "-c", code])
