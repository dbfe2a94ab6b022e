"""Plays what controllers, scheduler and kubelet do with a Job, as far as the client sees it: pods, states, logs, endings."""

import threading
import time
from pathlib import Path

import yaml

from runner.contract import frame, strictjson
from tests.support import samples
from tests.support.patience import HANG_S

FIRST, SECOND = "20261122T100000Z-0123abcd", "20261122T110000Z-0123abce"
IMAGE = "registry.test/bloomz-bench-cpu@sha256:" + "ab" * 32
PROGRESS = ["[cpu-1] attempt on a host", "[cpu-1] launch 1/1: starting", "[cpu-1] fünf Wörter, 100 %"]

ROOT = Path(__file__).parents[2]
ROLE_FILE = ROOT / "k8s/11-rbac-submitter.yaml"


def role():
    """Return the rules of the submitter's Role, as it is checked in."""
    return next(one for one in yaml.safe_load_all(ROLE_FILE.read_text()) if one["kind"] == "Role")["rules"]


def content(attempt=FIRST):
    return strictjson.pretty(samples.result(attempt_id=attempt)).encode()


def framed(attempt=FIRST):
    return frame.write(attempt, content(attempt))


def bench_job(name="bench-cpu-1-v0-1-0", component="bench", volume=True, **resources):
    """Return a Job as it is rendered, as far as the client looks at it."""
    labels = {"app.kubernetes.io/name": "bloomz-bench", "app.kubernetes.io/component": component}
    results = {"persistentVolumeClaim": {"claimName": "bench-results"}} if volume else {"emptyDir": {}}
    asked = {"cpu": "1", "memory": "2Gi", **resources}
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


CONFIG = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "config-cpu-v0-1-0-01234567", "namespace": "elsewhere"},
    "data": {"cpu-1.json": "{}"},
}


def furnish(cluster):
    """Put into a cluster what an administrator does: account, claim, one node."""
    cluster.put({"kind": "ServiceAccount", "metadata": {"name": "bench-run"}})
    cluster.put(
        {
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "bench-results"},
            "spec": {"volumeName": "pv-1"},
            "status": {"phase": "Bound"},
        }
    )


def condition(kind, status="True", reason="", message="", time="2026-11-22T10:00:00Z"):
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": time}


PLAYS = "play of "


def settle():
    """Wait until every script has come to its end: on a loaded machine it may still play when a verb has returned."""
    for thread in threading.enumerate():
        if thread.name.startswith(PLAYS):
            thread.join(HANG_S)


class Play:
    """Plays each Job that is created with ``script(play, job)``, in a thread of its own; ``for_collect`` those that take results
    off the volume, whose content is ``volume`` (attempt ids)."""

    def __init__(self, cluster, script, volume=()):
        self.cluster, self._script, self.volume = cluster, script, list(volume)
        self.errors, self._count = [], 0
        cluster.players.append(self._created)

    def _created(self, event, thing):
        if event != "ADDED" or thing["kind"] != "Job":
            return
        collect = component(thing) == "collect"
        script = collects if collect else self._script
        name = f"{PLAYS}{thing['metadata']['name']}"
        threading.Thread(target=self._play, args=(script, thing), name=name, daemon=True).start()

    def _play(self, script, job):
        try:
            script(self, job)
        except Exception as problem:
            self.errors.append(problem)
            raise

    # --- the moves ---

    def pod(self, job, number=1, **status):
        """Create a pod of a Job that waits for its node; return its name."""
        name = f"{job['metadata']['name']}-p{number}"
        template = job["spec"]["template"]
        labels = {**template["metadata"]["labels"], "batch.kubernetes.io/job-name": job["metadata"]["name"]}
        self.cluster.put(
            {"kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": dict(template["spec"])},
            {"phase": "Pending", **status},
        )
        return name

    def place(self, pod, node="node1"):
        with self.cluster.lock:
            thing = dict(self.cluster.get("Pod", pod))
            thing["spec"] = {**thing["spec"], "nodeName": node}
            self.cluster.put(thing)
            self.cluster.change("Pod", pod, conditions=[condition("PodScheduled")])

    def start(self, pod, log=PROGRESS):
        container = self.container(pod)
        self.cluster.write_log(pod, container, list(log))
        state = {"running": {"startedAt": "2026-11-22T10:01:00Z"}}
        self.cluster.change("Pod", pod, phase="Running", containerStatuses=[self._status(pod, container, state)])

    def say(self, pod, lines):
        self.cluster.write_log(pod, self.container(pod), lines)

    def end(self, pod, code=0, reason=None, message="", log=(), conditions=(), finished="2026-11-22T10:05:00Z"):
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

    def finish(self, job, kind="Complete", reason="", message=""):
        self.cluster.change(
            "Job", job["metadata"]["name"], conditions=[condition(kind, reason=reason, message=message)]
        )

    def container(self, pod):
        """Return the pod's own container; a test may have put that of a mesh before it."""
        return self.cluster.get("Pod", pod)["spec"]["containers"][-1]["name"]

    def _status(self, pod, container, state):
        """Return a container's status as a kubelet reports it: with the image that it started."""
        containers = self.cluster.get("Pod", pod)["spec"]["containers"]
        image = next(one["image"] for one in containers if one["name"] == container)
        return {"name": container, "state": state, "image": image, "imageID": image}

    def wait(self, seconds=0.02):
        time.sleep(seconds)


def runs_well(play, job, attempt=FIRST, pause=0.02):
    """Play a run that goes well: scheduled, started, measured, ended."""
    pod = play.pod(job)
    play.wait(pause)
    play.place(pod)
    play.start(pod)
    play.wait(pause)
    play.end(pod, log=framed(attempt) if component(job) == "bench" else ["done"])
    play.finish(job)


def collects(play, job):
    """Play the Job that takes results off the volume."""
    pod = play.pod(job)
    play.place(pod)
    lines = [line for attempt in play.volume for line in framed(attempt)]
    play.start(pod, log=[])
    play.end(pod, log=[*lines, f"{len(play.volume)} result(s) in /results"])
    play.finish(job)


def component(thing):
    return thing["metadata"]["labels"]["app.kubernetes.io/component"]


def stands(play, job):
    """Play a run that is scheduled and runs on."""
    pod = play.pod(job)
    play.place(pod)
    play.start(pod)
