"""What origins list for `bump`: releases, tags, branches, heads and their days, from servers on loopback that answer well and badly."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.contract import patterns
from runner.contract.errors import InputError, KitError, Unreachable
from runner.host.pins import answers, programs, silence, web
from runner.host.pins.origins import container_registry, git, hub, package_index
from tests.support import git_repository, gitserver, hostile, misbehaving
from tests.support import hub as hub_server
from tests.support import package_index as index_server
from tests.support.package_index import Package
from tests.support.registry import Registry

REVISION = "1a" * 20
DAY = "2026-11-20"


@pytest.fixture(autouse=True)
def every_origin_is_asked() -> None:
    silence.forget()


def one_sentence(caught: pytest.ExceptionInfo[KitError]) -> str:
    told = str(caught.value)
    assert len(told) < 900 and told.isprintable() and "Traceback" not in told
    return told


def package(version: str, **more: str | None) -> Package:
    """Return a wheel of the package ``sample``, whose bytes are those of no wheel."""
    return Package("sample", version, f"sample-{version}-py3-none-any.whl", version.encode(), **more)


def _damaged(compression: int) -> bytes:
    """Return a wheel whose metadata is compressed, with other bytes in the place of the compressed ones."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", compression) as archive:
        archive.writestr("sample-1.0.dist-info/METADATA", "Name: sample\n" * 100)
    whole = raw.getvalue()
    # behind the header of 30 bytes, the name and what LZMA says of itself
    begin = 30 + len("sample-1.0.dist-info/METADATA") + (10 if compression == zipfile.ZIP_LZMA else 0)
    return whole[:begin] + b"\xff" * 12 + whole[begin + 12 :]


class TestPackageIndex:
    def test_releases_have_versions_days_pythons_and_withdrawals(self) -> None:
        source = Package("sample", "1.10", "sample-1.10.tar.gz", b"source", "2026-11-21T00:30:00Z", ">=3.8", None)
        listed = [
            package("1.10", uploaded="2026-11-20T23:59:59.123456Z", requires_python=">=3.9"),
            source,
            package("1.9", uploaded=f"{DAY}T23:30:00-01:00", withdrawn="broken"),
            package("1.2", withdrawn=""),
        ]
        with index_server.serve(listed, as_json=True) as (address, asked):
            found = package_index.releases("sample", address)
            assert asked == ["/simple/sample/"]
        assert [one.version for one in found] == ["1.2", "1.9", "1.10"]
        assert [one.day for one in found] == [None, "2026-11-21", DAY]
        assert [one.withdrawn for one in found] == ["", "broken", None]
        assert found[2].requires_python == {">=3.9", ">=3.8"}
        assert {one.index for one in found} == {address}

    def test_a_release_with_one_file_that_was_not_withdrawn_is_there(self) -> None:
        """And only what that file asks of Python counts."""
        good = Package("sample", "2.0", "sample-2.0.tar.gz", b"x", None, ">=3.8", None)
        with index_server.serve([package("2.0", withdrawn="", requires_python=">=3.99"), good], as_json=True) as (
            address,
            _,
        ):
            (found,) = package_index.releases("sample", address)
        assert found.withdrawn is None and found.requires_python == {">=3.8"}

    def test_an_index_of_html_says_no_days(self) -> None:
        listed = [package("1.0", uploaded=f"{DAY}T00:00:00Z", requires_python=">=3.8"), package("1.1", withdrawn="bad")]
        with index_server.serve(listed) as (address, _):
            found = package_index.releases("sample", address)
        assert [(one.version, one.day, one.withdrawn, sorted(map(str, one.requires_python))) for one in found] == [
            ("1.0", None, None, [">=3.8"]),
            ("1.1", None, "bad", ["None"]),
        ]

    def test_a_folder_is_an_index_without_days(self, tmp_path: Path) -> None:
        (tmp_path / "sample").mkdir()
        link = f"<a href='sample-1.0-py3-none-any.whl#sha256={misbehaving.SHA256}'>sample</a>"
        (tmp_path / "sample" / "index.html").write_text(link)
        (found,) = package_index.releases("sample", tmp_path.as_uri())
        assert (found.version, found.day) == ("1.0", None)
        with pytest.raises(InputError):
            package_index.releases("other", tmp_path.as_uri())

    def test_a_local_label_is_no_part_of_the_version(self) -> None:
        with index_server.serve([package("2.13.0+cpu"), package("2.13.0+cu126")]) as (address, _):
            (found,) = package_index.releases("sample", address)
        assert found.version == "2.13.0"

    def test_the_users_indexes_are_asked_together_and_their_logins_are_told_nowhere(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with (
            index_server.serve([package("1.0", uploaded=f"{DAY}T00:00:00Z")], as_json=True) as (first, _),
            index_server.serve([package("1.0"), package("2.0")]) as (second, _),
        ):
            monkeypatch.setenv("PIP_INDEX_URL", first.replace("http://", "http://user:hunter2-hunter2@"))
            monkeypatch.setenv("PIP_EXTRA_INDEX_URL", second)
            found = package_index.releases("sample")
        assert [(one.version, one.day, one.index) for one in found] == [("1.0", DAY, first), ("2.0", None, second)]

    def test_ten_thousand_releases_are_read_and_ordered(self) -> None:
        listed = [package(f"{number // 100}.{number % 100}", uploaded=f"{DAY}T00:00:00Z") for number in range(10_000)]
        with index_server.serve(list(reversed(listed)), as_json=True) as (address, _):
            found = package_index.releases("sample", address)
        assert [one.version for one in found] == [f"{number // 100}.{number % 100}" for number in range(10_000)]

    @pytest.mark.parametrize("as_json", [True, False])
    def test_a_file_whose_name_holds_no_version_is_left_out(self, as_json: bool) -> None:
        names = [*hostile.TEXTS, "1.0;touch PWN", "$(id)", "1.0\x1b[2J", "9" * 300]
        files = [
            Package("sample", "", f"sample-{text}-py3-none-any.whl".replace("/", ""), str(number).encode())
            for number, text in enumerate(names)
        ]
        with index_server.serve([*files, package("1.0")], as_json=as_json) as (address, _):
            found = package_index.releases("sample", address)
        assert "1.0" in [one.version for one in found]
        assert all(patterns.VERSION.fullmatch(one.version) and one.version.isprintable() for one in found)
        assert not [one for one in found if "PWN" in one.version or len(one.version) > 100]

    @pytest.mark.parametrize("moment", ["yesterday", 3, "2026-13-45T00:00:00Z"])
    def test_a_moment_that_is_none_makes_the_page_no_page(self, moment: object) -> None:
        listed = package("1.0", uploaded=moment)  # type: ignore[arg-type]
        with index_server.serve([listed], as_json=True) as (address, _):
            if moment == 3:
                # pypi-simple takes a number for seconds since 1970
                assert package_index.releases("sample", address)[0].day == "1970-01-01"
                return
            with pytest.raises(Unreachable, match="its JSON lists no files") as caught:
                package_index.releases("sample", address)
        one_sentence(caught)

    @pytest.mark.parametrize(
        "way, error",
        [
            ("404", InputError),
            *((way, Unreachable) for way in ("401", "403", "500", "html", "half", "cut", "no-files", "binary")),
        ],
    )
    def test_an_index_that_answers_badly_is_told_apart(self, way: str, error: type[KitError]) -> None:
        with misbehaving.serve() as (address, _), pytest.raises(error) as caught:
            package_index.releases(way, address)
        assert one_sentence(caught).startswith(f"the index, for {way}")

    def test_a_silent_index_is_waited_for_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(web, "TIMEOUT_S", 0.2)
        with misbehaving.serve() as (address, asked):
            for name in ("silent", "other", "third"):
                with pytest.raises(silence.NoAnswer):
                    package_index.releases(name, address)
            assert len(asked) == 1

    def test_the_description_of_a_release_is_read_from_its_wheel(self) -> None:
        text = b"Metadata-Version: 2.1\nName: sample\nVersion: 2.0\n\nIt has been validated with Intel Gaudi v1.25 stack.\n"
        made = index_server.wheel("sample", "2.0", {})
        other = index_server.wheel("sample", "1.0", {})
        described = Package("sample", "2.0", made.name, _with_metadata(text))
        with index_server.serve([other, described]) as (address, asked):
            assert "validated with Intel Gaudi v1.25" in package_index.summary("sample", "2.0", address)
            assert package_index.summary("sample", "1.0", address) == ""
            with pytest.raises(InputError, match="no index has a wheel of it"):
                package_index.summary("sample", "3.0", address)
            assert asked.count(f"/files/{described.name}") == 1

    @pytest.mark.parametrize(
        "content, told",
        [
            (b"no archive", "its wheel cannot be read"),
            (b"PK\x03\x04" + b"\0" * 60, "its wheel cannot be read"),
            (_damaged(zipfile.ZIP_DEFLATED), "its wheel cannot be read"),
            (_damaged(zipfile.ZIP_LZMA), "its wheel cannot be read"),
            (_damaged(zipfile.ZIP_BZIP2), "its wheel cannot be read"),
        ],
        ids=range(5),
    )
    def test_a_wheel_that_is_none_is_one_sentence(self, content: bytes, told: str) -> None:
        broken = Package("sample", "1.0", "sample-1.0-py3-none-any.whl", content)
        with index_server.serve([broken]) as (address, _), pytest.raises(Unreachable, match=told) as caught:
            package_index.summary("sample", "1.0", address)
        one_sentence(caught)

    def test_a_wheel_of_other_bytes_is_not_read(self) -> None:
        made = index_server.wheel("sample", "1.0", {})
        with (
            index_server.serve([made], lambda name, content: b"x" * len(content)) as (address, _),
            pytest.raises(Unreachable, match="are not those of its hash"),
        ):
            package_index.summary("sample", "1.0", address)

    def test_metadata_without_end_is_not_unpacked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(package_index, "MAX_METADATA_BYTES", 1000)
        large = Package("sample", "1.0", "sample-1.0-py3-none-any.whl", _with_metadata(b"x" * 2000))
        with index_server.serve([large]) as (address, _), pytest.raises(Unreachable, match="more than 1000 bytes"):
            package_index.summary("sample", "1.0", address)


def _with_metadata(text: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("sample-2.0.dist-info/METADATA", text)
    return packed.getvalue()


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """A registry that skopeo speaks plain HTTP to, and no login for it."""
    with Registry() as served:
        served.settings(tmp_path)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
        (tmp_path / "auth.json").write_text("{}")
        yield served


class TestContainerRegistry:
    def test_tags_and_days_of_images_are_told(self, registry: Registry) -> None:
        digest = registry.put("library/python", "3.12.8-bookworm", f"{DAY}T23:59:59.123456789Z")
        registry.put("library/python", "3.12.9-bookworm", "2026-11-21T01:00:00+02:00")
        repository = f"{registry.address}/library/python"
        assert container_registry.tags(repository) == ["3.12.8-bookworm", "3.12.9-bookworm"]
        assert container_registry.made_on(f"{repository}:3.12.8-bookworm") == DAY
        assert container_registry.made_on(f"{repository}@{digest}") == DAY
        assert container_registry.made_on(f"{repository}:3.12.9-bookworm") == DAY
        assert container_registry.image_digest(repository, "3.12.8-bookworm") == digest

    @pytest.mark.parametrize(
        "created", [None, 3, "", "yesterday", "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "2026-13-01T00:00:00Z"]
    )
    def test_an_image_that_tells_no_day_has_none(self, registry: Registry, created: object) -> None:
        registry.put("a", "1", created)
        if created == 3:
            # skopeo hands the bytes of the configuration on
            assert container_registry.made_on(f"{registry.address}/a:1") is None
            return
        assert container_registry.made_on(f"{registry.address}/a:1") is None

    def test_what_is_not_there_is_told_from_what_does_not_answer(self, registry: Registry) -> None:
        registry.put("a", "1", None)
        for ask in (
            lambda: container_registry.tags(f"{registry.address}/b"),
            lambda: container_registry.made_on(f"{registry.address}/a:2"),
        ):
            with pytest.raises(InputError, match="there is no such") as caught:
                ask()
            one_sentence(caught)

    def test_tags_that_are_none_are_left_out(self, registry: Registry) -> None:
        registry.tags["a"] = json.dumps({"name": "a", "tags": ["1.0", *hostile.TEXTS, "$(id)", "1;id"]}).encode()
        found = container_registry.tags(f"{registry.address}/a")
        assert "1.0" in found
        assert all(patterns.TAG.fullmatch(tag) for tag in found)
        assert not [tag for tag in found if set(tag) & set("$;\x1b ")]

    @pytest.mark.parametrize("body", [b"{", b"[]", b'{"tags": 3}', b"<html></html>", b'{"name": "a"}', b"\xff\xfe"])
    def test_an_answer_that_is_no_list_of_tags_is_never_an_empty_list(self, registry: Registry, body: bytes) -> None:
        registry.tags["a"] = body
        if body == b'{"name": "a"}':
            # skopeo reads no tags as none: a repository without a tag
            assert container_registry.tags(f"{registry.address}/a") == []
            return
        with pytest.raises(Unreachable) as caught:
            container_registry.tags(f"{registry.address}/a")
        one_sentence(caught)

    def test_ten_thousand_tags_are_read(self, registry: Registry) -> None:
        registry.tags["a"] = {f"1.{number}": "sha256:0" for number in range(10_000)}
        assert len(container_registry.tags(f"{registry.address}/a")) == 10_000

    def test_a_login_that_is_missing_is_told(self, registry: Registry) -> None:
        registry.put("a", "1", None)
        registry.asks = "basic"
        for ask in (
            lambda: container_registry.tags(f"{registry.address}/a"),
            lambda: container_registry.made_on(f"{registry.address}/a:1"),
        ):
            with pytest.raises(Unreachable, match="it asks for a login") as caught:
                ask()
            one_sentence(caught)

    def test_the_users_login_is_sent(self, registry: Registry, tmp_path: Path) -> None:
        registry.put("a", "1", f"{DAY}T00:00:00Z")
        registry.asks = "basic"
        (tmp_path / "auth.json").write_text(registry.login())
        assert container_registry.tags(f"{registry.address}/a") == ["1"]
        assert registry.logins

    def test_a_silent_registry_is_waited_for_once(self, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BLOOMZ_BENCH_FIRST_ANSWER_S", "0.3")
        registry.silent = True
        with pytest.raises(silence.NoAnswer):
            container_registry.tags(f"{registry.address}/a")
        asked = len(registry.requests)
        with pytest.raises(silence.NoAnswer, match="did not answer before"):
            container_registry.made_on(f"{registry.address}/b:1")
        assert len(registry.requests) == asked


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a branch beside its own, light tags and annotated ones."""
    folder = tmp_path_factory.mktemp("git") / "sample.git"
    git_repository.make(folder)
    git_repository.commit(folder, "2026-11-01", "one")
    git_repository.tag(folder, "v1.0.0")
    git_repository.commit(folder, DAY, "two")
    git_repository.tag(folder, "v1.1.0", annotated=True)
    git_repository.tag(folder, "team/v9")
    subprocess.run(["git", "-C", str(folder), "branch", "release/1.1"], check=True)
    git_repository.commit(folder, "2026-11-25", "three")
    return folder


def _commits(folder: Path) -> list[str]:
    printed = subprocess.run(["git", "-C", str(folder), "log", "--format=%H"], check=True, capture_output=True)
    return printed.stdout.decode().split()


class TestGit:
    def test_tags_and_branches_are_listed_with_the_commits_that_they_name(self, repository: Path) -> None:
        three, two, one, _ = _commits(repository)
        found = git.references(f"file://{repository}")
        assert found.tags == {"v1.0.0": one, "v1.1.0": two, "team/v9": two}
        assert sorted(found.branches.values()) == sorted([two, three])
        assert found.branches["release/1.1"] == two

    def test_the_day_of_a_commit_is_that_of_its_committer_in_utc(self, repository: Path) -> None:
        _, two, one, first = _commits(repository)
        days = [git.commit_day(f"file://{repository}", commit) for commit in (two, one, first)]
        assert days == [DAY, "2026-11-01", "2023-11-14"]
        with pytest.raises(InputError, match="it has no such commit"):
            git.commit_day(f"file://{repository}", REVISION)

    def test_a_server_over_https_is_asked_as_a_folder_is(
        self, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _, two, *_ = _commits(repository)
        with gitserver.serve(repository.parent, tmp_path) as (address, certificate):
            monkeypatch.setenv("GIT_SSL_CAINFO", str(certificate))
            assert git.references(f"{address}/sample.git").tags["v1.1.0"] == two
            assert git.commit_day(f"{address}/sample.git", two) == DAY
            with pytest.raises(InputError, match="there is no such repository"):
                git.references(f"{address}/other.git")

    def test_only_what_the_lock_could_hold_is_listed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        names = [*hostile.TEXTS, "v1;touch PWN", "$(id)", "-x", "a\x1b[2J"]
        lines = [f"{REVISION}\trefs/tags/{name}" for name in names if "\n" not in name]
        lines += [f"{REVISION}\trefs/heads/{name}" for name in names if "\n" not in name]
        lines += [f"{REVISION}\trefs/pull/1/head", f"{REVISION}\tHEAD", f"{'2b' * 20}\trefs/tags/gone^{{}}"]
        lines += [f"{REVISION}\trefs/tags/v1"]
        monkeypatch.setattr(programs, "run", lambda *arguments, **more: "\n".join(lines).encode())
        found = git.references("https://git.example/a")
        assert "v1" in found.tags and "gone" not in found.tags
        for name in (*found.tags, *found.branches):
            assert patterns.BRANCH.fullmatch(name) and not set(name) & set("$;\x1b ")

    @pytest.mark.parametrize(
        "answer", [b"<html>\n", b"1234\trefs/tags/v1\n", b"\xff\xfe\n", b"\x1b[2J\trefs/tags/v1\n"]
    )
    def test_an_answer_that_is_no_list_is_told(self, monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
        monkeypatch.setattr(programs, "run", lambda *arguments, **more: answer)
        with pytest.raises(Unreachable, match="is no commit") as caught:
            git.references("https://git.example/a")
        one_sentence(caught)

    @pytest.mark.parametrize("printed", [b"soon", b"9" * 30, b""])
    def test_a_time_that_is_none_is_told(self, monkeypatch: pytest.MonkeyPatch, printed: bytes) -> None:
        monkeypatch.setattr(programs, "run", lambda *arguments, **more: printed)
        with pytest.raises(Unreachable, match="is no time of a commit") as caught:
            git.commit_day("https://git.example/a", REVISION)
        one_sentence(caught)

    def test_a_silent_server_is_waited_for_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BLOOMZ_BENCH_FIRST_ANSWER_S", "0.3")
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = f"https://127.0.0.1:{server.getsockname()[1]}"
            with pytest.raises(silence.NoAnswer, match="no answer in 0.3 s"):
                git.references(f"{address}/a")
            with pytest.raises(silence.NoAnswer, match="did not answer before"):
                git.commit_day(f"{address}/b", REVISION)

    def test_no_address_becomes_an_option_or_a_program(self, tmp_path: Path) -> None:
        mark = tmp_path / "PWN"
        asks: tuple[Callable[[str], object], ...] = (git.references, lambda address: git.commit_day(address, REVISION))
        for address in (f"--upload-pack=touch {mark};", f"ext::sh -c touch% {mark}", f"ext::touch {mark}"):
            for ask in asks:
                with pytest.raises((InputError, Unreachable)):
                    ask(address)
        assert not mark.exists()


class TestHub:
    def test_the_head_of_main_has_its_day(self, monkeypatch: pytest.MonkeyPatch) -> None:
        none: dict[str, bytes] = {}
        served = {("model", "a/b"): (REVISION, none), ("dataset", "c/d"): ("2b" * 20, none)}
        with hub_server.serve(served) as (endpoint, asked):
            monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
            assert hub.head("model", "a/b") == hub.Head(REVISION, hub_server.DAY)
            assert hub.head("dataset", "c/d").revision == "2b" * 20
            with pytest.raises(InputError, match="there is none"):
                hub.head("model", "a/other")
        assert asked[0] == "/api/models/a/b/commits/main"

    @pytest.mark.parametrize(
        "answer, told",
        [
            ([], "lists no commits"),
            ({}, "lists no commits"),
            ([3], "lists no commits"),
            ([{}], "none was found"),
            ([{"id": "main; touch PWN"}], "must be 40 hex digits"),
            ([{"id": "0" * 40}], "must be 40 hex digits"),
        ],
    )
    def test_an_answer_without_a_commit_is_told(
        self, monkeypatch: pytest.MonkeyPatch, answer: object, told: str
    ) -> None:
        monkeypatch.setattr(
            web, "get", lambda *asked, **more: web.Answer(json.dumps(answer).encode(), "application/json", None)
        )
        with pytest.raises(Unreachable, match=told) as caught:
            hub.head("model", "a/b")
        one_sentence(caught)

    @pytest.mark.parametrize("date", [None, 3, "soon", "2026-13-01T00:00:00Z", "2026-11-20"])
    def test_a_commit_that_tells_no_day_has_none(self, monkeypatch: pytest.MonkeyPatch, date: object) -> None:
        body = json.dumps([{"id": REVISION, "date": date}]).encode()
        monkeypatch.setattr(web, "get", lambda *asked, **more: web.Answer(body, "application/json", None))
        assert hub.head("model", "a/b") == hub.Head(REVISION, None)

    def test_a_silent_hub_is_waited_for_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(web, "TIMEOUT_S", 0.2)
        with socket.create_server(("127.0.0.1", 0)) as server:
            monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
            for _ in range(20):
                with pytest.raises(silence.NoAnswer):
                    hub.head("model", "a/b")


@pytest.mark.parametrize(
    "moment, day",
    [
        ("2026-11-20T00:00:00Z", "2026-11-20"),
        ("2026-11-20T23:30:00.5-01:00", "2026-11-21"),
        ("2026-11-20t23:30:00.123456789z", "2026-11-20"),
        ("2026-11-20 00:30:00+01:00", "2026-11-19"),
        ("0001-01-01T00:00:00+01:00", None),
        ("2026-02-30T00:00:00Z", None),
        ("2026-11-20T00:00:00", None),
        ("2026-11-20", None),
        ("\u0662026-11-20T00:00:00Z", None),
        ("2026-11-20T00:00:00Z\n", None),
        (20261120, None),
        (None, None),
    ],
)
def test_a_moment_of_an_answer_is_a_day_in_utc_or_none(moment: object, day: str | None) -> None:
    assert answers.day_of(moment) == day
