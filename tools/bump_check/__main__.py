"""``python -m tools.bump_check --base main``: measure the same cases on two locks in turn, and say what the bump changed.

``comment.md``, ``verdict.json`` and all results go below build/bump-check. Exit codes: 0 PASS, 17 FAIL, 18 INCONCLUSIVE.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import fcntl
import io
import os
import shlex
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runner.contract import files, signals
from runner.contract.errors import InputError, Interrupted, KitError, UsageError
from runner.contract.secrets import mask
from runner.contract.text import printable
from runner.host import paths, writing
from runner.host.judging import run_changes
from runner.host.readers import catalog as catalogs
from runner.host.verbs import request
from tools.bump_check import (
    bisect,
    cases,
    comment,
    emulated,
    environments,
    launches,
    moved,
    requests,
    search,
    trees,
    verdicts,
)
from tools.bump_check.bisect import Attribution
from tools.bump_check.comment import Described, Found
from tools.bump_check.emulated import Emulated
from tools.bump_check.launches import Measured, Outcome
from tools.bump_check.moved import MovedPin
from tools.bump_check.requests import DifferingField
from tools.bump_check.sides import Side, SideFailed
from tools.bump_check.trees import Commit
from tools.bump_check.verdicts import Compared, Verdict

FOLDER = paths.BUILD / "bump-check"
LAUNCHES = 5
BASE, HEAD = "base", "head"


def main(arguments: Sequence[str]) -> int:
    """Check the bump; return the exit code. Errors are printed, each as a sentence."""
    options, request_flags = parser().parse_known_args(arguments)
    try:
        with signals.as_interrupt():
            return run(options, request_flags)
    except KitError as error:
        _show(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        print("bump-check: stopped. What was measured stays. Run the same command again.", file=sys.stderr)
        return Interrupted.exit_code
    except OSError as problem:
        where = f"{os.fsdecode(problem.filename)}: " if isinstance(problem.filename, (str, bytes)) else ""
        print(
            f"bump-check: {printable(where)}{files.reason(problem)}. Free or name another place with --out.",
            file=sys.stderr,
        )
        return InputError.exit_code


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line. What it does not know are flags of ``request``, for both sides alike."""
    described = argparse.ArgumentParser(
        allow_abbrev=False,
        prog="python -m tools.bump_check",
        description="Measure the same cases on two trees in turn, each with its own code, lock and environment, and judge what changed."
        " Other flags are those of `request`, such as --model bloom-560m, and act on both sides.",
        epilog="Exit codes: 0 PASS, 17 FAIL, 18 INCONCLUSIVE; others see `python -m runner --help`.",
    )
    described.add_argument("--base", required=True, metavar="REF", help="the branch, tag or commit to compare with")
    described.add_argument("--head", metavar="REF", help="what is compared (default: the working tree as it is now)")
    described.add_argument(
        "--cases",
        nargs="*",
        default=[],
        metavar="CASE",
        help="cases to measure (default: those that fit this host, as `make bench`)",
    )
    described.add_argument(
        "--launches",
        type=_positive,
        default=LAUNCHES,
        metavar="N",
        help="launches of each side and case (default: %(default)s)",
    )
    described.add_argument(
        "--fail-on",
        metavar="WORDS",
        help="what ends with 17 or 18: a comma list of counts, slower, faster, changed and inconclusive (default:"
        f" {verdicts.FAIL_ON_CPU} on a CPU, {verdicts.FAIL_ON_ACCELERATOR} on an accelerator)",
    )
    described.add_argument(
        "--margin", metavar="MARGIN", help="the change of time that does not matter, as `compare` takes it"
    )
    described.add_argument(
        "--judge-cpu", action="store_true", help="judge the times of a CPU too, which are only shown otherwise"
    )
    described.add_argument(
        "--device", metavar="DEVICE", help="as `make bench DEVICE=...`: look for cases of this kind alone"
    )
    described.add_argument("--model-dir", metavar="FOLDER", help="a folder of real weights, for both sides")
    described.add_argument(
        "--no-emulation", action="store_true", help="leave out the Gaudi stacks under the emulated chip"
    )
    described.add_argument(
        "--bisect",
        action="store_true",
        help="where head is CHANGED, measure trees between base and head, and name the moved pins that changed it",
    )
    described.add_argument(
        "--bisect-most",
        type=_positive,
        default=search.MOST_MEASUREMENTS,
        metavar="N",
        help="measure at most N trees between (default: %(default)s)",
    )
    described.add_argument(
        "--fresh", action="store_true", help="measure anew what an earlier run of the same two trees measured"
    )
    described.add_argument(
        "--out", default=FOLDER, metavar="FOLDER", type=Path, help="where everything goes (default: build/bump-check)"
    )
    return described


def run(options: argparse.Namespace, request_flags: Sequence[str], root: Path = paths.ROOT) -> int:
    """Measure, judge, and write comment.md and verdict.json. Return the exit code of the verdict; raise the errors of what it calls."""
    _refuse_wrong(options, request_flags)
    out = options.out.resolve()
    with _alone(out) as lock:
        for name in ("comment.md", "verdict.json"):
            # what an earlier run said is no word on these trees
            (out / name).unlink(missing_ok=True)
        trees.sweep(out / "trees")
        check = _look(options, request_flags, out, root, lock)
        try:
            found = _measured(check)
        except SideFailed as failed:
            _show(f"{failed.side}: {failed.problem}")
            nothing = _nothing(options)
            found = _found(check, verdicts.of_failed_side(failed.side, failed.problem, nothing.fail_on), nothing)
        writing.write_text(out / "comment.md", comment.markdown(found))
        writing.write_text(out / "verdict.json", comment.verdict_json(found))
    print(f"{found.verdict.word}: {printable(mask(found.verdict.reasons[0]), 400)}")
    if found.attribution is not None:
        print(printable(mask(comment.said_of(found.attribution)), 2000))
    print(paths.shown(out / "comment.md"))
    print(paths.shown(out / "verdict.json"))
    return found.verdict.exit_code


@dataclass(frozen=True)
class _Check:
    """What is compared: both trees, both sides in words, the pins that moved, the files that differ, and what was asked.

    ``uncommitted`` are the files of the head that no commit holds as they are. ``lock`` is the file descriptor that keeps other checks out.
    """

    options: argparse.Namespace
    request_flags: tuple[str, ...]
    out: Path
    base_tree: Path
    head_tree: Path
    base: Described
    head: Described
    moved: tuple[MovedPin, ...]
    changed_files: tuple[str, ...]
    uncommitted: tuple[str, ...]
    lock: int


@dataclass(frozen=True)
class _Seen:
    """What was measured and judged; all empty where a side could not be measured."""

    cases: tuple[str, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    compared: Compared = field(default_factory=lambda: Compared([], "", None))
    emulated: tuple[Emulated, ...] = ()
    kinds: tuple[str, ...] = ()
    fail_on: str = verdicts.FAIL_ON_CPU
    not_measured: tuple[str, ...] = ()
    attribution: Attribution | str | None = None
    differing: tuple[DifferingField, ...] = ()


def _nothing(options: argparse.Namespace) -> _Seen:
    """Return what was measured where a side cannot be measured."""
    return _Seen(
        fail_on=options.fail_on or verdicts.FAIL_ON_CPU, not_measured=("everything: a side cannot be measured",)
    )


def _refuse_wrong(options: argparse.Namespace, request_flags: Sequence[str]) -> None:
    """Raise ``UsageError`` for what the parser takes and nobody can mean."""
    if options.fail_on is not None:
        verdicts.words(options.fail_on)
    if options.margin is not None:
        try:
            run_changes.margin(options.margin, catalogs.read().margins)
        except ValueError as problem:
            raise UsageError(f"--margin: {problem}.") from None
    if request_flags and not request_flags[0].startswith("-"):
        raise UsageError(
            f"{printable(request_flags[0], 100)} belongs to no flag. Name cases behind --cases (CASES of make)."
        )
    _refuse_unknown(request_flags)


def _refuse_unknown(request_flags: Sequence[str]) -> None:
    """Raise ``UsageError`` for flags that ``request`` of this code does not take, and name the nearest known flag."""
    asked, said = request.parser(), io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            _, unknown = asked.parse_known_args(list(request_flags))
    # argparse ends the process for a value that a flag does not take, and prints the reason behind the usage
    except SystemExit:
        reason = printable(said.getvalue().strip().splitlines()[-1].rpartition(" error: ")[2], 300)
        raise UsageError(f"request takes no such flags: {reason}. See `python -m runner request --help`.") from None
    for flag in (word.partition("=")[0] for word in unknown):
        known = [each for described in (parser(), asked) for each in described._option_string_actions]
        near = difflib.get_close_matches(flag, known, 1)
        advice = f"Did you mean {near[0]}?" if near else "See `make bump-check ARGS=--help`."
        raise UsageError(f"bump-check and request know no {printable(flag, 100)}. {advice}")


def _look(options: argparse.Namespace, request_flags: Sequence[str], out: Path, root: Path, lock: int) -> _Check:
    """Export both trees, and say what they are."""
    base = trees.commit(options.base, root)
    head = None if options.head is None else trees.commit(options.head, root)
    head_tree = trees.working_tree(out / "trees", root) if head is None else head.tree
    described = _described(base, base.tree, root), _described(head, head_tree, root)
    exported = trees.export(base.tree, out / "trees", root), trees.export(head_tree, out / "trees", root)
    pins = moved.between_trees(*exported)
    for name, side in zip((BASE, HEAD), described, strict=True):
        _show(f"{name} is {comment.said(side)}")
    if options.head is not None and trees.uncommitted(root):
        _show("files that are not committed are left out: --head names a commit")
    _show(moved.summary(pins))
    if exported[0] == exported[1]:
        _show(comment.SAME_TREE)
    if request_flags:
        _show(f"the cases are measured with {shlex.join(request_flags)}, not as the catalog has them")
    changed = trees.changed(base.tree, head_tree, out / "trees", root)
    uncommitted = trees.uncommitted(root) if options.head is None else []
    return _Check(
        options, tuple(request_flags), out, *exported, *described, tuple(pins), tuple(changed), tuple(uncommitted), lock
    )


def _measured(check: _Check) -> Found:
    """Measure both sides, and judge them. Raises ``SideFailed`` where a side cannot be measured at all."""
    options, out = check.options, check.out
    base, head = _side(BASE, check.base_tree), _side(HEAD, check.head_tree)
    weights = ("--model-dir", str(Path(options.model_dir).resolve())) if options.model_dir else ()
    host_flags = (*(("--device", options.device) if options.device else ()), *weights)
    chosen = cases.choose((base, head), options.cases, host_flags, check.request_flags, out)
    for sentence in chosen.left_out:
        _show(f"left out: {sentence}")
    folder = out / "launches" / _key(check)
    if options.fresh:
        launches.forget(folder)
    flags = (*chosen.flags, *check.request_flags)
    bench_flags = (*weights, *([] if chosen.in_images else launches.operators((base, head))))
    measured = launches.measure(
        (base, head),
        chosen.cases,
        options.launches,
        folder,
        _show,
        flags,
        bench_flags,
        in_images=chosen.in_images,
        prepared=lambda kinds: _warn_of_times_alone(options, kinds),
        keep_open=(check.lock,),
    )
    differing = [
        each for case in chosen.cases for each in requests.differing(case, measured.requests.get(case, {}), BASE, HEAD)
    ]
    if differing:
        _show(f"the two sides ask for something else: {requests.said(differing)}")
    on_cpu = set(measured.kinds.values()) <= {"cpu"}
    fail_on = options.fail_on or (verdicts.FAIL_ON_CPU if on_cpu else verdicts.FAIL_ON_ACCELERATOR)
    rule = [*(("--margin", options.margin) if options.margin else ()), *(("--judge-cpu",) if options.judge_cpu else ())]
    compared = verdicts.compare(head, measured, BASE, folder, fail_on, rule)
    attribution = None
    if options.bisect:
        asked = bisect.Asked(
            request_flags=flags,
            bench_flags=bench_flags,
            compare_flags=tuple(rule),
            fail_on=fail_on,
            launches=options.launches,
            most=options.bisect_most,
            folder=folder / "between",
            in_images=chosen.in_images,
            keep_open=(check.lock,),
        )
        attribution = _attribution(base, head, measured, compared, asked)
    unasked = []
    if chosen.in_images:
        unasked.append("operators: a launch in an image records none")
    elif launches.OPERATORS not in bench_flags:
        unasked.append("operators: the bench of a side does not know --operators, so neither side recorded them")
    stacks, unseen = _emulated(options, base, head)
    not_measured = [*chosen.left_out, *measured.left_out, *unasked, *unseen]
    if on_cpu and not options.judge_cpu:
        so = f", so that no change fails by --fail-on {fail_on}" if verdicts.fails_by_times_alone(fail_on) else ""
        not_measured.append(f"times: on a CPU they are shown and not judged{so}")
    seen = _Seen(
        cases=chosen.cases,
        outcomes=measured.outcomes,
        compared=compared,
        emulated=tuple(stacks),
        kinds=tuple(measured.kinds.values()),
        fail_on=fail_on,
        not_measured=tuple(not_measured),
        attribution=attribution,
        differing=tuple(differing),
    )
    return _found(check, verdicts.judge(compared, measured, stacks, fail_on), seen)


def _warn_of_times_alone(options: argparse.Namespace, kinds: Collection[str]) -> None:
    """Say before the first launch that --fail-on names nothing which can fail here."""
    if options.fail_on is None or options.judge_cpu or set(kinds) != {"cpu"}:
        return
    if verdicts.fails_by_times_alone(options.fail_on):
        _show(
            f"--fail-on {options.fail_on} names times alone, and on a CPU times are not judged: no change can fail here."
            " Name counts too, or judge times with --judge-cpu"
        )


def _found(check: _Check, verdict: Verdict, seen: _Seen) -> Found:
    return Found(
        verdict=verdict,
        base=check.base,
        head=check.head,
        cases=seen.cases,
        asked_launches=check.options.launches,
        outcomes=seen.outcomes,
        moved=check.moved,
        changes=tuple(seen.compared.changes),
        table=seen.compared.markdown,
        emulated=seen.emulated,
        host=comment.host(seen.kinds, _cores()),
        fail_on=seen.fail_on,
        not_measured=seen.not_measured,
        repeat=_repeat(check, seen.cases),
        attribution=seen.attribution,
        differing=seen.differing,
        changed_files=check.changed_files,
        uncommitted=check.uncommitted,
        request_flags=check.request_flags,
    )


def _attribution(
    base: Side, head: Side, measured: Measured, compared: Compared, asked: bisect.Asked
) -> Attribution | str:
    """Return which pins changed it, or the sentence that says why nothing can be said."""
    try:
        found = bisect.attribute(base, head, measured, compared, asked, _show)
    except Interrupted:
        raise
    except KitError as problem:
        return str(problem)
    return found or "Nothing is CHANGED, so nothing is attributed to a pin."


def _side(name: str, tree: Path) -> Side:
    """Return a side with its environment. Raises ``SideFailed`` where the environment cannot be made."""
    try:
        return Side(name, tree, environments.make(tree, _show))
    except KitError as problem:
        raise SideFailed(name, problem) from None


def _described(commit: Commit | None, tree: str, root: Path) -> Described:
    if commit is None:
        last = trees.commit("HEAD", root)
        return Described(None, last.commit, tree, last.subject, len(trees.uncommitted(root)))
    return Described(commit.ref, commit.commit, tree, commit.subject, 0)


def _emulated(options: argparse.Namespace, base: Side, head: Side) -> tuple[list[Emulated], list[str]]:
    """Return what the emulated chip told of the Gaudi stacks whose rows differ, and sentences for what was not looked at."""
    pairs = emulated.pairs(moved.lock_text(base.tree), moved.lock_text(head.tree))
    if not pairs:
        return [], ["Gaudi stacks: their rows are the same in both locks, so they were not run under the emulated chip"]
    if options.no_emulation:
        return [], [
            f"the Gaudi stacks {', '.join(pair.after for pair in pairs)}: --no-emulation leaves them out, and their rows differ"
        ]
    return [emulated.compare(pair, base, head, _show) for pair in pairs], []


def _key(check: _Check) -> str:
    """Return the name of the folder of two trees' launches; what changes the cases makes it another folder."""
    changes = " ".join([check.options.device or "", check.options.model_dir or "", *check.request_flags]).strip()
    parts = [
        check.base_tree.name[:12],
        check.head_tree.name[:12],
        *([environments.sha256(changes)[:8]] if changes else []),
    ]
    return "-".join(parts)


def _repeat(check: _Check, named: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return the commands that measure the same again, from a clone."""
    options, head = check.options, check.head
    words = ["--launches", str(options.launches)]
    for flag, value in (("--fail-on", options.fail_on), ("--margin", options.margin), ("--device", options.device)):
        words += [flag, value] if value else []
    words += ["--model-dir", options.model_dir] if options.model_dir else []
    words += ["--judge-cpu"] if options.judge_cpu else []
    words += ["--no-emulation"] if options.no_emulation else []
    words += ["--bisect", "--bisect-most", str(options.bisect_most)] if options.bisect else []
    words += check.request_flags
    checkout = (
        ()
        if head.uncommitted or (head.ref is None and head.commit is None)
        else (("git", "checkout", str(head.commit)),)
    )
    chosen = (f"CASES={' '.join(named)}",) if named else ()
    return (*checkout, ("make", "bump-check", f"BASE={check.base.commit}", *chosen, f"ARGS={shlex.join(words)}"))


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[int]:
    """Keep a second bump check out of the same folder. Raises ``UsageError`` where one runs.

    The file descriptor of the lock is yielded: a launch that inherits it holds the lock even after this process was killed.
    """
    out.mkdir(parents=True, exist_ok=True)
    with (out / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"Another bump check runs in {out}, or a launch of one that was killed. Wait for it, or name another folder with --out."
            ) from None
        yield lock.fileno()


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 1000):
        raise argparse.ArgumentTypeError(f"{printable(text, 60)!r} is no number of launches from 1 to 1000")
    return int(text)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _show(text: str) -> None:
    print(f"bump-check: {printable(mask(text))}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
