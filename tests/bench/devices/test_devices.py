import sys

import pytest

from runner.bench import devices
from runner.bench.facts import cgroups, host
from runner.contract.architecture import Architecture
from runner.contract.errors import Unsupported
from runner.contract.request import Model
from tests.support import samples

BLOOMZ = Model("bloomz", Architecture(250880, 14336, 70, 112), None, None, {})


def test_a_device_without_a_module_is_refused():
    with pytest.raises(Unsupported, match="Device tpu cannot be measured by this version, only cpu, cuda, hpu"):
        devices.load("tpu")


def test_every_module_offers_what_the_protocol_names():
    methods = {name for name in vars(devices.Device) if not name.startswith("_")}
    assert {"open", "clock", "numa_node"} <= methods
    for name in devices._MODULES:
        module = devices.load(name)
        assert isinstance(module.backend, str)
        assert all(callable(getattr(module, method)) for method in methods)
        assert (type(module.shared), type(module.emulated), type(module.unread)) == (bool, bool, tuple)
        assert module.has_int64 is (name != "hpu")
        assert all(module.cannot_tell.values())
        if "device_clock" in module.cannot_tell:
            with pytest.raises(Unsupported, match=module.cannot_tell["device_clock"]):
                module.clock(lambda: None)
        if "numa" in module.cannot_tell:
            assert module.numa_node() is None


def test_what_does_not_fit_says_how_much_is_needed_and_how_much_there_is(monkeypatch):
    monkeypatch.setattr(host, "available_memory_bytes", lambda: 25_000_000_000)
    asked = samples.request(model=BLOOMZ, workload=samples.workload(precision="bfloat16"))
    told = str(devices.load("cpu").missing(asked))
    weights, cache = 352_494_542_848, 429_506_560
    assert f"{weights:,} of them weights" in told
    assert f"{weights + cache + 500_000_000:,} bytes of memory" in told
    assert "25,000,000,000 (23.3 GiB) are free here" in told
    assert "--precision bfloat16" not in told  # it already is


def test_what_fits_exactly_is_let_through(monkeypatch):
    asked = samples.request(model=BLOOMZ, workload=samples.workload(precision="bfloat16"))
    need = 352_494_542_848 + 429_506_560 + 500_000_000
    for there, fits in ((need, True), (need - 1, False)):
        monkeypatch.setattr(host, "available_memory_bytes", lambda there=there: there)
        assert (devices.load("cpu").missing(asked) is None) is fits


def test_ranks_of_one_host_need_the_embedding_each(monkeypatch):
    monkeypatch.setattr(host, "available_memory_bytes", lambda: 1)
    needs = [str(devices.load("cpu").missing(samples.request(model=BLOOMZ, devices=count))) for count in (1, 2)]
    one_rank, two_ranks = (int(text.split(" needs ")[1].split(" ")[0].replace(",", "")) for text in needs)
    assert two_ranks > one_rank
    assert "--precision bfloat16" in needs[0]


def test_ranks_share_the_cores(monkeypatch):
    monkeypatch.setattr(host, "usable_cores", lambda: 9)
    monkeypatch.setattr(cgroups, "cores", lambda: None)
    assert devices.load("cpu").environment(2)["OMP_NUM_THREADS"] == "4"
    assert devices.load("cpu").environment(16)["OMP_NUM_THREADS"] == "1"


def test_ranks_share_what_a_quota_leaves(monkeypatch):
    monkeypatch.setattr(host, "usable_cores", lambda: 64)
    monkeypatch.setattr(cgroups, "cores", lambda: 4.0)
    assert [devices.load("cpu").environment(ranks)["OMP_NUM_THREADS"] for ranks in (1, 2, 8)] == ["4", "2", "1"]


def test_gloo_stays_on_the_host_where_there_is_no_other(monkeypatch):
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    assert devices.load("cpu").environment(2)["GLOO_SOCKET_IFNAME"] == "lo"
    assert "GLOO_SOCKET_IFNAME" not in devices.load("cpu").environment(2, hosts=2)


@pytest.mark.parametrize(
    "told, described",
    [
        (None, {"name": None, "accelerator": None, "driver": None, "firmware": None}),
        (
            {"names": ["HL-205", "HL-225"], "driver": "1.10.0", "firmware": "1.10.0-fw-43.2.0"},
            {"name": "HL-225", "accelerator": "gaudi2", "driver": "1.10.0", "firmware": "1.10.0-fw-43.2.0"},
        ),
        (
            {"names": ["HL-205"], "driver": None, "firmware": None},
            {"name": None, "accelerator": None, "driver": None, "firmware": None},
        ),
    ],
)
def test_a_gaudi_is_described_by_its_own_line_of_hl_smi(monkeypatch, told, described):
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setitem(sys.modules, "pyhlml", None)  # not installed
    monkeypatch.setattr("runner.bench.facts.hl_smi.query", lambda: told)
    assert devices.load("hpu").describe() == described


def test_recipes_that_were_compiled_before_are_counted(monkeypatch, tmp_path):
    hpu = devices.load("hpu")
    monkeypatch.delenv("PT_RECIPE_CACHE_PATH", raising=False)
    assert hpu.cached_recipes() == 0
    monkeypatch.setenv("PT_RECIPE_CACHE_PATH", str(tmp_path))
    assert hpu.cached_recipes() == 0
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "recipe").write_text("")
    assert hpu.cached_recipes() == 1
