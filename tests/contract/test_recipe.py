from __future__ import annotations

import copy
from typing import Any

import pytest

from runner.contract import recipe, strictjson
from runner.contract.errors import InputError, UnresolvedPin
from runner.contract.recipe import GitSource, LockedFile, Recipe

A_COMMIT, A_TREE, A_HASH = "1a" * 20, "2b" * 20, "3c" * 32
MADE = Recipe(
    stack="gaudi-1.10",
    python="3.8",
    exact_python=True,
    tools_sha256=A_HASH,
    torch=None,
    requirements=LockedFile("images/gaudi/requirements-gaudi-1.10.txt", A_HASH, None),
    source_only=["deepspeed"],
    sources={
        "pdsh": GitSource("https://github.com/chaos/pdsh", A_COMMIT, A_TREE, None),
        "deepspeed": GitSource("https://github.com/HabanaAI/DeepSpeed", A_COMMIT, A_TREE, "unresolved"),
    },
    programs=["pdsh"],
    install_arguments=["--system-site-packages"],
    base_inventory="unresolved",
    unresolved=[],
)


def test_a_recipe_is_read_as_it_was_written() -> None:
    assert Recipe.from_json(strictjson.loads(MADE.text().encode(), "it"), "it") == MADE


@pytest.mark.parametrize(
    "path, value, words",
    [
        (("stack",), "../up", "it: 'stack' must be"),
        (("requirements", "file"), "/etc/passwd", "it.requirements: 'file' must be"),
        (("requirements", "sha256"), "unresolved", "it.requirements: 'sha256' must be"),
        (("sources", "pdsh", "repository"), "ext::sh -c x", "'repository' must be"),
        (("sources", "pdsh", "commit"), "HEAD", "'commit' must be"),
        (("programs",), ["../x"], "each of 'programs' must be"),
        (("more",), 1, "the key 'more' is unknown"),
    ],
    ids=["stack", "file", "hash", "repository", "commit", "program", "key"],
)
def test_what_no_recipe_has_is_refused(path: tuple[str, ...], value: object, words: str) -> None:
    changed: Any = copy.deepcopy(MADE.to_json())
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(InputError) as refused:
        Recipe.from_json(changed, "it")
    assert words in str(refused.value)


def test_another_recipe_has_another_folder() -> None:
    changed: Any = copy.deepcopy(MADE.to_json())
    changed["sources"]["deepspeed"]["commit"] = "4d" * 20
    assert MADE.folder.startswith("gaudi-1.10-") and len(MADE.folder) == len("gaudi-1.10-") + 12
    assert Recipe.from_json(changed, "it").folder != MADE.folder


@pytest.mark.parametrize(
    "python, locked, exact, serves",
    [
        ("3.8.18", "3.8", True, True),
        ("3.10.1", "3.8", True, False),
        ("3.12.1", "3.10", False, True),
        ("3.9.18", "3.10", False, False),
    ],
    ids=["same", "other", "newer", "older"],
)
def test_a_python_serves_by_its_minor_version(python: str, locked: str, exact: bool, serves: bool) -> None:
    assert recipe.serves(python, locked, exact) == serves


def test_open_pins_are_all_named() -> None:
    MADE.refuse_unresolved()
    changed: Any = {**MADE.to_json(), "unresolved": ["the version of a", "the commit of b,"]}
    with pytest.raises(UnresolvedPin, match=r"^the version of a and the commit of b, are unresolved in versions.lock"):
        Recipe.from_json(changed, "it").refuse_unresolved()


def test_the_lists_of_what_is_built_are_those_that_install_reads() -> None:
    assert recipe.git_text(MADE.sources, {"deepspeed": 7, "pdsh": 8}) == f"deepspeed {A_COMMIT} 7 unresolved\n"
    assert recipe.programs_text(MADE.programs) == "pdsh\n"


def test_a_list_of_packages_is_pinned_by_its_text() -> None:
    text = recipe.inventory_text({"b": 1, "a": {"version": "1"}})
    assert text == '{\n "a": {\n  "version": "1"\n },\n "b": 1\n}\n'
    assert recipe.is_pinned("unresolved", text)
    assert not recipe.is_pinned(A_HASH, text)
