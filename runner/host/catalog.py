"""Read the tables that people edit into values; a row that cannot be right is named with its file and line."""

from dataclasses import dataclass

from runner.contract.architecture import BYTES_PER_ELEMENT, Architecture
from runner.contract.fields import Fields
from runner.contract.request import NAME, Accelerator, Protocol
from runner.host import paths, strictyaml

UNKNOWN = "unknown"


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


@dataclass(frozen=True)
class Claim:
    """A published number and its conditions; ``latency_s`` is its text, whose digits tell how it was rounded.

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
    latency_s: str
    prior_cv: float


@dataclass(frozen=True)
class Catalog:
    accelerators: dict[str, Accelerator]
    models: dict[str, Architecture]
    workloads: dict[str, Workload]
    protocols: dict[str, Protocol]
    cases: dict[str, Case]
    claims: dict[str, Claim]
    claim_sources: dict[str, str]
    margins: dict[str, float]
    dummy_seed: int
    dummy_std: float


def read(folder=paths.CATALOG):
    """Read all tables. Raises ``InputError`` for a damaged one, and for a row that names what no table has."""
    workloads_table = _table(folder, "workloads.yaml")
    claims_table = _table(folder, "claims.yaml")
    cases_table = _table(folder, "cases.yaml")
    margins = cases_table.fields("margins")
    dummy = workloads_table.fields("dummy")
    catalog = Catalog(
        accelerators={name: _accelerator(name, row) for name, row in _only(folder, "accelerators")},
        models={name: Architecture.from_fields(row) for name, row in _only(folder, "models")},
        workloads={name: _workload(row) for name, row in workloads_table.each("workloads")},
        protocols={name: _protocol(name, row) for name, row in _only(folder, "protocols")},
        cases={name: _case(name, row) for name, row in cases_table.each("cases")},
        claims={name: _claim(row) for name, row in claims_table.each("claims")},
        claim_sources={name: _claim_source(row) for name, row in claims_table.each("sources")},
        margins={name: margins.number(name) for name in margins.keys()},
        dummy_seed=dummy.count("seed"),
        dummy_std=dummy.number("std"),
    )
    for table in (workloads_table, claims_table, cases_table, dummy):
        table.done()
    _check_names(catalog, folder)
    return catalog


def _table(folder, name):
    return Fields(strictyaml.read(folder / name), paths.shown(folder / name))


def _only(folder, key):
    """Return the rows of a file that holds one table of the file's own name."""
    table = _table(folder, f"{key}.yaml")
    rows = list(table.each(key))
    table.done()
    return rows


def _accelerator(name, row):
    row.text("resource")
    row.text("source")
    memory, bandwidth = (
        None if row.text(key) == UNKNOWN else row.count(key, least=1) for key in ("memory_bytes", "hbm_bytes_per_s")
    )
    accelerator = Accelerator(name, row.text("device"), memory, None if bandwidth is None else float(bandwidth))
    row.done()
    return accelerator


def _protocol(name, row):
    return Protocol.from_fields(Fields({"name": name, **{key: row.text(key) for key in row.keys()}}, row.where))


def _workload(row):
    workload = Workload(
        prompt=row.text("prompt", None),
        batch_size=row.count("batch_size", least=1),
        input_tokens=row.count("input_tokens", least=1),
        output_tokens=row.count("output_tokens", least=1),
        dataset=row.text("dataset", None),
        configuration=row.text("configuration", None),
        split=row.text("split", None),
        column=row.text("column", None),
    )
    row.done()
    return workload


def _case(name, row):
    if not NAME.fullmatch(name):
        raise row.error(f"{row.where}: a case's name must be at most 40 lower-case letters, digits, dots and hyphens.")
    case = Case(
        accelerator=row.text("accelerator"),
        devices=row.count("devices", least=1),
        stack=row.text("stack"),
        model=row.text("model"),
        weights=row.choice("weights", ("hub", "dummy")),
        workload=row.text("workload"),
        protocol=row.text("protocol"),
        precision=row.choice("precision", tuple(BYTES_PER_ELEMENT)),
        launches=row.count("launches", least=1),
        margin=row.text("margin"),
        beside=tuple(row.texts("beside")),
    )
    row.done()
    return case


def _claim(row):
    row.number("latency_s")
    claim = Claim(
        source=row.text("source"),
        accelerator=row.text("accelerator"),
        devices=row.count("devices", least=1),
        model=row.text("model"),
        stack=row.text("stack"),
        protocol=row.text("protocol"),
        workload=row.text("workload"),
        precision=row.choice("precision", tuple(BYTES_PER_ELEMENT)),
        latency_s=row.text("latency_s"),
        prior_cv=row.number("prior_cv"),
    )
    row.done()
    return claim


def _claim_source(row):
    row.text("title")
    row.text("date")
    place = row.text("place")
    row.done()
    return place


def _check_names(catalog, folder):
    """Refuse a row that names what no table has; stacks stand in the lock and are checked when a request is made."""
    tables = {
        "accelerator": catalog.accelerators,
        "model": catalog.models,
        "workload": catalog.workloads,
        "protocol": catalog.protocols,
    }
    rows = [("cases.yaml", name, case) for name, case in catalog.cases.items()]
    rows += [("claims.yaml", name, claim) for name, claim in catalog.claims.items()]
    for file, name, row in rows:
        named = [(key, getattr(row, key), table) for key, table in tables.items()]
        if isinstance(row, Case):
            named += [("beside", claim, catalog.claims) for claim in row.beside]
            named.append(("margin", row.margin, catalog.margins))
        else:
            named.append(("source", row.source, catalog.claim_sources))
        for key, value, table in named:
            if value not in table:
                where = f"{paths.shown(folder / file)}: {name}"
                raise Fields({}, where).error(f"{where}: {key} is {value!r}; known are {', '.join(sorted(table))}.")
