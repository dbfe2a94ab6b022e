"""What the state of a checkout is called: what resolving pins changes needs no commit, and any other change does."""

import subprocess

import pytest

from runner.contract.errors import InputError
from runner.contract.files import sha256_of_file
from runner.host import paths
from runner.host.images import checkout
from runner.host.readers import lock_editor, lockfile

DIGEST = f"sha256:{'1a' * 32}"
CPU = "images/cpu/requirements-cpu.txt"
UV = lockfile.read().tools["uv"]


class Clone:
    """A git repository with the lock, a requirements file and one module of the runner."""

    def __init__(self, folder):
        self.folder, self.lock = folder, folder / "versions.lock"
        for name in (CPU, "versions.lock"):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((paths.ROOT / name).read_bytes())
        (folder / "runner").mkdir()
        (folder / "runner" / "module.py").write_text("first\n")
        self.git("init", "--quiet")
        self.commit()

    def git(self, *arguments):
        command = ["git", "-C", str(self.folder), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout.strip()

    def commit(self):
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", "one")
        self.revision = self.git("rev-parse", "HEAD")

    def resolve(self, *where, value):
        assert lock_editor.edit(self.lock, {where: value})

    def replace(self, old, new):
        text = self.lock.read_text()
        assert text.count(old) >= 1
        self.lock.write_text(text.replace(old, new, 1))


@pytest.fixture
def clone(tmp_path, monkeypatch):
    made = Clone(tmp_path / "clone")
    monkeypatch.setattr(paths, "ROOT", made.folder)
    monkeypatch.setattr(paths, "LOCK", made.lock)
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    return made


def resolve_all_kinds(clone):
    clone.resolve("stacks", "gaudi-1.10", "image", "digest", value=DIGEST)
    clone.resolve("stacks", "gaudi-1.10", "packages", "habana-torch-plugin", "version", value="1.10.0.494")
    clone.resolve("models", "bloomz", "files", value=f"{{a/b.bin: {'2b' * 32}}}")
    clone.resolve("sources", "habana-deepspeed-1.9", "commit", value="3b" * 20)
    clone.resolve("built", value=f"{{cpu: {{repository: r.example/x, digest: {DIGEST}, inputs: {'4c' * 32}}}}}")


def test_a_clean_checkout_is_its_commit_and_may_be_pushed(clone):
    (clone.folder / "notes.md").write_text("no part of an image")
    state = checkout.read()
    assert (state.revision, state.changed, state.problem) == (clone.revision, (), None)
    assert state.epoch == int(clone.git("log", "-1", "--format=%ct"))


def test_what_resolving_and_pushing_wrote_is_told_by_the_sha256_of_the_lock(clone):
    resolve_all_kinds(clone)
    state = checkout.read()
    assert state.revision == f"{clone.revision}-lock-{sha256_of_file(clone.lock)[:12]}"
    assert (state.changed, state.problem) == ((), None)
    lockfile.read(clone.lock)
    clone.commit()
    assert checkout.read().revision == clone.revision


@pytest.mark.parametrize(
    "old, new",
    [
        (f"    version: {UV}", "    version: 0.1"),
        ("# Every pin of bloomz-bench", "# Most pins of bloomz-bench"),
        ("digest: sha256:94fd", "digest: sha256:95fd"),
        ("note: the newest on the cut-off date", "note: another"),
    ],
    ids=["version", "comment", "resolved pin", "note"],
)
def test_any_other_change_of_the_lock_needs_a_commit(clone, old, new):
    resolve_all_kinds(clone)
    clone.replace(old, new)
    state = checkout.read()
    assert (state.revision, state.changed) == (f"{clone.revision}-dirty", ("versions.lock",))
    assert state.problem.startswith("versions.lock holds changes that no commit has. Commit them")


def test_a_lock_that_cannot_be_read_is_another_change(clone):
    clone.lock.write_text("schema: [")
    assert checkout.read().changed == ("versions.lock",)


def test_another_file_needs_a_commit_whatever_was_resolved(clone):
    resolve_all_kinds(clone)
    (clone.folder / "runner" / "module.py").write_text("second\n")
    (clone.folder / "runner" / "a b\nc.py").write_text("new, in no commit")
    state = checkout.read()
    assert state.revision == f"{clone.revision}-dirty"
    assert sorted(state.changed) == ["runner/a b\nc.py", "runner/module.py"]
    assert " and 1 more holds changes that no commit has" in state.problem


def test_a_requirements_file_that_was_compiled_goes_with_its_hash_in_the_lock(clone):
    sha256 = ("stacks", "cpu", "requirements", "sha256")
    clone.resolve(*sha256, value=lockfile.UNRESOLVED)
    clone.commit()
    (clone.folder / CPU).write_text("six==1.17.0 \\\n    --hash=sha256:" + "5" * 64 + "\n")
    assert checkout.read().changed == (CPU,), "the lock does not know the file yet"
    clone.resolve(*sha256, value=sha256_of_file(clone.folder / CPU))
    assert checkout.read().revision.startswith(f"{clone.revision}-lock-")
    (clone.folder / CPU).write_text("six==1.16.0\n")
    assert checkout.read().changed == (CPU,)


def test_a_folder_outside_of_git_has_no_commit(clone, monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(InputError, match="This is no git checkout"):
        checkout.read()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    state = checkout.read()
    assert (state.revision, state.epoch) == ("unknown", 1700000000)
    assert "Clone the repository with git" in state.problem
