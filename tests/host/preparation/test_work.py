"""Preparing does what is left, in order, and goes on after every interruption; origins, registry and builder are doubles here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from runner.contract.announce import Announcer
from runner.contract.errors import InputError, KitError, Unreachable
from runner.contract.progress import Task
from runner.host import paths
from runner.host.images import build, push
from runner.host.images.build import BuiltImage
from runner.host.pins import resolve
from runner.host.pins.origins import container_registry
from runner.host.pins.resolve import Kind, OnYanked, Question
from runner.host.preparation import here, needs, work
from runner.host.preparation.here import Here
from runner.host.preparation.needs import Needs
from runner.host.readers import catalog as catalogs
from runner.host.readers import lock_editor, lockfile, profiles
from runner.host.readers.lockfile import UNRESOLVED, Lock, LockPath
from tests.support import prepared

DIGEST_PIN: LockPath = ("stacks", "cpu", "image", "digest")
PLATFORM_PIN: LockPath = ("stacks", "cpu", "image", "platform")
TORCH_PIN: LockPath = ("stacks", "cpu", "torch", "sha256")


class Answered:
    """A question whose answer is known; an error is raised."""

    def __init__(self, world: World, where: LockPath, answer: str | KitError | None) -> None:
        self._world, self.where, self._answer = world, where, answer

    def ask(self) -> str | None:
        self._world.did(f"ask {self.where[-1]}")
        if isinstance(self._answer, KitError):
            raise self._answer
        return self._answer


class World:
    """Doubles of everything outside: each notes what it was asked to do, and stops the run where ``stop`` says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        self.stop: str | None = None
        self.answers: dict[LockPath, str | KitError | None] = {
            DIGEST_PIN: prepared.DIGEST,
            PLATFORM_PIN: prepared.DIGEST,
        }
        self.built: BuiltImage | None = None
        self.registry: str | None = None
        self.writable: KitError | None = None
        monkeypatch.setattr(here, "look", self._look)
        monkeypatch.setattr(resolve, "plan", self._questions)
        monkeypatch.setattr(build, "plan", lambda lock, name: name)
        monkeypatch.setattr(build, "execute", self._build)
        monkeypatch.setattr(build, "earlier", lambda name: self.built)
        monkeypatch.setattr(container_registry, "refuse_unwritable", self._write)
        monkeypatch.setattr(container_registry, "manifest", lambda reference: b"{}" if self.registry else None)
        monkeypatch.setattr(push, "upload", self._upload)
        monkeypatch.setattr(push, "pushed_digest", lambda name, built, team: self.registry)
        record = push.record

        def recorded(name: str, built: BuiltImage, team: str, digest: str) -> lockfile.PushedImage:
            self.did("record")
            return record(name, built, team, digest)

        monkeypatch.setattr(push, "record", recorded)

    def did(self, what: str) -> None:
        """Note a deed; the run is interrupted in its place where ``stop`` names it."""
        if self.stop == what:
            raise KeyboardInterrupt
        self.done.append(what)

    def _look(self, needed: Needs) -> Here:
        return prepared.machine(built={needed.stacks[0]: self.built} if self.built else {})

    def _questions(self, lock: Lock, kind: Kind, stack: str | None, on_yanked: OnYanked) -> list[Question]:
        kinds = {"digest": "images", "platform": "images", "sha256": "requirements", "files": "hub"}
        return [Answered(self, where, answer) for where, answer in self.answers.items() if kinds[where[-1]] == kind]

    def _build(self, name: str, task: Task) -> BuiltImage:
        self.did("build")
        self.built = prepared.image_of(lockfile.read(), name)
        return self.built

    def _write(self, repository: str) -> None:
        self.did(f"write {repository}")
        if self.writable is not None:
            raise self.writable

    def _upload(self, name: str, built: BuiltImage, team: str) -> str:
        self.did("push")
        self.registry = prepared.DIGEST
        return prepared.DIGEST

    def prepare(self, name: str = "cpu") -> list[str]:
        """Prepare a set, and return what was done."""
        catalog = catalogs.read()
        needed = needs.of(catalog, profiles.read(catalog), lockfile.read(), [name])
        self.done.clear()
        work.prepare(catalog, needed, prepared.TEAM, Announcer(as_json=False))
        return self.done


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    path = tmp_path / "versions.lock"
    text = paths.LOCK.read_text()
    for table, kept in (
        ("stacks", ("cpu", "gaudi-1.10")),
        ("models", ("bloomz", "bloomz-7b1")),
        ("sources", ("habana-deepspeed-1.10", "pdsh-2.31")),
        ("requirements", ("build", "build38")),
    ):
        text = prepared.without_rows(text, table, kept)
    path.write_text(text)
    lock_editor.edit(path, {DIGEST_PIN: UNRESOLVED, PLATFORM_PIN: UNRESOLVED, ("built",): "{}"})
    monkeypatch.setattr(paths, "LOCK", path)
    monkeypatch.setattr(lockfile.read, "__defaults__", (path,))
    return World(monkeypatch)


WRITE = "write registry.example/team/bloomz-bench-cpu"
WHOLE = [WRITE, "ask digest", "ask platform", "build", "push", "record"]


def test_what_would_fail_later_comes_first_and_a_second_run_does_nothing(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert world.prepare() == WHOLE
    assert lockfile.read().built["cpu"].digest == prepared.DIGEST
    capsys.readouterr()
    assert world.prepare() == []
    told = [" ".join(line.split()[:3]) for line in capsys.readouterr().out.splitlines()]
    assert told == ["resolve done every", "build cpu done", "push cpu done", "record cpu done"]


@pytest.mark.parametrize(
    "stop, left",
    [
        (WRITE, WHOLE),
        ("ask digest", WHOLE),
        ("ask platform", [WRITE, "ask platform", "build", "push", "record"]),
        ("build", [WRITE, "build", "push", "record"]),
        ("push", [WRITE, "push", "record"]),
        ("record", [WRITE, "record"]),
    ],
)
def test_a_run_that_was_cut_off_goes_on_at_the_same_step(world: World, stop: str, left: list[str]) -> None:
    world.stop = stop
    with pytest.raises(KeyboardInterrupt):
        world.prepare()
    world.stop = None
    assert world.prepare() == left
    assert lockfile.read().built["cpu"].digest == prepared.DIGEST


def test_a_registry_that_takes_nothing_is_known_before_anything_is_asked_or_built(world: World) -> None:
    world.writable = Unreachable("the registry, for x: it asks for a login.")
    with pytest.raises(Unreachable, match="it asks for a login"):
        world.prepare()
    assert world.done == [WRITE]


def test_an_image_that_the_registry_lost_is_pushed_again(world: World) -> None:
    assert world.prepare() == WHOLE
    world.registry = None
    assert world.prepare() == [WRITE, "push", "record"]


@pytest.mark.parametrize("answer", [None, InputError("the registry: no such image")], ids=["none", "refused"])
def test_an_origin_without_the_thing_ends_the_run_before_anything_slow(world: World, answer: InputError | None) -> None:
    lock_editor.edit(paths.LOCK, {TORCH_PIN: UNRESOLVED})
    world.answers |= {DIGEST_PIN: answer, TORCH_PIN: "0b" * 32}
    with pytest.raises(InputError, match="1 of the pins cannot be resolved as they stand"):
        world.prepare()
    assert world.done == [WRITE, "ask digest", "ask platform"]
    assert lockfile.read().stacks["cpu"].image.platform == prepared.DIGEST, "what was resolved stays"


def test_a_silent_origin_is_named_and_what_was_resolved_stays(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.answers[PLATFORM_PIN] = Unreachable("the registry, for x: no route")
    with pytest.raises(Unreachable, match="1 of the origins asked did not answer"):
        world.prepare()
    assert "not reached: stacks.cpu.image.platform: the registry, for x: no route" in capsys.readouterr().err
    assert lockfile.read().stacks["cpu"].image.digest == prepared.DIGEST


def test_a_hub_that_is_silent_about_files_keeps_nothing_from_being_built(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """The prefetch in the cluster asks the hub again, and compares what it fetches with what the hub says."""
    base = ("stacks", "gaudi-1.10", "image")
    lock_editor.edit(paths.LOCK, {(*base, "digest"): prepared.DIGEST, (*base, "platform"): prepared.DIGEST})
    files: list[LockPath] = [("models", name, "files") for name in ("bloomz", "bloomz-7b1")]
    lock_editor.edit(paths.LOCK, dict.fromkeys(files, UNRESOLVED))
    world.answers = dict.fromkeys(files, Unreachable("the hub, for x: no route"))
    assert world.prepare("gaudi2") == [
        "write registry.example/team/bloomz-bench-gaudi-1.10",
        *("ask files", "ask files", "build", "push", "record"),
    ]
    assert "not reached: models.bloomz.files: the hub, for x: no route" in capsys.readouterr().err


def test_another_builder_is_told_and_pushed(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    lock_editor.edit(paths.LOCK, {DIGEST_PIN: prepared.DIGEST, PLATFORM_PIN: prepared.DIGEST})
    world.built = replace(prepared.image_of(lockfile.read(), "cpu"), builder="0.1")
    assert world.prepare() == [WRITE, "push", "record"]
    assert "cpu: buildah 0.1 built the image, and versions.lock says" in capsys.readouterr().err


def test_an_image_whose_record_is_gone_is_not_pushed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    lock_editor.edit(paths.LOCK, {DIGEST_PIN: prepared.DIGEST, PLATFORM_PIN: prepared.DIGEST})
    world.built = prepared.image_of(lockfile.read(), "cpu")
    monkeypatch.setattr(build, "earlier", lambda name: None)
    with pytest.raises(InputError, match="build/images/cpu/image.json is gone"):
        world.prepare()


def test_whoever_is_asked_is_named_before_the_answer(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.prepare()
    assert capsys.readouterr().err.splitlines() == [
        "asking whether registry.example/team/bloomz-bench-cpu takes an image",
        "asking for stacks.cpu.image.digest",
        "asking for stacks.cpu.image.platform",
    ]
    world.prepare()
    assert capsys.readouterr().err == f"asking for {lockfile.read().built['cpu'].reference}\n"
