"""Read the prices that a user keeps in prices.yaml: what devices cost an hour, where, since when, and who says so.

The kit has no prices of its own, and converts no currency: an amount is true of one region on one day.
"""

from __future__ import annotations

import datetime
import math
import re
from dataclasses import dataclass
from pathlib import Path

from runner.contract import files, patterns
from runner.contract.errors import InputError
from runner.contract.fields import Fields
from runner.contract.request import MAX_DEVICES
from runner.host import paths
from runner.host.readers import strictyaml
from runner.host.readers.catalog import Catalog

# More than a page can show; a price list of a provider is another file.
MAX_PRICES = 24
# Of an amount, in any currency: far from every price, and from overflows of floats.
_LEAST, _MOST = 1e-6, 1e9
_AMOUNT = re.compile(r"[0-9]{1,10}(\.[0-9]{1,6})?")
_CURRENCY = re.compile(r"[A-Z]{3}")
_ADVICE = "Copy examples/prices.yaml and put your prices in, or leave prices out."


@dataclass(frozen=True)
class HourlyPrice:
    """What an instance with ``devices`` of the accelerator ``product`` costs an hour.

    ``price`` is the amount in ``currency`` (three letters of ISO 4217) as it was written. ``date`` is the day on which ``source`` named
    the price, as YYYY-MM-DD.
    """

    product: str
    devices: int
    price: str
    currency: str
    region: str
    date: str
    source: str

    @property
    def amount_per_h(self) -> float:
        """Return the amount for one instance and one hour."""
        return float(self.price)

    def age_days(self, today: str) -> int:
        """Return how many days before ``today`` (YYYY-MM-DD) the price was named."""
        return (datetime.date.fromisoformat(today) - datetime.date.fromisoformat(self.date)).days

    def whole_per_h(self, devices: int) -> float:
        """Return what an hour of the whole instances costs that hold ``devices``, though some of their devices may rest."""
        return self.amount_per_h * math.ceil(devices / self.devices)

    def share_per_h(self, devices: int) -> float:
        """Return what an hour of ``devices`` costs as their share of the instances, as if others paid for the rest."""
        return self.amount_per_h * devices / self.devices


@dataclass(frozen=True)
class Prices:
    """The prices of a file by the names of their rows, in the file's order; ``path`` is the file as it was given."""

    path: str
    rows: dict[str, HourlyPrice]

    def of(self, product: str) -> dict[str, HourlyPrice]:
        """Return the prices of one product: several where regions, dates, currencies or sizes differ."""
        return {name: row for name, row in self.rows.items() if row.product == product}


def read(path: Path, catalog: Catalog, today: str) -> Prices:
    """Read a file of prices, none of which may be younger than ``today`` (YYYY-MM-DD).

    Raises ``InputError`` with file and line for a file without prices, an unknown product, and a row that cannot be right.
    """
    shown = paths.shown(path)
    raw = files.read_bytes(path, strictyaml.MAX_BYTES, advice=_ADVICE)
    table = Fields(strictyaml.loads(raw, shown, "copy examples/prices.yaml anew"), shown)
    # a row for others stands for no product of its own, and a share of the host's processor is not counted in devices
    products = tuple(
        name for name, row in catalog.accelerator_rows.items() if not (row.others or row.in_request.is_the_host)
    )
    rows = {name: _row(row, products, today) for name, row in table.each("prices", patterns.ROW)}
    table.done()
    if not rows:
        raise InputError(f"{shown}: 'prices' has no row. {_ADVICE}")
    if len(rows) > MAX_PRICES:
        raise InputError(
            f"{shown}: {len(rows)} prices, at most {MAX_PRICES} are read. Leave those out that do not matter."
        )
    return Prices(str(path), rows)


def _row(row: Fields, products: tuple[str, ...], today: str) -> HourlyPrice:
    row.choice("per", ("hour",))
    price = HourlyPrice(
        product=row.choice("product", products),
        devices=row.count("devices", least=1, most=MAX_DEVICES),
        price=row.pattern("price", _AMOUNT, "an amount in digits, such as 32.77"),
        currency=row.pattern("currency", _CURRENCY, "the three letters of a currency in ISO 4217, such as USD"),
        region=row.form("region", patterns.TEXT),
        date=row.form("date", patterns.DATE),
        source=row.form("source", patterns.TEXT),
    )
    if not _LEAST <= price.amount_per_h <= _MOST:
        raise row.fail("price", f"'price' is {price.price}; it must be from {_LEAST:f} to {_MOST:.0f}.")
    if _age_days(row, price, today) < 0:
        raise row.fail("date", f"'date' is {price.date}, which lies after {today}: nobody has named that price yet.")
    row.done()
    return price


def _age_days(row: Fields, price: HourlyPrice, today: str) -> int:
    """Return the age of a price. Raises the row's error for a day that no calendar has."""
    try:
        return price.age_days(today)
    except ValueError:
        raise row.fail("date", f"'date' is {price.date}, which no calendar has.") from None
