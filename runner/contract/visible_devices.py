"""The GPUs that CUDA_VISIBLE_DEVICES names, and what the launcher of DeepSpeed takes of such names."""

from __future__ import annotations

from typing import Mapping

from runner.contract.errors import LaunchFailed

# By this variable people say which GPUs a process may use.
CUDA = "CUDA_VISIBLE_DEVICES"


def named(environment: Mapping[str, str]) -> list[str] | None:
    """Return the GPUs that the variable names; None where it is unset, or empty."""
    names = [name.strip() for name in environment.get(CUDA, "").split(",")]
    return [name for name in names if name] or None


def unlaunchable(environment: Mapping[str, str]) -> LaunchFailed | None:
    """Return the error of a launch under names that are no numbers; None where DeepSpeed can take them all."""
    if all(name.isdigit() for name in named(environment) or ()):
        return None
    return LaunchFailed(
        f"{CUDA} names a GPU by another thing than its number, and the launcher of DeepSpeed takes numbers alone. Name numbers, in the"
        " order of nvidia-smi with CUDA_DEVICE_ORDER=PCI_BUS_ID; a slice has none, and the first is taken where the variable is unset."
    )
