"""The verb ``bump`` without a name: a table for people, events for programs, and no origin that is silent goes untold."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.__main__ import main
from runner.contract.errors import InputError, Unreachable, UsageError
from runner.host import paths
from runner.host.bump import newer, rows, terminal
from runner.host.bump.findings import (
    DayNotAsked,
    Finding,
    NewerFound,
    RowNotReached,
    RowNotThere,
    StackToAdd,
    VersionHeld,
)
from runner.host.readers import lock_editor, lockfile
from runner.host.readers.lockfile import Lock
from tests.host.bump import origins
from tests.host.bump.origins import NEXT_DAY, Origins, package
from tests.support import git_repository, json_output
from tests.support import package_index as index_server

REVISION = "1a" * 20
# Newer than the newest Gaudi stack, whichever that is.
RELEASE, NEW_STACK = "999.0.0", "gaudi-999.0"
NEW = {"98.1", "99.0", RELEASE}


def newest_stack() -> str:
    """Return the Gaudi stack of the newest release."""
    found = newer.newest_gaudi_stack(lockfile.read())
    assert found is not None
    return found[0]


def moved(lock: Lock) -> list[str]:
    """Return the stacks whose rows are listed."""
    return [name for name in lock.stacks if not rows.is_kept(lock, name)]


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Origins]:
    with origins.serve(tmp_path, monkeypatch) as everything:
        yield everything


@pytest.fixture
def something_newer(served: Origins, monkeypatch: pytest.MonkeyPatch) -> Iterator[Origins]:
    """A newer deepspeed, a held transformers, a rebuilt image, a release of SynapseAI."""
    new = [package("deepspeed", "98.1"), package("transformers", "99.0", uploaded=f"{NEXT_DAY}T00:00:00Z")]
    image = served.lock.stacks["cpu"].image
    served.registry.put("library/python", image.tag, f"{NEXT_DAY}T00:00:00Z")
    folder = served.repository("setup-and-install-1.22")
    git_repository.commit(folder, NEXT_DAY, "a release")
    git_repository.tag(folder, RELEASE)
    with index_server.serve([*served.packages, *new], as_json=True) as (address, _):
        monkeypatch.setenv("PIP_INDEX_URL", address)
        yield served


def events(printed: str) -> list[dict[str, object]]:
    """Return the events of the verb, each with the facts that the page of events lists; progress and the final error are left out."""
    lines = [line for line in printed.splitlines() if line.startswith("{") and '"event": "error"' not in line]
    return json_output.events("\n".join(lines), "bump")


def test_what_is_newer_is_one_event_a_row_in_the_order_of_the_lock(
    something_newer: Origins, capsys: pytest.CaptureFixture[str]
) -> None:
    before = paths.LOCK.read_bytes()
    assert main(["bump", "--json"]) == 0
    printed = capsys.readouterr()
    *listed, counted = events(printed.out)
    tag = something_newer.lock.stacks["cpu"].image.tag
    expected = [(NEW_STACK, "new-stack", RELEASE)]
    for name in moved(something_newer.lock):
        expected += [("cpu/image", "newer", tag)] if name == "cpu" else []
        expected += [(f"{name}/transformers", "held", "99.0"), (f"{name}/deepspeed", "newer", "98.1")]
    expected.append(("sources/setup-and-install-1.22", "newer", RELEASE))
    found = [(one["name"], one["event"], one["version"]) for one in listed if one["event"] != "not-asked"]
    # a stack may have been added with an older version of what another stack has
    assert [one for one in found if one[2] in {*NEW, tag}] == expected
    told = {"name", "kind", "current", "version", "day", "source"}
    assert all(told <= one.keys() for one in listed if one["event"] in ("newer", "held", "needs-python"))
    counts = [sum(one["event"] == word for one in listed) for word in ("newer", "held", "new-stack")]
    assert (counted["event"], [counted[key] for key in ("newer", "held", "new_stacks")]) == ("counted", counts)
    asked = len(newer.plan(something_newer.lock, "2026-11-27", {}))
    # a row may have a newer version, and a still newer one that its hold excludes
    twice = len(found) - len({one[0] for one in found})
    assert sum(value for value in counted.values() if isinstance(value, int)) == asked + twice
    # nothing was changed
    assert paths.LOCK.read_bytes() == before
    assert main(["bump", "--json"]) == 0
    assert capsys.readouterr().out == printed.out


def test_people_read_a_table_of_80_columns(something_newer: Origins, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bump"]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["row", "current", "newer", "day", "from"]
    assert any(line.split()[:1] == ["cpu/deepspeed"] and "98.1" in line and "127.0.0.1" in line for line in lines)
    assert "ALiBi" in printed.out and "may move to <5.21 alone" in printed.out
    assert f"`bump {NEW_STACK} --like {newest_stack()}`" in " ".join(line.strip() for line in lines)
    assert "the same tag names another image now" in printed.out
    assert re.search(r"\d newer, 1 for a new stack, \d held, ", " ".join(line.strip() for line in lines[-2:]))
    assert "[bump] 0 of" in printed.err


def test_one_kind_or_one_stack_is_asked_about_alone(
    something_newer: Origins, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bump", "--json", "--stack", "cpu", "--only", "packages"]) == 0
    assert [one.get("name") for one in events(capsys.readouterr().out)] == ["cpu/transformers", "cpu/deepspeed", None]
    assert main(["bump", "--json", "--stack", newest_stack()]) == 0
    assert [one.get("name") for one in events(capsys.readouterr().out)] == [NEW_STACK, None]
    asked = len(something_newer.registry.requests)
    assert main(["bump", "--json", "--only", "tools"]) == 0
    assert len(something_newer.registry.requests) == asked


@pytest.mark.parametrize(
    "stack, told",
    [
        ("gaudi-1.9", "gaudi-1.9 is kept: "),
        ("cuda-2023", "names it, and results are compared with it"),
        ("nothing", "Take one of gaudi-1.24, cuda, cpu."),
        ("a\x1b[2J", "has no stack a\\x1b[2J"),
    ],
)
def test_a_stack_about_which_nothing_is_asked_is_refused(
    stack: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bump", "--stack", stack]) == UsageError.exit_code
    assert told in capsys.readouterr().err


def test_a_kind_that_a_stack_lacks_is_refused_and_a_table_without_rows_is_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in ("tools", "stacks"):
        assert main(["bump", "--stack", "cpu", "--only", kind]) == UsageError.exit_code
        assert f"the stack cpu has no rows of the kind {kind}" in capsys.readouterr().err
    lock = lockfile.read()
    monkeypatch.setattr(lockfile, "read", lambda *_: dataclasses.replace(lock, actions={}))
    assert main(["bump", "--only", "actions"]) == 0
    assert "no row was asked about" in capsys.readouterr().out


def test_what_was_not_reached_is_listed_after_all_else_and_is_no_success(
    something_newer: Origins, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BLOOMZ_BENCH_FIRST_ANSWER_S", "0.3")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    something_newer.registry.silent = True
    assert main(["bump", "--json"]) == Unreachable.exit_code
    printed = capsys.readouterr()
    *listed, counted = events(printed.out)
    missed = [one for one in events(printed.err) if one["event"] == "row-not-reached"]
    models = [row.name for row in rows.of_lock(something_newer.lock) if row.kind in ("models", "datasets")]
    # the builds of the newest Gaudi stack are asked for where its row has a pattern of tags
    images = [f"{name}/image" for name in moved(something_newer.lock)]
    if something_newer.lock.stacks[newest_stack()].image.tags is not None:
        images.insert(0, f"{newest_stack()}/image")
    assert [one["name"] for one in missed] == [*images, *models]
    assert counted["not_reached"] == len(missed) and counted["newer"] == sum(one["event"] == "newer" for one in listed)
    assert {one["event"] for one in listed} == {"newer", "held", "new-stack", "not-asked"}
    # for people the reason stands once for each origin
    assert main(["bump"]) == Unreachable.exit_code
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("[bump]")]
    told = " ".join(line.strip() for line in lines).split("not reached: ")[1:]
    assert len(told) == 2 and told[1].startswith("127.0.0.1:9: ") and max(map(len, lines[:-1])) <= 80
    assert f"; {len(models)} of the rows: models/bloom, models/bloomz" in told[1] and "\\" not in told[1]


def test_an_origin_that_has_no_such_row_is_told_and_is_an_error(
    served: Origins, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with index_server.serve([one for one in served.packages if one.project != "uv"], as_json=True) as (address, _):
        monkeypatch.setenv("PIP_INDEX_URL", address)
        assert main(["bump", "--only", "tools"]) == InputError.exit_code
        told = capsys.readouterr().err
        assert "not there: tools/uv: the index, for uv: there is none" in " ".join(told.split())
        assert main(["bump", "--only", "tools", "--json"]) == InputError.exit_code
        printed = capsys.readouterr().err
        (missed,) = events(printed)
        assert (missed["event"], missed["name"]) == ("row-not-there", "tools/uv")
        assert json.loads(printed.splitlines()[-1])["exit_code"] == InputError.exit_code


def test_a_hostile_answer_reaches_no_terminal_as_it_is() -> None:
    foreign = "a\x1b[2J\nb\u202e"
    found: list[Finding] = [
        NewerFound("cpu/x", "packages", "1.0", foreign, None, foreign, foreign, foreign),
        VersionHeld("cpu/x", "packages", "1.0", foreign, None, foreign, "<2", foreign),
        StackToAdd(None, "gaudi-1.24", "optimum-habana", "1.0", foreign, foreign, None, None, foreign),
    ]
    drawn = terminal.table(found)
    assert drawn is not None
    cells = [str(cell) for column in drawn.columns for cell in column.cells]
    missed: list[RowNotReached | RowNotThere] = [
        RowNotReached("cpu/x", "packages", "1.0", "https://index.example", foreign),
        RowNotThere("cpu/y", "packages", "1.0", "https://index.example", foreign),
    ]
    for line in (*cells, *terminal.lines(found), *terminal.complaints(missed)):
        assert line.isprintable()


def test_a_commit_and_a_digest_are_shown_by_their_first_digits() -> None:
    digest = f"sha256:{'2b' * 32}"
    found: list[Finding] = [
        NewerFound("models/bloom", "models", REVISION, "3c" * 20, "3c" * 20, None, "https://hub.example/a/b", None),
        NewerFound("cpu/image", "images", "3.12-slim", "3.12-slim", digest, None, "docker.io/library/python", None),
        DayNotAsked("requirements/host", "requirements", "2026-11-20", "2026-11-27"),
    ]
    drawn = terminal.table(found)
    assert drawn is not None
    columns = [[str(cell) for cell in column.cells] for column in drawn.columns]
    assert columns == [
        ["models/bloom", "cpu/image"],
        [REVISION[:12], "3.12-slim"],
        ["3c" * 6, f"3.12-slim@{'2b' * 6}"],
        ["not told", "not told"],
        ["hub.example", "docker.io"],
    ]
    assert terminal.lines(found)[0].startswith("not asked: requirements/host: packages up to 2026-11-20;")
    assert terminal.table([found[2]]) is None


def test_a_named_row_that_stays_is_no_error_and_says_why(
    something_newer: Origins, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before, lock = paths.LOCK.read_bytes(), something_newer.lock
    stay = {name: lock.stacks["cpu"].packages[name].version for name in ("transformers", "datasets", "deepspeed")}
    old = package("deepspeed", "99.0", requires_python=">=3.99")
    held = package("transformers", "99.0")
    with index_server.serve([*something_newer.packages, old, held], as_json=True) as (address, _):
        monkeypatch.setenv("PIP_INDEX_URL", address)
        assert main(["bump", "cpu/transformers", "--dry-run"]) == 0
        told = capsys.readouterr().out
        assert told.startswith(f"cpu/transformers {stay['transformers']}: 99.0 is newer, and held at <5.21: the last ")
        assert told.endswith(". Name a version within the bound with --to.\n") and "Nothing newer" not in told
        assert main(["bump", "cpu/deepspeed"]) == 0
        told = capsys.readouterr().out
        assert told.startswith(f"cpu/deepspeed {stay['deepspeed']}: 99.0 is newer, and runs on Python >=3.99 alone; ")
        assert "Nothing newer" not in told
        assert main(["bump", "cpu/datasets"]) == 0
        assert capsys.readouterr().out == f"Nothing newer was found for cpu/datasets {stay['datasets']}.\n"
        assert main(["bump", "cpu/datasets", "--json"]) == 0
        assert [one["event"] for one in events(capsys.readouterr().out)] == ["nothing-newer"]
    assert paths.LOCK.read_bytes() == before


def test_a_named_row_that_is_unresolved_is_an_error(served: Origins, capsys: pytest.CaptureFixture[str]) -> None:
    lock_editor.edit(paths.LOCK, {("stacks", "cpu", "packages", "datasets", "version"): lockfile.UNRESOLVED})
    assert main(["bump", "cpu/datasets"]) == InputError.exit_code
    assert "cpu/datasets: its version is unresolved. Run `python -m runner lock` first." in capsys.readouterr().err


@pytest.mark.parametrize(
    "message, short",
    [
        (
            'the registry, for docker.io/a: it did not answer (Error parsing image name \\"docker://a\\": pinging container registry'
            ' r.io: Get \\"https://r.io/v2/\\": dial tcp: lookup r.io on 10.0.0.1:53: no such host). Look at the network',
            "no such host",
        ),
        ("the hub, for a/b: it did not answer (<urlopen error [Errno 111] Connection refused>)", "Connection refused"),
        ("the index, for uv: it cannot answer now (HTTP 503 Service Unavailable)", "HTTP 503 Service Unavailable"),
        ("the index, for uv: it redirects from https to http://a.b, which nothing protects", "it redirects from https"),
        ("the fork: it did not answer (fatal: unable to access 'https://a.b/': )", "it did not answer"),
        ("", "it did not answer"),
    ],
)
def test_why_an_origin_was_silent_is_told_in_its_shortest_true_words(message: str, short: str) -> None:
    missed = [RowNotReached(f"cpu/{number}", "packages", "1", "https://a.b/c", message) for number in range(30)]
    told = terminal.complaints([*missed, RowNotReached("cpu/x", "images", "1", "docker.io", message)])
    assert max(map(len, told)) <= 80 and [line.startswith("not reached: ") for line in told].count(True) == 2
    text = " ".join(line.strip() for line in told)
    assert text.startswith("not reached: a.b: ") and "; 30 of the rows: cpu/0, cpu/1, " in text
    assert short in terminal.cause(message) and len(terminal.cause(message)) <= 64
