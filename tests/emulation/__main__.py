"""``python -m tests.emulation``: run the Gaudi stacks that are here and tell what ran, under which versions, and the tokens."""

import itertools
import sys
import tempfile
from pathlib import Path

from runner.contract import strictjson
from tests.emulation import arithmetic, drive, reference, runs, table
from tests.stacks import build

# workload, precision, ranks, batch, graphs
CELLS = (
    *itertools.product(["latency"], ["float32"], [1, 2], [1, 8], [True, False]),
    *itertools.product(["latency"], ["bfloat16"], [1, 2], [1, 8], [True]),
    *itertools.product(["dataset"], ["float32"], [1, 2], [1, 4], [True]),
)
COLUMNS = ("stack", "workload", "precision", "ranks", "batch", "graphs", "tokens")
NAMED = ("torch", "transformers", "optimum-habana", "deepspeed")
EQUAL = {
    "float32": "equal: plain transformers",
    "bfloat16": "equal: plain transformers with upstream's roundings",  # see arithmetic.py
}


def main():
    """Print what stood in on each stack, then a line for each cell; return 1 if any failed or gave other tokens."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="bloomz-bench-") as scratch:
        dataset = reference.write_rows(Path(scratch))
        for name in build.names("hpu"):
            folder = build.make(name, _progress)
            _introduce(name, build.describe(folder))
            for cell in _cells(name):
                _progress(f"{name}: {' '.join(map(str, cell))}")
                rows.append(
                    (name, *cell[:4], "yes" if cell[4] else "no", _tokens(build.python(folder), name, dataset, *cell))
                )
    print(table.aligned([COLUMNS, *rows]))
    print("Times are not told: something stands in for the device.")
    return 1 if any(row[-1] not in EQUAL.values() for row in rows) else 0


def _cells(name):
    """Return a stack's cells: in bfloat16 only where its roundings are known, without which there is nothing to compare with."""
    return [cell for cell in CELLS if cell[1] != "bfloat16" or name in arithmetic.OF_OPTIMUM]


def _introduce(name, noted):
    versions = ", ".join(f"{package} {noted['packages'][package]}" for package in NAMED)
    print(f"{name}: Python {noted['python']}, {versions}")
    for part, stand_in in noted["stand_ins"].items():
        print(f"  stood in for: {part}: {stand_in}")


def _tokens(interpreter, name, dataset, workload, precision, ranks, batch, graphs):
    """Run a cell; return the outcome of the token check in words."""
    file = dataset if workload == "dataset" else None
    options = {"ranks": ranks, "batch": batch, "graphs": graphs, "precision": precision}
    done, result, _, _ = runs.run(interpreter, name, dataset_file=file, **options)
    if done.returncode != 0:
        return f"failed with {done.returncode}: {done.stderr.strip().splitlines()[-1]}"
    (launch,) = result["launches"]
    if file is not None:
        right = launch["dataset"]["tokens_sha256"] == reference.completions_sha256(file)
    elif precision == "bfloat16":
        told = drive.run(interpreter, "causes.py", ["runner", name, ranks])
        right = launch["tokens"]["output_ids"] == told[str(batch)]["all"]
    else:
        found = {strictjson.sha256_of(row) for row in launch["tokens"]["output_ids"]}
        right = found == {reference.output_ids_sha256()}
    return EQUAL[precision] if right else "OTHER TOKENS"


def _progress(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
