"""``python -m tests.emulation``: run every stack that can run without its chip; tell what ran, under which versions, and the tokens.

Then tell what changed between neighbouring releases: packages, tokens and calls (``--changes``: this alone). Times are told nowhere.
Gaudi stacks run over the stand-in of this folder, cuda-2023 over that of tests/injection. What today's GPUs run, the engine compiled,
runs on the CPU here, as it is.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from runner.contract import strictjson
from runner.contract.errors import KitError, Unreachable
from runner.contract.records import JsonObject
from runner.host.results import result_files
from tests.emulation import calls, changes, drive, events, reference, runs, table
from tests.injection import runs as injected
from tests.stacks import build

# workload, precision, ranks, batch, graphs
Cell = tuple[str, str, int, int, bool]
# a line of the table, in the order of COLUMNS
Row = tuple[str, str, str, str, int, int, str, str]

CELLS = (
    *itertools.product(["latency"], ["float32"], [1, 2], [1, 8], [True, False]),
    *itertools.product(["latency"], ["bfloat16"], [1, 2], [1, 8], [True]),
    *itertools.product(["dataset"], ["float32"], [1, 2], [1, 4], [True]),
)
COLUMNS = ("stack", "engine", "workload", "precision", "ranks", "batch", "graphs", "tokens")
NAMED = ("torch", "transformers", "optimum-habana", "deepspeed")
OTHER = "OTHER TOKENS"
EQUAL = {
    "float32": "equal: plain transformers",
    # see arithmetic.py
    "bfloat16": "equal: plain transformers with upstream's roundings",
    "float16": "equal: plain transformers in float32",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what ran, cell by cell, and what changed between neighbours; return 1 if any stack gave other tokens than it must.

    What went wrong is said on standard error, and its exit code returned.
    """
    options = _parser().parse_args(arguments)
    try:
        wrong = [] if options.changes else _cells()
        earlier = changes.read() if options.stacks else None
        made = changes.record(_progress, options.stacks or None, earlier)
        print(changes.told(made))
        print("Times are not told: something stands in for the device.")
        for file in (options.json, changes.RECORD if options.write else None):
            if file is not None:
                changes.write(made, file)
                _progress(f"written: {file}")
    except KitError as problem:
        print(problem, file=sys.stderr)
        return problem.exit_code
    wrong += [
        stack["stack"] for stack in made["stacks"] if stack["seen"] and not stack["seen"]["tokens"]["equal_plain"]
    ]
    return 1 if wrong else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        allow_abbrev=False,
        prog="python -m tests.emulation",
        description="Run every stack that can run without its chip: what ran, whether the tokens are right, and what changed"
        " between neighbouring releases. Environments that are not there are built first (16 GB in all).",
        epilog="Exit codes: 0 all tokens are right, 1 some are not, 3 a record is missing or is left, 6 a stack did not run.",
    )
    parser.add_argument("--changes", action="store_true", help="only what changed between neighbours, not each cell")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what changed to a file too, as JSON")
    parser.add_argument(
        "--write",
        action="store_true",
        help="write what changed into docs/time-machine.json, from which the page is made",
    )
    parser.add_argument(
        "--stacks",
        nargs="+",
        choices=calls.names(),
        metavar="STACK",
        help="run these alone; what is told of the others is what docs/time-machine.json has",
    )
    return parser


def _cells() -> list[str]:
    """Print what stood in on each stack, then a line for each cell; return the cells that failed or gave other tokens."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="bloomz-bench-") as scratch:
        dataset = reference.write_rows(Path(scratch))
        for name in build.names("hpu"):
            try:
                folder = build.make(name, _progress)
            except Unreachable as problem:
                if not build.commits(name):
                    raise
                print(problem)
                continue
            _introduce(name, build.describe(folder))
            for cell in CELLS:
                _progress(f"{name}: {' '.join(map(str, cell))}")
                tokens = _tokens(build.python(folder), name, dataset, *cell)
                rows.append((name, "optimum-habana", *cell[:4], "yes" if cell[4] else "no", tokens))
    rows += [*_of_2023(), *_here()]
    print(table.aligned([COLUMNS, *rows]), end="\n\n")
    return [" ".join(map(str, row)) for row in rows if row[-1] not in EQUAL.values()]


def _introduce(name: str, noted: JsonObject) -> None:
    versions = ", ".join(f"{package} {noted['packages'][package]}" for package in NAMED if package in noted["packages"])
    print(f"{name}: Python {noted['python']}, {versions}")
    for part, stand_in in noted["stand_ins"].items():
        print(f"  stood in for: {part}: {stand_in}")


def _tokens(
    interpreter: Path, name: str, dataset: Path, workload: str, precision: str, ranks: int, batch: int, graphs: bool
) -> str:
    """Run a cell; return the outcome of the token check in words."""
    file = dataset if workload == "dataset" else None
    options: JsonObject = {"ranks": ranks, "batch": batch, "graphs": graphs, "precision": precision}
    done, result, _, _ = runs.run(interpreter, name, dataset_file=file, **options)
    if done.returncode != 0 or result is None:
        return f"failed with {done.returncode}: {done.stderr.strip().splitlines()[-1]}"
    (launch,) = result["launches"]
    if file is not None:
        right = launch["dataset"]["tokens_sha256"] == reference.completions_sha256(file)
    elif precision == "bfloat16":
        seen = drive.run(interpreter, "causes.py", ["runner", events.release(name), ranks])
        right = launch["tokens"]["output_ids"] == seen[str(batch)]["all"]
    else:
        hashes = {strictjson.sha256_of(row) for row in launch["tokens"]["output_ids"]}
        right = hashes == {reference.output_ids_sha256()}
    return EQUAL[precision] if right else OTHER


def _of_2023() -> Iterator[Row]:
    """Yield the rows of the GPU script's stack."""
    folder = build.make(injected.STACK, _progress)
    _introduce(injected.STACK, build.describe(folder))
    for ranks, batch in ((1, 1), (1, 2), (2, 1)):
        _progress(f"{injected.STACK}: latency float16 {ranks} {batch}")
        seen = injected.run(build.python(folder), ranks, batch)
        right = all(rank["raw"]["tokens"]["output_ids"] == rank["plain"] for rank in seen)
        tokens = EQUAL["float16"] if right else OTHER
        yield injected.STACK, "kernel-injection", "latency", "float16", ranks, batch, "no", tokens


def _here() -> Iterator[Row]:
    """Yield the rows of the CPU's own stack, by the commands that a user gives."""
    print("cpu: this Python, nothing stood in for; where no GPU is, what is compiled replays no graphs")
    for engine, ranks in itertools.product(("plain", "compiled"), (1, 2)):
        _progress(f"cpu: {engine} on {ranks}")
        yield "cpu", engine, "latency", "float32", ranks, 1, "no", _tokens_here(f"cpu-{ranks}", engine)


def _tokens_here(case: str, engine: str) -> str:
    with tempfile.TemporaryDirectory(prefix="bloomz-bench-") as folder:

        def runner(*arguments: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "runner", *arguments]
            return subprocess.run(command, capture_output=True, encoding="utf-8")

        asked = runner("request", case, "--engine", engine, "--out", folder)
        done = runner("bench", "--results", folder, *asked.stdout.split())
        if done.returncode != 0:
            return f"failed with {done.returncode}: {done.stderr.strip().splitlines()[-1]}"
        result, _ = result_files.read_one(Path(done.stdout.strip()))
    hashes = {strictjson.sha256_of(row) for launch in result["launches"] for row in launch["tokens"]["output_ids"]}
    return EQUAL["float32"] if hashes == {reference.output_ids_sha256()} else OTHER


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
