"""What a moved pin changes in the lock, kind by kind: planned on the kit's own lock, and nothing is written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from runner.contract.errors import UsageError
from runner.host import paths
from runner.host.bump import moving, recipe, rows
from runner.host.bump.moving import Target
from runner.host.readers import lock_editor, lockfile, strictyaml
from runner.host.readers.lockfile import UNRESOLVED, Lock, LockPath

COMMIT, LATER = "1a" * 20, "2099-01-01"
DIGEST = f"sha256:{'1a' * 32}"


@pytest.fixture
def edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the lock be a copy that a test may edit; the requirements files are the kit's own."""
    path = tmp_path / "versions.lock"
    path.write_bytes(paths.LOCK.read_bytes())
    monkeypatch.setattr(paths, "LOCK", path)
    for reader in (lockfile.read, lockfile.notes):
        monkeypatch.setattr(reader, "__defaults__", (path,))
    return path


def planned(name: str, to: str, day: str | None = None) -> recipe.Plan:
    lock = lockfile.read()
    return moving.plan(lock, [Target(row, to, day) for row in rows.named(lock, name)])


def flat(value: strictyaml.Value, where: LockPath = ()) -> dict[LockPath, str]:
    """Return every text of a document by its path."""
    if isinstance(value, str):
        return {where: value}
    entries = value.items() if isinstance(value, dict) else ((str(number), one) for number, one in enumerate(value))
    return {path: text for key, one in entries for path, text in flat(one, (*where, key)).items()}


def changes(plan: recipe.Plan) -> dict[str, str]:
    """Return the values of the lock that a plan changes, without notes."""
    before, after = (flat(strictyaml.loads(raw, "lock")) for raw in (paths.LOCK.read_bytes(), plan.writes[paths.LOCK]))
    assert list(before) == list(after)
    return {".".join(where): text for where, text in after.items() if text != before[where] and where[-1] != "note"}


def compiled(plan: recipe.Plan) -> list[str]:
    return [".".join(file.where) for file in plan.compiled]


def test_a_package_of_a_stack_opens_its_hash_and_the_files_that_follow() -> None:
    plan = planned("cuda/transformers", "5.20.1", LATER)
    files = ["stacks.cuda.requirements", "stacks.cuda.torch"]
    assert compiled(plan) == files
    assert changes(plan) == {
        "stacks.cuda.packages.transformers.version": "5.20.1",
        "stacks.cuda.packages.transformers.sha256": UNRESOLVED,
        **{f"{file}.sha256": UNRESOLVED for file in files},
        **{f"{file}.exclude_newer": LATER for file in files},
    }
    assert plan.opened == {("stacks", "cuda", "packages", "transformers", "sha256")}
    # all other versions of the files stay
    assert all(file.kept for file in plan.compiled)


def test_a_package_of_the_stack_cpu_moves_the_kit_s_own_files_behind_it() -> None:
    plan = planned("cpu/deepspeed", "0.19.9")
    assert compiled(plan) == [
        "stacks.cpu.requirements",
        "stacks.cpu.torch",
        "requirements.host",
        "requirements.dev",
        "requirements.mutation",
    ]
    # nobody told a day, and an earlier day is never written
    assert not [where for where in changes(plan) if where.endswith("exclude_newer")]
    assert changes(planned("cpu/deepspeed", "0.19.9", "2020-01-01")) == changes(plan)


def test_a_torch_of_an_index_moves_its_own_file_alone_and_is_not_taken_for_the_same() -> None:
    plan = planned("cuda/torch", "2.14.0")
    assert compiled(plan) == ["stacks.cuda.torch"]
    assert changes(plan) == {"stacks.cuda.packages.torch.version": "2.14.0", "stacks.cuda.torch.sha256": UNRESOLVED}
    assert [file.beside for file in plan.compiled] == [None]
    # the note of the file spoke of the torch that it held
    assert ("stacks", "cuda", "torch") in plan.notes
    assert all(file.beside for file in planned("cuda/datasets", "5.0.0").compiled if file.where[-1] == "torch")


def test_a_tool_moves_the_files_that_hold_it_and_those_that_they_bound() -> None:
    assert compiled(planned("tools/uv", "99.0")) == ["requirements.dev", "requirements.mutation"]
    held = compiled(planned("tools/setuptools", "99.0"))
    assert "requirements.build" in held
    # the tools of today do not serve 3.8
    assert not {"requirements.build38", "requirements.py38"} & set(held)


def test_a_requirements_file_is_compiled_anew_and_what_it_bounds_is_not() -> None:
    plan = planned("requirements/host", LATER)
    assert compiled(plan) == ["requirements.host", "requirements.dev", "requirements.mutation"]
    assert [file.kept is None for file in plan.compiled] == [True, False, False]
    assert changes(plan)["requirements.host.exclude_newer"] == LATER


def test_a_tag_opens_the_digests_of_its_image() -> None:
    plan = planned("cuda/image", "3.12.9-bookworm")
    image = "stacks.cuda.image"
    assert changes(plan) == {f"{image}.tag": "3.12.9-bookworm", f"{image}.digest": UNRESOLVED}
    assert (
        plan.opened
        == {(*image.split("."), part) for part in ("digest",)} | {("stacks", "cuda", "image", "platform")} & plan.opened
    )
    assert any("Python 3.12 and x86_64-manylinux_2_36 of cuda" in sentence for sentence in plan.to_read)
    # a tag that names another image now is asked for again
    assert changes(planned("cuda/image", "3.12.8-bookworm")) == {f"{image}.digest": UNRESOLVED}


def test_what_a_new_base_image_brings_is_read_from_it(edited: Path) -> None:
    text = edited.read_text()
    begin = text.index("\n  cuda:\n")
    edited.write_text(text[:begin] + text[begin:].replace("        from: index", "        from: base", 1))
    assert lockfile.read().stacks["cuda"].packages["torch"].origin == "base"
    told = changes(planned("cuda/image", "3.12.9-bookworm"))
    assert told["stacks.cuda.packages.torch.version"] == UNRESOLVED


@pytest.mark.parametrize("kind", ["models", "datasets"])
def test_a_revision_opens_the_files_of_a_model(kind: str) -> None:
    name = {"models": "bloomz", "datasets": "tldr_news"}[kind]
    # what the lock leaves unresolved is asked for too
    plan = planned(f"{kind}/{name}", COMMIT)
    assert changes(plan) == {f"{kind}.{name}.revision": COMMIT}
    assert plan.opened == ({("models", name, "files")} if kind == "models" else set())


def test_the_known_beginning_of_a_revision_follows_it() -> None:
    assert changes(planned("models/bloom-fp16", COMMIT)) == {
        "models.bloom-fp16.revision": COMMIT,
        "models.bloom-fp16.short": COMMIT[:7],
    }


def test_a_tag_opens_the_commit_and_the_tree_of_a_source() -> None:
    plan = planned("sources/optimum-habana-1.23", "v1.21.2")
    begin = "sources.optimum-habana-1.23"
    assert changes(plan) == {f"{begin}.tag": "v1.21.2", f"{begin}.commit": UNRESOLVED, f"{begin}.tree": UNRESOLVED}
    assert plan.opened == {("sources", "optimum-habana-1.23", part) for part in ("commit", "tree")}


def test_every_row_can_be_planned_and_changes_its_own_entry_and_files_alone() -> None:
    lock = lockfile.read()
    targets: Mapping[str, str] = {
        "tools": "98.7",
        "requirements": LATER,
        "packages": "0.0.1",
        "images": "other",
        "models": COMMIT,
        "datasets": COMMIT,
        "sources": "other",
        "actions": "v98",
    }
    for row in rows.of_lock(lock):
        if row.kind == "packages" and lock.stacks[row.where[1]].packages[row.where[-1]].hold:
            continue
        if row.kind == "sources" and lock.sources[row.where[1]].tags and lock.sources[row.where[1]].tag is None:
            continue
        plan = moving.plan(lock, [Target(row, targets[row.kind], None)])
        files = [".".join(file.where) for file in plan.compiled]
        for where in changes(plan):
            assert where.startswith((".".join(row.where), *files)), (row.name, where)
        assert lockfile.parse(strictyaml.loads(plan.writes[paths.LOCK], "lock"), paths.LOCK)


class TestNotes:
    def note(self, path: Path, to: str) -> str:
        """Return the note of cpu/datasets after a bump, which the lock then has."""
        plan = planned("cpu/datasets", to)
        path.write_bytes(plan.writes[paths.LOCK])
        return lockfile.notes()["stacks", "cpu", "packages", "datasets"]

    def test_a_note_says_what_it_said_of_the_version_before(self, edited: Path) -> None:
        assert self.note(edited, "5.1.0") == (
            'moved by bump from 5.2.0, whose note was "from 4.0 on it cannot run loading scripts"'
        )

    def test_a_note_of_a_bump_is_not_quoted_again_and_keeps_the_version_of_which_it_spoke(self, edited: Path) -> None:
        said = '"from 4.0 on it cannot run loading scripts"'
        was = "5.2.0"
        # there, on, back, and there again
        for to in ("5.1.0", "5.0.0", "5.2.0", "5.1.0", "5.2.0"):
            link = ", whose note was" if was == "5.2.0" else "; the note of 5.2.0 was"
            assert self.note(edited, to) == f"moved by bump from {was}{link} {said}"
            was = to

    def test_a_value_that_is_asked_for_again_is_not_said_to_have_moved(self, edited: Path) -> None:
        (row,) = rows.named(lockfile.read(), "cpu/image")
        for _ in range(2):
            plan = planned("cpu/image", row.current)
            edited.write_bytes(plan.writes[paths.LOCK])
            note = lockfile.notes()["stacks", "cpu", "image"]
            assert note.startswith('set to unresolved by bump; of what stood there before the note was "read in ')

    def test_a_file_that_is_compiled_anew_says_so_however_often(self, edited: Path) -> None:
        before = lockfile.notes()["stacks", "cpu", "torch"]
        for to in ("2.14.0", "2.13.1"):
            edited.write_bytes(planned("cpu/torch", to).writes[paths.LOCK])
            note = lockfile.notes()["stacks", "cpu", "torch"]
            assert note == f'compiled anew by bump; of what stood there before the note was "{before}"'

    @pytest.mark.parametrize("note", ["a: b", "it's # no comment", '"quoted"', "x" * 3990])
    def test_any_note_stays_readable(self, edited: Path, note: str) -> None:
        written = "'" + note.replace("'", "''") + "'"
        lock_editor.edit(edited, {("stacks", "cpu", "packages", "datasets", "note"): written})
        begin = "moved by bump from 5.2.0"
        whole = f'{begin}, whose note was "{note}"'
        assert self.note(edited, "5.1.0") == (whole if len(whole) <= 4000 else begin)

    def test_an_entry_without_a_note_gets_none(self) -> None:
        plan = planned("cuda/datasets", "5.1.0")
        before, after = paths.LOCK.read_bytes(), plan.writes[paths.LOCK]
        assert plan.notes == {} and before.count(b"note:") == after.count(b"note:")


def test_a_hold_is_kept_and_a_version_within_it_is_taken() -> None:
    lock = lockfile.read()
    (row,) = rows.named(lock, "cpu/transformers")
    with pytest.raises(UsageError, match="is held at <5.21"):
        moving.refuse_target(lock, row, "5.21.0")
    with pytest.raises(UsageError, match="is held at <5.21"):
        moving.refuse_target(lock, row, "5.22.0.dev0")
    moving.refuse_target(lock, row, "5.20.3")
    plan = moving.plan(lock, [Target(row, "5.20.3", None)])
    after: Lock = lockfile.parse(strictyaml.loads(plan.writes[paths.LOCK], "lock"), paths.LOCK)
    assert after.stacks["cpu"].packages["transformers"].hold == "<5.21"
