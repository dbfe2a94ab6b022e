"""The pages say what there is: links lead somewhere, generated parts are of today, and the site is built without a network."""

from __future__ import annotations

import html.parser
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from docs import blocks, generate, result_fields
from runner.__main__ import VERBS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.glob("*.md"))]
# Outside of fenced blocks; a link's address holds no blank, an image is a link with a mark before it.
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


# Links that leave the repository. No test follows them; whoever adds one has looked at what is there.
EXTERNAL = {"https://huggingface.co/blog/habana-gaudi-2-bloom", "https://docs.renovatebot.com"}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """Return the text of a page without its fenced blocks."""
    return FENCED.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and MyST make them."""
    headings = re.findall(r"^#{1,6} (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_to_a_file_or_a_heading_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(prose(page)):
        address = urlsplit(link)
        if address.scheme:
            assert link in EXTERNAL, f"{link} leaves the repository; list it in EXTERNAL"
            continue
        target = (page.parent / unquote(address.path)).resolve() if address.path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), f"{link} leads out of the repository"
        if address.fragment:
            assert address.fragment in anchors(target), link


def test_every_listed_external_link_is_used() -> None:
    assert {link for page in PAGES for link in LINK.findall(prose(page))} >= EXTERNAL


def test_a_link_to_a_missing_heading_is_noticed() -> None:
    assert "two-commands" in anchors(ROOT / "README.md")
    assert "three-commands" not in anchors(ROOT / "README.md")


@pytest.mark.parametrize("page", generate.pages(), ids=name_of)
def test_the_generated_parts_are_of_today(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text == generate.written(text), f"{name_of(page)} is out of date: run `python -m docs.generate`"


def test_every_generated_part_stands_on_a_page() -> None:
    texts = "".join(page.read_text(encoding="utf-8") for page in generate.pages())
    assert {name for name in blocks.BLOCKS if f"<!-- begin {name} -->" not in texts} == set()


def test_the_picture_of_the_output_is_of_today() -> None:
    assert generate.PICTURE not in generate.stale(), "run `python -m docs.generate`"


def test_a_stale_page_is_told_and_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- begin exit-codes -->\nold\n<!-- end exit-codes -->\nafter\n", encoding="utf-8")
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate, "pages", lambda: [page])
    monkeypatch.setattr(generate, "PICTURE", tmp_path / "picture.svg")
    assert generate.main(["--check"]) == 1
    assert "page.md is out of date" in capsys.readouterr().out and "old" in page.read_text(encoding="utf-8")
    assert generate.main([]) == 0
    mended = page.read_text(encoding="utf-8")
    assert (
        mended.startswith("before\n")
        and mended.endswith("after\n")
        and "`UsageError`" in mended
        and "old" not in mended
    )
    assert generate.main(["--check"]) == 0


def test_every_field_of_a_result_has_words() -> None:
    schema = json.loads(blocks.SCHEMA.read_text(encoding="utf-8"))
    fields = dict(blocks.fields(schema))
    assert set(result_fields.MEANING) - set(fields) == set(), "words of a field that is gone"
    assert {
        path for path, node in fields.items() if path not in result_fields.MEANING and "description" not in node
    } == set()


def test_every_field_of_an_accelerator_is_on_its_page() -> None:
    rows = blocks.read_yaml(blocks.CATALOG / "accelerators.yaml")["accelerators"].values()
    page = (DOCS / "adding-an-accelerator.md").read_text(encoding="utf-8")
    assert {field for row in rows for field in row if f"| `{field}` |" not in page} == set()


def test_every_check_of_a_launch_is_on_the_page_of_results() -> None:
    (launch,) = json.loads(blocks.SAMPLE.read_text(encoding="utf-8"))["launches"]
    page = (DOCS / "results-schema.md").read_text(encoding="utf-8")
    assert {check["name"] for check in launch["checks"] if f"`{check['name']}`" not in page} == set()


def test_the_figure_and_the_page_of_the_architecture_have_every_room_and_no_other() -> None:
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    contracts = re.findall(
        r'^containers = \["runner\.(?:host|bench)"\]\nlayers = \[\n(.*?)^\]', settings, re.DOTALL | re.MULTILINE
    )
    assert len(contracts) == 2
    rooms = set(re.findall(r"\w+", " ".join(contracts)))
    figure = (DOCS / "images" / "architecture.svg").read_text(encoding="utf-8")
    drawn = {room for names in re.findall(r'class="mono">([^<]+)<', figure) for room in names.split(", ")}
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    told = {room for names in re.findall(r"^\*\*([\w, ]+)\.\*\* ", page, re.MULTILINE) for room in names.split(", ")}
    assert drawn == rooms and told == rooms


def test_every_page_is_in_the_contents() -> None:
    contents = re.findall(r"```\{toctree\}.*?\n\n(.*?)```", (DOCS / "index.md").read_text(encoding="utf-8"), re.DOTALL)
    listed = [line for part in contents for line in part.split()]
    assert sorted(listed) == sorted(page.stem for page in DOCS.glob("*.md") if page.stem != "index")


# A path below these folders, as pages write it between back quotes; ID, NAME and the like stand for any.
PATH = re.compile(r"`((?:runner|tests|docs|images|requirements|k8s|examples)/[\w./-]+)`")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    named = {
        path
        for path in PATH.findall(prose(page))
        if not re.search(r"[A-Z]{2}", Path(path).parent.as_posix() + Path(path).stem)
    }
    assert {path for path in named if not (ROOT / path).exists()} == set()


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words behind `python -m runner` of each command that a page shows, in blocks and in lines."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    for command in re.findall(r"python -m runner ([^`\n|#]+)", text):
        yield shlex.split(command)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_verb_and_flag_that_a_page_shows_exists(page: Path) -> None:
    for verb, *words in commands(page):
        if verb in ("VERB", "--help"):
            continue
        assert verb in VERBS, verb
        known = importlib.import_module(VERBS[verb][0]).parser()._option_string_actions
        assert {
            word for word in words if word.startswith("--") and word.partition("=")[0] not in {*known, "--help"}
        } == set()


def test_the_examples_of_the_python_api_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    page = (DOCS / "python-api.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    exec("\n".join(examples), {})
    printed = capsys.readouterr().out
    assert "8 x gaudi2, bloomz 3.103 NOT-COMPARABLE" in printed
    assert "edited.json does not match its own sha256" in printed
    assert "cpu-2 CHANGED ['result schema: 1 before, 2 after']" in printed
    assert "times of a CPU are shown and not judged" in printed
    assert "post-3-gaudi2-8-bloomz 3.103 s" in printed
    assert "--launches must be at least 1, 0 was given. 2" in printed


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_make_target_that_a_page_shows_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    text = page.read_text(encoding="utf-8")
    in_blocks = [line for block in FENCED.findall(text) for line in re.findall(r"^make (.+)", block, re.MULTILINE)]
    in_lines = re.findall(r"`make ([^`]+)`", FENCED.sub("", text))
    words = [word for line in [*in_blocks, *in_lines] for word in shlex.split(line, comments=True)]
    shown = {word for word in words if "=" not in word and not word.startswith("-")}
    assert shown <= targets


def test_the_readme_is_one_page() -> None:
    """A newcomer reads it in a few minutes; what needs more room has a page of its own."""
    without_tables = re.sub(r"^\|.*\n", "", prose(ROOT / "README.md"), flags=re.MULTILINE)
    assert len(without_tables.split()) <= 700


class Addresses(html.parser.HTMLParser):
    """What a page of the site loads by itself (``assets``), where its links lead (``links``), and its anchors (``ids``)."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.assets: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.ids.update(values[name] for name in ("id", "name") if name in values)
        loaded = [values[name] for name in ("src", "srcset", "data", "poster") if name in values]
        if tag == "link" and values.get("rel") not in ("canonical", "index", "search", "next", "prev", "author"):
            loaded.append(values.get("href", ""))
        self.assets += loaded
        if tag == "a" and "href" in values:
            self.links.append(values["href"])


def foreign(address: str) -> bool:
    """Return whether loading an address needs a network."""
    return bool(re.match(r"(?:https?:)?//", address.strip()))


def test_an_asset_of_another_host_is_noticed() -> None:
    page = Addresses(
        '<script src="https://cdn.example/x.js"></script><link rel="stylesheet" href="//cdn.example/x.css"><a href="https://a">'
    )
    assert [foreign(asset) for asset in page.assets] == [True, True]
    assert not foreign("_static/x.js") and page.links == ["https://a"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site without a network and with warnings as errors, and return its folder."""
    python = Path(sys.prefix) / "docs" / "bin" / "python"
    if not python.exists():
        pytest.skip("the generator of the site is not installed; `make docs` installs it")
    folder = tmp_path_factory.mktemp("site")
    command = [str(python), "-m", "sphinx", "--fail-on-warning", "--keep-going", "--nitpicky", "--quiet"]
    silent = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(
        [*command, "-d", str(folder / "doctrees"), str(DOCS), str(folder / "html")],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, **silent},
    )
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.mark.slow
def test_the_site_has_every_page_and_loads_nothing_from_another_host(site: Path) -> None:
    built = {path.stem for path in site.glob("*.html")}
    assert {page.stem for page in DOCS.glob("*.md")} <= built
    for path in site.rglob("*.html"):
        page = Addresses(path.read_text(encoding="utf-8"))
        assert page.assets and not [asset for asset in page.assets if foreign(asset)], path
    for path in [*site.rglob("*.css"), *site.rglob("*.svg")]:
        text = path.read_text(encoding="utf-8")
        assert not [
            url for url in re.findall(r"url\(['\"]?([^)'\"]+)|@import ['\"]([^'\"]+)", text) if any(map(foreign, url))
        ], path


@pytest.mark.slow
def test_every_link_of_the_site_leads_to_a_file_and_an_anchor(site: Path) -> None:
    pages = {path: Addresses(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    for path, page in pages.items():
        for link in page.links:
            address = urlsplit(link)
            if address.scheme or not (address.path or address.fragment):
                continue
            target = (path.parent / unquote(address.path)).resolve() if address.path else path
            assert target.exists(), f"{path.name}: {link}"
            if address.fragment and target in pages:
                assert address.fragment in pages[target].ids, f"{path.name}: {link}"
