"""Find the weights of a request on this host, and say where its container has them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from runner.contract import hub_cache
from runner.contract.errors import InputError
from runner.host.containers.command import Bind
from runner.host.manifests.plan import JobPlan


@dataclass(frozen=True)
class HostWeights:
    """The real weights of a model on this host: what stands for the volume of models, and the model's folder in the container."""

    volume: Bind
    path: str


def find(job: JobPlan, model_dir: Path | None) -> HostWeights | None:
    """Return a model's real weights on this host, None for a request with dummy weights.

    ``model_dir`` is the model's folder, that of the user's hub cache unless given. The folder keeps its name in the container, where
    ``bench`` looks for the revision that the name tells, and compares the files. Raises ``InputError`` where no model is there.
    """
    if not job.hub:
        return None
    model = job.request.model
    assert model.repository is not None and model.revision is not None
    folder = (model_dir or Path(hub_cache.snapshot(model.repository, model.revision))).resolve()
    if not (folder / "config.json").exists():
        raise InputError(
            f"{model.name} is not on this host: {folder} holds no config.json. Fetch it: make weights MODEL={model.name}; or take"
            " --weights dummy in the request."
        )
    # a snapshot's files are links to the blobs beside the snapshots
    if folder.parent.name == "snapshots":
        repository = hub_cache.repository("hub", model.repository)
        return HostWeights(Bind(folder.parents[1], repository), f"/models/{repository}/snapshots/{folder.name}")
    return HostWeights(Bind(folder, f"given/{folder.name}"), f"/models/given/{folder.name}")
