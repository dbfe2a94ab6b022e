"""Scanning, signing and the programs for both: what they are given, and that only the pinned file is ever run."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import stat
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from runner.contract.errors import InputError, UnresolvedPin, Unsupported, UsageError
from runner.host.readers import lockfile
from runner.host.readers.lockfile import Lock, PinnedBinary, PushedImage
from tests.support.forge import TOKEN
from tools import image_evidence, released_program
from tools.workflow import __main__ as command_line

PROGRAM = b"#!/bin/sh\necho here\n"
FOUND = {"matches": [{"vulnerability": {"severity": severity}} for severity in ("High", "Low", "Low")]}
DIGEST = "sha256:" + "5b" * 32


def pinned(monkeypatch: pytest.MonkeyPatch, raw: bytes, url: str, sha256: str | None = None) -> None:
    pin = PinnedBinary("1.0", url, sha256 or hashlib.sha256(raw).hexdigest())
    lock = replace(lockfile.read(), binaries={"grype": pin})
    monkeypatch.setattr(lockfile, "read", lambda: lock)
    monkeypatch.setattr(released_program.platform, "machine", lambda: "x86_64")


def archive(name: str, content: bytes, kind: bytes = tarfile.REGTYPE) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as file:
        member = tarfile.TarInfo(name)
        member.size, member.type, member.linkname = (len(content) if kind == tarfile.REGTYPE else 0), kind, "/bin/sh"
        file.addfile(member, io.BytesIO(content))
    return gzip.compress(raw.getvalue())


@pytest.mark.parametrize("url", ["https://forge.example/grype", "https://forge.example/grype.tar.gz"])
def test_a_program_is_fetched_once_and_may_be_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str) -> None:
    raw = archive("grype", PROGRAM) if url.endswith("gz") else PROGRAM
    pinned(monkeypatch, raw, url)
    asked: list[str] = []

    def fetch(address: str) -> bytes:
        asked.append(address)
        return raw

    for _ in range(2):
        path = released_program.fetched("grype", tmp_path / "programs", fetch)
        assert path.read_bytes() == PROGRAM and path.stat().st_mode & stat.S_IXUSR
    assert asked == [url]


def test_another_file_than_the_pinned_one_is_not_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pinned(monkeypatch, PROGRAM, "https://forge.example/grype")
    with pytest.raises(InputError, match="is not the file that versions.lock pins"):
        released_program.fetched("grype", tmp_path, lambda _: PROGRAM + b"x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "raw", [archive("other", PROGRAM), archive("grype", b"", tarfile.SYMTYPE)], ids=["other", "link"]
)
def test_an_archive_without_the_program_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, raw: bytes) -> None:
    pinned(monkeypatch, raw, "https://forge.example/grype.tar.gz")
    with pytest.raises(InputError, match="holds no program grype"):
        released_program.fetched("grype", tmp_path, lambda _: raw)


def test_an_unresolved_hash_and_an_unknown_program_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pinned(monkeypatch, PROGRAM, "https://forge.example/grype", lockfile.UNRESOLVED)
    with pytest.raises(UnresolvedPin):
        released_program.fetched("grype", tmp_path, lambda _: PROGRAM)
    with pytest.raises(InputError, match="pins no program trivy"):
        released_program.fetched("trivy", tmp_path, lambda _: PROGRAM)


def test_another_machine_than_the_pinned_one_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pinned(monkeypatch, PROGRAM, "https://forge.example/grype")
    monkeypatch.setattr(released_program.platform, "machine", lambda: "aarch64")
    with pytest.raises(Unsupported, match="x86-64 alone"):
        released_program.fetched("grype", tmp_path, lambda _: PROGRAM)


# --- scan ---


def scanner(folder: Path, answer: str, code: int = 0) -> Path:
    program = folder / "grype"
    program.write_text(f"#!/bin/sh\necho \"$@\" >> {folder}/asked\ncat <<'END'\n{answer}\nEND\nexit {code}\n")
    program.chmod(0o755)
    return program


def built(folder: Path) -> Path:
    (folder / "images" / "cpu").mkdir(parents=True)
    (folder / "images" / "cpu" / "sbom.json").write_text("{}")
    return folder / "images"


def test_a_scan_keeps_what_was_found_and_counts_it(tmp_path: Path) -> None:
    images = built(tmp_path)
    assert image_evidence.scan(images, None, scanner(tmp_path, json.dumps(FOUND))) == [
        "cpu: known vulnerabilities: 1 High, 2 Low"
    ]
    assert json.loads((images / "cpu" / "vulnerabilities.json").read_text()) == FOUND
    assert (tmp_path / "asked").read_text() == f"sbom:{images}/cpu/sbom.json --output json --quiet\n"


@pytest.mark.parametrize(("fail_on", "fails"), [("Critical", False), ("High", True), ("Low", True)])
def test_a_scan_fails_from_the_severity_that_is_named(tmp_path: Path, fail_on: str, fails: bool) -> None:
    images, grype = built(tmp_path), scanner(tmp_path, json.dumps(FOUND))
    if fails:
        with pytest.raises(Unsupported, match=f"cpu: vulnerabilities of severity {fail_on}"):
            image_evidence.scan(images, fail_on, grype)
    else:
        assert image_evidence.scan(images, fail_on, grype)


@pytest.mark.parametrize(("answer", "code"), [("{}", 0), ("no JSON", 0), ("[]", 0), (json.dumps(FOUND), 1)])
def test_a_scan_that_went_wrong_is_no_clean_image(tmp_path: Path, answer: str, code: int) -> None:
    with pytest.raises((InputError, Unsupported)):
        image_evidence.scan(built(tmp_path), None, scanner(tmp_path, answer, code))


def test_a_scan_of_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Build an image first"):
        image_evidence.scan(tmp_path, None, tmp_path / "grype")


# --- sign ---


@pytest.fixture
def lock(monkeypatch: pytest.MonkeyPatch) -> Lock:
    lock = replace(lockfile.read(), built={"cpu": PushedImage("ghcr.io/team/kit/cpu", DIGEST, "6c" * 32)})
    monkeypatch.setattr(lockfile, "read", lambda: lock)
    return lock


def test_an_image_is_signed_by_its_digest_with_its_bill_of_materials(tmp_path: Path, lock: Lock) -> None:
    images = built(tmp_path)
    reference = f"ghcr.io/team/kit/cpu@{DIGEST}"
    bill = str(images / "cpu" / "sbom.json")
    assert image_evidence.sign_commands([], images, Path("cosign")) == [
        ["cosign", "sign", "--yes", reference],
        ["cosign", "attest", "--yes", "--type", "cyclonedx", "--predicate", bill, reference],
    ]


def test_what_was_not_pushed_or_has_no_bill_is_not_signed(tmp_path: Path, lock: Lock) -> None:
    with pytest.raises(InputError, match="no pushed image of cuda"):
        image_evidence.sign_commands(["cuda"], tmp_path, Path("cosign"))
    with pytest.raises(InputError, match="sbom.json is not there"):
        image_evidence.sign_commands(["cpu"], tmp_path, Path("cosign"))


# --- the login ---


def test_a_login_is_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "a" / "login.json"
    arguments = ["login", "--registry", "ghcr.io", "--user", "somebody", "--file", str(file)]
    for _ in range(2):
        assert command_line.run(arguments, {"GITHUB_TOKEN": TOKEN}) == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(json.loads(file.read_text())["auths"]) == ["ghcr.io"]
    with pytest.raises(UsageError, match="GITHUB_TOKEN is empty"):
        command_line.run(arguments, {})
