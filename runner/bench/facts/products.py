"""Find the accelerator of a product's name, by the table that `python -m runner render` makes of runner/catalog/accelerators.yaml."""

from __future__ import annotations

import functools
import os
from typing import TypedDict

import runner.contract
from runner.contract import files, strictjson

TABLE = os.path.join(os.path.dirname(runner.contract.__file__), "accelerators.json")


class _Row(TypedDict):
    device: str
    products: list[str]


def accelerator(device: str, name: str) -> str | None:
    """Return the accelerator that a product name of the driver's tool stands for, None for a name that the table does not have.

    ``device`` is the kind of processor: hpu or cuda. A product of the table that ends in * is the beginning of names. Raises
    ``InputError`` where the table cannot be read.
    """
    for accelerator_name, row in _read(TABLE).items():
        if row["device"] == device and any(_matches(name, product) for product in row["products"]):
            return accelerator_name
    return None


def _matches(name: str, product: str) -> bool:
    return name.startswith(product[:-1]) if product.endswith("*") else name == product


@functools.lru_cache(maxsize=None)
def _read(table: str) -> dict[str, _Row]:
    """Return the rows of the table by the names of the accelerators."""
    rows: dict[str, _Row] = strictjson.loads(files.read_bytes(table, strictjson.MAX_BYTES), table)["accelerators"]
    return rows
