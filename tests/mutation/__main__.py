"""``make mutation``: change the modules that decide, one place at a time, and count the changes that no test notices.

mutmut makes the changes inside functions, chooses for each the tests that reach it, and runs them in forked workers. What
stands outside of functions (limits, patterns, defaults) it leaves alone: its changes to those are tried here, each in a
pytest of its own. Functions under a decorator are not changed. All works on copies below build/, which the child processes
of tests run too.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import math
import os
import queue
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import libcst
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.mutation.file_mutation import create_mutations, mutate_file_contents
from mutmut.stats import status_by_exit_code
from mutmut.utils.format_utils import get_mutant_name

from tests.mutation.deciding import DECIDING, LEFT_OUT, TESTS, file_of, tests_of

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build" / "mutation"
LEAST = 0.85
# for the tests on one change outside of functions, which take 20 seconds on two free cores
PATIENCE_S = 600

OPTIONS = ["-p", "no:cacheprovider", "--hypothesis-seed=0", f"--deselect={LEFT_OUT}"]
# what the tests read beside runner and tests
BESIDE = ("images", "requirements", "versions.lock")
# a change that makes a test run on and on is noticed
NOTICED = ("killed", "timeout")
TOLD = ("killed", "timeout", "survived", "suspicious", "no tests")


# The chosen modules, each with its group and its functions; no functions are all of the module's.
Chosen = Mapping[str, tuple[str, list[str]]]
# A change outside of functions: group, module, number, the module's new text, the line, the lines taken out and put in.
Change = tuple[str, str, int, str, int, tuple[str, ...]]


@dataclass(frozen=True)
class Sample:
    """The changes that are tried: inside functions by mutmut's names, outside of functions by module and number."""

    inside: frozenset[str]
    outside: frozenset[tuple[str, int]]


@dataclass(frozen=True)
class Mutant:
    """One change: where it is, and what came of it. ``change`` holds the lines taken out and put in, of a change that survived."""

    group: str
    module: str
    name: str
    status: str
    line: int = 0
    change: tuple[str, ...] = ()


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    known = {module: (group, functions) for group, inner in DECIDING.items() for module, functions in inner.items()}
    unknown = sorted({*options.modules} - {*known})
    if unknown:
        sys.exit(f"{unknown[0]} is no deciding module; they are {', '.join(known)}.")
    chosen = {module: known[module] for module in options.modules or known}
    _lay_out(chosen)
    os.chdir(FOLDER)
    sample = None if options.sample is None else _sample(chosen, options.sample, options.seed)
    try:
        mutants = [*_inside(chosen, options.workers, sample), *_outside(chosen, options.workers, sample)]
    except KeyboardInterrupt:
        sys.exit("\nInterrupted; no report was written.")
    report = "\n".join([*_table(mutants), "", *_survivors(mutants)]) + "\n"
    options.out.write_text(report, encoding="utf-8")
    print(f"\n{report}\nwritten: {options.out}")
    least = LEAST if sample is None else _least_of_sample(len(mutants)) / len(mutants)
    if _score(mutants) < least:
        sys.exit(f"{_score(mutants):.1%} of the changes were noticed; {least:.0%} are wanted. Test what survived.")


def _parser() -> argparse.ArgumentParser:
    described = argparse.ArgumentParser(
        allow_abbrev=False,
        prog="make mutation",
        description="Change the deciding modules one place at a time; list what no test notices.",
    )
    described.add_argument("--workers", type=int, default=2, help="how many changes are tried at a time (default: 2)")
    described.add_argument("--out", type=Path, default=ROOT / "build" / "mutation.txt", help="where the report goes")
    described.add_argument("--sample", type=int, metavar="N", help="try N of the changes (default: all)")
    described.add_argument(
        "--seed", type=int, default=0, help="which sample: the same number takes the same changes (default: 0)"
    )
    described.add_argument("modules", nargs="*", metavar="MODULE", help="only these, such as host/judging/verdict")
    return described


def _lay_out(chosen: Chosen) -> None:
    """Make the folder in which mutmut makes its copy: what it takes is linked, its settings are written."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    for name in ("runner", "tests", *BESIDE):
        (FOLDER / name).symlink_to(ROOT / name)
    settings = {
        "source_paths": ["runner"],
        "only_mutate": [file_of(module) for module in chosen],
        "also_copy": list(BESIDE),
        "pytest_add_cli_args": OPTIONS,
        "pytest_add_cli_args_test_selection": TESTS,
        "use_git_change_detection": False,
        # a change that loops is given up after five times what its tests take
        "timeout_multiplier": 5.0,
    }
    written = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (FOLDER / "pyproject.toml").write_text("\n".join([text, "[tool.mutmut]", *written, ""]), encoding="utf-8")


def _sample(chosen: Chosen, size: int, seed: int) -> Sample:
    """Choose ``size`` of all changes at random, inside and outside of functions alike."""
    inside = [
        get_mutant_name(Path(file_of(module)), name)
        for module, (_, functions) in chosen.items()
        for name in mutate_file_contents(
            file_of(module), Path(file_of(module)).read_text(encoding="utf-8")
        ).mutant_names
        if not functions or _function(name) in functions
    ]
    outside = [
        (module, number)
        for module, (_, functions) in chosen.items()
        if not functions
        for number, _ in enumerate(_changes(module), 1)
    ]
    everything = [*inside, *outside]
    taken = random.Random(seed).sample(everything, min(size, len(everything)))
    print(f"{len(taken)} of {len(everything)} changes are tried (seed {seed})")
    names, places = (
        [each for each in taken if isinstance(each, str)],
        [each for each in taken if not isinstance(each, str)],
    )
    return Sample(frozenset(names), frozenset(places))


def _least_of_sample(size: int) -> int:
    """Return how many of a sample must be noticed: fewer would come up once in a hundred samples, if ``LEAST`` of all are noticed."""
    chances = [math.comb(size, count) * LEAST**count * (1 - LEAST) ** (size - count) for count in range(size + 1)]
    return next(count for count in range(size + 1) if sum(chances[: count + 1]) > 0.01)


def _function(name: str) -> str:
    """Return the function that a change of mutmut's is in, with its class before it where it has one."""
    return _matched(r"(?:.*\.)?x[_ǁ](.*)__mutmut_\d+", name)


def _inside(chosen: Chosen, workers: int, sample: Sample | None) -> list[Mutant]:
    """Have mutmut try its changes inside functions, and return them with what came of each."""
    patterns = [
        f"runner.{module.replace('/', '.')}.{pattern}"
        for module, (_, functions) in chosen.items()
        for pattern in [f"x_{function}__mutmut_*" for function in functions] or ["*"]
    ]
    if sample is not None:
        patterns = sorted(sample.inside)
        if not patterns:
            return []
    command = [str(Path(sys.executable).with_name("mutmut")), "run", "--max-children", str(workers), *patterns]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None, "a pipe"
            _pass_on(process.stdout)
            status = process.wait()
        except KeyboardInterrupt:
            # it was interrupted too, and stops its workers
            process.communicate()
            raise
    if status != 0:
        sys.exit("mutmut did not come to an end; what it said stands above.")
    mutants = []
    for module, (group, functions) in chosen.items():
        recorded = json.loads(Path("mutants", f"{file_of(module)}.meta").read_text(encoding="utf-8"))
        for name, code in recorded["exit_code_by_key"].items():
            if name in sample.inside if sample is not None else not functions or _function(name) in functions:
                status = status_by_exit_code[code]
                if status in ("not checked", "check was interrupted by user"):
                    raise KeyboardInterrupt
                where = (0, ()) if status in NOTICED else _change(name, module)
                mutants.append(Mutant(group, module, name.rpartition(".")[2], status, *where))
    return mutants


def _pass_on(said: IO[bytes]) -> None:
    """Show what mutmut says of its progress, without the list of all changes at its end."""
    before, ended = b"", False
    while block := os.read(said.fileno(), 1 << 16):
        ended = ended or b"Mutant results" in before[-20:] + block
        if not ended:
            sys.stdout.buffer.write(block)
            sys.stdout.buffer.flush()
        before = block
    print()


_NAMED = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _change(name: str, module: str) -> tuple[int, tuple[str, ...]]:
    """Return the line in the file at which a change of mutmut's begins, and the lines taken out and put in."""
    source = Path(file_of(module)).read_text(encoding="utf-8")
    *holders, function = _function(name).split("ǁ")
    nodes = ast.parse(source).body
    for holder in (*holders, function):
        node = next(node for node in nodes if isinstance(node, _NAMED) and node.name == holder)
        nodes = node.body
    lines, begin = source.splitlines(), node.lineno
    while lines[begin - 2].lstrip().startswith("#"):
        # the difference counts from the comment above the function
        begin -= 1
    line, change = _first(get_diff_for_mutant(name, path=file_of(module)).splitlines())
    return begin - 1 + line, change


def _first(diff: list[str]) -> tuple[int, tuple[str, ...]]:
    """Return the first line that a unified diff changes, and the lines that it takes out and puts in."""
    hunk = next(number for number, text in enumerate(diff) if text.startswith("@@"))
    body = diff[hunk + 1 :]
    before = next(number for number, text in enumerate(body) if text[0] in "+-")
    change = tuple(f"{text[0]} {text[1:].strip()}" for text in body if text[0] in "+-")
    return int(_matched(r"@@ -(\d+).*", diff[hunk])) + before, change


def _matched(pattern: str, text: str) -> str:
    """Return the group of a pattern that the whole text has."""
    match = re.fullmatch(pattern, text)
    assert match is not None, f"{text} is written in another way than {pattern}"
    return match[1]


def _outside(chosen: Chosen, workers: int, sample: Sample | None) -> list[Mutant]:
    """Try every change outside of functions on copies of the tree, one for each worker."""
    work = [
        (group, module, number, *change)
        for module, (group, functions) in chosen.items()
        if not functions
        for number, change in enumerate(_changes(module), 1)
        if sample is None or (module, number) in sample.outside
    ]
    if not work:
        return []
    trees: queue.Queue[Path] = queue.Queue()
    for worker in range(workers):
        tree = FOLDER / f"outside-{worker}"
        ignored = shutil.ignore_patterns("__pycache__")
        for name in ("runner", "tests", "images", "requirements"):
            shutil.copytree(ROOT / name, tree / name, ignore=ignored)
        for name in ("versions.lock", "pyproject.toml"):
            shutil.copy(ROOT / name, tree / name)
        trees.put(tree)
    unchanged = next(iter(chosen))
    if _try(tree, unchanged, Path(file_of(unchanged)).read_text(encoding="utf-8")) != "survived":
        sys.exit(f"The tests fail in {tree} without any change, so that they would seem to notice all.")
    done = []

    def attempt(item: Change) -> Mutant:
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


def _changes(module: str) -> Iterator[tuple[str, int, tuple[str, ...]]]:
    """Yield for each change that mutmut would make outside of functions the module's new text, the line, and the change."""
    text = Path(file_of(module)).read_text(encoding="utf-8")
    tree, mutations, *_ = create_mutations(file_of(module), text)
    for mutation in mutations:
        if not isinstance(mutation.contained_by_top_level_function, libcst.FunctionDef):
            code = tree.deep_replace(mutation.original_node, mutation.mutated_node).code
            diff = difflib.unified_diff(text.splitlines(), code.splitlines(), n=0, lineterm="")
            yield code, *_first(list(diff))


def _try(tree: Path, module: str, code: str) -> str:
    """Run the tests on one change, those of the module itself first."""
    path = tree / file_of(module)
    original = path.read_bytes()
    first = [tests_of(module)] if (tree / tests_of(module)).exists() else []
    command = [sys.executable, "-m", "pytest", "-x", "-q", *OPTIONS, *first, *TESTS]
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
    # 2: a module cannot be imported
    return {0: "survived", 1: "killed", 2: "killed"}.get(status, "suspicious")


def _score(mutants: Sequence[Mutant]) -> float:
    return sum(mutant.status in NOTICED for mutant in mutants) / len(mutants)


def _table(mutants: Sequence[Mutant]) -> Iterator[str]:
    """Yield the lines of the table: each module, each group, all."""
    yield f"{'':<22}{'mutants':>9}" + "".join(f"{word:>12}" for word in (*TOLD, "other")) + f"{'score':>9}"
    for group in dict.fromkeys(mutant.group for mutant in mutants):
        members = [mutant for mutant in mutants if mutant.group == group]
        for module in dict.fromkeys(mutant.module for mutant in members):
            yield _row(f"  {module}", [mutant for mutant in members if mutant.module == module])
        yield _row(group, members)
    yield _row("all", mutants)


def _row(name: str, mutants: Sequence[Mutant]) -> str:
    count = Counter(mutant.status if mutant.status in TOLD else "other" for mutant in mutants)
    cells = "".join(f"{count[word]:>12}" for word in (*TOLD, "other"))
    return f"{name:<22}{len(mutants):>9}{cells}{_score(mutants):>9.1%}"


def _survivors(mutants: Sequence[Mutant]) -> Iterator[str]:
    """Yield every change that was not noticed: file, line, and the lines taken out and put in."""
    for mutant in sorted(mutants, key=lambda mutant: (mutant.group, mutant.module, mutant.line)):
        if mutant.status not in NOTICED:
            yield f"{file_of(mutant.module)}:{mutant.line}: {mutant.status} ({mutant.name})"
            yield from (f"    {text}" for text in mutant.change)


if __name__ == "__main__":
    main()
