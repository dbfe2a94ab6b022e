"""The verb ``request``: take cases from the catalog, fill in every pin from the lock, and write one request file each."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path

from runner.contract import found_devices, path_lists, visible_devices
from runner.contract.announce import Announcer, Complaint, Event, fact
from runner.contract.arguments import add_json, verb_parser
from runner.contract.errors import UsageError
from runner.contract.request import DEVICES, ENGINES, PRECISIONS, Request
from runner.contract.strictjson import MAX_DIGITS
from runner.contract.text import printable
from runner.host import cases, choice
from runner.host.cases import Changes
from runner.host.readers import catalog as catalogs
from runner.host.readers import lockfile
from runner.host.readers.catalog import Catalog
from runner.host.readers.lockfile import Lock


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
class CasesChosen(Complaint, word="chosen"):
    """The look at this host (`--here`) is over."""

    cases: list[str] = field(metadata=fact("names of the cases whose requests follow"))
    in_images: list[str] = field(metadata=fact("names of the cases that run in an image alone (`--no-image`)"))
    message: str = field(metadata=fact("what was found, what is measured, and what is left out"))

    @property
    def sentence(self) -> str:
        """The line for people."""
        return printable(self.message)


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
    described.add_argument(
        "--no-image",
        action="store_true",
        help="for runs without a container: the request names no image; stacks that live in an image alone are refused",
    )
    here = described.add_argument_group("choosing cases by what this host has")
    here.add_argument(
        "--here",
        metavar="FILE",
        help="the accelerators of this host, as `python -m runner devices --json` printed them. Without a CASE those of the catalog are"
        " taken that fit them, on a host without accelerators those of the CPU; published weights that are not here become dummy ones",
    )
    here.add_argument("--device", choices=DEVICES, help="look at accelerators of this kind alone; cpu: at none")
    here.add_argument(
        "--model-dir", metavar="FOLDER", type=Path, help="a folder of real weights, in place of the hub cache"
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
    changes = Changes(**{field.name: getattr(options, field.name) for field in fields(Changes)})
    for request in _requests(catalog, lock, options, changes, announcer):
        path = cases.write(request, options.out, "Name another folder with --out.")
        announcer.announce(RequestWritten(request.case, request.id, str(path)))
    return 0


def _requests(
    catalog: Catalog, lock: Lock, options: argparse.Namespace, changes: Changes, announcer: Announcer
) -> list[Request]:
    """Return the requests of the named cases, or of those that fit this host; say of this host what was found."""
    if options.here is None:
        if options.device is not None or options.model_dir is not None:
            raise UsageError("--device and --model-dir are for --here; name the file that lists this host's devices.")
        if not options.cases:
            raise UsageError("No case is named. `python -m runner request --list` shows them.")
        return [cases.make(catalog, lock, name, changes, in_image=not options.no_image) for name in options.cases]
    devices = found_devices.read(options.here)
    asked = choice.Asked(tuple(options.cases), options.device, options.model_dir, not options.no_image, changes)
    chosen = choice.choose(catalog, lock, devices, asked, os.environ)
    if options.no_image and any(request.accelerator.device == "cuda" for request in chosen.requests):
        # `bench` refuses the same names, and by then an environment of 3 GB was fetched
        problem = visible_devices.unlaunchable(os.environ)
        if problem is not None:
            raise problem
    named = [request.case for request in chosen.requests]
    announcer.announce(CasesChosen(named, chosen.in_images, chosen.sentence))
    return chosen.requests


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
