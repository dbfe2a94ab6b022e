"""The real weights that the cases name: whether they are here, and what would be fetched, with its size."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from runner.contract import hub_cache
from runner.host.doctor.disk import free_bytes
from runner.host.doctor.findings import Answer, Look, not_ready, ready, untold, warning
from runner.host.doctor.needs import Need, gigabytes
from runner.host.objects import names
from runner.host.readers.lockfile import UNRESOLVED


def looks(needs: Sequence[Need], on_a_cluster: bool) -> list[Look]:
    """Return a look for each model whose weights the cases take from the hub: into the cache of this host, or onto a claim."""
    models = {need.case.model: need for need in needs if need.fetches_weights}
    return [
        Look(
            "weights",
            f"weights of {name}",
            partial(on_a_claim, need) if on_a_cluster else partial(of_model, need, Path(hub_cache.folder())),
        )
        for name, need in models.items()
    ]


def on_a_claim(need: Need) -> Answer:
    """Say how large the weights are. What is on a claim, nobody sees without a pod."""
    assert need.pin is not None
    return untold(
        f"{gigabytes(need.weight_bytes)} of {need.pin.repository} belong on the claim {names.MODELS}; what is on it, only a pod sees.",
        "The prefetch Job compares every file, and fetches what is missing.",
    )


def of_model(need: Need, cache: Path) -> Answer:
    """Say whether the pinned revision of a model is in a cache, else how much would be fetched and whether it fits there."""
    assert need.pin is not None
    size = need.weight_bytes
    if need.pin.revision == UNRESOLVED:
        return not_ready(
            f"The revision of {need.pin.repository} is unresolved in versions.lock.",
            "`python -m runner lock --only hub` where the hub answers.",
        )
    repository = Path(hub_cache.repository(str(cache), need.pin.repository))
    snapshot = repository / "snapshots" / need.pin.revision
    if hub_cache.holds(str(snapshot), need.request.model.architecture, need.pin.files or {}):
        return ready(f"They are in {cache}, by the names of the files; a launch compares every file.")
    fetched = f"{gigabytes(size)} would be fetched from {need.pin.repository}"
    free = free_bytes(cache)
    if free is not None and free < size - _present_bytes(repository):
        return not_ready(
            f"{fetched}; {gigabytes(free)} are free in {cache}.",
            "Name a larger disk in HF_HOME, or measure --weights dummy.",
        )
    room = "how much is free" if free is None else f"{gigabytes(free)} are free"
    return warning(
        f"{fetched}; {room} in {cache}{' cannot be told' if free is None else ''}.",
        f"`make weights MODEL={need.case.model}`, or measure --weights dummy.",
    )


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _present_bytes(repository: Path) -> int:
    """Return the bytes of a repository that are in the cache, of files that are whole or begun."""
    sizes = 0
    for file in _files(repository / "blobs"):
        try:
            sizes += file.stat().st_size
        except OSError:
            continue
    return sizes
