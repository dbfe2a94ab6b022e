"""The verb ``request``: take cases from the catalog, fill in every pin from the lock, and write one request file each."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from runner.contract import found_devices, path_lists, visible_devices
from runner.contract.announce import Announcer, Complaint, Event, fact
from runner.contract.arguments import add_json, verb_parser
from runner.contract.errors import UsageError
from runner.contract.request import PRECISIONS, Request
from runner.contract.text import printable
from runner.host import case_flags, cases, choice
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
    case_flags.add_here(described)
    add_json(described, "each written request, or each case, model and precision of --list,")
    case_flags.add_changes(described)
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
    for request in _requests(catalog, lock, options, announcer):
        path = cases.write(request, options.out, "Name another folder with --out.")
        announcer.announce(RequestWritten(request.case, request.id, str(path)))
    return 0


def _requests(catalog: Catalog, lock: Lock, options: argparse.Namespace, announcer: Announcer) -> list[Request]:
    """Return the requests of the named cases, or of those that fit this host; say of this host what was found."""
    if options.here is None:
        if options.device is not None or options.model_dir is not None:
            raise UsageError("--device and --model-dir are for --here; name the file that lists this host's devices.")
        if not options.cases:
            raise UsageError("No case is named. `python -m runner request --list` shows them.")
        changes = case_flags.changes(options)
        return [cases.make(catalog, lock, name, changes, in_image=not options.no_image) for name in options.cases]
    devices = found_devices.read(options.here)
    asked = case_flags.asked(options, in_images=not options.no_image)
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
