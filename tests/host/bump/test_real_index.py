"""A bump of the kit itself, with the real package index: from the verb to manifests and pages, and back by `git checkout`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.version import Version

from runner.contract.errors import InputError, Unreachable
from runner.host import paths
from runner.host.pins import pip_settings
from runner.host.pins.origins import package_index
from runner.host.readers import lockfile
from tests.support import patience

pytestmark = pytest.mark.slow


@pytest.fixture
def earlier() -> str:
    """Return the release of datasets before the locked one. Skips where the index does not answer."""
    locked = Version(lockfile.read().stacks["cpu"].packages["datasets"].version)
    try:
        listed = package_index.releases("datasets")
    except (InputError, Unreachable) as problem:
        pytest.skip(f"the package index does not answer: {problem}")
    older = [one for one in listed if Version(one.version) < locked and one.withdrawn is None]
    return next(one.version for one in reversed(older) if not Version(one.version).is_prerelease)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a clone of the kit as it stands here, all of it committed."""
    folder = tmp_path / "kit"
    listed = ["git", "-C", str(paths.ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, check=True, capture_output=True, encoding="utf-8").stdout.split("\0"):
        source, target = paths.ROOT / name, folder / name
        if name and source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "all"]):
        _git(folder, *words)
    return folder


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *words]
    return subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout


def _run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *words]
    # uv knows pip's certificates by a variable of its own, which the tests' variables leave out
    certificates = pip_settings._settings().get("cert")
    variables = {**os.environ, **({"SSL_CERT_FILE": certificates} if certificates else {})}
    return subprocess.run(
        command, cwd=folder, capture_output=True, encoding="utf-8", timeout=patience.HANG_S, env=variables
    )


def test_a_real_bump_leaves_nothing_to_do_and_is_undone_by_what_it_prints(clone: Path, earlier: str) -> None:
    bumped = _run(clone, "runner", "bump", "cpu/datasets", "--to", earlier)
    assert bumped.returncode == 0, bumped.stderr[-3000:]
    assert "left to do" not in bumped.stdout and "unresolved" not in bumped.stdout
    changed = _git(clone, "status", "--porcelain").split()
    for file in ("versions.lock", "CHANGELOG.md", "images/cpu/requirements-cpu.txt", "k8s/cpu/40-config.yaml"):
        assert file in changed
    assert f"datasets=={earlier}" in (clone / "images/cpu/requirements-cpu.txt").read_text()
    for words in (["runner", "lock", "--check"], ["runner", "render", "--check"], ["docs.generate", "--check"]):
        checked = _run(clone, *words)
        assert checked.returncode == 0, (words, checked.stdout[-2000:], checked.stderr[-2000:])
    undo = bumped.stdout.strip().rpartition("undo: ")[2]
    assert undo.startswith("git checkout -- ")
    subprocess.run(undo, shell=True, cwd=clone, check=True, capture_output=True)
    assert _git(clone, "status", "--porcelain") == ""
