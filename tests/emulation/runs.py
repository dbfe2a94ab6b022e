"""Run the runner on an exact stack, the device emulated: the test's requests, and the folder they run in."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from runner.contract import strictjson
from runner.contract.errors import InputError
from runner.contract.files import sha256_of_file
from runner.contract.records import JsonObject, Launch, Result
from runner.contract.request import Dataset, Expected, Request, Stack
from runner.host.readers import catalog, lockfile
from runner.host.results import result_files
from tests.emulation import drive
from tests.stacks import build
from tests.support import samples

LIMIT_S = 300

# What the runner printed, its result (None where there is none), its request, and the events of rank 0.
Outcome = tuple["subprocess.CompletedProcess[str]", Result | None, Request, list[JsonObject]]


def protocol_of(name: str) -> str:
    """Return the protocol of a stack: the one that cases and claims give it, else the newest of its family that is not newer than it.

    Raises ``InputError`` where neither tells one protocol.
    """
    tables = catalog.read()
    of_cases = {case.protocol for case in tables.cases.values() if case.stack == name}
    of_claims = {claim.protocol for claim in tables.claims.values() if claim.stack == name}
    named = sorted(of_cases | of_claims)
    if len(named) > 1:
        raise InputError(
            f"Cases and claims run the stack {name} under {' and '.join(named)}. Give it one protocol in"
            " runner/catalog/cases.yaml and runner/catalog/claims.yaml."
        )
    family, _, release = name.rpartition("-")
    older = [row for row in tables.protocols if row.rpartition("-")[0] == family and order(row) <= order(release)]
    if not named and not older:
        raise InputError(
            f"No protocol is known for the stack {name}: no case or claim names it, and runner/catalog/protocols.yaml has"
            f" none for {family} {release} or an older release. Add a case, or the protocol of its script."
        )
    return named[0] if named else max(older, key=order)


def order(release: str) -> tuple[int, ...]:
    """Return the place of a release, such as 1.10 or gaudi-1.10, among others: 1.9 comes before 1.10."""
    return tuple(int(part) for part in release.rpartition("-")[2].split(".") if part.isdigit())


def pinned(name: str, folder: Path) -> Stack:
    """Return a stack as it is pinned, with the versions that stand in for the vendor's where it cannot be had."""
    stack, installed = lockfile.read().stacks[name], build.describe(folder)["packages"]
    packages = {package: installed[package].split("+")[0] for package in stack.packages}
    return Stack(name, "hpu", stack.python, stack.launcher, packages, stack.requirements.sha256, None)


def request(
    name: str,
    folder: Path,
    ranks: int = 1,
    graphs: bool = True,
    batch: int = 1,
    dataset: Dataset | None = None,
    precision: str = "float32",
) -> Request:
    tables = catalog.read()
    protocol = replace(tables.protocols[protocol_of(name)], graphs=graphs)
    asked = samples.workload(batch_size=batch, precision=precision)
    if dataset is not None:
        asked = replace(asked, name="dataset", prompt=None, dataset=dataset, input_tokens=16, output_tokens=50)
    known = tables.reference_outputs["bloom-tiny-cpu"]
    exact = precision == "float32" and dataset is None
    expected = Expected(tables.reference_inputs["kit"].input_ids_sha256, known.output_ids_sha256 if exact else None)
    made = samples.request(
        case="gaudi2-1-bloomz-7b1",
        accelerator=tables.accelerators["gaudi2"],
        devices=ranks,
        stack=pinned(name, folder),
        engine="optimum-habana",
        protocol=protocol,
        workload=asked,
        expected=expected,
    )
    return Request.from_json(made.to_json(), "a test's request")


def run(
    interpreter: Path,
    name: str,
    ranks: int = 1,
    dataset_file: Path | None = None,
    operators: bool = False,
    **options: Any,
) -> Outcome:
    """Run the runner's ``bench`` in a stack; return what it printed, the result, its request, and rank 0's events.

    ``operators`` asks for the counts of the operators too.
    """
    folder = interpreter.parents[1]
    if dataset_file is not None:
        sha256, file = sha256_of_file(dataset_file), os.path.basename(dataset_file)
        options["dataset"] = Dataset("file", file, None, None, None, "json", sha256, "text", None)
    asked = request(name, folder, ranks, **options)
    shared_memory = _buffers()
    with tempfile.TemporaryDirectory(prefix="bloomz-bench-") as scratch:
        variables = {**drive.environment(interpreter, scratch), "LOCAL_SIZE": str(ranks)}
        # the runner sets it itself
        variables.pop("HF_HUB_OFFLINE")
        path = Path(scratch, "request.json")
        path.write_text(strictjson.pretty(asked.to_json()))
        command = [str(interpreter), "-m", "runner", "bench", str(path), "--results", str(Path(scratch, "results"))]
        command += ["--dataset-file", str(dataset_file)] if dataset_file else []
        command += ["--operators"] if operators else []
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", env=variables, cwd=scratch, timeout=LIMIT_S
        )
        written = sorted(Path(scratch, "results").rglob("*.json"))
        read = result_files.read_one(written[0]) if written else (None, asked)
        # what stays there stays in memory
        assert _buffers() <= shared_memory
        trace = Path(scratch, "trace.0")
        events = [json.loads(line) for line in trace.read_text().splitlines()] if trace.exists() else []
        return done, read[0], read[1], events


def launch_of(outcome: Outcome) -> Launch:
    """Return the one launch of a run that went well."""
    done, result, _, _ = outcome
    assert done.returncode == 0 and result is not None, done.stderr[-3000:]
    (launch,) = result["launches"]
    return launch


def _buffers() -> set[str]:
    """Return what DeepSpeed's ranks leave in shared memory, 66 MiB each; other names there are other programs'."""
    return {name for name in os.listdir("/dev/shm") if name.startswith("deepspeed_")}
