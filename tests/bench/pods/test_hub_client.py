"""What the hub's client tells, and its errors in words that say what to do."""

from __future__ import annotations

import sys
from collections import namedtuple
from typing import Any, ClassVar

import pytest

from runner.bench.pods import hub_client
from runner.bench.pods.hub_files import HubModel
from runner.contract.errors import InputError, KitError, PublishFailed, Unreachable

MODEL = HubModel("bloomz", "bigscience/bloomz", "7" * 40, {})


class Hub:
    """Stands for the hub's client: a repository with the given names."""

    names: ClassVar[list[str]] = []

    def model_info(self, *arguments: object, **keywords: object) -> Any:
        entry = namedtuple("entry", "rfilename size lfs blob_id")
        return namedtuple("told", "siblings")([entry(name, 1, None, "0" * 40) for name in self.names])


@pytest.mark.parametrize(
    "names, pins, wanted",
    [
        (["../x.safetensors", "a/b.safetensors", "pytorch_model/../../x.bin"], [], None),
        (
            ["model.safetensors", "../config.json", "/etc/config.json", "config.json"],
            [],
            ["config.json", "model.safetensors"],
        ),
        (["model.safetensors", "zz.safetensors"], ["model.safetensors"], ["model.safetensors"]),
        (["model.safetensors"], ["other.safetensors"], None),
        (["model.safetensors", "pytorch_model.bin"], ["pytorch_model.bin"], ["pytorch_model.bin"]),
        (
            ["m.safetensors", "model.safetensors.index.json", "pytorch_model.bin.index.json"],
            [],
            ["m.safetensors", "model.safetensors.index.json"],
        ),
    ],
)
def test_names_that_the_hub_tells_are_plain_names_and_the_pinned_ones(
    monkeypatch: pytest.MonkeyPatch, names: list[str], pins: list[str], wanted: list[str] | None
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", namedtuple("client", "HfApi")(Hub))
    monkeypatch.setattr(Hub, "names", names)
    model = MODEL._replace(files=dict.fromkeys(pins, "1" * 64))
    if wanted is None:
        with pytest.raises(InputError, match="has no weights that a run can read|has no other.safetensors at the hub"):
            hub_client.list_files(model, None)
    else:
        assert [file.name for file in hub_client.list_files(model, None)] == wanted


@pytest.mark.parametrize("missing", [{"size": None}, {"blob_id": None}])
def test_a_file_of_which_the_hub_says_too_little_is_told(missing: dict[str, None]) -> None:
    entry = {"rfilename": "model.safetensors", "size": 1, "lfs": None, "blob_id": "0" * 40, **missing}
    with pytest.raises(Unreachable, match="does not say what model.safetensors must be"):
        hub_client.described(namedtuple("entry", entry)(**entry))


@pytest.mark.parametrize("kind, error", [("RevisionNotFoundError", InputError), ("SomeNewError", Unreachable)])
def test_errors_of_the_client_are_told_apart_by_what_can_be_done(kind: str, error: type[KitError]) -> None:
    def fail() -> None:
        raise type(kind, (Exception,), {})("because")

    with pytest.raises(error, match="because"):
        hub_client.translated(MODEL, fail)


def test_a_full_volume_is_no_fault_of_the_hub() -> None:
    def fail() -> None:
        raise OSError(28, "No space left on device", "/models/x")

    with pytest.raises(PublishFailed, match="/models/x cannot be written: No space left on device"):
        hub_client.translated(MODEL, fail)
