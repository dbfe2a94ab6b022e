"""The verb ``request``: take cases from the catalog, fill in every pin from the lock, and write one request file each."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path

from runner.contract import path_lists
from runner.contract.announce import Announcer, Event, fact
from runner.contract.arguments import add_json, verb_parser
from runner.contract.errors import UsageError
from runner.contract.request import ENGINES, PRECISIONS
from runner.contract.strictjson import MAX_DIGITS
from runner.host import cases
from runner.host.readers import catalog as catalogs
from runner.host.readers import lockfile
from runner.host.readers.catalog import Catalog


@dataclass(frozen=True)
class RequestWritten(Event, word="request"):
    """A request was written."""

    case: str = field(metadata=fact("name of the case"))
    id: str = field(metadata=fact("id of the request, a hash of its content"))
    path: str = field(metadata=fact("path of the request's file"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return self.path


@dataclass(frozen=True)
class CaseListed(Event, word="case"):
    """A case of the catalog (`--list`)."""

    case: str = field(metadata=fact("name of the case"))
    devices: int = field(metadata=fact("number of devices"))
    accelerator: str = field(metadata=fact("name of the accelerator"))
    model: str = field(metadata=fact("name of the model"))
    precision: str = field(metadata=fact("precision of the weights"))
    workload: str = field(metadata=fact("name of the workload"))
    protocol: str = field(metadata=fact("name of the protocol"))
    stack: str = field(metadata=fact("name of the stack"))


@dataclass(frozen=True)
class ModelListed(Event, word="model"):
    """A model of the catalog (`--list`)."""

    model: str = field(metadata=fact("name of the model"))
    parameters: int = field(metadata=fact("number of parameters"))
    weights_at_16_bit_bytes: int = field(metadata=fact("size of the weights, two bytes a parameter"))


@dataclass(frozen=True)
class PrecisionListed(Event, word="precision"):
    """A precision that a person may ask for (`--list`)."""

    precision: str = field(metadata=fact("name of the precision"))
    runs: bool = field(metadata=fact("whether the kit's engines run it"))
    stacks: str = field(
        metadata=fact(
            "the stacks that could run it, separated by blanks; empty where the engines run it on every stack"
        )
    )


def _whole(text: str) -> int:
    """Return the whole number of a flag, for argparse. ``cases.make`` checks its bounds."""
    if not re.fullmatch(rf"-?[0-9]{{1,{MAX_DIGITS}}}", text):
        raise argparse.ArgumentTypeError(f"{text[:60]!a} is no whole number of at most {MAX_DIGITS} digits")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the verb's flags."""
    described = verb_parser(
        "request",
        description="Write the request of each CASE: the case with every pin of versions.lock filled in. The paths of the"
        " files go to standard output, for `python -m runner bench`.",
    )
    described.add_argument("cases", nargs="*", metavar="CASE", help="cases of runner/catalog/cases.yaml; see --list")
    described.add_argument(
        "--list", action="store_true", help="list the cases, models and precisions, and write nothing"
    )
    described.add_argument(
        "--out", default="build/requests", metavar="FOLDER", type=Path, help="where requests go (default: %(default)s)"
    )
    add_json(described, "each written request, or each case, model and precision of --list,")
    change = described.add_argument_group("changing a case (each makes another request, with its own id)")
    change.add_argument("--model", help="another BLOOM of runner/catalog/models.yaml")
    change.add_argument(
        "--weights",
        choices=("hub", "dummy"),
        help="the model's own weights at the pinned revision, or seeded dummy ones",
    )
    change.add_argument("--seed", type=_whole, help="seed of dummy weights")
    change.add_argument(
        "--precision",
        metavar="WORD",
        help=f"{', '.join(PRECISIONS)}; --list names others, and the stacks that could run them",
    )
    change.add_argument("--devices", type=_whole, help="how many devices, or ranks on the CPU")
    change.add_argument("--protocol", help="another protocol of runner/catalog/protocols.yaml")
    change.add_argument("--engine", choices=ENGINES, help="another way to run the model than the stack's own")
    change.add_argument("--launches", type=_whole, help="how often the model is loaded and the protocol run")
    change.add_argument(
        "--margin", help="strict, standard, loose or host-bound: when a published number counts as reproduced"
    )
    change.add_argument("--batch-size", type=_whole)
    change.add_argument("--input-tokens", type=_whole, help="prompt tokens of a dataset workload")
    change.add_argument("--output-tokens", type=_whole, help="new tokens")
    dataset = described.add_argument_group("dataset workloads")
    dataset.add_argument(
        "--dataset-file", metavar="FILE", type=Path, help="complete a local JSON Lines, CSV or Parquet file"
    )
    dataset.add_argument("--dataset", metavar="NAME", help="complete a dataset of versions.lock")
    dataset.add_argument("--configuration", help="configuration of a hub dataset")
    dataset.add_argument("--split", help="split of a hub dataset")
    dataset.add_argument("--column", help="the column of text to complete")
    dataset.add_argument("--rows", type=_whole, help="complete only the first rows")
    return described


def main(arguments: list[str]) -> int:
    """Write the requests that the arguments ask for, print their paths, and return the exit code.

    Raises ``UsageError`` where no case is named, and what ``cases.make`` raises.
    """
    options = parser().parse_args(arguments)
    path_lists.refuse_unlistable(options.out, "--out")
    announcer = Announcer(options.json)
    catalog, lock = catalogs.read(), lockfile.read()
    if options.list:
        announcer.announce_together(_listed(catalog), listing(catalog) + "\n")
        return 0
    if not options.cases:
        raise UsageError("No case is named. `python -m runner request --list` shows them.")
    changes = cases.Changes(**{field.name: getattr(options, field.name) for field in fields(cases.Changes)})
    requests = [cases.make(catalog, lock, name, changes) for name in options.cases]
    for request in requests:
        path = cases.write(request, options.out, "Name another folder with --out.")
        announcer.announce(RequestWritten(request.case, request.id, str(path)))
    return 0


def _listed(catalog: Catalog) -> Iterator[Event]:
    for name, case in catalog.cases.items():
        yield CaseListed(
            name,
            case.devices,
            case.accelerator,
            case.model,
            case.precision,
            case.workload,
            case.protocol,
            case.stack,
        )
    for name, architecture in catalog.models.items():
        yield ModelListed(name, architecture.parameter_count(), architecture.weight_bytes("bfloat16"))
    for precision in PRECISIONS:
        yield PrecisionListed(precision, runs=True, stacks="")
    for precision_name, unrun in catalog.precisions.items():
        yield PrecisionListed(precision_name, runs=False, stacks=" ".join(unrun.offers))


def listing(catalog: Catalog) -> str:
    """Return the cases with their cells, the models with their sizes, and the precisions, as lines of text."""
    width = max(map(len, (*catalog.cases, *catalog.models)))
    lines = ["cases:"]
    for name, case in catalog.cases.items():
        cell = f"{case.devices} x {case.accelerator}, {case.model}, {case.precision}, {case.workload}"
        lines.append(f"  {name:<{width}} {cell}, protocol {case.protocol}, stack {case.stack}")
    lines.append("models:")
    for name, architecture in catalog.models.items():
        parameters, size_bytes = architecture.parameter_count(), architecture.weight_bytes("bfloat16")
        lines.append(f"  {name:<{width}} {parameters:>15,} parameters, {size_bytes:>15,} bytes at 16 bit")
    lines.append("precisions:")
    lines += [f"  {precision:<{width}} every stack" for precision in PRECISIONS]
    for precision_name, unrun in catalog.precisions.items():
        could = ", ".join(f"{stack} on {' and '.join(offer.accelerators)}" for stack, offer in unrun.offers.items())
        lines.append(f"  {precision_name:<{width}} no engine of this kit; {could or 'no stack'} could")
    return "\n".join(lines)
