"""The one label of `render --queue`, and the real Kueue: who is admitted, who waits, and what is told of one whose turn is taken."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from runner.contract.records import JsonObject
from runner.host.manifests.site import Site
from runner.host.objects.names import queue_of
from tests.cluster import kueue
from tests.cluster.conftest import GAUDI, Real, pretend_node
from tests.cluster.steps import furnish, runner, submit, there
from tests.support import manifests

pytestmark = pytest.mark.cluster
DEVICES = 8
QUOTA = {
    "cpu": "96",
    "memory": "760Gi",
    "ephemeral-storage": "400Gi",
    "hugepages-2Mi": "42000Mi",
    GAUDI: str(DEVICES),
}


@pytest.fixture
def goes_first(real: Real) -> Iterator[dict[str, str]]:
    """Make a queue that covers all that a run for eight devices asks for; yield the labels of what goes before others in it."""
    if not real.knows("clusterqueues.kueue.x-k8s.io"):
        pytest.skip("this cluster has no Kueue")
    with kueue.made(real, QUOTA) as labels:
        yield labels


def rendered(real: Real, name: str) -> list[JsonObject]:
    return manifests.objects(name, Site(namespace=real.namespace, queue=kueue.QUEUE))


def role(things: list[JsonObject]) -> list[JsonObject]:
    rules: list[JsonObject] = manifests.one(things, "Role")["rules"]
    return rules


def admitted(real: Real) -> list[str]:
    """Return the names of the queued Jobs that may run and have not ended."""
    return [
        one["metadata"]["name"]
        for one in real.get_all("jobs")
        if queue_of(one) and not one["spec"].get("suspend") and not one["status"].get("completionTime")
    ]


def has_ended(real: Real, job: str) -> bool:
    return job not in admitted(real)


def end(real: Real, job: str) -> None:
    """End a Job's pod as its kubelet would, well."""
    (pod,) = real.until(lambda: placed(real, job))
    real.patch_status("pod", pod, {"phase": "Succeeded"})


def placed(real: Real, job: str) -> list[str]:
    return [
        pod["metadata"]["name"]
        for pod in real.get_all("pods")
        if pod["metadata"]["labels"].get("batch.kubernetes.io/job-name") == job and pod["spec"].get("nodeName")
    ]


def test_gaudi2_s_jobs_queue_by_the_label_and_are_admitted_one_after_the_other(
    real: Real, goes_first: dict[str, str]
) -> None:
    furnish(real, "bench-models")
    things = rendered(real, "gaudi2")
    person = real.person(role(things))
    with pretend_node(real, f"pretend-{real.namespace[-6:]}", DEVICES):
        done = runner(*submit(real, person, *things, extra=["--detach"]))
        assert done.returncode == 0, done.stderr
        _, *names = done.stdout.split()  # the first one is the prefetch, which does not queue
        assert len(names) == 3
        ended: list[str] = []
        while len(ended) < len(names):
            (now,) = real.until(lambda: admitted(real))
            for waiting in set(names) - {now, *ended}:
                told = runner("follow", waiting, *there(real, person), "--queue-s", "1")
                assert told.returncode == 12, told.stderr
                assert "Kueue holds the Job back: " in told.stderr and GAUDI in told.stderr
            end(real, now)
            real.until(partial(has_ended, real, now))
            ended.append(now)
        assert sorted(ended) == sorted(names)


def test_a_job_whose_turn_is_taken_waits_again_and_is_no_failure(real: Real, goes_first: dict[str, str]) -> None:
    furnish(real, "bench-models")
    things = rendered(real, "gaudi2")
    person = real.person(role(things))
    with pretend_node(real, f"pretend-{real.namespace[-6:]}", DEVICES):
        done = runner(*submit(real, person, *things, extra=["--only", "gaudi2-1", "--detach"]))
        assert done.returncode == 0, done.stderr
        _, name = done.stdout.split()
        (pod,) = real.until(lambda: placed(real, name))
        urgent = manifests.one(things, "Job", "bench-gaudi2-8-bloomz-v")
        urgent["metadata"]["labels"].update(goes_first)
        real.apply(urgent)
        real.until(lambda: admitted(real) == [urgent["metadata"]["name"]])
        real.kubectl("delete", "pod", pod, "--force", "--grace-period=0", fails=True)
        told = runner("follow", name, *there(real, person), "--queue-s", "1")
        assert told.returncode == 12, told.stderr
        assert "Kueue took the Job's quota back (Preempted): Preempted to accommodate a workload" in told.stderr
        assert "It waits for quota again by itself." in told.stderr
        end(real, urgent["metadata"]["name"])
        real.until(lambda: admitted(real) == [name])


def test_a_queue_that_is_not_there_or_takes_nothing_is_told_before_anything_is_created(
    real: Real, goes_first: dict[str, str]
) -> None:
    furnish(real, "bench-models")
    things = rendered(real, "gaudi2")
    person = real.person(role(things))
    real.kubectl("patch", "localqueue", kueue.QUEUE, "--type=merge", "-p", '{"spec": {"stopPolicy": "Hold"}}')
    real.until(lambda: not kueue.active(real.get("localqueue", kueue.QUEUE)))
    done = runner(*submit(real, person, *things))
    assert done.returncode == 11 and f"The LocalQueue {kueue.QUEUE} takes nothing: " in done.stderr, done.stderr
    real.kubectl("delete", "localqueue", kueue.QUEUE)
    done = runner(*submit(real, person, *things))
    assert done.returncode == 11 and f"The LocalQueue {kueue.QUEUE} does not exist in {real.namespace}." in done.stderr
    assert not real.get_all("jobs")
