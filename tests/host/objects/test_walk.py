"""The walks over runs of every kind say the same of the same pods."""

from __future__ import annotations

import pytest

from runner.contract.records import JsonObject
from runner.host.objects import walk
from tests.support import manifests

SETS = [("gaudi", "Job", 1), ("multinode", "MPIJob", 2), ("multinode-jobset", "JobSet", 2)]


def bench(name: str, kind: str) -> JsonObject:
    objects = manifests.objects(name)
    return next(run for run in objects if run["kind"] == kind and run["metadata"]["name"].startswith("bench-"))


@pytest.mark.parametrize("name, kind, pods", SETS)
def test_a_run_of_every_kind_has_its_pods_and_the_one_that_prints_results_first(
    name: str, kind: str, pods: int
) -> None:
    run = bench(name, kind)
    assert walk.pods_at_once(run) == pods
    first = walk.pod_specs(run)[0]
    assert "--results" in " ".join(first["containers"][0]["command"])
    titles = [where for where, _ in walk.pods([run])]
    assert len(set(titles)) == len(titles) == pods and all(title.startswith(walk.title(run)) for title in titles)


@pytest.mark.parametrize("name, kind, pods", SETS)
def test_a_claim_is_shared_where_several_pods_mount_it(name: str, kind: str, pods: int) -> None:
    assert walk.shared_claims(bench(name, kind)) == ([] if pods == 1 else ["bench-models-shared"])


def test_pods_are_counted_by_replicas_and_by_parallelism() -> None:
    run = bench("multinode-jobset", "JobSet")
    other = run["spec"]["replicatedJobs"][1]
    other["replicas"], other["template"]["spec"]["parallelism"] = 2, 3
    assert walk.pods_at_once(run) == 1 + 2 * 3


def test_an_object_that_is_no_run_has_no_pods() -> None:
    deployment = {"kind": "Deployment", "metadata": {"name": "x"}, "spec": {"template": {"spec": {"containers": []}}}}
    assert walk.replicas(deployment) == [] and list(walk.pods([deployment])) == []


@pytest.mark.parametrize("name, kind, pods", SETS)
def test_a_deadline_is_read_where_each_kind_keeps_it_and_reading_changes_nothing(
    name: str, kind: str, pods: int
) -> None:
    run = bench(name, kind)
    assert walk.deadline_s(run) == 86400
    run["spec"].pop("runPolicy", None)
    for spec in walk.job_specs(run):
        del spec["activeDeadlineSeconds"]
    assert walk.deadline_s(run) is None
    assert "runPolicy" not in run["spec"]
    assert walk.deadline_s(None) is None


@pytest.mark.parametrize(
    "volume, names",
    [
        ({"configMap": {"name": "a"}}, ["a"]),
        ({"configMap": {"name": "a", "optional": True}}, []),
        ({"projected": {"sources": [{"configMap": {"name": "b"}}, {"secret": {"name": "s"}}, {"configMap": {"name": "a"}}]}}, ["b", "a"]),
        ({"projected": {"sources": [{"configMap": {"name": "b", "optional": True}}]}}, []),
        ({"emptyDir": {}}, []),
    ],
    ids=["one", "optional", "projected", "projected-optional", "none"],
)  # fmt: skip
def test_a_volume_needs_the_config_maps_that_it_is_made_of(volume: JsonObject, names: list[str]) -> None:
    assert walk.config_maps({"name": "v", **volume}) == names
    run = {"kind": "Job", "spec": {"template": {"spec": {"containers": [], "volumes": [{"name": "v", **volume}]}}}}
    assert walk.needs(run) == [walk.Reference("ConfigMap", name) for name in sorted(names)]
