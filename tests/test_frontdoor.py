"""The Makefile and the README say what there is."""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runner.__main__ import VERBS
from runner.contract.errors import InputError
from runner.host import make_words as words
from runner.host.readers import lockfile

ROOT = Path(__file__).parents[1]


def test_help_is_made_from_the_targets_and_names_them_all() -> None:
    said = subprocess.run(["make", "help"], capture_output=True, encoding="utf-8", cwd=ROOT, check=True).stdout
    makefile = (ROOT / "Makefile").read_text()
    phony = " ".join(re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE))
    targets = re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE)
    assert sorted(phony.split()) == sorted(targets)
    for target in targets:
        assert re.search(rf"^  {target} ", said, re.MULTILINE), target


def test_no_target_is_named_that_does_not_exist() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    pages = ("README.md", "CONTRIBUTING.md", "SECURITY.md", ".github/pull_request_template.md", "versions.lock")
    for file in (*pages, *map(str, (ROOT / "runner").rglob("*.py"))):
        named = set(re.findall(r"`make ([a-z0-9-]+)", (ROOT / file).read_text()))
        assert named <= targets, file


def test_links_between_the_project_s_own_pages_lead_somewhere() -> None:
    for page in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"):
        for link in re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text()):
            assert (ROOT / link).exists(), f"{page}: {link}"


# What a shell or make would run, expand or take apart. Every `touch` leaves a file where it is run.
HOSTILE = (
    """'q' "d" ; touch ran; $(touch ran) `touch ran` $(shell touch ran) ${HOME} $HOME $$ & touch ran > ran | # * %"""
)
WORDS = """--one 'a "b" c' "d 'e'" f\\ g ; touch ran; $(touch ran) `touch ran` "$(shell touch ran)" $HOME > ran *"""
TAKEN_APART = ["--one", 'a "b" c', "d 'e'", "f g", ";", "touch", "ran;", "$(touch", "ran)", "`touch", "ran`"]
TAKEN_APART += ["$(shell touch ran)", "$HOME", ">", "ran", "*"]
SEVERAL_WORDS = {"ARGS", "CASES", "RENDER", "RUN", "STACKS"}

# In the place of each Python: it notes what it was given, and what stands in the list that --from names, and prints for the verbs.
RECORDER = """
import json, os, sys
me, *given = sys.argv[1:]
if given[:2] == ["-m", "runner.host.make_words"]:
    sys.path.insert(0, {root!r})
    from runner.host import make_words as words
    sys.executable = me
    sys.exit(words.main(given[2:]))
lists = [open(path).read() for flag, path in zip(given, given[1:]) if flag == "--from" and os.path.exists(path)]
with open({calls!r}, "a") as file:
    file.write(json.dumps([me, given, lists]) + chr(10))
plays = json.loads(os.environ.get("PLAYS", "{{}}"))
program = given[2] if given[1:2] == ["runner"] else given[1] if given[:1] == ["-m"] else None
said, code = plays.get(program, ["", 0])
print(said, end="")
if program == "tools.by_stack":
    for stack in said.split():
        with open(given[-1]) as listed, open(os.path.dirname(given[-1]) + "/of-" + stack, "w") as file:
            file.write(listed.read())
if given[:2] == ["-m", "venv"]:
    os.makedirs(given[-1] + "/bin")
    os.link(me, given[-1] + "/bin/python")
sys.exit(code)
"""


# What a program prints, and its exit code, by its name: a verb, or a module.
Plays = dict[str, list[Any]]


class FrontDoor:
    """A folder with the Makefile's inputs and, in the place of the environment's programs, a recorder of their arguments."""

    def __init__(self, folder: Path, venv: str) -> None:
        self.folder, self.venv, self.calls = folder, venv, folder / "calls"
        folder.mkdir()
        for name in ("requirements", "images", "versions.lock"):
            (folder / name).symlink_to(ROOT / name)
        script = folder / "recorder.py"
        script.write_text(RECORDER.format(root=str(ROOT), calls=str(self.calls)))
        self.python = folder / "a 'python'"
        self.python.write_text(
            f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -IS {shlex.quote(str(script))} "$0" "$@"\n'
        )
        self.python.chmod(0o755)

    def furnish(self) -> None:
        """Make the environment's programs and its stamps."""
        programs = ("bin/python", "bin/lint-imports", "bin/hadolint", "py38/bin/python", "mutation/bin/python")
        programs += ("stacks/cuda/bin/python",)
        for program in programs:
            path = self.folder / self.venv / program
            path.parent.mkdir(parents=True, exist_ok=True)
            path.hardlink_to(self.python)
        for stamp in (
            ".build",
            ".host",
            ".cpu",
            ".report",
            ".dev",
            ".page",
            ".py38",
            ".policy",
            ".workflows",
            ".mutation",
            "pyvenv.cfg",
        ):
            (self.folder / self.venv / stamp).touch()

    def make(
        self, *arguments: str, plays: Plays | None = None, variables: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        command = ["make", "--no-print-directory", "-f", str(ROOT / "Makefile"), f"VENV={self.venv}", *arguments]
        environment = {**os.environ, "PLAYS": json.dumps(plays or {}), **(variables or {})}
        return subprocess.run(command, capture_output=True, encoding="utf-8", cwd=self.folder, env=environment)

    def called(self) -> list[list[str]]:
        """Return what each program was given; the path of a list is LIST."""
        if not self.calls.exists():
            return []
        calls = [json.loads(line) for line in self.calls.read_text().splitlines()]
        return [
            [re.sub(r"\bbuild/lists/[a-z0-9-]+-[0-9]+/[a-z-]+$", "LIST", word) for word in given]
            for _, given, _ in calls
        ]

    def lists(self) -> list[str]:
        return [content for line in self.calls.read_text().splitlines() for content in json.loads(line)[2]]


@pytest.fixture
def door(tmp_path: Path) -> FrontDoor:
    made = FrontDoor(tmp_path / "a [b] $c 'd'", """my 'env' "$(touch ran)" `touch ran` $HOME & > {a}""")
    made.furnish()
    return made


def value_of(name: str) -> str:
    return WORDS if name in SEVERAL_WORDS else f"{name} {HOSTILE}"


def runner(verb: str, *words: str) -> list[str]:
    return ["-m", "runner", verb, *words]


def flag(name: str, variable: str) -> str:
    return f"{name}={value_of(variable)}"


RESULTS, MODEL_DIR, DATASET = (
    flag("--results", "RESULTS"),
    flag("--model-dir", "MODEL_DIR"),
    flag("--dataset-file", "DATASET"),
)
OUT = flag("--out", "REQUESTS")
# What decides which requests ``make bench`` runs, and sorts them; every test but that of the sorting has requests of the CPU's stack.
LOOK = runner("devices", "--json")
SORT = ["-m", "tools.by_stack", "LIST"]
OF_THE_CPU: Plays = {"tools.by_stack": ["cpu\n", 0]}


def here(*words: str) -> list[str]:
    return runner("request", *words[:-1], "--here=LIST", "--no-image", words[-1])


def on_a_cluster(profile: str) -> list[list[str]]:
    return [
        runner("prepare", profile, flag("--registry", "REGISTRY")),
        runner("render", profile, *TAKEN_APART, "--out=build/manifests"),
        runner("submit", *TAKEN_APART, "--from", "LIST"),
        runner("collect", "--from", "LIST", RESULTS),
        runner("compare", "--from", "LIST"),
    ]


# For each target that reads variables what its programs are given, every variable hostile.
GIVEN = {
    "bench": [
        LOOK,
        runner(
            "request",
            *TAKEN_APART,
            *TAKEN_APART,
            "--here=LIST",
            "--no-image",
            flag("--device", "DEVICE"),
            MODEL_DIR,
            OUT,
        ),
        SORT,
        runner("bench", "--from", "LIST", RESULTS, MODEL_DIR),
        runner("compare", "--from", "LIST"),
    ],
    "bench-container": [
        LOOK,
        runner(
            "image",
            "--missing",
            "--here=LIST",
            flag("--device", "DEVICE"),
            MODEL_DIR,
            *TAKEN_APART,
            "--cases",
            *TAKEN_APART,
            "--run",
            *TAKEN_APART,
        ),
        runner("request", *TAKEN_APART, *TAKEN_APART, "--here=LIST", flag("--device", "DEVICE"), MODEL_DIR, OUT),
        runner("run", *TAKEN_APART, "--from", "LIST", MODEL_DIR),
    ],
    "bench-dataset": [
        runner("request", "cpu-dataset", DATASET, flag("--column", "COLUMN"), *TAKEN_APART, OUT),
        runner("bench", "--from", "LIST", RESULTS, DATASET, MODEL_DIR),
        runner("compare", "--from", "LIST"),
    ],
    "weights": [
        runner("request", "cpu-1", "--weights=hub", flag("--model", "MODEL"), OUT),
        runner("prefetch", "--from", "LIST", "--verify", MODEL_DIR, *TAKEN_APART),
    ],
    "bench-gaudi2": on_a_cluster("gaudi2"),
    "bench-gaudi": on_a_cluster("gaudi"),
    "bench-a100": on_a_cluster("a100"),
    "bench-cpu-cluster": on_a_cluster("cpu"),
    "compare": [runner("compare", *TAKEN_APART, "--", value_of("RESULTS"))],
    "bump-check": [
        [
            *("-m", "tools.bump_check", flag("--base", "BASE"), flag("--device", "DEVICE"), MODEL_DIR),
            *("--cases", *TAKEN_APART, *TAKEN_APART),
        ]
    ],
    "claims": [runner("claims", *TAKEN_APART)],
    "report": [runner("report", *TAKEN_APART, "--", value_of("RESULTS"))],
    "export": [runner("export", *TAKEN_APART, "--", value_of("RESULTS"))],
    "doctor": [runner("doctor", *TAKEN_APART)],
    "render": [runner("render", *TAKEN_APART)],
    "perf": [["-m", "tests.perf", *TAKEN_APART]],
    "mutation": [["-m", "tests.mutation", *TAKEN_APART]],
    "bench-stacks": [["-m", "tests.emulation", *TAKEN_APART]],
    "images": [runner("image", *TAKEN_APART, flag("--push", "PUSH"), *TAKEN_APART)],
    "images-check": [runner("image", *TAKEN_APART, "--check")],
    "bump": [runner("bump", *TAKEN_APART, "--", value_of("NAME"))],
    "images-scan": [["-m", "tools.image_evidence", "scan", *TAKEN_APART]],
    "images-sign": [["-m", "tools.image_evidence", "sign", *TAKEN_APART, *TAKEN_APART]],
    "lock": [runner("lock", *TAKEN_APART)],
    "lock-check": [runner("lock", "--check", *TAKEN_APART)],
    "slips": [["-m", "tests.slips", *TAKEN_APART]],
    "release": [["-m", "tools.release", flag("--version", "VERSION"), *TAKEN_APART]],
}
ONLY_NUMBERS_OR_NAMES = {"fuzz": "SECONDS", "test-images": "IMAGES"}


def variables_of(target: str) -> list[str]:
    (line,) = re.findall(rf"^reads\.{target} := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return variables_of(line[len("$(reads.") : -1]) if line.startswith("$") else line.split()


def test_every_target_that_reads_variables_is_tried_with_hostile_ones() -> None:
    named = re.findall(r"^reads\.([a-z0-9-]+) :=", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert sorted(named) == sorted([*GIVEN, *ONLY_NUMBERS_OR_NAMES])


@pytest.mark.parametrize("target, given", GIVEN.items(), ids=GIVEN)
@pytest.mark.parametrize("origin", ["make", "environment"])
def test_a_value_reaches_programs_as_typed_and_is_never_run(
    door: FrontDoor, target: str, given: list[list[str]], origin: str
) -> None:
    values = {name: value_of(name) for name in variables_of(target)}
    before = sorted(door.folder.iterdir())
    done = (
        door.make(target, plays=OF_THE_CPU, variables=values)
        if origin == "environment"
        else door.make(target, *(f"{name}={value}" for name, value in values.items()), plays=OF_THE_CPU)
    )
    assert done.returncode == 0, done.stderr
    assert door.called() == given
    new = {path.name for path in door.folder.iterdir()} - {path.name for path in before}
    assert new <= {"calls", "build"} and not list(ROOT.glob("ran"))


def test_no_recipe_holds_a_value_as_text_of_the_shell() -> None:
    makefile = (ROOT / "Makefile").read_text()
    names = {name for target in [*GIVEN, *ONLY_NUMBERS_OR_NAMES] for name in variables_of(target)}
    recipes = "\n".join(line for line in makefile.splitlines() if line.startswith("\t"))
    assert not set(re.findall(r"\$\(([A-Z0-9_]+)", recipes)) & {*names, "VENV", "PYTHON", "PYTHON38"}


@pytest.mark.parametrize("target", sorted({*GIVEN, *ONLY_NUMBERS_OR_NAMES, "test", "setup", "help"}))
def test_a_variable_that_a_target_does_not_read_is_named(door: FrontDoor, target: str) -> None:
    done = door.make(target, "ENGINE=$(shell touch ran)")
    assert done.returncode == 2
    assert f"`make {target}` reads no ENGINE." in done.stderr
    assert ("into ARGS" in done.stderr) is (target in GIVEN and "ARGS" in variables_of(target))
    assert door.called() == [] and not (door.folder / "ran").exists()


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["compare", "RESULT=x"], "Did you mean RESULTS?"),
        (["bench", "DATASET=x"], "`make bench` reads no DATASET."),
        (["compare", "RESULTS=a\nb"], "RESULTS holds a line break"),
        (["fuzz", "SECONDS=a[$(touch ran)]"], "SECONDS is a number of seconds"),
        (["test-images", "IMAGES=cpu;touch ran"], "IMAGES may name cpu, cuda and gaudi"),
        (["compare", "ARGS='a"], "ARGS cannot be taken apart into words (No closing quotation)"),
        (
            ["bench-gaudi2", "REGISTRY=r.example/x", "ARGS='a"],
            "ARGS cannot be taken apart into words (No closing quotation)",
        ),
        *((["compare", f"VENV=a{sign}b"], f"VENV holds {sign}, which make cannot keep") for sign in ":;|*?[]%=~\\#"),
    ],
)
def test_what_cannot_be_is_said_before_anything_runs(door: FrontDoor, arguments: list[str], told: str) -> None:
    done = door.make(*arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert door.called() == [] and not (door.folder / "ran").exists()


@pytest.mark.parametrize("flags", ["--help", "-h", "--launches 2 --help"])
def test_the_help_of_the_bump_check_needs_no_base(door: FrontDoor, flags: str) -> None:
    done = door.make("bump-check", f"ARGS={flags}")
    assert done.returncode == 0, done.stderr
    assert door.called() == [["-m", "tools.bump_check", "--base=", "--cases", *flags.split()]]


def test_a_bump_check_needs_a_base(door: FrontDoor) -> None:
    done = door.make("bump-check", "ARGS=--launches 2")
    assert done.returncode == 2 and "make bump-check BASE=main" in done.stderr
    assert door.called() == []


def test_what_programs_read_from_the_environment_may_be_given_to_make(door: FrontDoor) -> None:
    door.make(
        "compare", "PIP_EXTRA_INDEX_URL=https://index/$(shell touch ran)", "KUBECONFIG=a:b", "CUDA_VISIBLE_DEVICES=1,2"
    )
    assert door.called() == [runner("compare", "--", "results")]
    assert not (door.folder / "ran").exists()


def test_an_empty_value_is_none(door: FrontDoor) -> None:
    done = door.make("bench", "CASES=", "RESULTS=", "MODEL_DIR=", "REQUESTS=", "DEVICE=", plays=OF_THE_CPU)
    assert done.returncode == 0
    assert door.called()[:4] == [
        LOOK,
        here("--out=build/requests"),
        SORT,
        runner("bench", "--from", "LIST", "--results=results"),
    ]


# What ``make bench`` runs, by the stacks of the requests, and the pythons that run ``bench``.
@pytest.mark.parametrize(
    "stacks, made, pythons",
    [
        (["cpu"], [], ["bin/python"]),
        (["cuda"], ["cuda"], ["stacks/cuda/bin/python"]),
        (["cpu", "cuda"], ["cuda"], ["bin/python", "stacks/cuda/bin/python"]),
    ],
    ids=["cpu", "cuda", "both"],
)
def test_requests_run_with_the_python_of_their_stack(
    door: FrontDoor, stacks: list[str], made: list[str], pythons: list[str]
) -> None:
    plays: Plays = {"tools.by_stack": ["".join(f"{stack}\n" for stack in stacks), 0]}
    done = door.make("bench", plays=plays)
    assert done.returncode == 0, done.stderr
    calls = [json.loads(line) for line in door.calls.read_text().splitlines()]
    environments = [given[2:] for _, given, _ in calls if given[1:2] == ["tools.stack_environment"]]
    assert environments == [[stack, f"{door.venv}/stacks/{stack}"] for stack in made]
    programs = [program for program, given, _ in calls if given[1:3] == ["runner", "bench"]]
    assert programs == [f"{door.venv}/{python}" for python in pythons]


def test_the_stack_s_environment_is_needed_before_its_requests_run(door: FrontDoor) -> None:
    plays: Plays = {"tools.by_stack": ["cuda\n", 0], "tools.stack_environment": ["", 10]}
    done = door.make("bench", plays=plays)
    assert (done.returncode, "Error 10" in done.stderr) == (2, True)
    assert [call[1:3] for call in door.called() if call[1:2] == ["runner"]] == [
        ["runner", "devices"],
        ["runner", "request"],
    ]


def test_what_the_look_at_the_host_complains_of_is_shown_where_it_fails(door: FrontDoor) -> None:
    done = door.make("bench", plays={"devices": ["", 3]})
    assert (done.returncode, "Error 3" in done.stderr) == (2, True)
    assert door.called() == [LOOK]


def test_an_interruption_ends_the_recipe(door: FrontDoor) -> None:
    done = door.make("bench", plays={"tools.by_stack": ["cpu\ncuda\n", 0], "bench": ["a.json\n", 130]})
    assert (done.returncode, "Error 130" in done.stderr) == (2, True)
    assert [call[2] for call in door.called() if call[1] == "runner"] == ["devices", "request", "bench"]


def test_what_an_image_alone_can_run_goes_to_the_container_s_target(door: FrontDoor) -> None:
    """Of a list of requests without a stack nothing is run here."""
    assert door.make("bench", "CASES=gaudi2-8-bloomz").returncode == 0
    assert door.called()[:3] == [LOOK, here("gaudi2-8-bloomz", "--out=build/requests"), SORT]
    assert [call[2] for call in door.called()[3:]] == ["devices", "image", "request", "run"]
    assert door.called()[4][-3:] == ["--cases", "gaudi2-8-bloomz", "--run"]


def test_the_environment_is_made_by_the_python_that_is_named(door: FrontDoor) -> None:
    door.venv = "a new 'one'"
    done = door.make("setup", f"PYTHON={door.python}")
    assert done.returncode == 0, done.stderr
    assert ["-m", "venv", door.venv] in door.called()
    assert [call[:3] for call in door.called() if call[1:2] == ["pip"]] == [["-m", "pip", "install"]] * 4
    door.calls.unlink()
    assert door.make("setup", f"PYTHON={door.python}").returncode == 0
    assert door.called() == []
    refused = door.make("setup", "PYTHON=no; touch ran", "VENV=third")
    assert refused.returncode == 2 and "no Python 3.10 to 3.13 was found" in refused.stderr
    assert not (door.folder / "ran").exists() and not (door.folder / "third").exists()


def test_clean_removes_an_environment_and_no_other_folder(door: FrontDoor) -> None:
    (door.folder / "results").mkdir()
    assert door.make("clean", "VENV=results").returncode == 0
    assert (door.folder / "results").exists()
    assert door.make("clean").returncode == 0
    assert not (door.folder / door.venv).exists()


LOOKED = ["devices", "request", "LIST"]
CLUSTER = ["render", "submit", "collect", "compare"]
CONTAINER = ["devices", "image", "request", "run", "collect", "compare"]


@pytest.mark.parametrize(
    "target, arguments, plays, verbs, code",
    [
        ("bench", "", {}, [*LOOKED, "bench", "compare"], 0),
        ("bench", "", {"request": ["", 4]}, LOOKED[:2], 4),
        ("bench", "", {"bench": ["a.json\n", 6]}, [*LOOKED, "bench", "compare"], 6),
        ("bench", "", {"bench": ["", 6]}, [*LOOKED, "bench"], 6),
        ("bench", "", {"bench": ["a.json\n", 6], "compare": ["", 8]}, [*LOOKED, "bench", "compare"], 6),
        ("bench-container", "", {"image": ["", 4]}, CONTAINER[:2], 4),
        ("bench-container", "", {"run": ["a.log\n", 0], "collect": ["a.json\n", 0]}, CONTAINER, 0),
        ("bench-container", "", {"run": ["", 10]}, CONTAINER[:4], 10),
        ("bench-container", "", {"run": ["a.log\n", 6], "collect": ["a.json\n", 8]}, CONTAINER, 6),
        ("bench-container", "", {"run": ["a.log\n", 0], "collect": ["", 8]}, CONTAINER[:5], 8),
        ("bench-cpu-cluster", "--only cpu-1", {"submit": ["a.log\n", 0]}, CLUSTER, 0),
        ("bench-cpu-cluster", "--detach", {"submit": ["bench-a\n", 0]}, ["render", "submit"], 0),
        ("bench-cpu-cluster", "--only 'a --detach b'", {"submit": ["a.log\n", 0]}, CLUSTER, 0),
        ("bench-cpu-cluster", "--only cpu-1 --dry-run", {"submit": ["x: y.log\n", 0]}, ["render", "submit"], 0),
        ("bench-cpu-cluster", "", {"render": ["", 3]}, ["render"], 3),
        ("bench-cpu-cluster", "", {"submit": ["", 11]}, ["render", "submit"], 11),
        ("bench-cpu-cluster", "", {"submit": ["a.log\n", 12], "collect": ["a.json\n", 8]}, CLUSTER, 12),
        ("bench-cpu-cluster", "", {"submit": ["a.log\n", 0], "collect": ["", 8]}, CLUSTER[:3], 8),
    ],
)
def test_a_recipe_goes_on_with_what_its_own_run_printed(
    door: FrontDoor, target: str, arguments: str, plays: Plays, verbs: list[str], code: int
) -> None:
    """What one run of several lost keeps the others from nothing; a step that failed makes the recipe fail."""
    done = door.make(target, f"ARGS={arguments}", plays={**OF_THE_CPU, **plays})
    assert [call[2] for call in door.called()] == verbs
    assert done.returncode == (2 if code else 0)
    assert (f"Error {code}" in done.stderr) is bool(code)
    if verbs[-1:] == ["submit"] and not code:
        assert done.stdout.endswith(plays["submit"][0])


@pytest.mark.parametrize(
    "arguments, plays, verbs, code",
    [
        ("", {"submit": ["a.log\n", 0]}, ["prepare", *CLUSTER], 0),
        ("", {"prepare": ["", 9]}, ["prepare"], 9),
        ("--dry-run", {"prepare": ["the plan\n", 0]}, ["prepare"], 0),
        ("--dry-run", {"prepare": ["", 2]}, ["prepare"], 2),
        ("--detach", {"submit": ["bench-a\n", 0]}, ["prepare", "render", "submit"], 0),
    ],
)
def test_with_a_registry_everything_is_prepared_first(
    door: FrontDoor, arguments: str, plays: Plays, verbs: list[str], code: int
) -> None:
    done = door.make("bench-gaudi2", f"ARGS={arguments}", "REGISTRY=registry.example/team", plays=plays)
    assert [call[2] for call in door.called()] == verbs
    assert (f"Error {code}" in done.stderr) is bool(code)
    prepared = door.called()[0]
    assert prepared[3:5] == ["gaudi2", "--registry=registry.example/team"]
    assert ("--dry-run" in prepared) is (arguments == "--dry-run")
    if arguments == "--dry-run" and not code:
        assert done.stdout.endswith("the plan\n") and not list((door.folder / "build/lists").iterdir())


def test_names_reach_the_next_verb_line_by_line(door: FrontDoor) -> None:
    names = "a folder/one 'and' $(touch ran).json\n"
    assert door.make("bench", plays={**OF_THE_CPU, "request": [names, 0], "bench": [names, 0]}).returncode == 0
    assert door.lists() == [names, names]
    assert not list((door.folder / "build/lists").iterdir()), "the lists of a whole run are removed"


def test_words_behind_two_dashes_stay_as_given() -> None:
    assert words.command(["m", "@A", "--", "@A"], {"A": "x 'y z'"}) == ["m", "x", "y z", "--", "@A"]
    assert words.command(["m", "@B"], {}) == ["m"]


def test_the_environment_gets_the_torch_that_the_lock_pins(door: FrontDoor) -> None:
    door.venv = "new"
    assert door.make("setup", f"PYTHON={door.python}", plays={"tools.pinned": ["9.8.7\n", 0]}).returncode == 0
    assert door.called().count(["-m", "pip", "install", "--quiet", "torch==9.8.7"]) == 1
    pinned = [sys.executable, "-m", "tools.pinned"]
    said = subprocess.run([*pinned, "cpu", "torch"], capture_output=True, encoding="utf-8", cwd=ROOT, check=True).stdout
    assert said.strip() == lockfile.read().stacks["cpu"].packages["torch"].version
    refused = subprocess.run([*pinned, "cpu", "tensor"], capture_output=True, encoding="utf-8", cwd=ROOT)
    assert (refused.returncode, refused.stdout) == (InputError.exit_code, "")
    assert refused.stderr == "make: versions.lock pins no tensor in a stack cpu.\n"


def test_no_torch_is_installed_where_the_lock_names_none(door: FrontDoor) -> None:
    door.venv = "new"
    done = door.make("setup", f"PYTHON={door.python}", plays={"tools.pinned": ["", 3]})
    assert done.returncode == 2 and "Error 3" in done.stderr
    assert not [call for call in door.called() if any(word.startswith("torch==") for word in call)]
    assert not (door.folder / door.venv / ".cpu").exists()


@pytest.mark.parametrize("verb", VERBS)
def test_half_a_flag_is_none(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A script that abbreviates would break, or mean another, once a flag is added."""
    parser = importlib.import_module(VERBS[verb][0]).parser()
    with pytest.raises(SystemExit):
        parser.parse_args(["--hel"])
    assert "usage" in capsys.readouterr().err, "help goes to standard output"


def test_an_installation_that_was_stopped_is_made_again(tmp_path: Path) -> None:
    """pip takes for installed what a signal left half written: such a layer is installed anew, and once only."""
    program, noted = tmp_path / "bin" / "python", tmp_path / "noted"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {noted}\n[ ! -f {tmp_path}/fails ]\n')
    program.chmod(0o755)
    (tmp_path / ".build").touch()

    def make_host() -> tuple[bool, list[str]]:
        noted.unlink(missing_ok=True)
        command = ["make", f"VENV={tmp_path}", str(tmp_path / ".host")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8")
        (line,) = noted.read_text().splitlines()
        return done.returncode == 0, line.split()

    (tmp_path / "fails").touch()
    assert make_host()[0] is False
    (tmp_path / "fails").unlink()
    done, given = make_host()
    assert done and "--force-reinstall" in given
    (tmp_path / ".host").unlink()
    done, given = make_host()
    assert done and "--force-reinstall" not in given and given[-2:] == ["-r", "requirements/host.txt"]
