"""A bump that is carried out in a small checkout, with an index on loopback: what it writes, refuses, leaves, and how it is undone."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from runner.contract.announce import Announcer, Event
from runner.contract.errors import InputError, Interrupted, KitError, Unreachable, UsageError
from runner.host.bump import changelog, recipe
from runner.host.bump.events import StepTaken
from runner.host.pins import answering, uv
from runner.host.pins.origins import container_registry, git
from runner.host.readers import catalog, profiles
from runner.host.readers.lockfile import UNRESOLVED
from runner.host.stacks import agreement
from tests.support import bump_world, hostile
from tests.support.bump_world import LATE_DAY, World

OWN = "images/cpu/requirements-cpu.txt"
NOTE = bump_world.NOTE


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with bump_world.make(tmp_path, monkeypatch) as made:
        yield made


def changelog_of(world: World) -> str:
    """Return what a bump added to the changelog, on one line."""
    added = [line[1:] for line in world.git("diff", "--unified=0", "CHANGELOG.md").splitlines() if line.startswith("+")]
    return " ".join(" ".join(added[1:]).split())


def test_a_moved_package_moves_what_follows_and_nothing_else(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    before, versions = world.read(), world.versions(OWN)
    assert world.bump("cpu/datasets", "--to", "5.3.0") == 0
    after, now = world.read(), world.versions(OWN)
    moved = {name: version for name, version in now.items() if versions.get(name) != version}
    assert set(moved) == {"datasets", "xxhash"} and moved["datasets"] == "5.3.0"
    assert set(versions) - set(now) == {"multiprocess"}
    pin = after.stacks["cpu"].packages["datasets"]
    (expected,) = {one.sha256 for one in bump_world.index() if (one.project, one.version) == ("datasets", "5.3.0")}
    assert (pin.version, pin.sha256) == ("5.3.0", expected)
    # the release is newer than the day up to which uv looked
    assert after.stacks["cpu"].requirements.exclude_newer == LATE_DAY > before.stacks["cpu"].requirements.exclude_newer
    # other stacks and files that the stack does not bound stay
    assert {name: stack for name, stack in after.stacks.items() if name != "cpu"} == {
        name: stack for name, stack in before.stacks.items() if name != "cpu"
    }
    bound = {"host", "dev", "mutation"}
    assert {name for name, entry in after.requirements.items() if entry != before.requirements[name]} == bound
    assert f'note: moved by bump from 5.2.0, whose note was "{NOTE}"' in world.lock.read_text()
    assert changelog_of(world) == (
        "- `datasets` 5.2.0 to 5.3.0 in the stack cpu: requests of cpu-1, cpu-2 and cpu-dataset get new ids; their numbers may change."
    )
    told = capsys.readouterr().out
    assert (
        f"the note of stacks.cpu.packages.datasets said: {NOTE}\n"
        f'  There stands now: moved by bump from 5.2.0, whose note was "{NOTE}"\n'
        "  Write a note again in versions.lock if what it said still holds.\n"
    ) in told
    assert told.splitlines()[-1].startswith("bumped: `datasets` 5.2.0 to 5.3.0 in the stack cpu. ")
    assert "; what it changed: make bump-check BASE=HEAD; undo: git checkout -- " in told and "older" not in told


def test_a_move_to_an_older_version_says_so_in_the_plan_and_at_the_end(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = "`datasets` 5.2.0 to 5.1.0 in the stack cpu (5.1.0 is older than the locked 5.2.0)"
    assert world.bump("cpu/datasets", "--to", "5.1.0", "--dry-run") == 0
    assert f"  1. write {moved}: " in capsys.readouterr().out
    assert world.bump("cpu/datasets", "--to", "5.1.0", "--offline") == 0
    last = capsys.readouterr().out.splitlines()[-1]
    # what is unresolved cannot be measured yet
    assert last.startswith(f"bumped: {moved}. ") and "bump-check" not in last
    assert "older" not in changelog_of(world)


def test_what_is_printed_undoes_all_of_it_and_nothing_else(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # a file of a person, in a folder that the bump writes, and in no commit
    (world.folder / "docs").mkdir()
    (world.folder / "docs" / "mine.md").write_text("mine")
    before = world.contents()
    monkeypatch.setattr(recipe, "GENERATE", ("-c", "open('docs/new.md', 'w')"))
    assert world.bump("cpu/datasets", "--to", "5.1.0") == 0
    assert world.contents() != before
    command = capsys.readouterr().out.strip().rpartition("undo: ")[2]
    assert command.startswith("git checkout -- ") and command.endswith(" -- docs/new.md")
    subprocess.run(command, shell=True, cwd=world.folder, check=True, capture_output=True)
    assert world.contents() == before


def test_there_and_back_is_the_same_but_for_notes_and_changelog(world: World) -> None:
    before = world.contents()
    for version in ("5.1.0", "5.2.0"):
        assert world.bump("cpu/datasets", "--to", version) == 0
        world.commit()
    after = world.contents()
    assert {name for name in after if after[name] != before.get(name)} == {"versions.lock", "CHANGELOG.md"}
    said = after["versions.lock"].decode()
    # the note says what it was before both
    was = f'moved by bump from 5.1.0; the note of 5.2.0 was "{NOTE}"'
    assert said.replace(was, NOTE) == before["versions.lock"].decode()


def test_a_bare_name_moves_every_stack_that_is_not_kept_to_the_newest(world: World) -> None:
    kept = world.read().stacks["gaudi-1.24"]
    world.edit({("stacks", name, "packages", "datasets", "version"): "5.1.0" for name in ("cpu", "cuda")})
    # 5.4.0 has demands that nothing meets, and 5.5.0 was withdrawn
    with pytest.raises(InputError):
        world.bump("datasets")
    assert world.bump("datasets", "--to", "5.2.0") == 0
    lock = world.read()
    assert {lock.stacks[name].packages["datasets"].version for name in ("cpu", "cuda")} == {"5.2.0"}
    assert lock.stacks["gaudi-1.24"] == kept
    assert "5.1.0 to 5.2.0 in the stacks cuda and cpu: requests of cpu-1, " in changelog_of(world)


def test_versions_that_do_not_go_together_change_nothing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    before = world.contents()
    with pytest.raises(InputError) as caught:
        world.bump("cpu/datasets", "--to", "5.4.0")
    assert str(caught.value).endswith("(above). Every file is as it was before the bump.")
    assert "these versions do not go together" in capsys.readouterr().err
    assert world.contents() == before


def test_a_release_that_is_not_there_is_refused_before_anything_is_written(world: World) -> None:
    before = world.contents()
    with pytest.raises(InputError, match=r"the index lists no datasets 9\.9; its newest are 5\.3\.0, 5\.4\.0, 5\.5\.0"):
        world.bump("cpu/datasets", "--to", "9.9")
    assert world.contents() == before


def test_a_tool_moves_the_files_that_hold_it(world: World) -> None:
    before = world.read()
    assert world.bump("tools/uv") == 0
    lock = world.read()
    assert lock.tools == {**before.tools, "uv": "99.0"}
    assert world.versions("requirements/dev.txt")["uv"] == "99.0"
    # dev bounds mutation, which does not hold uv
    assert {name for name, entry in lock.requirements.items() if entry != before.requirements[name]} == {
        "dev",
        "mutation",
    }
    assert (
        changelog_of(world)
        == f"- `tools/uv` {before.tools['uv']} to 99.0: no request gets a new id. Nobody's numbers change."
    )


def test_a_later_day_compiles_a_file_anew(world: World) -> None:
    assert world.bump("requirements/host", "--to", "2026-11-26") == 0
    assert world.read().requirements["host"].exclude_newer == "2026-11-26"
    # a newer fsspec is there, but the stack cpu bounds the file
    assert world.versions("requirements/host.txt")["fsspec"] == world.versions(OWN)["fsspec"]


def test_offline_takes_the_steps_that_ask_nobody_and_names_the_rest(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert world.bump("cpu/datasets", "--to", "5.3.0", "--offline") == 0
    assert world.asked == []
    lock = world.read()
    assert lock.stacks["cpu"].requirements.sha256 == lock.stacks["cpu"].packages["datasets"].sha256 == UNRESOLVED
    assert sorted(world.changed()) == ["CHANGELOG.md", "versions.lock"]
    told = capsys.readouterr().out
    for pin in ("stacks.cpu.requirements.sha256", "stacks.cpu.packages.datasets.sha256", "requirements.host.sha256"):
        assert f"unresolved: {pin}\n" in told
    assert "-m runner lock`, which asks for what is unresolved, then" in " ".join(told.split())


def test_a_dry_run_prints_each_step_with_its_files_and_changes_nothing(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    before = world.contents()
    assert world.bump("cpu/datasets", "--to", "5.3.0", "--dry-run", "--json") == 0
    planned = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["number"] for one in planned] == list(range(1, len(planned) + 1))
    assert {one["event"] for one in planned} == {"planned"}
    files = {file for one in planned for file in one["files"].split()}
    assert {"versions.lock", OWN, "requirements/host.txt", "CHANGELOG.md", "k8s", "docs"} <= files
    assert world.contents() == before


def test_an_index_that_does_not_answer_leaves_what_it_tells_unresolved(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    before = world.contents()
    with pytest.raises(Unreachable, match="of the origins asked did not answer") as caught:
        world.bump("cpu/datasets", "--to", "5.3.0")
    lock = world.read()
    assert lock.stacks["cpu"].packages["datasets"].version == "5.3.0"
    assert lock.stacks["cpu"].requirements.sha256 == UNRESOLVED
    # what an uncompiled file bounds is not compiled beside an older one
    assert lock.requirements["host"].sha256 == lock.stacks["cpu"].torch.sha256 == UNRESOLVED  # type: ignore[union-attr]
    told = capsys.readouterr()
    assert "unresolved: stacks.cpu.requirements.sha256" in told.out and "not reached: " in told.err
    assert "5.2.0 to 5.3.0" in changelog_of(world)
    # the error is the last line, and says how all of it is undone
    command = str(caught.value).rpartition("Undo all: ")[2]
    subprocess.run(command, shell=True, cwd=world.folder, check=True, capture_output=True)
    assert world.contents() == before


def test_without_a_value_a_silent_index_changes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    before = world.contents()
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(Unreachable):
        world.bump("cpu/datasets")
    assert world.contents() == before


@pytest.mark.parametrize("file", ["versions.lock", "CHANGELOG.md", OWN, "README.md"])
def test_a_file_with_changes_that_no_commit_has_is_named_and_nothing_is_written(world: World, file: str) -> None:
    path = world.folder / file
    path.write_text(path.read_text() + "\n# mine\n")
    before = world.contents()
    told = (
        "was changed since versions.lock was written"
        if file == OWN
        else rf"{file} holds changes that no commit has, .*`git stash`"
    )
    with pytest.raises(InputError, match=told):
        world.bump("cpu/datasets", "--to", "5.1.0")
    assert world.contents() == before


def test_a_file_that_a_bump_does_not_write_may_have_changes(world: World) -> None:
    (world.folder / "notes.md").write_text("mine")
    (world.folder / "images" / "gaudi" / "install.md").write_text("mine")
    assert world.bump("cpu/datasets", "--to", "5.1.0", "--offline") == 0


def test_a_new_file_of_a_person_is_not_overwritten(world: World) -> None:
    (world.folder / "images" / "cpu" / "requirements-cpu-next.txt").write_text("mine")
    before = world.contents()
    with pytest.raises(InputError, match=r"images/cpu/requirements-cpu-next\.txt holds changes that no commit has"):
        world.bump("cpu-next", "--like", "cpu")
    assert world.contents() == before


def test_a_copy_within_another_repository_is_refused(world: World) -> None:
    shutil.rmtree(world.folder / ".git")
    subprocess.run(["git", "init", "--quiet", str(world.folder.parent)], check=True)
    before = world.contents()
    with pytest.raises(InputError, match="This is no git checkout, so nothing could undo a bump"):
        world.bump("cpu/datasets", "--to", "5.1.0", "--offline")
    assert world.contents() == before


def test_a_kit_that_is_a_folder_of_a_repository_is_undone_from_that_folder(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(world.folder / ".git")
    subprocess.run(["git", "init", "--quiet", str(world.folder.parent)], check=True)
    world.commit()
    before = world.contents()
    assert world.bump("cpu/datasets", "--to", "5.1.0", "--offline") == 0
    command = capsys.readouterr().out.strip().rpartition("undo: ")[2]
    assert world.contents() != before and command.startswith("git checkout -- CHANGELOG.md ")
    subprocess.run(command, shell=True, cwd=world.folder, check=True, capture_output=True)
    assert world.contents() == before


def test_a_folder_without_git_is_refused(world: World) -> None:
    (world.folder / ".git").rename(world.folder / "git")
    before = world.contents()
    with pytest.raises(InputError, match="This is no git checkout, so nothing could undo a bump"):
        world.bump("cpu/datasets", "--to", "5.1.0")
    assert world.contents() == before


def test_a_changelog_that_takes_no_line_is_refused_first(world: World) -> None:
    (world.folder / "CHANGELOG.md").write_text("# Changelog\n")
    world.commit()
    with pytest.raises(InputError, match="CHANGELOG.md has no section `## Unreleased`"):
        world.bump("cpu/datasets", "--to", "5.1.0")
    assert world.changed() == []


class Stop:
    """Stops a bump in one of its steps, as Ctrl-C does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
        if where == "write":
            monkeypatch.setattr(recipe.Tree, "write", self._stop)
        elif where == "compile":
            monkeypatch.setattr(uv, "compile_file", self._stop)
        elif where == "ask":
            # the answers of compilations come first
            monkeypatch.setattr(recipe._Work, "_ask", self._stop)
        elif where == "say":
            monkeypatch.setattr(recipe._Work, "_say", self._stop)
        else:
            monkeypatch.setattr(recipe._Work, "_run", self._stop)

    def _stop(self, *arguments: object, **options: object) -> str:
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    "where, sentence",
    [
        ("write", "write `datasets` 5.2.0 to 5.3.0 in the stack cpu"),
        ("compile", "compile images/cpu/requirements-cpu.txt"),
        ("ask", "ask for stacks.cpu.packages.datasets.sha256"),
        ("say", "say whose numbers change"),
    ],
)
def test_a_bump_that_is_stopped_leaves_every_file_as_it_was(
    world: World, monkeypatch: pytest.MonkeyPatch, where: str, sentence: str
) -> None:
    before = world.contents()
    Stop(monkeypatch, where)
    with pytest.raises(Interrupted) as caught:
        world.bump("cpu/datasets", "--to", "5.3.0", *(["--offline"] if where in ("write", "say") else []))
    assert str(caught.value) == f"stopped in this step: {sentence}. Every file is as it was before the bump."
    assert world.contents() == before


def test_a_new_stack_whose_addition_is_stopped_leaves_no_file(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    before = world.contents()
    Stop(monkeypatch, "say")
    with pytest.raises(Interrupted, match="Every file is as it was before the bump"):
        world.bump("cpu-next", "--like", "cpu", "--offline")
    assert world.contents() == before


def test_a_bump_that_is_stopped_while_it_renders_says_what_is_done_and_git_checkout_undoes_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = world.contents()
    Stop(monkeypatch, "render")
    with pytest.raises(Interrupted, match="this step: render the manifests. Done before it: write ") as caught:
        world.bump("cpu/datasets", "--to", "5.3.0", "--offline")
    assert world.contents() != before
    world.git(*str(caught.value).rpartition("Undo all: git ")[2].split())
    assert world.contents() == before


@pytest.mark.parametrize("word", ["render the manifests", "bumped: "])
def test_a_bump_that_is_stopped_between_its_steps_or_at_its_end_says_how_it_is_undone(
    world: World, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    announce, before = Announcer.announce, world.contents()

    def stopped(announcer: Announcer, event: Event) -> None:
        if word in str(event.sentence):
            raise KeyboardInterrupt
        announce(announcer, event)

    monkeypatch.setattr(Announcer, "announce", stopped)
    with pytest.raises(Interrupted, match="Undo all: git checkout -- ") as caught:
        world.bump("cpu/datasets", "--to", "5.1.0", "--offline")
    world.git(*str(caught.value).rpartition("Undo all: git ")[2].split())
    assert world.contents() == before


def test_output_that_nobody_reads_any_more_leaves_every_file_as_it_was(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = world.contents()

    def lost(announcer: Announcer, event: Event) -> None:
        if isinstance(event, StepTaken) and event.number == 2:
            raise BrokenPipeError

    monkeypatch.setattr(Announcer, "announce", lost)
    with pytest.raises(BrokenPipeError):
        world.bump("cpu/datasets", "--to", "5.1.0", "--offline")
    assert world.contents() == before


def test_a_defect_in_the_middle_leaves_every_file_as_it_was(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> str:
        raise RuntimeError("a defect")

    before = world.contents()
    monkeypatch.setattr(answering, "answer", broken)
    with pytest.raises(RuntimeError, match="a defect"):
        world.bump("cpu/datasets", "--to", "5.1.0")
    assert world.contents() == before


def test_a_lock_that_another_program_changes_meanwhile_is_not_overwritten(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = recipe.Tree.write

    def late(tree: recipe.Tree, path: Path, content: bytes) -> None:
        path.write_text(path.read_text() + "# another\n")
        write(tree, path, content)

    monkeypatch.setattr(recipe.Tree, "write", late)
    with pytest.raises(InputError, match="versions.lock was changed by another program meanwhile"):
        world.bump("cpu/datasets", "--to", "5.1.0", "--offline")


def test_a_program_that_fails_is_told_and_the_steps_behind_it_go_on(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(recipe, "RENDER", ("-c", "import sys; sys.exit('no manifests')"))
    ran = world.folder / "ran"
    monkeypatch.setattr(recipe, "GENERATE", ("-c", f"open({str(ran)!r}, 'w')"))
    assert world.bump("tools/uv", "--to", "99.0") == 0
    told = capsys.readouterr()
    assert (
        "no manifests" in told.err
        and "left to do, 1 of 1: " in told.out
        and ", once it can run" in " ".join(told.out.split())
    )
    assert ran.exists()


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["--to", "5.1.0"], "--to goes with the name of a row"),
        (["--set", "x=y"], "--set goes with the name of a row"),
        (["--dry-run"], "--dry-run goes with the name"),
        (["cpu/datasets", "--only", "packages"], "--only and --stack are for the list"),
        (["cpu/datasets", "--set", "x=y"], "Name the stack that it is like with --like"),
        (["new", "--like", "cpu", "--to", "5"], "--to moves a row, and --like adds a stack"),
        (["cpu/datasets", "--offline"], "Without a network nobody knows what is newest"),
        (["cpu/datasets", "--to", "5.2.0"], "cpu/datasets is 5.2.0 already"),
        (["gaudi-1.24/datasets", "--to", "5.2.0"], "gaudi-1.24 is kept"),
        (["cpu/transformers", "--to", "5.21.0"], "cpu/transformers is held at <5.21, and 5.21.0 is outside of that"),
        (["cpu/nothing", "--to", "1"], "versions.lock has no row cpu/nothing"),
        (["requirements/host", "--to", "tomorrow"], "--to must be a day such as 2023-06-15"),
        (["models/bloomz", "--to", "main"], "--to must be 40 hex digits"),
        (["sources/optimum-habana-1.23", "--to", "1a" * 20], "follows tags, and 1a1a"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(world: World, arguments: Sequence[str], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        world.bump(*arguments)
    assert told in str(caught.value)
    assert world.changed() == [] and world.asked == []


def test_a_hostile_value_or_name_is_refused_in_one_line(world: World) -> None:
    rows = ("cpu/datasets", "cuda/image", "tools/uv", "datasets/tldr_news", "requirements/host")
    # sixty-four zeros are a version and a tag
    texts = [text for text in hostile.TEXTS if set(text) != {"0"}]
    for text in texts:
        for words in (*([row, f"--to={text}"] for row in rows), [f"{text}", "--to=1"], [f"{text}", "--like=cpu"]):
            # a name that begins so is an option, and argparse refuses those
            if words[0].startswith("-"):
                continue
            with pytest.raises(KitError) as caught:
                world.bump(*words, "--offline")
            assert str(caught.value).isprintable(), words
    assert world.changed() == []


def test_a_tag_and_a_branch_are_asked_for_at_their_repository(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    source = ("sources", "optimum-habana-1.23")
    monkeypatch.setattr(git, "references", lambda repository: git.References({}, {"v1.21.2": "1a" * 20}))
    monkeypatch.setattr(git, "commit_tree", lambda repository, commit: "2b" * 20)
    assert world.bump("sources/optimum-habana-1.23", "--to", "v1.21.2") == 0
    pin = world.read().sources[source[1]]
    assert (pin.tag, pin.commit, pin.tree) == ("v1.21.2", "1a" * 20, "2b" * 20)
    world.commit()
    with pytest.raises(InputError, match=r"sources.optimum-habana-1.23.commit cannot be what the bump makes it"):
        world.bump("sources/optimum-habana-1.23", "--to", "v9.9")
    assert world.changed() == []


def test_a_moved_action_is_named_by_its_commit_in_the_workflows(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    workflow = world.folder / ".github" / "workflows" / "test.yml"
    workflow.parent.mkdir(parents=True)
    old = "1a" * 20
    text = f"steps:\n  - uses: actions/checkout@{old} # v4.0.0\n  - uses: actions/checkout-not@{old} # v4.0.0\n"
    workflow.write_text(text)
    lock = world.lock.read_text()
    entry = f"actions:\n  actions/checkout:\n    version: v4.0.0\n    commit: {old}\n"
    begin, _, rest = lock.partition("\nactions:")
    world.lock.write_text(f"{begin}\n{entry}\n# The images{rest.partition('# The images')[2]}")
    world.commit()
    monkeypatch.setattr(git, "references", lambda repository: git.References({}, {"v5.0.0": "2b" * 20}))
    assert world.bump("actions/actions/checkout", "--to", "v5.0.0") == 0
    pin = world.read().actions["actions/checkout"]
    assert (pin.version, pin.commit) == ("v5.0.0", "2b" * 20)
    assert workflow.read_text() == text.replace(f"checkout@{old} # v4.0.0", f"checkout@{'2b' * 20} # v5.0.0")
    # what fails behind it puts the workflows back too
    world.commit()
    before = world.contents()
    monkeypatch.setattr(git, "references", lambda repository: git.References({}, {"v6.0.0": "3c" * 20}))

    def refused(text: str, line: str, where: str) -> str:
        if line == "-":
            return text
        raise InputError("no line.")

    monkeypatch.setattr(changelog, "with_line", refused)
    with pytest.raises(InputError, match="Every file is as it was before the bump"):
        world.bump("actions/actions/checkout", "--to", "v6.0.0")
    assert world.contents() == before


def test_a_lock_with_other_ends_of_lines_and_comments_keeps_them(world: World) -> None:
    marked = world.lock.read_text().replace("\n      datasets:\n", "\n      # why\n      datasets:   # here\n")
    world.lock.write_bytes(marked.replace("\n", "\r\n").encode())
    world.commit()
    assert world.bump("cpu/datasets", "--to", "5.1.0", "--offline") == 0
    after = world.lock.read_bytes()
    assert after.count(b"\n") == after.count(b"\r\n") == marked.count("\n")
    assert after.count(b"# why") == marked.count("# why") and after.count(b"# here") == marked.count("# here")


def test_an_image_that_was_pushed_before_is_no_longer_the_stack_s(world: World) -> None:
    pushed = "{repository: r.example/%s, digest: sha256:" + "1a" * 32 + ", inputs: " + "2b" * 32 + "}"
    world.edit({("built",): f"{{cpu: {pushed % 'cpu'}, cuda: {pushed % 'cuda'}}}"})
    assert world.bump("cpu/datasets", "--to", "5.1.0", "--offline") == 0
    assert list(world.read().built) == ["cuda"]


STACK = ("cuda-next", "--like", "cuda")


def test_a_new_stack_is_compiled_as_the_old_one_and_undone_with_its_new_files(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = world.contents()

    def silent(repository: str, digest: str) -> str:
        raise Unreachable("the registry does not answer")

    monkeypatch.setattr(container_registry, "platform_digest", silent)
    with pytest.raises(Unreachable, match="of the origins asked did not answer"):
        world.bump(*STACK, "--set", "packages.datasets.version=5.3.0")
    lock = world.read()
    new, old = lock.stacks["cuda-next"], lock.stacks["cuda"]
    assert world.versions(new.requirements.file)["datasets"] == new.packages["datasets"].version == "5.3.0"
    kept = {"transformers", "deepspeed", "dill"}
    assert {name: world.versions(new.requirements.file)[name] for name in kept} == {
        name: world.versions(old.requirements.file)[name] for name in kept
    }
    assert new.requirements.exclude_newer == LATE_DAY
    # torch and all that it needs are those of the old stack, whose own file is taken over
    assert new.torch is not None and old.torch is not None
    assert world.versions(new.torch.file) == world.versions(old.torch.file)
    agreement.refuse_contradictions(lock)
    told = capsys.readouterr().out
    assert "unresolved: stacks.cuda-next.image.platform" in told
    assert "- The stack `cuda-next`, like `cuda`, with the cases a100-8-bloomz-compiled-next, " in changelog_of(world)
    command = told.strip().rpartition("undo: ")[2]
    assert " && git clean --force --quiet -- images/cuda/requirements-cuda-next.txt" in command
    subprocess.run(command, shell=True, cwd=world.folder, check=True, capture_output=True)
    assert world.contents() == before


def test_a_new_stack_whose_versions_do_not_go_together_is_not_added(world: World) -> None:
    before = world.contents()
    with pytest.raises(InputError, match="Every file is as it was before the bump"):
        world.bump(*STACK, "--set", "packages.datasets.version=5.4.0")
    assert world.contents() == before


def test_offline_a_new_stack_has_its_row_and_cases_and_no_files(world: World) -> None:
    assert world.bump(*STACK, "--offline") == 0
    assert world.asked == []
    assert sorted(world.changed()) == [
        "CHANGELOG.md",
        "runner/catalog/cases.yaml",
        "runner/catalog/profiles.yaml",
        "versions.lock",
    ]
    tables = catalog.read()
    copies = [name for name, case in tables.cases.items() if case.stack == "cuda-next"]
    assert copies and all(name.endswith("-next") for name in copies)
    assert profiles.read(tables).environment_of("cuda-next")


def test_a_branch_that_the_fork_does_not_have_stays_unresolved_in_a_new_stack(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(git, "branch_commit", lambda repository, branch: None)
    monkeypatch.setattr(container_registry, "image_digest", lambda repository, tag: f"sha256:{'1a' * 32}")
    monkeypatch.setattr(container_registry, "platform_digest", lambda repository, digest: f"sha256:{'2b' * 32}")
    given = ("image.tag=1.25.0-1", "sources.deepspeed.branch=1.25.0")
    flags = [word for value in given for word in ("--set", value)]
    assert world.bump("gaudi-1.25", "--like", "gaudi-1.24", *flags) == 0
    lock = world.read()
    assert lock.sources["habana-deepspeed-1.25"].commit == UNRESOLVED
    image = lock.stacks["gaudi-1.25"].image
    assert (image.digest, image.platform) == (f"sha256:{'1a' * 32}", f"sha256:{'2b' * 32}")
    told = capsys.readouterr()
    assert "not there: sources.habana-deepspeed-1.25.commit: its origin has none" in told.err
    assert "unresolved: sources.habana-deepspeed-1.25.commit" in told.out
