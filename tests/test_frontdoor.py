"""The Makefile and the README say what there is."""

import importlib
import re
import subprocess
from pathlib import Path

import pytest

from runner.__main__ import VERBS

ROOT = Path(__file__).parents[1]


def test_help_is_made_from_the_targets_and_names_them_all():
    said = subprocess.run(["make", "help"], capture_output=True, encoding="utf-8", cwd=ROOT, check=True).stdout
    makefile = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    targets = re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE)
    assert sorted(phony.split()) == sorted(targets)
    for target in targets:
        assert re.search(rf"^  {target} ", said, re.MULTILINE), target


def test_no_target_is_named_that_does_not_exist():
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for file in ("README.md", "CONTRIBUTING.md", "versions.lock", *map(str, (ROOT / "runner").rglob("*.py"))):
        named = set(re.findall(r"`make ([a-z0-9-]+)", (ROOT / file).read_text()))
        assert named <= targets, file


def test_links_between_the_project_s_own_pages_lead_somewhere():
    for page in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        for link in re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text()):
            assert (ROOT / link).exists(), f"{page}: {link}"


@pytest.mark.parametrize(
    "arguments, verbs",
    [
        ("--only cpu-1", ["render", "submit", "collect", "compare"]),
        ("--detach", ["render", "submit"]),
        ("--only cpu-1 --dry-run", ["render", "submit"]),
    ],
)
def test_only_what_was_followed_is_collected(tmp_path, arguments, verbs):
    """The recipe as make runs it; in Python's place a script that notes the verb and prints a line, as the verbs do."""
    script = tmp_path / "python"
    script.write_text('#!/bin/sh\necho "$3" >> verbs\necho "of $3"\n')
    script.chmod(0o755)
    command = [
        "make",
        "--no-print-directory",
        "-f",
        ROOT / "Makefile",
        "-o",
        ".venv/.host",
        "bench-cpu-cluster",
        f"PY={script}",
    ]
    said = subprocess.run(
        [*command, f"ARGS={arguments}"], capture_output=True, encoding="utf-8", cwd=tmp_path, check=True
    )
    assert (tmp_path / "verbs").read_text().split() == verbs
    assert said.stdout.endswith(f"of {verbs[-1]}\n")


def test_torch_s_version_in_the_makefile_is_the_lock_s():
    from runner.host import lockfile

    (expression,) = re.findall(r"^TORCH = \$\$\((.*)\)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    said = subprocess.run(
        ["sh", "-c", expression.replace("$$", "$")], capture_output=True, encoding="utf-8", cwd=ROOT, check=True
    ).stdout
    assert said.strip() == lockfile.read().stacks["cpu"].packages["torch"].version


@pytest.mark.parametrize("verb", VERBS)
def test_half_a_flag_is_none(verb, capsys):
    """A script that abbreviates would break, or mean another, once a flag is added."""
    parser = importlib.import_module(VERBS[verb][0]).parser()
    with pytest.raises(SystemExit):
        parser.parse_args(["--hel"])
    assert "usage" in capsys.readouterr().err, "help goes to standard output"
