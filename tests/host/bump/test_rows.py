"""Every pin that can be bumped has one name; a kept stack is never moved, and the sentence says why and what to do instead."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from runner.contract.errors import UsageError
from runner.host.bump import rows
from runner.host.bump.rows import Row
from runner.host.readers import catalog, lockfile
from runner.host.readers.lockfile import Lock, LockPath
from tests.support import hostile, locks


@pytest.fixture(scope="module")
def lock() -> Lock:
    return lockfile.read()


def test_every_row_has_one_name_that_means_this_row_alone(lock: Lock) -> None:
    listed = rows.of_lock(lock)
    assert len(listed) > 25
    for row in listed:
        assert rows.named(lock, row.name) == [row]


def test_rows_stand_in_the_order_of_the_lock_and_lead_to_their_entries(lock: Lock) -> None:
    tables = ["tools", "requirements", "stacks", "models", "datasets", "sources", "actions"]
    listed = rows.of_lock(lock)
    assert sorted(listed, key=lambda row: tables.index(row.where[0])) == listed
    assert [row.name for row in listed if row.kind == "tools"] == [
        "tools/uv",
        "tools/pip",
        "tools/setuptools",
        "tools/wheel",
    ]
    held = {row.name: row for row in listed}
    assert held["cpu/transformers"] == Row(
        "cpu/transformers",
        "packages",
        ("stacks", "cpu", "packages", "transformers"),
        lock.stacks["cpu"].packages["transformers"].version,
    )
    assert held["cuda/image"].where == ("stacks", "cuda", "image")
    assert held["requirements/host"].current == lock.requirements["host"].exclude_newer
    # of an unresolved revision its beginning is known
    assert held["models/bloom-fp16"].current == lock.models["bloom-fp16"].short


def test_no_row_of_a_kept_stack_is_listed(lock: Lock) -> None:
    claimed = {claim.stack for claim in catalog.read().claims.values()}
    kept = {name for name, stack in lock.stacks.items() if stack.device == "hpu" or name in claimed}
    assert kept == {name for name in lock.stacks if rows.is_kept(lock, name)}
    assert {"gaudi-1.9", "gaudi-1.10", "gaudi-1.24", "cuda-2023"} <= kept and not {"cuda", "cpu"} & kept
    assert not kept & {row.stack for row in rows.of_lock(lock)}


def test_a_bare_package_name_means_the_package_in_every_stack_that_is_not_kept(lock: Lock) -> None:
    assert [row.name for row in rows.named(lock, "transformers")] == ["cuda/transformers", "cpu/transformers"]
    # a package, and not the table of the same name
    assert [row.name for row in rows.named(lock, "datasets")] == ["cuda/datasets", "cpu/datasets"]


@pytest.mark.parametrize(
    "name, told",
    [
        ("cpu/tranformers", "The nearest are cpu/transformers"),
        ("transfromers", "The nearest are transformers"),
        ("tool/uv", "The nearest are tools/uv"),
        ("uv", "The nearest are tools/uv"),
        ("model/bloomz", "The nearest are models/bloomz"),
        ("cpu", "is a stack, and `bump` moves rows of it: cpu/image, cpu/torch"),
        ("cuda-2023/torch", "cuda-2023 is kept: the published claim post-1-a100-8-bloomz names it"),
        ("cuda-2023", "bump NEWSTACK --like cuda-2023`"),
        ("gaudi-1.24/optimum-habana", "gaudi-1.24 is kept: a Gaudi stack is one release of SynapseAI"),
        ("gaudi-1.10/image", "is kept: the published claim post-3-"),
        ("optimum-habana", "is a package of kept stacks alone (gaudi-1.8, gaudi-1.9, "),
        ("sources/pdsh-2.31", "is kept: the kept stack gaudi-1.10 is built from it"),
        ("sources/post", "is the record of one commit"),
        ("tools/buildah", "is on no index of Python packages"),
        ("qqqqqqqqqqq", "lists the rows that have something newer"),
    ],
)
def test_a_name_that_means_no_row_is_refused_with_what_to_do(lock: Lock, name: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        rows.named(lock, name)
    assert told in str(caught.value)
    assert str(caught.value).endswith((".", "`."))


@pytest.mark.parametrize("name", hostile.TEXTS)
def test_a_hostile_name_is_refused_in_a_short_sentence_that_no_terminal_obeys(lock: Lock, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        rows.named(lock, name)
    told = str(caught.value)
    assert len(told) < 500 and told.isprintable()


def test_packages_of_the_base_and_of_a_source_name_what_brings_them(tmp_path: Path) -> None:
    """Of a stack that is not kept, so that the sentence about kept stacks does not come first."""
    package = ("stacks", "cuda", "packages")
    _, lock = locks.changed(
        tmp_path,
        {
            (*package, "torchvision", "version"): "0.25.0",
            (*package, "torchvision", "from"): "base",
            (*package, "built", "version"): "1.0",
            (*package, "built", "from"): "source",
            (*package, "built", "source"): "post",
            (*package, "built", "sha256"): "unresolved",
        },
    )
    for name, told in (("torchvision", "Bump cuda/image."), ("built", "Bump sources/post.")):
        with pytest.raises(UsageError, match=told):
            rows.named(lock, f"cuda/{name}")


def test_a_source_is_a_row_where_something_can_follow_it_and_no_kept_stack_is_built_from_it(tmp_path: Path) -> None:
    before = {row.name for row in rows.of_lock(lockfile.read()) if row.kind in ("sources", "actions")}
    assert {name for name in before if name.startswith("sources/")} == {
        "sources/optimum-habana-1.23",
        "sources/setup-and-install-1.22",
    }
    values: dict[LockPath, str | None] = {
        ("sources", "post", "branch"): "main",
        ("sources", "pdsh-2.31", "tags"): "pdsh-*",
        ("actions", "a/b", "version"): "v4.2.2",
        ("actions", "a/b", "commit"): "1a" * 20,
    }
    _, lock = locks.changed(tmp_path, values)
    after = {row.name: row.current for row in rows.of_lock(lock) if row.kind in ("sources", "actions")}
    assert after.keys() - before == {"sources/post", "actions/a/b"}
    assert (after["actions/a/b"], after["sources/post"]) == ("v4.2.2", lock.sources["post"].commit)


def test_a_claim_that_names_a_stack_keeps_it(lock: Lock) -> None:
    claims = catalog.read().claims
    claim = next(iter(claims.values()))
    named: Mapping[str, catalog.Claim] = {"a-claim": claim}
    assert "claim a-claim names it" in str(rows.why_kept(lock, claim.stack, named))
    assert rows.why_kept(lock, "cuda-2023", {}) is None
    assert rows.why_kept(lock, "gaudi-1.9", {}) is not None
