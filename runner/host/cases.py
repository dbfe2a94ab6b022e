"""Fill in every pin of a case: the one place where a row of the catalog and the lock become a request."""

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from runner.contract import patterns
from runner.contract.errors import InputError, Unsupported, UsageError
from runner.contract.files import reason, sha256_of_file
from runner.contract.request import (
    MAX_CALLS,
    MAX_DEVICES,
    MAX_SEED,
    MAX_TOKENS,
    Dataset,
    Expected,
    Model,
    Request,
    Stack,
    Weights,
    Workload,
)
from runner.contract.secrets import mask
from runner.host.readers import lockfile

Text = TypeVar("Text", bound=str | None)

FIRMWARE_OF = "gaudi2"  # the lock's firmware is this accelerator's; first-generation Gaudi boots one of another series

FORMATS = {".jsonl": "json", ".json": "json", ".csv": "csv", ".parquet": "parquet"}


@dataclass(frozen=True)
class Changes:
    """What a user asks for instead of what the case says; None leaves it. The names are those of the flags of ``request``."""

    model: str | None = None
    weights: str | None = None
    seed: int | None = None
    precision: str | None = None
    devices: int | None = None
    protocol: str | None = None
    engine: str | None = None
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


def make(catalog, lock, name, options=UNCHANGED, image=None, draft=False):
    """Return the ``Request`` of the case ``name`` with the changes that ``options`` ask for.

    ``image`` is a reference by digest to run in instead of the lock's. A ``draft`` is made where the lock has no image of the
    stack yet: it has none, and what is unresolved in the stack stays "unresolved", which no installed package equals, so that
    a launch refuses it.
    Raises ``UsageError`` for unknown names and ``UnresolvedPin`` for a pin that the case needs and the lock leaves open.
    """
    case = _known(catalog.cases, name, "case")
    accelerator = catalog.accelerators[case.accelerator]
    model_name = _or(options.model, case.model)
    architecture = _known(catalog.models, model_name, "model")
    protocol = _known(catalog.protocols, _or(options.protocol, case.protocol), "protocol")
    devices = _whole(options.devices, case.devices, "--devices", MAX_DEVICES)
    if architecture.n_head % devices:
        raise Unsupported(
            f"{model_name} has {architecture.n_head} attention heads, which {devices} devices cannot share evenly. Take a divisor."
        )
    weights = _weights(catalog, _or(options.weights, case.weights), options.seed)
    workload = _workload(catalog, lock, case, options)
    stack = _stack(lock, case.stack, accelerator.name, image, draft)
    request = Request(
        case=name,
        accelerator=accelerator,
        devices=devices,
        stack=stack,
        model=_model(lock, model_name, architecture, weights),
        weights=weights,
        workload=workload,
        protocol=protocol,
        launches=_whole(options.launches, case.launches, "--launches", MAX_CALLS),
        margin=_known(catalog.margins, _or(options.margin, case.margin), "margin"),
        beside=list(case.beside),
        engine=_or(options.engine, _or(case.engine, lock.stacks[case.stack].engine)),
        expected=_expected(catalog, model_name, accelerator.device, weights, workload, protocol),
    )
    return Request.from_json(request.to_json(), f"the request of {name}")


def _stack(lock, name, accelerator, image, draft):
    stack = _known(lock.stacks, name, "stack")

    def pin(value, what):
        return value if draft else lockfile.need(value, what)

    image = image or (None if draft else _image(lock, name))
    packages = {
        package: pin(entry.version, f"The version of {package} in stack {name}")
        for package, entry in stack.packages.items()
    }
    sha256 = pin(stack.requirements.sha256, f"The hash of {stack.requirements.file}")
    driver = None if stack.driver == lockfile.UNRESOLVED else stack.driver
    known = accelerator == FIRMWARE_OF and stack.firmware != lockfile.UNRESOLVED
    firmware = stack.firmware if known else None
    return Stack(name, stack.device, stack.python, stack.launcher, packages, sha256, image, driver, firmware)


def _image(lock, name):
    """Return the image that the lock names for a stack; None for the CPU's, which runs in the environment that make set up."""
    stack = lock.stacks[name]
    if stack.device == "cpu":
        return None
    if name in lock.built:
        return lock.built[name].reference
    return f"{stack.image.repository}@{lockfile.need(stack.image.digest, f'The image digest of stack {name}')}"


def _model(lock, name, architecture, weights):
    pin = lock.models.get(name)
    if weights.kind == "dummy":
        return Model(name, architecture, None, None, {})
    if pin is None:
        raise UsageError(
            f"{name} has no published weights. Use --weights dummy, or --model {' or '.join(sorted(lock.models))}."
        )
    revision = lockfile.need(pin.revision, f"The revision of {name}")
    return Model(name, architecture, pin.repository, revision, pin.files or {})


def _weights(catalog, kind, seed):
    if kind == "hub":
        if seed is not None:
            raise UsageError("--seed is for dummy weights; leave it out with --weights hub.")
        return Weights("hub", None, None)
    return Weights("dummy", _whole(seed, catalog.dummy_seed, "--seed", MAX_SEED, least=0), catalog.dummy_std)


def _workload(catalog, lock, case, options):
    defaults = catalog.workloads[case.workload]
    is_dataset = defaults.prompt is None
    for flag in ("dataset_file", "dataset", "configuration", "split", "column", "rows", "input_tokens"):
        if getattr(options, flag) is not None and not is_dataset:
            raise UsageError(f"--{flag.replace('_', '-')} is for dataset workloads. Take the case cpu-dataset.")
    return Workload(
        name=case.workload,
        batch_size=_whole(options.batch_size, defaults.batch_size, "--batch-size", MAX_TOKENS),
        input_tokens=_whole(options.input_tokens, defaults.input_tokens, "--input-tokens", MAX_TOKENS),
        output_tokens=_whole(options.output_tokens, defaults.output_tokens, "--output-tokens", MAX_TOKENS),
        precision=_or(options.precision, case.precision),
        prompt=defaults.prompt,
        dataset=_dataset(lock, defaults, options) if is_dataset else None,
    )


def _expected(catalog, model, device, weights, workload, protocol):
    """Return what the catalog knows beforehand of the ids of such a request; null for what it does not know."""
    tokenizer = "kit" if weights.kind == "dummy" else model
    inputs = {(row.tokenizer, row.prompt): row.input_ids_sha256 for row in catalog.reference_inputs.values()}
    outputs = {
        (row.model, row.seed, row.std, row.precision, row.device, row.prompt, row.output_tokens): row.output_ids_sha256
        for row in catalog.reference_outputs.values()
    }
    made = (model, weights.seed, weights.std, workload.precision, device, workload.prompt, workload.output_tokens)
    whole = protocol.end_of_text == "ignore"
    return Expected(inputs.get((tokenizer, workload.prompt)), outputs.get(made) if whole else None)


def _dataset(lock, defaults, options):
    column = _of_form(patterns.FOREIGN_NAME, _or(options.column, defaults.column), "--column")
    rows = None if options.rows is None else _whole(options.rows, 1, "--rows", MAX_SEED)
    if options.dataset_file is not None:
        if options.dataset is not None:
            raise UsageError("--dataset-file and --dataset exclude each other; give one.")
        path = options.dataset_file
        kind = FORMATS.get(path.suffix.lower())
        if kind is None:
            raise UsageError(f"{path} ends in none of {', '.join(FORMATS)}. Convert it to one of them.")
        name = _of_form(patterns.FOREIGN_NAME, path.name, "the name of --dataset-file")
        return Dataset("file", name, None, None, None, kind, _sha256(path), column, rows)
    name = _or(options.dataset, defaults.dataset)
    pin = _known(lock.datasets, name, "dataset")
    revision = lockfile.need(pin.revision, f"The revision of dataset {name}")
    configuration = _of_form(
        patterns.HUB_CONFIGURATION, _or(options.configuration, defaults.configuration), "--configuration"
    )
    split = _of_form(patterns.HUB_SPLIT, _or(options.split, defaults.split), "--split")
    return Dataset("hub", pin.repository, revision, configuration, split, None, None, column, rows)


def _sha256(path):
    try:
        return sha256_of_file(path)
    except OSError as problem:
        raise InputError(f"{path} cannot be read: {reason(problem)}. Check --dataset-file.") from None


def _of_form(form: patterns.Form | patterns.FreeText, value: Text, flag: str) -> Text:
    """Return a value of a flag, or None, that has a form. Raises ``UsageError`` for another one, bytes that are not UTF-8 too."""
    problem = None if value is None else patterns.problem(form, value)
    if problem is not None:
        raise UsageError(f"{flag} {problem}. Name another one, or rename the file or column.")
    if value is not None and mask(value) != value:
        raise UsageError(
            f"{flag} looks like a secret, and a request is a file in clear text. Rename the file or column."
        )
    return value


def _known(table, name, kind):
    if name in table:
        return table[name]
    near = difflib.get_close_matches(name, table, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise UsageError(f"There is no {kind} {name!r}.{hint} Known are {', '.join(table)}.")


def _whole(value: int | None, default: int, flag: str, most: int, least: int = 1) -> int:
    """Return a flag's number within its bounds, or the default. Raises ``UsageError`` for another number."""
    if value is not None and value < least:
        raise UsageError(f"{flag} must be at least {least}, {value} was given.")
    if value is not None and value > most:
        raise UsageError(f"{flag} must be at most {most}, {value} was given.")
    return default if value is None else value


def _or(value, default):
    return default if value is None else value
