"""The verb ``install``, with the script that images run: a real Python makes a real environment of small packages."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runner.bench.facts import inventory
from runner.bench.pods import git_tree, install, package_folder
from runner.bench.pods.package_folder import PackageFolder
from runner.contract import recipe as recipes
from runner.contract.errors import InputError, Interrupted, PublishFailed, UnresolvedPin, Unsupported
from runner.contract.recipe import GitSource
from tests.support import git_repository
from tests.support.json_output import events
from tests.support.package_index import Kit, variables, wheel
from tests.support.patience import HANG_S

ROOT = Path(__file__).parents[3]
SMALL = wheel("small", "1.0", {"small.py": b"VALUE = 1\n"})
NOWHERE = "http://127.0.0.1:9/simple"


@pytest.fixture
def source(tmp_path: Path) -> GitSource:
    return git_repository.make(tmp_path / "repository")


def lay(kit: Kit, volume: Path) -> PackageFolder:
    """Write what the verb ``packages`` leaves on a volume."""
    folder = PackageFolder(str(volume), kit.recipe)
    for place, files in ((folder.tools, kit.tools), (folder.wheels, [SMALL])):
        os.makedirs(place)
        for one in files:
            (Path(place) / one.name).write_bytes(one.content)
    for name, its in kit.recipe.sources.items():
        os.makedirs(folder.source(name))
        os.makedirs(folder.part("commits"), exist_ok=True)
        Path(folder.commit(name)).write_bytes(git_tree.fetch(its, folder.source(name)))
    folder.complete()
    return folder


def flags(kit: Kit, volume: Path, environment: Path) -> list[str]:
    places = {"--recipe": kit.recipe_folder, "--packages": volume, "--environment": environment}
    return [word for flag, place in places.items() for word in (flag, str(place))]


def run(kit: Kit, volume: Path, environment: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    return subprocess.run(
        [sys.executable, "-m", "runner", "install", *flags(kit, volume, environment), *arguments],
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT,
        env={**variables(NOWHERE), "PATH": path, **more},
        timeout=HANG_S,
    )


def test_an_environment_is_made_offline_and_made_again(tmp_path: Path) -> None:
    kit, volume, environment = Kit(tmp_path / "kit", [SMALL]), tmp_path / "volume", tmp_path / "environment"
    lay(kit, volume)
    environment.mkdir()
    (environment / "left").write_text("by a try before")
    done = run(kit, volume, environment, "--json")
    assert done.returncode == 0, done.stderr
    (event,) = events(done.stdout, "install")
    assert (event["stack"], event["environment"]) == ("small", str(environment))
    said = subprocess.run(
        [environment / "bin" / "python", "-c", "import small; print(small.VALUE)"],
        capture_output=True,
        encoding="utf-8",
    )
    assert said.stdout == "1\n"
    assert not (environment / "left").exists()
    assert not (kit.folder / "base.json").exists()


def test_a_script_that_fails_is_one_sentence_at_the_end_of_the_log(tmp_path: Path) -> None:
    kit, volume = Kit(tmp_path / "kit", [SMALL]), tmp_path / "volume"
    folder = lay(kit, volume)
    (Path(folder.wheels) / SMALL.name).write_bytes(wheel("small", "1.0", {"small.py": b"VALUE = 3\n"}).content)
    done = run(kit, volume, tmp_path / "environment")
    assert done.returncode == Unsupported.exit_code
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("runner: The stack small could not be installed on this base: ")
    assert "install.sh ended with status 1" in last
    assert last.endswith(
        "run the Job packages-SET-STACK again: the Job compares every file, and fetches what is damaged."
    )


def test_a_base_whose_packages_a_stack_uses_is_listed_beside_the_kit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit = Kit(tmp_path / "kit", [SMALL], base_inventory="unresolved")
    install._keep_base(kit.recipe, str(kit.recipe_folder))
    text = (kit.folder / "base.json").read_text()
    assert text == recipes.inventory_text(inventory.listing())
    other = Kit(tmp_path / "other", [SMALL], base_inventory="1a" * 32)
    with pytest.raises(Unsupported, match="base are not those that versions.lock lists by their hash"):
        install._keep_base(other.recipe, str(other.recipe_folder))


def test_the_context_is_that_of_an_image_build(tmp_path: Path, source: GitSource) -> None:
    built = GitSource(source.repository, source.commit, source.tree, "unresolved")
    kit = Kit(tmp_path / "kit", [SMALL], {"of-git": built, "program": source}, programs=["program"])
    folder = lay(kit, tmp_path / "volume")
    context = tmp_path / "context"
    context.mkdir()
    install.fill(
        str(context), str(kit.recipe_folder), folder, package_folder.locked(kit.recipe, str(kit.recipe_folder))
    )
    assert sorted(os.listdir(context)) == ["programs", "requirements", "sources", "tools", "wheels"]
    assert {path.name: path.read_text() for path in (context / "requirements").iterdir()} == {
        "wheels.txt": SMALL.requirement(),
        "sources.txt": "",
        "git.txt": f"of-git {source.commit} {git_repository.EPOCH} unresolved\n",
        "programs.txt": "program\n",
    }
    assert git_tree.tree_of(str(context / "sources" / "program")) == source.tree


@pytest.mark.parametrize("part", ["tools", "sources", "commits"])
def test_what_was_changed_on_the_volume_is_refused_before_it_is_run(
    tmp_path: Path, source: GitSource, part: str
) -> None:
    kit = Kit(tmp_path / "kit", [SMALL], {"program": source}, programs=["program"])
    folder = lay(kit, tmp_path / "volume")
    changed = {
        "tools": Path(folder.tools) / kit.tools[0].name,
        "sources": Path(folder.source("program")) / "a0",
        "commits": Path(folder.commit("program")),
    }
    changed[part].write_bytes(b"other")
    (tmp_path / "context").mkdir()
    locked = package_folder.locked(kit.recipe, str(kit.recipe_folder))
    with pytest.raises(InputError, match=r"(Remove|and fetch again)"):
        install.fill(str(tmp_path / "context"), str(kit.recipe_folder), folder, locked)


def test_packages_that_do_not_come_are_told_after_the_wait(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kit, volume = Kit(tmp_path / "kit", [SMALL]), tmp_path / "volume"
    told = "(kubectl logs -l app.kubernetes.io/component=packages), and start again when it is done."
    with pytest.raises(InputError, match=re.escape(told)):
        install.main([*flags(kit, volume, tmp_path / "environment"), "--wait-s", "0.2"])
    assert "waiting at most 0 s for " in capsys.readouterr().err


def test_an_unresolved_pin_is_refused_without_a_wait(tmp_path: Path) -> None:
    kit = Kit(tmp_path / "kit", [SMALL], unresolved=["the commit of a-fork, which it is built from,"])
    with pytest.raises(
        UnresolvedPin, match="the commit of a-fork, which it is built from, is unresolved in versions.lock"
    ):
        install.main([*flags(kit, tmp_path / "volume", tmp_path / "environment"), "--wait-s", "100000"])


@pytest.mark.parametrize(
    "lines, error, words",
    [
        (
            ["cp: error writing '/tmp/x': No space left on device", "done"],
            PublishFailed,
            "does not fit /e, or /tmp: cp: error",
        ),
        (["ERROR: the reason", "[notice] a new pip"], Unsupported, "on this base: ERROR: the reason (install.sh"),
        (["The Python of this image lacks libraries"], Unsupported, "lacks libraries (install.sh ended with status 1)"),
        ([], Unsupported, "on this base: status 1"),
    ],
    ids=["full", "pip", "library", "silent"],
)
def test_the_reason_of_a_failure_is_found_in_the_last_lines(
    lines: list[str], error: type[Exception], words: str
) -> None:
    problem = install._failure("small", 1, lines, "/e")
    assert type(problem) is error and words in str(problem)


def test_settings_of_downloads_do_not_reach_the_installation() -> None:
    given = {"PIP_INDEX_URL": NOWHERE, "PIP_NO_INDEX": "0", "HOME": "/tmp"}
    assert install._variables(given, "/c", "/e") == {
        "HOME": "/tmp",
        "PIP_CONFIG_FILE": os.devnull,
        "BLOOMZ_BENCH_CONTEXT": "/c",
        "BLOOMZ_BENCH_ENVIRONMENT": "/e",
    }


def test_a_wait_ends_by_sigterm_at_once(tmp_path: Path) -> None:
    """The first process of a pod ends by no signal that it does not ask for, and holds devices while it waits."""
    kit = Kit(tmp_path / "kit", [SMALL])
    command = [sys.executable, "-m", "runner", "install", *flags(kit, tmp_path / "volume", tmp_path / "environment")]
    process = subprocess.Popen([*command, "--wait-s", "100000"], stderr=subprocess.PIPE, encoding="utf-8", cwd=ROOT)
    with process:
        assert process.stderr is not None
        assert "waiting at most" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(HANG_S) == Interrupted.exit_code
