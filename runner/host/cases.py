"""Make the request of a case: a row of the catalog with every pin of the lock filled in. Nothing else makes requests."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, get_args

from runner.contract import patterns, strictjson
from runner.contract.architecture import Architecture
from runner.contract.errors import InputError, Unsupported, UsageError
from runner.contract.files import reason, sha256_of_file
from runner.contract.request import (
    MAX_CALLS,
    MAX_DEVICES,
    MAX_SEED,
    MAX_TOKENS,
    PRECISIONS,
    Accelerator,
    Dataset,
    Expected,
    Model,
    Protocol,
    Request,
    Stack,
    Weights,
    Workload,
)
from runner.contract.secrets import mask
from runner.contract.words import DatasetFormat, Engine, Precision, WeightsKind
from runner.host import writing
from runner.host.readers import catalog as catalogs
from runner.host.readers import lockfile, precisions
from runner.host.readers.accelerators import AcceleratorRow
from runner.host.readers.catalog import Catalog
from runner.host.readers.lockfile import Lock

Text = TypeVar("Text", bound=str | None)
Value = TypeVar("Value")

# The formats of a dataset's file, by the ending of its name.
FORMATS: dict[str, DatasetFormat] = {".jsonl": "json", ".json": "json", ".csv": "csv", ".parquet": "parquet"}


@dataclass(frozen=True)
class Changes:
    """The values that a user asks for instead of those of a case. None keeps the value of the case.

    The names are those of the flags of ``request``.
    """

    model: str | None = None
    weights: WeightsKind | None = None
    seed: int | None = None
    precision: str | None = None
    devices: int | None = None
    protocol: str | None = None
    engine: Engine | None = None
    launches: int | None = None
    margin: str | None = None
    batch_size: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    dataset_file: Path | None = None
    dataset: str | None = None
    configuration: str | None = None
    split: str | None = None
    column: str | None = None
    rows: int | None = None


UNCHANGED = Changes()


def make(
    catalog: Catalog,
    lock: Lock,
    name: str,
    changes: Changes = UNCHANGED,
    image: str | None = None,
    draft: bool = False,
    product: Accelerator | None = None,
    in_image: bool = True,
) -> Request:
    """Return the ``Request`` of the case ``name`` with the changes of a user.

    ``image`` is a reference by digest, in place of the image of the lock. A ``draft`` is made while the lock has no image of the
    stack: the request has no image, and the open pins of the stack stay "unresolved". A launch refuses such a request, since no
    installed package has that version. ``product`` is what a host has in place of the case's accelerator. Not ``in_image`` is a request
    for a stack that is installed on a host, without a container.
    Raises ``UsageError`` for unknown names and numbers out of bounds, ``Unsupported`` where the devices cannot share the model, and
    ``UnresolvedPin`` for a pin that the case needs and the lock leaves open.
    """
    case = known(catalog.cases, name, "case")
    accelerator = catalog.accelerator_rows[case.accelerator]
    model_name = _or(changes.model, case.model)
    architecture = known(catalog.models, model_name, "model")
    protocol = known(catalog.protocols, _or(changes.protocol, case.protocol), "protocol")
    devices = _whole(changes.devices, case.devices, "--devices", MAX_DEVICES)
    if architecture.n_head % devices:
        raise Unsupported(
            f"{model_name} has {architecture.n_head} attention heads, which {devices} devices cannot share evenly. Take a divisor."
        )
    weights = _weights(catalog, _or(changes.weights, case.weights), changes.seed)
    workload = _workload(catalog, lock, case, changes)
    stack = _stack(lock, case.stack, accelerator, image, draft, in_image)
    request = Request(
        case=name,
        accelerator=product or accelerator.in_request,
        devices=devices,
        stack=stack,
        model=_model(catalog, lock, model_name, architecture, weights),
        weights=weights,
        workload=workload,
        protocol=protocol,
        launches=_whole(changes.launches, case.launches, "--launches", MAX_CALLS),
        margin=known(catalog.margins, _or(changes.margin, case.margin), "margin"),
        beside=list(case.beside),
        engine=_or(changes.engine, _or(case.engine, lock.stacks[case.stack].engine)),
        expected=_expected(catalog, model_name, accelerator.in_request.device, weights, workload, protocol),
    )
    return Request.from_json(request.to_json(), f"the request of {name}")


def write(request: Request, folder: Path, advice: str) -> Path:
    """Write a request into ``folder`` under its id, and return the path of the file.

    Raises ``InputError`` where the file cannot be written; ``advice`` ends the message.
    """
    path = folder / f"{request.id}.json"
    writing.write_text(path, strictjson.pretty(request.to_json()), advice)
    return path


def _stack(
    lock: Lock, name: str, accelerator: AcceleratorRow, image: str | None, draft: bool, in_image: bool = True
) -> Stack:
    stack = known(lock.stacks, name, "stack")

    def pin(value: str, what: str) -> str:
        return value if draft else lockfile.need(value, what)

    if not in_image and not stack.runs_on_host:
        raise Unsupported(f"The stack {name} lives in an image alone. Leave --no-image out, and run the request in it.")
    image = image or (None if draft or not in_image else _image(lock, name))
    packages = {
        package: pin(entry.version, f"The version of {package} in stack {name}")
        for package, entry in stack.packages.items()
        if not entry.is_told_by_the_base
    }
    sha256 = pin(stack.requirements.sha256, f"The hash of {stack.requirements.file}")
    driver = None if stack.driver == lockfile.UNRESOLVED else stack.driver
    firmware_applies = accelerator.locked_firmware and stack.firmware != lockfile.UNRESOLVED
    firmware = stack.firmware if firmware_applies else None
    return Stack(name, stack.device, stack.python, stack.launcher, packages, sha256, image, driver, firmware)


def _image(lock: Lock, name: str) -> str | None:
    """Return the image of a stack by digest; None for a stack whose launches run in no image."""
    stack = lock.stacks[name]
    if not stack.runs_in_image:
        return None
    if name in lock.built:
        return lock.built[name].reference
    return f"{stack.image.repository}@{lockfile.need(stack.image.digest, f'The image digest of stack {name}')}"


def _model(catalog: Catalog, lock: Lock, name: str, architecture: Architecture, weights: Weights) -> Model:
    pin = lock.models.get(name)
    if weights.kind == "dummy":
        return Model(name, architecture, None, None, {})
    if pin is None:
        raise UsageError(
            f"{name} has no published weights. Use --weights dummy, or one of the models"
            f" {', '.join(sorted(lock.models.keys() & catalog.models.keys()))}."
        )
    revision = lockfile.need(pin.revision, f"The revision of {name}")
    return Model(name, architecture, pin.repository, revision, pin.files or {})


def _weights(catalog: Catalog, kind: WeightsKind, seed: int | None) -> Weights:
    # the command line offers no other; a caller of the Python API may name any
    if kind not in get_args(WeightsKind):
        raise UsageError(f"There are no weights {kind!r}. Known are {', '.join(get_args(WeightsKind))}.")
    if kind == "hub":
        if seed is not None:
            raise UsageError("--seed is for dummy weights; leave it out with --weights hub.")
        return Weights("hub", None, None)
    return Weights("dummy", _whole(seed, catalog.dummy_seed, "--seed", MAX_SEED, least=0), catalog.dummy_std)


def _workload(catalog: Catalog, lock: Lock, case: catalogs.Case, changes: Changes) -> Workload:
    defaults = catalog.workloads[case.workload]
    is_dataset = defaults.prompt is None
    for flag in ("dataset_file", "dataset", "configuration", "split", "column", "rows", "input_tokens"):
        if getattr(changes, flag) is not None and not is_dataset:
            raise UsageError(f"--{flag.replace('_', '-')} is for dataset workloads. Take the case cpu-dataset.")
    return Workload(
        name=case.workload,
        batch_size=_whole(changes.batch_size, defaults.batch_size, "--batch-size", MAX_TOKENS),
        input_tokens=_whole(changes.input_tokens, defaults.input_tokens, "--input-tokens", MAX_TOKENS),
        output_tokens=_whole(changes.output_tokens, defaults.output_tokens, "--output-tokens", MAX_TOKENS),
        precision=_precision(catalog, case, changes.precision),
        prompt=defaults.prompt,
        dataset=_dataset(lock, defaults, changes) if is_dataset else None,
    )


def _precision(catalog: Catalog, case: catalogs.Case, asked: str | None) -> Precision:
    """Return the precision that is asked for, or the case's.

    Raises ``Unsupported`` for one that no engine runs, with the stacks that could, and ``UsageError`` for an unknown word.
    """
    if asked is None:
        return case.precision
    for name, unrun in catalog.precisions.items():
        if asked in (name, *unrun.also):
            raise Unsupported(precisions.refusal(name, unrun, case.stack, case.accelerator))
    run: dict[str, Precision] = {precision: precision for precision in PRECISIONS}
    return known(run, asked, "precision")


def _expected(
    catalog: Catalog, model: str, device: str, weights: Weights, workload: Workload, protocol: Protocol
) -> Expected:
    """Return the hashes of prompt and output ids that the catalog has for such a request, None where it has none."""
    tokenizer = "kit" if weights.kind == "dummy" else model
    inputs = {(row.tokenizer, row.prompt): row.input_ids_sha256 for row in catalog.reference_inputs.values()}
    outputs: dict[tuple[object, ...], str] = {
        (row.model, row.seed, row.std, row.precision, row.device, row.prompt, row.output_tokens): row.output_ids_sha256
        for row in catalog.reference_outputs.values()
    }
    conditions = (model, weights.seed, weights.std, workload.precision, device, workload.prompt, workload.output_tokens)
    prompt_hash = None if workload.prompt is None else inputs.get((tokenizer, workload.prompt))
    # The hash of an output is that of all tokens: an output that stops at the end of text has fewer.
    return Expected(prompt_hash, outputs.get(conditions) if protocol.end_of_text == "ignore" else None)


def _dataset(lock: Lock, defaults: catalogs.WorkloadDefaults, changes: Changes) -> Dataset:
    column = _of_form(patterns.FOREIGN_NAME, _or(changes.column, defaults.column), "--column")
    # The reader of the catalog refuses a dataset workload without a dataset or without a column.
    assert column is not None and defaults.dataset is not None
    rows = None if changes.rows is None else _whole(changes.rows, 1, "--rows", MAX_SEED)
    if changes.dataset_file is not None:
        if changes.dataset is not None:
            raise UsageError("--dataset-file and --dataset exclude each other; give one.")
        path = changes.dataset_file
        kind = FORMATS.get(path.suffix.lower())
        if kind is None:
            raise UsageError(f"{path} ends in none of {', '.join(FORMATS)}. Convert it to one of them.")
        file_name = _of_form(patterns.FOREIGN_NAME, path.name, "the name of --dataset-file")
        return Dataset("file", file_name, None, None, None, kind, _sha256(path), column, rows)
    name = _or(changes.dataset, defaults.dataset)
    pin = known(lock.datasets, name, "dataset")
    revision = lockfile.need(pin.revision, f"The revision of dataset {name}")
    configuration = _of_form(
        patterns.HUB_CONFIGURATION, _or(changes.configuration, defaults.configuration), "--configuration"
    )
    split = _of_form(patterns.HUB_SPLIT, _or(changes.split, defaults.split), "--split")
    return Dataset("hub", pin.repository, revision, configuration, split, None, None, column, rows)


def _sha256(path: Path) -> str:
    try:
        return sha256_of_file(path)
    except OSError as problem:
        raise InputError(f"{path} cannot be read: {reason(problem)}. Check --dataset-file.") from None


def _of_form(form: patterns.Form | patterns.FreeText, value: Text, flag: str) -> Text:
    """Return the value of a flag, which has a form, or None where none was given. Raises ``UsageError`` for a value of another form."""
    problem = None if value is None else patterns.problem(form, value)
    if problem is not None:
        raise UsageError(f"{flag} {problem}. Name another one, or rename the file or column.")
    if value is not None and mask(value) != value:
        raise UsageError(
            f"{flag} looks like a secret, and a request is a file in clear text. Rename the file or column."
        )
    return value


def known(table: Mapping[str, Value], name: str, kind: str) -> Value:
    """Return the row of a table by its name. Raises ``UsageError`` with the nearest name."""
    if name in table:
        return table[name]
    near = difflib.get_close_matches(name, table, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise UsageError(f"There is no {kind} {name!r}.{hint} Known are {', '.join(table)}.")


def _whole(value: int | None, default: int, flag: str, most: int, least: int = 1) -> int:
    """Return the number of a flag, or the default. Raises ``UsageError`` for a number out of bounds."""
    if value is not None and value < least:
        raise UsageError(f"{flag} must be at least {least}, {value} was given.")
    if value is not None and value > most:
        raise UsageError(f"{flag} must be at most {most}, {value} was given.")
    return default if value is None else value


def _or(value: Value | None, default: Value) -> Value:
    return default if value is None else value
