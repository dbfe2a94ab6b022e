"""``bump-check --bisect`` on the real CPU stack, with real packages in which a change was planted: it names the pin that holds it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from runner.contract.errors import Changed
from tests.support import bumped_trees, patience, planted_packages
from tests.support.planted_packages import Change
from tools import pinned

pytestmark = [pytest.mark.bumps, pytest.mark.torch]

# What nobody planted anything in.
HARMLESS: Mapping[str, Change] = {}


class Bump:
    """A repository with two commits, and an index that has what the second one locks."""

    def __init__(self, folder: Path, base: Path, variables: Mapping[str, str]) -> None:
        self.folder, self.base = folder, base
        # the environments of this test alone, made from what uv has fetched before
        cache = Path(os.environ.get("UV_CACHE_DIR") or Path.home() / ".cache" / "uv")
        self.variables = {
            **os.environ,
            **variables,
            "XDG_CACHE_HOME": str(folder / "cache"),
            "UV_CACHE_DIR": str(cache),
        }
        self.repository = folder / "repository"

    def commit(self, tree: Path) -> str:
        self._git("--work-tree", str(tree), "add", "--all", "--force")
        self._git("-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "--quiet", "-m", tree.name)
        return self._git("rev-parse", "HEAD").strip()

    def _git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.repository), *arguments]
        return subprocess.run(command, capture_output=True, check=True, encoding="utf-8").stdout

    def bisect(self, heads: Mapping[str, Mapping[str, Change]]) -> tuple[dict[str, Any], str]:
        """Move each row to a planted release, check the bump, and return verdict.json and the comment."""
        self.repository.mkdir()
        self._git("init", "--quiet")
        before = self.commit(self.base)
        head = bumped_trees.bump(self.base, self.folder / "head", {name: planted(name, heads[name]) for name in heads})
        after = self.commit(head)
        self._git("checkout", "--quiet", "--force", after)
        out = self.folder / "out"
        command = [sys.executable, "-m", "tools.bump_check", "--base", before, "--head", after, "--cases", "cpu-1"]
        command += ["--launches", "1", "--output-tokens", "8", "--no-emulation", "--bisect", "--out", str(out)]
        done = subprocess.run(
            command,
            cwd=self.repository,
            env=self.variables,
            capture_output=True,
            encoding="utf-8",
            timeout=patience.HANG_S * 4,
        )
        print(done.stdout, done.stderr, sep="\n")
        assert done.returncode == Changed.exit_code
        print((out / "comment.md").read_text())
        verdict: dict[str, Any] = json.loads((out / "verdict.json").read_text())
        return verdict, done.stdout


def planted(package: str, changes: Mapping[str, Change]) -> planted_packages.Planted:
    version = pinned.version("cpu", package)
    return planted_packages.release(package, version, f"{version}.post1", changes)


@pytest.fixture
def bump(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bump]:
    releases = [planted(package, changes) for package, changes in request.param.items()]
    with planted_packages.serve(releases) as index:
        for name, value in index.variables().items():
            monkeypatch.setenv(name, value)
        yield Bump(tmp_path, bumped_trees.copy(tmp_path / "base"), index.variables())


# DeepSpeed of this kind gives every logit the other sign, so the token that was the worst is the best.
_ENGINE = "\n    engine = InferenceEngine(model, config=ds_inference_config)\n"
OTHER_LOGITS: Mapping[str, Change] = {
    "deepspeed/__init__.py": planted_packages.in_place_of(
        _ENGINE,
        f"{_ENGINE}    engine.module.register_forward_hook(\n"
        "        lambda module, given, output: (setattr(output, 'logits', -output.logits), output)[1]\n    )\n",
    )
}

ONE = {"transformers": planted_packages.EXTRA_FORWARD_PASS, "datasets": HARMLESS, "deepspeed": HARMLESS}


@pytest.mark.parametrize("bump", [ONE], indirect=True)
def test_the_package_with_the_extra_forward_pass_is_named_among_three_that_moved(bump: Bump) -> None:
    verdict, told = bump.bisect(ONE)
    found = verdict["attribution"]
    assert [cause["pins"] for cause in found["causes"]] == [["cpu/transformers"]]
    assert found["complete"] and found["by"] == "counts" and not found["unresolved"]
    assert sorted(found["parts"]) == ["cpu/datasets", "cpu/deepspeed", "cpu/transformers"]
    words = {tuple(each["moved"]): each["word"] for each in found["compared"]}
    assert words["cpu/transformers",] == "CHANGED" and words["cpu/datasets", "cpu/deepspeed"] == "UNCHANGED"
    assert found["sentence"] in told


TWO = {"transformers": planted_packages.EXTRA_FORWARD_PASS, "datasets": HARMLESS, "deepspeed": OTHER_LOGITS}


@pytest.mark.parametrize("bump", [TWO], indirect=True)
def test_of_two_packages_that_change_something_each_is_named(bump: Bump) -> None:
    verdict, told = bump.bisect(TWO)
    found = verdict["attribution"]
    assert sorted(cause["pins"] for cause in found["causes"]) == [["cpu/deepspeed"], ["cpu/transformers"]]
    assert found["complete"] and found["by"] == "counts" and not found["unresolved"]
    reasons = {tuple(each["moved"]): " ".join(each["reasons"]) for each in found["compared"]}
    assert "forward calls: 8 before, 15 after" in reasons["cpu/transformers",]
    assert "output ids" in reasons["cpu/deepspeed",] and "forward calls" not in reasons["cpu/deepspeed",]
    assert found["sentence"] in told
