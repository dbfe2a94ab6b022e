"""A change on its way from a job that ran foreign code to a job with write rights: what is taken, and what is refused."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.contract.errors import DamagedResult, InputError, KitError, PublishFailed, UsageError
from tests.support.forge import PIPELINE_ID, TOKEN, Forge
from tools.workflow import __main__ as command_line
from tools.workflow import artefacts, base, branch, change, report, told
from tools.workflow.change import git

ROW = "cpu/datasets"
LOCK = "schema: 1\n\nstacks:\n  cpu:\n    packages:\n      datasets:\n        version: 5.1.0\n"
WHO = {
    f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in (("NAME", "a"), ("EMAIL", "a@b.c"))
}


class Clone:
    """A clone of a bare repository, as a job has it; ``base`` is the commit of main."""

    def __init__(self, folder: Path) -> None:
        self.remote, self.root = folder / "remote.git", folder / "clone"
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(self.remote)], check=True)
        subprocess.run(["git", "clone", "--quiet", str(self.remote), str(self.root)], check=True, capture_output=True)
        for path, text in {
            "versions.lock": LOCK,
            "CHANGELOG.md": "# Changelog\n\n## Unreleased\n",
            "requirements/host.txt": "datasets==5.1.0\n",
            ".github/workflows/test.yml": "name: test\n",
            "tools/pinned.py": "print('here')\n",
            ".gitignore": "/build/\n",
        }.items():
            self.write(path, text)
        self.base = self.commit("first")
        git(self.root, "push", "--quiet", "origin", "HEAD:refs/heads/main")

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def commit(self, message: str) -> str:
        git(self.root, "add", "--all")
        git(self.root, "commit", "--quiet", "--message", message, variables=WHO)
        return git(self.root, "rev-parse", "HEAD").decode().strip()

    def bump(self) -> None:
        """Move the row as `bump` does."""
        self.write("versions.lock", LOCK.replace("5.1.0", "5.2.0"))
        self.write("requirements/host.txt", "datasets==5.2.0\n")
        self.write(
            "CHANGELOG.md", "# Changelog\n\n## Unreleased\n\n- datasets 5.2.0 on the CPU. Nobody's numbers change.\n"
        )

    def packed(self, folder: Path) -> str:
        sha256 = change.write(self.root, folder, ROW, self.base, *told.of(self.root, ROW, self.base))
        assert sha256 is not None
        git(self.root, "reset", "--quiet", "--hard", self.base)
        git(self.root, "clean", "-qfd")
        return sha256

    def handed_on(self, folder: Path, patch: bytes) -> str:
        """Write the artefact of a job that made any patch it likes, and return its sha256."""
        folder.mkdir(parents=True, exist_ok=True)
        facts = {
            "row": ROW,
            "base": self.base,
            "title": "Bump",
            "body": "text",
            "patch_sha256": hashlib.sha256(patch).hexdigest(),
        }
        raw = json.dumps(facts).encode()
        (folder / change.PATCH).write_bytes(patch)
        (folder / change.FACTS).write_bytes(raw)
        return hashlib.sha256(raw).hexdigest()

    def difference(self) -> bytes:
        """Return the working tree's change as a patch, whatever it changes, and take the change back."""
        git(self.root, "add", "--all")
        patch = git(self.root, "diff", "--cached", "--binary", "--full-index", self.base)
        git(self.root, "reset", "--quiet", "--hard", self.base)
        return patch

    def on_the_remote(self, name: str) -> str:
        return subprocess.run(
            ["git", "-C", str(self.remote), "rev-parse", "--verify", "--quiet", name],
            capture_output=True,
            encoding="utf-8",
        ).stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


def test_a_change_becomes_the_commit_of_its_branch(clone: Clone, tmp_path: Path) -> None:
    clone.bump()
    sha256 = clone.packed(tmp_path / "change")
    made, taken = branch.commit(clone.root, tmp_path / "change", sha256, ROW, clone.base)
    assert branch.push(clone.root, made, branch.name_of(ROW), {})
    assert clone.on_the_remote("bump/cpu/datasets") == made
    shown = git(clone.root, "show", "--format=%s%n%b%ae", made).decode()
    assert shown.startswith(
        "Bump cpu/datasets from 5.1.0 to 5.2.0\n- datasets 5.2.0 on the CPU. Nobody's numbers change.\n"
    )
    assert "+datasets==5.2.0" in shown and branch.EMAIL in shown and taken.row == ROW
    assert git(clone.root, "status", "--porcelain") == b"", "the working tree of the job with write rights was touched"


def test_a_second_run_pushes_nothing(clone: Clone, tmp_path: Path) -> None:
    clone.bump()
    sha256 = clone.packed(tmp_path / "change")
    first, _ = branch.commit(clone.root, tmp_path / "change", sha256, ROW, clone.base)
    assert branch.push(clone.root, first, "bump/cpu/datasets", {})
    second, _ = branch.commit(clone.root, tmp_path / "change", sha256, ROW, clone.base)
    assert second == first and not branch.push(clone.root, second, "bump/cpu/datasets", {})


def test_a_newer_change_takes_the_place_of_the_older_one(clone: Clone, tmp_path: Path) -> None:
    clone.bump()
    first, _ = branch.commit(clone.root, tmp_path / "a", clone.packed(tmp_path / "a"), ROW, clone.base)
    branch.push(clone.root, first, "bump/cpu/datasets", {})
    clone.write("versions.lock", LOCK.replace("5.1.0", "5.3.0"))
    second, _ = branch.commit(clone.root, tmp_path / "b", clone.packed(tmp_path / "b"), ROW, clone.base)
    assert branch.push(clone.root, second, "bump/cpu/datasets", {})
    assert clone.on_the_remote("bump/cpu/datasets") == second


def test_a_clone_keeps_its_history(clone: Clone, tmp_path: Path) -> None:
    """A fetch of one commit alone would cut the history of a person's clone there."""
    git(clone.root, "remote", "set-url", "origin", f"file://{clone.remote}")
    later = clone.base
    for name in ("second", "third"):
        clone.write("CHANGELOG.md", f"{name}\n")
        later = clone.commit(name)
    git(clone.root, "push", "--quiet", "origin", f"{later}~1:refs/heads/bump/cpu/datasets")
    with pytest.raises(PublishFailed, match="is not overwritten"):
        branch.push(clone.root, clone.base, "bump/cpu/datasets", {}, dry_run=True)
    assert git(clone.root, "rev-list", "--count", later).decode().strip() == "3"
    assert git(clone.root, "rev-parse", "--is-shallow-repository").decode().strip() == "false"


def test_a_branch_with_a_commit_of_a_person_is_left_alone(clone: Clone, tmp_path: Path) -> None:
    clone.write("versions.lock", LOCK.replace("5.1.0", "5.9.0"))
    theirs = clone.commit("by hand")
    git(clone.root, "push", "--quiet", "origin", f"{theirs}:refs/heads/bump/cpu/datasets")
    git(clone.root, "reset", "--quiet", "--hard", clone.base)
    clone.bump()
    made, _ = branch.commit(clone.root, tmp_path / "change", clone.packed(tmp_path / "change"), ROW, clone.base)
    with pytest.raises(PublishFailed, match="has a commit of a@b.c, which is not overwritten"):
        branch.push(clone.root, made, "bump/cpu/datasets", {})
    assert clone.on_the_remote("bump/cpu/datasets") == theirs


def test_no_change_is_no_artefact(clone: Clone, tmp_path: Path) -> None:
    assert change.write(clone.root, tmp_path / "change", ROW, clone.base, "Bump", "") is None
    assert not (tmp_path / "change").exists()


def test_packing_leaves_the_index_of_the_working_tree_alone(clone: Clone, tmp_path: Path) -> None:
    clone.bump()
    clone.write("requirements/new.txt", "new==1\n")
    before = git(clone.root, "status", "--porcelain")
    change.write(clone.root, tmp_path / "change", ROW, clone.base, "Bump", "")
    assert git(clone.root, "status", "--porcelain") == before
    assert b"requirements/new.txt" in (tmp_path / "change" / change.PATCH).read_bytes()


# --- a hostile artefact ---


def a_workflow(clone: Clone) -> bytes:
    clone.write(".github/workflows/test.yml", "name: test\non: push\n")
    return clone.difference()


def a_new_workflow(clone: Clone) -> bytes:
    clone.write(".github/workflows/new.yml", "name: new\n")
    return clone.difference()


def a_program(clone: Clone) -> bytes:
    clone.write("tools/pinned.py", "print('there')\n")
    return clone.difference()


def a_link(clone: Clone) -> bytes:
    (clone.root / "requirements/link.txt").symlink_to("/etc/passwd")
    return clone.difference()


def a_file_made_a_link(clone: Clone) -> bytes:
    (clone.root / "versions.lock").unlink()
    (clone.root / "versions.lock").symlink_to("/etc/passwd")
    return clone.difference()


def an_executable(clone: Clone) -> bytes:
    (clone.root / "versions.lock").chmod(0o755)
    return clone.difference()


def a_new_executable(clone: Clone) -> bytes:
    clone.write("docs/page.md", "#!/bin/sh\n")
    (clone.root / "docs/page.md").chmod(0o755)
    return clone.difference()


def a_repository_inside(clone: Clone) -> bytes:
    return (
        f"diff --git a/docs/page.md b/docs/page.md\nnew file mode 160000\nindex {'0' * 40}..{clone.base}\n--- /dev/null\n"
        f"+++ b/docs/page.md\n@@ -0,0 +1 @@\n+Subproject commit {clone.base}\n"
    ).encode()


def a_path_outside(clone: Clone) -> bytes:
    return b"diff --git a/../outside.md b/../outside.md\nnew file mode 100644\n--- /dev/null\n+++ b/../outside.md\n@@ -0,0 +1 @@\n+text\n"


def a_path_into_git(clone: Clone) -> bytes:
    return a_path_outside(clone).replace(b"../outside.md", b".git/hooks/post-checkout")


def an_absolute_path(clone: Clone) -> bytes:
    return a_path_outside(clone).replace(b"/../outside.md", b"//tmp/outside.md")


def a_quoted_path(clone: Clone) -> bytes:
    return a_path_outside(clone).replace(b"b/../outside.md", b'"b/docs/\\303\\244.md"')


def a_path_with_a_line_break(clone: Clone) -> bytes:
    clone.write("docs/a\n.md", "text\n")
    return clone.difference()


def a_rename(clone: Clone) -> bytes:
    git(clone.root, "mv", "requirements/host.txt", "tools/host.py")
    return clone.difference()


def bytes_that_are_no_text(clone: Clone) -> bytes:
    (clone.root / "versions.lock").write_bytes(b"\xff\xfe" * 500 + b"\0")
    return clone.difference()


def a_few_bytes_that_unpack_to_a_gigabyte(clone: Clone) -> bytes:
    """Declare a size of 8 GiB: git would set the memory aside before it looks at the content."""
    return (
        f"diff --git a/docs/page.md b/docs/page.md\nnew file mode 100644\nindex {'0' * 40}..{'1' * 40}\nGIT binary patch\n"
        f"literal {8 << 30}\nzcmZQzKmmx1X#xQ;NeKo3\n\nliteral 0\nHcmV?d00001\n\n"
    ).encode()


def another_line_end(clone: Clone) -> bytes:
    clone.write("versions.lock", LOCK)
    (clone.root / "versions.lock").write_bytes(LOCK.replace("\n", "\r\n").encode())
    return clone.difference()


def many_files(clone: Clone) -> bytes:
    for number in range(change.MAX_FILES + 1):
        clone.write(f"requirements/{number}.txt", "a\n")
    return clone.difference()


def a_large_file(clone: Clone) -> bytes:
    clone.write("requirements/host.txt", "a" * (change.MAX_FILE_BYTES + 1))
    return clone.difference()


def a_large_patch(clone: Clone) -> bytes:
    return b"x" * (change.MAX_PATCH_BYTES + 1)


def no_patch(clone: Clone) -> bytes:
    return b"no patch at all\n"


def an_empty_patch(clone: Clone) -> bytes:
    return b""


def a_patch_of_another_base(clone: Clone) -> bytes:
    clone.bump()
    return clone.difference().replace(b"-        version: 5.1.0", b"-        version: 4.0.0")


HOSTILE: list[Callable[[Clone], bytes]] = [
    a_workflow, a_new_workflow, a_program, a_link, a_file_made_a_link, an_executable, a_new_executable,
    a_repository_inside, a_path_outside, a_path_into_git, an_absolute_path, a_quoted_path, a_path_with_a_line_break,
    a_rename, bytes_that_are_no_text, a_few_bytes_that_unpack_to_a_gigabyte, another_line_end, many_files,
    a_large_file, a_large_patch, no_patch, an_empty_patch, a_patch_of_another_base,
]  # fmt: skip


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda make: make.__name__)
def test_a_hostile_patch_is_refused_and_nothing_is_pushed(
    clone: Clone, tmp_path: Path, hostile: Callable[[Clone], bytes]
) -> None:
    patch = hostile(clone)
    git(clone.root, "clean", "-qfd")
    sha256 = clone.handed_on(tmp_path / "change", patch)
    arguments = ["--row", ROW, "--base", clone.base, "--change", str(tmp_path / "change"), "--sha256", sha256]
    for verb in (["apply"], ["push", "--out", str(tmp_path / "text.md")]):
        with pytest.raises(DamagedResult):
            command_line.run([*verb, *arguments], {}, clone.root)
    assert git(clone.root, "rev-parse", "HEAD").decode().strip() == clone.base
    assert git(clone.root, "status", "--porcelain") == b"" and not (tmp_path / "outside.md").exists()
    assert clone.on_the_remote("bump/cpu/datasets") == ""


def test_every_hostile_patch_is_refused_by_a_sentence_that_names_the_reason(clone: Clone, tmp_path: Path) -> None:
    reasons = {
        a_workflow: ".github/workflows/test.yml, which no bump writes",
        a_program: "tools/pinned.py, which no bump writes",
        a_link: "the mode 120000",
        an_executable: "the mode 100755",
        bytes_that_are_no_text: "no text",
        many_files: "changes 401 files",
        an_empty_patch: "does not apply",
        a_patch_of_another_base: "does not apply",
    }
    for number, (hostile, words) in enumerate(reasons.items()):
        patch = hostile(clone)
        git(clone.root, "clean", "-qfd")
        folder = tmp_path / str(number)
        with pytest.raises(DamagedResult, match=words):
            branch.commit(clone.root, folder, clone.handed_on(folder, patch), ROW, clone.base)


def test_an_artefact_that_was_replaced_is_refused(clone: Clone, tmp_path: Path) -> None:
    """The sha256 comes as the output of the job that made the change; a later job can replace files, and no output."""
    clone.bump()
    sha256 = clone.packed(tmp_path / "change")
    clone.write("versions.lock", LOCK.replace("5.1.0", "6.6.6"))
    other = clone.difference()
    (tmp_path / "change" / change.PATCH).write_bytes(other)
    with pytest.raises(DamagedResult, match=r"change.patch is not the patch"):
        branch.commit(clone.root, tmp_path / "change", sha256, ROW, clone.base)
    clone.handed_on(tmp_path / "change", other)
    with pytest.raises(DamagedResult, match=r"change.json is not what the job handed on"):
        branch.commit(clone.root, tmp_path / "change", sha256, ROW, clone.base)


@pytest.mark.parametrize(("row", "of_base"), [("cpu/torch", True), (ROW, False)])
def test_a_change_of_another_row_or_base_is_refused(clone: Clone, tmp_path: Path, row: str, of_base: bool) -> None:
    clone.bump()
    sha256 = clone.packed(tmp_path / "change")
    with pytest.raises(DamagedResult, match="this job is for"):
        branch.commit(clone.root, tmp_path / "change", sha256, row, clone.base if of_base else "5" * 39 + "4")


def test_a_fifo_in_the_place_of_a_file_is_refused_at_once(clone: Clone, tmp_path: Path) -> None:
    folder = tmp_path / "change"
    folder.mkdir()
    os.mkfifo(folder / change.FACTS)
    with pytest.raises(DamagedResult, match="FIFO"):
        change.read(folder, "0" * 63 + "1")


@pytest.mark.parametrize(
    "facts", ["{", "[]", '{"row": "cpu/x"}', '{"row": "../x", "base": "x"}', '{"a": 1, "a": 2}', "[" * 90_000]
)
def test_facts_of_another_form_are_refused(tmp_path: Path, facts: str) -> None:
    (tmp_path / change.FACTS).write_text(facts)
    with pytest.raises(DamagedResult):
        change.read(tmp_path, hashlib.sha256(facts.encode()).hexdigest())


def test_a_job_that_packs_what_no_bump_writes_fails_itself(clone: Clone, tmp_path: Path) -> None:
    clone.write("tools/pinned.py", "print('there')\n")
    with pytest.raises(DamagedResult, match=r"tools/pinned.py, which no bump writes"):
        change.write(clone.root, tmp_path / "change", ROW, clone.base, "Bump", "")


def test_title_and_text_of_a_change_call_nobody_and_close_nothing(clone: Clone, tmp_path: Path) -> None:
    """A build that runs while the lock is compiled may write them; a forge also acts on the message of a commit."""
    clone.bump()
    told_by_a_build = ("Bump x, @everybody", "/merge\n\nfixes #12, fixes &num;12 <img src=https://a.example>")
    sha256 = change.write(clone.root, tmp_path / "change", ROW, clone.base, *told_by_a_build)
    assert sha256 is not None
    made, taken = branch.commit(clone.root, tmp_path / "change", sha256, ROW, clone.base)
    message = git(clone.root, "show", "--no-patch", "--format=%B", made).decode()
    for text in (message, f"{taken.title}\n\n{told.text_of(taken)}"):
        assert "everybody" in text and "merge" in text
        assert not any(word in text for word in ("@everybody", "\n/merge", "#12", "&num;", "<img"))


# --- the base of a comparison ---


def test_a_pull_request_is_compared_with_the_commit_where_it_left_its_base(clone: Clone, tmp_path: Path) -> None:
    """What others merged since is no change of the pull request."""
    git(clone.root, "checkout", "--quiet", "-b", "ahead")
    clone.write("CHANGELOG.md", "of somebody else\n")
    merged = clone.commit("merged meanwhile")
    git(clone.root, "push", "--quiet", "origin", f"{merged}:refs/heads/main")
    git(clone.root, "fetch", "--quiet", "origin")
    git(clone.root, "checkout", "--quiet", "--detach", clone.base)
    clone.bump()
    clone.commit("the pull request")
    output = tmp_path / "output"
    for ref in (merged, "origin/main"):
        assert base.commit(clone.root, ref, branch_point=True) == clone.base
        assert base.commit(clone.root, ref, branch_point=False) == merged
    # a clone of a job has the branches of the remote alone
    git(clone.root, "branch", "--quiet", "-D", "main", "ahead")
    arguments = ["base", "--ref", "main", "--branch-point"]
    assert command_line.run(arguments, {"GITHUB_OUTPUT": str(output)}, clone.root) == 0
    assert output.read_text() == f"commit={clone.base}\n"


def test_a_base_that_is_not_here_is_told(clone: Clone) -> None:
    for ref in ("nothing", "--output=/tmp/x", ""):
        with pytest.raises(InputError, match="is no branch, tag or commit of this clone"):
            base.commit(clone.root, ref, branch_point=True)
    tree = git(clone.root, "rev-parse", "HEAD^{tree}").decode().strip()
    alone = git(clone.root, "commit-tree", tree, "-m", "alone", variables=WHO).decode().strip()
    with pytest.raises(InputError, match="no commit in common"):
        base.commit(clone.root, alone, branch_point=True)


# --- the branch ---


@pytest.mark.parametrize("row", ["-x", "a..b/c", "a b", "a/b.lock", "", "A/b", "x/" + "y" * 300, "a/b\n"])
def test_a_row_that_makes_no_branch_is_refused(row: str) -> None:
    with pytest.raises(UsageError):
        branch.name_of(row)


def test_the_token_is_in_no_argument_and_no_address(
    clone: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It travels in git's configuration by variables, and for the host of the remote alone."""
    git(clone.root, "remote", "set-url", "origin", "https://gitlab-ci-token:x@forge.example/team/kit")
    address, login = branch._remote(clone.root, {"GITHUB_TOKEN": TOKEN})
    assert (
        login["GIT_CONFIG_KEY_0"] == "http.https://forge.example/.extraHeader"
        and address == "https://forge.example/team/kit"
    )
    assert TOKEN not in str(login)
    calls: list[tuple[str, ...]] = []

    def recorded(root: Path, *arguments: str, **options: object) -> bytes:
        calls.append(arguments)
        return b"https://forge.example/team/kit\n" if arguments[0] == "remote" else b""

    monkeypatch.setattr(branch, "git", recorded)
    branch.push(clone.root, clone.base, "bump/cpu/datasets", {"GITHUB_TOKEN": TOKEN})
    assert any(call[0] == "push" for call in calls) and TOKEN not in str(calls)


@pytest.mark.parametrize(
    ("told", "ends"),
    [
        ("To https://forge.example/kit\n ! [rejected] 1 -> bump/x (stale info)\nerror: failed", "moved meanwhile, and is not overwritten"),
        ("remote: no such policy\nTo https://forge.example/kit\n ! [remote rejected] (hook declined)", "no such policy.*hook declined"),
    ],
)  # fmt: skip
def test_a_refused_push_says_why(clone: Clone, monkeypatch: pytest.MonkeyPatch, told: str, ends: str) -> None:
    """Git names the place first, which is not the reason."""
    real = subprocess.run

    def refusing(command: list[str], **options: object) -> object:
        done = real(command, **options)  # type: ignore[call-overload]
        return subprocess.CompletedProcess(command, 1, b"", told.encode()) if "push" in command else done

    monkeypatch.setattr(change.subprocess, "run", refusing)
    with pytest.raises(PublishFailed, match=ends):
        branch.push(clone.root, clone.base, "bump/cpu/datasets", {})


def test_an_error_of_git_never_shows_the_token(clone: Clone) -> None:
    git(clone.root, "remote", "set-url", "origin", f"http://x:{TOKEN}@127.0.0.1:9/kit")
    with pytest.raises(KitError) as caught:
        branch.push(clone.root, clone.base, "bump/cpu/datasets", {"GITHUB_TOKEN": TOKEN})
    assert TOKEN not in str(caught.value)


GOOD_VERDICT = b'{"word": "INCONCLUSIVE", "reasons": ["the host was contended"]}'


def pipeline_of(clone: Clone, folder: Path, forge: Forge, verdict: bytes | None, comment: bytes = b"") -> list[str]:
    """Let the two jobs before publish hand on a bump and a report, and return the arguments of publish."""
    clone.bump()
    clone.packed(folder / "change")
    files = {path.name: path.read_bytes() for path in (folder / "change").iterdir()}
    forge.job_hands_on(artefacts.CARRY_OUT, artefacts.CHANGE, files)
    given = {} if verdict is None else {"verdict.json": verdict, "comment.md": comment}
    forge.job_hands_on(artefacts.CHECK, artefacts.REPORT, given)
    return ["publish", "--row", ROW, "--base", clone.base, "--pipeline", PIPELINE_ID, "--into", "main"]


def test_one_step_publishes_from_checked_files_alone_and_a_second_run_updates(clone: Clone, tmp_path: Path) -> None:
    with Forge("gitlab") as forge:
        arguments = pipeline_of(clone, tmp_path, forge, GOOD_VERDICT, b"## cpu/datasets\n\nthanks @everybody\n/merge\n")
        for _ in range(2):
            assert command_line.run(arguments, forge.environment(), clone.root) == 0
    (pull,), (comment,), status = forge.pulls, forge.comments[1], forge.statuses[-1]
    assert pull["title"] == "Bump cpu/datasets from 5.1.0 to 5.2.0"
    assert "that job's" in str(pull) and "Nobody's numbers change." in str(pull)
    assert comment["body"].startswith("<!-- bloomz-bench: bump -->\n## cpu/datasets")
    assert "@everybody" not in comment["body"] and "\n/merge" not in comment["body"]
    assert (status["state"], status["sha"]) == ("skipped", clone.on_the_remote("bump/cpu/datasets"))


def test_a_report_of_another_form_publishes_nothing(clone: Clone, tmp_path: Path) -> None:
    for verdict in (b'{"word": "PASS"}', b" " * (report.MAX_VERDICT_BYTES + 1)):
        with Forge("gitlab") as forge, pytest.raises(DamagedResult):
            command_line.run(pipeline_of(clone, tmp_path, forge, verdict), forge.environment(), clone.root)
        assert forge.changes() == [] and clone.on_the_remote("bump/cpu/datasets") == ""


def test_a_job_that_handed_no_report_on_is_a_fail(clone: Clone, tmp_path: Path) -> None:
    with Forge("gitlab") as forge:
        assert command_line.run(pipeline_of(clone, tmp_path, forge, None), forge.environment(), clone.root) == 0
    assert forge.statuses[-1]["state"] == "failed" and "was stopped" in forge.comments[1][0]["body"]


def test_publish_fetches_the_files_that_it_knows_and_takes_the_change_from_no_other_job(
    clone: Clone, tmp_path: Path
) -> None:
    """The job that ran the new code may hand on any file; GitLab would unpack them over the checkout."""
    with Forge("gitlab") as forge:
        arguments = pipeline_of(clone, tmp_path, forge, GOOD_VERDICT)
        check = forge.jobs[-1]["id"]
        for path in ("tools/pinned.py", "build/change/change.json", "build/change/change.patch", ".git/config"):
            forge.artefacts[check, path] = b"print('the new code')\n"
        assert command_line.run(arguments, forge.environment(), clone.root) == 0
    asked = {call.path.partition("/artifacts/")[2] for call in forge.calls if "/artifacts/" in call.path}
    assert asked == {f"build/change/{name}" for name in ("change.json", "change.patch")} | {
        f"build/untrusted/{name}" for name in ("verdict.json", "comment.md")
    }
    assert git(clone.root, "status", "--porcelain", "--", "tools").decode() == ""


def test_a_pipeline_without_a_change_publishes_nothing(clone: Clone, tmp_path: Path) -> None:
    with Forge("gitlab") as forge:
        arguments = pipeline_of(clone, tmp_path, forge, GOOD_VERDICT)
        forge.jobs.pop(0)
        with pytest.raises(DamagedResult, match="handed on no build/change/change.json"):
            command_line.run(arguments, forge.environment(), clone.root)
    assert forge.changes() == [] and clone.on_the_remote("bump/cpu/datasets") == ""


def test_pushed_images_are_recorded_without_the_words_of_a_bump(clone: Clone, tmp_path: Path) -> None:
    clone.write("versions.lock", LOCK + "built:\n  cpu:\n    digest: sha256:1\n")
    title, body = told.of(clone.root, "images", clone.base)
    assert (title, "make images PUSH" in body) == ("Record pushed images", True)
    sha256 = change.write(clone.root, tmp_path / "change", "images", clone.base, title, body)
    assert sha256 is not None
    taken, _ = change.read(tmp_path / "change", sha256)
    assert "new code" not in told.text_of(taken) and branch.name_of("images") == "bump/images"


def test_branches_of_a_bare_package_and_of_a_dataset_stand_beside_each_other(clone: Clone) -> None:
    rows = ("datasets", "datasets/tldr_news", "cpu/datasets", "cpu", "models/bloom", "models")
    branches = [branch.name_of(row) for row in rows]
    assert branches[:2] == ["bump/all-stacks+datasets", "bump/datasets/tldr_news"] and len(set(branches)) == len(rows)
    for name in branches:
        assert branch.push(clone.root, clone.base, name, {})
        assert clone.on_the_remote(name) == clone.base


def test_a_bump_that_changed_nothing_puts_out_no_sha256(clone: Clone, tmp_path: Path) -> None:
    arguments = ["pack", "--row", ROW, "--base", clone.base, "--out", str(tmp_path / "change")]
    assert command_line.run(arguments, {"GITHUB_OUTPUT": str(tmp_path / "output")}, clone.root) == 0
    assert (tmp_path / "output").read_text() == "sha256=\n"
    with pytest.raises(InputError, match="nothing changed"):
        command_line.run([*arguments, "--must-change"], {}, clone.root)
