from __future__ import annotations

import pytest

from runner.bench.parent import launch_variables


def test_a_launch_is_offline_unless_it_needs_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    online, offline = (launch_variables.for_every_host({"OMP_NUM_THREADS": "3"}, offline) for offline in (False, True))
    assert "HF_HUB_OFFLINE" not in launch_variables.for_this_host("/scratch", online)
    found = launch_variables.for_this_host("/scratch", offline)
    assert (found["HF_HUB_OFFLINE"], found["OMP_NUM_THREADS"], found["TMPDIR"]) == ("1", "3", "/scratch")
    assert "/scratch" not in "".join(offline.values())  # which is on this host alone


@pytest.mark.parametrize(
    "name",
    [
        *(
            "RANK",
            "WORLD_SIZE",
            "LOCAL_RANK",
            "LOCAL_WORLD_SIZE",
            "GROUP_RANK",
            "ROLE_RANK",
            "MASTER_ADDR",
            "MASTER_PORT",
        ),
        *("TORCHELASTIC_USE_AGENT_STORE", "TORCHELASTIC_RUN_ID", "PET_NNODES", "OMPI_COMM_WORLD_RANK", "PMI_RANK"),
        *("PMIX_RANK", "SLURM_PROCID", "SLURM_NTASKS", "MV2_COMM_WORLD_RANK", "CROSS_SIZE", "LOCAL_SIZE", "NODE_RANK"),
    ],
)
def test_no_variable_of_another_launch_reaches_the_ranks(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "7")
    assert name not in launch_variables.for_this_host("/scratch", {})
    assert launch_variables.left_out() == [name]


@pytest.mark.parametrize(
    "name",
    [
        *("RANKS_DIR", "SLURMISH", "GLOO_SOCKET_IFNAME", "NCCL_DEBUG", "CUDA_VISIBLE_DEVICES", "MPICC"),
        "OMPI_MCA_btl_vader_single_copy_mechanism",
    ],
)
def test_what_says_nothing_of_a_rank_reaches_the_ranks(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "7")
    assert launch_variables.for_this_host("/scratch", {})[name] == "7"
