"""What counts as newer: versions of PEP 440, tags of a pattern, releases in series. Pure functions, with properties that hold for all."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from runner.contract import patterns
from runner.host.bump import selection
from runner.host.pins.origins.package_index import Release
from tests.support import hostile


def release(
    version: str, withdrawn: str | None = None, python: str | None = None, others: tuple[str | None, ...] = ()
) -> Release:
    return Release(version, None, withdrawn, frozenset([python, *others]), "https://index.example/simple")


def chosen(
    current: str, *releases: Release | str, pythons: tuple[str, ...] = ("3.10",), hold: str | None = None
) -> tuple[str | None, str | None, str | None]:
    listed = [release(one) if isinstance(one, str) else one for one in releases]
    choice = selection.of_package(listed, current, pythons, hold)
    newer, held, elsewhere = (
        one.version if one is not None else None for one in (choice.newer, choice.held, choice.elsewhere)
    )
    return newer, held, elsewhere


def test_versions_are_ordered_as_pep_440_orders_them() -> None:
    assert chosen("1.9", "1.10", "1.2", "1.9.1") == ("1.10", None, None)
    assert chosen("2.0", "1!1.0", "3.0") == ("1!1.0", None, None)
    assert chosen("1.0", "1.0.post1") == ("1.0.post1", None, None)
    assert chosen("1.0", "1.0", "1.0.0", "0.9") == (None, None, None)
    assert chosen("1.0") == (None, None, None)


def test_a_pre_release_is_newer_only_than_a_pre_release() -> None:
    assert chosen("1.0", "2.0rc1", "1.1.dev3") == (None, None, None)
    assert chosen("2.0rc1", "2.0rc2") == ("2.0rc2", None, None)
    assert chosen("2.0rc1", "2.0rc2", "2.0") == ("2.0", None, None)


def test_a_withdrawn_release_is_passed_over() -> None:
    assert chosen("1.0", release("2.0", withdrawn=""), release("1.1")) == ("1.1", None, None)
    assert chosen("1.0", release("2.0", withdrawn="broken")) == (None, None, None)


def test_a_release_must_run_on_every_python_of_the_row() -> None:
    newest, older = release("3.0", python=">=3.11"), release("2.0", python=">=3.8")
    assert chosen("1.0", newest, older, pythons=("3.12",)) == ("3.0", None, None)
    assert chosen("1.0", newest, older, pythons=("3.10", "3.12")) == ("2.0", None, "3.0")
    assert chosen("2.0", newest, older, pythons=("3.10",)) == (None, None, "3.0")


@pytest.mark.parametrize(
    "asked, python, runs",
    [
        (">=3.10.4", "3.10", True),
        ("<3.10.2", "3.10", True),
        (">=3.8,<3.10", "3.10", False),
        ("~=3.10", "3.10", True),
        ("!=3.10.*", "3.10", False),
        ("==3.10.*", "3.10", True),
        ("", "3.10", True),
        (">=3", "3.10", True),
        ("3.10 and newer", "3.10", False),
        ("\x1b[2J", "3.10", False),
        (">=3.10," * 10_000 + ">=3", "3.10", False),
    ],
)
def test_what_a_release_asks_of_python_is_read_and_what_cannot_be_read_is_not_taken(
    asked: str, python: str, runs: bool
) -> None:
    assert chosen("1.0", release("2.0", python=asked), pythons=(python,))[0] == ("2.0" if runs else None)


def test_one_file_for_the_python_is_enough() -> None:
    assert chosen("1.0", release("2.0", python="<3.0", others=(">=3.9",))) == ("2.0", None, None)


def test_a_held_version_is_told_beside_the_newest_that_the_hold_allows() -> None:
    listed = ("5.20.9", "5.21", "5.24.0")
    assert chosen("5.20.2", *listed, hold="<5.21") == ("5.20.9", "5.24.0", None)
    assert chosen("5.20.9", *listed, hold="<5.21") == (None, "5.24.0", None)
    assert chosen("5.20.2", *listed, hold="!=5.22") == ("5.24.0", None, None)
    # the newest of all is allowed, so nothing is held back from it
    assert chosen("5.20.2", *listed, hold="!=5.21") == ("5.24.0", None, None)
    # what the hold excludes is told as held, whatever it asks of Python
    assert chosen("1.0", release("3.0", python=">=3.11"), "1.1", hold="<2") == ("1.1", "3.0", None)


VERSIONS = st.builds(
    lambda numbers, tail: ".".join(map(str, numbers)) + tail,
    st.lists(st.integers(0, 30), min_size=1, max_size=4),
    st.sampled_from(["", "", "", "a1", "rc2", ".dev1", ".post3"]),
)
RELEASES = st.lists(
    st.builds(
        Release,
        VERSIONS.map(lambda text: Version(text).public),
        st.none(),
        st.sampled_from([None, None, None, "broken"]),
        st.frozensets(st.sampled_from([None, ">=3.8", ">=3.11", "<3.9", "odd"]), min_size=1, max_size=2),
        st.just("https://index.example/simple"),
    ),
    max_size=12,
)
PYTHONS = st.sampled_from([("3.8",), ("3.10",), ("3.12",), ("3.10", "3.12")])
HOLDS = st.sampled_from([None, "<5", ">=1,<20", "!=3", "~=4.2", "==7.*"])


@given(RELEASES, VERSIONS, PYTHONS, HOLDS)
def test_what_is_chosen_is_newer_and_allowed_and_nothing_allowed_is_newer_still(
    releases: list[Release], current: str, pythons: tuple[str, ...], hold: str | None
) -> None:
    choice = selection.of_package(releases, current, pythons, hold)
    now, bound = Version(current), SpecifierSet(hold or "", prereleases=True)

    def fits(one: Release) -> bool:
        return all(
            any(
                asked is None or (asked != "odd" and SpecifierSet(asked).contains(f"{python}.5"))
                for asked in one.requires_python
            )
            for python in pythons
        )

    def counts(one: Release) -> bool:
        version = Version(one.version)
        return one.withdrawn is None and version > now and (now.is_prerelease or not version.is_prerelease)

    for found in (choice.newer, choice.held, choice.elsewhere):
        assert found is None or counts(found)
    best = max(
        (Version(one.version) for one in releases if counts(one) and fits(one) and bound.contains(one.version)),
        default=None,
    )
    assert (Version(choice.newer.version) if choice.newer else None) == best
    newest = max((Version(one.version) for one in releases if counts(one)), default=None)
    assert (choice.held is not None) == (newest is not None and not bound.contains(newest))
    assert choice.held is None or Version(choice.held.version) == newest
    if choice.elsewhere is not None:
        assert bound.contains(choice.elsewhere.version) and not fits(choice.elsewhere)
        assert best is None or Version(choice.elsewhere.version) > best


@given(RELEASES, VERSIONS, PYTHONS, HOLDS, st.randoms())
def test_the_order_in_which_an_index_lists_releases_changes_nothing(
    releases: list[Release], current: str, pythons: tuple[str, ...], hold: str | None, random: object
) -> None:
    shuffled = list(releases)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives its own kind of Random
    one, other = (selection.of_package(listed, current, pythons, hold) for listed in (releases, shuffled))
    assert [found and Version(found.version) for found in (one.newer, one.held, one.elsewhere)] == [
        found and Version(found.version) for found in (other.newer, other.held, other.elsewhere)
    ]


@pytest.mark.parametrize(
    "pattern, current, tags, newer",
    [
        ("v*", "v1.5.0", ["v1.5.0", "v1.10.0", "v1.9", "v1.5.0rc1", "1.11.0", "v2-beta", "xv3"], ["v1.9", "v1.10.0"]),
        (
            "3.12.*-bookworm",
            "3.12.8-bookworm",
            ["3.12.9-bookworm", "3.12.10-slim-bookworm", "3.13.1-bookworm", "3x12.9-bookworm"],
            ["3.12.9-bookworm"],
        ),
        ("*", "1.22.0", ["1.22", "1.22.0.0", "1.23.0", "latest", "1.23.0-pre"], ["1.23.0"]),
        ("1.24.0-*", "1.24.0-1007", ["1.24.0-999", "1.24.0-1020", "1.24.1-2000", "1.24.0-latest"], ["1.24.0-1020"]),
        ("pdsh-*", "pdsh-2.31", ["pdsh-2.35", "pdsh_2_36", "pdsh-2.4"], ["pdsh-2.35"]),
        ("v*", "v4.2.2", ["v5", "v5.0.0", "v4"], ["v5", "v5.0.0"]),
        ("v*", "v5", ["v5", "v5.0.0"], []),
        ("*-cuda*", "2.1-cuda11.8", ["2.1-cuda12.0", "2.0-cuda13.0"], ["2.1-cuda12.0"]),
        ("fixed", "fixed", ["fixed", "other"], []),
        ("v*", "1.24.0", ["v1.24.0", "v1.25.0"], ["v1.25.0"]),
    ],
)
def test_a_star_stands_for_numbers_and_all_else_must_be_equal(
    pattern: str, current: str, tags: list[str], newer: list[str]
) -> None:
    assert selection.newer_tags(pattern, current, tags) == newer
    assert selection.newer_tags(pattern, current, list(reversed(tags))) == newer


def test_a_tag_that_does_not_match_its_pattern_is_no_beginning() -> None:
    for pattern, current in (("v*", "release-5"), ("*-*", "5"), ("fixed", "other")):
        with pytest.raises(ValueError, match="is no tag of the pattern"):
            selection.newer_tags(pattern, current, ["v6"])


@given(st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=4), min_size=1, max_size=12), st.integers(0, 11))
def test_tags_are_newer_as_their_numbers_are(numbers: list[list[int]], place: int) -> None:
    tags = ["v" + ".".join(map(str, one)) for one in numbers]
    current = tags[place % len(tags)]
    newer = selection.newer_tags("v*", current, tags)
    assert set(newer) == {tag for tag in tags if Version(tag) > Version(current)}
    assert [Version(tag) for tag in newer] == sorted(Version(tag) for tag in newer)


@given(st.from_regex(patterns.TAGS.expression, fullmatch=True), st.text(max_size=60))
def test_no_pattern_of_the_lock_and_no_tag_of_a_registry_breaks_the_comparison(pattern: str, tag: str) -> None:
    filled = pattern.replace("*", "1.2")
    assert selection.matches(pattern, filled)
    newer = selection.newer_tags(pattern, filled, [tag, filled, *hostile.TEXTS])
    assert all(re.fullmatch(patterns.TAG.expression, one) for one in newer if len(one) <= 100 and "*" not in one)
    assert filled not in newer


def test_a_number_of_a_million_digits_is_no_version() -> None:
    assert selection.newer_tags("v*", "v1", ["v" + "9" * 1_000_000, "v" + "1." * 100_000 + "1"]) == []


def test_the_tag_of_a_commit_is_the_longest_one_that_matches() -> None:
    tags = {"v5": "a", "v5.0.0": "a", "v4": "b", "latest": "a"}
    assert selection.tag_of("a", "v*", tags) == "v5.0.0"
    assert selection.tag_of("c", "v*", tags) is None
    assert selection.star_of("v*", "v5.0.0") == "5.0.0"
    assert selection.star_of("v*", "latest") is None
    assert selection.star_of("latest", "latest") is None


def test_the_newest_release_of_each_series_counts() -> None:
    assert selection.newest_by_series(["1.26.0", "1.25.0", "1.25.1", "1.25.10", "1.25.9"]) == {
        "1.25": "1.25.10",
        "1.26": "1.26.0",
    }
    assert selection.is_newer_release("1.25", "1.24.9") and not selection.is_newer_release("1.24.0", "1.24")


@pytest.mark.parametrize(
    "description, release",
    [
        ("> The current Optimum for Intel Gaudi has been validated with Intel Gaudi v1.24 stack.", "1.24"),
        ("> The current version has been validated for SynapseAI 1.11.", "1.11"),
        ("it has been validated with Gaudi software version 1.24.0", "1.24.0"),
        ("tasks have been validated for Optimum for Intel Gaudi:", None),
        ("has been validated with transformers 4.55", None),
        ("", None),
        ("has been validated with Gaudi " + "a " * 100_000, None),
    ],
)
def test_the_release_of_gaudi_software_is_taken_from_the_sentence_that_names_it(
    description: str, release: str | None
) -> None:
    assert selection.release_told(description) == release
