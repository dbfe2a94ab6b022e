"""This host as planted files of the kernel describe it."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.host.doctor import kernel
from runner.host.doctor.findings import Answer
from tests.host.doctor.conftest import NeedsOf

GIB_IN_KIB = 1024**2


def meminfo(folder: Path, **lines: int) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "meminfo").write_text("".join(f"{name}: {number} kB\n" for name, number in lines.items()))
    return folder


def test_memory(needs_of: NeedsOf, tmp_path: Path) -> None:
    needs = needs_of("cpu-1", "cpu-2")
    assert kernel.memory(needs, meminfo(tmp_path, MemAvailable=4 * GIB_IN_KIB)).state == "ready"
    assert kernel.memory(needs, meminfo(tmp_path, MemAvailable=2 * GIB_IN_KIB)).state == "warning"
    assert kernel.memory(needs, meminfo(tmp_path, MemTotal=4)).state == "cannot be told"
    assert kernel.memory(needs, tmp_path / "none").state == "cannot be told"


def pages(folder: Path, free: str) -> Path:
    place = folder / "kernel" / "mm" / "hugepages" / "hugepages-2048kB"
    place.mkdir(parents=True, exist_ok=True)
    (place / "free_hugepages").write_text(f"{free}\n")
    return folder


@pytest.mark.parametrize(
    "free, state", [("21000", "ready"), ("20999", "warning"), ("0", "warning"), ("", "cannot be told")]
)
def test_huge_pages(needs_of: NeedsOf, tmp_path: Path, free: str, state: str) -> None:
    """42000Mi of the profile are 21000 pages of 2 MiB."""
    answer = kernel.hugepages(
        needs_of("gaudi2-8-bloomz", "gaudi2-1-bloomz-7b1"), tmp_path / "none", pages(tmp_path, free)
    )
    assert answer.state == state
    assert state == "ready" or "vm.nr_hugepages=21000" in str(answer.remedy)


def test_huge_pages_of_meminfo(needs_of: NeedsOf, tmp_path: Path) -> None:
    needs, nowhere = needs_of("gaudi2-1-bloomz-7b1"), tmp_path / "none"
    (tmp_path / "meminfo").write_text("HugePages_Free:    2625\nHugepagesize:       2048 kB\n")
    assert kernel.hugepages(needs, tmp_path, nowhere).state == "ready"
    (tmp_path / "meminfo").write_text("HugePages_Free:    2625\nHugepagesize:    1048576 kB\n")
    assert kernel.hugepages(needs, tmp_path, nowhere).state == "cannot be told"
    assert kernel.hugepages(needs_of("a100-8-bloomz"), tmp_path, nowhere).state == "ready"


def test_shared_memory(needs_of: NeedsOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs = needs_of("gaudi2-8-bloomz")
    status = os.statvfs(tmp_path)
    sizes = {"ready": 16 * 1024**3, "not ready": 64 * 1024**2}
    for state, size in sizes.items():
        planted = os.statvfs_result((1, 1, size, size, size, *status[5:10]))
        monkeypatch.setattr(os, "statvfs", lambda path, planted=planted: planted)
        assert kernel.shared_memory(needs, tmp_path).state == state
    monkeypatch.undo()
    assert kernel.shared_memory(needs, tmp_path / "none").state == "cannot be told"


@pytest.mark.parametrize(
    "look, least", [(kernel.open_files, kernel.LEAST_OPEN_FILES), (kernel.processes, kernel.LEAST_PROCESSES)]
)
def test_limits(monkeypatch: pytest.MonkeyPatch, look: Callable[[], Answer], least: int) -> None:
    for soft, state in ((least, "ready"), (least - 1, "warning"), (resource.RLIM_INFINITY, "ready")):
        monkeypatch.setattr(resource, "getrlimit", lambda kind, soft=soft: (soft, resource.RLIM_INFINITY))
        answer = look()
        assert answer.state == state
        assert state == "ready" or f"{least}` before you measure" in str(answer.remedy)


def test_locked_memory(needs_of: NeedsOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (8 << 20, 8 << 20))
    assert kernel.locked_memory(needs_of("a100-8-bloomz")).state == "warning"
    assert kernel.locked_memory(needs_of("a100-1-bloomz-7b1", "cpu-2")).state == "ready"
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (resource.RLIM_INFINITY,) * 2)
    assert kernel.locked_memory(needs_of("a100-8-bloomz")).state == "ready"


@pytest.mark.parametrize("state, word", [(0, "ready"), (1, "ready"), (5, "warning"), (-1, "cannot be told")])
def test_the_clock(state: int, word: str) -> None:
    assert kernel.clock(state).state == word


def test_this_kernel_tells_the_state_of_its_clock() -> None:
    assert kernel.clock().state in ("ready", "warning", "cannot be told")


def test_the_governor(tmp_path: Path) -> None:
    assert kernel.governor(tmp_path).state == "cannot be told"
    for core, word in enumerate(("performance", "performance")):
        folder = tmp_path / f"devices/system/cpu/cpu{core}/cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text(f"{word}\n")
    assert kernel.governor(tmp_path).state == "ready"
    (folder / "scaling_governor").write_text("powersave\n")
    answer = kernel.governor(tmp_path)
    assert (answer.state, answer.finding) == ("warning", "The cores are clocked by the policy performance, powersave.")
