"""``make mutation``: change the modules that decide, one place at a time, and count the changes that no test notices.

mutmut makes the changes inside functions, chooses for each the tests that reach it, and runs them in forked workers. What
stands outside of functions (limits, patterns, defaults) it leaves alone: its changes to those are tried here, each in a
pytest of its own. Functions under a decorator are not changed. All works on copies below build/, which the child processes
of tests run too.
"""

import argparse
import ast
import difflib
import json
import os
import queue
import re
import shutil
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import libcst
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.mutation.file_mutation import create_mutations
from mutmut.stats import status_by_exit_code

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build" / "mutation"
LEAST = 0.85
PATIENCE_S = 600  # for the tests on one change outside of functions, which take 20 seconds on two free cores

# The modules that decide, and of a module that also does other things the functions that do.
DECIDING: dict[str, dict[str, list[str]]] = {
    "lock reader": {"host/lockfile": [], "host/strictyaml": [], "contract/fields": []},
    "validity": {"bench/checks": [], "bench/watch": [], "bench/inventory": []},
    "store": {"contract/publish": [], "contract/result": [], "contract/frame": [], "host/results": []},
    "verdict": {
        "host/verdict": [],
        "host/compare": ["against_claims", "conditions", "conditions_that_differ", "headline"],
    },
}
# Without torch, the simulation and the fuzzing: what those alone would notice is a gap in the tests of the module itself.
TESTS = [
    *(
        "tests/contract",
        "tests/bench/parent/test_checks.py",
        "tests/bench/facts/test_inventory.py",
        "tests/bench/rank/test_device_log.py",
    ),
    *(f"tests/host/test_{name}.py" for name in ("catalog", "collect", "compare", "lockfile", "results")),
    *(f"tests/host/test_{name}.py" for name in ("strictyaml", "verdict")),
]
OPTIONS = ["-p", "no:cacheprovider", "--hypothesis-seed=0"]
BESIDE = ("images", "requirements", "versions.lock")  # what the tests read beside runner and tests
NOTICED = ("killed", "timeout")  # a change that makes a test run on and on is noticed
TOLD = ("killed", "timeout", "survived", "suspicious", "no tests")


@dataclass(frozen=True)
class Mutant:
    group: str
    module: str
    name: str
    status: str
    line: int = 0
    change: tuple[str, ...] = ()


def main(arguments=None):
    options = _parser().parse_args(arguments)
    known = {module: (group, functions) for group, inner in DECIDING.items() for module, functions in inner.items()}
    unknown = sorted({*options.modules} - {*known})
    if unknown:
        sys.exit(f"{unknown[0]} is no deciding module; they are {', '.join(known)}.")
    chosen = {module: known[module] for module in options.modules or known}
    _lay_out(chosen)
    os.chdir(FOLDER)
    try:
        mutants = [*_inside(chosen, options.workers), *_outside(chosen, options.workers)]
    except KeyboardInterrupt:
        sys.exit("\nInterrupted; no report was written.")
    report = "\n".join([*_table(mutants), "", *_survivors(mutants)]) + "\n"
    options.out.write_text(report, encoding="utf-8")
    print(f"\n{report}\nwritten: {options.out}")
    if _score(mutants) < LEAST:
        sys.exit(f"{_score(mutants):.1%} of the changes were noticed; {LEAST:.0%} are wanted. Test what survived.")


def _parser():
    described = argparse.ArgumentParser(
        allow_abbrev=False,
        prog="make mutation",
        description="Change the deciding modules one place at a time; list what no test notices.",
    )
    described.add_argument("--workers", type=int, default=2, help="how many changes are tried at a time (default: 2)")
    described.add_argument("--out", type=Path, default=ROOT / "build" / "mutation.txt", help="where the report goes")
    described.add_argument("modules", nargs="*", metavar="MODULE", help="only these, such as host/verdict")
    return described


def _lay_out(chosen):
    """Make the folder in which mutmut makes its copy: what it takes is linked, its settings are written."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    for name in ("runner", "tests", *BESIDE):
        (FOLDER / name).symlink_to(ROOT / name)
    settings = {
        "source_paths": ["runner"],
        "only_mutate": [_file(module) for module in chosen],
        "also_copy": list(BESIDE),
        "pytest_add_cli_args": OPTIONS,
        "pytest_add_cli_args_test_selection": TESTS,
        "use_git_change_detection": False,
        "timeout_multiplier": 5.0,  # a change that loops is given up after five times what its tests take
    }
    written = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (FOLDER / "pyproject.toml").write_text("\n".join([text, "[tool.mutmut]", *written, ""]), encoding="utf-8")


def _file(module):
    return f"runner/{module}.py"


def _inside(chosen, workers):
    """Have mutmut try its changes inside functions, and return them with what came of each."""
    patterns = [
        f"runner.{module.replace('/', '.')}.{'*' if function is None else f'x_{function}__mutmut_*'}"
        for module, (_, functions) in chosen.items()
        for function in functions or [None]
    ]
    command = [Path(sys.executable).with_name("mutmut"), "run", "--max-children", str(workers), *patterns]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            _pass_on(process.stdout)
            status = process.wait()
        except KeyboardInterrupt:
            process.communicate()  # it was interrupted too, and stops its workers
            raise
    if status != 0:
        sys.exit("mutmut did not come to an end; what it said stands above.")
    mutants = []
    for module, (group, functions) in chosen.items():
        recorded = json.loads(Path("mutants", f"{_file(module)}.meta").read_text(encoding="utf-8"))
        for name, code in recorded["exit_code_by_key"].items():
            if not functions or re.fullmatch(r".*\.x_(.*)__mutmut_\d+", name)[1] in functions:
                status = status_by_exit_code[code]
                if status in ("not checked", "check was interrupted by user"):
                    raise KeyboardInterrupt
                where = (0, ()) if status in NOTICED else _change(name, module)
                mutants.append(Mutant(group, module, name.rpartition(".")[2], status, *where))
    return mutants


def _pass_on(said):
    """Show what mutmut says of its progress, without the list of all changes at its end."""
    before, ended = b"", False
    while block := os.read(said.fileno(), 1 << 16):
        ended = ended or b"Mutant results" in before[-20:] + block
        if not ended:
            sys.stdout.buffer.write(block)
            sys.stdout.buffer.flush()
        before = block
    print()


def _change(name, module):
    """Return the line in the file at which a change of mutmut's begins, and the lines taken out and put in."""
    source = Path(_file(module)).read_text(encoding="utf-8")
    *holders, function = re.fullmatch(r".*\.x[_ǁ](.*)__mutmut_\d+", name)[1].split("ǁ")
    nodes = ast.parse(source).body
    for holder in (*holders, function):
        node = next(node for node in nodes if getattr(node, "name", None) == holder)
        nodes = node.body
    lines, begin = source.splitlines(), node.lineno
    while lines[begin - 2].lstrip().startswith("#"):
        begin -= 1  # the difference counts from the comment above the function
    line, change = _first(get_diff_for_mutant(name, path=_file(module)).splitlines())
    return begin - 1 + line, change


def _first(diff):
    """Return the first line that a unified diff changes, and the lines that it takes out and puts in."""
    hunk = next(number for number, text in enumerate(diff) if text.startswith("@@"))
    body = diff[hunk + 1 :]
    before = next(number for number, text in enumerate(body) if text[0] in "+-")
    change = tuple(f"{text[0]} {text[1:].strip()}" for text in body if text[0] in "+-")
    return int(re.match(r"@@ -(\d+)", diff[hunk])[1]) + before, change


def _outside(chosen, workers):
    """Try every change outside of functions on copies of the tree, one for each worker."""
    work = [
        (group, module, number, *change)
        for module, (group, functions) in chosen.items()
        if not functions
        for number, change in enumerate(_changes(module), 1)
    ]
    trees = queue.Queue()
    for worker in range(workers):
        tree = FOLDER / f"outside-{worker}"
        ignored = shutil.ignore_patterns("__pycache__")
        for name in ("runner", "tests", "images", "requirements"):
            shutil.copytree(ROOT / name, tree / name, ignore=ignored)
        for name in ("versions.lock", "pyproject.toml"):
            shutil.copy(ROOT / name, tree / name)
        trees.put(tree)
    if work and _try(tree, "host/verdict", Path(_file("host/verdict")).read_text(encoding="utf-8")) != "survived":
        sys.exit(f"The tests fail in {tree} without any change, so that they would seem to notice all.")
    done = []

    def attempt(item):
        group, module, number, code, line, change = item
        tree = trees.get()
        try:
            status = _try(tree, module, code)
        finally:
            trees.put(tree)
        done.append(status)
        print(f"\routside of functions: {len(done)}/{len(work)}, {done.count('survived')} survived", end="", flush=True)
        return Mutant(group, module, f"outside_{number}", status, line, change)

    pool = ThreadPoolExecutor(workers)
    try:
        return list(pool.map(attempt, work))
    finally:
        pool.shutdown(cancel_futures=True)
        print()


def _changes(module):
    """Yield for each change that mutmut would make outside of functions the module's new text, the line, and the change."""
    text = Path(_file(module)).read_text(encoding="utf-8")
    tree, mutations, *_ = create_mutations(_file(module), text)
    for mutation in mutations:
        if not isinstance(mutation.contained_by_top_level_function, libcst.FunctionDef):
            code = tree.deep_replace(mutation.original_node, mutation.mutated_node).code
            diff = difflib.unified_diff(text.splitlines(), code.splitlines(), n=0, lineterm="")
            yield code, *_first(list(diff))


def _try(tree, module, code):
    """Run the tests on one change, those of the module itself first."""
    path = tree / _file(module)
    original = path.read_bytes()
    own = "tests/{}/test_{}.py".format(*module.split("/"))
    command = [sys.executable, "-m", "pytest", "-x", "-q", *OPTIONS, own, *TESTS]
    try:
        path.write_text(code, encoding="utf-8")
        status = subprocess.run(
            command,
            cwd=tree,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE_S,
        ).returncode
    except subprocess.TimeoutExpired:
        return "timeout"
    finally:
        path.write_bytes(original)
    return {0: "survived", 1: "killed", 2: "killed"}.get(status, "suspicious")  # 2: a module cannot be imported


def _score(mutants):
    return sum(mutant.status in NOTICED for mutant in mutants) / len(mutants)


def _table(mutants):
    """Yield the lines of the table: each module, each group, all."""
    yield f"{'':<22}{'mutants':>9}" + "".join(f"{word:>12}" for word in (*TOLD, "other")) + f"{'score':>9}"
    for group in dict.fromkeys(mutant.group for mutant in mutants):
        members = [mutant for mutant in mutants if mutant.group == group]
        for module in dict.fromkeys(mutant.module for mutant in members):
            yield _row(f"  {module}", [mutant for mutant in members if mutant.module == module])
        yield _row(group, members)
    yield _row("all", mutants)


def _row(name, mutants):
    count = Counter(mutant.status if mutant.status in TOLD else "other" for mutant in mutants)
    cells = "".join(f"{count[word]:>12}" for word in (*TOLD, "other"))
    return f"{name:<22}{len(mutants):>9}{cells}{_score(mutants):>9.1%}"


def _survivors(mutants):
    """Yield every change that was not noticed: file, line, and the lines taken out and put in."""
    for mutant in sorted(mutants, key=lambda mutant: (mutant.group, mutant.module, mutant.line)):
        if mutant.status not in NOTICED:
            yield f"{_file(mutant.module)}:{mutant.line}: {mutant.status} ({mutant.name})"
            yield from (f"    {text}" for text in mutant.change)


if __name__ == "__main__":
    main()
