"""Run the runner's worker on cuda-2023, GPU and kernels stood in for: the test's request, and what each rank saw."""

from __future__ import annotations

import tempfile
from pathlib import Path

from runner.contract import strictjson
from runner.contract.records import JsonObject
from runner.contract.request import Model, Request, Stack, Weights
from runner.host.readers import catalog
from tests.emulation import drive
from tests.stacks import build
from tests.support import samples

STACK = "cuda-2023"
NEW = 12


def asked(ranks: int, batch: int) -> Request:
    return samples.request(
        devices=ranks,
        stack=Stack(STACK, "cpu", "3.10", "deepspeed", {"torch": "1.13.1", "deepspeed": "0.8.2"}, None, None),
        engine="kernel-injection",
        model=Model("bloom-tiny", samples.TINY, "tests/bloom-tiny", "1" * 40, {}),
        weights=Weights("hub", None, None),
        workload=samples.workload(precision="float16", output_tokens=NEW, batch_size=batch),
        protocol=catalog.read().protocols["gpu-2023"],
    )


def run(interpreter: Path, ranks: int, batch: int) -> list[JsonObject]:
    """Return what each rank printed."""
    with tempfile.TemporaryDirectory(prefix="bloomz-bench-") as folder:
        path = Path(folder, "request.json")
        path.write_text(strictjson.pretty(asked(ranks, batch).to_json()))
        return drive.run(interpreter, build.FOLDER.parent / "injection" / "scenario.py", [path], ("processes", ranks))
