"""The example reports, each made by the verb ``report`` in a folder of its own: the same files give the same bytes on any machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runner.contract import result as results
from runner.host.results import result_files
from tests.examples import made_up

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "reports"
PRICES = Path(__file__).parent / "prices.yaml"
MEASURED = ROOT / "tests" / "data" / "result-2.json"
# 2026-11-27, in seconds: when the examples were made is no news, and would give other bytes each day.
EPOCH = "1795737600"


@dataclass(frozen=True)
class Example:
    """An example: ``fill`` writes its results below ``results`` of a folder, ``flags`` are those of the verb."""

    fill: Callable[[Path], object]
    flags: tuple[str, ...]


def _measured(folder: Path) -> None:
    """Put the measured result of the tests where ``bench`` would have put it."""
    result, request = result_files.read_one(MEASURED)
    path = folder / results.file_name(request.id, result["attempt"]["id"])
    path.parent.mkdir(parents=True)
    shutil.copyfile(MEASURED, path)


def _all_made_up(folder: Path) -> None:
    made_up.write_eight_cells(folder)
    made_up.write_history(folder)
    made_up.write_laboratory(folder.parent / "made-up-laboratory")
    shutil.copyfile(PRICES, folder.parent / "prices.yaml")


EXAMPLES = {
    "cpu-walk-through": Example(_measured, ()),
    "eight-cells": Example(
        _all_made_up,
        (
            *("--example", "Example: all that is measured here is made up."),
            *("--laboratory", "Made-up laboratory=made-up-laboratory"),
        ),
    ),
    "h100": Example(lambda folder: None, ("--published-only", "--source", "h100-2026")),
}


def write(name: str, out: Path) -> None:
    """Write the page and the data of an example into ``out``. Raises ``CalledProcessError`` where the verb fails."""
    example = EXAMPLES[name]
    with tempfile.TemporaryDirectory() as folder:
        # paths on the page are relative: they are the same wherever the example is made
        example.fill(Path(folder) / "results")
        command = [sys.executable, "-m", "runner", "report", "--out", "report", "--page-only", *example.flags]
        variables = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH, "PYTHONPATH": str(ROOT)}
        subprocess.run(command, cwd=folder, env=variables, check=True)
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(Path(folder) / "report", out)
