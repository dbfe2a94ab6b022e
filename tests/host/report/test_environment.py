from __future__ import annotations

from pathlib import Path

import pytest

from runner.contract.records import JsonObject
from runner.host.report import page, shown
from runner.host.report.material import Material
from runner.host.report.sections import environment
from runner.host.report.sections.environment import Content
from tests.examples import made_up
from tests.examples.made_up import MadeUp
from tests.support import samples
from tests.support.markup import Element, parsed
from tests.support.materials import material, of_bodies, of_folder


def content(of: Material) -> Content:
    found = environment.content(of)
    assert found is not None
    return found


def drawn(of: Material) -> Element:
    return parsed(page.html(of, page.filled(of))).only("section", id="environment")


def changed(**environment_changes: object) -> JsonObject:
    body = samples.body(attempt_id=f"20261122T100000Z-{len(str(environment_changes)):08x}")
    body["environment"].update(environment_changes)
    return body


def test_nothing_measured_says_nothing() -> None:
    assert environment.content(material()) is None


def test_dummy_weights_are_said_loudly_and_published_ones_by_their_revision(tmp_path: Path) -> None:
    made_up.write(tmp_path, [MadeUp("cpu-1"), MadeUp("a100-8-bloomz")])
    of = of_folder(tmp_path)
    by_case = {request.facts["case"]: request for request in content(of).requests}
    assert (by_case["cpu-1"].dummy_weights, by_case["a100-8-bloomz"].dummy_weights) == (True, False)
    assert "seed 29" in by_case["cpu-1"].facts["weights"]
    request = next(
        file.request for files in of.whole.values() for file in files if file.request.case == "a100-8-bloomz"
    )
    assert f"revision {request.model.revision}" in by_case["a100-8-bloomz"].facts["weights"]
    (note,) = [note.text() for note in drawn(of).all("p", class_="note") if "Dummy" in note.text()]
    assert note.startswith("Dummy weights. 1 of 2 requests ran with random numbers")


def test_facts_that_all_have_alike_are_written_once(tmp_path: Path) -> None:
    made_up.write(tmp_path, [MadeUp("cpu-1"), MadeUp("cpu-2")])
    of = of_folder(tmp_path)
    assert content(of).shared_by_requests["stack"] == "cpu"
    told = [term.text() for term in drawn(of).all("dt")]
    assert (told.count("stack"), told.count("accelerator")) == (1, 2)


def test_hosts_that_are_told_alike_are_one(tmp_path: Path) -> None:
    made_up.write(tmp_path, [MadeUp("cpu-1", attempts=3), MadeUp("cpu-2")])
    (host,) = content(of_folder(tmp_path)).hosts
    assert (host.host, len(host.requests)) == (made_up.HOST, 2)
    assert host.facts["processor"] == made_up.PROCESSOR


def test_hosts_that_differ_in_one_fact_are_two(tmp_path: Path) -> None:
    of = of_bodies(tmp_path, changed(), changed(kernel="6.2"))
    found = content(of)
    assert sorted(host.facts["kernel"] for host in found.hosts) == ["6.1, x86_64", "6.2, x86_64"]
    assert "kernel" not in found.shared_by_hosts and found.shared_by_hosts["processor"] == "a processor"


@pytest.mark.parametrize(
    "inventory, words",
    [
        (None, "not compared with the lock"),
        (samples.inventory(requirements=None), "not compared with the lock"),
        (samples.inventory(), "2 compared with images/cpu/requirements-cpu.txt: all are the locked ones"),
        (
            samples.inventory(
                missing={"a": "1"}, changed={"b": ["1", "2"]}, altered_files=["c", "d"], added={"e": "1"}
            ),
            "2 compared with images/cpu/requirements-cpu.txt: 1 missing, 1 of another version, 2 with altered files, 1 added",
        ),
    ],
    ids=["schema 1", "not here", "alike", "unlike"],
)
def test_whether_the_packages_are_the_locked_ones(tmp_path: Path, inventory: object, words: str) -> None:
    (host,) = content(of_bodies(tmp_path, changed(inventory=inventory))).hosts
    assert host.facts["installed packages"] == words


def test_pins_of_alike_requests_are_written_once(tmp_path: Path) -> None:
    made_up.write(tmp_path, [MadeUp("cpu-1"), MadeUp("cpu-2"), MadeUp("cpu-1", packages={"torch": "9.9.9"})])
    pins = content(of_folder(tmp_path)).pins
    assert sorted(len(pin.requests) for pin in pins) == [1, 2]
    assert {pin.packages["torch"] == "9.9.9" for pin in pins} == {True, False}


def test_flagged_launches_are_counted_and_named(tmp_path: Path) -> None:
    made_up.write(tmp_path, [MadeUp("cpu-1", launches=5, flagged={1: "cpu_pressure", 3: "cpu_pressure"}, failed=1)])
    (flagged,) = content(of_folder(tmp_path)).flagged
    assert (flagged.check, flagged.launches, flagged.of_launches, len(flagged.first)) == ("cpu_pressure", 2, 6, 2)


def test_checks_that_could_not_be_made_have_their_reason(tmp_path: Path) -> None:
    of = of_bodies(tmp_path, samples.body())
    untold = {each.check: each.reason for each in content(of).untold}
    assert untold["throttling"] == samples.raw(samples.request())["cannot_tell"]["throttling"]


def test_what_stood_in_for_a_device_is_said(tmp_path: Path) -> None:
    body = samples.body()
    body["launches"][0]["conditions"]["emulated"] = True
    of = of_bodies(tmp_path, body)
    assert content(of).requests[0].emulated
    assert "something stood in for the device" in drawn(of).text()


def test_older_requests_are_left_out_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown, "REQUESTS", 1)
    made_up.write(tmp_path, [MadeUp("cpu-1"), MadeUp("cpu-2")])
    of = of_folder(tmp_path)
    assert (len(content(of).requests), content(of).left_out) == (1, 1)
    assert "Left out here: 1 older request." in drawn(of).text()


def test_foreign_text_stays_text(tmp_path: Path) -> None:
    hostile = "</dd><script>alert(1)</script>\u202egnp\x1b[31m{{ 7 * 7 }}"
    body = changed(host=hostile, kernel=hostile, operating_system=hostile)
    body["environment"]["cpu"]["model"] = hostile
    body["launches"][0]["ranks"][0]["device"].update(name=hostile, driver=hostile)
    section = drawn(of_bodies(tmp_path, body))
    assert section.all("script") == []
    assert "\u202e" not in section.text() and "\x1b" not in section.text()
    assert "<script>alert(1)</script>" in section.text() and "{{ 7 * 7 }}" in section.text()
