"""The line of the changelog: which cases get other requests, and where the line stands."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runner.contract.errors import InputError
from runner.host.bump import changelog
from runner.host.readers import catalog, lockfile
from runner.host.readers.lockfile import UNRESOLVED, Lock, PinnedStack

TEXT = "# Changelog\n\n## Unreleased\n\n- One.\n  More of one.\n\n## 0.1.0, 2026-01-01\n\n- Old.\n"


def moved(lock: Lock, stack: str, **changes: object) -> list[str]:
    """Return the cases that get other requests where values of a stack change."""
    tables, before = catalog.read(), lockfile.read()
    changed: PinnedStack = replace(lock.stacks[stack], **changes)  # type: ignore[arg-type]
    after = replace(lock, stacks={**lock.stacks, stack: changed})
    return changelog.moved(changelog.request_ids(tables, before), changelog.request_ids(tables, after))


def cases_of(stack: str) -> list[str]:
    return [name for name, case in catalog.read().cases.items() if case.stack == stack]


@pytest.mark.parametrize("stack", sorted(lockfile.read().stacks))
def test_a_moved_package_or_file_changes_the_requests_of_its_stack_and_no_other(stack: str) -> None:
    lock = lockfile.read()
    packages = lock.stacks[stack].packages
    other = {**packages, "transformers": replace(packages["transformers"], version="99.0")}
    assert moved(lock, stack, packages=other) == cases_of(stack)
    file = replace(lock.stacks[stack].requirements, sha256=UNRESOLVED)
    assert moved(lock, stack, requirements=file) == cases_of(stack)
    assert moved(lock, stack) == []


def test_a_base_image_counts_where_launches_run_in_images() -> None:
    lock = lockfile.read()
    for stack in ("cpu", "cuda", "gaudi-1.10"):
        image = replace(lock.stacks[stack].image, tag="other", digest=UNRESOLVED, platform=UNRESOLVED)
        assert moved(lock, stack, image=image) == (cases_of(stack) if stack != "cpu" else [])


def test_a_revision_changes_the_requests_of_its_model() -> None:
    lock, tables = lockfile.read(), catalog.read()
    for revision in ("1a" * 20, UNRESOLVED):
        models = {**lock.models, "bloomz": replace(lock.models["bloomz"], revision=revision)}
        ids = changelog.request_ids(tables, replace(lock, models=models))
        told = changelog.moved(changelog.request_ids(tables, lock), ids)
        assert told == [name for name, case in tables.cases.items() if (case.model, case.weights) == ("bloomz", "hub")]


def test_a_tool_changes_nobody_s_numbers() -> None:
    lock, tables = lockfile.read(), catalog.read()
    other = replace(lock, tools={**lock.tools, "uv": "99.0"})
    assert changelog.request_ids(tables, other) == changelog.request_ids(tables, lock)


@pytest.mark.parametrize(
    "names, line",
    [
        ([], "- x: no request gets a new id. Nobody's numbers change."),
        (["a"], "- x: the request of a gets a new id; its numbers may change."),
        (["a", "b", "c"], "- x: requests of a, b and c get new ids; their numbers may change."),
    ],
)
def test_the_line_says_whose_numbers_change(names: list[str], line: str) -> None:
    assert changelog.line("x", names) == line


def test_the_line_ends_the_section_of_what_is_not_released() -> None:
    assert changelog.with_line(TEXT, "- Two.", "file") == TEXT.replace("one.\n", "one.\n- Two.\n")
    alone = "## Unreleased\n"
    assert changelog.with_line(alone, "- Two.", "file") == "## Unreleased\n\n- Two.\n"
    assert changelog.with_line("## Unreleased\n\n- One.\n", "- Two.", "file") == "## Unreleased\n\n- One.\n- Two.\n"


def test_a_long_line_is_wrapped_and_keeps_the_ends_of_the_file_s_lines() -> None:
    words = " ".join(f"case-{number}," for number in range(60))
    after = changelog.with_line(TEXT.replace("\n", "\r\n"), f"- {words}", "file")
    assert after.count("\n") == after.count("\r\n")
    lines = [line for line in after.split("\r\n") if "case-" in line]
    assert len(lines) > 3 and max(map(len, lines)) <= 138
    assert all(line.startswith("  case-") for line in lines[1:])
    assert " ".join(" ".join(lines).split()) == f"- {words}"


def test_a_changelog_without_the_section_is_refused() -> None:
    with pytest.raises(InputError, match="file has no section `## Unreleased`"):
        changelog.with_line("# Changelog\n", "- Two.", "file")
