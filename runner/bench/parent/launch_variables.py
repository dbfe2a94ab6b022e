"""The environment variables of a launch."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Mapping

# Variables that say of a process which rank it is, of how many ranks and where. Schedulers, MPI and launchers set them
# for the process that they start, which is bench. DeepSpeed, torch and torchrun's own options (PET_) would take them
# for a rank's. How Open MPI copies between processes (OMPI_MCA_btl_...) says nothing of a launch: the manifests set it.
_OF_ANOTHER_LAUNCH = re.compile(
    r"RANK|WORLD_SIZE|NODE_RANK|MASTER_(ADDR|PORT)|(LOCAL|GROUP|ROLE|CROSS)_(RANK|SIZE|WORLD_SIZE|NAME)|LOCAL_PROCESS_INDEX"
    r"|(TORCHELASTIC|PET|OMPI(?!_MCA_btl_)|PMI|PMIX|PRTE|MPI|MV2|MPICH|HYDI|HYDRA|SLURM|SLURMD|PALS|ALPS|FLUX|JSM)_.*|DS_ENV_FILE"
)


def for_every_host(device_variables: Mapping[str, str], offline: bool) -> dict[str, str]:
    """Return the variables that a launch sets and that have the same value on every host."""
    offline_variables = (
        {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"} if offline else {}
    )
    return {
        **device_variables,
        **offline_variables,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }


def left_out() -> list[str]:
    """Return the names of this process's variables that another launch has set. Ranks do not get these variables."""
    return sorted(name for name in os.environ if _OF_ANOTHER_LAUNCH.fullmatch(name))


def for_this_host(folder: str, launch_variables: Mapping[str, str]) -> dict[str, str]:
    """Return all variables of a launch's processes on this host.

    They are this process's own variables, ``launch_variables``, and ``folder`` as the place for temporary files:
    torchrun, inductor and ``datasets`` leave files where TMPDIR and their caches point. Variables of another launch are
    left out, since the request alone says how many ranks there are.
    """
    root = str(Path(__file__).resolve().parents[3])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    return {
        **{name: value for name, value in os.environ.items() if not _OF_ANOTHER_LAUNCH.fullmatch(name)},
        **launch_variables,
        "PYTHONPATH": path,
        "TMPDIR": folder,
        "HF_DATASETS_CACHE": os.path.join(folder, "datasets"),
    }
