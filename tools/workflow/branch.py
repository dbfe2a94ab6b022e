"""Put a change onto a branch: make its commit, and push it. No working tree is touched, and no file of the change is ever run.

The token travels in a variable of git's configuration, never in an argument or an address. Source: git-config(1), GIT_CONFIG_COUNT;
docs.github.com, "Git authentication": any user name with a token as password.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from runner.contract import patterns, secrets
from runner.contract.errors import DamagedResult, PublishFailed, UsageError
from runner.contract.text import printable
from tools.workflow import change
from tools.workflow.change import GitFailed, git
from tools.workflow.markdown import harmless
from tools.workflow.told import PUSHED

NAME, EMAIL = "bloomz-bench bump", "bump@bloomz-bench.invalid"
# No row begins so: names of rows have no plus sign.
_ALL_STACKS = "all-stacks+"


def name_of(row: str) -> str:
    """Return the branch of a row. Raises ``UsageError`` for a row whose name makes no branch.

    A bare package means that package in all stacks, and its branch says so: git keeps no branch `bump/datasets` beside
    `bump/datasets/NAME`, which is that of a dataset.
    """
    is_bare = "/" not in row and row != PUSHED
    branch = f"bump/{_ALL_STACKS}{row}" if is_bare else f"bump/{row}"
    if patterns.problem(patterns.BRANCH, branch) or not change.ROW.fullmatch(row):
        raise UsageError(f"{printable(row, 100)!r} makes no name of a branch. Name a row as `make bump` lists it.")
    return branch


def commit(root: Path, folder: Path, sha256: str, row: str, base: str) -> tuple[str, change.Change]:
    """Make the commit of a change in the repository of ``root``; return its id and the change, whose title and text are harmless.

    ``row`` and ``base`` are what this job was started for. Raises ``DamagedResult`` for a change that is of something else.
    """
    taken, patch = change.read(folder, sha256)
    if (taken.row, taken.base) != (row, base):
        raise DamagedResult(
            f"the change is of {printable(taken.row, 100)} on {taken.base[:12]}; this job is for {row} on {base[:12]}. Run the jobs again."
        )
    # a build that ran while the lock was compiled may have written both, and a forge acts on the message of a commit too
    taken = replace(taken, title=harmless(taken.title), body=harmless(taken.body))
    tree = change.tree_of(root, base, patch)
    # the same change on the same base is the same commit, whenever it is made: a second run finds its own
    when = f"{git(root, 'show', '--no-patch', '--format=%ct', base).decode().strip()} +0000"
    who = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER")
           for key, value in (("NAME", NAME), ("EMAIL", EMAIL), ("DATE", when))}  # fmt: skip
    message = f"{taken.title}\n\n{taken.body}".strip() + "\n"
    made = git(root, "commit-tree", tree, "-p", base, "-F", "-", variables=who, given=message.encode()).decode().strip()
    return made, taken


def push(root: Path, commit_id: str, branch: str, environment: Mapping[str, str], dry_run: bool = False) -> bool:
    """Push a commit as a branch to the remote origin; return False where the branch is that commit already.

    A branch whose newest commit is a person's is left alone: ``PublishFailed``. A branch that moves meanwhile is not overwritten.
    """
    address, login = _remote(root, environment)
    reference = f"refs/heads/{branch}"
    listed = git(root, "ls-remote", address, reference, variables=login).decode().split()
    there = listed[0] if listed else ""
    if there == commit_id:
        return False
    if there:
        # only a clone without its history, as a job has it, is to stay so
        is_shallow = git(root, "rev-parse", "--is-shallow-repository").decode().strip() == "true"
        git(root, "fetch", "--no-tags", *(["--depth=1"] if is_shallow else []), address, reference, variables=login)
        who = git(root, "show", "--no-patch", "--format=%ce", there).decode().strip()
        if who != EMAIL:
            raise PublishFailed(
                f"{branch} has a commit of {printable(who, 100)}, which is not overwritten. Merge or close its pull request, or delete"
                " the branch; the next run makes it anew."
            )
    if dry_run:
        print(f"dry run: {commit_id} would be pushed as {branch}")
        return True
    try:
        git(
            root,
            "push",
            f"--force-with-lease={reference}:{there}",
            address,
            f"{commit_id}:{reference}",
            variables=login,
        )
    except GitFailed as problem:
        if "(stale info)" in problem.told:
            raise PublishFailed(f"{branch} moved meanwhile, and is not overwritten. Run the job again.") from None
        raise PublishFailed(
            f"{branch} could not be pushed: {problem.told}. Check the job's right to write contents, and the rules of the branch."
        ) from None
    return True


def _remote(root: Path, environment: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return the address of origin without a user, and the variables by which git logs in there.

    Without a token, or where origin is no https, the address is origin's own and git logs in as it is set up to.
    """
    token = environment.get("GITHUB_TOKEN") or environment.get("BLOOMZ_BENCH_GITLAB_TOKEN") or ""
    address = git(root, "remote", "get-url", "--push", "origin").decode().strip()
    match = re.fullmatch(r"https://(?:[^/@]*@)?(([^/@]+)/.*)", address)
    if not token or match is None:
        return address, {}
    secrets.remember(token)
    basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    secrets.remember(basic)
    return f"https://{match[1]}", {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.https://{match[2]}/.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {basic}",
    }
