"""What podman and docker tell of themselves, as `run` asks them.

podman's is the output of `podman info --format json` of podman 4.3.1 on Debian 12, cut to what may matter; for a rootless user the
fields that its manual names differ. docker's has the form of SystemInfo in the reference of the Docker Engine API, which
`docker info --format '{{json .}}'` prints (docs.docker.com/reference/api/engine), with the runtimes that NVIDIA's and Gaudi's guides
register.
"""

from __future__ import annotations

import copy
from typing import Any

from runner.host.containers import runtimes
from runner.host.containers.hooks import GAUDI, NVIDIA, Hooks
from runner.host.containers.runtimes import Runtime

PODMAN: dict[str, Any] = {
    "host": {
        "arch": "amd64",
        "cgroupManager": "systemd",
        "cgroupVersion": "v2",
        "idMappings": {"gidmap": None, "uidmap": None},
        "ociRuntime": {
            "name": "crun",
            "package": "crun_1.8.1-1+deb12u1_amd64",
            "path": "/usr/bin/crun",
            "version": "crun version 1.8.1",
        },
        "os": "linux",
        "serviceIsRemote": False,
        "security": {
            "apparmorEnabled": False,
            "capabilities": "CAP_CHOWN,CAP_DAC_OVERRIDE,CAP_FOWNER,CAP_FSETID,CAP_KILL,CAP_NET_BIND_SERVICE",
            "rootless": False,
            "seccompEnabled": True,
            "seccompProfilePath": "/usr/share/containers/seccomp.json",
            "selinuxEnabled": False,
        },
    },
    "store": {"graphDriverName": "overlay", "graphRoot": "/var/lib/containers/storage"},
    "registries": {},
    "version": {
        "APIVersion": "4.3.1",
        "Version": "4.3.1",
        "GoVersion": "go1.19.8",
        "OsArch": "linux/amd64",
        "Os": "linux",
    },
}

DOCKER: dict[str, Any] = {
    "ID": "7TRN:IPZB:QYBB:VPBQ:UMPP:KARE:6ZNR:XE6T:7EWV:PKF4:ZOJD:TPYS",
    "Driver": "overlay2",
    "CgroupDriver": "systemd",
    "CgroupVersion": "2",
    "OSType": "linux",
    "Architecture": "x86_64",
    "DockerRootDir": "/var/lib/docker",
    "ServerVersion": "28.2.2",
    "Runtimes": {"io.containerd.runc.v2": {"path": "runc"}, "runc": {"path": "runc"}},
    "DefaultRuntime": "runc",
    "SecurityOptions": ["name=apparmor", "name=seccomp,profile=builtin", "name=cgroupns"],
    "CDISpecDirs": ["/etc/cdi", "/var/run/cdi"],
    "Warnings": None,
}


def podman(rootless: bool = False, selinux: bool = False) -> Runtime:
    told = copy.deepcopy(PODMAN)
    told["host"]["security"].update(rootless=rootless, selinuxEnabled=selinux)
    return runtimes.read("podman", told)


def docker(*oci_runtimes: str, rootless: bool = False, cdi: bool = True, selinux: bool = False) -> Runtime:
    told = copy.deepcopy(DOCKER)
    told["Runtimes"] |= {
        name: {"path": f"/usr/bin/{name}-container-runtime", "runtimeArgs": []} for name in oci_runtimes
    }
    told["SecurityOptions"] += ["name=rootless"] * rootless + ["name=selinux"] * selinux
    told["CDISpecDirs"] = told["CDISpecDirs"] if cdi else []
    return runtimes.read("docker", told)


NOTHING = Hooks(cdi={}, nvidia_hook=False, visible={})
EIGHT_GPUS = Hooks(cdi={NVIDIA: (*map(str, range(8)), "all")}, nvidia_hook=False, visible={})
HOOK = Hooks(cdi={}, nvidia_hook=True, visible={})


def seeing(hooks: Hooks, *names: str, resource: str = NVIDIA, modules: bool = False) -> Hooks:
    """Return hooks of a user whose variables let these devices be seen."""
    return Hooks(hooks.cdi, hooks.nvidia_hook, {resource: names}, modules)


__all__ = ["DOCKER", "EIGHT_GPUS", "GAUDI", "HOOK", "NOTHING", "NVIDIA", "PODMAN", "docker", "podman", "seeing"]
