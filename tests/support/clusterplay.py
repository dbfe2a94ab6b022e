"""Play what controllers, scheduler and kubelet do with a Job, as far as the client sees it: pods, states, logs, endings."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import yaml

from runner.contract import frame, strictjson
from runner.contract.records import JsonObject
from tests.support import samples
from tests.support.patience import HANG_S
from tests.support.scriptedcluster import Cluster, EventType

FIRST, SECOND = "20261122T100000Z-0123abcd", "20261122T110000Z-0123abce"
IMAGE = "registry.test/bloomz-bench-cpu@sha256:" + "ab" * 32
PROGRESS = ["[cpu-1] attempt on a host", "[cpu-1] launch 1/1: starting", "[cpu-1] fünf Wörter, 100 %"]

ROOT = Path(__file__).parents[2]
ROLE_FILE = ROOT / "k8s/11-rbac-submitter.yaml"


def role() -> list[JsonObject]:
    """Return the rules of the submitter's Role in the rendered manifests."""
    objects = yaml.safe_load_all(ROLE_FILE.read_text())
    rules: list[JsonObject] = next(manifest for manifest in objects if manifest["kind"] == "Role")["rules"]
    return rules


def content(attempt: str = FIRST) -> bytes:
    """Return the result file of an attempt."""
    return strictjson.pretty(samples.result(attempt_id=attempt)).encode()


def framed(attempt: str = FIRST) -> list[str]:
    """Return the lines of a log that hold the result of an attempt."""
    return frame.write(attempt, content(attempt))


def bench_job(
    name: str = "bench-cpu-1-v0-1-0",
    component: str = "bench",
    volume: bool = True,
    resources: Mapping[str, str] | None = None,
) -> JsonObject:
    """Return a Job as it is rendered, with all that the client reads of it; ``resources`` are asked for by its container."""
    labels = {"app.kubernetes.io/name": "bloomz-bench", "app.kubernetes.io/component": component}
    results: JsonObject = {"persistentVolumeClaim": {"claimName": "bench-results"}} if volume else {"emptyDir": {}}
    asked = {"cpu": "1", "memory": "2Gi", **(resources or {})}
    verb = "bench" if component == "bench" else component
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": "elsewhere",
            "labels": {**labels, "bloomz-bench.dev/request-id": samples.request().id},
            "annotations": {"bloomz-bench.dev/deadline-seconds": "1800"},
        },
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": 86400,
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "restartPolicy": "Never",
                    "serviceAccountName": "bench-run",
                    "nodeSelector": {"bloomz-bench.dev/accelerator": "gaudi2"},
                    "tolerations": [{"key": "habana.ai/gaudi", "operator": "Exists", "effect": "NoSchedule"}],
                    "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": []}},
                    "initContainers": [
                        {
                            "name": "wait-for-weights",
                            "image": IMAGE,
                            "command": ["python3", "-m", "runner", "prefetch", "--wait-s", "21600"],
                        }
                    ],
                    "containers": [
                        {
                            "name": verb,
                            "image": IMAGE,
                            "command": [
                                "python3",
                                "-m",
                                "runner",
                                verb,
                                "/config/cpu-1.json",
                                "--results",
                                "/results",
                                "--frames",
                            ],
                            "resources": {"requests": asked, "limits": asked},
                            "securityContext": {"readOnlyRootFilesystem": True},
                            "volumeMounts": [
                                {"name": "config", "mountPath": "/config"},
                                {"name": "results", "mountPath": "/results"},
                            ],
                        }
                    ],
                    "volumes": [
                        {"name": "config", "configMap": {"name": "config-cpu-v0-1-0-01234567"}},
                        {"name": "results", **results},
                    ],
                },
            },
        },
    }


CONFIG: JsonObject = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "config-cpu-v0-1-0-01234567", "namespace": "elsewhere"},
    "data": {"cpu-1.json": "{}"},
}


def furnish(cluster: Cluster) -> None:
    """Create in a cluster what its administrator creates: an account and a claim."""
    cluster.put({"kind": "ServiceAccount", "metadata": {"name": "bench-run"}})
    cluster.put(
        {
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "bench-results"},
            "spec": {"volumeName": "pv-1"},
            "status": {"phase": "Bound"},
        }
    )


def condition(
    kind: str, status: str = "True", reason: str = "", message: str = "", time: str = "2026-11-22T10:00:00Z"
) -> JsonObject:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": time}


PLAYS = "play of "


def settle() -> None:
    """Wait until every script has come to its end: on a loaded machine a script may still play after a verb has returned."""
    for thread in threading.enumerate():
        if thread.name.startswith(PLAYS):
            thread.join(HANG_S)


class Play:
    """Plays each Job that is created with ``script(play, job)``, in a thread of its own; without a script no Job is played.

    A Job that takes results off the volume is played with ``collects``; ``volume`` holds the attempts on the volume. ``errors`` are
    the exceptions of scripts.
    """

    def __init__(self, cluster: Cluster, script: Script | None, volume: Iterable[str] = ()) -> None:
        self.cluster, self._script, self.volume = cluster, script, list(volume)
        self.errors: list[Exception] = []
        # what kubelets report in the place of the image that a container asks for, None for that image
        self.image_id: str | None = None
        cluster.players.append(self._created)

    def _created(self, event: EventType, manifest: JsonObject) -> None:
        if event != "ADDED" or manifest["kind"] != "Job":
            return
        script = collects if component(manifest) == "collect" else self._script
        if script is None:
            return
        name = f"{PLAYS}{manifest['metadata']['name']}"
        threading.Thread(target=self._play, args=(script, manifest), name=name, daemon=True).start()

    def _play(self, script: Script, job: JsonObject) -> None:
        try:
            script(self, job)
        except Exception as problem:
            self.errors.append(problem)
            raise

    # --- the moves ---

    def pod(self, job: JsonObject, number: int = 1, **status: object) -> str:
        """Create a pod of a Job that waits for its node; return the pod's name."""
        name = f"{job['metadata']['name']}-p{number}"
        template = job["spec"]["template"]
        labels = {**template["metadata"]["labels"], "batch.kubernetes.io/job-name": job["metadata"]["name"]}
        self.cluster.put(
            {"kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": dict(template["spec"])},
            {"phase": "Pending", **status},
        )
        return name

    def place(self, pod: str, node: str = "node1") -> None:
        """Assign a pod to a node."""
        with self.cluster.lock:
            placed = dict(self.cluster.existing("Pod", pod))
            placed["spec"] = {**placed["spec"], "nodeName": node}
            self.cluster.put(placed)
            self.cluster.change("Pod", pod, conditions=[condition("PodScheduled")])

    def start(self, pod: str, log: Sequence[str] = PROGRESS) -> None:
        """Start a pod's own container, which writes the first lines of its log."""
        container = self.container(pod)
        self.cluster.write_log(pod, container, list(log))
        state = {"running": {"startedAt": "2026-11-22T10:01:00Z"}}
        self.cluster.change("Pod", pod, phase="Running", containerStatuses=[self._status(pod, container, state)])

    def say(self, pod: str, lines: Iterable[str]) -> None:
        """Let a pod's own container write further lines."""
        self.cluster.write_log(pod, self.container(pod), lines)

    def end(
        self,
        pod: str,
        code: int = 0,
        reason: str | None = None,
        message: str = "",
        log: Iterable[str] = (),
        conditions: Iterable[JsonObject] = (),
        finished: str = "2026-11-22T10:05:00Z",
    ) -> None:
        """End a pod's own container and the pod; ``message`` is the termination message, ``log`` the last lines."""
        container = self.container(pod)
        self.cluster.write_log(pod, container, list(log), ended=True)
        state = {
            "terminated": {
                "exitCode": code,
                "reason": reason or ("Completed" if code == 0 else "Error"),
                "message": message,
                "finishedAt": finished,
            }
        }
        self.cluster.change(
            "Pod",
            pod,
            phase="Succeeded" if code == 0 else "Failed",
            containerStatuses=[self._status(pod, container, state)],
            conditions=[condition("PodScheduled"), *conditions],
        )

    def finish(self, job: JsonObject, kind: str = "Complete", reason: str = "", message: str = "") -> None:
        """Let the Job's controller set a condition, ``Complete`` or ``Failed``."""
        self.cluster.change(
            "Job", job["metadata"]["name"], conditions=[condition(kind, reason=reason, message=message)]
        )

    def container(self, pod: str) -> str:
        """Return the name of a pod's own container, the last one: a test may have put the container of a mesh before it."""
        name: str = self.cluster.existing("Pod", pod)["spec"]["containers"][-1]["name"]
        return name

    def _status(self, pod: str, container: str, state: JsonObject) -> JsonObject:
        """Return the status of a container as a kubelet reports it, with the image that the kubelet started."""
        containers = self.cluster.existing("Pod", pod)["spec"]["containers"]
        image = next(known["image"] for known in containers if known["name"] == container)
        reported = image if self.image_id is None else self.image_id
        return {"name": container, "state": state, "image": image, "imageID": reported}

    def wait(self, seconds: float = 0.02) -> None:
        time.sleep(seconds)


Script = Callable[[Play, JsonObject], None]


def runs_well(play: Play, job: JsonObject, attempt: str = FIRST, pause: float = 0.02) -> None:
    """Play a run that goes well: scheduled, started, measured, ended; ``pause`` seconds pass between two steps."""
    pod = play.pod(job)
    play.wait(pause)
    play.place(pod)
    play.start(pod)
    play.wait(pause)
    play.end(pod, log=framed(attempt) if component(job) == "bench" else ["done"])
    play.finish(job)


def stands(play: Play, job: JsonObject) -> None:
    """Play a run that is scheduled and runs on."""
    pod = play.pod(job)
    play.place(pod)
    play.start(pod)


def finish(cluster: Cluster, name: str, attempt: str = FIRST) -> None:
    """End the pod of a run that ``stands`` has played, with the result of an attempt, and complete the Job."""
    play, job = Play(cluster, None), cluster.existing("Job", name)
    play.end(f"{name}-p1", log=framed(attempt))
    play.finish(job)


def ends_without_a_log(play: Play, job: JsonObject) -> None:
    """Play a run that completes and leaves no result in its log."""
    stands(play, job)
    play.end(f"{job['metadata']['name']}-p1")
    play.finish(job)


def collects(play: Play, job: JsonObject) -> None:
    """Play the Job that takes results off the volume."""
    pod = play.pod(job)
    play.place(pod)
    lines = [line for attempt in play.volume for line in framed(attempt)]
    play.start(pod, log=[])
    play.end(pod, log=[*lines, f"{len(play.volume)} result(s) in /results"])
    play.finish(job)


def component(manifest: JsonObject) -> str:
    name: str = manifest["metadata"]["labels"]["app.kubernetes.io/component"]
    return name
