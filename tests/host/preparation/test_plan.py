"""The plan of sets: which steps are done, which are left, and what blocks one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runner.contract.errors import InputError, KitError, UnresolvedPin, Unsupported
from runner.host import paths
from runner.host.preparation import events, needs, plan
from runner.host.preparation.here import Here
from runner.host.preparation.plan import Step
from runner.host.readers import catalog as catalogs
from runner.host.readers import lockfile, profiles
from runner.host.readers.lockfile import UNRESOLVED, Lock
from tests.support import prepared

CATALOG = catalogs.read()
TABLE = profiles.read(CATALOG)


@pytest.fixture(scope="module")
def lock() -> Lock:
    return lockfile.read()


def steps_of(lock: Lock, here: Here, name: str = "cpu") -> list[Step]:
    return plan.make(CATALOG, lock, needs.of(CATALOG, TABLE, lock, [name]), here, prepared.TEAM)


def states(steps: list[Step]) -> list[str]:
    return [step.state for step in steps if step.work in plan.PREPARING]


def test_a_clean_clone_has_all_to_do_up_to_the_verdict(lock: Lock) -> None:
    lock = prepared.with_base(lock, "gaudi-1.10", UNRESOLVED)
    steps = steps_of(lock, prepared.machine(), "gaudi2")
    assert [step.work for step in steps] == [
        *("resolve", "build", "push", "record"),
        *("render", "preflight", "prefetch", "submit", "follow", "collect", "compare"),
    ]
    assert {step.state for step in steps} == {"to do"}
    resolving, building, pushing, *_ = steps
    assert "stacks.gaudi-1.10.image.digest" in resolving.says and "models.bloomz.files" in resolving.says
    assert building.says.startswith("on vault.habana.ai/gaudi-docker/1.10.0/")
    assert pushing.says == "to registry.example/team/bloomz-bench-gaudi-1.10"
    plan.refuse_blocked(steps)


def test_a_plan_says_what_is_fetched_and_how_large_it_is_where_that_is_known(lock: Lock) -> None:
    steps = {step.work: step for step in steps_of(lock, prepared.machine(), "gaudi2")}
    weights = {fetch.what: fetch.size_bytes for fetch in steps["prefetch"].fetches}
    assert weights["the weights of bigscience/bloomz"] == 352_494_542_848
    fetched = {fetch.what: fetch.size_bytes for fetch in steps["build"].fetches}
    assert set(fetched.values()) == {None}, "nobody knows these sizes before an origin is asked"
    stack = lock.stacks["gaudi-1.10"]
    assert f"the image {stack.image.repository}:{stack.image.tag}" in fetched
    commits = {what for what in fetched if what.startswith("commit ")}
    assert commits == {
        f"commit {lock.sources[name].commit} of {lock.sources[name].repository}" for name in stack.sources.values()
    }
    told = [event.sentence for event in events.of_plan(list(steps.values()))]
    assert any(line.endswith("the cluster fetches the weights of bigscience/bloomz: 352.5 GB") for line in told)
    assert any(line.endswith(": size not known") for line in told)


def test_a_set_with_dummy_weights_has_no_prefetch(lock: Lock) -> None:
    assert "prefetch" not in {step.work for step in steps_of(lock, prepared.machine())}


def test_packages_are_counted_for_the_python_of_the_stack(lock: Lock) -> None:
    """The vendor's base brings torch, so that the stack has one file, each requirement of which serves its one Python."""
    (building,) = [step for step in steps_of(lock, prepared.machine(), "gaudi2") if step.work == "build"]
    file = lock.stacks["gaudi-1.10"].requirements.file
    count = sum("==" in line for line in (paths.ROOT / file).read_text().splitlines())
    assert f"{count} packages of {file}" in {fetch.what for fetch in building.fetches}


def test_an_image_that_is_here_is_not_built_again(lock: Lock) -> None:
    lock = prepared.with_base(lock, "cpu", prepared.DIGEST)
    here = prepared.machine(built={"cpu": prepared.image_of(lock, "cpu")})
    steps = steps_of(lock, here)
    assert states(steps) == ["done", "done", "to do", "to do"]
    assert steps[1].says.startswith("aaaaaaaaaaaa, 2.00 GB, is here")


@pytest.mark.parametrize(
    "revision, pinned, inputs",
    [
        (prepared.COMMIT, True, "other"),
        (prepared.COMMIT, False, None),
        (f"{prepared.COMMIT}-dirty", True, None),
        ("unknown", True, None),
    ],
    ids=["other inputs", "stand-in", "changed", "no commit"],
)
def test_an_image_that_may_not_be_pushed_is_built_anew(
    lock: Lock, revision: str, pinned: bool, inputs: str | None
) -> None:
    lock = prepared.with_base(lock, "cpu", prepared.DIGEST)
    built = prepared.image_of(lock, "cpu", revision, pinned, inputs)
    steps = steps_of(lock, prepared.machine(built={"cpu": built}))
    assert states(steps) == ["done", "to do", "to do", "to do"]
    assert steps[1].says.endswith("the one before took 2.00 GB")


def test_what_was_pushed_and_recorded_is_done_whatever_this_machine_has(lock: Lock) -> None:
    lock = prepared.pushed(prepared.with_base(lock, "cpu", prepared.DIGEST), "cpu")
    dirty = replace(prepared.CLEAN, revision=f"{prepared.COMMIT}-dirty", changed=("runner/x.py",))
    steps = steps_of(lock, prepared.machine(dirty, missing=("buildah",)))
    assert states(steps) == ["done"] * 4
    assert steps[2].says == f"{prepared.TEAM}/bloomz-bench-cpu@{prepared.DIGEST}"
    plan.refuse_blocked(steps)


@pytest.mark.parametrize("team, inputs", [("registry.example/others", None), (prepared.TEAM, "0b" * 32)])
def test_an_image_elsewhere_or_of_other_inputs_is_pushed_anew(lock: Lock, team: str, inputs: str | None) -> None:
    lock = prepared.pushed(prepared.with_base(lock, "cpu", prepared.DIGEST), "cpu", team, inputs)
    assert states(steps_of(lock, prepared.machine())) == ["done", "to do", "to do", "to do"]


CHANGED = replace(prepared.CLEAN, revision=f"{prepared.COMMIT}-dirty", changed=("runner/x.py",))


@pytest.mark.parametrize(
    "here, error, told",
    [
        (prepared.machine(CHANGED), InputError, "cpu: runner/x.py holds changes that no commit has. Commit them"),
        (
            prepared.machine(replace(CHANGED, revision="unknown", changed=())),
            InputError,
            "cpu: this is no git checkout",
        ),
        (prepared.machine(missing=("buildah", "skopeo")), Unsupported, "(apt-get install buildah podman runc skopeo)"),
    ],
    ids=["changed", "no git", "no programs"],
)
def test_what_would_fail_later_blocks_the_build(lock: Lock, here: Here, error: type[KitError], told: str) -> None:
    steps = steps_of(lock, here)
    blocked = [step for step in steps if step.state == "blocked"]
    assert [step.work for step in blocked] == ["build"]
    assert told in blocked[0].says and blocked[0].fetches
    with pytest.raises(error) as caught:
        plan.refuse_blocked(steps)
    assert str(caught.value) == blocked[0].says


def test_a_missing_program_blocks_the_push_of_an_image_that_is_here(lock: Lock) -> None:
    lock = prepared.with_base(lock, "cpu", prepared.DIGEST)
    here = prepared.machine(missing=("skopeo",), built={"cpu": prepared.image_of(lock, "cpu")})
    assert states(steps_of(lock, here)) == ["done", "done", "blocked", "to do"]


def test_a_requirements_file_that_was_edited_blocks_the_build(lock: Lock) -> None:
    stack = lock.stacks["cpu"]
    edited = replace(stack, requirements=replace(stack.requirements, sha256="0b" * 32))
    lock = replace(lock, stacks={**lock.stacks, "cpu": edited})
    with pytest.raises(InputError, match="requirements-cpu.txt was changed since versions.lock was written"):
        plan.refuse_blocked(steps_of(lock, prepared.machine()))


def test_a_file_that_is_not_compiled_yet_leaves_the_build_to_do(lock: Lock) -> None:
    stack = lock.stacks["cpu"]
    opened = replace(stack, requirements=replace(stack.requirements, sha256=UNRESOLVED, file="images/cpu/none.txt"))
    lock = replace(lock, stacks={**lock.stacks, "cpu": opened})
    assert states(steps_of(lock, prepared.machine())) == ["to do"] * 4


def test_a_pin_that_nobody_can_be_asked_for_blocks_everything(lock: Lock) -> None:
    lock = prepared.with_commit(lock, "habana-deepspeed-1.10", None)
    steps = steps_of(lock, prepared.machine(), "gaudi2")
    with pytest.raises(
        UnresolvedPin, match="sources.habana-deepspeed-1.10.commit is unresolved in versions.lock, and nobody"
    ):
        plan.refuse_blocked(steps)
