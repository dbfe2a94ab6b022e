"""Room for images and weights, and whether the weights are here."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from runner.host.doctor import disk, weights
from runner.host.images import build
from runner.host.readers.lockfile import UNRESOLVED
from tests.host.doctor.conftest import BUILT, NeedsOf


def test_images_whose_size_is_known(needs_of: NeedsOf, monkeypatch: pytest.MonkeyPatch) -> None:
    needs = needs_of("a100-1-bloomz-7b1")
    monkeypatch.setattr(build, "earlier", lambda name: dataclasses.replace(BUILT, bytes=9 * 10**9))
    monkeypatch.setattr(disk, "free_bytes", lambda folder: 10 * 10**9)
    answer = disk.for_images(needs, "/storage")
    assert (answer.state, answer.finding) == ("ready", "10.0 GB are free in /storage; the images take 9.0 GB.")
    monkeypatch.setattr(disk, "free_bytes", lambda folder: 8 * 10**9)
    assert disk.for_images(needs, "/storage").state == "warning"


def test_images_whose_size_nobody_knows(needs_of: NeedsOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "earlier", lambda name: None)
    answer = disk.for_images(needs_of("cpu-1"), str(tmp_path))
    assert answer.state == "cannot be told" and "runner image cpu" in str(answer.remedy)


def test_the_free_bytes_of_a_folder_that_is_not_there_yet_are_those_above(tmp_path: Path) -> None:
    assert disk.free_bytes(tmp_path / "a" / "b") == pytest.approx(disk.free_bytes(tmp_path), rel=0.1)


def test_a_storage_that_cannot_be_seen(needs_of: NeedsOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "free_bytes", lambda folder: None)
    assert disk.for_images(needs_of("cpu-1"), "/storage").state == "cannot be told"


def test_weights_that_are_here(needs_of: NeedsOf, tmp_path: Path) -> None:
    (need,) = needs_of("gaudi2-1-bloomz-7b1")
    assert need.pin is not None
    snapshot = tmp_path / "models--bigscience--bloomz-7b1" / "snapshots" / need.pin.revision
    snapshot.mkdir(parents=True)
    sizes = dataclasses.asdict(need.request.model.architecture)
    (snapshot / "config.json").write_text(json.dumps({"model_type": "bloom", **sizes}))
    (snapshot / "tokenizer.json").write_text("{}")
    assert weights.of_model(need, tmp_path).state == "warning"
    (snapshot / "model.safetensors").write_text("")
    assert weights.of_model(need, tmp_path).state == "ready"


def test_weights_that_would_be_fetched(needs_of: NeedsOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (need,) = needs_of("gaudi2-8-bloomz")
    monkeypatch.setattr(weights, "free_bytes", lambda folder: 400 * 10**9)
    answer = weights.of_model(need, tmp_path)
    assert answer.state == "warning"
    assert answer.finding == f"352.5 GB would be fetched from bigscience/bloomz; 400.0 GB are free in {tmp_path}."
    monkeypatch.setattr(weights, "free_bytes", lambda folder: None)
    assert "cannot be told" in weights.of_model(need, tmp_path).finding


def test_weights_that_do_not_fit(needs_of: NeedsOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (need,) = needs_of("gaudi2-8-bloomz")
    monkeypatch.setattr(weights, "free_bytes", lambda folder: 352 * 10**9)
    assert weights.of_model(need, tmp_path).state == "not ready"
    # what an earlier attempt left counts
    blobs = tmp_path / "models--bigscience--bloomz" / "blobs"
    blobs.mkdir(parents=True)
    with (blobs / "a").open("wb") as file:
        file.truncate(10**9)
    assert weights.of_model(need, tmp_path).state == "warning"


def test_a_revision_that_is_unresolved(needs_of: NeedsOf, tmp_path: Path) -> None:
    (need,) = needs_of("gaudi2-8-bloomz")
    assert need.pin is not None
    unresolved = dataclasses.replace(need, pin=dataclasses.replace(need.pin, revision=UNRESOLVED))
    assert weights.of_model(unresolved, tmp_path).state == "not ready"


def test_one_look_for_each_model_and_none_for_dummy_weights(needs_of: NeedsOf) -> None:
    needs = needs_of("gaudi2-8-bloomz", "gaudi2-8-bloomz-7b1", "gaudi2-1-bloomz-7b1", "cpu-1")
    assert [look.what for look in weights.looks(needs, False)] == ["weights of bloomz", "weights of bloomz-7b1"]
    on_a_claim = [look.ask() for look in weights.looks(needs, True)]
    assert {answer.state for answer in on_a_claim} == {"cannot be told"}
    assert on_a_claim[0].finding.startswith("352.5 GB of bigscience/bloomz belong on the claim bench-models")
