"""What sets need, and which of it somebody can be asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runner.contract.errors import UsageError
from runner.host.preparation import needs
from runner.host.preparation.needs import Needs
from runner.host.readers import catalog as catalogs
from runner.host.readers import lockfile, profiles
from runner.host.readers.lockfile import UNRESOLVED, Lock
from tests.support import prepared

CATALOG = catalogs.read()
TABLE = profiles.read(CATALOG)


@pytest.fixture(scope="module")
def lock() -> Lock:
    return lockfile.read()


def of(lock: Lock, *sets: str) -> Needs:
    return needs.of(CATALOG, TABLE, lock, sets)


def test_a_set_needs_the_stacks_and_the_hub_s_models_of_its_cases(lock: Lock) -> None:
    needed = of(lock, "gaudi2")
    assert (needed.stacks, needed.models) == (("gaudi-1.10",), ("bloomz", "bloomz-7b1"))
    assert ("sources", "habana-deepspeed-1.10") in needed.places and ("sources", "pdsh-2.31") in needed.places
    assert needed.has(("stacks", "gaudi-1.10", "image", "digest"))
    assert not needed.has(("stacks", "gaudi-1.9", "image", "digest"))
    both = of(lock, "cpu", "gaudi2", "cpu")
    assert (both.sets, both.stacks) == (("cpu", "gaudi2"), ("cpu", "gaudi-1.10"))
    assert of(lock, "cpu").models == ()


def test_a_set_that_is_not_there_is_named(lock: Lock) -> None:
    with pytest.raises(UsageError, match="There is no set 'gaudi3'. Known are gaudi2, gaudi, a100"):
        of(lock, "gaudi2", "gaudi3")


def test_what_only_the_build_tells_is_no_open_pin(lock: Lock) -> None:
    lock = prepared.with_base(lock, "gaudi-1.10", UNRESOLVED)
    pins = {".".join(where) for where in needs.open_pins(lock, of(lock, "gaudi2"))}
    assert {"stacks.gaudi-1.10.image.digest", "stacks.gaudi-1.10.image.platform"} <= pins
    assert not {pin for pin in pins if pin.endswith((".inventory", ".version"))}
    assert "stacks.gaudi-1.10.packages.deepspeed.sha256" not in pins


def test_an_answer_opens_the_question_that_waits_for_it(lock: Lock) -> None:
    lock = prepared.with_base(lock, "gaudi-1.10", UNRESOLVED)
    needed = of(lock, "gaudi2")
    image = ("stacks", "gaudi-1.10", "image")
    assert [question.where for question in needs.questions(lock, needed, ("images",))] == [(*image, "digest")]
    stack = replace(lock.stacks["gaudi-1.10"], image=replace(lock.stacks["gaudi-1.10"].image, digest=prepared.DIGEST))
    answered = replace(lock, stacks={**lock.stacks, "gaudi-1.10": stack})
    assert [question.where for question in needs.questions(answered, needed, ("images",))] == [(*image, "platform")]
    assert needs.without_origin(lock, needed) == []


@pytest.mark.parametrize("branch", ["1.10.0", None])
def test_a_pin_without_an_origin_must_be_written_by_hand(lock: Lock, branch: str | None) -> None:
    source = "habana-deepspeed-1.10"
    lock = prepared.with_commit(lock, source, branch)
    lost = needs.without_origin(lock, of(lock, "gaudi2"))
    assert lost == ([] if branch else [("sources", source, "commit"), ("sources", source, "tree")])
