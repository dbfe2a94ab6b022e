"""Questions about the rows of a lock, asked of a package index, a registry, git repositories and a hub on loopback."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from runner.contract.errors import InputError, Unreachable
from runner.host.bump import newer, rows
from runner.host.bump.findings import (
    DayNotAsked,
    Finding,
    NewerFound,
    NotComparable,
    PythonTooOld,
    StackToAdd,
    VersionHeld,
)
from runner.host.bump.rows import Row
from runner.host.pins import silence
from runner.host.pins.origins import git
from runner.host.readers import lockfile
from runner.host.readers.lockfile import UNRESOLVED, Lock, PinnedAction, PinnedSource
from tests.host.bump import origins
from tests.host.bump.origins import DAY, HEAD, NEXT_DAY, Origins, package
from tests.support import git_repository
from tests.support import hub as hub_server
from tests.support import package_index as index_server

TODAY = "2026-11-27"


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Origins]:
    with origins.serve(tmp_path, monkeypatch) as everything:
        yield everything


@pytest.fixture(scope="module")
def lock() -> Lock:
    return lockfile.read()


def asked(lock: Lock, name: str) -> list[Finding]:
    """Ask about one row."""
    (row,) = rows.named(lock, name)
    return newer.of_row(lock, row, TODAY, lockfile.notes()).ask()


def new_stacks(lock: Lock) -> list[Finding]:
    return [found for question in newer.plan(lock, TODAY, {}, "stacks") for found in question.ask()]


def test_the_plan_asks_nobody_and_stands_in_the_order_of_the_lock(lock: Lock, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **more: object) -> None:
        raise AssertionError("somebody was asked")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr(subprocess, "Popen", refuse)
    questions = newer.plan(lock, TODAY, lockfile.notes())
    listed = [question.row.name for question in questions if question.kind != "stacks"]
    assert listed == [row.name for row in rows.of_lock(lock)]
    assert questions == newer.plan(lock, TODAY, lockfile.notes())
    stacks = [question.row.stack for question in questions if question.row.stack is not None]
    assert stacks == sorted(stacks, key=list(lock.stacks).index)
    for kind in newer.KINDS:
        assert [one for one in questions if one.kind == kind] == newer.plan(lock, TODAY, lockfile.notes(), kind)
    assert {one.row.stack for one in newer.plan(lock, TODAY, {}, stack="cpu")} == {"cpu"}


def test_where_nothing_is_newer_no_question_finds_anything(served: Origins) -> None:
    for question in newer.plan(served.lock, served.lock.requirements["host"].exclude_newer, lockfile.notes()):
        assert question.ask() == [], question.row.name


class TestPackages:
    @pytest.fixture
    def index(self, served: Origins, monkeypatch: pytest.MonkeyPatch) -> Iterator[Origins]:
        """The index again, with newer releases."""
        new = [
            package("transformers", "99.0", uploaded=f"{NEXT_DAY}T00:00:00Z"),
            package("deepspeed", "98.1", uploaded=None),
            package("deepspeed", "98.2", withdrawn="broken"),
            package("deepspeed", "98.3rc1"),
            package("torch", "97.0", requires_python=">=3.10"),
            package("torch", "97.1", requires_python=">=3.12"),
            package("datasets", "96.0", requires_python=">=3.98"),
            package("uv", "95.0"),
        ]
        with index_server.serve([*served.packages, *new], as_json=True) as (address, _):
            monkeypatch.setenv("PIP_INDEX_URL", address)
            stack = served.lock.stacks["cpu"]
            assert stack.torch is not None
            here = replace(stack, torch=replace(stack.torch, index=address))
            yield replace(served, index=address, lock=replace(served.lock, stacks={**served.lock.stacks, "cpu": here}))

    def test_a_newer_release_has_its_day_and_source(self, index: Origins) -> None:
        current = index.lock.stacks["cpu"].packages["deepspeed"].version
        assert asked(index.lock, "cpu/deepspeed") == [
            NewerFound("cpu/deepspeed", "packages", current, "98.1", None, None, index.index, None)
        ]
        (found,) = asked(index.lock, "tools/uv")
        assert isinstance(found, NewerFound) and (found.version, found.day, found.kind) == ("95.0", DAY, "tools")

    def test_what_a_stack_s_python_does_not_run_is_told_apart(self, index: Origins) -> None:
        newest, other = asked(index.lock, "cpu/torch")
        assert isinstance(newest, NewerFound) and newest.version == "97.0"
        assert isinstance(other, PythonTooOld) and other.version == "97.1"
        assert (other.requires_python, other.pythons) == (">=3.12", ["3.10", "3.12"])
        # the stack cuda has Python 3.12 alone
        (newest,) = asked(index.lock, "cuda/torch")
        assert isinstance(newest, NewerFound) and newest.version == "97.1"

    def test_images_must_have_a_release_at_their_own_index_too(self, index: Origins) -> None:
        stack = index.lock.stacks["cpu"]
        assert stack.torch is not None and stack.torch.index is not None
        (row,) = rows.named(index.lock, "cpu/torch")
        question = newer.NewerPackage(row, "torch", ("3.12",), None, None)
        only = package("torch", "97.0+cpu")
        with index_server.serve([only], as_json=True) as (address, _):
            (found,) = replace(question, image_index=address).ask()
        assert isinstance(found, NewerFound) and (found.version, found.why) == ("97.0", None)
        # one that does not answer is said, and hides nothing
        (found,) = replace(question, image_index="http://127.0.0.1:9/simple").ask()
        assert isinstance(found, NewerFound) and found.version == "97.1"
        assert found.why == "http://127.0.0.1:9/simple, from which images install it, did not answer"
        with index_server.serve([]) as (address, _), pytest.raises(InputError, match="there is none"):
            replace(question, image_index=address).ask()

    def test_a_held_release_is_told_with_its_bound_and_the_note(self, index: Origins) -> None:
        pin = index.lock.stacks["cpu"].packages["transformers"]
        (found,) = asked(index.lock, "cpu/transformers")
        assert isinstance(found, VersionHeld)
        assert (found.version, found.day, found.hold, found.current) == ("99.0", NEXT_DAY, pin.hold, pin.version)
        assert found.note is not None and "ALiBi" in found.note

    def test_a_newer_optimum_habana_is_a_new_stack_for_the_release_that_its_page_names(
        self, served: Origins, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        current = served.lock.stacks["gaudi-1.24"].packages["optimum-habana"].version
        for described, release, name in (
            (b"It has been validated with Intel Gaudi v1.25 stack.", "1.25", "gaudi-1.25"),
            (b"It has been validated with Intel Gaudi v1.24 stack.", "1.24", None),
            (b"It runs.", None, None),
        ):
            text = b"Metadata-Version: 2.1\nName: optimum-habana\nVersion: 94.0\n\n" + described
            wheel = index_server.wheel("optimum_habana", "94.0", {"optimum_habana-94.0.dist-info/METADATA": text})
            wheel = wheel._replace(project="optimum-habana", content=_with_metadata(text), uploaded=f"{DAY}T00:00:00Z")
            with index_server.serve([*served.packages, wheel], as_json=True) as (address, _):
                monkeypatch.setenv("PIP_INDEX_URL", address)
                (found,) = new_stacks(served.lock)
            assert found == StackToAdd(
                name, "gaudi-1.24", "optimum-habana", current, "94.0", release, None, DAY, address
            )

    def test_a_version_of_no_form_and_an_unresolved_one_are_told(self, served: Origins) -> None:
        row = Row("tools/uv", "tools", ("tools", "uv"), "1.0-x-y")
        with pytest.raises(InputError, match="is no version as PEP 440 writes versions"):
            newer.NewerPackage(row, "uv", ("3.10",), None, None).ask()
        (found,) = newer.NewerPackage(replace(row, current=UNRESOLVED), "uv", ("3.10",), None, None).ask()
        assert isinstance(found, NotComparable) and "python -m runner lock" in found.message


def _with_metadata(text: bytes) -> bytes:
    return index_server.wheel("x", "1", {"optimum_habana-94.0.dist-info/METADATA": text}).content


class TestImages:
    def test_a_newer_tag_of_the_pattern_has_its_digest_and_day(self, served: Origins) -> None:
        image = served.lock.stacks["cuda"].image
        for tag in ("3.12.77-bookworm", "3.12.78-slim-bookworm", "3.13.9-bookworm", "latest"):
            digest = served.registry.put("library/python", tag, f"{NEXT_DAY}T00:00:00Z")
            if tag == "3.12.77-bookworm":
                expected = digest
        assert asked(served.lock, "cuda/image") == [
            NewerFound(
                "cuda/image", "images", image.tag, "3.12.77-bookworm", expected, NEXT_DAY, image.repository, None
            )
        ]

    def test_a_tag_that_names_another_image_now_is_newer(self, served: Origins) -> None:
        image = served.lock.stacks["cpu"].image
        assert image.tags is None
        digest = served.registry.put("library/python", image.tag, f"{NEXT_DAY}T01:00:00Z")
        (found,) = asked(served.lock, "cpu/image")
        assert isinstance(found, NewerFound)
        assert (found.version, found.pin, found.day) == (image.tag, digest, NEXT_DAY)
        assert found.why == "the same tag names another image now"

    def test_an_unresolved_digest_is_compared_with_nothing_and_a_tag_that_is_gone_is_told(
        self, served: Origins
    ) -> None:
        image = served.lock.stacks["cpu"].image
        row = Row("cpu/image", "images", ("stacks", "cpu", "image"), image.tag)
        (found,) = newer.NewerImage(row, replace(image, digest=UNRESOLVED)).ask()
        assert isinstance(found, NotComparable) and "its digest is unresolved" in found.message
        with pytest.raises(InputError, match="has no tag gone any more"):
            newer.NewerImage(row, replace(image, tag="gone")).ask()
        with pytest.raises(InputError, match="does not match its own pattern"):
            newer.NewerImage(row, replace(image, tags="v*")).ask()

    def test_a_newer_build_of_a_gaudi_image_is_a_new_stack(self, served: Origins) -> None:
        image = served.lock.stacks["gaudi-1.24"].image
        name = image.repository.partition("/")[2]
        for tag in ("1.24.0-1020", "1.24.0-latest", "1.24.1-7"):
            digest = served.registry.put(name, tag, None)
            if tag == "1.24.0-1020":
                expected = digest
        assert new_stacks(served.lock) == [
            StackToAdd(
                "gaudi-1.24-1020",
                "gaudi-1.24",
                "image",
                image.tag,
                "1.24.0-1020",
                "1.24.0",
                expected,
                None,
                image.repository,
            )
        ]


class TestGit:
    def test_a_newer_tag_has_its_commit_and_day(self, served: Origins) -> None:
        folder = served.repository("optimum-habana-1.23")
        commit = git_repository.commit(folder, NEXT_DAY, "a release")
        git_repository.tag(folder, "v77.1", annotated=True)
        git_repository.tag(folder, "v78.0-rc1")
        source = served.lock.sources["optimum-habana-1.23"]
        assert asked(served.lock, "sources/optimum-habana-1.23") == [
            NewerFound(
                "sources/optimum-habana-1.23",
                "sources",
                source.tag or "",
                "v77.1",
                commit,
                NEXT_DAY,
                source.repository,
                None,
            )
        ]

    def test_without_a_tag_in_the_lock_the_tag_that_names_the_commit_is_the_current_one(self, served: Origins) -> None:
        name = "setup-and-install-1.22"
        assert served.lock.sources[name].tag is None
        git_repository.commit(served.repository(name), NEXT_DAY, "a release")
        git_repository.tag(served.repository(name), "1.23.0")
        (found,) = asked(served.lock, f"sources/{name}")
        assert isinstance(found, NewerFound) and (found.current, found.version) == ("1.22.0", "1.23.0")
        (row,) = rows.named(served.lock, f"sources/{name}")
        (found,) = newer.NewerCommit(row, replace(served.lock.sources[name], commit="1a" * 20)).ask()
        assert isinstance(found, NotComparable) and "no tag of" in found.message

    def test_releases_of_the_vendor_s_recipes_that_no_stack_has_are_new_stacks(self, served: Origins) -> None:
        folder = served.repository("setup-and-install-1.22")
        for tag in ("1.23.0", "1.24.0", "1.24.1", "1.25.0", "1.25.1", "1.26.0"):
            commit = git_repository.commit(folder, NEXT_DAY, tag)
            git_repository.tag(folder, tag)
        found = [one for one in new_stacks(served.lock) if isinstance(one, StackToAdd)]
        assert [(one.name, one.release, one.version) for one in found] == [
            ("gaudi-1.24.1", "1.24.1", "1.24.1"),
            ("gaudi-1.25", "1.25.1", "1.25.1"),
            ("gaudi-1.26", "1.26.0", "1.26.0"),
        ]
        assert {(one.part, one.like, one.current, one.day) for one in found} == {
            ("recipes", "gaudi-1.24", "1.24.0", NEXT_DAY)
        }
        assert found[-1].pin == commit

    def test_the_head_of_a_branch_is_newer_than_the_commit(self, tmp_path: Path) -> None:
        made = git_repository.make(tmp_path / "repository")
        subprocess.run(["git", "-C", str(tmp_path / "repository"), "branch", "-m", "main"], check=True)
        row = Row("sources/x", "sources", ("sources", "x"), made.commit)
        source = PinnedSource(made.repository, made.commit, made.tree, "main")
        assert newer.NewerCommit(row, source).ask() == []
        head = git_repository.commit(tmp_path / "repository", NEXT_DAY, "more")
        (found,) = newer.NewerCommit(row, source).ask()
        assert isinstance(found, NewerFound) and (found.version, found.pin, found.day) == (head, head, NEXT_DAY)
        assert found.why == "head of the branch main"
        (found,) = newer.NewerCommit(row, replace(source, commit=UNRESOLVED)).ask()
        assert isinstance(found, NotComparable)
        with pytest.raises(InputError, match="has no branch gone"):
            newer.NewerCommit(row, replace(source, branch="gone")).ask()

    def test_a_tag_that_was_moved_to_another_commit_is_told(self, tmp_path: Path) -> None:
        made = git_repository.make(tmp_path / "repository")
        moved = git_repository.commit(tmp_path / "repository", NEXT_DAY, "moved")
        git_repository.tag(tmp_path / "repository", "v1.0")
        row = Row("sources/x", "sources", ("sources", "x"), "v1.0")
        source = PinnedSource(made.repository, made.commit, made.tree, None, "v1.0", "v*")
        (found,) = newer.NewerCommit(row, source).ask()
        assert isinstance(found, NewerFound) and (found.version, found.pin) == ("v1.0", moved)
        assert found.why == "the tag v1.0 names another commit than is pinned"

    def test_an_action_is_asked_about_at_the_forge_by_the_form_of_its_version(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lock: Lock
    ) -> None:
        folder = tmp_path / "actions" / "checkout"
        folder.parent.mkdir()
        made = git_repository.make(folder)
        git_repository.tag(folder, "v4.2.2")
        commit = git_repository.commit(folder, NEXT_DAY, "more")
        for tag in ("v5", "v5.0.1", "4.9", "v6-beta"):
            git_repository.tag(folder, tag)
        monkeypatch.setattr(git, "FORGE", f"file://{tmp_path}")
        for name in ("actions/checkout", "actions/checkout/a/folder"):
            with_action = replace(lock, actions={name: PinnedAction("v4.2.2", made.commit)})
            (found,) = asked(with_action, f"actions/{name}")
            assert isinstance(found, NewerFound)
            assert (found.name, found.version, found.pin) == (f"actions/{name}", "v5.0.1", commit)
        # a version without numbers has no newer one
        without = replace(lock, actions={"actions/checkout": PinnedAction("main", made.commit)})
        assert asked(without, "actions/actions/checkout") == []


def test_a_model_s_and_a_dataset_s_newer_revision_is_told_with_its_day(
    served: Origins, monkeypatch: pytest.MonkeyPatch
) -> None:
    files: dict[str, bytes] = {}
    model, dataset = served.lock.models["bloomz"], served.lock.datasets["tldr_news"]
    unresolved = served.lock.models["bloom-fp16"]
    heads = {
        ("model", model.repository): (HEAD, files),
        ("dataset", dataset.repository): (HEAD, files),
        ("model", unresolved.repository): (HEAD, files),
    }
    with hub_server.serve(heads) as (endpoint, _):
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
        assert asked(served.lock, "models/bloomz") == [
            NewerFound(
                "models/bloomz",
                "models",
                model.revision,
                HEAD,
                HEAD,
                hub_server.DAY,
                f"{endpoint}/{model.repository}",
                None,
            )
        ]
        (found,) = asked(served.lock, "datasets/tldr_news")
        assert isinstance(found, NewerFound) and found.source == f"{endpoint}/datasets/{dataset.repository}"
        # of an unresolved revision only its beginning is compared
        (found,) = asked(served.lock, "models/bloom-fp16")
        assert isinstance(found, NewerFound) and found.current == unresolved.short
        with pytest.raises(InputError, match="there is none"):
            asked(served.lock, "models/bloom")


def test_a_requirements_file_is_offered_with_today_and_nobody_is_asked(lock: Lock) -> None:
    day = lock.requirements["host"].exclude_newer
    assert asked(lock, "requirements/host") == [DayNotAsked("requirements/host", "requirements", day, TODAY)]
    (row,) = rows.named(lock, "requirements/host")
    assert newer.of_row(lock, row, day, {}).ask() == []


def test_a_silent_origin_is_never_taken_for_nothing_newer(served: Origins, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLOOMZ_BENCH_FIRST_ANSWER_S", "0.2")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(git, "FORGE", "https://127.0.0.1:9")
    served.registry.silent = True
    for question in newer.plan(served.lock, TODAY, {}):
        if question.kind in ("requirements", "sources") or question.row.name == "gaudi-1.24":
            continue
        with pytest.raises(Unreachable):
            question.ask()


def test_a_day_that_cannot_be_asked_for_is_none_and_the_tag_is_told(
    served: Origins, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*arguments: object) -> str:
        raise silence.NoAnswer("silent")

    served.registry.put("library/python", "3.12.77-bookworm", f"{DAY}T00:00:00Z")
    monkeypatch.setattr("runner.host.pins.origins.container_registry.made_on", silent)
    (found,) = asked(served.lock, "cuda/image")
    assert isinstance(found, NewerFound) and (found.version, found.day) == ("3.12.77-bookworm", None)


def test_the_newest_gaudi_stack_is_that_of_the_newest_release(lock: Lock) -> None:
    assert newer.newest_gaudi_stack(lock) == ("gaudi-1.24", "1.24.0")
    without = replace(lock, stacks={name: stack for name, stack in lock.stacks.items() if stack.device != "hpu"})
    assert newer.newest_gaudi_stack(without) is None
    assert newer.plan(without, TODAY, {}, "stacks") == []
    renamed = {
        name: replace(stack, image=replace(stack.image, tag="latest")) if stack.device == "hpu" else stack
        for name, stack in lock.stacks.items()
    }
    assert newer.newest_gaudi_stack(replace(lock, stacks=renamed)) is None
