"""The prices of a user: read strictly, dated, and never filled in."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.contract.errors import InputError
from runner.host import paths
from runner.host.readers import catalog, prices

TODAY = "2026-11-27"
ROW = {
    "product": "gaudi2",
    "devices": "8",
    "price": "10.42",
    "currency": "EUR",
    "per": "hour",
    "region": "our own room",
    "date": "2026-11-01",
    "source": "invoice 7",
}


def written(folder: Path, *rows: dict[str, str]) -> Path:
    """Return the path of a file with rows row-0, row-1 and so on, each field on a line of its own."""
    path = folder / "prices.yaml"
    text = "prices:\n"
    for number, row in enumerate(rows):
        text += f"  row-{number}:\n" + "".join(f"    {key}: {value}\n" for key, value in row.items())
    path.write_text(text, encoding="utf-8")
    return path


def read(path: Path) -> prices.Prices:
    return prices.read(path, catalog.read(), TODAY)


def test_a_row_is_read_as_it_was_written(tmp_path: Path) -> None:
    price = read(written(tmp_path, ROW)).rows["row-0"]
    assert (price.product, price.devices, price.price, price.currency) == ("gaudi2", 8, "10.42", "EUR")
    assert price.amount_per_h == 10.42
    assert price.age_days(TODAY) == 26


def test_a_product_may_have_several_prices(tmp_path: Path) -> None:
    rows = [ROW, {**ROW, "region": "elsewhere", "currency": "JPY"}, {**ROW, "product": "h200"}]
    read_prices = read(written(tmp_path, *rows))
    assert list(read_prices.of("gaudi2")) == ["row-0", "row-1"]
    assert read_prices.of("gaudi3") == {}


@pytest.mark.parametrize("devices, whole, share", [(1, 10.42, 1.3025), (8, 10.42, 10.42), (9, 20.84, 11.7225)])
def test_devices_cost_their_instances_or_their_share(tmp_path: Path, devices: int, whole: float, share: float) -> None:
    price = read(written(tmp_path, ROW)).rows["row-0"]
    assert price.whole_per_h(devices) == pytest.approx(whole)
    assert price.share_per_h(devices) == pytest.approx(share)


def test_the_example_holds_the_posts_own_prices() -> None:
    read_prices = read(paths.ROOT / "examples/prices.yaml")
    posts = catalog.read().prices["post-3"]
    amounts = {row.product: row.amount_per_h for row in read_prices.rows.values()}
    assert amounts == {"a100-80gb": posts.dearer_usd_per_h, "gaudi": posts.cheaper_usd_per_h}
    assert {(row.currency, row.date[:4]) for row in read_prices.rows.values()} == {("USD", "2023")}


@pytest.mark.parametrize(
    "key, value, told",
    [
        ("product", "tpu", "it must be one of a100-80gb, gaudi, gaudi2, gaudi3, h100, h200."),
        ("product", "cpu", "it must be one of"),
        ("product", "other-cuda", "it must be one of"),
        ("devices", "0", "at least 1"),
        ("devices", "1.5", "whole number"),
        ("price", "-3", "an amount in digits"),
        ("price", "nan", "an amount in digits"),
        ("price", "1e3", "an amount in digits"),
        ("price", "0", "'price' is 0; it must be from"),
        ("price", "'=1+1'", "an amount in digits"),
        ("price", "٣", "an amount in digits"),
        ("price", "30 USD", "an amount in digits"),
        ("price", "9999999999", "'price' is 9999999999"),
        ("currency", "$", "three letters"),
        ("currency", "usd", "three letters"),
        ("per", "month", "it must be one of hour"),
        ("region", '"a\\u202Eb"', "cannot be seen"),
        ("source", '"a\\nb"', "on one line"),
        ("date", "2026-11-28", "after 2026-11-27"),
        ("date", "2026-02-30", "no calendar"),
        ("date", "yesterday", "a day such as"),
        ("colour", "red", "the key 'colour' is unknown"),
    ],
)
def test_a_mistake_is_said_with_file_and_line(tmp_path: Path, key: str, value: str, told: str) -> None:
    row = {**ROW, key: value}
    path = written(tmp_path, ROW, row)
    with pytest.raises(InputError) as caught:
        read(path)
    line = 3 + len(ROW) + list(row).index(key) + 1
    assert told in str(caught.value)
    assert f"{path}.prices.row-1 (line {line}): " in str(caught.value)


@pytest.mark.parametrize("key", ROW)
def test_no_field_has_a_default(tmp_path: Path, key: str) -> None:
    with pytest.raises(InputError, match=f"the key '{key}' is missing"):
        read(written(tmp_path, {name: value for name, value in ROW.items() if name != key}))


@pytest.mark.parametrize(
    "content, told",
    [
        (b"prices: {}\n", "'prices' has no row. Copy examples/prices.yaml"),
        (b"", "it is empty. Fill it, or copy examples/prices.yaml anew."),
        (b"prices: [1, 2]\n", "'prices' must be a mapping"),
        (b"prices:\n  a: &x {product: gaudi}\n", "an anchor stands here. Mend that line, or copy examples/prices.yaml"),
        (b"prices: {'<script>': {product: gaudi}}\n", "a name"),
        (b"\xff\xfe", "not UTF-8. Mend it, or copy"),
    ],
)
def test_a_file_that_is_no_table_of_prices_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "prices.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read(path)
    assert told in str(caught.value) and str(path) in str(caught.value)


def test_a_file_that_is_not_there_is_said_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.yaml cannot be read.*Copy examples/prices\.yaml"):
        read(tmp_path / "nowhere.yaml")


def test_a_price_list_of_a_provider_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="25 prices, at most 24 are read"):
        read(written(tmp_path, *[ROW] * 25))
