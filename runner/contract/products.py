"""The name of an accelerator by the product's name that the driver's tool gives: the catalog's name, or one made of the product's name.

The catalog's names are read from the table that `python -m runner render` makes of runner/catalog/accelerators.yaml.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
from typing import TypedDict

from runner.contract import files, strictjson

TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "accelerators.json")

# The longest name that patterns.NAME takes, and the digits that tell two long names with one beginning apart.
_MOST, _DIGITS = 40, 6

# How the driver writes between a GPU's name and the profile of one of its slices: NVIDIA A100-SXM4-80GB MIG 3g.40gb.
SLICE = " MIG "


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


def named(device: str, name: str) -> str:
    """Return the accelerator that a product name stands for; for a product that the table does not have, a name made of the product's.

    Host and launch both name an unknown product by this function, so that a launch can tell whether it ran on the product that was
    asked for. Raises ``InputError`` where the table cannot be read.
    """
    return accelerator(device, name) or _made_name(name)


def is_slice(name: str) -> bool:
    """Return whether a product's name is that of a slice of a GPU; a process sees one slice and no more."""
    return SLICE in name


def _made_name(name: str) -> str:
    """Return a product's name in the characters of an accelerator's name: nvidia-a100-pcie-40gb for NVIDIA A100-PCIE-40GB.

    A name that is too long, that has no such character, or that an accelerator of the table has, ends in digits of its sha256.
    """
    made = re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.")
    if made and len(made) <= _MOST and made not in _read(TABLE):
        return made
    digits = hashlib.sha256(name.encode("utf-8", errors="surrogatepass")).hexdigest()[:_DIGITS]
    return f"{made[: _MOST - _DIGITS - 1].strip('-.') or 'unnamed'}-{digits}"


def _matches(name: str, product: str) -> bool:
    return name.startswith(product[:-1]) if product.endswith("*") else name == product


@functools.lru_cache(maxsize=None)
def _read(table: str) -> dict[str, _Row]:
    """Return the rows of the table by the names of the accelerators."""
    rows: dict[str, _Row] = strictjson.loads(files.read_bytes(table, strictjson.MAX_BYTES), table)["accelerators"]
    return rows
