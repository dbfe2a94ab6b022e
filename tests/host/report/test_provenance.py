from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from runner.host.readers import prices
from runner.host.report import page, shown
from runner.host.report.material import Material
from runner.host.report.sections import provenance
from runner.host.report.sections.provenance import Content
from tests.examples import made_up
from tests.examples.made_up import MadeUp
from tests.support.markup import Element, parsed
from tests.support.materials import material, of_folder, tables


def drawn(of: Material) -> Element:
    return parsed(page.html(of, page.filled(of))).only("section", id="provenance")


def content(of: Material) -> Content:
    return provenance.content(of)


def test_published_numbers_have_their_place_and_bandwidths_their_source() -> None:
    found = content(material())
    assert [(source.name, source.cells) for source in found.publications] == [("post-1", 8), ("post-3", 8)]
    text = drawn(material()).text()
    for name in ("post-1", "post-3"):
        assert tables().claim_sources[name].place in text
    bandwidths = {each.accelerator: each for each in found.bandwidths}
    assert set(bandwidths) == {"gaudi2", "gaudi", "a100-80gb"}
    assert bandwidths["gaudi"].hbm_bytes_per_s is None and "gaudi: unknown" in text
    assert "2.45 TB/s a device" in text and tables().accelerator_rows["gaudi2"].source in text


def test_every_shown_file_has_attempt_seal_and_hash(tmp_path: Path) -> None:
    made_up.write(tmp_path, [MadeUp("cpu-1")])
    of = of_folder(tmp_path)
    ((file,),) = [request.files for request in content(of).requests]
    raw = Path(file.path).read_bytes()
    assert (file.file_sha256, file.signature) == (hashlib.sha256(raw).hexdigest(), None)
    assert (file.seal_sha256, file.attempt) == (json.loads(raw)["sha256"], json.loads(raw)["attempt"]["id"])
    text = drawn(of).text()
    assert all(value in text for value in (file.path, file.attempt, file.seal_sha256, file.file_sha256 or ""))
    assert "not signed" in text


def test_older_files_are_told_by_their_number_and_one_hash(tmp_path: Path) -> None:
    made_up.write(tmp_path, [MadeUp("cpu-1", attempts=5, launches=1)])
    of = of_folder(tmp_path)
    (request,) = content(of).requests
    attempts = [file.attempt for file in of.measured[0].files]
    assert [file.attempt for file in request.files] == attempts[:1:-1]
    seals = sorted(file.sha256 for file in of.measured[0].files[:2])
    digest = hashlib.sha256("".join(f"{seal}\n" for seal in seals).encode()).hexdigest()
    assert (request.launches, request.others, request.others_sha256) == (5, 2, digest)
    assert (
        f"Left out here: 2 older files, which count all the same. The sha256 of their seals, sorted, one a line: {digest}"
        in (drawn(of).text())
    )


def test_older_requests_are_left_out_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown, "REQUESTS", 1)
    made_up.write(tmp_path, [MadeUp("cpu-1", attempts=2), MadeUp("cpu-2", attempts=2)])
    found = content(of_folder(tmp_path))
    assert (len(found.requests), found.requests_left_out, found.files_left_out) == (1, 1, 2)


def test_failed_launches_are_counted(tmp_path: Path) -> None:
    made_up.write(tmp_path, [MadeUp("cpu-1", launches=2, failed=3)])
    (request,) = content(of_folder(tmp_path)).requests
    assert (request.launches, request.failed_launches) == (2, 3)


def test_refused_files_have_their_reasons(tmp_path: Path) -> None:
    for number in range(23):
        (tmp_path / f"{number:02d}<i>.json").write_text("{")
    of = of_folder(tmp_path)
    found = content(of)
    assert (len(found.refused), found.refused_left_out) == (20, 3)
    section = drawn(of)
    assert section.all("i") == []
    assert "00<i>.json is not usable JSON" in section.text() and "Left out here: 3 more refusals." in section.text()


def test_other_laboratories_are_told_by_one_hash(tmp_path: Path) -> None:
    made_up.write(tmp_path / "x", [MadeUp("cpu-1", attempts=2)])
    others = of_folder(tmp_path / "x").measured
    of = material(laboratories={"<b>a laboratory": others})
    (laboratory,) = content(of).laboratories
    assert (laboratory.requests, laboratory.files) == (1, 2)
    assert "<b>a laboratory : 2 files of 1 request," in drawn(of).text()


def test_prices_have_their_source(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(
        "prices:\n  mine:\n    product: gaudi2\n    devices: 8\n    price: 10.42\n    currency: EUR\n    per: hour\n"
        "    region: a <region>\n    date: 2023-06-01\n    source: an offer\n"
    )
    of = material(prices=prices.read(path, tables(), "2026-11-27"))
    text = drawn(of).text()
    assert "10.42 EUR an hour for 8 x gaudi2, a <region> , named 2023-06-01 by an offer" in text


def test_files_beside_the_page_are_linked_only_where_they_lie_there() -> None:
    assert drawn(material()).all("a") == []
    of = material(beside_page=("report.json", "figures/"))
    assert [link.attributes["href"] for link in drawn(of).all("a")] == ["report.json"]


def test_a_hostile_path_stays_text(tmp_path: Path) -> None:
    made_up.write(tmp_path, [MadeUp("cpu-1")])
    (file,) = tmp_path.rglob("*.json")
    file.rename(tmp_path / "<script>\u202ex\x07\udcff.json")
    section = drawn(of_folder(tmp_path))
    assert section.all("script") == []
    assert "<script>\\u202ex\\x07\\udcff.json" in section.text()
