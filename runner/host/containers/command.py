"""Make the command line of podman or docker from the pod template of a Job.

The template is the one description of what runs: this module repeats nothing of it. What the command line cannot say, or need not say,
stands in ``LEFT_OUT`` with its reason; a test holds every field of every template against both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.contract.errors import Unsupported, UsageError
from runner.contract.records import JsonObject
from runner.host.containers import hooks
from runner.host.containers.hooks import Hooks
from runner.host.containers.runtimes import Runtime
from runner.host.objects import quantities

_SCHEDULER = "only a scheduler reads this, and there is one host"
_ACCOUNT = "there is no API server to speak to"
_WHOLE_HOST = "a Job's share of a node; here the container may take the whole host, and rootless podman may set no limit everywhere"
_BEFORE = "the weights are looked for before the container starts"

# Fields of a template that no word of the command line carries, each with the reason.
LEFT_OUT = {
    "metadata.annotations": "only the client of a cluster, and autoscalers, read these",
    "spec.affinity": _SCHEDULER,
    "spec.tolerations": _SCHEDULER,
    "spec.nodeSelector": _SCHEDULER,
    "spec.runtimeClassName": _SCHEDULER,
    "spec.priorityClassName": _SCHEDULER,
    "spec.serviceAccountName": _ACCOUNT,
    "spec.automountServiceAccountToken": _ACCOUNT,
    "spec.enableServiceLinks": "there are no Services",
    "spec.initContainers": _BEFORE,
    "spec.securityContext.fsGroup": "the folders are writable by their mode",
    "spec.securityContext.fsGroupChangePolicy": "the folders are writable by their mode",
    "spec.containers.name": "the container is named after its run",
    "spec.containers.imagePullPolicy": "the image is fetched before the container starts, and only if it is not here",
    "spec.containers.resources.requests": "the template's requests are its limits",
    "spec.containers.resources.limits.cpu": _WHOLE_HOST,
    "spec.containers.resources.limits.memory": _WHOLE_HOST,
    "spec.containers.resources.limits.ephemeral-storage": _WHOLE_HOST,
    "spec.containers.resources.limits.hugepages-2Mi": _WHOLE_HOST,
    "spec.containers.terminationMessagePolicy": "the whole log is kept",
    "spec.volumes.emptyDir.sizeLimit": "a volume on a disk has no limit here; that of shared memory is carried",
}

# Of the programs' own defaults, what a Job does not have.
# network: a Job's pods may speak to nobody. log: the kit keeps the log. pids: the kubelet sets no limit (podPidsLimit, -1), podman does.
_ALWAYS = ("--rm", "--pull", "never", "--network", "none", "--log-driver", "none", "--pids-limit", "-1")
# Without these podman gives the container this host's proxies, and a name to a user that has none in the image (podman-run(1)).
# Limits of processes (--ulimit) are left to the program, as a Job leaves them to containerd: each gives root's containers the most for
# open files and processes, and hands its own limits of memory down.
_PODMAN = ("--http-proxy=false", "--passwd=false")


@dataclass(frozen=True)
class Bind:
    """A folder of this host for a volume; it is mounted at ``below`` the volume's place, at the place itself where that is empty."""

    source: Path
    below: str = ""


@dataclass(frozen=True)
class Place:
    """What a host adds to a template.

    ``name`` is the container's. ``images`` maps the template's reference of an image to the name by which the program knows that
    image. ``volumes`` maps the name of a ConfigMap or claim to a folder. ``termination_log`` is the file that takes the
    termination message.
    """

    runtime: Runtime
    hooks: Hooks
    name: str
    images: Mapping[str, str]
    volumes: Mapping[str, Bind]
    termination_log: Path


def arguments(template: JsonObject, place: Place) -> list[str]:
    """Return the command that runs a pod template on a host and stays attached to it.

    Raises ``Unsupported`` for a template that a container cannot follow, and where devices cannot be handed out; ``UsageError`` for a
    folder whose path the command line cannot say.
    """
    metadata, spec = template["metadata"], template["spec"]
    (container,) = spec["containers"]
    program, command = place.runtime.program, container["command"]
    words = [program, "run", *_ALWAYS, *(_PODMAN if program == "podman" else ())]
    words += ["--name", place.name, "--restart", _one_of(spec, "restartPolicy", {"Never": "no"})]
    words += ["--stop-timeout", str(spec["terminationGracePeriodSeconds"])]
    words += [word for key, value in sorted(metadata["labels"].items()) for word in ("--label", f"{key}={value}")]
    words += _security(spec["securityContext"], container["securityContext"])
    # a label of SELinux keeps a container from folders of users and from devices (docs.nvidia.com, podman examples)
    words += ["--security-opt", "label=disable"] if place.runtime.selinux else []
    words += [word for variable in container["env"] for word in ("--env", f"{variable['name']}={variable['value']}")]
    words += _volumes(spec["volumes"], container["volumeMounts"], place)
    words += _bind(place.termination_log, container["terminationMessagePath"], read_only=False)
    words += devices(template, place.runtime, place.hooks)
    # a pod's command takes the place of the image's entry point
    return [*words, "--entrypoint", command[0], place.images[container["image"]], *command[1:]]


def devices(template: JsonObject, runtime: Runtime, ways: Hooks) -> list[str]:
    """Return the words that hand a template's devices to its container. Raises ``Unsupported`` where the program cannot."""
    (container,) = template["spec"]["containers"]
    limits = container["resources"]["limits"]
    return [
        word
        for resource, amount in limits.items()
        if quantities.is_extended(resource)
        for word in hooks.words(runtime, ways, resource, int(amount))
    ]


def _security(pod: JsonObject, container: JsonObject) -> list[str]:
    # what is in force without a word, and has no other value in a template
    _one_of(pod["seccompProfile"], "type", {"RuntimeDefault": ""})
    user = pod["runAsUser"]
    if pod["runAsNonRoot"] is not True or user == 0:
        raise Unsupported(
            "This template runs as root, which no Job of the kit does. Mend runner/host/manifests/pod.py."
        )
    words = ["--user", f"{user}:{pod['runAsGroup']}"]
    words += [word for name in container["capabilities"]["drop"] for word in ("--cap-drop", name)]
    words += [] if container["allowPrivilegeEscalation"] else ["--security-opt", "no-new-privileges"]
    return words + (["--read-only"] if container["readOnlyRootFilesystem"] else [])


def _volumes(volumes: Sequence[JsonObject], mounts: Sequence[JsonObject], place: Place) -> list[str]:
    """Return the words of all mounts: memory for shared memory, a folder for a ConfigMap or claim, else a volume of the program."""
    by_name = {volume["name"]: volume for volume in volumes}
    words: list[str] = []
    for mount in mounts:
        volume, path = by_name[mount["name"]], mount["mountPath"]
        read_only = mount.get("readOnly", False)
        empty = volume.get("emptyDir")
        if empty is not None and empty.get("medium") == "Memory" and path == "/dev/shm":  # noqa: S108
            words += ["--shm-size", f"{int(quantities.quantity(empty['sizeLimit']))}b"]
        elif empty is not None and "medium" not in empty and not read_only:
            # as an emptyDir it is on disk, and gone with the container; the image's own folder gives its mode
            words += ["--mount", f"type=volume,target={path}"]
        elif "configMap" in volume:
            words += _folder(place, volume["configMap"]["name"], path, read_only)
        elif "persistentVolumeClaim" in volume:
            words += _folder(place, volume["persistentVolumeClaim"]["claimName"], path, read_only)
        else:
            raise Unsupported(
                f"The volume {mount['name']} at {path} has a kind that containers without a cluster do not get."
            )
    return words


def _folder(place: Place, name: str, path: str, read_only: bool) -> list[str]:
    if name not in place.volumes:
        raise Unsupported(f"Nothing on this host stands for the volume {name}, which a Job has at {path}.")
    bind = place.volumes[name]
    return _bind(bind.source, f"{path}/{bind.below}".rstrip("/"), read_only)


def _bind(source: Path, target: str, read_only: bool) -> list[str]:
    absolute = source.absolute()
    # the value of --mount is CSV
    if any(sign in str(absolute) for sign in ',"\n'):
        raise UsageError(
            f"{absolute} holds a comma, a quote or a line break, and cannot be given to a container. Name another folder."
        )
    return ["--mount", f"type=bind,source={absolute},target={target}{',readonly' if read_only else ''}"]


def _one_of(fields: JsonObject, name: str, known: Mapping[str, str]) -> str:
    """Return what stands for the value of a field. Raises ``Unsupported`` for a value that nothing stands for."""
    value = fields[name]
    if value not in known:
        raise Unsupported(f"{name} {value} has no counterpart without a cluster. Mend runner/host/manifests/pod.py.")
    return known[value]
