from __future__ import annotations

import functools
import itertools
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from runner.bench.parent import bench
from runner.contract.errors import KitError, UnresolvedPin
from runner.contract.request import Accelerator, Dataset, Request
from runner.host import case_flags, cases, make_words, pairs, paths
from runner.host.cases import Changes
from runner.host.readers.lockfile import PushedImage
from runner.host.report import commands, reading
from runner.host.report.commands import Again, Kit
from runner.host.verbs import image as image_verb
from runner.host.verbs import render, run, submit
from runner.host.verbs import request as request_verb
from tests.support.materials import tables

MAKEFILE = (paths.ROOT / "Makefile").read_text(encoding="utf-8")


@functools.cache
def kit() -> Kit:
    return reading.kit(tables())


def again(request: Request) -> Again:
    return commands.again(request, tables(), kit())


def made_by(words: list[str]) -> Request:
    """Return the request that the command line of the verb ``request`` asks for, read by the verb's own parser."""
    assert words[:4] == [*commands.RUNNER, "request"]
    options = request_verb.parser().parse_args(words[4:])
    (case,) = options.cases
    changes = case_flags.changes(options)
    return cases.make(tables(), kit().lock, case, changes, in_image=not options.no_image)


def refuse_what_make_does_not_read(words: list[str]) -> dict[str, str]:
    """Return the variables of a call of make; fail for a target or a variable that the Makefile has not."""
    assert words[0] == "make"
    target = words[1]
    assert re.search(rf"^{target}:.*##", MAKEFILE, re.MULTILINE), target
    (read,) = re.findall(rf"^reads\.{target} := (.*)$", MAKEFILE, re.MULTILINE)
    while read.startswith("$(reads."):
        (read,) = re.findall(rf"^{re.escape(read[2:-1])} := (.*)$", MAKEFILE, re.MULTILINE)
    variables = dict(word.split("=", 1) for word in words[2:])
    assert set(variables) <= set(read.split())
    return variables


def every_request() -> list[Request]:
    """Return a request of each case that this lock can make, as the verb ``request`` makes it, in an image and without one."""
    made = []
    for case, in_image in itertools.product(tables().cases, (True, False)):
        try:
            made.append(cases.make(tables(), kit().lock, case, in_image=in_image))
        except KitError:
            continue
    return made


@pytest.mark.parametrize("asked", every_request(), ids=lambda asked: asked.id)
def test_the_command_of_each_case_makes_its_request_again(asked: Request) -> None:
    found = again(asked)
    assert (found.makes, found.problem, found.differences) == (asked.id, None, [])
    assert found.command is not None
    assert made_by(found.command).id == asked.id


CHANGED = {
    "launches": Changes(launches=7),
    "margin": Changes(margin="loose"),
    "seed and model": Changes(seed=0, model="bloom-560m"),
    "precision": Changes(precision="bfloat16"),
    "protocol": Changes(protocol="gaudi-1.9"),
    "engine": Changes(engine="compiled"),
    "batch and tokens": Changes(batch_size=4, output_tokens=20),
}


@pytest.mark.parametrize("changes", CHANGED.values(), ids=CHANGED)
def test_a_changed_case_is_made_again_by_its_flags(changes: Changes) -> None:
    asked = cases.make(tables(), kit().lock, "cpu-1", changes)
    found = again(asked)
    assert found.makes == asked.id and found.command is not None
    assert made_by(found.command).id == asked.id
    (route,) = found.routes
    variables = refuse_what_make_does_not_read(route.commands[0])
    flags = make_words.command(["@ARGS"], variables)
    options = request_verb.parser().parse_args([variables["CASES"], *flags])
    assert cases.make(tables(), kit().lock, "cpu-1", case_flags.changes(options)).id == asked.id


@pytest.mark.parametrize("asked", every_request(), ids=lambda asked: asked.id)
def test_every_printed_command_is_one_that_its_program_reads(asked: Request) -> None:
    found = again(asked)
    assert found.routes, "a case can be measured somewhere"
    for route in found.routes:
        for words in route.commands:
            assert shlex.split(commands.line(words)) == words
            if words[0] == "make":
                variables = refuse_what_make_does_not_read(words)
                assert variables.get("CASES", asked.case) == asked.case
            else:
                verb = {"render": render, "submit": submit}[words[3]]
                assert words[:3] == list(commands.RUNNER)
                verb.parser().parse_args(words[4:])
    where = {route.where for route in found.routes}
    assert ("in a container" in where) == (asked.stack.image is not None)


def test_a_request_of_jobs_that_install_their_stack_is_rendered_and_not_written() -> None:
    asked = cases.make(tables(), kit().lock, "gaudi2-8-bloomz", draft=True)
    found = again(asked)
    assert (found.makes, found.command) == (asked.id, None)
    assert [route.commands for route in found.routes] == [[["make", "bench-gaudi2"]]]


IMAGE = f"registry.example/team/stack@sha256:{'ab' * 32}"


@pytest.mark.parametrize("image", [IMAGE, IMAGE.replace("ab", "cd")])
def test_no_image_is_the_same_as_one_that_the_lock_leaves_open(image: str) -> None:
    asked = cases.make(tables(), kit().lock, "gaudi2-8-bloomz", image=image, draft=True)
    found = again(asked)
    assert (found.makes, found.command) == (None, None)
    assert found.problem is not None
    assert "The image digest of stack gaudi-1.10 is unresolved in versions.lock." in found.problem
    named = [shlex.split(words) for words in re.findall("`(.+?)`", found.problem)]
    (build,) = [words for words in named if words[0] == "make"]
    assert refuse_what_make_does_not_read(build) == {"STACKS": "gaudi-1.10", "ARGS": "--missing"}
    assert image_verb.parser().parse_args(["gaudi-1.10", "--missing"]).missing
    with pytest.raises(UnresolvedPin):
        cases.make(tables(), kit().lock, "gaudi2-8-bloomz")


def test_an_image_is_the_same_where_the_lock_names_it() -> None:
    asked = cases.make(tables(), kit().lock, "a100-8-bloomz", image=IMAGE)
    repository, _, digest = IMAGE.partition("@")
    pushed = PushedImage(repository, digest, inputs="ab" * 32)
    named = replace(kit(), lock=replace(kit().lock, built={asked.stack.name: pushed}))
    assert commands.again(asked, tables(), named).makes == asked.id
    found = again(asked)
    assert found.makes not in (asked.id, None)
    assert [place for place, _, _ in found.differences] == ["stack.image"]


def test_a_request_that_names_an_image_is_run_in_it_from_its_file() -> None:
    asked = cases.make(tables(), kit().lock, "gaudi2-8-bloomz", image=IMAGE, draft=True)
    words = commands.of_file(asked, kit().lock, "requests/a.json")
    assert words is not None and words[:4] == [*commands.RUNNER, "run"]
    options = run.parser().parse_args(words[4:])
    assert options.requests == ["requests/a.json"]
    assert pairs.of_images(options.image, kit().lock.stacks) == {"gaudi-1.10": IMAGE}


def test_a_request_of_a_host_is_measured_there_from_its_file() -> None:
    asked = cases.make(tables(), kit().lock, "cpu-1")
    words = commands.of_file(asked, kit().lock, "requests/a.json")
    assert words is not None and words[:4] == [*commands.RUNNER, "bench"]
    assert bench.parser().parse_args(words[4:]).requests == ["requests/a.json"]


def test_a_request_that_nothing_measures_from_its_file_has_no_command() -> None:
    installed_by_pods = cases.make(tables(), kit().lock, "gaudi2-8-bloomz", draft=True)
    in_image = cases.make(tables(), kit().lock, "cpu-dataset", image=IMAGE)
    foreign = replace(in_image, stack=replace(in_image.stack, name="of-another-kit"))
    in_the_base = cases.make(tables(), kit().lock, "a100-8-bloomz")
    for asked in (installed_by_pods, in_image, foreign, in_the_base):
        assert commands.of_file(asked, kit().lock, "requests/a.json") is None


def test_what_a_moved_pin_changed_is_said() -> None:
    asked = cases.make(tables(), kit().lock, "cpu-1")
    older = replace(asked, stack=replace(asked.stack, packages={**asked.stack.packages, "torch": "1.0"}), schema=2)
    found = again(older)
    assert found.makes == asked.id != older.id
    torch = asked.stack.packages["torch"]
    assert found.differences == [["stack.packages.torch", '"1.0"', f'"{torch}"']]


def test_an_older_schema_alone_is_said() -> None:
    asked = replace(cases.make(tables(), kit().lock, "cpu-1"), schema=2)
    assert again(asked).differences == [["schema", "2", "3"]]


def test_a_case_or_margin_that_the_catalog_lacks_has_no_command() -> None:
    asked = cases.make(tables(), kit().lock, "cpu-1")
    for unknown, words in (
        (replace(asked, case="cpu-9"), "no case cpu-9"),
        (replace(asked, margin=0.123), "margin is 0.123"),
    ):
        found = again(unknown)
        assert (found.makes, found.command, found.routes) == (None, None, [])
        assert words in (found.problem or "")


def test_a_product_that_only_its_host_names_is_measured_there() -> None:
    product = Accelerator("nvidia-something", "cuda", 80 * 10**9, None)
    asked = cases.make(tables(), kit().lock, "other-cuda-1-bloomz-7b1", product=product, in_image=False)
    found = again(asked)
    assert (found.makes, found.command) == (asked.id, None)
    assert found.routes[0].commands == [["make", "bench", "CASES=other-cuda-1-bloomz-7b1"]]


def test_a_file_of_prompts_is_named_with_its_hash_and_never_read(tmp_path: Path) -> None:
    asked = cases.make(tables(), kit().lock, "cpu-dataset", Changes(launches=2))
    name = "a file; rm -rf $HOME 'x'.jsonl"
    dataset = Dataset("file", name, None, None, None, "json", "ab" * 32, "the column", 3)
    asked = replace(asked, workload=replace(asked.workload, dataset=dataset))
    found = again(asked)
    assert found.makes is None and "ab" * 32 in (found.problem or "")
    ((words,),) = [route.commands for route in found.routes]
    assert refuse_what_make_does_not_read(words) == {
        "DATASET": name,
        "COLUMN": "the column",
        "ARGS": "--launches=2 --rows=3",
    }
    assert shlex.split(commands.line(words)) == words
    assert found.command is not None
    options = request_verb.parser().parse_args(found.command[4:])
    assert (options.dataset_file, options.column, options.rows) == (Path(name), "the column", 3)
    from_file = commands.of_file(asked, kit().lock, "requests/a.json")
    assert from_file is not None
    assert bench.parser().parse_args(from_file[4:]).dataset_file == name


def test_a_dataset_of_the_hub_is_made_again() -> None:
    asked = cases.make(tables(), kit().lock, "cpu-dataset", Changes(rows=5))
    found = again(asked)
    assert found.makes == asked.id and found.command is not None
    assert made_by(found.command).id == asked.id
