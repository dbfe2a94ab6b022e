"""Renovate, told by .github/renovate.json, finds in versions.lock the rows that ``bump`` offers and no others; Renovate itself runs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from runner.host.bump import rows, selection
from runner.host.bump.rows import Row
from runner.host.readers import lockfile, strictyaml
from runner.host.readers.lockfile import UNRESOLVED, Lock
from tests.support import package_index, renovate
from tests.support.package_index import Package

CONFIGURED = json.loads(renovate.CONFIGURATION.read_text(encoding="utf-8"))
PAGE = renovate.ROOT / "docs" / "renovate.md"
DIGEST, COMMIT = f"sha256:{'1f' * 32}", "2e" * 20


def why_not(lock: Lock, row: Row) -> str | None:
    """Return why Renovate has no way to follow a row, None where it has one; docs/renovate.md says the same."""
    if row.kind == "requirements":
        return "its pin is a day, which no origin lists"
    if row.kind == "models" and lock.models[row.where[1]].revision == UNRESOLVED:
        return "its revision is unresolved"
    if row.kind == "sources" and lock.sources[row.where[1]].branch is None and lock.sources[row.where[1]].tag is None:
        return "the lock names no tag to compare with"
    return None


def pinned(lock: Lock, row: Row) -> tuple[str | None, str | None]:
    """Return the value and the digest that the lock pins for a row."""
    table, name = row.where[0], row.where[1]
    if row.kind == "images":
        image = lockfile.images(lock)[row.where]
        return image.tag, image.digest
    if row.kind in ("models", "datasets"):
        return "main", getattr(lock, table)[name].revision
    if row.kind == "sources":
        source = lock.sources[name]
        return source.tag or source.branch, source.commit
    if row.kind == "actions":
        return lock.actions[name].version, lock.actions[name].commit
    return row.current, None


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a git tree that holds the lock, the configuration, and files that Renovate's own managers would read."""
    folder = tmp_path / "tree"
    (folder / ".github" / "workflows").mkdir(parents=True)
    shutil.copy(renovate.CONFIGURATION, folder / ".github")
    for path in (lockfile.paths.LOCK, renovate.ROOT / "pyproject.toml"):
        shutil.copy(path, folder)
    for name in ("requirements", "images"):
        shutil.copytree(renovate.ROOT / name, folder / name)
    for path in (renovate.ROOT / ".github" / "workflows").glob("*.yml"):
        shutil.copy(path, folder / ".github" / "workflows")
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    subprocess.run(["git", "add", "-A"], cwd=folder, check=True)
    return folder


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


@pytest.mark.slow
def test_its_own_validator_takes_the_configuration_and_refuses_a_broken_copy(tmp_path: Path) -> None:
    code, words = renovate.validate(renovate.CONFIGURATION)
    assert code == 0 and "Config validated successfully" in words, words[-2000:]
    broken = tmp_path / "renovate.json"
    for change, named in (
        (lambda document: document["customManagers"][0].pop("datasourceTemplate"), "datasource"),
        (lambda document: document["customManagers"][1].update(matchStrings=["(?<currentValue>"]), "Invalid regExp"),
        (lambda document: document["packageRules"][0].update(allowedVersion="<1"), "allowedVersion"),
    ):
        shutil.copy(renovate.CONFIGURATION, broken)
        edit(broken, change)
        code, words = renovate.validate(broken)
        assert code == 1 and named in words, words[-2000:]


@pytest.mark.slow
def test_an_administrator_s_part_on_the_page_is_taken_too(tmp_path: Path) -> None:
    (part,) = re.findall(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    path = tmp_path / "config.json"
    path.write_text(part)
    code, words = renovate.validate(path, own=False)
    assert code == 0, words[-2000:]


@pytest.mark.slow
def test_it_finds_each_row_that_bump_offers_and_no_other(tree: Path, tmp_path: Path) -> None:
    lock = lockfile.read()
    found = renovate.dependencies(tree, "extract", tmp_path)
    offered = [row for row in rows.of_lock(lock) if why_not(lock, row) is None]
    assert {row.name for row in offered} == {*found}
    for row in offered:
        dependency = found[row.name]
        assert (dependency["currentValue"], dependency.get("currentDigest")) == pinned(lock, row)
    assert not [
        name for name in found if name.partition("/")[0] in lock.stacks and rows.is_kept(lock, name.partition("/")[0])
    ]
    # Whatever is passed over is so for a reason that this file names.
    assert {row.kind for row in rows.of_lock(lock)} == {*rows.KINDS} - ({"actions"} if not lock.actions else set())


@pytest.mark.slow
def test_of_an_index_it_offers_what_the_hold_allows_and_the_stack_s_python_runs(tree: Path, tmp_path: Path) -> None:
    def released(project: str, version: str, python: str = ">=3.10") -> Package:
        return package_index.wheel(project, version, {f"{project}/__init__.py": b""})._replace(requires_python=python)

    lock = lockfile.read()
    held = lock.stacks["cpu"].packages["transformers"].version
    listed = [
        *(released("transformers", version) for version in (held, f"{held}.post1", "99.0.0")),
        *(released("datasets", version) for version in (lock.stacks["cpu"].packages["datasets"].version, "98.0.0")),
        released("datasets", "99.0.0", ">=3.11"),
    ]
    with package_index.serve(listed) as (address, asked):

        def only_the_index(document: dict[str, Any]) -> None:
            others = ["docker", "git-refs", "git-tags", "github-tags"]
            document["packageRules"] += [
                {"matchDatasources": others, "enabled": False},
                {"matchDatasources": ["pypi"], "registryUrls": [address + "/"]},
            ]

        edit(tree / ".github" / "renovate.json", only_the_index)
        subprocess.run(["git", "add", "-A"], cwd=tree, check=True)
        found = renovate.dependencies(tree, "lookup", tmp_path)
    assert any("transformers" in path for path in asked)
    offered = {name: [update["newValue"] for update in found[name].get("updates", [])] for name in found}
    for stack in ("cpu", "cuda"):
        assert offered[f"{stack}/transformers"] == [f"{held}.post1"]
    assert (offered["cpu/datasets"], offered["cuda/datasets"]) == (["98.0.0"], ["99.0.0"])


@pytest.mark.slow
def test_a_moved_pin_leaves_its_own_hashes_unresolved_and_every_other_row_as_it_was(tmp_path: Path) -> None:
    lock = lockfile.read()
    moves = {
        "cpu/transformers": {"newValue": "5.20.9"},
        "cpu/torch": {"newValue": "2.99.0"},
        "cuda/image": {"newValue": "3.12.99-bookworm", "newDigest": DIGEST},
        "tools/uv": {"newValue": "0.99.0"},
        "models/bloom": {"newDigest": COMMIT},
        "datasets/tldr_news": {"newDigest": COMMIT},
        "sources/optimum-habana-1.23": {"newValue": "v1.99.0", "newDigest": COMMIT},
        **{f"actions/{name}": {"newValue": "v99.0.0", "newDigest": COMMIT} for name in list(lock.actions)[:1]},
    }
    path = tmp_path / "versions.lock"
    path.write_text(renovate.replaced(renovate.CONFIGURATION, lockfile.paths.LOCK, moves, tmp_path))
    moved = lockfile.read(path)
    before, after = (dict(_leaves(strictyaml.read(one))) for one in (lockfile.paths.LOCK, path))
    changed = {where: after[where] for where in before if before[where] != after.get(where)}
    assert {*before} == {*after}
    packages = ("stacks", "cpu", "packages")
    wanted = {
        (*packages, "transformers", "version"): "5.20.9",
        (*packages, "transformers", "sha256"): UNRESOLVED,
        (*packages, "torch", "version"): "2.99.0",
        ("stacks", "cuda", "image", "tag"): "3.12.99-bookworm",
        ("stacks", "cuda", "image", "digest"): DIGEST,
        ("tools", "uv", "version"): "0.99.0",
        ("models", "bloom", "revision"): COMMIT,
        ("datasets", "tldr_news", "revision"): COMMIT,
        ("sources", "optimum-habana-1.23", "tag"): "v1.99.0",
        ("sources", "optimum-habana-1.23", "commit"): COMMIT,
        ("sources", "optimum-habana-1.23", "tree"): UNRESOLVED,
    }
    for name in list(lock.actions)[:1]:
        wanted |= {("actions", name, "version"): "v99.0.0", ("actions", name, "commit"): COMMIT}
    assert changed == wanted
    assert moved.stacks["cpu"].packages["transformers"].hold == lock.stacks["cpu"].packages["transformers"].hold


def _leaves(value: strictyaml.Value, where: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    if not isinstance(value, dict) or not value:
        return [(where, value)]
    return [leaf for key, inner in value.items() for leaf in _leaves(inner, (*where, key))]


@pytest.mark.slow
def test_a_source_that_follows_a_branch_is_found_by_the_branch(tree: Path, tmp_path: Path) -> None:
    path = tree / "versions.lock"
    text = path.read_text()
    source = lockfile.read().sources["setup-and-install-1.22"]
    assert text.count(f"    tree: {source.tree}\n    tags:") == 1
    path.write_text(
        text.replace(f"    tree: {source.tree}\n    tags:", f"    tree: {source.tree}\n    branch: main\n    tags:")
    )
    found = renovate.dependencies(tree, "extract", tmp_path)["sources/setup-and-install-1.22"]
    assert (found["datasource"], found["currentValue"], found["currentDigest"]) == ("git-refs", "main", source.commit)


def rules_for(name: str, kind: str) -> list[dict[str, Any]]:
    """Return the rules of the configuration for a dependency by its name and type."""
    return [
        rule
        for rule in CONFIGURED["packageRules"]
        if any(fnmatchcase(name, pattern.replace("**", "*")) for pattern in rule.get("matchDepNames", ["*"]))
        and kind in rule.get("matchDepTypes", [kind])
    ]


def test_the_bounds_and_the_pythons_of_its_rules_are_the_lock_s() -> None:
    lock = lockfile.read()
    for row in rows.of_lock(lock):
        if row.kind not in ("packages", "tools"):
            continue
        rules = rules_for(row.name, row.kind)
        bounds = [rule["allowedVersions"] for rule in rules if "allowedVersions" in rule]
        pythons = [rule["constraints"]["python"] for rule in rules if "constraints" in rule]
        stack = lock.stacks[row.stack] if row.stack is not None else None
        hold = stack.packages[row.where[-1]].hold if stack is not None else None
        assert bounds == ([hold] if hold else [])
        assert pythons == [stack.python if stack is not None else lock.requirements["host"].python]


def test_no_image_may_follow_other_tags_than_patches_of_its_own() -> None:
    lock = lockfile.read()
    for row in rows.of_lock(lock):
        if row.kind == "images":
            image = lockfile.images(lock)[row.where]
            assert {kind for rule in rules_for(row.name, "images") for kind in rule.get("matchUpdateTypes", [])} == {
                "major",
                "minor",
            }
            if image.tags is not None:
                series = re.match(r"[0-9]+\.[0-9]+\.", image.tag)
                assert series is not None and image.tags.startswith(f"{series[0]}*")
                assert selection.matches(image.tags, image.tag)


def test_its_version_is_the_lock_s_and_its_files_name_no_registry() -> None:
    package = json.loads((renovate.LOCKED / "package.json").read_text())
    text = (renovate.LOCKED / "package-lock.json").read_text()
    locked = json.loads(text)["packages"]
    version = lockfile.read().tools["renovate"]
    assert package["dependencies"] == {"renovate": version}
    assert locked["node_modules/renovate"]["version"] == version
    assert all("integrity" in entry for name, entry in locked.items() if name and not entry.get("inBundle"))
    assert '"resolved"' not in text


def test_the_page_names_all_that_renovate_cannot_follow() -> None:
    lock, page = lockfile.read(), PAGE.read_text(encoding="utf-8")
    reasons = {why_not(lock, row) for row in rows.of_lock(lock)} - {None}
    assert reasons
    assert [reason for reason in reasons if str(reason) not in " ".join(page.split())] == []


def test_the_command_of_a_pull_request_leaves_a_tree_in_which_bump_begins(tmp_path: Path) -> None:
    """`bump` refuses files that hold changes without a commit."""
    (notes,) = [rule["prBodyNotes"] for rule in CONFIGURED["packageRules"] if "prBodyNotes" in rule]
    command, bump = re.findall(r"`([^`]+)`", notes[0])[:2]
    assert bump.startswith("python -m runner bump ")
    assert f"$ {command}\n$ python -m runner bump " in PAGE.read_text(encoding="utf-8")

    def git(*words: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        return subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    git("init", "--quiet")
    for text in ("version: 1\n", "version: 2\n"):
        (tmp_path / "versions.lock").write_text(text)
        git("add", "versions.lock")
        git("commit", "--quiet", "--message", text)
    git(*command.removeprefix("git ").split())
    assert (tmp_path / "versions.lock").read_text() == "version: 1\n" and git("status", "--porcelain") == ""
