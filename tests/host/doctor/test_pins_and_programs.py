"""The pins of a stack, its images, its Python, and the program that builds it."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest

from runner.contract.errors import Unsupported
from runner.host.doctor import builder, pins, pythons
from runner.host.doctor.findings import ready
from runner.host.doctor.plan import Tables
from runner.host.images import build, buildah
from runner.host.readers.lockfile import Lock, PushedImage
from tests.host.doctor.conftest import BUILT, NeedsOf
from tests.support.patience import HANG_S


def test_pins_that_keep_a_stack_from_being_made(tables: Tables) -> None:
    answer = pins.of_stack(tables.lock, "gaudi-1.9", False)
    assert answer.state == "not ready"
    assert "stacks.gaudi-1.9.image.digest" in answer.finding and "sources.habana-deepspeed-1.9.commit" in answer.finding
    assert "python -m runner lock --stack gaudi-1.9" in str(answer.remedy)


def test_a_pod_takes_a_base_by_its_tag(tables: Tables) -> None:
    base_alone = pins.of_stack(tables.lock, "gaudi-1.10", on_a_cluster=True)
    assert base_alone.state == "warning" and "stacks.gaudi-1.10.image.digest" in base_alone.finding
    assert pins.of_stack(tables.lock, "gaudi-1.10", on_a_cluster=False).state == "not ready"
    assert pins.of_stack(tables.lock, "gaudi-1.9", on_a_cluster=True).state == "not ready"


def test_pins_that_the_build_resolves(tables: Tables) -> None:
    answer = pins.of_stack(tables.lock, "cpu", False)
    assert (answer.state, answer.finding) == (
        "warning",
        "Unresolved, which keeps nobody from making the stack: stacks.cpu.image.platform.",
    )


def test_pins_that_are_all_resolved(tables: Tables) -> None:
    stack = tables.lock.stacks["cpu"]
    image = dataclasses.replace(stack.image, platform=stack.image.digest)
    lock = dataclasses.replace(tables.lock, stacks={"cpu": dataclasses.replace(stack, image=image)})
    assert pins.of_stack(lock, "cpu", False).state == "ready"


def pushed(lock: Lock, inputs: str) -> Lock:
    return dataclasses.replace(lock, built={"cpu": PushedImage("registry.example/x", f"sha256:{'1' * 64}", inputs)})


def test_the_image_that_was_pushed(tables: Tables) -> None:
    current = pins.image(pushed(tables.lock, build.inputs_of(tables.lock, "cpu")), "cpu")
    assert current.state == "ready" and "registry.example/x@sha256:1111" in current.finding
    assert pins.image(pushed(tables.lock, "of other inputs"), "cpu").state == "warning"


def test_without_a_pushed_image_the_pods_install_the_stack(tables: Tables) -> None:
    answer = pins.pushed_image(tables.lock, "cpu")
    assert (answer.state, answer.finding) == ("ready", "None was pushed: the pods install the stack themselves.")


@pytest.mark.parametrize(
    "changes, state, words",
    [
        ({}, "ready", "none was pushed"),
        ({"pinned": False}, "warning", "stand-in"),
        ({"inputs": "others"}, "warning", "other inputs"),
    ],
    ids=["current", "stand-in", "stale"],
)
def test_the_image_that_was_built_here(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], state: str, words: str
) -> None:
    monkeypatch.setattr(build, "earlier", lambda name: None)
    assert pins.image(tables.lock, "cpu").finding == "None was built here, and none was pushed."
    inputs = build.inputs_of(tables.lock, "cpu")
    image = dataclasses.replace(BUILT, **{"inputs": inputs, **changes})
    monkeypatch.setattr(build, "earlier", lambda name: image)
    answer = pins.image(tables.lock, "cpu")
    assert answer.state == state and words in answer.finding


def test_a_host_looks_at_the_images_of_accelerators_and_a_cluster_at_all(tables: Tables, needs_of: NeedsOf) -> None:
    needs = needs_of("cpu-1", "gaudi2-1-bloomz-7b1")
    here = [look.what for look in pins.looks(tables.lock, needs, on_a_cluster=False)]
    assert here == ["pins of cpu", "pins of gaudi-1.10", "image of gaudi-1.10"]
    assert "image of cpu" in [look.what for look in pins.looks(tables.lock, needs, on_a_cluster=True)]


def test_the_python_that_make_bench_would_take(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pythons, "ANSWER_S", HANG_S)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    # `make bench` makes nothing with the Python that runs this
    assert pythons.of_version("{}.{}".format(*sys.version_info), ["cuda"]).state == "not ready"
    serve(tmp_path / "python3.99", "3.99 False")
    bare = pythons.of_version("3.99", ["cuda"])
    assert bare.state == "not ready" and "has no Python.h" in bare.finding and "python3.99-dev" in str(bare.remedy)
    serve(tmp_path / "named", "3.99 True")
    monkeypatch.setenv("PYTHON399", str(tmp_path / "named"))
    assert pythons.of_version("3.99", ["cuda"]) == ready(f"{tmp_path / 'named'} is there for cuda.")


def test_the_compiler_that_make_bench_would_need(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, needs_of: NeedsOf
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    _, look = pythons.looks(needs_of("h100-1-bloomz-7b1-compiled"))
    answer = look.ask()
    assert answer.state == "not ready" and "neither gcc nor clang is on the path" in answer.finding
    serve(tmp_path / "gcc", "")
    assert look.ask().state == "ready"


def serve(path: Path, answer: str) -> None:
    """Put a program there that says this."""
    path.write_text(f"#!/bin/sh\necho {answer}\n")
    path.chmod(0o755)


def test_a_stack_that_exists_only_in_an_image_needs_no_python_here(needs_of: NeedsOf) -> None:
    assert pythons.looks(needs_of("gaudi2-1-bloomz-7b1", "cpu-1")) == []
    assert [look.what for look in pythons.looks(needs_of("h100-1-bloomz-7b1-compiled"))] == [
        "Python 3.12",
        "compiler for cuda",
    ]


def test_the_builder(monkeypatch: pytest.MonkeyPatch, tables: Tables) -> None:
    (look,) = builder.looks(tables.lock)
    monkeypatch.setattr(buildah, "version", lambda: tables.lock.tools["buildah"])
    assert look.ask().state == "ready"
    monkeypatch.setattr(buildah, "version", lambda: "9.9.9")
    assert look.ask().state == "warning"

    def missing() -> str:
        raise Unsupported("buildah cannot be run")

    monkeypatch.setattr(buildah, "version", missing)
    assert look.ask().state == "not ready"
