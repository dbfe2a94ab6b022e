"""What ``request --here`` chooses for a host, refuses, and says of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from runner.contract.errors import (
    DoesNotFit,
    InputError,
    KitError,
    LaunchFailed,
    UnresolvedPin,
    Unsupported,
    UsageError,
)
from runner.contract.found_devices import DeviceFound, DevicesUntold, Told
from runner.contract.request import read_request
from runner.host import choice
from runner.host.cases import Changes
from runner.host.choice import Asked, Chosen
from runner.host.readers import catalog, lockfile
from runner.host.verbs import request as verb
from tests.support.found import gaudis, gpus

# The stacks whose cases these tests count. A stack that was added beside them has cases of its own on the same devices.
STACKS = ("cpu", "cuda", "cuda-2023", "gaudi-1.10", "gaudi-1.24")


def tables() -> catalog.Catalog:
    """Return the catalog with the cases of these stacks alone."""
    whole = catalog.read()
    return replace(whole, cases={name: case for name, case in whole.cases.items() if case.stack in STACKS})


TABLES, LOCK = tables(), lockfile.read()
H100, PCIE, RTX = "NVIDIA H100 80GB HBM3", "NVIDIA A100-PCIE-40GB", "NVIDIA GeForce RTX 4090"
SLICE = "NVIDIA A100-SXM4-80GB MIG 3g.40gb"


ASKED = Asked((), None, None, False, Changes())
NOWHERE = {"HF_HUB_CACHE": "/nowhere"}


def chosen(devices: Sequence[Told], asked: Asked = ASKED, environment: dict[str, str] = NOWHERE) -> Chosen:
    return choice.choose(TABLES, LOCK, devices, asked, environment)


def names(made: Chosen) -> list[str]:
    return [request.case for request in made.requests]


def test_without_accelerators_the_cpu_is_walked() -> None:
    made = chosen([])
    assert names(made) == ["cpu-1", "cpu-2"]
    assert made.sentence == "no accelerator was found: measuring cpu-1 and cpu-2 with dummy weights; 2 cases"


def test_the_cpu_may_be_asked_for_where_there_is_more() -> None:
    made = chosen(gpus(8, H100), replace(ASKED, device="cpu"))
    assert names(made) == ["cpu-1", "cpu-2"] and made.sentence.startswith("the CPU was asked for: ")
    assert names(chosen(gpus(8, None), replace(ASKED, device="cpu"))) == ["cpu-1", "cpu-2"]


UNTOLD = DevicesUntold("cuda", 0, "No device file of NVIDIA is here, and nvidia-smi fails.")


def test_the_cpu_is_not_walked_where_a_tool_did_not_tell() -> None:
    for asked in (ASKED, replace(ASKED, device="cuda"), replace(ASKED, cases=("h100-1-bloomz-7b1-compiled",))):
        with pytest.raises(LaunchFailed, match=r"nvidia-smi fails\. DEVICE=cpu measures on the CPU\."):
            chosen([UNTOLD], asked)
    assert names(chosen([UNTOLD], replace(ASKED, device="cpu"))) == ["cpu-1", "cpu-2"]
    assert names(chosen([UNTOLD], replace(ASKED, cases=("cpu-1",)))) == ["cpu-1"]
    made = chosen([UNTOLD, *gaudis(8)])
    assert "gaudi2-8-bloomz" in made.in_images and made.sentence.endswith(f". {UNTOLD.message}")


def test_eight_devices_measure_the_cases_of_eight_and_of_one() -> None:
    made = chosen(gpus(8, H100))
    assert made.sentence == (
        "found 8 x NVIDIA H100 80GB HBM3 (driver 580.1): measuring h100-8-bloomz-compiled and h100-1-bloomz-7b1-compiled with dummy"
        " weights; 2 cases"
    )
    assert [(request.devices, request.weights.kind, request.accelerator.name) for request in made.requests] == [
        (8, "dummy", "h100"),
        (1, "dummy", "h100"),
    ]
    assert {request.stack.image for request in made.requests} == {None}


def test_fewer_devices_measure_less_and_that_is_said() -> None:
    made = chosen(gpus(4, H100))
    assert names(made) == ["h100-1-bloomz-7b1-compiled"]
    assert made.sentence.endswith("; 1 case; h100-8-bloomz-compiled needs 8 devices")


@pytest.mark.parametrize(
    "name, memory_bytes, slug",
    [
        (PCIE, 40960 << 20, "nvidia-a100-pcie-40gb"),
        (RTX, 24564 << 20, "nvidia-geforce-rtx-4090"),
        (SLICE, 40 * 10**9, "nvidia-a100-sxm4-80gb-mig-3g.40gb"),
        (RTX, None, "nvidia-geforce-rtx-4090"),
    ],
    ids=["pcie", "rtx", "slice", "untold"],
)
def test_a_product_that_nobody_named_is_measured_as_what_it_is(name: str, memory_bytes: int | None, slug: str) -> None:
    (request,) = chosen(gpus(1, name, memory_bytes)).requests
    accelerator = request.accelerator
    assert (accelerator.name, accelerator.memory_bytes, accelerator.hbm_bytes_per_s) == (slug, memory_bytes, None)
    assert request.case == "other-cuda-1-bloomz-7b1"


def test_a_model_that_does_not_fit_is_left_out_with_a_word() -> None:
    made = chosen(gpus(8, RTX, 24564 << 20))
    assert names(made) == ["other-cuda-1-bloomz-7b1"]
    assert made.sentence.endswith("; other-cuda-8-bloomz does not fit")


def test_where_no_model_fits_the_need_is_said() -> None:
    with pytest.raises(
        DoesNotFit, match=r"found 1 x Small .*needs 16,190,624,768 bytes on each device; each has 8,000,"
    ):
        chosen(gpus(1, "Small", 8 * 10**9))
    made = chosen(gpus(1, "Small", 8 * 10**9), replace(ASKED, changes=Changes(model="bloom-560m")))
    assert [request.model.name for request in made.requests] == ["bloom-560m"]


def test_of_several_slices_a_launch_sees_the_first() -> None:
    devices = [*gpus(2, SLICE), *gpus(1, "NVIDIA A100-SXM4-80GB MIG 1g.10gb")]
    made = chosen(devices)
    assert made.sentence.startswith(f"found 1 x {SLICE} (driver 580.1), the first of 3 slices: ")
    assert [request.devices for request in made.requests] == [1]


def test_named_cases_overrule_the_choice() -> None:
    assert names(chosen(gpus(8, H100), replace(ASKED, cases=("cpu-1", "h100-1-bloomz-7b1-compiled")))) == [
        "cpu-1",
        "h100-1-bloomz-7b1-compiled",
    ]
    assert names(chosen(gpus(8, None), replace(ASKED, cases=("cpu-1",)))) == ["cpu-1"]
    (request,) = chosen(gpus(1, H100), replace(ASKED, cases=("other-cuda-1-bloomz-7b1",))).requests
    assert request.accelerator == TABLES.accelerators["h100"]


@pytest.mark.parametrize(
    "devices, cases, device, error, told",
    [
        (
            [],
            ["h100-1-bloomz-7b1-compiled"],
            None,
            LaunchFailed,
            "asks for 1 x h100, and no accelerator was found here.",
        ),
        ([], [], "cuda", LaunchFailed, "No accelerator of the kind cuda was found here."),
        (gaudis(8), [], "cuda", LaunchFailed, "No accelerator of the kind cuda was found here."),
        (gpus(4, H100), ["h100-8-bloomz-compiled"], None, LaunchFailed, "asks for 8 x h100; found 4 x NVIDIA H100"),
        (
            gpus(1, PCIE),
            ["h100-1-bloomz-7b1-compiled"],
            None,
            Unsupported,
            "asks for 1 x h100; found 1 x NVIDIA A100-PCIE",
        ),
        (
            gpus(8, H100, busy=[3]),
            [],
            None,
            LaunchFailed,
            "other processes compute on device 3: h100-8-bloomz-compiled",
        ),
        (
            gpus(1, H100, busy=[0]),
            ["h100-1-bloomz-7b1-compiled"],
            None,
            LaunchFailed,
            "other processes compute on device 0",
        ),
        (gpus(2, None), [], None, LaunchFailed, "2 device file(s) of the kind cuda, but nothing tells which product"),
        (
            [*gpus(1, "T400"), *gpus(1, H100)],
            [],
            None,
            Unsupported,
            "1 x T400 and 1 x NVIDIA H100 80GB HBM3, and a launch",
        ),
        ([*gpus(1, H100), *gaudis(1)], [], None, Unsupported, "1 x NVIDIA H100 80GB HBM3 and 1 x HL-225"),
        (gaudis(8, "HL-999"), [], None, Unsupported, "HL-999, which runner/catalog/accelerators.yaml does not name"),
        (gaudis(8, "HL-325L"), [], None, Unsupported, "no case for gaudi3"),
        (gpus(8, H100), ["h100-8"], None, UsageError, "There is no case 'h100-8'"),
        (gaudis(1), ["gaudi2-1-bloomz-7b1", "cpu-1"], None, Unsupported, "can be run in an image alone, beside cpu-1"),
    ],
    ids=lambda value: value.replace(" ", "-")[:24] if isinstance(value, str) else None,
)
def test_what_cannot_be_measured_is_said_in_one_sentence(
    devices: list[DeviceFound], cases: list[str], device: str | None, error: type[KitError], told: str
) -> None:
    with pytest.raises(error) as caught:
        chosen(devices, replace(ASKED, cases=tuple(cases), device=device))
    assert told in str(caught.value)


def test_a_device_that_a_case_does_not_use_may_be_busy() -> None:
    asked = replace(ASKED, cases=("h100-1-bloomz-7b1-compiled",))
    assert names(chosen(gpus(8, H100, busy=[3]), asked)) == ["h100-1-bloomz-7b1-compiled"]


def test_stacks_that_live_in_an_image_are_left_to_the_container() -> None:
    made = chosen(gaudis(8))
    assert made.requests == [] and "gaudi2-8-bloomz" in made.in_images
    assert made.sentence.startswith(
        "found 8 x HL-225 (driver 1.10.0): nothing is measured without a container; in an image"
    )
    made = chosen(gpus(1, "NVIDIA A100-SXM4-80GB"))
    assert (names(made), made.in_images) == (["a100-1-bloomz-7b1-compiled"], ["a100-1-bloomz-7b1"])
    made = chosen(gaudis(8), replace(ASKED, cases=("gaudi2-1-bloomz-7b1",)))
    assert (made.requests, made.in_images) == ([], ["gaudi2-1-bloomz-7b1"])


def test_in_images_every_stack_is_usable_and_requests_name_the_images() -> None:
    made = chosen(gpus(8, "NVIDIA A100-SXM4-80GB"), replace(ASKED, in_images=True))
    assert {request.stack.name for request in made.requests} == {"cuda-2023", "cuda"}
    assert all(request.stack.image for request in made.requests)


def test_where_every_stack_has_an_open_pin_the_first_is_named() -> None:
    with pytest.raises(UnresolvedPin, match="found 8 x HL-225 .*gaudi-1.10"):
        chosen(gaudis(8), replace(ASKED, in_images=True))


def _weights(folder: Path, model: str) -> None:
    sizes = TABLES.models[model]
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(
        json.dumps({name: getattr(sizes, name) for name in ("vocab_size", "hidden_size", "n_layer", "n_head")})
    )
    for name in ("tokenizer.json", "model.safetensors"):
        (folder / name).touch()


def test_real_weights_are_taken_where_they_are(tmp_path: Path) -> None:
    pin = LOCK.models["bloomz-7b1"]
    cache = {"HF_HUB_CACHE": str(tmp_path)}
    _weights(tmp_path / "models--bigscience--bloomz-7b1" / "snapshots" / pin.revision, "bloomz-7b1")
    made = chosen(gpus(8, H100), environment=cache)
    assert [request.weights.kind for request in made.requests] == ["dummy", "hub"]
    assert f"h100-1-bloomz-7b1-compiled with the real weights in {tmp_path}; 2 cases" in made.sentence
    asked = replace(ASKED, changes=Changes(weights="dummy"))
    assert {request.weights.kind for request in chosen(gpus(8, H100), asked, cache).requests} == {"dummy"}


def test_a_folder_of_real_weights_is_taken_for_its_model_alone(tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    _weights(folder, "bloomz-7b1")
    made = chosen(gpus(8, H100), replace(ASKED, model_dir=folder))
    assert [request.weights.kind for request in made.requests] == ["dummy", "hub"]
    made = chosen(gpus(8, H100), replace(ASKED, model_dir=tmp_path))
    assert {request.weights.kind for request in made.requests} == {"dummy"}
    assert made.sentence.endswith(f"{tmp_path} holds the whole weights of none of them")


def test_the_verb_reads_the_list_and_says_what_it_chose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(catalog, "read", lambda: TABLES)
    listed = tmp_path / "devices"
    listed.write_text("".join(f"{json.dumps(found.facts())}\n" for found in gpus(1, PCIE, 40 * 10**9)))
    arguments = ["--here", str(listed), "--no-image", "--out", str(tmp_path / "requests")]
    assert verb.main(arguments) == 0
    out, err = capsys.readouterr()
    assert err.startswith("found 1 x NVIDIA A100-PCIE-40GB (driver 580.1): measuring other-cuda-1-bloomz-7b1 with ")
    assert read_request(out.strip()).accelerator.name == "nvidia-a100-pcie-40gb"
    assert verb.main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().err)["cases"] == ["other-cuda-1-bloomz-7b1"]


def test_gpus_that_deepspeed_cannot_take_are_refused_before_an_environment_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an image the variable of the host is not DeepSpeed's, and the CPU has no numbers."""
    listed = tmp_path / "devices"
    listed.write_text("".join(f"{json.dumps(found.facts())}\n" for found in gpus(1, H100)))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-5d5ba0d6")
    arguments = ["--here", str(listed), "--out", str(tmp_path / "requests")]
    with pytest.raises(LaunchFailed, match="the launcher of DeepSpeed takes numbers alone"):
        verb.main([*arguments, "--no-image"])
    assert verb.main([*arguments, "--no-image", "--device", "cpu"]) == 0
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert verb.main([*arguments, "--no-image"]) == 0


def test_the_verb_refuses_what_is_for_a_host_alone(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--device and --model-dir are for --here"):
        verb.main(["cpu-1", "--device", "cpu"])
    with pytest.raises(InputError, match="cannot be read"):
        verb.main(["--here", str(tmp_path / "none")])
    with pytest.raises(Unsupported, match="lives in an image alone"):
        verb.main(["a100-1-bloomz-7b1", "--no-image", "--out", str(tmp_path)])


def test_variables_that_may_hide_a_device_are_named() -> None:
    assert chosen([], environment={**NOWHERE, "CUDA_VISIBLE_DEVICES": "7"}).sentence.startswith(
        "no accelerator was found (CUDA_VISIBLE_DEVICES may hide some): measuring cpu-1"
    )


def test_another_model_than_the_case_s_is_named() -> None:
    made = chosen(gpus(1, RTX, 24 * 10**9), replace(ASKED, changes=Changes(model="bloom-560m")))
    assert "measuring other-cuda-1-bloomz-7b1 (as bloom-560m) with dummy weights" in made.sentence


def test_weights_that_are_asked_for_must_be_here_before_anything_is_installed(tmp_path: Path) -> None:
    asked = replace(ASKED, changes=Changes(weights="hub"))
    with pytest.raises(
        InputError, match=r"of bigscience/bloomz.*, about .* GB\. Fetch them: make weights MODEL=bloomz"
    ):
        chosen(gpus(8, H100), asked)
    with pytest.raises(InputError, match="none is no folder of weights"):
        chosen(gpus(8, H100), replace(ASKED, model_dir=tmp_path / "none"))
    folder = tmp_path / "bloomz-7b1"
    _weights(folder, "bloomz-7b1")
    one = replace(asked, cases=("h100-1-bloomz-7b1-compiled",), model_dir=folder)
    assert [request.weights.kind for request in chosen(gpus(8, H100), one).requests] == ["hub"]
