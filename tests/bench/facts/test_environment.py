"""Which variables are written down: settings by their exact names, and never what people hide under such a name."""

from __future__ import annotations

import pytest

from runner.bench.facts import environment, variables
from runner.contract.errors import InputError
from runner.contract.secrets import is_secret_name

SETTINGS = [
    *("OMP_NUM_THREADS", "KMP_BLOCKTIME", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "CUBLAS_WORKSPACE_CONFIG"),
    *("NVIDIA_VISIBLE_DEVICES", "NVIDIA_TF32_OVERRIDE", "NCCL_P2P_DISABLE", "NCCL_ALGO", "PYTORCH_CUDA_ALLOC_CONF"),
    *("TORCHINDUCTOR_MAX_AUTOTUNE", "TORCHDYNAMO_DISABLE", "TORCH_NCCL_AVOID_RECORD_STREAMS", "TRITON_CACHE_DIR"),
    *("GLOO_SOCKET_IFNAME", "PT_HPU_LAZY_MODE", "PT_HPU_ENABLE_LAZY_COLLECTIVES", "HABANA_VISIBLE_MODULES"),
    *("HCCL_SOCKET_IFNAME", "WA_INDEX_COPY", "DS_ACCELERATOR", "HF_HUB_OFFLINE"),
]
SECRETS = [
    *("NVIDIA_API_KEY", "NVIDIA_NGC_API_KEY", "CUDA_LICENSE", "HABANA_VAULT_TOKEN", "HABANA_USER", "OMP_PASSWORD"),
    *("NCCL_SECRET", "NCCL_MY_NOTE", "TORCH_HUB_TOKEN", "TORCHINDUCTOR_REMOTE_CACHE_TOKEN", "TORCHDYNAMO_API_KEY"),
    *("PT_TOKEN", "WA_PASSWORD", "MKL_LICENSE_KEY", "TRITON_SERVER_PASSWORD", "GLOO_AUTH", "PYTORCH_RELEASE_TOKEN"),
    *("HF_TOKEN", "HF_HUB_OFFLINE_TOKEN", "XOMP_NUM_THREADS", "omp_num_threads", "OMP_NUM_THREADS_"),
]


def test_settings_are_recorded() -> None:
    assert environment.variables(dict.fromkeys(SETTINGS, "1")) == dict.fromkeys(SETTINGS, "1")


@pytest.mark.parametrize("name", SECRETS)
def test_what_only_begins_as_a_setting_does_is_not(name: str) -> None:
    assert environment.variables({name: "x"}) == {}


def test_no_setting_is_called_like_a_secret() -> None:
    assert [name for name in variables.NAMES if is_secret_name(name)] == []


def test_a_secret_in_a_setting_s_value_is_masked() -> None:
    given = {"TRITON_CACHE_DIR": "https://somebody:hunter2hunter2@cache.example/x"}
    assert environment.variables(given) == {"TRITON_CACHE_DIR": "https://***@cache.example/x"}


def test_a_setting_of_the_user_s_that_a_launch_replaces_is_told() -> None:
    given = {"OMP_NUM_THREADS": "64", "MKL_NUM_THREADS": "2", "HOME": "/home"}
    launch = {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2", "DS_ACCELERATOR": "cpu"}
    assert environment.replaced(given, launch) == ["OMP_NUM_THREADS was 64, this launch sets 2"]


@pytest.mark.parametrize("word", ["image", "pod", "host"])
def test_who_installed_the_stack_is_told_by_who_starts_the_container(word: str) -> None:
    assert environment.installation({"BLOOMZ_BENCH_INSTALLATION": word}) == word
    assert environment.installation({}) == "host"


def test_a_word_that_nobody_sets_is_refused() -> None:
    with pytest.raises(
        InputError, match="BLOOMZ_BENCH_INSTALLATION is 'docker', and may be image, pod, host. Unset it."
    ):
        environment.installation({"BLOOMZ_BENCH_INSTALLATION": "docker"})
