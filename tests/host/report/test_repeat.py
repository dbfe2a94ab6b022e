from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from runner import __version__
from runner.host.report import commands, page, shown
from runner.host.report.material import Material
from runner.host.report.sections import repeat
from runner.host.report.sections.repeat import Content
from tests.examples import made_up
from tests.examples.made_up import MadeUp
from tests.support import samples
from tests.support.markup import Element, parsed
from tests.support.materials import material, of_bodies, of_folder


def content(of: Material) -> Content:
    found = repeat.content(of)
    assert found is not None
    return found


def drawn(of: Material) -> Element:
    return parsed(page.html(of, page.filled(of))).only("section", id="repeat")


def test_nothing_measured_says_nothing() -> None:
    assert repeat.content(material()) is None


def test_the_commands_on_the_page_are_those_of_the_record(tmp_path: Path) -> None:
    made_up.write(
        tmp_path, [MadeUp("cpu-1", launches=7), MadeUp("a100-8-bloomz"), MadeUp("gaudi-16-bloomz", latency_s=6.0)]
    )
    of = of_folder(tmp_path)
    blocks = ["".join(map(str, block.only("code").content)) for block in drawn(of).all("pre")]
    printed = [line for block in blocks for line in block.split("\n")]
    wanted = []
    for each in content(of).requests:
        wanted += [commands.line(words) for route in each.again.routes for words in route.commands]
        wanted += [commands.line(each.again.command)] if each.again.command is not None else []
    assert printed == wanted
    assert "make bench CASES=cpu-1 ARGS=--launches=7" in printed
    assert "make bench-a100" in printed
    # the last of two commands
    assert f"{' '.join(commands.RUNNER)} submit build/manifests" in printed


def test_the_request_is_exact_where_the_pins_are_the_same(tmp_path: Path) -> None:
    made_up.write(tmp_path, [MadeUp("cpu-1")])
    of = of_folder(tmp_path)
    (found,) = content(of).requests
    assert found.is_exact
    assert found.again.request == found.again.makes == of.measured[0].group.request.id
    text = drawn(of).text()
    assert "this copy of the kit makes the same id" in text
    assert f"made by bloomz-bench {__version__}" in text


def test_a_moved_pin_is_said_with_both_ids(tmp_path: Path) -> None:
    made_up.write(tmp_path, [MadeUp("cpu-1", packages={"torch": "9.9.9"})])
    of = of_folder(tmp_path)
    (found,) = content(of).requests
    assert not found.is_exact
    assert f"makes another request, {found.again.makes}" in drawn(of).text()
    assert 'stack.packages.torch : "9.9.9" then' in drawn(of).text()


def test_the_file_of_a_request_is_named_only_where_it_lies_beside_the_page(tmp_path: Path) -> None:
    made_up.write(tmp_path, [MadeUp("cpu-1")])
    alone, beside = of_folder(tmp_path), of_folder(tmp_path, beside_page=(repeat.REQUESTS,))
    assert content(alone).requests[0].file is None and "lies beside this page" not in drawn(alone).text()
    name = content(beside).requests[0].file
    assert name == f"requests/{alone.measured[0].group.request.id}.json" and name in drawn(beside).text()


def test_a_request_in_an_image_that_the_lock_leaves_open_is_not_said_to_be_made_again(tmp_path: Path) -> None:
    made_up.write(tmp_path, [MadeUp("gaudi2-8-bloomz")])
    of = of_folder(tmp_path, beside_page=(repeat.REQUESTS,))
    (found,) = content(of).requests
    text = drawn(of).text()
    assert not found.is_exact and "makes the same id" not in text.replace("makes the same id is not known", "")
    assert "The image digest of stack gaudi-1.10 is unresolved in versions.lock" in text
    assert "`make images STACKS=gaudi-1.10 ARGS=--missing`" in text
    # the request's own file is run in the image that it names
    assert found.file_command is not None and found.file_command in text
    assert f"--image=gaudi-1.10={found.image}" in found.file_command and found.file in found.file_command.split()


def test_the_digest_of_the_image_is_told(tmp_path: Path) -> None:
    made_up.write(tmp_path, [MadeUp("a100-8-bloomz")])
    (found,) = content(of_folder(tmp_path)).requests
    assert found.image is not None and re.search("@sha256:[0-9a-f]{64}$", found.image)


def test_the_repository_is_cloned_only_where_the_kit_names_one(tmp_path: Path) -> None:
    made_up.write(tmp_path, [MadeUp("cpu-1")])
    of = of_folder(tmp_path)
    assert of.kit is not None
    with_one = replace(of, kit=replace(of.kit, repository="https://forge.example/kit"))
    without = replace(of, kit=replace(of.kit, repository=None))
    assert "git clone https://forge.example/kit" in drawn(with_one).text()
    assert "git clone" not in drawn(without).text()


def test_a_case_that_this_copy_lacks_is_said(tmp_path: Path) -> None:
    of = of_bodies(tmp_path, samples.body(replace(samples.request(), case="of-another-kit")))
    assert "this copy of the kit has no case of-another-kit" in drawn(of).text()
    assert drawn(of).all("pre") == []


def test_older_requests_are_left_out_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown, "REQUESTS", 1)
    made_up.write(tmp_path, [MadeUp("cpu-1"), MadeUp("cpu-2")])
    found = content(of_folder(tmp_path))
    assert (len(found.requests), found.left_out) == (1, 1)
