"""The verb ``image`` before it builds: for which stacks, and what is resolved first. Origins and builder are doubles here."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from runner.contract.errors import DoesNotFit, KitError, LaunchFailed, Unreachable, UsageError
from runner.contract.progress import Task
from runner.host import paths
from runner.host.images import build
from runner.host.images.build import BuiltImage
from runner.host.pins import resolve
from runner.host.pins.resolve import Kind, OnYanked, Question
from runner.host.readers import lockfile
from runner.host.readers.lockfile import UNRESOLVED, Lock, LockPath
from runner.host.verbs import image
from tests.support import prepared
from tests.support.found import gaudis, gpus

SLICE = "NVIDIA A100-SXM4-80GB MIG 1g.10gb"
ANSWERS = {"digest": prepared.DIGEST, "platform": prepared.DIGEST, "commit": prepared.COMMIT, "tree": prepared.COMMIT}


@dataclass(frozen=True)
class Answered:
    """A question whose answer is known; an error is raised."""

    where: LockPath
    answer: str | KitError

    def ask(self) -> str:
        if isinstance(self.answer, KitError):
            raise self.answer
        return self.answer


class Host:
    """A host with some devices and a lock of its own, on which nothing is built: the stacks whose images would be are noted."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.built: list[str] = []
        self.asked: list[LockPath] = []
        self.silent = False
        self._here = folder / "devices"
        self.tell("")
        lock = folder / "versions.lock"
        shutil.copy(paths.LOCK, lock)
        monkeypatch.setattr(paths, "LOCK", lock)
        monkeypatch.setattr(lockfile.read, "__defaults__", (lock,))
        monkeypatch.setattr(build, "current", lambda lock, name: None)
        monkeypatch.setattr(build, "execute", self._build)
        monkeypatch.setattr(resolve, "plan", self._questions)

    def tell(self, devices: str) -> None:
        """Let the host have other devices."""
        self._here.write_text(devices)

    def __call__(self, *arguments: str) -> int:
        return image.main(["--missing", "--here", str(self._here), *arguments])

    def _build(self, planned: build.BuildPlan, task: Task) -> BuiltImage:
        self.built.append(planned.name)
        return prepared.image_of(planned.lock, planned.name)

    def _questions(self, lock: Lock, kind: Kind, stack: str | None, on_yanked: OnYanked) -> list[Question]:
        """Return the open pins of bases and sources as questions, whose answers are known unless the origins are silent."""
        kinds: dict[str, Kind] = {"digest": "images", "platform": "images", "commit": "git", "tree": "git"}
        pins = [where for where in resolve.unresolved(lock) if kinds.get(where[-1]) == kind]
        self.asked += pins
        silence = Unreachable("The origin does not answer.")
        return [Answered(where, silence if self.silent else ANSWERS[where[-1]]) for where in pins]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


def devices(count: int, gaudi: bool = False, name: str = SLICE, memory_bytes: int | None = 10 * 10**9) -> str:
    """Return devices as ``devices --json`` prints them."""
    found = gaudis(count) if gaudi else gpus(count, name, memory_bytes)
    return "".join(json.dumps({"event": "device", **vars(device)}) + "\n" for device in found)


def test_the_stacks_are_those_of_the_changed_cases(host: Host) -> None:
    """What `request` makes of the same flags is what images are built for."""
    host.tell(devices(1))
    with pytest.raises(DoesNotFit):
        host()
    assert host.built == []
    assert host("--model", "bloom-560m") == 0
    assert set(host.built) <= {"cuda", "cuda-2023"} and host.built


def test_a_case_of_more_devices_is_changed_to_those_that_are_here(host: Host) -> None:
    host.tell(devices(4, gaudi=True))
    with pytest.raises(LaunchFailed):
        host("--cases", "gaudi2-8-bloomz")
    assert host("--devices", "4", "--cases", "gaudi2-8-bloomz") == 0
    assert host.built == ["gaudi-1.10"]


def test_pins_that_keep_an_image_from_being_built_are_resolved_first(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    host.tell(devices(1, gaudi=True))
    assert lockfile.read().stacks["gaudi-1.10"].image.digest == UNRESOLVED
    assert host("--cases", "gaudi2-1-bloomz-7b1") == 0
    assert host.built == ["gaudi-1.10"]
    assert lockfile.read().stacks["gaudi-1.10"].image.digest == prepared.DIGEST
    assert lockfile.read().stacks["gaudi-1.9"].image.digest == UNRESOLVED
    assert "stacks.gaudi-1.10.image.digest" in capsys.readouterr().out


def test_an_origin_that_is_silent_ends_before_anything_is_built(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.tell(devices(1, gaudi=True))
    host.silent = True
    with pytest.raises(Unreachable, match="Run it again where they can be reached"):
        host("--cases", "gaudi2-1-bloomz-7b1")
    assert host.built == []
    assert "stacks.gaudi-1.10.image.digest" in capsys.readouterr().err


def test_no_origin_is_asked_for_what_no_build_needs(host: Host) -> None:
    host.silent = True
    assert host() == 0
    assert (host.built, host.asked) == (["cpu"], [])


@pytest.mark.parametrize("flags", [("--model", "bloom-560m"), ("--device", "cpu"), ("--model-dir", "x")], ids=range(3))
def test_flags_that_go_with_here_are_refused_without_it(flags: tuple[str, str]) -> None:
    with pytest.raises(UsageError, match="are for --here"):
        image.main(["cpu", *flags])


@pytest.mark.parametrize(
    "words, built",
    [
        (["--dry-run"], []),
        (["--with", "docker", "--image", f"cpu=x.example/y@{prepared.DIGEST}"], []),
        (["--image", f"cuda=x.example/y@{prepared.DIGEST}"], ["cpu"]),
        (["--with", "docker", "--variable", "A=--dry-run"], ["cpu"]),
        ([], ["cpu"]),
    ],
    ids=["dry-run", "its-image", "another-image", "no-flag-of-images", "no-word"],
)
def test_nothing_is_built_that_the_run_does_not_need(host: Host, words: list[str], built: list[str]) -> None:
    assert host("--cases", "cpu-1", "--run", *words) == 0
    assert host.built == built


def test_pins_that_a_request_needs_are_resolved_where_its_image_is_named(host: Host) -> None:
    host.tell(devices(1, gaudi=True))
    assert host("--cases", "gaudi2-1-bloomz-7b1", "--run", "--image", f"gaudi-1.10=x.example/y@{prepared.DIGEST}") == 0
    assert host.built == []
    assert lockfile.read().stacks["gaudi-1.10"].image.digest == prepared.DIGEST
