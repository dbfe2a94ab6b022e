"""Read the tables that people edit into values; a row that cannot be right is named with its file and line."""

import re
from dataclasses import dataclass

from runner.contract import patterns
from runner.contract.architecture import BYTES_PER_ELEMENT, Architecture
from runner.contract.errors import InputError
from runner.contract.fields import Fields
from runner.contract.request import DEVICES, ENGINES, MAX_CALLS, MAX_DEVICES, MAX_TOKENS, Accelerator, Protocol
from runner.host import paths
from runner.host.readers import strictyaml

UNKNOWN = "unknown"

# Claims name one precision that the kit does not run.
CLAIMED_BYTES_PER_ELEMENT = {**BYTES_PER_ELEMENT, "int8": 1}

# What a source prints. The bounds are far from any number of seconds, milliseconds or tokens, and from what floats overflow at.
_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?([eE][+-]?[0-9]{1,2})?")
_LEAST, _MOST = 1e-6, 1e6

# From each unit of a claim to the seconds of 100 new tokens.
UNITS = {"s": lambda value: value, "tokens/s": lambda value: 100 / value, "ms/token": lambda value: value * 100 / 1000}


@dataclass(frozen=True)
class Workload:
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
    """``engine`` is None where the stack's own is meant."""

    accelerator: str
    devices: int
    stack: str
    model: str
    weights: str
    workload: str
    protocol: str
    precision: str
    launches: int
    margin: str
    beside: tuple[str, ...]
    engine: str | None


@dataclass(frozen=True)
class Claim:
    """A published number and its conditions; ``value`` is its text, whose digits tell how it was rounded.

    ``prior_cv`` is the variation between launches to assume for such a cell where one launch cannot tell.
    """

    source: str
    accelerator: str
    devices: int
    model: str
    stack: str
    protocol: str
    workload: str
    precision: str
    engine: str | None
    batch_size: int
    value: str
    unit: str
    prior_cv: float

    @property
    def latency_s(self):
        """Return the seconds of 100 new tokens, per row of the batch."""
        return UNITS[self.unit](float(self.value))


@dataclass(frozen=True)
class ClaimSource:
    """Where claims were published; ``table_stack`` is what the table was measured on, ``text_stack`` what the text tells to use."""

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
    precision: str
    device: str
    prompt: str
    output_tokens: int
    output_ids_sha256: str


@dataclass(frozen=True)
class Catalog:
    """``resources`` maps an accelerator to the name under which Kubernetes counts it."""

    accelerators: dict[str, Accelerator]
    accelerator_sources: dict[str, str]
    resources: dict[str, str]
    models: dict[str, Architecture]
    workloads: dict[str, Workload]
    protocols: dict[str, Protocol]
    cases: dict[str, Case]
    claims: dict[str, Claim]
    claim_sources: dict[str, ClaimSource]
    ratios: dict[str, Ratio]
    prices: dict[str, Price]
    margins: dict[str, float]
    reference_inputs: dict[str, ReferenceInput]
    reference_outputs: dict[str, ReferenceOutput]
    dummy_seed: int
    dummy_std: float


def read(folder=paths.CATALOG):
    """Read all tables. Raises ``InputError`` for a damaged one, and for a row that names what no table has."""
    workloads_table = _table(folder, "workloads.yaml")
    claims_table = _table(folder, "claims.yaml")
    cases_table = _table(folder, "cases.yaml")
    references_table = _table(folder, "references.yaml")
    margins = cases_table.fields("margins")
    dummy = workloads_table.fields("dummy")
    accelerators = {name: _accelerator(name, row) for name, row in _only(folder, "accelerators")}
    catalog = Catalog(
        accelerators={name: accelerator for name, (accelerator, _, _) in accelerators.items()},
        accelerator_sources={name: source for name, (_, source, _) in accelerators.items()},
        resources={name: resource for name, (_, _, resource) in accelerators.items()},
        models={name: Architecture.from_fields(row) for name, row in _only(folder, "models")},
        workloads={name: _workload(row) for name, row in workloads_table.each("workloads")},
        protocols={name: _protocol(name, row) for name, row in _only(folder, "protocols")},
        cases={name: _case(row) for name, row in cases_table.each("cases", patterns.NAME)},
        claims={name: _claim(row) for name, row in claims_table.each("claims")},
        claim_sources={name: _claim_source(row) for name, row in claims_table.each("sources")},
        ratios={name: _ratio(row) for name, row in claims_table.each("ratios")},
        prices={name: _price(row) for name, row in claims_table.each("prices")},
        margins={name: margins.fraction(name) for name in margins.keys(patterns.ROW)},
        reference_inputs={name: _reference_input(row) for name, row in references_table.each("inputs")},
        reference_outputs={name: _reference_output(row) for name, row in references_table.each("outputs")},
        dummy_seed=dummy.count("seed"),
        dummy_std=dummy.number("std"),
    )
    for table in (workloads_table, claims_table, cases_table, references_table, dummy):
        table.done()
    _check_names(catalog, folder)
    return catalog


def _table(folder, name):
    return Fields(strictyaml.read(folder / name), paths.shown(folder / name))


def _only(folder, key):
    """Return the rows of a file that holds one table of the file's own name."""
    table = _table(folder, f"{key}.yaml")
    rows = list(table.each(key, patterns.NAME))
    table.done()
    return rows


def _accelerator(name, row):
    resource, source = row.form("resource", patterns.RESOURCE), row.form("source", patterns.TEXT)
    memory, bandwidth = (
        None if row.text(key) == UNKNOWN else row.count(key, least=1) for key in ("memory_bytes", "hbm_bytes_per_s")
    )
    accelerator = Accelerator(
        name, row.choice("device", DEVICES), memory, None if bandwidth is None else float(bandwidth)
    )
    row.done()
    return accelerator, source, resource


def _protocol(name, row):
    return Protocol.from_fields(Fields({"name": name, **{key: row.text(key) for key in row.keys()}}, row.where))


def _workload(row):
    workload = Workload(
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


def _case(row):
    case = Case(
        accelerator=row.form("accelerator", patterns.ROW),
        devices=row.count("devices", least=1, most=MAX_DEVICES),
        stack=row.form("stack", patterns.NAME),
        model=row.form("model", patterns.ROW),
        weights=row.choice("weights", ("hub", "dummy")),
        workload=row.form("workload", patterns.ROW),
        protocol=row.form("protocol", patterns.ROW),
        precision=row.choice("precision", tuple(BYTES_PER_ELEMENT)),
        launches=row.count("launches", least=1, most=MAX_CALLS),
        margin=row.form("margin", patterns.ROW),
        beside=tuple(row.forms("beside", patterns.ROW)),
        engine=row.choice("engine", ENGINES, None),
    )
    row.done()
    return case


def _printed(row: Fields, key: str) -> None:
    """Refuse what is no number as somebody prints it; its digits tell how it was rounded, so it is kept as text."""
    row.pattern(key, _NUMBER, "a number as it was printed, such as 3.103 or 772e-3")
    number = row.number(key)
    if not _LEAST <= number <= _MOST:
        raise row.fail(key, f"{key!r} is {number:g}; no time, rate or factor is below {_LEAST:g} or above {_MOST:g}.")


def _claim(row):
    _printed(row, "value")
    claim = Claim(
        source=row.form("source", patterns.ROW),
        accelerator=row.form("accelerator", patterns.ROW),
        devices=row.count("devices", least=1, most=MAX_DEVICES),
        model=row.form("model", patterns.ROW),
        stack=row.form("stack", patterns.NAME),
        protocol=row.form("protocol", patterns.ROW),
        workload=row.form("workload", patterns.ROW),
        precision=row.choice("precision", tuple(CLAIMED_BYTES_PER_ELEMENT)),
        engine=row.form("engine", patterns.TEXT, None),
        batch_size=row.count("batch_size", 1, least=1, most=MAX_TOKENS),
        value=row.text("value"),
        unit=row.choice("unit", tuple(UNITS)),
        prior_cv=row.fraction("prior_cv"),
    )
    row.done()
    return claim


def _claim_source(row):
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


def _ratio(row):
    _printed(row, "says")
    ratio = Ratio(
        row.form("source", patterns.ROW),
        row.text("says"),
        row.form("slower", patterns.ROW),
        row.form("faster", patterns.ROW),
    )
    row.done()
    return ratio


def _price(row):
    dearer, dearer_usd, cheaper, cheaper_usd = "dearer", "dearer_usd_per_h", "cheaper", "cheaper_usd_per_h"
    price = Price(
        row.form(dearer, patterns.ROW), row.number(dearer_usd), row.form(cheaper, patterns.ROW), row.number(cheaper_usd)
    )
    row.done()
    return price


def _reference_input(row):
    sha256 = row.form("input_ids_sha256", patterns.LOCKED_SHA256)
    reference = ReferenceInput(row.form("tokenizer", patterns.NAME), row.form("prompt", patterns.PROMPT), sha256)
    row.done()
    return reference


def _reference_output(row):
    reference = ReferenceOutput(
        model=row.form("model", patterns.ROW),
        seed=row.count("seed"),
        std=row.number("std"),
        precision=row.choice("precision", tuple(BYTES_PER_ELEMENT)),
        device=row.choice("device", DEVICES),
        prompt=row.form("prompt", patterns.PROMPT),
        output_tokens=row.count("output_tokens", least=1, most=MAX_TOKENS),
        output_ids_sha256=row.form("output_ids_sha256", patterns.LOCKED_SHA256),
    )
    row.done()
    return reference


def _check_names(catalog, folder):
    """Refuse a row that names what no table has; stacks stand in the lock and are checked when a request is made."""
    shared = {
        "accelerator": catalog.accelerators,
        "model": catalog.models,
        "workload": catalog.workloads,
        "protocol": catalog.protocols,
    }
    in_seconds = {name for name, claim in catalog.claims.items() if claim.unit == "s"}
    sources, cells = {"source": catalog.claim_sources}, catalog.claims
    tables = [
        ("cases.yaml", catalog.cases, {**shared, "margin": catalog.margins}),
        ("claims.yaml", catalog.claims, {**shared, **sources}),
        ("claims.yaml", catalog.ratios, {**sources, "slower": cells, "faster": cells}),
        ("claims.yaml", catalog.prices, {"dearer": cells, "cheaper": cells}),
        ("references.yaml", catalog.reference_outputs, {"model": catalog.models}),
    ]
    for file, rows, columns in tables:
        for name, row in rows.items():
            for key, known in columns.items():
                _check_name(folder / file, name, key, getattr(row, key), known)
    for name, case in catalog.cases.items():
        for claim in case.beside:
            _check_name(folder / "cases.yaml", name, "beside", claim, in_seconds)


def _check_name(path, name, key, value, known):
    if value not in known:
        raise InputError(f"{paths.shown(path)}: {name}: {key} is {value!r}; known are {', '.join(sorted(known))}.")
