from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from runner.contract.errors import InputError, KitError, UnresolvedPin, Unsupported, UsageError
from runner.contract.files import sha256_of_file
from runner.contract.request import Request, read_request
from runner.host import cases
from runner.host.readers import accelerators, catalog, lockfile
from runner.host.verbs import request as verb


def made(tmp_path: Path, *arguments: object) -> Request:
    assert verb.main([*map(str, arguments), "--out", str(tmp_path)]) == 0
    (path,) = tmp_path.glob("*.json")
    return read_request(str(path))


def test_a_case_gets_every_pin_of_the_lock(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    request = made(tmp_path, "cpu-2")
    pins = lockfile.read().stacks["cpu"]
    assert capsys.readouterr().out == f"{tmp_path}/{request.id}.json\n"
    assert request.stack.packages == {name: pin.version for name, pin in pins.packages.items()}
    assert request.stack.requirements_sha256 == pins.requirements.sha256
    assert (request.devices, request.model.name, request.protocol.name) == (2, "bloom-tiny", "gaudi-1.10")
    assert (request.workload.prompt, request.workload.output_tokens) == (
        "DeepSpeed is a machine learning framework",
        100,
    )


def test_the_same_case_is_the_same_request(tmp_path: Path) -> None:
    assert made(tmp_path / "a", "cpu-1") == made(tmp_path / "b", "cpu-1")


def test_changes_make_another_request(tmp_path: Path) -> None:
    changed = made(
        tmp_path / "a", "cpu-1", "--model", "bloom-560m", "--weights", "hub", "--precision", "bfloat16", "--launches", 3
    )
    assert changed.id != made(tmp_path / "b", "cpu-1").id
    assert changed.model.repository == "bigscience/bloom-560m"
    assert changed.model.revision == lockfile.read().models["bloom-560m"].revision
    assert (changed.weights.kind, changed.launches, changed.workload.precision) == ("hub", 3, "bfloat16")


@pytest.mark.parametrize(
    "name, accelerator, firmware",
    [
        ("gaudi-1.9", "gaudi2", "1.9.0-fw-42.0.1"),
        ("gaudi-1.10", "gaudi2", "1.10.0-fw-43.2.0"),
        ("gaudi-1.10", "gaudi", None),  # the lock knows Gaudi2's alone
        ("cuda", "gaudi2", None),
    ],
)
def test_firmware_is_asked_of_the_accelerator_whose_it_is(name: str, accelerator: str, firmware: str | None) -> None:
    lock = lockfile.read()
    image = replace(lock.stacks[name].image, digest="sha256:" + "0" * 64)
    packages = {
        package: replace(pin, version="1" if pin.version == lockfile.UNRESOLVED else pin.version)
        for package, pin in lock.stacks[name].packages.items()
    }
    sha256 = replace(lock.stacks[name].requirements, sha256="0" * 64)
    whole = replace(lock.stacks[name], image=image, packages=packages, requirements=sha256)
    row = accelerators.read()[accelerator]
    stack = cases._stack(replace(lock, stacks={name: whole}, built={}), name, row, None, False)
    assert stack.firmware == firmware
    assert stack.driver == (None if name == "cuda" else whole.driver)


def test_the_engine_is_the_user_s_else_the_case_s_else_the_stack_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert made(tmp_path / "a", "cpu-1").engine == lockfile.read().stacks["cpu"].engine == "plain"
    assert made(tmp_path / "b", "cpu-1", "--engine", "compiled").engine == "compiled"
    tables = catalog.read()
    monkeypatch.setattr(catalog, "read", lambda: tables)
    tables.cases["cpu-1"] = replace(tables.cases["cpu-1"], engine="compiled")
    assert made(tmp_path / "c", "cpu-1").engine == "compiled"
    assert made(tmp_path / "d", "cpu-1", "--engine", "plain").engine == "plain"


def test_dummy_weights_are_of_no_revision(tmp_path: Path) -> None:
    request = made(tmp_path, "cpu-1", "--model", "bloomz", "--seed", 5)
    assert (request.model.revision, request.weights.seed) == (None, 5)
    assert request.model.architecture.parameter_count() == 176_247_271_424


@pytest.mark.parametrize("name", ["rows.csv", "LOUD.CSV", "news[1].Csv"])
def test_a_local_dataset_is_known_by_its_content(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("text\na\n")
    request = made(tmp_path / "out", "cpu-dataset", "--dataset-file", path, "--column", "text", "--batch-size", 4)
    dataset = request.workload.dataset
    assert dataset is not None
    assert (dataset.source, dataset.name, dataset.format, dataset.sha256) == (
        "file",
        name,
        "csv",
        sha256_of_file(path),
    )
    assert (request.workload.input_tokens, request.workload.output_tokens, request.workload.batch_size) == (16, 50, 4)
    assert str(tmp_path) not in json.dumps(request.to_json())


def test_a_hub_dataset_comes_with_its_pinned_revision(tmp_path: Path) -> None:
    dataset = made(tmp_path, "cpu-dataset").workload.dataset
    assert dataset is not None and dataset.revision is not None
    assert (dataset.name, dataset.revision[:8], dataset.column) == ("JulesBelveze/tldr_news", "92eb2941", "content")


@pytest.mark.parametrize(
    "arguments, error, problem",
    [
        ([], UsageError, "No case is named"),
        (["cpu1"], UsageError, "There is no case 'cpu1'. Did you mean cpu-1?"),
        (["cpu-1", "--model", "bloomz-7b"], UsageError, "There is no model 'bloomz-7b'. Did you mean bloomz-7b1?"),
        (["cpu-1", "--protocol", "gaudi-2"], UsageError, "There is no protocol 'gaudi-2'"),
        (["cpu-1", "--weights", "hub"], UsageError, "bloom-tiny has no published weights. Use --weights dummy"),
        (["cpu-1", "--model", "bloomz", "--weights", "hub", "--seed", "1"], UsageError, "--seed is for dummy weights"),
        (["cpu-1", "--precision", "bfloat61"], UsageError, "There is no precision 'bfloat61'. Did you mean bfloat16?"),
        (
            ["cpu-1", "--precision", "float8"],
            Unsupported,
            "The stack cpu on cpu cannot run float8; gaudi-1.24 could on gaudi2",
        ),
        (
            ["gaudi2-8-bloomz", "--precision", "fp8"],
            Unsupported,
            "and cuda could on h100 and h200 (FineGrainedFP8Config",
        ),
        (
            ["a100-8-bloomz", "--precision", "int8"],
            Unsupported,
            "The stack cuda-2023 offers int8 on a100-80gb (DeepSpeed",
        ),
        (["cpu-1", "--devices", "3"], Unsupported, "has 4 attention heads, which 3 devices cannot share"),
        (["cpu-1", "--launches", "0"], UsageError, "--launches must be at least 1, 0 was given"),
        (["cpu-1", "--launches", "1" + "0" * 15], UsageError, "--launches must be at most 1000000"),
        (["cpu-1", "--devices", "-1"], UsageError, "--devices must be at least 1, -1 was given"),
        (["cpu-1", "--devices", "1000000"], UsageError, "--devices must be at most 100000"),
        (["cpu-1", "--seed", "-1"], UsageError, "--seed must be at least 0, -1 was given"),
        (["cpu-1", "--seed", "9223372036854775808"], UsageError, "--seed must be at most 9223372036854775807"),
        (["cpu-1", "--margin", "5"], UsageError, "There is no margin '5'"),
        (["cpu-dataset", "--rows", "0"], UsageError, "--rows must be at least 1, 0 was given"),
        (["cpu-dataset", "--column", "a\udcff"], UsageError, "--column must be text on one line"),
        (["cpu-dataset", "--column", "a\x1b[2J"], UsageError, "--column must be text on one line"),
        (["cpu-dataset", "--split", "../x"], UsageError, "--split must be the name of a split"),
        (["cpu-dataset", "--configuration", "a b"], UsageError, "--configuration must be the name of a configuration"),
        (["cpu-dataset", "--dataset-file", "a\u200b.csv"], UsageError, "the name of --dataset-file must be text"),
        (["cpu-1\udcff"], UsageError, "There is no case 'cpu-1\\udcff'"),
        (["cpu-1", "--column", "text"], UsageError, "--column is for dataset workloads"),
        (["cpu-1", "--rows", "2"], UsageError, "--rows is for dataset workloads"),
        (["cpu-dataset", "--dataset-file", "none.jsonl"], InputError, "none.jsonl cannot be read: No such file"),
        (["cpu-dataset", "--dataset-file", "rows.txt"], UsageError, "rows.txt ends in none of .jsonl"),
        (["cpu-dataset", "--dataset-file", "a.csv", "--dataset", "tldr_news"], UsageError, "exclude each other"),
        (["cpu-dataset", "--dataset", "tldr"], UsageError, "There is no dataset 'tldr'"),
        (["gaudi2-8-bloomz"], UnresolvedPin, "The image digest of stack gaudi-1.10 is unresolved in versions.lock"),
    ],
)
def test_a_mistake_is_one_sentence_that_says_what_to_do(
    tmp_path: Path, arguments: list[str], error: type[KitError], problem: str
) -> None:
    with pytest.raises(error) as caught:
        verb.main([*arguments, "--out", str(tmp_path / "out")])
    assert problem in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written: .* Name another folder with --out"):
        verb.main(["cpu-1", "--out", str(tmp_path / "file")])


def test_a_revision_that_nobody_resolved_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = lockfile.read()
    lock.models["bloom-560m"] = lockfile.PinnedRepository("bigscience/bloom-560m", "unresolved", None, None)
    monkeypatch.setattr(lockfile, "read", lambda: lock)
    with pytest.raises(UnresolvedPin, match="The revision of bloom-560m is unresolved"):
        made(tmp_path, "cpu-1", "--model", "bloom-560m", "--weights", "hub")


def test_the_list_names_every_case_and_the_exact_size_of_every_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert verb.main(["--list"]) == 0
    out, tables = capsys.readouterr().out, catalog.read()
    assert all(name in out for name in [*tables.cases, *tables.models])
    assert "176,247,271,424 parameters" in out
    assert "7,069,016,064 parameters" in out


@pytest.mark.parametrize("number", ["1" + "0" * 30, "9" * 5000, "1.5", "1_0", "\u0663", ""])
def test_what_is_no_number_is_said_short(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        verb.main(["cpu-1", "--launches", number])
    assert len(capsys.readouterr().err.splitlines()[-1]) < 200


@pytest.mark.parametrize("kind", ["file", "fifo", "target is a fifo", "/proc"])
def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path, kind: str) -> None:
    out = tmp_path / "out"
    if kind == "file":
        out.write_text("")
    elif kind == "fifo":
        os.mkfifo(out)
    elif kind == "target is a fifo":
        request = made(out, "cpu-1")
        path = out / f"{request.id}.json"
        path.unlink()
        os.mkfifo(path)
    else:
        out = Path("/proc/nowhere")
    with pytest.raises(InputError, match="cannot be written: .*[.] Name another folder with --out[.]$"):
        verb.main(["cpu-1", "--out", str(out)])


@pytest.mark.parametrize("name", ["LOUD.CSV", "data.JsonL", "Comments [2024].csv", "e\u0301.csv"])
def test_a_data_file_may_have_any_name_that_can_be_seen(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("text\na\n", encoding="utf-8")
    dataset = made(
        tmp_path / "out", "cpu-dataset", "--dataset-file", tmp_path / name, "--column", "te xt\u00a0"
    ).workload.dataset
    assert dataset is not None
    assert (dataset.name, dataset.format) == (name, "csv" if name.lower().endswith("csv") else "json")
