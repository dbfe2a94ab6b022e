"""Describe the software and the host that a result was measured on, and the variables that can change a measurement."""

from __future__ import annotations

import os
import platform
import re
import sys
from typing import Mapping, cast, get_args

from runner.bench.facts import cgroups, distributions, host
from runner.bench.facts.small_files import read_text
from runner.bench.facts.variables import is_setting
from runner.contract.errors import InputError
from runner.contract.records import Environment, Inventory
from runner.contract.secrets import is_secret_name, mask
from runner.contract.text import printable
from runner.contract.words import Installation

# Variables that each host sets by itself, so that the hosts of one launch may differ in them. One kind names the
# devices of a pod, by the numbers of the vendors' device plugins (habanalabs-k8s-device-plugin@6b77f8c server.go). The
# other kind names the network's interfaces.
_DEVICES_OF_HOST = re.compile(r"(HABANA|NVIDIA|CUDA)_VISIBLE_(DEVICES|MODULES)")
_INTERFACES_OF_HOST = re.compile(r"(GLOO|NCCL|HCCL)_SOCKET_IFNAME|NCCL_IB_HCA")


def describe(inventory: Inventory | None) -> Environment:
    """Return the environment of this process as observed now, with the inventory that was taken before."""
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "venv": sys.prefix != sys.base_prefix,
        "packages": distributions.versions(),
        "image": os.environ.get("BLOOMZ_BENCH_IMAGE"),
        "installation": installation(os.environ),
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
        "inventory": inventory,
    }


def installation(environment: Mapping[str, str]) -> Installation:
    """Return who installed the stack, by the variable that our images and the pods of the manifests set.

    Raises ``InputError`` for a word that nobody sets.
    """
    word = environment.get("BLOOMZ_BENCH_INSTALLATION", "host")
    for known in get_args(Installation):
        if word == known:
            return cast(Installation, known)
    raise InputError(
        f"BLOOMZ_BENCH_INSTALLATION is {printable(word, 80)!r}, and may be {', '.join(get_args(Installation))}. Unset it."
    )


def variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of ``environment`` that can change a measurement, with secrets masked.

    Only these variables are ever written down.
    """
    return {
        name: mask(value)
        for name, value in sorted(environment.items())
        if is_setting(name) and not is_secret_name(name)
    }


def replaced(given: Mapping[str, str], launch: Mapping[str, str]) -> list[str]:
    """Return a line of progress for each variable of the user's, in ``given``, that a launch sets to another value."""
    return [
        f"{name} was {printable(given[name], 80)}, this launch sets {value}"
        for name, value in sorted(launch.items())
        if given.get(name, value) != value
    ]


def for_other_hosts(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that ranks on other hosts get: all but those that number a host's devices.

    A variable that the other host itself sets keeps the other host's value.
    """
    return {name: value for name, value in variables.items() if not _DEVICES_OF_HOST.fullmatch(name)}


def is_of_the_host(name: str) -> bool:
    """Return whether a variable names devices or interfaces of one host, so that another host has another value."""
    return bool(_DEVICES_OF_HOST.fullmatch(name) or _INTERFACES_OF_HOST.fullmatch(name))


def _operating_system() -> str | None:
    for line in (read_text("/etc/os-release") or "").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.split("=", 1)[1].strip('"')
    return None
