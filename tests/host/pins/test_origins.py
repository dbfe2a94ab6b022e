"""What an origin on loopback says badly, slowly or not at all becomes one sentence with its own exit code."""

import json
import socket
import sys
from pathlib import Path

import pytest

from runner.contract import secrets
from runner.contract.errors import InputError, Unreachable
from runner.host.pins import programs, silence, uv, web
from runner.host.pins.origins import git, hub, package_index
from tests.support import misbehaving


@pytest.fixture(autouse=True)
def every_origin_is_asked(monkeypatch):
    silence.forget()
    monkeypatch.setattr(secrets, "_remembered", set())


@pytest.fixture
def elsewhere():
    with misbehaving.serve() as origin:
        yield origin


@pytest.fixture
def origin(elsewhere):
    with misbehaving.serve(elsewhere[0]) as origin:
        yield origin


def one_sentence(caught):
    told = str(caught.value)
    assert len(told) < 700 and "\n" not in told and "Traceback" not in told
    return told


@pytest.mark.parametrize(
    "way, error, told",
    [
        ("404", InputError, "there is none (HTTP 404 Not Found)"),
        ("410", InputError, "there is none (HTTP 410 Gone)"),
        ("301", InputError, "it has moved to http://127.0.0.1:"),
        ("308", InputError, "it has moved to http://127.0.0.1:"),
        ("401", Unreachable, "it asks for a login, which is missing or wrong (HTTP 401 Unauthorized)"),
        ("403", Unreachable, "it asks for a login, which is missing or wrong (HTTP 403 Forbidden)"),
        ("500", Unreachable, "it cannot answer now (HTTP 500 Internal Server Error)"),
        ("503", Unreachable, "it cannot answer now (HTTP 503 Service Unavailable)"),
        ("html", Unreachable, "a page for people answers, such as a login's"),
        ("lying-html", Unreachable, "a page for people answers, such as a login's"),
        ("text", Unreachable, "its answer is neither JSON nor HTML"),
        ("half", Unreachable, "is not usable JSON"),
        ("cut", Unreachable, "its answer was cut off after 20 of 120 bytes"),
        ("list", Unreachable, "its answer is neither JSON nor HTML"),
        ("no-files", Unreachable, "its JSON lists no files"),
        ("odd-files", Unreachable, "its JSON lists no files"),
        ("deep", Unreachable, "is not usable JSON"),
        ("binary", Unreachable, "its answer is neither JSON nor HTML"),
        ("number", Unreachable, "is not usable JSON"),
        ("large", Unreachable, "its answer has more than 60000 bytes"),
    ],
)
def test_an_index_that_answers_badly_is_told_apart(origin, monkeypatch, way, error, told):
    monkeypatch.setattr(web, "MAX_PAGE_BYTES", 60_000)
    with pytest.raises(error) as caught:
        package_index.index_files(way, origin[0])
    assert one_sentence(caught).startswith(f"the index, for {way}")
    assert told in str(caught.value)


@pytest.mark.parametrize("way", ["silent", "drip", "drip-headers"])
def test_a_silent_index_costs_one_time_limit(origin, monkeypatch, way):
    monkeypatch.setattr(web, "TIMEOUT_S", 0.2)
    for number in range(600):
        with pytest.raises(silence.NoAnswer) as caught:
            package_index.index_files(way if number == 0 else f"package-{number}", origin[0])
    assert f"{origin[0]} did not answer before" in one_sentence(caught)
    assert len(origin[1]) == 1


def test_an_index_that_nobody_listens_at_is_asked_once():
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{place.getsockname()[1]}"
        for package in ("one", "two"):
            with pytest.raises(silence.NoAnswer) as caught:
                package_index.index_files(package, address)
    assert "refused" in one_sentence(caught)


def test_a_redirection_for_now_is_followed_without_the_password(origin, elsewhere):
    address = origin[0].replace("http://", "http://user:p%40ssword-1@")
    assert package_index.index_files("302", address) == {misbehaving.SHA256: None}
    assert origin[1] == [("/302/", "Basic dXNlcjpwQHNzd29yZC0x")]
    assert elsewhere[1] == [("/x/", None)]


def test_redirections_end():
    with misbehaving.serve() as (address, asked):
        with misbehaving.serve(f"{address}") as (first, _):
            assert package_index.index_files("307", first)
        assert len(asked) == 1
    with pytest.raises(InputError, match="is no address of http or https"):
        web.get("file:///etc/passwd", "the index, for x")


def test_a_password_in_the_index_s_address_works_and_is_told_nowhere(origin, monkeypatch, capsys):
    address = origin[0].replace("http://", "http://user:hunter2-hunter2@")
    monkeypatch.setenv("PIP_INDEX_URL", address)
    assert package_index.index_files("sample") == {misbehaving.SHA256: None}
    assert origin[1][-1] == ("/sample/", "Basic dXNlcjpodW50ZXIyLWh1bnRlcjI=")
    told = []
    for way in ("404", "401", "301", "html", "half"):
        with pytest.raises((InputError, Unreachable)) as caught:
            package_index.index_files(way)
        told.append(one_sentence(caught))
    with pytest.raises((InputError, Unreachable)) as caught:
        package_index.package_sha256("404", "1.0")
    told.append(str(caught.value))
    with pytest.raises((InputError, Unreachable)) as caught:
        uv.compile_file(Path("x.txt"), "3.10", "2026-11-20", ["sample==1.0"], [], "a test")
    told.append(str(caught.value))
    assert not any("hunter2" in secrets.mask(line) or "aHVudGVy" in line or "1bnRlc" in line for line in told)
    assert not any("hunter2" in line for line in told)


@pytest.mark.parametrize(
    "way, error, told",
    [
        ("404", False, None),
        ("401", False, None),
        ("403", Unreachable, "it asks for a login"),
        ("500", Unreachable, "it cannot answer now"),
        ("html", Unreachable, "a page for people answers"),
        ("half", Unreachable, "is not usable JSON"),
    ],
)
def test_a_hub_that_answers_badly_is_told_apart(origin, monkeypatch, way, error, told):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", origin[0])
    if error is False:
        assert not hub.has_revision("model", "a/b", way)
        return
    with pytest.raises(error, match=told) as caught:
        hub.has_revision("model", "a/b", way)
    one_sentence(caught)


@pytest.mark.parametrize("way", ["list", "no-files", "odd-files", "ok"])
def test_a_hub_s_answer_of_another_shape_is_refused(origin, monkeypatch, way):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", origin[0])
    monkeypatch.setattr(hub, "_address", lambda kind, repository: origin[0])
    for ask in (hub.large_files, lambda *what: hub.revision_of(what[0], what[1], "648a475")):
        monkeypatch.setattr(web, "get", lambda *arguments, _get=web.get, **more: _get(f"{origin[0]}/{way}", "the hub"))
        if way == "list" and ask is not hub.large_files:
            assert ask("model", "a/b", "1a" * 20) is None
            continue
        with pytest.raises(Unreachable, match=r"lists no (files|commits)"):
            ask("model", "a/b", "1a" * 20)


def test_a_password_that_a_program_says_is_masked_and_silence_is_told_from_refusal():
    def failing(words):
        return [sys.executable, "-c", f"import sys; sys.stderr.write({words!r}); sys.exit(1)"]

    cases = (
        ("fatal: unable to access 'https://u:s3cret-s3cret@h/x': Could not resolve host: h", silence.NoAnswer),
        ("fatal: Authentication failed for 'https://u:s3cret-s3cret@h/x'", Unreachable),
        ("remote: Repository not found.\nfatal: repository 'https://u:s3cret-s3cret@h/x/' not found", InputError),
        ("fatal: remote error: upload-pack: not our ref 11", InputError),
        ("fatal: transport 'ext' not allowed", InputError),
        ("fatal: something else with https://u:s3cret-s3cret@h/x", programs.ProgramFailed),
    )
    for words, error in cases:
        with pytest.raises(error) as caught:
            programs.run(failing(words), "git, for x", meanings=git._MEANINGS)
        assert "s3cret" not in one_sentence(caught)
        assert type(caught.value) is error


def test_a_program_that_is_silent_is_ended_with_all_that_it_started(tmp_path):
    """The helper holds the pipes open: were it left alone, this test would wait for it."""
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(300)'])"
    with pytest.raises(silence.NoAnswer, match="git, for x: no answer in 0.5 s"):
        programs.run([sys.executable, "-c", script], "git, for x", timeout_s=0.5)


def test_git_takes_no_option_and_no_program_from_an_address(tmp_path):
    mark = tmp_path / "PWN"
    for address in (f"--upload-pack=touch {mark};", f"ext::sh -c touch% {mark}", f"ext::touch {mark}"):
        for ask in (
            lambda address: git.branch_commit(address, "main"),
            lambda address: git.commit_tree(address, "1a" * 20),
            lambda address: git.export_tree(address, "1a" * 20, "1a" * 20, tmp_path),
        ):
            with pytest.raises((InputError, Unreachable)):
                ask(address)
    assert not mark.exists()


@pytest.mark.parametrize(
    "words, error, told",
    [
        (
            "  \u00d7 No solution found when resolving dependencies:\n  ╰─▶ Because a==1 depends on b>2\n      and b==1, no.",
            InputError,
            "a==1 depends on b>2 and b==1, no",
        ),
        (
            "error: Failed to fetch: `http://h/x/`\n  Caused by: error sending request\n  Caused by: operation timed out",
            silence.NoAnswer,
            "it did not answer",
        ),
        (
            "  \u00d7 No solution found\n  ╰─▶ hint: An index URL could not be queried due to"
            " a lack of valid authentication credentials (401 Unauthorized).",
            Unreachable,
            "it asks for a login",
        ),
        ("error: Failed to parse `http://h/x/`", Unreachable, "it could not be compiled"),
    ],
)
def test_what_the_resolver_says_is_told_apart(words, error, told):
    problem = programs.meaning_of(1, words, "the index, for x.txt", uv._MEANINGS)
    assert type(problem) is error
    assert told in str(problem)


def test_a_redirection_from_https_to_http_is_not_followed(monkeypatch):
    def moved(address, *told):
        raise web._Redirection(302, "http://index.example/x")

    monkeypatch.setattr(web, "_once", moved)
    with pytest.raises(Unreachable, match="it redirects from https to http://index.example/x, which nothing protects"):
        web.get("https://index.example/x", "the index")


def folder_index(folder, page):
    """Return the address of an index that is a folder of this machine, with one page of the package ``sample``."""
    (folder / "sample").mkdir()
    (folder / "sample" / "index.html").write_text(page)
    package_index._listed.cache_clear()
    return folder.as_uri()


@pytest.mark.parametrize(
    "page, files",
    [
        (f"<a href='x-1.whl#sha256={misbehaving.SHA256}'>x-1.whl</a>", {misbehaving.SHA256: None}),
        (f'<A HREF="x-1.whl#sha256={misbehaving.SHA256}"\n data-yanked>x-1.whl</A>', {misbehaving.SHA256: ""}),
        (
            f'<a data-yanked="a &amp; b" href="x-1.whl#sha256={misbehaving.SHA256}">x-1.whl</a>',
            {misbehaving.SHA256: "a & b"},
        ),
        (f'<a href="x-1.whl#sha256={misbehaving.SHA256}&amp;egg=x">x-1.whl</a>', {misbehaving.SHA256: None}),
        (f'<!-- <a href="x-1.whl#sha256={misbehaving.SHA256}">x</a> -->', {}),
        (f'<a href="x-1.whl#md5={misbehaving.SHA256[:32]}">x-1.whl</a><a href="x-2.whl">x-2.whl</a>', {}),
        (
            '<meta name="pypi:repository-version" content="1.999">'
            f'<a href="x-1.whl#sha256={misbehaving.SHA256}">x-1.whl</a>',
            {misbehaving.SHA256: None},
        ),
        ("<!DOCTYPE html><html><body></body></html>", {}),
    ],
)
def test_the_page_of_an_index_is_read_as_html(tmp_path, page, files):
    assert package_index.index_files("sample", folder_index(tmp_path, page)) == files


def test_a_page_whose_links_have_no_end_costs_no_more_than_others(tmp_path):
    """A hundred thousand: a reader that keeps the text of each link until its end never comes to the last."""
    page = f'<a href="x-1.whl#sha256={misbehaving.SHA256}">x' * 100_000
    assert package_index.index_files("sample", folder_index(tmp_path, page)) == {misbehaving.SHA256: None}


def test_the_address_of_a_file_is_taken_from_its_page_and_from_the_page_s_base(tmp_path):
    page = f'<base href="../files/"><a href="x-1.whl#sha256={misbehaving.SHA256}">x-1.whl</a>'
    (file,) = package_index._listed("sample", folder_index(tmp_path, page))
    assert file.address == f"{tmp_path.as_uri()}/files/x-1.whl"


@pytest.mark.parametrize(
    "page, told",
    [
        (f'<a href="http://[bad/x-1.whl#sha256={misbehaving.SHA256}">x</a>', "its HTML cannot be read"),
        ('<form action="/login"><input type="password"></form>', "a page for people answers"),
        ('<a href="#top=1">up</a><form action="/login"></form>', "a page for people answers"),
    ],
)
def test_a_page_that_cannot_be_read_is_one_sentence(tmp_path, page, told):
    with pytest.raises(Unreachable) as caught:
        package_index.index_files("sample", folder_index(tmp_path, page))
    assert told in one_sentence(caught)


def test_an_index_whose_json_says_more_than_is_known_is_read_all_the_same(tmp_path):
    """Status words and keys of a later version stand beside the files."""
    listed = json.loads(misbehaving.LISTED)
    page = json.dumps({**listed, "project-status": {"status": "later"}, "meta": {"api-version": "1.999"}})
    assert package_index.index_files("sample", folder_index(tmp_path, page)) == {misbehaving.SHA256: None}
