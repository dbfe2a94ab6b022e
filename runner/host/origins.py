"""Ask where pins come from: package index, model hub, image registry, git. The only module that reaches the network.

Every function returns what it was asked for, None where the origin answers that there is none, and raises
``Unreachable`` where it does not answer.
"""

import json
import shutil
import subprocess
import sys
import tempfile

from runner.contract.errors import Unreachable

TIMEOUT_S = 120


def package_sha256(name, version):
    """Return the sha256 of the file that pip takes for a pure Python package, and whether its release was yanked.

    pip itself asks, so that the user's index settings hold.
    """
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--dry-run",
        "--ignore-installed",
        "--no-deps",
        "--quiet",
        "--report",
        "-",
    ]
    said = _run(
        [*command, "--only-binary", ":all:", "--ignore-requires-python", f"{name}=={version}"],
        f"the index, for {name} {version}",
    )
    found = json.loads(said)["install"][0]
    return found["download_info"]["archive_info"]["hashes"]["sha256"], found["is_yanked"]


def hub_revision(kind, repository, short):
    """Return the full revision of a hub repository (``kind`` model or dataset) that begins with ``short``, else None."""
    import huggingface_hub

    try:
        commits = huggingface_hub.HfApi().list_repo_commits(repository, repo_type=kind)
    except Exception as problem:  # the client raises those of its HTTP library too
        raise Unreachable(f"the hub, for {repository}: {_first_line(problem)}") from None
    return next((commit.commit_id for commit in commits if commit.commit_id.startswith(short)), None)


def hub_files(kind, repository, revision):
    """Return name to sha256 of the large files of a repository at a revision, as the hub's storage knows them."""
    import huggingface_hub

    try:
        found = huggingface_hub.HfApi().repo_info(repository, repo_type=kind, revision=revision, files_metadata=True)
    except Exception as problem:  # the client raises those of its HTTP library too
        raise Unreachable(f"the hub, for {repository}: {_first_line(problem)}") from None
    return {file.rfilename: file.lfs["sha256"] for file in found.siblings if file.lfs}


def image_digest(repository, tag):
    """Return the digest that a registry has for a tag, through skopeo."""
    if shutil.which("skopeo") is None:
        raise Unreachable(f"the registry, for {repository}:{tag}: skopeo is not installed (apt-get install skopeo)")
    command = ["skopeo", "inspect", "--raw", "--command-timeout", f"{TIMEOUT_S}s", f"docker://{repository}:{tag}"]
    manifest = _run(command, f"the registry, for {repository}:{tag}", binary=True)
    return _run(["skopeo", "manifest-digest", "/dev/stdin"], "skopeo", given=manifest).strip()


def branch_commit(repository, branch):
    """Return the commit that a branch of a git repository points to, None where there is no such branch."""
    said = _run(["git", "ls-remote", repository, f"refs/heads/{branch}"], f"git, for {repository}")
    return said.split()[0] if said.strip() else None


def commit_tree(repository, commit):
    """Return the tree hash of a commit; only the commit object is fetched."""
    with tempfile.TemporaryDirectory() as folder:
        _run(["git", "init", "--quiet", "--bare", folder], "git")
        _run(
            ["git", "-C", folder, "fetch", "--quiet", "--depth=1", "--filter=tree:0", repository, commit],
            f"git, for {repository}",
        )
        return _run(["git", "-C", folder, "rev-parse", f"{commit}^{{tree}}"], "git").strip()


def _run(command, origin, given=None, binary=False):
    try:
        done = subprocess.run(
            command, input=given, stdin=None if given else subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        raise Unreachable(f"{origin}: no answer in {TIMEOUT_S} s") from None
    except OSError as problem:
        raise Unreachable(f"{origin}: {command[0]} cannot be run: {problem.strerror}; install it") from None
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise Unreachable(f"{origin}: {said[-1] if said else f'status {done.returncode}'}")
    return done.stdout if binary else done.stdout.decode()


def _first_line(problem):
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0]
