"""The flags that choose cases by what this host has, and that change a case: the same for every verb that takes cases."""

from __future__ import annotations

import argparse
import re
from dataclasses import fields
from pathlib import Path

from runner.contract.request import DEVICES, ENGINES, PRECISIONS
from runner.contract.strictjson import MAX_DIGITS
from runner.host.cases import UNCHANGED, Changes
from runner.host.choice import Asked


def add_here(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say what this host has."""
    here = parser.add_argument_group("choosing cases by what this host has")
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


def add_changes(parser: argparse.ArgumentParser) -> None:
    """Add the flags that change a case."""
    change = parser.add_argument_group("changing a case (each makes another request, with its own id)")
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
    dataset = parser.add_argument_group("dataset workloads")
    dataset.add_argument(
        "--dataset-file", metavar="FILE", type=Path, help="complete a local JSON Lines, CSV or Parquet file"
    )
    dataset.add_argument("--dataset", metavar="NAME", help="complete a dataset of versions.lock")
    dataset.add_argument("--configuration", help="configuration of a hub dataset")
    dataset.add_argument("--split", help="split of a hub dataset")
    dataset.add_argument("--column", help="the column of text to complete")
    dataset.add_argument("--rows", type=_whole, help="complete only the first rows")


def changes(options: argparse.Namespace) -> Changes:
    """Return what the flags of ``add_changes`` change."""
    return Changes(**{field.name: getattr(options, field.name) for field in fields(Changes)})


def are_given(options: argparse.Namespace) -> bool:
    """Return whether a flag is given that changes a case, or that goes with ``--here``."""
    return changes(options) != UNCHANGED or options.device is not None or options.model_dir is not None


def asked(options: argparse.Namespace, in_images: bool) -> Asked:
    """Return what a person asks of this host; ``options.cases`` names cases. ``in_images`` is that of ``Asked``."""
    return Asked(tuple(options.cases), options.device, options.model_dir, in_images, changes(options))


def _whole(text: str) -> int:
    """Return the whole number of a flag, for argparse. ``cases.make`` checks its bounds."""
    if not re.fullmatch(rf"-?[0-9]{{1,{MAX_DIGITS}}}", text):
        raise argparse.ArgumentTypeError(f"{text[:60]!a} is no whole number of at most {MAX_DIGITS} digits")
    return int(text)
