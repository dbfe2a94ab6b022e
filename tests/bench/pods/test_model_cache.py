"""The folder of models: what is half written, what fits, and the marker of a whole model."""

from __future__ import annotations

import os
from collections import namedtuple
from pathlib import Path

import pytest

from runner.bench.pods import model_cache
from runner.bench.pods.hub_files import HubFile, HubModel
from runner.contract.errors import DoesNotFit, PublishFailed

MODEL = HubModel("bloomz", "bigscience/bloomz", "7" * 40, {})


def test_what_a_killed_attempt_left_half_is_removed_once_it_is_old(tmp_path: Path) -> None:
    blobs = tmp_path / "hub" / "models--bigscience--bloomz" / "blobs"
    blobs.mkdir(parents=True)
    for name in ("a.incomplete", "a.0123abcd.incomplete", "b.0123abcd.incomplete", "whole"):
        (blobs / name).write_text("x")
        if not name.startswith("b."):
            os.utime(blobs / name, (1, 1))
    model_cache.remove_abandoned(str(tmp_path / "hub"), MODEL)
    assert sorted(path.name for path in blobs.iterdir()) == ["a.incomplete", "b.0123abcd.incomplete", "whole"]


def test_what_has_come_of_a_file_is_counted_while_it_is_fetched_and_when_it_is_whole(tmp_path: Path) -> None:
    blobs = tmp_path / "hub" / "models--bigscience--bloomz" / "blobs"
    file = HubFile("model.safetensors", 100, "a" * 64, None)
    assert model_cache.present_bytes(str(tmp_path / "hub"), MODEL, file) == 0
    blobs.mkdir(parents=True)
    (blobs / ("b" * 64)).write_bytes(b"x" * 90)
    begun = blobs / f"{'a' * 64}.0123abcd.incomplete"
    begun.write_bytes(b"x" * 40)
    assert model_cache.present_bytes(str(tmp_path / "hub"), MODEL, file) == 40
    begun.rename(blobs / ("a" * 64))
    assert model_cache.present_bytes(str(tmp_path / "hub"), MODEL, file) == 40
    (blobs / ("a" * 64)).write_bytes(b"x" * 400)
    assert model_cache.present_bytes(str(tmp_path / "hub"), MODEL, file) == 100


Room = namedtuple("Room", "f_bavail f_frsize")


def test_a_volume_that_is_too_small_is_said_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [HubFile("model.safetensors", 5_000_000, "0" * 64, None)]
    monkeypatch.setattr(os, "statvfs", lambda folder: Room(1, 4096))
    with pytest.raises(DoesNotFit, match=r"needs 5,000,000 bytes more in .*, where 4,096 are free"):
        model_cache.refuse_too_small(str(tmp_path / "hub"), [(MODEL, files)])
    blobs = tmp_path / "hub" / "models--bigscience--bloomz" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{'0' * 64}{model_cache.PARTIAL}").write_bytes(b"x" * 4_999_000)
    model_cache.refuse_too_small(str(tmp_path / "hub"), [(MODEL, files)])
    other = MODEL._replace(repository="bigscience/bloom", revision="8" * 40)
    with pytest.raises(DoesNotFit, match="bigscience/bloomz and bigscience/bloom need 5,001,000 bytes more"):
        model_cache.refuse_too_small(str(tmp_path / "hub"), [(MODEL, files), (other, files)])


def test_a_marker_that_another_pod_wrote_is_as_good(tmp_path: Path) -> None:
    model_cache.mark(str(tmp_path), MODEL, [])
    model_cache.mark(str(tmp_path), MODEL, [])
    (tmp_path / "file").write_text("")
    with pytest.raises(PublishFailed):
        model_cache.mark(str(tmp_path / "file"), MODEL, [])
