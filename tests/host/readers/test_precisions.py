"""The precisions that no engine runs, and the sentence that says which stack could."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.contract.errors import InputError
from runner.contract.fields import Fields
from runner.contract.request import PRECISIONS
from runner.host.readers import catalog, lockfile, precisions, strictyaml
from runner.host.readers.precisions import UnrunPrecision


def test_the_table_names_stacks_of_the_lock_and_words_that_no_engine_runs() -> None:
    lock, table = lockfile.read(), catalog.read().precisions
    words = [word for name, row in table.items() for word in (name, *row.also)]
    assert {"float8", "int8", "fp8"} <= set(words)
    assert not set(words) & set(PRECISIONS)
    assert len(words) == len(set(words))
    for row in table.values():
        assert set(row.offers) <= set(lock.stacks)


def test_first_generation_gaudi_and_a100_have_no_eight_bit_floats() -> None:
    offers = catalog.read().precisions["float8"].offers.values()
    assert not {"gaudi", "a100-80gb"} & {accelerator for offer in offers for accelerator in offer.accelerators}


def test_a_precision_that_no_stack_offers_is_said_to_be_none() -> None:
    said = precisions.refusal("float4", UnrunPrecision((), {}), "cuda", "h100")
    assert said == (
        "The stack cuda on h100 cannot run float4, and no other of versions.lock could; no engine of this kit runs float4 on any."
        " Take float32, bfloat16 or float16."
    )


@pytest.mark.parametrize(
    "text, problem",
    [
        ("also: []\noffers: {}\nmore: x\n", "the key 'more' is unknown"),
        ("also: []\n", "the key 'offers' is missing"),
        ("also: []\noffers:\n  cuda:\n    accelerators: []\n    how: a\n    source: b\n", "'accelerators' names none"),
        ("also: []\noffers:\n  cuda:\n    accelerators: [h100]\n    how: a\n", "the key 'source' is missing"),
        (
            "also: []\noffers:\n  cuda:\n    accelerators: [h100]\n    how: a\n    source: b\n    x: y\n",
            "the key 'x' is unknown",
        ),
    ],
)
def test_a_row_that_cannot_be_right_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "row.yaml").write_text(text)
    with pytest.raises(InputError, match=problem):
        precisions.of_row(Fields(strictyaml.read(tmp_path / "row.yaml"), "a row"))
