"""Read the tables that people edit into values; a row that cannot be right is named with its file and line."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from runner.contract import patterns
from runner.contract.architecture import BYTES_PER_ELEMENT, Architecture
from runner.contract.errors import InputError
from runner.contract.fields import Fields
from runner.contract.request import DEVICES, ENGINES, MAX_CALLS, MAX_DEVICES, MAX_TOKENS, Accelerator, Protocol
from runner.contract.words import DeviceKind, Engine, Precision, WeightsKind, WorkloadName
from runner.host import paths
from runner.host.readers import accelerators, images, precisions, strictyaml
from runner.host.readers.images import ImageClaim, ImageRatio
from runner.host.readers.printed import printed

# The word of a table for a number that nobody published.
UNKNOWN = "unknown"

# Claims name one precision that the kit does not run.
ClaimedPrecision = Literal[Precision, "int8"]
CLAIMED_BYTES_PER_ELEMENT: dict[str, int] = {**{str(word): size for word, size in BYTES_PER_ELEMENT.items()}, "int8": 1}

ClaimUnit = Literal["s", "tokens/s", "ms/token"]
# From a number in each unit of a claim to the seconds of 100 new tokens.
UNITS: dict[ClaimUnit, Callable[[float], float]] = {
    "s": lambda seconds: seconds,
    "tokens/s": lambda rate: 100 / rate,
    "ms/token": lambda milliseconds: milliseconds * 100 / 1000,
}


@dataclass(frozen=True)
class WorkloadDefaults:
    """The defaults of a workload; a dataset workload names a dataset of the lock, its configuration, split and column."""

    prompt: str | None
    batch_size: int
    input_tokens: int
    output_tokens: int
    dataset: str | None
    configuration: str | None
    split: str | None
    column: str | None


@dataclass(frozen=True)
class Case:
    """A row of measurements that the kit can make; its names are those of other tables, its stack's that of the lock.

    ``margin`` names a margin, ``beside`` the claims that a result is compared with. ``engine`` is None for the stack's own engine.
    """

    accelerator: str
    devices: int
    stack: str
    model: str
    weights: WeightsKind
    workload: WorkloadName
    protocol: str
    precision: Precision
    launches: int
    margin: str
    beside: tuple[str, ...]
    engine: Engine | None


@dataclass(frozen=True)
class Claim:
    """A published number and its conditions; ``value`` is the number as printed, whose digits tell how it was rounded.

    ``engine`` names in words how the model was run, None where the source does not say it. ``weights`` are the published ones, "hub",
    unless the source says that they are made up. ``prior_cv`` is the variation between
    launches that is assumed for a single launch of such a cell.
    """

    source: str
    accelerator: str
    devices: int
    model: str
    stack: str
    protocol: str
    workload: str
    weights: WeightsKind
    precision: ClaimedPrecision
    engine: str | None
    batch_size: int
    value: str
    unit: ClaimUnit
    prior_cv: float

    @property
    def latency_s(self) -> float:
        """Return the seconds of 100 new tokens, per row of the batch."""
        return UNITS[self.unit](float(self.value))


@dataclass(frozen=True)
class ClaimSource:
    """A publication of claims; its table was measured on ``table_stack``, its text says to use ``text_stack``.

    ``found`` says whether the publication could be found.
    """

    title: str
    place: str
    date: str | None
    table_stack: str | None
    text_stack: str | None
    found: bool
    note: str | None


@dataclass(frozen=True)
class Ratio:
    """A factor that a source claims in words, and the two cells that it comes from."""

    source: str
    says: str
    slower: str
    faster: str


@dataclass(frozen=True)
class Price:
    """Two cells and the prices in US dollars an hour that a source sets beside them."""

    dearer: str
    dearer_usd_per_h: float
    cheaper: str
    cheaper_usd_per_h: float


@dataclass(frozen=True)
class ReferenceInput:
    """The ids that a tokenizer makes of a prompt, as the sha256 of one row."""

    tokenizer: str
    prompt: str
    input_ids_sha256: str


@dataclass(frozen=True)
class ReferenceOutput:
    """The ids that a model with dummy weights generates greedily from a prompt, as the sha256 of one row."""

    model: str
    seed: int
    std: float
    precision: Precision
    device: DeviceKind
    prompt: str
    output_tokens: int
    output_ids_sha256: str


@dataclass(frozen=True)
class Catalog:
    """All tables, each by the names of its rows. ``precisions`` are those that no engine runs, with the stacks that could."""

    accelerator_rows: dict[str, accelerators.AcceleratorRow]
    models: dict[str, Architecture]
    workloads: dict[str, WorkloadDefaults]
    protocols: dict[str, Protocol]
    cases: dict[str, Case]
    claims: dict[str, Claim]
    claim_sources: dict[str, ClaimSource]
    ratios: dict[str, Ratio]
    images: dict[str, ImageClaim]
    image_ratios: dict[str, ImageRatio]
    prices: dict[str, Price]
    margins: dict[str, float]
    precisions: dict[str, precisions.UnrunPrecision]
    reference_inputs: dict[str, ReferenceInput]
    reference_outputs: dict[str, ReferenceOutput]
    dummy_seed: int
    dummy_std: float

    @property
    def accelerators(self) -> dict[str, Accelerator]:
        """Return the accelerators as requests name them."""
        return {name: row.in_request for name, row in self.accelerator_rows.items()}


def read(folder: Path = paths.CATALOG) -> Catalog:
    """Read all tables. Raises ``InputError`` for a damaged table, and for a row that names a row which no table has."""
    workloads_table = _table(folder, "workloads.yaml")
    claims_table = _table(folder, "claims.yaml")
    cases_table = _table(folder, "cases.yaml")
    references_table = _table(folder, "references.yaml")
    margins = cases_table.fields("margins")
    dummy = workloads_table.fields("dummy")
    catalog = Catalog(
        accelerator_rows=accelerators.read(folder),
        models={name: Architecture.from_fields(row) for name, row in _only(folder, "models")},
        workloads={name: _workload(row) for name, row in workloads_table.each("workloads")},
        protocols={name: _protocol(name, row) for name, row in _only(folder, "protocols")},
        cases={name: _case(row) for name, row in cases_table.each("cases", patterns.NAME)},
        claims={name: _claim(row) for name, row in claims_table.each("claims")},
        claim_sources={name: _claim_source(row) for name, row in claims_table.each("sources")},
        ratios={name: _ratio(row) for name, row in claims_table.each("ratios")},
        images={name: images.claim_of_row(row) for name, row in claims_table.each("images")},
        image_ratios={name: images.ratio_of_row(row) for name, row in claims_table.each("image_ratios")},
        prices={name: _price(row) for name, row in claims_table.each("prices")},
        margins={name: margins.fraction(name) for name in margins.keys(patterns.ROW)},
        precisions={name: precisions.of_row(row) for name, row in _only(folder, "precisions")},
        reference_inputs={name: _reference_input(row) for name, row in references_table.each("inputs")},
        reference_outputs={name: _reference_output(row) for name, row in references_table.each("outputs")},
        dummy_seed=dummy.count("seed"),
        dummy_std=dummy.number("std"),
    )
    for table in (workloads_table, claims_table, cases_table, references_table, dummy):
        table.done()
    _refuse_unknown_names(catalog, folder)
    return catalog


def _table(folder: Path, name: str) -> Fields:
    return Fields(strictyaml.read(folder / name), paths.shown(folder / name))


def _only(folder: Path, key: str) -> list[tuple[str, Fields]]:
    """Return the rows of a file that holds one table of the file's own name."""
    table = _table(folder, f"{key}.yaml")
    rows = list(table.each(key, patterns.NAME))
    table.done()
    return rows


def _protocol(name: str, row: Fields) -> Protocol:
    return Protocol.from_fields(Fields({"name": name, **{key: row.text(key) for key in row.keys()}}, row.where))


def _workload(row: Fields) -> WorkloadDefaults:
    workload = WorkloadDefaults(
        prompt=row.form("prompt", patterns.PROMPT, None),
        batch_size=row.count("batch_size", least=1, most=MAX_TOKENS),
        input_tokens=row.count("input_tokens", least=1, most=MAX_TOKENS),
        output_tokens=row.count("output_tokens", least=1, most=MAX_TOKENS),
        dataset=row.form("dataset", patterns.ROW, None),
        configuration=row.form("configuration", patterns.HUB_CONFIGURATION, None),
        split=row.form("split", patterns.HUB_SPLIT, None),
        column=row.form("column", patterns.FOREIGN_NAME, None),
    )
    if (workload.prompt is None) == (workload.dataset is None) or (workload.dataset and workload.column is None):
        raise row.error(f"{row.where}: a workload has a prompt, or a dataset and its column.")
    row.done()
    return workload


def _case(row: Fields) -> Case:
    case = Case(
        accelerator=row.form("accelerator", patterns.ROW),
        devices=row.count("devices", least=1, most=MAX_DEVICES),
        stack=row.form("stack", patterns.NAME),
        model=row.form("model", patterns.ROW),
        weights=row.choice("weights", get_args(WeightsKind)),
        workload=row.choice("workload", get_args(WorkloadName)),
        protocol=row.form("protocol", patterns.ROW),
        precision=row.choice("precision", get_args(Precision)),
        launches=row.count("launches", least=1, most=MAX_CALLS),
        margin=row.form("margin", patterns.ROW),
        beside=tuple(row.forms("beside", patterns.ROW)),
        engine=row.choice("engine", ENGINES, None),
    )
    row.done()
    return case


def _claim(row: Fields) -> Claim:
    claim = Claim(
        source=row.form("source", patterns.ROW),
        accelerator=row.form("accelerator", patterns.ROW),
        devices=row.count("devices", least=1, most=MAX_DEVICES),
        model=row.form("model", patterns.ROW),
        stack=row.form("stack", patterns.NAME),
        protocol=row.form("protocol", patterns.ROW),
        workload=row.choice("workload", get_args(WorkloadName)),
        weights=row.choice("weights", get_args(WeightsKind), "hub"),
        precision=row.choice("precision", get_args(ClaimedPrecision)),
        engine=row.form("engine", patterns.TEXT, None),
        batch_size=row.count("batch_size", 1, least=1, most=MAX_TOKENS),
        value=printed(row, "value"),
        unit=row.choice("unit", tuple(UNITS)),
        prior_cv=row.fraction("prior_cv"),
    )
    row.done()
    return claim


def _claim_source(row: Fields) -> ClaimSource:
    source = ClaimSource(
        title=row.form("title", patterns.TEXT),
        place=row.form("place", patterns.TEXT),
        date=row.form("date", patterns.DATE, None),
        table_stack=row.form("table_stack", patterns.TEXT, None),
        text_stack=row.form("text_stack", patterns.TEXT, None),
        found=row.flag("found"),
        note=row.form("note", patterns.TEXT, None),
    )
    row.done()
    return source


def _ratio(row: Fields) -> Ratio:
    ratio = Ratio(
        row.form("source", patterns.ROW),
        printed(row, "says"),
        row.form("slower", patterns.ROW),
        row.form("faster", patterns.ROW),
    )
    row.done()
    return ratio


def _price(row: Fields) -> Price:
    price = Price(
        dearer=row.form("dearer", patterns.ROW),
        dearer_usd_per_h=row.number("dearer_usd_per_h"),
        cheaper=row.form("cheaper", patterns.ROW),
        cheaper_usd_per_h=row.number("cheaper_usd_per_h"),
    )
    row.done()
    return price


def _reference_input(row: Fields) -> ReferenceInput:
    sha256 = row.form("input_ids_sha256", patterns.LOCKED_SHA256)
    reference = ReferenceInput(row.form("tokenizer", patterns.NAME), row.form("prompt", patterns.PROMPT), sha256)
    row.done()
    return reference


def _reference_output(row: Fields) -> ReferenceOutput:
    reference = ReferenceOutput(
        model=row.form("model", patterns.ROW),
        seed=row.count("seed"),
        std=row.number("std"),
        precision=row.choice("precision", get_args(Precision)),
        device=row.choice("device", DEVICES),
        prompt=row.form("prompt", patterns.PROMPT),
        output_tokens=row.count("output_tokens", least=1, most=MAX_TOKENS),
        output_ids_sha256=row.form("output_ids_sha256", patterns.LOCKED_SHA256),
    )
    row.done()
    return reference


def _refuse_unknown_names(catalog: Catalog, folder: Path) -> None:
    """Refuse a row that names a row which no table has; stacks are rows of the lock, and are checked when a request is made."""
    shared: dict[str, Collection[str]] = {
        "accelerator": catalog.accelerators,
        "model": catalog.models,
        "workload": catalog.workloads,
        "protocol": catalog.protocols,
    }
    in_seconds = {name for name, claim in catalog.claims.items() if claim.unit == "s"}
    sources, cells, images = catalog.claim_sources, catalog.claims, catalog.images
    # file, rows, and by column the table that holds the names in the column
    tables: list[tuple[str, Mapping[str, object], Mapping[str, Collection[str]]]] = [
        ("cases.yaml", catalog.cases, {**shared, "margin": catalog.margins, "beside": in_seconds}),
        ("claims.yaml", catalog.claims, {**shared, "source": sources}),
        ("claims.yaml", catalog.ratios, {"source": sources, "slower": cells, "faster": cells}),
        ("claims.yaml", catalog.images, {"accelerator": catalog.accelerators, "source": sources}),
        ("claims.yaml", catalog.image_ratios, {"sources": sources, "slower": images, "faster": images}),
        ("claims.yaml", catalog.prices, {"dearer": cells, "cheaper": cells}),
        ("references.yaml", catalog.reference_outputs, {"model": catalog.models}),
    ]
    for file, rows, columns in tables:
        for name, row in rows.items():
            for column, rows_named in columns.items():
                _refuse_unknown_names_in(folder / file, name, column, getattr(row, column), rows_named)
    for precision, unrun in catalog.precisions.items():
        for offer in unrun.offers.values():
            where = folder / "precisions.yaml"
            _refuse_unknown_names_in(where, precision, "accelerators", offer.accelerators, catalog.accelerators)


def _refuse_unknown_names_in(
    path: Path, name: str, key: str, value: str | tuple[str, ...] | None, known: Collection[str]
) -> None:
    """Refuse a column that holds an unknown name; a column may hold one name, several or none."""
    for named in (value,) if isinstance(value, str) else value or ():
        if named not in known:
            raise InputError(f"{paths.shown(path)}: {name}: {key} is {named!r}; known are {', '.join(sorted(known))}.")
