"""What API servers, schedulers, kubelets and queues say when something is wrong: objects in their shapes, by name.

Words are those of Kubernetes 1.31 to 1.36 (scheduler framework, kubelet, Job controller, admission), containerd 1.6 to 2 and
Kueue 0.14 and newer, as their sources print them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runner.contract.records import JsonObject
from runner.host.diagnosis import Observed
from tests.support.clusterplay import IMAGE, bench_job, condition

NAME = "bench-gaudi2-8-bloomz-v0-1-0-1a2b3c"
POD = f"{NAME}-x7k2p"
GAUDI = {
    "habana.ai/gaudi": "8",
    "hugepages-2Mi": "42000Mi",
    "memory": "690Gi",
    "cpu": "88",
    "ephemeral-storage": "20Gi",
}


def job(*conditions: JsonObject, uid: str = "job-1", **spec: Any) -> JsonObject:
    made = bench_job(NAME, resources=GAUDI)
    made["metadata"].update(uid=uid, creationTimestamp="2026-11-22T10:00:00Z")
    made["spec"].update(spec)
    return {**made, "status": {"conditions": list(conditions)}}


def pod(
    *conditions: JsonObject,
    name: str = POD,
    node: str | None = None,
    containers: Sequence[JsonObject] = (),
    init: Sequence[JsonObject] = (),
    phase: str = "Pending",
    asked: dict[str, str] = GAUDI,
    **status: Any,
) -> JsonObject:
    spec = bench_job(NAME, resources=asked)["spec"]["template"]["spec"]
    if node:
        spec["nodeName"] = node
    return {
        "kind": "Pod",
        "metadata": {"name": name, "uid": f"uid-{name}", "creationTimestamp": "2026-11-22T10:00:05Z"},
        "spec": spec,
        "status": {
            "phase": phase,
            "conditions": list(conditions),
            "containerStatuses": [{"name": "bench", "state": state} for state in containers],
            "initContainerStatuses": [{"name": "wait-for-weights", "state": state} for state in init],
            **status,
        },
    }


def node(name: str = "node1", **allocatable: str) -> JsonObject:
    amounts = {
        "cpu": "96",
        "memory": "760Gi",
        "hugepages-2Mi": "0",
        "ephemeral-storage": "400Gi",
        "habana.ai/gaudi": "8",
    }
    amounts |= {key.replace("_", "-"): value for key, value in allocatable.items()}
    return {"kind": "Node", "metadata": {"name": name}, "status": {"allocatable": amounts}}


def event(reason: str, message: str, about: str = POD, time: str = "2026-11-22T10:01:00Z") -> JsonObject:
    return {
        "metadata": {"name": f"{about}.{reason}"},
        "reason": reason,
        "message": message,
        "involvedObject": {"name": about},
        "lastTimestamp": time,
    }


def claim(name: str, phase: str = "Pending", storage_class: str | None = None) -> JsonObject:
    spec = {"volumeName": f"pvc-of-{name}", **({"storageClassName": storage_class} if storage_class else {})}
    return {"metadata": {"name": name}, "spec": spec, "status": {"phase": phase}}


def seen(**what: Any) -> Observed:
    what.setdefault("job", job())
    return Observed(NAME, "bench", **what)


def unschedulable(message: str, **what: Any) -> Observed:
    return seen(pods=(pod(condition("PodScheduled", "False", "Unschedulable", message)),), **what)


def installs(exit_code: int, message: str) -> Observed:
    """Return a run whose init container that installs the stack ended with a message."""
    ended = {"terminated": {"exitCode": exit_code, "reason": "Error", "message": message}}
    states = [{"name": "unpack", "state": {"terminated": {"exitCode": 0}}}, {"name": "install", "state": ended}]
    waiting = {"waiting": {"reason": "PodInitializing"}}
    return seen(
        pods=(pod(condition("PodScheduled"), node="node1", containers=[waiting], initContainerStatuses=states),)
    )


def fetches_packages(exit_code: int, message: str) -> Observed:
    """Return a run that fetches packages and failed."""
    ended = {"terminated": {"exitCode": exit_code, "reason": "Error", "message": message}}
    fetching = pod(condition("PodScheduled"), node="node1", phase="Failed")
    fetching["metadata"]["labels"] = {"app.kubernetes.io/component": "packages"}
    fetching["spec"]["containers"][0]["name"] = "packages"
    fetching["status"]["containerStatuses"] = [{"name": "packages", "state": ended}]
    return seen(pods=(fetching,))


def beside_a_mesh(own: JsonObject, other: JsonObject, phase: str = "Pending", **what: Any) -> Observed:
    """Return a run whose pod got another container before its own, as a mesh's webhook puts it there."""
    states = [{"name": "istio-proxy", "state": other}, {"name": "bench", "state": own}]
    where = pod(condition("PodScheduled"), node="node1", phase=phase, containerStatuses=states)
    where["metadata"]["labels"] = where["metadata"].get("labels", {}) | {"app.kubernetes.io/component": "bench"}
    where["spec"]["containers"] = [{"name": "istio-proxy", "image": "proxy"}, *where["spec"]["containers"]]
    return seen(pods=(where,), log=("draining",), **what)


def placed(
    *,
    events: tuple[JsonObject, ...] = (),
    log: Sequence[str] = (),
    the_job: JsonObject | None = None,
    **status: Any,
) -> Observed:
    where = pod(condition("PodScheduled"), node="node1", **status)
    return seen(job=the_job or job(), pods=(where,), events=events, log=tuple(log))


def waits(reason: str, message: str = "", events: tuple[JsonObject, ...] = ()) -> Observed:
    return placed(containers=[{"waiting": {"reason": reason, "message": message}}], events=events)


def ended(
    code: int,
    reason: str = "Error",
    message: str = "",
    log: Sequence[str] = (),
    conditions: Sequence[JsonObject] = (),
    **job_spec: Any,
) -> Observed:
    failed = job(
        condition("Failed", reason="PodFailurePolicy", message=f"Container bench failed with exit code {code}"),
        **job_spec,
    )
    state = {
        "terminated": {"exitCode": code, "reason": reason, "message": message, "startedAt": "2026-11-22T10:05:00Z"}
    }
    return seen(
        job=failed,
        pods=(pod(condition("PodScheduled"), *conditions, node="node1", phase="Failed", containers=[state]),),
        log=tuple(log),
    )


def refused(message: str) -> Observed:
    return seen(events=(event("FailedCreate", f"Error creating: {message}", NAME),))


def kueue(*conditions: JsonObject, **what: Any) -> Observed:
    return seen(
        job=job(suspend=True),
        workload={"metadata": {"name": "job-x"}, "status": {"conditions": list(conditions)}},
        **what,
    )


# An MPIJob's own shape, and what its operator names its two pods.
MPI_SPEC = {"mpiReplicaSpecs": {"Launcher": {"replicas": 1}, "Worker": {"replicas": 1}}}


def several(
    *pods: JsonObject,
    events: tuple[JsonObject, ...] = (),
    status: JsonObject | None = None,
    spec: JsonObject | None = None,
) -> Observed:
    run = {**job(), "spec": spec or MPI_SPEC, "status": status or {}}
    return Observed(NAME, "bench", "MPIJob", run, pods, events)


def pod_of(role: str, state: JsonObject) -> JsonObject:
    kind = next(iter(state))
    phase = {"running": "Running", "terminated": "Failed"}[kind]
    made = pod(condition("PodScheduled"), name=f"{NAME}-{role}-0", node="node1", phase=phase, containers=[state])
    made["metadata"]["labels"] = {"training.kubeflow.org/job-role": role}
    return made


def dead(code: int, message: str = "", reason: str = "Error", finished: str = "2026-11-22T10:09:00Z") -> JsonObject:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message, "finishedAt": finished}}


NONE = "0/2 nodes are available: "
PREEMPTION = " preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
NO_GAUDI = NONE + "1 Insufficient habana.ai/gaudi, 1 node(s) didn't match Pod's node affinity/selector." + PREEMPTION
HELD = pod(condition("PodScheduled"), name="bench-gaudi2-8-bloomz-7b1-v0-1-0-99-abcde", node="node1", phase="Running")
TERM = {"exitCode": 143, "reason": "Error"}


def timeline() -> Observed:
    late = job(
        condition(
            "Failed",
            reason="DeadlineExceeded",
            message="Job was active longer than specified deadline",
            time="2026-11-22T14:00:00Z",
        ),
        activeDeadlineSeconds=14400,
    )
    at = condition("PodScheduled", time="2026-11-22T10:20:00Z")
    ran = {"terminated": {"exitCode": 143, "startedAt": "2026-11-22T13:30:00Z"}}
    events = (event("Pulled", "Container image pulled", time="2026-11-22T11:00:00Z"),)
    return seen(job=late, pods=(pod(at, node="node1", phase="Failed", containers=[ran]),), events=events)


# what is seen, by its name
ALL = {
    # scheduling
    "device held": unschedulable(
        NO_GAUDI, nodes=(node(), node("node2", **{"habana.ai/gaudi": "0"})), neighbours=(HELD,)
    ),
    "device, nodes hidden": unschedulable(NO_GAUDI),
    "device, nvidia": seen(
        pods=(
            pod(
                condition(
                    "PodScheduled", "False", "Unschedulable", NONE + "2 Insufficient nvidia.com/gpu." + PREEMPTION
                ),
                asked={"nvidia.com/gpu": "8"},
            ),
        ),
        nodes=(node(**{"nvidia.com/gpu": "4"}),),
    ),
    "no plugin": unschedulable(NO_GAUDI, nodes=(node(**{"habana.ai/gaudi": "0"}),)),
    "hugepages": unschedulable(
        NONE + "2 Insufficient hugepages-2Mi." + PREEMPTION, nodes=(node(hugepages_2Mi="1024Mi"),)
    ),
    "memory": unschedulable(
        NONE + "2 Insufficient memory, 1 Insufficient cpu.", nodes=(node(memory="512Gi"), node("node2"))
    ),
    "cpu": unschedulable(NONE + "2 Insufficient cpu.", nodes=(node(cpu="64"),)),
    "ephemeral": unschedulable(NONE + "2 Insufficient ephemeral-storage."),
    "selector": seen(
        pods=(
            pod(
                condition(
                    "PodScheduled",
                    "False",
                    "Unschedulable",
                    NONE + "2 node(s) didn't match Pod's node affinity/selector.",
                )
            ),
        )
    ),
    "taint": unschedulable(NONE + "2 node(s) had untolerated taint {dedicated: ml}." + PREEMPTION),
    "cordoned": unschedulable(NONE + "2 node(s) were unschedulable."),
    "exclusive": unschedulable(
        NONE + "1 node(s) didn't match pod anti-affinity rules, 1 node(s) had untolerated taint {a: }.",
        neighbours=(HELD,),
    ),
    "other words": unschedulable(NONE + "2 Too many pods."),
    "gate": seen(
        pods=(
            {
                **pod(
                    condition(
                        "PodScheduled",
                        "False",
                        "SchedulingGated",
                        "Scheduling is blocked due to non-empty scheduling gates",
                    )
                ),
                "spec": {"schedulingGates": [{"name": "kueue.x-k8s.io/admission"}], "containers": []},
            },
        )
    ),
    # claims and volumes
    "claim unbound": unschedulable(
        NONE + "pod has unbound immediate PersistentVolumeClaims." + PREEMPTION,
        claims={"bench-results": claim("bench-results", storage_class="fast")},
        events=(event("ProvisioningFailed", 'storageclass.storage.k8s.io "fast" not found', "bench-results"),),
    ),
    "claim unbound, not visible": unschedulable(NONE + "pod has unbound immediate PersistentVolumeClaims."),
    "no class": unschedulable(
        NONE + "pod has unbound immediate PersistentVolumeClaims.",
        claims={"bench-results": claim("bench-results")},
        events=(
            event(
                "FailedBinding",
                "no persistent volumes available for this claim and no storage class is set",
                "bench-results",
            ),
        ),
    ),
    "first consumer": unschedulable(
        NONE + "2 node(s) didn't find available persistent volumes to bind.",
        claims={"bench-results": claim("bench-results", storage_class="local")},
        events=(
            event("WaitForFirstConsumer", "waiting for first consumer to be created before binding", "bench-results"),
        ),
    ),
    "claim missing": unschedulable(NONE + 'persistentvolumeclaim "bench-models" not found.'),
    "volume place": unschedulable(NONE + "2 node(s) had volume node affinity conflict."),
    "multi-attach": placed(
        events=(
            event(
                "FailedAttachVolume",
                'Multi-Attach error for volume "results" Volume is already used by pod(s) prefetch-gaudi2-v0-1-0-q9z8y',
            ),
        )
    ),
    "mount": placed(
        events=(event("FailedMount", 'MountVolume.SetUp failed for volume "results" : mount failed: exit status 32'),)
    ),
    "mount of no configmap": placed(
        events=(
            event(
                "FailedMount",
                'MountVolume.SetUp failed for volume "config" : configmap "config-gaudi2-v0-1-0-0a" not found',
            ),
        )
    ),
    # images
    "image not found": waits(
        "ErrImagePull",
        f'rpc error: code = NotFound desc = failed to pull and unpack image "{IMAGE}": failed to resolve reference: {IMAGE}: not found',
    ),
    "image auth": waits(
        "ImagePullBackOff",
        f'Back-off pulling image "{IMAGE}"',
        events=(
            event(
                "Failed",
                f'Failed to pull image "{IMAGE}": pull access denied, repository does not exist or may require authorization:'
                " authorization failed: no basic auth credentials",
            ),
        ),
    ),
    "image network": waits(
        "ErrImagePull",
        "failed to do request: Head https://registry.test/v2: dial tcp: lookup registry.test: no such host",
    ),
    "image rate": waits(
        "ErrImagePull",
        "unexpected status code 429 Too Many Requests: toomanyrequests: You have reached your pull rate limit",
    ),
    "image architecture": waits("ErrImagePull", f"no match for platform in manifest {IMAGE}: not found"),
    "image name": waits(
        "InvalidImageName",
        'Failed to apply default image tag "a b": couldn\'t parse image name: invalid reference format',
    ),
    "image never": waits("ErrImageNeverPull", "Container image is not present with pull policy of Never"),
    "image, other": waits("ErrImagePull", "unpacking failed: no space left on device"),
    # containers
    "exec format": ended(1, log=["exec /usr/bin/python3: exec format error"]),
    "no configmap": waits("CreateContainerConfigError", 'configmap "bench-settings" not found'),
    "no key": waits("CreateContainerConfigError", "couldn't find key token in Secret bench/hf-token"),
    "root": waits("CreateContainerConfigError", "container has runAsNonRoot and image will run as root"),
    "no entrypoint": ended(
        128,
        "StartError",
        'failed to create containerd task: exec: "python3": executable file not found in $PATH: unknown',
    ),
    "create error": waits("CreateContainerError", "context deadline exceeded"),
    "runtime": placed(
        events=(event("FailedCreatePodSandBox", 'Failed to create pod sandbox: no runtime for "nvidia" is configured'),)
    ),
    "sandbox": placed(
        events=(event("FailedCreatePodSandBox", 'plugin type="calico" failed (add): connection refused'),)
    ),
    # admission
    "pod security": refused(
        f'pods "{POD}" is forbidden: violates PodSecurity "restricted:latest": unrestricted capabilities (container "bench"'
        ' must not include "SYS_NICE")'
    ),
    "quota": refused(
        f'pods "{POD}" is forbidden: exceeded quota: gpus, requested: requests.habana.ai/gaudi=8, used: 4, limited: 8'
    ),
    "quota unset": refused(f'pods "{POD}" is forbidden: failed quota: q: must specify limits.nvidia.com/gpu'),
    "limit range": refused(
        f'pods "{POD}" is forbidden: maximum memory usage per Container is 64Gi, but limit is 690Gi'
    ),
    "account": refused(
        f'pods "{POD}" is forbidden: error looking up service account bench/bench-run: serviceaccount "bench-run" not found'
    ),
    "webhook": refused('admission webhook "policy.test" denied the request: images must be signed'),
    "runtime class": refused(f'pods "{POD}" is forbidden: pod rejected: RuntimeClass "habana" not found'),
    "refused, other": refused("etcdserver: request is too large"),
    # Kueue
    "queue waits": kueue(
        condition(
            "QuotaReserved",
            "False",
            "Pending",
            "couldn't assign flavors to pod set main: insufficient unused quota for habana.ai/gaudi in flavor default, 8 more needed",
        )
    ),
    "queue uncovered": kueue(
        condition(
            "QuotaReserved",
            "False",
            "Pending",
            "couldn't assign flavors to pod set main: resource hugepages-2Mi unavailable in ClusterQueue",
        )
    ),
    "queue inactive": kueue(condition("QuotaReserved", "False", "Inadmissible", "ClusterQueue gaudi is inactive")),
    "no queue": kueue(condition("QuotaReserved", "False", "Inadmissible", "LocalQueue bench doesn't exist")),
    "queue evicted": kueue(
        condition("Evicted", reason="Preempted", message="Preempted to accommodate a higher priority Workload")
    ),
    # the kubelet's no
    "admission error": placed(
        phase="Failed",
        reason="UnexpectedAdmissionError",
        message="Pod was rejected: Allocate failed due to requested number of devices unavailable for habana.ai/gaudi."
        " Requested: 8, Available: 4, which is unexpected",
    ),
    "topology": placed(
        phase="Failed",
        reason="TopologyAffinityError",
        message="Pod was rejected: Resources cannot be allocated with Topology locality",
    ),
    "smt": placed(
        phase="Failed",
        reason="SMTAlignmentError",
        message="Pod was rejected: SMT Alignment Error: requested 11 cpus not multiple cpus per core = 2",
    ),
    "out of cpu": placed(
        phase="Failed",
        reason="OutOfcpu",
        message="Pod was rejected: Node didn't have enough resource: cpu, requested: 88000, used: 10000, capacity: 96000",
    ),
    "out of gaudi": placed(
        phase="Failed",
        reason="OutOfhabana.ai/gaudi",
        message="Pod was rejected: Node didn't have enough resource: habana.ai/gaudi, requested: 8, used: 8, capacity: 8",
    ),
    # endings
    "oom": ended(137, "OOMKilled"),
    "killed": ended(137),
    "stopped": ended(143),
    "evicted": placed(
        phase="Failed",
        containers=[{"terminated": TERM}],
        the_job=job(),
    ),
    "habana logs": ended(134, log=["terminate called: failed to open /var/log/habana_logs/0/SynapseAI.log"]),
    "abort": ended(134),
    "bus error": ended(135),
    "crash": ended(139),
    "deadline": timeline(),
    "deadline unknown": seen(job=job(condition("Failed", reason="DeadlineExceeded"), activeDeadlineSeconds=60)),
    "own words": ended(
        10, message="loading\nrunner: 8 device(s) of gaudi2 are asked for; 4 are here. Ask for fewer.\n"
    ),
    "own words in the log": ended(
        7,
        log=["[x] launch 1/5: starting", "runner: /results could not be written: No space left on device. Free space."],
    ),
    "other code": ended(77, log=["something"]),
    "offline": ended(
        6,
        log=[
            "OSError: We couldn't connect to 'https://huggingface.co' to load the files",
            "bigscience/bloomz-7b1 is not the path to a directory containing a file named config.json.",
        ],
    ),
    "offline, no name": ended(6, log=["huggingface_hub.errors.OfflineModeIsEnabled: Cannot reach the hub"]),
    "a failure beside a mesh": beside_a_mesh(
        {"terminated": {"exitCode": 6, "message": "runner: tokens differ. Look."}},
        {"terminated": {"exitCode": 137, "reason": "Error"}},
        job=job(condition("Failed", reason="PodFailurePolicy")),
    ),
    "a mesh that failed the pod": beside_a_mesh(
        {"terminated": {"exitCode": 0}},
        {"terminated": {"exitCode": 1, "reason": "Error"}},
        phase="Failed",
        job=job(condition("Failed", reason="PodFailurePolicy")),
    ),
    "an open pin of a stack in a pod": installs(
        4, "runner: the commit of fork-1.10 is unresolved in versions.lock. Run it."
    ),
    "packages that do not come": installs(
        3, "[cpu] waiting\nrunner: The packages of cpu are not whole after 3600 s. See their Job."
    ),
    "an index that does not answer": fetches_packages(
        9, "runner: https://index.test/simple did not answer. Set PIP_INDEX_URL."
    ),
    "a mesh that goes on": beside_a_mesh({"terminated": {"exitCode": 0, "reason": "Completed"}}, {"running": {}}),
    "backoff": seen(
        job=job(
            condition("Failed", reason="BackoffLimitExceeded", message="Job has reached the specified backoff limit")
        )
    ),
    "gone": seen(job=None),
    "node lost": placed(phase="Running", containers=[{"running": {}}], reason="NodeLost"),
    # MPI
    "worker": Observed(
        NAME,
        "bench",
        "MPIJob",
        {**job(), "status": {"conditions": [condition("Created")]}},
        (
            pod(
                condition("Ready", "False"),
                name=f"{NAME}-worker-0",
                node="n",
                containers=[{"waiting": {"reason": "ContainerCreating"}}],
            ),
        ),
    ),
    "no operator": Observed(NAME, "bench", "MPIJob", {**job(), "status": {}}),
    "no controller": Observed(NAME, "bench", "JobSet", {**job(), "status": {}}),
    "quota of a launcher": Observed(
        NAME,
        "bench",
        "MPIJob",
        {**job(), "status": {"conditions": [condition("Created")]}},
        events=(
            event(
                "FailedCreate", f'pods "{NAME}-launcher-x" is forbidden: exceeded quota: q, used: 8', f"{NAME}-launcher"
            ),
        ),
    ),
    "pod security of a worker": several(
        events=(
            event(
                "MPIJobFailed",
                f'worker pod created failed: pods "{NAME}-worker-0" is forbidden: violates PodSecurity "restricted:latest": unrestricted'
                ' capabilities (container "bench" must not include "SYS_NICE" in securityContext.capabilities.add)',
                NAME,
            ),
        ),
    ),
    "an MPIJob that its operator refuses": several(
        events=(
            event(
                "ValidationError",
                "Found validation errors: spec.mpiReplicaSpecs[Worker].template.spec.containers: Required value: must define at least"
                " one container",
                NAME,
            ),
        ),
    ),
    "a refused pod beside one that runs": several(
        pod_of("launcher", {"running": {}}),
        events=(
            event("MPIJobFailed", 'worker pod created failed: pods "x" is forbidden: exceeded quota: q, used: 8', NAME),
        ),
    ),
    "a worker that ended while the launcher waits": several(
        pod_of("launcher", {"running": {}}),
        pod_of("worker", dead(10, "runner: the device was lost. Restart it.")),
        status={"conditions": [condition("Created")]},
    ),
    "a worker that took the launcher with it": several(
        pod_of("launcher", dead(143, finished="2026-11-22T10:09:01Z")),
        pod_of("worker", dead(137, reason="OOMKilled")),
        status={"conditions": [condition("Failed", reason="BackoffLimitExceeded")]},
    ),
    "a launcher that failed, and its worker ended": several(
        pod_of("launcher", dead(9, "runner: 1 host(s) did not answer on port 2222. Look at its pod.")),
        pod_of("worker", dead(255, finished="2026-11-22T10:09:01Z")),
        status={"conditions": [condition("Failed", reason="BackoffLimitExceeded")]},
    ),
    "an MPIJob that the queue preempted": several(
        pod_of("launcher", dead(143)),
        pod_of("worker", dead(143)),
        spec={**MPI_SPEC, "runPolicy": {"suspend": True}},
    ),
    "a worker that no node takes": Observed(
        NAME,
        "bench",
        "MPIJob",
        {**job(), "status": {"conditions": [condition("Created")]}},
        (
            pod(
                condition(
                    "PodScheduled", "False", "Unschedulable", "0/2 nodes are available: 2 Insufficient habana.ai/gaudi."
                ),
                name=f"{NAME}-worker-0",
            ),
            pod(condition("PodScheduled"), name=f"{NAME}-launcher-x", node="n", containers=[{"running": {}}]),
        ),
    ),
}


def taken(reason: str, message: str = "", failed: bool = False) -> Observed:
    target = condition("DisruptionTarget", reason=reason, message=message)
    conditions = (condition("Failed", reason="BackoffLimitExceeded"),) if failed else ()
    where = pod(condition("PodScheduled"), target, node="node1", phase="Failed", containers=[{"terminated": TERM}])
    return seen(job=job(*conditions), pods=(where,))


del ALL["evicted"]
ALL |= {
    "evicted": taken("EvictionByEvictionAPI", "Eviction API: evicting"),
    "preempted": taken("PreemptionByScheduler", "default-scheduler: preempting to accommodate a higher priority pod"),
    "evicted for good": taken("TerminationByKubelet", "The node was low on resource: memory.", failed=True),
    "preempted by the queue": seen(
        job=job(suspend=True),
        pods=(pod(condition("PodScheduled"), node="node1", phase="Failed", containers=[{"terminated": TERM}]),),
    ),
}
