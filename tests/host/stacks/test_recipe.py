"""What travels to a pod that installs a stack by itself: texts of this checkout, and nothing of the host."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from runner.bench.pods import install as install_verb
from runner.bench.pods import packages, unpack
from runner.contract import recipe as contract
from runner.contract.errors import InputError
from runner.contract.recipe import Recipe
from runner.host import paths
from runner.host.images import build_context
from runner.host.readers import lockfile
from runner.host.stacks import dockerfiles, recipe

STACKS = sorted(lockfile.read().stacks)


def test_the_kit_is_that_of_images_less_a_stack_s_requirements() -> None:
    stack = lockfile.read().stacks["cpu"]
    kit = recipe.kit()
    assert {*kit, stack.requirements.file} == set(build_context.kit_files(stack))
    assert not any(path.startswith(("runner/host", "runner/catalog")) or "__pycache__" in path for path in kit)
    assert kit["runner/__init__.py"] == (paths.PACKAGE / "__init__.py").read_text()


@pytest.mark.parametrize("name", STACKS)
def test_texts_survive_the_way_through_keys_of_configmaps(name: str, tmp_path: Path) -> None:
    texts = {**recipe.kit(), **recipe.of_stack(lockfile.read(), name)}
    (tmp_path / "source").mkdir()
    for path, text in texts.items():
        key = recipe.key(path)
        assert len(key) <= 253 and set(key) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._")
        (tmp_path / "source" / key).write_text(text)
    unpack.unpack(str(tmp_path / "source"), str(tmp_path / "kit"))
    found = {
        path.relative_to(tmp_path / "kit").as_posix(): path for path in (tmp_path / "kit").rglob("*") if path.is_file()
    }
    assert {path: file.read_text() for path, file in found.items()} == texts
    read = contract.read(str(tmp_path / "kit" / "recipe"))
    assert read == recipe.of(lockfile.read(), name)
    sha256 = hashlib.sha256(texts["recipe/recipe.json"].encode()).hexdigest()
    assert read.folder == f"{name}-{sha256[:12]}"


@pytest.mark.parametrize("name", STACKS)
def test_every_text_alone_fits_a_configmap_that_kubectl_can_apply(name: str) -> None:
    for path, text in {**recipe.kit(), **recipe.of_stack(lockfile.read(), name)}.items():
        assert len(json.dumps(text).encode()) < 240_000, path


@pytest.mark.parametrize("name", STACKS)
def test_a_recipe_names_files_by_the_hashes_that_they_have(name: str) -> None:
    lock = lockfile.read()
    texts, made = recipe.of_stack(lock, name), recipe.of(lock, name)
    for file in made.files:
        assert hashlib.sha256(texts[file.file].encode()).hexdigest() == file.sha256
    assert hashlib.sha256(texts[f"recipe/{contract.TOOLS}"].encode()).hexdigest() == made.tools_sha256
    assert {path for path in texts if path.startswith("recipe/programs/")} == {
        f"recipe/programs/{program}.sh" for program in made.programs
    }


def open_pins(name: str) -> list[str]:
    return recipe.of(lockfile.read(), name).unresolved


def test_every_open_pin_is_told_and_nothing_else() -> None:
    assert (open_pins("cpu"), open_pins("cuda"), open_pins("cuda-2023")) == ([], [], [])
    # the plugin's version is told by the base, which alone installs the plugin
    assert open_pins("gaudi-1.10") == []
    assert "the commit of habana-deepspeed-1.9, which deepspeed is built from," in open_pins("gaudi-1.9")
    assert "the version of deepspeed in stack gaudi-1.24" in open_pins("gaudi-1.24")


def test_a_changed_file_is_refused() -> None:
    lock = lockfile.read()
    stack = lock.stacks["cpu"]
    changed = replace(stack, requirements=replace(stack.requirements, sha256="1a" * 32))
    with pytest.raises(InputError, match=r"requirements-cpu.txt was changed since versions.lock was written"):
        recipe.of_stack(replace(lock, stacks={**lock.stacks, "cpu": changed}), "cpu")


def test_scripts_set_what_the_dockerfile_sets() -> None:
    lock = lockfile.read()
    enter = recipe.enter_script(lock.stacks["cpu"]).splitlines()
    assert 'export PATH="/opt/bench/bin:$PATH"' in enter
    assert 'export PYTHONPATH="/opt/kit${PYTHONPATH:+:$PYTHONPATH}"' in enter
    assert 'export BLOOMZ_BENCH_INSTALLATION="pod"' in enter
    assert enter[-2:] == ["cd /opt/kit", 'exec "$@"']
    assert 'export HABANA_LOGS="/tmp/habana_logs"' in recipe.enter_script(lock.stacks["gaudi-1.10"])
    assert "PYTHONPATH" not in recipe.base_script(lock.stacks["gaudi-1.10"])


def test_a_copied_interpreter_comes_first_and_finds_its_library() -> None:
    lock = lockfile.read()
    for script in (recipe.base_script(lock.stacks["cuda-2023"]), recipe.enter_script(lock.stacks["cuda-2023"])):
        assert 'export PATH="/opt/python/bin:$PATH"' in script
        assert 'export LD_LIBRARY_PATH="/opt/python/lib' in script
        assert "/usr/local" not in script
    assert "/opt/python" not in recipe.enter_script(lock.stacks["cuda"])
    assert 'export LD_LIBRARY_PATH="/usr/local/lib"' in recipe.base_script(lock.stacks["cuda"])


def test_commands_are_those_that_the_verbs_take() -> None:
    *before, verb = recipe.DOWNLOAD[: recipe.DOWNLOAD.index("packages") + 1]
    assert before == [*recipe.IN_BASE, "python3", "-m", "runner"] and verb == "packages"
    flags = packages.parser().parse_args(recipe.DOWNLOAD[len(before) + 1 :])
    assert (flags.recipe, flags.packages) == (recipe.RECIPE, recipe.PACKAGES)
    words = recipe.install(30)
    flags = install_verb.parser().parse_args(words[words.index("install") + 1 :])
    assert (flags.environment, flags.wait_s) == (recipe.ENVIRONMENT, 30)
    assert recipe.UNPACK[1] == f"{recipe.SOURCE}/{recipe.key('runner/bench/pods/unpack.py')}"


def test_install_arguments_are_the_dockerfile_s() -> None:
    lock = lockfile.read()
    arguments = {name: recipe.of(lock, name).install_arguments for name in ("cpu", "gaudi-1.10", "cuda-2023")}
    assert arguments == {"cpu": [], "gaudi-1.10": ["--system-site-packages"], "cuda-2023": []}
    assert isinstance(recipe.of(lock, "cpu"), Recipe)
    assert dockerfiles.path(lock.stacks["cpu"]) == paths.ROOT / "images/cpu/Dockerfile"


WHOLE = "FROM x AS build\nENV A=1\nRUN sh /install.sh --flag\nFROM x\nENV B=/b:$B \\\n    C=2\n"


def test_a_dockerfile_is_read_by_stages() -> None:
    assert dockerfiles.parse(WHOLE, "it") == ({"A": "1"}, {"B": "/b:$B", "C": "2"}, ["--flag"])


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("AS build", "AS first", "it has no stage build that runs /install.sh"),
        ("sh /install.sh", "true", "it has no stage build that runs /install.sh"),
        ("B=/b", "'B=`id`'", "ENV B=`id`:$B is not NAME=VALUE of plain characters"),
        ("C=2", "C", "ENV C is not NAME=VALUE"),
    ],
    ids=["stage", "script", "command", "blank"],
)
def test_a_dockerfile_of_another_form_is_refused(old: str, new: str, words: str) -> None:
    assert old in WHOLE
    with pytest.raises(InputError) as refused:
        dockerfiles.parse(WHOLE.replace(old, new), "it")
    assert words in str(refused.value)
