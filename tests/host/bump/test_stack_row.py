"""A new stack beside an old one: its row, its sources, its cases, and what stays unresolved. Planned on the kit's own files."""

from __future__ import annotations

from typing import Any

import pytest

from runner.contract.errors import UsageError
from runner.host import paths
from runner.host.bump import recipe, stack_row
from runner.host.readers import catalog, lockfile, strictyaml
from runner.host.readers.lockfile import UNRESOLVED, Lock
from tests.support import hostile

IMAGE = ["image.tag=1.25.0-1", "image.repository=vault.habana.ai/gaudi-docker/1.25.0/x"]


def planned(name: str, like: str, *given: str, day: str | None = None) -> recipe.Plan:
    lock = lockfile.read()
    return stack_row.plan(lock, stack_row.read(lock, name, like, given), day)


def made(plan: recipe.Plan) -> Lock:
    return lockfile.parse(strictyaml.loads(plan.writes[paths.LOCK], "lock"), paths.LOCK)


def notes(plan: recipe.Plan, *where: str) -> str:
    value = strictyaml.loads(plan.writes[paths.LOCK], "lock")
    for key in (*where, "note"):
        assert isinstance(value, strictyaml.Mapping)
        value = value[key]
    assert isinstance(value, str)
    return value


def test_what_belongs_to_the_release_is_unresolved_unless_it_was_given() -> None:
    plan = planned("gaudi-1.25", "gaudi-1.24", *IMAGE, "packages.torch.version=2.11.0", "host.driver=1.25.0-1")
    lock, old = made(plan), lockfile.read().stacks["gaudi-1.24"]
    new = lock.stacks["gaudi-1.25"]
    assert list(lock.stacks).index("gaudi-1.25") == list(lock.stacks).index("gaudi-1.24") + 1
    assert (new.device, new.python, new.platform, new.engine) == (old.device, old.python, old.platform, old.engine)
    assert (new.image.tag, new.image.repository) == ("1.25.0-1", "vault.habana.ai/gaudi-docker/1.25.0/x")
    assert {new.image.digest, new.image.platform, new.image.inventory} == {UNRESOLVED}
    # the pattern is of the old tag
    assert new.image.tags is None
    versions = {package: pin.version for package, pin in new.packages.items()}
    assert versions == {
        package: "2.11.0" if package == "torch" else pin.version if pin.origin == "index" else UNRESOLVED
        for package, pin in old.packages.items()
    }
    assert (new.driver, new.firmware) == ("1.25.0-1", UNRESOLVED)
    assert new.requirements.file == "images/gaudi/requirements-gaudi-1.25.txt"
    assert new.requirements.sha256 == new.packages["deepspeed"].sha256 == UNRESOLVED
    # the file of one version has one hash, whatever the stack
    assert new.packages["transformers"].sha256 == old.packages["transformers"].sha256
    assert {name: lock.stacks[name] for name in lockfile.read().stacks} == lockfile.read().stacks


def test_the_fork_of_a_release_has_a_source_of_its_own() -> None:
    plan = planned("gaudi-1.25", "gaudi-1.24", *IMAGE, "sources.deepspeed.branch=1.25.0")
    source = made(plan).sources["habana-deepspeed-1.25"]
    assert (source.commit, source.tree, source.branch) == (UNRESOLVED, UNRESOLVED, "1.25.0")
    assert source.repository == lockfile.read().sources["habana-deepspeed-1.23"].repository
    assert ("sources", "habana-deepspeed-1.25", "commit") in plan.opened
    # nobody said where the commit is found, and no name of a branch is guessed
    unsaid = planned("gaudi-1.25", "gaudi-1.24", *IMAGE)
    assert made(unsaid).sources["habana-deepspeed-1.25"].branch is None
    assert ("sources", "habana-deepspeed-1.25", "commit") not in unsaid.opened
    assert any("the commit of habana-deepspeed-1.25, from which deepspeed is built" in line for line in unsaid.to_read)


def test_every_note_of_the_new_row_is_true() -> None:
    plan = planned("gaudi-1.25", "gaudi-1.24", *IMAGE, "sources.deepspeed.branch=1.25.0")
    begin = ("stacks", "gaudi-1.25")
    given, copied = "given to bump; where it was read is not written down yet", "copied from gaudi-1.24; not read yet"
    assert notes(plan, *begin, "image") == notes(plan, "sources", "habana-deepspeed-1.25") == given
    assert notes(plan, *begin, "packages", "transformers") == copied
    assert notes(plan, *begin, "packages", "torch") == notes(plan, *begin, "host") == "not read yet"
    old = lockfile.notes()
    kept = {note for where, note in old.items() if where[:2] == ("stacks", "gaudi-1.24")}
    text = plan.writes[paths.LOCK].decode()
    assert all(text.count(note) == paths.LOCK.read_text().count(note) for note in kept)


def test_the_cases_of_the_old_stack_get_copies_that_keep_all_but_the_stack() -> None:
    plan = planned("gaudi-1.25", "gaudi-1.24", *IMAGE)
    assert plan.copied == ("gaudi2-8-bloomz-1.25", "gaudi2-1-bloomz-7b1-1.25")
    document: Any = strictyaml.loads(plan.writes[paths.CATALOG / "cases.yaml"], "cases")
    rows = document["cases"]
    for old, new in (("gaudi2-8-bloomz-1.24", plan.copied[0]), ("gaudi2-1-bloomz-7b1-1.24", plan.copied[1])):
        assert rows[new] == {**rows[old], "stack": "gaudi-1.25"}
    assert any("the protocol gaudi-1.23, which the new cases keep: read the script" in line for line in plan.to_read)


def test_copies_stand_in_the_sets_of_the_old_cases() -> None:
    plan = planned("gaudi-1.11", "gaudi-1.10", *IMAGE)
    before: Any = strictyaml.read(paths.CATALOG / "profiles.yaml")
    after: Any = strictyaml.loads(plan.writes[paths.CATALOG / "profiles.yaml"], "profiles")
    for name, old in before["sets"].items():
        cases = [case for case in old["cases"] if catalog.read().cases[case].stack == "gaudi-1.10"]
        new = after["sets"][name]["cases"]
        assert new == [*old["cases"], *(f"{case}-1.11" for case in cases)]
    assert after["environments"]["gaudi-1.11"] == before["environments"]["gaudi-1.10"]


def test_a_base_that_brings_no_packages_is_copied_with_its_digest() -> None:
    plan = planned("cuda-next", "cuda", "packages.transformers.version=0.0.1", "python=3.13")
    lock, old = made(plan), lockfile.read().stacks["cuda"]
    new = lock.stacks["cuda-next"]
    assert new.image == old.image
    assert new.torch is not None and new.torch.file == "images/cuda/torch-cuda-next.txt"
    assert new.packages["transformers"].version == "0.0.1" and new.packages["transformers"].sha256 == UNRESOLVED
    assert [".".join(file.where) for file in plan.compiled] == [
        "stacks.cuda-next.requirements",
        "stacks.cuda-next.torch",
    ]
    # another Python may need other files of torch
    assert plan.compiled[1].beside is None
    assert planned("cuda-next", "cuda").compiled[1].beside is not None
    assert set(plan.copied) == {f"{name}-next" for name, case in catalog.read().cases.items() if case.stack == "cuda"}
    moved = made(planned("cuda-next", "cuda", "image.tag=3.13.1-bookworm")).stacks["cuda-next"].image
    assert {moved.digest, moved.platform} == {UNRESOLVED} and moved.repository == old.image.repository


def test_a_release_on_a_later_day_raises_the_day_up_to_which_uv_looks() -> None:
    assert (
        made(planned("cuda-next", "cuda", day="2099-01-01")).stacks["cuda-next"].requirements.exclude_newer
        == "2099-01-01"
    )
    old = lockfile.read().stacks["cuda"].requirements.exclude_newer
    assert made(planned("cuda-next", "cuda", day="2020-01-01")).stacks["cuda-next"].requirements.exclude_newer == old


def test_nothing_is_compiled_where_a_version_is_unresolved() -> None:
    plan = planned("cuda-next", "cuda", "packages.transformers.version=unresolved")
    assert plan.compiled == ()
    assert made(plan).stacks["cuda-next"].packages["transformers"].version == UNRESOLVED
    assert ("stacks", "cuda-next", "packages", "transformers", "sha256") not in plan.opened


@pytest.mark.parametrize("like", sorted(lockfile.read().stacks))
def test_a_stack_can_be_added_like_every_stack(like: str) -> None:
    lock = made(planned("x-9", like, *IMAGE))
    assert lock.stacks["x-9"].device == lockfile.read().stacks[like].device


@pytest.mark.parametrize(
    "name, like, given, told",
    [
        ("cuda", "cpu", [], "cuda is a stack of versions.lock"),
        ("tools", "cpu", [], "tools is a table of versions.lock"),
        ("Cuda", "cpu", [], "The name of a new stack must be at most 40 lower-case letters"),
        ("x", "none", [], "--like: versions.lock has no stack 'none'. Take one of gaudi-1.8, "),
        ("x", "gaudi-1.24", [], "A stack like gaudi-1.24 is a release of its base image, which brings torch, "),
        ("x", "cpu", ["image"], "--set must be KEY=VALUE"),
        ("x", "cpu", ["nothing=1"], "--set: a stack like cpu has no nothing. Known are python, platform, "),
        ("x", "cpu", ["packages.numpy.version=1"], "--set: a stack like cpu has no packages.numpy.version"),
        ("x", "cpu", ["interpreter.tag=1"], "--set: a stack like cpu has no interpreter.tag"),
        ("x", "cpu", ["device=hpu"], "--set: a stack like cpu has no device"),
        ("x", "cpu", ["python=4"], "--set python must be a Python such as 3.8"),
        ("x", "cpu", ["engine=fast"], "--set engine must be one of compiled, "),
        ("x", "cpu", ["image.digest=latest"], "--set image.digest must be sha256: and 64 hex digits or unresolved"),
        ("x", "cpu", ["python=3.11", "python=3.12"], "--set names python twice"),
        ("a-name-so-long-that-a-case-has-no-room", "cpu", [], "Choose another name for the stack"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(name: str, like: str, given: list[str], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        planned(name, like, *given)
    assert told in str(caught.value) and str(caught.value).isprintable()


@pytest.mark.parametrize("key", sorted(stack_row.forms(lockfile.read().stacks["gaudi-1.24"])))
def test_a_hostile_value_is_refused(key: str) -> None:
    lock = lockfile.read()
    form = stack_row.forms(lock.stacks["gaudi-1.24"])[key]
    # sixty-four zeros are a version, and a branch
    refused = [text for text in hostile.TEXTS if not (set(text) == {"0"} and form.fullmatch(text))]
    assert len(refused) > 10
    for text in refused:
        with pytest.raises(UsageError) as caught:
            stack_row.read(lock, "gaudi-1.25", "gaudi-1.24", [*IMAGE, f"{key}={text}"])
        assert str(caught.value).isprintable()


def test_a_version_outside_of_the_old_stack_s_bound_is_refused_unless_another_bound_is_given() -> None:
    with pytest.raises(UsageError, match="transformers of cpu is held at <5.21, and 5.22.0 is outside of that"):
        planned("cpu-next", "cpu", "packages.transformers.version=5.22.0")
    plan = planned("cpu-next", "cpu", "packages.transformers.version=5.22.0", "packages.transformers.hold=<5.23")
    assert made(plan).stacks["cpu-next"].packages["transformers"].hold == "<5.23"


def test_the_note_of_a_copied_bound_says_where_its_reason_stands() -> None:
    note = notes(planned("cpu-next", "cpu"), "stacks", "cpu-next", "packages", "transformers")
    assert note == "copied from cpu; not read yet; the note of cpu says why it is held"
