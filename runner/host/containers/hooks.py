"""Decide how a container gets its devices: by CDI, by docker's ``--gpus``, or by the runtime of Gaudi.

A Job asks for a number of devices, and the device plugin of the node hands them out. Here the words of the command line do.
Sources: docs.nvidia.com/datacenter/cloud-native/container-toolkit (cdi-support, install-guide); docs.docker.com/reference/cli/docker
(container/run, dockerd); docs.habana.ai (Docker Installation; Multiple Dockers Each with a Single Workload).
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.contract import files
from runner.contract.errors import InputError, Unsupported
from runner.host.containers.runtimes import Runtime
from runner.host.readers import kubeyaml

NVIDIA, GAUDI = "nvidia.com/gpu", "habana.ai/gaudi"
# docker looks for this program when its daemon starts, and knows --gpus then (moby daemon/nvidia_linux.go).
NVIDIA_HOOK = "nvidia-container-runtime-hook"
# How the names begin that `nvidia-ctk cdi generate --device-name-strategy=uuid` gives; by index a slice is N:M (cdi-support).
_UUIDS = ("GPU-", "MIG-")

_TOOLKIT = "Install NVIDIA's Container Toolkit (apt-get install nvidia-container-toolkit, from NVIDIA's repository)"
_HABANA = (
    "Install habanalabs-container-runtime, and register it: add"
    ' {"runtimes": {"habana": {"path": "/usr/bin/habana-container-runtime", "runtimeArgs": []}}} to /etc/docker/daemon.json, then'
    " `sudo systemctl restart docker`"
)


@dataclass(frozen=True)
class Hooks:
    """The ways of a program to hand devices to a container.

    ``cdi`` maps a kind, such as nvidia.com/gpu, to the names of its devices. ``visible`` maps a resource to the devices that the
    user's variables let be seen, in their order; a resource that no variable limits is absent. ``modules`` says that Gaudis are named
    by module and not by index.
    """

    cdi: Mapping[str, tuple[str, ...]]
    nvidia_hook: bool
    visible: Mapping[str, tuple[str, ...]]
    modules: bool = False


def look(runtime: Runtime, variables: Mapping[str, str] = os.environ) -> Hooks:
    """Return the hooks of a program on this host. A CDI specification that cannot be read is passed over."""
    modules = bool(variables.get("HABANA_VISIBLE_MODULES"))
    limits = {
        NVIDIA: variables.get("CUDA_VISIBLE_DEVICES"),
        GAUDI: variables.get("HABANA_VISIBLE_MODULES") or variables.get("HABANA_VISIBLE_DEVICES"),
    }
    return Hooks(
        cdi=cdi_devices(runtime.cdi_folders),
        nvidia_hook="nvidia" in runtime.oci_runtimes or shutil.which(NVIDIA_HOOK) is not None,
        visible={
            resource: tuple(filter(None, (name.strip() for name in limit.split(","))))
            for resource, limit in limits.items()
            if limit is not None and limit != "all"
        },
        modules=modules,
    )


def cdi_devices(folders: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the names of devices by kind, as the CDI specifications of some folders list them."""
    devices: dict[str, tuple[str, ...]] = {}
    for folder in folders:
        with contextlib.suppress(OSError):
            for path in sorted(Path(folder).iterdir()):
                if path.suffix in (".json", ".yaml", ".yml"):
                    for kind, names in _specified(path).items():
                        devices[kind] = tuple(dict.fromkeys((*devices.get(kind, ()), *names)))
    return devices


def _specified(path: Path) -> dict[str, tuple[str, ...]]:
    """Return the devices of one CDI specification by kind: {"kind": "nvidia.com/gpu", "devices": [{"name": "0", ...}, ...]}."""
    try:
        (document,) = kubeyaml.documents(files.read_bytes(path, kubeyaml.MAX_BYTES, InputError, ""))
        listed: list[dict[str, Any]] = document["devices"]
        return {str(document["kind"]): tuple(str(device["name"]) for device in listed)}
    # whose file it is, and what else it may hold, is unknown
    except (InputError, ValueError, KeyError, TypeError):
        return {}


def words(runtime: Runtime, hooks: Hooks, resource: str, count: int) -> list[str]:
    """Return the words that hand so many devices to a container. Raises ``Unsupported``, with the command that installs what lacks."""
    if resource == NVIDIA:
        return _nvidia(runtime, hooks, count)
    if resource == GAUDI:
        return _gaudi(runtime, hooks, count)
    raise Unsupported(
        f"{runtime.program} is not known to hand out {resource}. Measure on a cluster, whose device plugin does."
    )


def _nvidia(runtime: Runtime, hooks: Hooks, count: int) -> list[str]:
    known = hooks.cdi.get(NVIDIA, ())
    if runtime.program == "docker" and hooks.nvidia_hook:
        # the value is CSV, so that a list of devices needs its own quotes (docs.docker.com, --gpus)
        return ["--gpus", f'"device={",".join(_chosen(hooks, NVIDIA, count))}"']
    if known:
        return [word for name in _chosen(hooks, NVIDIA, count, known) for word in ("--device", f"{NVIDIA}={name}")]
    if runtime.program == "docker":
        raise Unsupported(
            f"docker has no hook for NVIDIA GPUs. {_TOOLKIT}, then `sudo nvidia-ctk runtime configure --runtime=docker` and"
            " `sudo systemctl restart docker`."
        )
    raise Unsupported(
        f"podman finds no CDI specification of {NVIDIA} in {' or '.join(runtime.cdi_folders)}. {_TOOLKIT}, then `sudo nvidia-ctk cdi"
        " generate --output=/etc/cdi/nvidia.yaml`."
    )


def _gaudi(runtime: Runtime, hooks: Hooks, count: int) -> list[str]:
    # the vendor documents docker, containerd and CRI-O, and no CDI specification
    if runtime.program == "podman":
        raise Unsupported(
            "podman has no documented way to hand a Gaudi to a container. Use docker with the vendor's runtime (--with docker), or a"
            " cluster."
        )
    if "habana" not in runtime.oci_runtimes:
        raise Unsupported(f"docker has no runtime for Gaudi. {_HABANA}.")
    name = "HABANA_VISIBLE_MODULES" if hooks.modules else "HABANA_VISIBLE_DEVICES"
    return ["--runtime", "habana", "--env", f"{name}={','.join(_chosen(hooks, GAUDI, count))}"]


def _chosen(hooks: Hooks, resource: str, count: int, known: Sequence[str] | None = None) -> list[str]:
    """Return the names of the first ``count`` devices that may be seen. Raises ``Unsupported`` where there are fewer.

    ``known`` are the names in a CDI specification, where there is one.
    """
    visible = hooks.visible.get(resource)
    if visible is not None and len(visible) < count:
        raise Unsupported(
            f"{count} of {resource} are needed, and variables of this shell let {len(visible)} be seen. Change CUDA_VISIBLE_DEVICES or"
            " HABANA_VISIBLE_DEVICES, or take a case with fewer devices."
        )
    if known is None:
        return list(visible or map(str, range(count)))[:count]
    listed = [name for name in known if name != "all"]
    names = _each_once(listed) if visible is None else [_in_specification(name, listed) for name in visible]
    unknown = [name for name in names[:count] if name not in listed]
    if unknown or len(names) < count:
        lacking = f"has no device {unknown[0]}" if unknown else f"has {len(names)}"
        by_uuid = " --device-name-strategy=uuid" if unknown and unknown[0].startswith(_UUIDS) else ""
        raise Unsupported(
            f"{count} of {resource} are needed, and the CDI specification {lacking}: it lists {', '.join(listed)}. Take a case with"
            f" fewer devices, or generate the specification again (`sudo nvidia-ctk cdi generate{by_uuid}"
            " --output=/etc/cdi/nvidia.yaml`)."
        )
    return names[:count]


def _each_once(listed: Sequence[str]) -> list[str]:
    """Return the names of whole GPUs, else of slices, each device by one name: a specification may list a device by index and UUID."""
    by_index = [name for name in listed if not name.startswith(_UUIDS)] or list(listed)
    return [name for name in by_index if ":" not in name] or by_index


def _in_specification(name: str, listed: Sequence[str]) -> str:
    """Return the name of a visible device in a specification; of a GPU that is cut into slices, the first slice: 0:0 for 0."""
    slices = [one for one in listed if one.startswith(f"{name}:")]
    return slices[0] if slices and name not in listed else name
