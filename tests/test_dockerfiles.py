"""Every Dockerfile follows hadolint and the kit's own rules, and each rule finds its violation."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.host import paths
from runner.host.readers import lockfile
from runner.host.stacks import dockerfiles as of_stacks
from tests.support import dockerfiles

FILES = sorted((paths.ROOT / "images").glob("*/Dockerfile"))
PROGRAMS = sorted((paths.ROOT / "images").glob("*/*.sh"))
INSTALL = paths.ROOT / "images" / "install.sh"
GOOD = (paths.ROOT / "images" / "cpu" / "Dockerfile").read_text()


def test_every_stack_has_a_dockerfile_in_its_family_s_folder() -> None:
    families = {Path(stack.requirements.file).parent.name for stack in lockfile.read().stacks.values()}
    assert {file.parent.name for file in FILES} == families


@pytest.mark.parametrize("rule", dockerfiles.OF_DOCKERFILES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_dockerfiles_follow_the_rules(file: Path, rule: Callable[[str], list[str]]) -> None:
    assert rule(file.read_text()) == []


@pytest.mark.parametrize("rule", dockerfiles.OF_INSTALL, ids=lambda rule: rule.__name__)
def test_install_follows_the_rules(rule: Callable[[str], list[str]]) -> None:
    assert rule(INSTALL.read_text()) == []


@pytest.mark.parametrize("rule", dockerfiles.OF_SCRIPTS, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("file", PROGRAMS, ids=lambda file: file.stem)
def test_what_compiles_a_program_follows_the_rules(file: Path, rule: Callable[[str], list[str]]) -> None:
    assert rule(file.read_text()) == []


def test_every_program_of_the_lock_has_what_compiles_it_and_a_dockerfile_that_takes_it() -> None:
    stacks = lockfile.read().stacks.values()
    assert sorted({recipe for stack in stacks for recipe in of_stacks.program_scripts(stack)}) == PROGRAMS
    for file in {of_stacks.path(stack) for stack in stacks if stack.programs}:
        assert "--mount=type=bind,source=programs,target=/programs" in file.read_text()


@pytest.mark.parametrize(
    "rule, old, new, told",
    [
        ("base_is_an_argument", "FROM ${BASE} AS build", "FROM python:3 AS build", "FROM python:3: name it by"),
        ("base_is_an_argument", "ARG BASE\n", "ARG BASE=python\n", "FROM ${BASE}: name it by"),
        ("base_is_an_argument", "--from=build", "--from=docker.io/x", "COPY --from=docker.io/x: copy from a stage"),
        ("nothing_is_fetched", "sh /install.sh", "apt-get install -y python3 && sh /install.sh", "fetches"),
        ("nothing_is_fetched", "sh /install.sh", "sh /install.sh && curl -O https://x", "fetches"),
        ("nothing_is_fetched", "COPY kit /opt/kit", "ADD https://x /opt/kit", "ADD https://x /opt/kit: use COPY"),
        ("no_version", "WORKDIR", "# transformers 4.28.1\nWORKDIR", "# transformers 4.28.1: a version"),
        ("last_stage_only_copies", "WORKDIR", "RUN date > /date\nWORKDIR", "RUN date > /date: in the last stage"),
        ("last_stage_only_copies", "USER 10001:10001", "USER root", "USER: a number"),
        ("last_stage_only_copies", "USER 10001:10001\n", "", "USER: a number"),
        ("last_stage_only_copies", '["python", "-m", "runner", "bench"]', "python -m runner bench", "ENTRYPOINT: the verb"),
        ("writes_are_mounted", "HOME=/tmp ", "HOME=/root ", "HOME: below /tmp"),
        ("writes_are_mounted", "TORCH_EXTENSIONS_DIR=/tmp/extensions", "X=1", "TORCH_EXTENSIONS_DIR: below /tmp"),
    ],
)  # fmt: skip
def test_a_rule_finds_its_violation(rule: str, old: str, new: str, told: str) -> None:
    assert old in GOOD
    assert any(told in line for line in getattr(dockerfiles, rule)(GOOD.replace(old, new, 1)))


@pytest.mark.parametrize(
    "old, new, told",
    [
        *((flag, "", f"pip install without {flag}") for flag in dockerfiles.PIP_FORM),
        ("locked --only-binary", "pip install x\nlocked --only-binary", "pip install x: a second form"),
        ("umask 022", "curl -O https://x", "curl -O https://x: fetches"),
    ],
)
def test_install_s_rules_find_their_violation(old: str, new: str, told: str) -> None:
    text = INSTALL.read_text()
    assert old in text
    assert any(told in line for rule in dockerfiles.OF_INSTALL for line in rule(text.replace(old, new, 1)))


def hadolint(file: Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("hadolint", path=sysconfig.get_path("scripts"))
    assert program, "hadolint is not installed. Run `make lint`, which installs the locked one."
    return subprocess.run([program, "--no-color", str(file)], capture_output=True, encoding="utf-8")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_hadolint_has_nothing_to_say(file: Path) -> None:
    assert hadolint(file).stdout == ""


def test_hadolint_speaks(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM debian\nRUN cd /opt && sudo ls\n")
    assert "DL3006" in hadolint(tmp_path / "Dockerfile").stdout
