"""The table of what Jobs ask of nodes: what is wrong in it is said with file and line."""

import pytest

from runner.contract.errors import InputError
from runner.host import paths
from runner.host.readers import catalog, profiles


@pytest.mark.parametrize(
    "old, new, told",
    [
        ('pci: ["1da3:1020"]', 'pci: ["1020"]', "each of 'pci' must be VENDOR:DEVICE ids of one vendor"),
        ('pci: ["1da3:1020"]', 'pci: ["1da3:1020", "10de:20b2"]', "pci must be VENDOR:DEVICE ids of one vendor"),
        ("accelerator: [gaudi2]", "accelerator: []", "has no value. Name those that serve"),
        ("folder: gaudi\n", "folder: ../../gaudi\n", "'folder' must be a folder below k8s/"),
        ("cases: [cpu-1, cpu-2]", "cases: [cpu-1, cpu-3]", "'cpu-3' is no case of cases.yaml."),
        ("engine: mpijob", "engine: ray", "job, jobset, mpijob"),
        ("memory: 440Gi", "memory: 440GB", "must be a quantity such as 690Gi"),
        ("accelerator: a100-80gb", "accelerator: a100", "a100"),
        ("hugepages: none", "hugepage: none", "hugepages"),
    ],
)
def test_a_mistake_in_the_table_is_said_with_its_line(tmp_path, old, new, told):
    content = (paths.CATALOG / "profiles.yaml").read_text()
    assert old in content
    (tmp_path / "profiles.yaml").write_text(content.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        profiles.read(catalog.read(), tmp_path)
    assert told in str(caught.value) and "profiles.yaml" in str(caught.value)


def test_a_size_that_no_row_has_is_said():
    with pytest.raises(InputError, match="has no profile of 3 x gaudi2. Add a row to profiles"):
        profiles.read(catalog.read()).of("gaudi2", 3)


@pytest.mark.parametrize("ask", [lambda table: table.place_of("none"), lambda table: table.deadline_s_of("none")])
def test_a_row_that_is_missing_is_named(ask):
    with pytest.raises(InputError, match=r"profiles.yaml has no row none in (nodes|deadlines_s)"):
        ask(profiles.read(catalog.read()))
