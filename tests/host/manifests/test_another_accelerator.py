"""An accelerator that the kit has never seen takes a row of the catalog, and no edit of any module.

The rows are those that a person would write: the accelerator, a case on it, what a Job asks of its node, and a set. The output of its
driver's tool is made up, in the form of the recorded ones.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from runner.bench.devices import hpu
from runner.contract import products as container
from runner.contract.records import JsonObject
from runner.contract.request import Request
from runner.host import cases, paths
from runner.host.diagnosis import Observed, diagnose
from runner.host.manifests import check, nodefeatures, plan, products, sets
from runner.host.manifests.site import ANY
from runner.host.objects import walk
from runner.host.readers import catalog, lockfile, profiles
from tests.support import manifests
from tests.support.clusterplay import condition

ROWS = {
    "accelerators.yaml": """
  npu9:
    device: hpu
    memory_bytes: 64000000000
    hbm_bytes_per_s: unknown
    resource: vendor.example/npu
    products: ["NP-9*"]
    locked_firmware: no
    node:
      labels:
        vendor.example/generation: [nine]
      pci: ["1da3:9999"]
      tolerations: [vendor.example/npu]
      variables:
        NPU_LOGS: /tmp/npu
    source: made up for a test
""",
    "cases.yaml": """
  npu9-2-bloomz-7b1:
    accelerator: npu9
    devices: 2
    stack: gaudi-1.10
    model: bloomz-7b1
    weights: dummy
    workload: latency
    protocol: gaudi-1.10
    precision: bfloat16
    launches: 1
    margin: standard
    beside: []
""",
}
PROFILE = """  npu9-2:
    accelerator: npu9
    devices: 2
    cpu: 8
    memory: 64Gi
    hugepages: none
    shm: 4Gi
    ephemeral_storage: 10Gi
    tmp: 8Gi

# How long the Job of a model"""
SET = """sets:
  npu9:
    folder: npu9
    cases: [npu9-2-bloomz-7b1]
"""
CASE = "npu9-2-bloomz-7b1"


@pytest.fixture
def tables(tmp_path: Path) -> catalog.Catalog:
    """Return the catalog with the rows of the accelerator, read from a copy in ``tmp_path``/catalog."""
    folder = tmp_path / "catalog"
    shutil.copytree(paths.CATALOG, folder)
    for file, rows in ROWS.items():
        path = folder / file
        path.write_text(path.read_text().rstrip() + rows)
    text = (folder / "profiles.yaml").read_text()
    assert "sets:\n" in text and "\n# How long the Job of a model" in text
    text = text.replace("sets:\n", SET, 1).replace("\n# How long the Job of a model", PROFILE, 1)
    (folder / "profiles.yaml").write_text(text)
    return catalog.read(folder)


def rendered(tables: catalog.Catalog, folder: Path) -> list[JsonObject]:
    """Return the objects of the accelerator's set."""
    lock, table = lockfile.read(), profiles.read(tables, folder / "catalog")
    row = table.sets["npu9"]
    images = dict.fromkeys(lock.stacks, manifests.IMAGE)
    texts = plan.Texts({}, {})
    plans = [plan.make(tables, lock, table, case, row.nodes, images, None, texts) for case in row.cases]
    return [manifest for file in sets.files(ANY, "npu9", row, plans).values() for manifest in file.objects]


def request_of(tables: catalog.Catalog) -> Request:
    return cases.make(tables, lockfile.read(), CASE, draft=True)


def test_a_request_names_it(tables: catalog.Catalog) -> None:
    request = request_of(tables)
    assert (request.accelerator.name, request.stack.device) == ("npu9", "hpu")
    assert request.accelerator.memory_bytes == 64000000000 and request.accelerator.hbm_bytes_per_s is None
    assert request.stack.firmware is None


def test_its_manifests_ask_for_it_on_its_nodes(tables: catalog.Catalog, tmp_path: Path) -> None:
    objects = rendered(tables, tmp_path)
    assert check.problems(objects) == []
    spec = walk.pod_specs(manifests.one(objects, "Job", "bench-npu9"))[0]
    assert spec["containers"][0]["resources"]["limits"]["vendor.example/npu"] == "2"
    assert {"name": "NPU_LOGS", "value": "/tmp/npu"} in spec["containers"][0]["env"]
    assert spec["tolerations"] == [{"key": "vendor.example/npu", "operator": "Exists", "effect": "NoSchedule"}]
    assert "vendor.example/generation" in str(spec["affinity"]["nodeAffinity"])
    rules = nodefeatures.rule(tables.accelerator_rows)["spec"]["rules"]
    assert {"vendor.example/generation": "nine"} in [rule["labels"] for rule in rules]


def test_the_container_knows_its_product(
    tables: catalog.Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, program = tmp_path / "accelerators.json", tmp_path / "hl-smi"
    program.write_text('#!/bin/sh\n[ "$1" = -L ] || printf "NP-9B, 1.10.0, 0\\nNP-9B, 1.10.0, 1\\n"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    table.write_text(products.text(tables.accelerator_rows))
    monkeypatch.setattr(container, "TABLE", str(table))
    # What the check `accelerator` of a launch compares.
    assert hpu.describe()["accelerator"] == request_of(tables).accelerator.name


def test_a_cluster_without_it_is_told_in_its_name(tables: catalog.Catalog, tmp_path: Path) -> None:
    job = manifests.one(rendered(tables, tmp_path), "Job", "bench-npu9")
    message = "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient vendor.example/npu."
    pod: JsonObject = {
        "kind": "Pod",
        "metadata": {"name": "npu9-x", "uid": "1"},
        "spec": walk.pod_specs(job)[0],
        "status": {"phase": "Pending", "conditions": [condition("PodScheduled", "False", "Unschedulable", message)]},
    }
    node: JsonObject = {"metadata": {"name": "node1"}, "status": {"allocatable": {"cpu": "4"}}}
    problem = diagnose(Observed("npu9", "bench", job={**job, "status": {}}, pods=(pod,), nodes=(node,)))
    assert problem is not None and problem.sentence == "No node offers vendor.example/npu at all."
