"""The table of what Jobs ask of nodes: what is wrong in it is said with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.contract.errors import InputError
from runner.host import paths
from runner.host.readers import catalog, profiles


@pytest.mark.parametrize(
    "old, new, told",
    [
        ("folder: gaudi\n", "folder: ../../gaudi\n", "'folder' must be a folder below k8s/"),
        ("cases: [cpu-1, cpu-2]", "cases: [cpu-1, cpu-3]", "'cpu-3' is no case of cases.yaml."),
        ("job_kind: mpijob", "job_kind: ray", "job, jobset, mpijob"),
        ("memory: 440Gi", "memory: 440GB", "must be a quantity such as 690Gi"),
        ("accelerator: a100-80gb", "accelerator: a100", "a100"),
        ("cuda: 12Gi", "cuda: 12GB", "must be a quantity such as 690Gi"),
        ("hugepages: none", "hugepage: none", "hugepages"),
    ],
)
def test_a_mistake_in_the_table_is_said_with_its_line(tmp_path: Path, old: str, new: str, told: str) -> None:
    content = (paths.CATALOG / "profiles.yaml").read_text()
    assert old in content
    (tmp_path / "profiles.yaml").write_text(content.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        profiles.read(catalog.read(), tmp_path)
    assert told in str(caught.value) and "profiles.yaml" in str(caught.value)


def test_a_size_that_no_row_has_is_said() -> None:
    with pytest.raises(InputError, match="has no profile of 3 x gaudi2. Add a row to profiles"):
        profiles.read(catalog.read()).of("gaudi2", 3)


def test_a_row_that_is_missing_is_named() -> None:
    with pytest.raises(InputError, match="profiles.yaml has no row none in environments. Add one"):
        profiles.read(catalog.read()).environment_of("none")
    with pytest.raises(InputError, match="profiles.yaml has no row none in deadlines_s"):
        profiles.read(catalog.read()).deadline_s_of("none")
