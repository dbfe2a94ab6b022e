from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from runner.contract.errors import InputError
from runner.host import paths
from runner.host.readers import accelerators, catalog, lockfile, profiles, strictyaml
from tests.support import hostile


def test_the_tables_agree_with_each_other_and_with_the_lock() -> None:
    tables, lock = catalog.read(), lockfile.read()
    assert {case.stack for case in tables.cases.values()} <= set(lock.stacks)
    third = [claim for claim in tables.claims.values() if claim.source == "post-3"]
    assert {claim.stack for claim in third} <= set(lock.stacks)
    assert {workload.dataset for workload in tables.workloads.values()} - {None} <= set(lock.datasets)
    for case in tables.cases.values():
        assert lock.stacks[case.stack].device == tables.accelerators[case.accelerator].device


def test_the_published_table_is_complete() -> None:
    """Both revisions that were found, 8 cells each; seconds as the post prints them."""
    claims = catalog.read().claims
    third = {(c.accelerator, c.devices, c.model): c.value for c in claims.values() if c.source == "post-3"}
    assert third == {
        ("gaudi2", 8, "bloomz"): "3.103",
        ("a100-80gb", 8, "bloomz"): "4.402",
        ("gaudi2", 8, "bloomz-7b1"): "0.734",
        ("a100-80gb", 8, "bloomz-7b1"): "2.417",
        ("gaudi", 8, "bloomz-7b1"): "3.321",
        ("gaudi2", 1, "bloomz-7b1"): "0.772",
        ("a100-80gb", 1, "bloomz-7b1"): "2.119",
        ("gaudi", 1, "bloomz-7b1"): "2.387",
    }
    first = {(c.accelerator, c.devices, c.model): c.value for c in claims.values() if c.source == "post-1"}
    assert len(first) == 8
    assert first["gaudi2", 8, "bloomz"] == "3.717"
    assert first["gaudi", 8, "bloomz-7b1"] == "3.029"


def test_every_case_on_published_software_stands_beside_the_cell_that_it_repeats() -> None:
    tables = catalog.read()
    published = {claim.stack for claim in tables.claims.values()}
    repeats = [case for case in tables.cases.values() if case.stack in published]
    assert len(repeats) >= 8
    blank = tables.cases["gaudi-16-bloomz"]
    assert (blank.beside, [claim for claim in tables.claims.values() if claim.devices == 16]) == ((), [])
    for case in repeats:
        if case is blank:
            continue
        (name,) = case.beside
        claim = tables.claims[name]
        for condition in ("accelerator", "devices", "model", "stack", "protocol", "workload", "precision"):
            assert getattr(case, condition) == getattr(claim, condition)


def test_every_case_on_other_software_stands_beside_the_same_model_on_as_many_devices() -> None:
    tables = catalog.read()
    published = {claim.stack for claim in tables.claims.values()}
    others = [case for case in tables.cases.values() if case.stack not in published and case.accelerator != "cpu"]
    for case in others:
        claims = [tables.claims[name] for name in case.beside]
        assert claims
        assert {(claim.model, claim.devices) for claim in claims} == {(case.model, case.devices)}


def test_the_protocols_differ_as_the_scripts_do() -> None:
    rows = catalog.read().protocols
    values = {
        name: (row.untimed_calls, row.timed_calls, row.synchronize_after, row.end_of_text, row.estimator)
        for name, row in rows.items()
    }
    assert values == {
        "gaudi-1.8": (2, 5, False, "ignore", "nominal"),
        "gaudi-1.9": (2, 5, False, "ignore", "nominal"),
        "gaudi-1.10": (3, 5, False, "ignore", "nominal"),
        "gaudi-1.23": (3, 5, False, "ignore", "nominal"),
        "gpu-2023": (3, 5, True, "stop", "produced"),
    }


@pytest.mark.parametrize(
    "file, old, new, problem",
    [
        ("cases.yaml", "model: bloom-tiny", "model: bloom-tny", "model is 'bloom-tny'; known are"),
        ("cases.yaml", "post-3-gaudi2-1-bloomz-7b1", "post-9", "beside is 'post-9'"),
        ("cases.yaml", "  cpu-1:", "  CPU_1:", "a name must be at most 40 lower-case letters"),
        ("cases.yaml", "launches: 1", "launches: none", "(line 24): 'launches' must be a whole number"),
        ("claims.yaml", "value: 3.717", "value: fast", "'value' must be a number"),
        ("claims.yaml", "value: 3.717", "value: 1e-20", "no time, rate or factor is below 1e-06"),
        ("claims.yaml", "value: 3.717", "value: 1e-320", "'value' must be a number as it was printed"),
        ("claims.yaml", "value: 3.717", "value: 3_717", "'value' must be a number as it was printed"),
        ("claims.yaml", "value: 3.717", "value: 0.0", "'value' must be finite and above 0"),
        ("claims.yaml", "prior_cv: 0.01", "prior_cv: 1", "'prior_cv' must be a fraction below 1"),
        (
            "cases.yaml",
            "  standard: 0.05",
            "  standard: 5",
            "'standard' must be a fraction below 1, 5 was found. Write 0.05",
        ),
        ("claims.yaml", "source: post-1", "source: post-7", "source is 'post-7'"),
        ("claims.yaml", "weights: dummy", "weights: made-up", "'weights' is 'made-up'"),
        ("claims.yaml", "value: 4.34", "value: 4,34", "'value' must be a number as it was printed"),
        ("claims.yaml", "batch_sizes: [4, 8]", "batch_sizes: []", "'batch_sizes' must name every batch"),
        ("claims.yaml", "batch_sizes: [4, 8]", "batch_sizes: [0, 8]", "'batch_sizes' must name every batch"),
        ("claims.yaml", "unit: s/image", "unit: s/images", "'unit' is 's/images'"),
        ("claims.yaml", "sources: [post-1, post-3]", "sources: [post-1, post-9]", "sources is 'post-9'; known are"),
        ("claims.yaml", "sources: [post-1, post-3]", "sources: []", "'sources' names none"),
        ("claims.yaml", "faster: sd-2022-gaudi2", "faster: sd-2022-gaudi3", "faster is 'sd-2022-gaudi3'; known are"),
        ("protocols.yaml", "estimator: nominal", "estimator: best", "'estimator' is 'best'"),
        ("models.yaml", "n_head: 112", "n_head: 113", "is no multiple of n_head 113"),
        (
            "workloads.yaml",
            "    prompt: DeepSpeed is a machine learning framework\n",
            "",
            "a workload has a prompt, or",
        ),
        ("workloads.yaml", "    column: content\n", "", "a workload has a prompt, or a dataset and its column"),
        ("cases.yaml", "  loose: 0.10", "  loose: 5", "'loose' must be a fraction below 1"),
        ("workloads.yaml", "  std: 0.3", "  std: 0", "'std' must be finite and above 0"),
        ("accelerators.yaml", "device: hpu", "devise: hpu", "'device' is missing"),
        ("precisions.yaml", "[h100, h200]", "[h100, h2000]", "accelerators is 'h2000'; known are"),
    ],
)
def test_a_wrong_row_is_named_with_its_file(tmp_path: Path, file: str, old: str, new: str, problem: str) -> None:
    folder = tmp_path / "catalog"
    shutil.copytree(paths.CATALOG, folder)
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        catalog.read(folder)
    assert problem in str(caught.value)
    assert file in str(caught.value)


# Texts for people, and texts that programs only compare: any script, but nothing that cannot be seen.
FREE = {"source", "how", "title", "place", "note", "table_stack", "text_stack", "engine", "prompt", "column"}


def _may_hold(file: str, where: tuple[str | int, ...], text: str) -> bool:
    """Return whether a text is free, or a label's value, and may be this one."""
    if file == "accelerators.yaml" and "labels" in where:
        return text == ""
    free = not FREE.isdisjoint(where) or (file == "accelerators.yaml" and "variables" in where)
    return free and (
        text in ("--x", "../x", "a;touch PWN", "g\u0430udi") or (where[-1] == "prompt" and text == "1.0\n")
    )


@pytest.fixture(scope="module")
def tables() -> dict[Path, Any]:
    return {path: strictyaml.read(path) for path in sorted(paths.CATALOG.glob("*.yaml"))}


@pytest.mark.parametrize(
    "text", ["--x", "../x", "a;touch PWN", "gaudi-1.9\u200b", "g\u0430udi", "1.0\n", "gaudi\x1b[2J", ""]
)
def test_no_text_of_a_table_takes_hostile_text(
    tables: dict[Path, Any], monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    whole = catalog.read()
    for path, document in tables.items():
        paths_by_shape = {(where[0], len(where), str(where[-1])): where for where in hostile.leaves(document)}
        for where in paths_by_shape.values():
            if _may_hold(path.name, where, text):
                continue
            changed = {**tables, path: hostile.with_text(document, where, text)}
            monkeypatch.setattr(strictyaml, "read", changed.__getitem__)
            with pytest.raises(InputError):
                profiles.read(whole) if path.name == "profiles.yaml" else catalog.read()
                pytest.fail(f"{path.name}: {where} took {text!r}")


def test_a_variable_of_a_place_is_no_secret(tables: dict[Path, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("HF_TOKEN", "x"), ("PLAIN", "hf_" + "a" * 34), ("INDEX", "https://user:secret@host/simple")):
        path = paths.CATALOG / "accelerators.yaml"
        changed = hostile.with_text(tables[path], ("accelerators", "gaudi2", "node", "variables"), {name: value})
        monkeypatch.setattr(strictyaml, "read", lambda path, changed=changed: changed)
        with pytest.raises(InputError, match="looks like a secret") as caught:
            accelerators.read()
        assert value not in str(caught.value) or value == "x"
