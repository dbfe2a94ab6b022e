"""The verb ``request``: take cases from the catalog, fill in every pin from the lock, and write one request file each."""

import argparse
import difflib
from pathlib import Path

from runner.contract import strictjson
from runner.contract.architecture import BYTES_PER_ELEMENT
from runner.contract.errors import InputError, Unsupported, UsageError
from runner.contract.files import sha256_of_file
from runner.contract.request import ENGINES, Dataset, Expected, Model, Request, Stack, Weights, Workload
from runner.host import catalog as catalogs
from runner.host import lockfile

FIRMWARE_OF = "gaudi2"  # the lock's firmware is this accelerator's; first-generation Gaudi boots one of another series

FORMATS = {".jsonl": "json", ".json": "json", ".csv": "csv", ".parquet": "parquet"}


def parser():
    described = argparse.ArgumentParser(
        prog="python -m runner request",
        description="Write the request of each CASE: the case with every pin of versions.lock filled in. The paths of the"
        " files go to standard output, for `python -m runner bench`.",
        epilog="Exit codes: see `python -m runner --help`.",
    )
    described.add_argument("cases", nargs="*", metavar="CASE", help="cases of runner/catalog/cases.yaml; see --list")
    described.add_argument("--list", action="store_true", help="list the cases and models, and write nothing")
    described.add_argument(
        "--out", default="build/requests", metavar="FOLDER", type=Path, help="where requests go (default: %(default)s)"
    )
    change = described.add_argument_group("changing a case (each makes another request, with its own id)")
    change.add_argument("--model", help="another BLOOM of runner/catalog/models.yaml")
    change.add_argument(
        "--weights",
        choices=("hub", "dummy"),
        help="the model's own weights at the pinned revision, or seeded dummy ones",
    )
    change.add_argument("--seed", type=int, help="seed of dummy weights")
    change.add_argument("--precision", choices=tuple(BYTES_PER_ELEMENT))
    change.add_argument("--devices", type=int, help="how many devices, or ranks on the CPU")
    change.add_argument("--protocol", help="another protocol of runner/catalog/protocols.yaml")
    change.add_argument("--engine", choices=ENGINES, help="another way to run the model than the stack's own")
    change.add_argument("--launches", type=int, help="how often the model is loaded and the protocol run")
    change.add_argument(
        "--margin", help="strict, standard, loose or host-bound: when a published number counts as reproduced"
    )
    change.add_argument("--batch-size", type=int)
    change.add_argument("--input-tokens", type=int, help="prompt tokens of a dataset workload")
    change.add_argument("--output-tokens", type=int, help="new tokens")
    dataset = described.add_argument_group("dataset workloads")
    dataset.add_argument(
        "--dataset-file", metavar="FILE", type=Path, help="complete a local JSON Lines, CSV or Parquet file"
    )
    dataset.add_argument("--dataset", metavar="NAME", help="complete a dataset of versions.lock")
    dataset.add_argument("--configuration", help="configuration of a hub dataset")
    dataset.add_argument("--split", help="split of a hub dataset")
    dataset.add_argument("--column", help="the column of text to complete")
    dataset.add_argument("--rows", type=int, help="complete only the first rows")
    return described


def main(arguments):
    options = parser().parse_args(arguments)
    catalog, lock = catalogs.read(), lockfile.read()
    if options.list:
        print(listing(catalog))
        return 0
    if not options.cases:
        raise UsageError("No case is named. `python -m runner request --list` shows them.")
    requests = [make(catalog, lock, name, options) for name in options.cases]
    for request in requests:
        path = options.out / f"{request.id}.json"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(strictjson.pretty(request.to_json()), encoding="utf-8")
        except OSError as problem:
            raise InputError(f"{path} cannot be written: {problem.strerror}. Name another folder with --out.") from None
        print(path)
    return 0


def listing(catalog):
    """Return the cases with their cells and the models with their sizes, as text."""
    width = max(map(len, (*catalog.cases, *catalog.models)))
    lines = ["cases:"]
    for name, case in catalog.cases.items():
        cell = f"{case.devices} x {case.accelerator}, {case.model}, {case.precision}, {case.workload}"
        lines.append(f"  {name:<{width}} {cell}, protocol {case.protocol}, stack {case.stack}")
    lines.append("models:")
    for name, architecture in catalog.models.items():
        parameters, held = architecture.parameter_count(), architecture.weight_bytes("bfloat16")
        lines.append(f"  {name:<{width}} {parameters:>15,} parameters, {held:>15,} bytes at 16 bit")
    return "\n".join(lines)


def make(catalog, lock, name, options):
    """Return the ``Request`` of the case ``name`` with the changes that ``options`` ask for.

    Raises ``UsageError`` for unknown names and ``UnresolvedPin`` for a pin that the case needs and the lock leaves open.
    """
    case = _known(catalog.cases, name, "case")
    accelerator = catalog.accelerators[case.accelerator]
    model_name = _or(options.model, case.model)
    architecture = _known(catalog.models, model_name, "model")
    protocol = _known(catalog.protocols, _or(options.protocol, case.protocol), "protocol")
    devices = _positive(options.devices, case.devices, "--devices")
    if architecture.n_head % devices:
        raise Unsupported(
            f"{model_name} has {architecture.n_head} attention heads, which {devices} devices cannot share evenly. Take a divisor."
        )
    weights = _weights(catalog, _or(options.weights, case.weights), options.seed)
    workload = _workload(catalog, lock, case, options)
    stack = _stack(lock, case.stack, accelerator.name)
    request = Request(
        case=name,
        accelerator=accelerator,
        devices=devices,
        stack=stack,
        model=_model(lock, model_name, architecture, weights),
        weights=weights,
        workload=workload,
        protocol=protocol,
        launches=_positive(options.launches, case.launches, "--launches"),
        margin=_known(catalog.margins, _or(options.margin, case.margin), "margin"),
        beside=list(case.beside),
        engine=_or(options.engine, _or(case.engine, lock.stacks[case.stack].engine)),
        expected=_expected(catalog, model_name, accelerator.device, weights, workload, protocol),
    )
    return Request.from_json(request.to_json(), f"the request of {name}")


def _stack(lock, name, accelerator):
    stack = _known(lock.stacks, name, "stack")
    embedded = stack.device == "cpu"  # the embedded default runs in the environment that make set up, not in an image
    image = (
        None
        if embedded
        else f"{stack.image.repository}@{lockfile.need(stack.image.digest, f'The image digest of stack {name}')}"
    )
    packages = {
        package: lockfile.need(pin.version, f"The version of {package} in stack {name}")
        for package, pin in stack.packages.items()
    }
    sha256 = lockfile.need(stack.requirements.sha256, f"The hash of {stack.requirements.file}")
    driver = None if stack.driver == lockfile.UNRESOLVED else stack.driver
    known = accelerator == FIRMWARE_OF and stack.firmware != lockfile.UNRESOLVED
    firmware = stack.firmware if known else None
    return Stack(name, stack.device, stack.python, stack.launcher, packages, sha256, image, driver, firmware)


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
    return Weights("dummy", _or(seed, catalog.dummy_seed), catalog.dummy_std)


def _workload(catalog, lock, case, options):
    defaults = catalog.workloads[case.workload]
    is_dataset = defaults.prompt is None
    for flag in ("dataset_file", "dataset", "configuration", "split", "column", "rows", "input_tokens"):
        if getattr(options, flag) is not None and not is_dataset:
            raise UsageError(f"--{flag.replace('_', '-')} is for dataset workloads. Take the case cpu-dataset.")
    return Workload(
        name=case.workload,
        batch_size=_positive(options.batch_size, defaults.batch_size, "--batch-size"),
        input_tokens=_positive(options.input_tokens, defaults.input_tokens, "--input-tokens"),
        output_tokens=_positive(options.output_tokens, defaults.output_tokens, "--output-tokens"),
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
    column = _or(options.column, defaults.column)
    rows = None if options.rows is None else _positive(options.rows, None, "--rows")
    if options.dataset_file is not None:
        if options.dataset is not None:
            raise UsageError("--dataset-file and --dataset exclude each other; give one.")
        path = options.dataset_file
        if path.suffix not in FORMATS:
            raise UsageError(f"{path} ends in none of {', '.join(FORMATS)}. Convert it to one of them.")
        return Dataset("file", path.name, None, None, None, FORMATS[path.suffix], _sha256(path), column, rows)
    name = _or(options.dataset, defaults.dataset)
    pin = _known(lock.datasets, name, "dataset")
    revision = lockfile.need(pin.revision, f"The revision of dataset {name}")
    configuration, split = _or(options.configuration, defaults.configuration), _or(options.split, defaults.split)
    return Dataset("hub", pin.repository, revision, configuration, split, None, None, column, rows)


def _sha256(path):
    try:
        return sha256_of_file(path)
    except OSError as problem:
        raise InputError(f"{path} cannot be read: {problem.strerror}. Check --dataset-file.") from None


def _known(table, name, kind):
    if name in table:
        return table[name]
    near = difflib.get_close_matches(name, table, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise UsageError(f"There is no {kind} {name!r}.{hint} Known are {', '.join(table)}.")


def _positive(value, default, flag):
    if value is not None and value < 1:
        raise UsageError(f"{flag} must be at least 1, {value} was given.")
    return _or(value, default)


def _or(value, default):
    return default if value is None else value
