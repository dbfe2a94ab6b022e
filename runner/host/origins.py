"""Ask where pins come from: package index, model hub, image registry, git. The only module that reaches the network.

Every function returns what it was asked for, None where the origin answers that there is none, and raises
``Unreachable`` where it does not answer.
"""

import functools
import hashlib
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request

from runner.contract.errors import InputError, Unreachable
from runner.contract.files import sha256_of_file

TIMEOUT_S = 120
DOWNLOAD_S = 3600

_ONLY_WHEELS = ("--only-binary", ":all:")


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


def wheels(requirements, python, platforms, folder, index=None):
    """Fetch the wheels of a hash-locked requirements file into ``folder``; what lies there already is only checked.

    ``python`` is the target's, such as 3.12, ``platforms`` its wheel platforms, ``index`` another one than the user's. pip
    itself fetches, so that the user's settings hold, and refuses every file whose hash is not in the requirements.
    """
    command = [*(sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--no-deps"), *_ONLY_WHEELS]
    command += ["--python-version", python, "--implementation", "cp", "--dest", str(folder), "-r", str(requirements)]
    command += [part for platform in platforms for part in ("--platform", platform)]
    if index is not None:
        command += ["--index-url", index]
    _run(command, f"the index, for the wheels of {requirements.name}", timeout_s=DOWNLOAD_S)


def source_distribution(name, hashes, folder):
    """Fetch the source distribution of a package whose sha256 is among ``hashes``, without running anything of it.

    pip would run its setup.py to learn what it needs, so the index is asked directly, in the JSON of PEP 691.
    """
    index = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/")
    page = json.loads(_get(f"{index}/{name}/", accept="application/vnd.pypi.simple.v1+json"))
    for file in page["files"]:
        sha256 = file["hashes"].get("sha256")
        if sha256 in hashes and not file["filename"].endswith(".whl"):
            target = folder / file["filename"]
            if not target.exists() or sha256_of_file(target) != sha256:
                content = _get(urllib.parse.urljoin(f"{index}/{name}/", file["url"]))
                if hashlib.sha256(content).hexdigest() != sha256:
                    raise Unreachable(f"the index, for {file['filename']}: its bytes are not those of its locked hash")
                target.write_bytes(content)
            return target
    raise Unreachable(f"the index, for {name}: it has no source distribution with a locked hash any more")


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
    """Return the digest that a registry has for a tag, through skopeo; None where it has no such tag."""
    manifest = _manifest(f"{repository}:{tag}")
    return None if manifest is None else _digest(manifest)


def platform_digest(repository, digest):
    """Return the digest of the linux/amd64 manifest in an image; the image's own where it is for one platform.

    None where the registry has no such digest. Raises ``InputError`` where its list has no linux/amd64.
    """
    manifest = _manifest(f"{repository}@{digest}")
    if manifest is None:
        return None
    if _digest(manifest) != digest:
        raise Unreachable(f"the registry, for {repository}@{digest}: it sent another manifest")
    listed = json.loads(manifest).get("manifests")
    if listed is None:
        return digest
    for entry in listed:
        if (entry["platform"]["os"], entry["platform"]["architecture"]) == ("linux", "amd64"):
            return entry["digest"]
    raise InputError(f"{repository}@{digest} has no image for linux/amd64. Pin another one in versions.lock.")


def _manifest(reference):
    """Return the bytes of a manifest as the registry holds it, None where it says that there is none."""
    if shutil.which("skopeo") is None:
        raise Unreachable(f"the registry, for {reference}: skopeo is not installed (apt-get install skopeo)")
    command = ["skopeo", "inspect", "--raw", "--command-timeout", f"{TIMEOUT_S}s", f"docker://{reference}"]
    try:
        return _run(command, f"the registry, for {reference}", binary=True)
    except Unreachable as problem:
        if "manifest unknown" in str(problem) or "name unknown" in str(problem):
            return None
        raise


def _digest(manifest):
    return _run(["skopeo", "manifest-digest", "/dev/stdin"], "skopeo", given=manifest).strip()


def hub_has(kind, repository, revision):
    """Return whether the hub has a repository at a revision."""
    import huggingface_hub
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        huggingface_hub.HfApi().repo_info(repository, repo_type=kind, revision=revision)
    except (RepositoryNotFoundError, RevisionNotFoundError):
        return False
    except Exception as problem:  # the client raises those of its HTTP library too
        raise Unreachable(f"the hub, for {repository}: {_first_line(problem)}") from None
    return True


@functools.cache
def index_files(name, index=None):
    """Return sha256 to the reason of a withdrawal, None for none, of every file that an index has of a package.

    Both forms of the simple repository API are read: JSON (PEP 691), and HTML, which torch's own index speaks alone.
    """
    index = (index or os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple")).rstrip("/")
    page = _get(f"{index}/{name}/", accept="application/vnd.pypi.simple.v1+json, text/html;q=0.1").decode()
    if page.lstrip().startswith("{"):
        files = [(file["hashes"].get("sha256"), file.get("yanked", False)) for file in json.loads(page)["files"]]
        return {sha256: (reason if isinstance(reason, str) else "") if reason else None for sha256, reason in files}
    return {
        sha256[1]: (yanked[1] or "") if (yanked := re.search(r"data-yanked(?:=\"([^\"]*)\")?", link)) else None
        for link in re.findall(r"<a [^>]*>", page)
        if (sha256 := re.search(r"#sha256=([0-9a-f]{64})", link))
    }


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


def export_tree(repository, commit, tree, folder):
    """Write the files of a commit into ``folder``, and return its time in Unix seconds.

    Raises ``InputError`` unless its tree has the hash ``tree``.

    ``repository`` is an address or a folder; only this commit is fetched.
    """
    with tempfile.TemporaryDirectory() as scratch:
        _run(["git", "init", "--quiet", "--bare", scratch], "git")
        fetch = [
            "git",
            "-C",
            scratch,
            "-c",
            "protocol.version=2",
            "fetch",
            "--quiet",
            "--depth=1",
            str(repository),
            commit,
        ]
        _run(fetch, f"git, for {repository}", timeout_s=DOWNLOAD_S)
        found = _run(["git", "-C", scratch, "rev-parse", f"{commit}^{{tree}}"], "git").strip()
        if found != tree:
            raise InputError(f"Commit {commit} of {repository} has the tree {found}; versions.lock says {tree}.")
        archive = _run(["git", "-C", scratch, "-c", "tar.umask=0022", "archive", commit], "git", binary=True)
        _run(["tar", "-x", "--no-same-owner", "-C", str(folder)], "tar", given=archive)
        return int(_run(["git", "-C", scratch, "show", "--no-patch", "--format=%ct", commit], "git"))


def _get(address, accept="*/*"):
    request = urllib.request.Request(address, headers={"Accept": accept})  # noqa: S310 (the user's own index)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            return answer.read()
    except (OSError, http.client.HTTPException) as problem:
        raise Unreachable(f"the index, for {address}: {_first_line(problem)}") from None


def _run(command, origin, given=None, binary=False, timeout_s=TIMEOUT_S):
    try:
        done = subprocess.run(
            command, input=given, stdin=None if given else subprocess.DEVNULL, capture_output=True, timeout=timeout_s
        )
    except subprocess.TimeoutExpired:
        raise Unreachable(f"{origin}: no answer in {timeout_s} s") from None
    except OSError as problem:
        raise Unreachable(f"{origin}: {command[0]} cannot be run: {problem.strerror}; install it") from None
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines() or [f"status {done.returncode}"]
        logged = re.search(r'level=fatal msg="(.*)"$', said[-1])  # skopeo speaks in the words of its log
        raise Unreachable(f"{origin}: {logged[1] if logged else said[-1]}")
    return done.stdout if binary else done.stdout.decode()


def _first_line(problem):
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0]
