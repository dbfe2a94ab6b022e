"""``python -m tests.emulation``: run the Gaudi stacks that are here and tell what ran, under which versions, and the tokens."""

import sys

from runner.contract import strictjson
from runner.host import catalog
from tests.emulation import runs
from tests.stacks import build

CELLS = (
    {"ranks": 1, "graphs": True, "batch": 1},
    {"ranks": 1, "graphs": False, "batch": 1},
    {"ranks": 1, "graphs": True, "batch": 8},
    {"ranks": 2, "graphs": True, "batch": 1},
    {"ranks": 2, "graphs": False, "batch": 1},
)
NAMED = ("torch", "transformers", "optimum-habana", "deepspeed")


def main():
    """Print a block for each stack; return 1 if any run failed or gave other tokens than plain transformers."""
    wanted, wrong = catalog.read().reference_outputs["bloom-tiny-cpu"].output_ids_sha256, 0
    for name in build.names("hpu"):
        folder = build.make(name, lambda text: print(text, file=sys.stderr, flush=True))
        noted = build.describe(folder)
        versions = ", ".join(f"{package} {noted['packages'][package]}" for package in NAMED)
        print(f"{name}: Python {noted['python']}, {versions}")
        for part, stand_in in noted["stand_ins"].items():
            print(f"  stood in for: {part}: {stand_in}")
        for cell in CELLS:
            outcome = _told(runs.run(build.python(folder), name, **cell), wanted)
            wrong += outcome != "tokens equal"
            graphs = "graphs" if cell["graphs"] else "no graphs"
            print(
                f"  latency, float32, {cell['ranks']} rank(s), batch {cell['batch']}, {graphs}: {outcome}", flush=True
            )
    print("Times are not told: something stands in for the device.")
    return 1 if wrong else 0


def _told(run, wanted):
    done, result, _, _ = run
    if done.returncode != 0:
        return f"failed with {done.returncode}: {done.stderr.strip().splitlines()[-1]}"
    (launch,) = result["launches"]
    found = {strictjson.sha256_of(row) for row in launch["tokens"]["output_ids"]}
    return "tokens equal" if found == {wanted} else "OTHER TOKENS than plain transformers"


if __name__ == "__main__":
    sys.exit(main())
