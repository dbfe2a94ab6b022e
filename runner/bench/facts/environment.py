"""Describe the software and the host that a result was measured on."""

import contextlib
import os
import platform
import re
import sys
from importlib import metadata
from typing import List, Mapping

from runner.bench.facts import cgroups, host
from runner.bench.facts.variables import is_setting
from runner.contract.secrets import is_secret_name, mask
from runner.contract.text import printable

# What each host numbers or names by itself, so that hosts of one launch may differ in it: the devices that a pod was given, which
# the vendors' device plugins set in it (habanalabs-k8s-device-plugin@6b77f8c server.go), and the network's interfaces.
_DEVICES_GIVEN = re.compile(r"(HABANA|NVIDIA|CUDA)_VISIBLE_(DEVICES|MODULES)")
_INTERFACES = re.compile(r"(GLOO|NCCL|HCCL)_SOCKET_IFNAME|NCCL_IB_HCA")


def describe():
    """Return the environment as observed now; ``packages`` maps every installed distribution to its version."""
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "venv": sys.prefix != sys.base_prefix,
        "packages": packages(),
        "image": os.environ.get("BLOOMZ_BENCH_IMAGE"),
        "host": platform.node(),
        "machine": platform.machine(),
        "kernel": platform.release(),
        "operating_system": _operating_system(),
        "cpu": {
            "model": host.cpu_model(),
            "usable_cores": host.usable_cores(),
            "quota_cores": cgroups.cores(),
            "governor": host.governor(),
        },
        "memory_total_bytes": host.memory_bytes("MemTotal"),
        "memory_available_bytes": host.available_memory_bytes(),
        "load_average_1min": host.load_average(),
    }


def variables(environment):
    """Return those variables of ``environment`` that can change a measurement, secrets masked. No other may be written down."""
    return {
        name: mask(value)
        for name, value in sorted(environment.items())
        if is_setting(name) and not is_secret_name(name)
    }


def replaced(given: Mapping[str, str], launch: Mapping[str, str]) -> List[str]:
    """Return a line for each setting of the user's, in ``given``, that a launch replaces by its own."""
    return [
        f"{name} was {printable(given[name], 80)}, this launch sets {value}"
        for name, value in sorted(launch.items())
        if given.get(name, value) != value
    ]


def for_other_hosts(variables):
    """Return those variables that a rank on another host may be given where it has none: not which devices are whose."""
    return {name: value for name, value in variables.items() if not _DEVICES_GIVEN.fullmatch(name)}


def is_of_the_host(name):
    """Return whether a variable tells of one host, and says nothing of another."""
    return bool(_DEVICES_GIVEN.fullmatch(name) or _INTERFACES.fullmatch(name))


def packages():
    """Return name to version of all installed distributions, names in their normalised form."""
    return {name: found.version for name, found in sorted(distributions().items())}


def distributions():
    """Return normalised name to distribution of all that is installed; where two have one name, the one that is imported."""
    found: dict[str, metadata.Distribution] = {}
    for distribution in metadata.distributions():
        # a folder that pip left behind half removed has neither, and which class is raised differs between releases
        with contextlib.suppress(Exception):
            if distribution.metadata["Name"] and distribution.version:
                found.setdefault(normalised(distribution.metadata["Name"]), distribution)  # the first on the path
    return found


def files_of(distribution: metadata.Distribution) -> List[metadata.PackagePath]:
    """Return the files that a distribution's RECORD lists, each with its hash; none where there is no RECORD, or a damaged one."""
    try:
        return [file for file in distribution.files or () if file.parts] if distribution.read_text("RECORD") else []
    except Exception:  # the reader raises whatever it stumbles over
        return []


def normalised(name):
    """Return a distribution's name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def release(version):
    """Return the release that a version is a build of: its leading dotted numbers, without +cpu, a0+git or -494."""
    return re.split(r"[^0-9.]", version)[0].rstrip(".")


def _operating_system():
    for line in (host.read_text("/etc/os-release") or "").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.split("=", 1)[1].strip('"')
    return None
