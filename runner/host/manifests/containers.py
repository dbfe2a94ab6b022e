"""The parts that the containers of all pods share: the command of the runner, variables, amounts, and the security context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runner.contract.records import JsonObject

RUNNER = ["python3", "-m", "runner"]
# User and group of every pod, above the numbers of a host's accounts.
UID = 10001

SMALL = {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi"}
FETCHING = {"cpu": "2", "memory": "4Gi", "ephemeral-storage": "2Gi"}

# Programs that write to a home write to /tmp: the root is read-only, and the user of the pod may have any number.
WRITABLE = {
    "HOME": "/tmp",  # noqa: S108
    "USER": "bench",
    "XDG_CACHE_HOME": "/tmp/cache",  # noqa: S108
    "HF_HOME": "/tmp/huggingface",  # noqa: S108
    "TORCHINDUCTOR_CACHE_DIR": "/tmp/inductor",  # noqa: S108
}
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


def container(
    name: str,
    image: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    amounts: Mapping[str, str],
    mounts: Sequence[JsonObject],
    message_path: str | None = None,
) -> JsonObject:
    """Return a container; ``message_path`` is where the program writes its termination message, None for the kubelet's default.

    The last lines of the log are the message of a container that failed and wrote none.
    """
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(command),
        **({"env": variables(environment)} if environment else {}),
        "resources": limits(amounts),
        "securityContext": confined(),
        **({"terminationMessagePath": message_path} if message_path else {}),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": list(mounts),
    }


def mount(volume: str, path: str, read_only: bool = False) -> JsonObject:
    """Return the mount of a volume."""
    return {"name": volume, "mountPath": path, **({"readOnly": True} if read_only else {})}


def confined() -> JsonObject:
    """Return the security context of every container."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def variables(values: Mapping[str, str]) -> list[JsonObject]:
    """Return variables as a container lists them."""
    return [{"name": name, "value": value} for name, value in values.items()]


def limits(amounts: Mapping[str, str]) -> JsonObject:
    """Return requests that are limits: the pod is Guaranteed, and gets whole cores where the kubelet assigns cores."""
    return {"requests": dict(amounts), "limits": dict(amounts)}
