"""Find the weights of a request on this host, and say where its container has them."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from runner.contract import hub_cache
from runner.contract.errors import InputError
from runner.host.containers.command import Bind
from runner.host.manifests.plan import JobPlan
from runner.host.objects import names


def volumes(job: JobPlan, model_dir: Path | None) -> dict[str, Bind]:
    """Return the volume of a model's real weights, none for a request with dummy weights.

    ``model_dir`` is a snapshot of a hub cache, that of the user's cache unless given. Raises ``InputError`` where it is not there.
    """
    if not job.hub:
        return {}
    model = job.request.model
    assert model.repository is not None and model.revision is not None
    folder = model_dir or Path(hub_cache.snapshot(model.repository, model.revision))
    fetch = f"Fetch it: make weights MODEL={model.name}; or take --weights dummy in the request."
    if folder.name != model.revision:
        raise InputError(
            f"--model-dir {folder} is not named {model.revision}, as a hub cache names the pinned snapshot. {fetch}"
        )
    if not (folder / "config.json").exists():
        raise InputError(f"{model.name} is not on this host: {folder} holds no config.json. {fetch}")
    inside = PurePosixPath(job.model_dir).relative_to("/models")
    # a snapshot's files are links to the blobs beside the snapshots
    if folder.parent.name == "snapshots":
        return {names.MODELS: Bind(folder.parents[1], str(inside.parents[1]))}
    return {names.MODELS: Bind(folder, str(inside))}
