"""Measure sides in turn: one ``bench`` process a launch, in the order A B B A A B B A, so that a drift of the host meets all sides alike.

Every launch leaves a line in a journal. A run that was stopped goes on where the journal ends; launches that failed are tried again.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from runner.contract import errors, files, signals, strictjson
from runner.contract.errors import InputError, Interrupted, KitError
from runner.contract.progress import Show
from runner.contract.request import read_request
from runner.contract.text import printable
from runner.host import paths
from runner.host.results import run_images
from tools.bump_check import environments, sides
from tools.bump_check.sides import Side

JOURNAL = "launches.jsonl"

# The folder of the results that are compared, by side.
COMPARED = "compared"

# The flag by which bench records the operators of a call.
OPERATORS = "--operators"

# The stack whose packages are those of a tree's environment.
OWN_STACK = "cpu"

# After so many failures one behind the other a side measures a case no more.
MOST_FAILURES = 2

# Seconds that a stopped bench has to keep what it measured.
_GRACE_S = 60.0

_MAX_JOURNAL_BYTES = 1 << 26


@dataclass(frozen=True)
class Outcome:
    """What became of one launch. ``number`` counts the launches of a side and case from 1.

    ``result`` is the path of the result, None where none was written; ``error`` says why the launch failed, with its exit code, None for a
    launch that was measured. ``load`` is the load average of the minute before the launch began, ``began_s`` is in Unix seconds.
    ``python`` is the Python of the side's environment, whose folder a hash of all that the environment was made from names.
    """

    case: str
    side: str
    number: int
    result: str | None
    error: str | None
    exit_code: int
    load: float
    began_s: float
    duration_s: float
    python: str = ""


@dataclass(frozen=True)
class Measured:
    """What ``measure`` did: each side's folder of results, every launch's outcome in the order of the launches, and what was left out.

    A folder of ``results`` holds the results of ``outcomes`` and no other, and is missing where a side has none. ``kinds`` maps each case
    to the kind of device that measured it. ``left_out`` are launches that were not tried, or failed in an earlier run, in sentences.
    ``requests`` maps each case to the path of each side's request, where the side could make one.
    """

    results: dict[str, Path]
    outcomes: tuple[Outcome, ...]
    kinds: dict[str, str]
    left_out: tuple[str, ...]
    requests: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def failed(self, side: str) -> list[Outcome]:
        """Return the launches of a side that failed."""
        return [each for each in self.outcomes if each.side == side and each.error is not None]


def order(names: Sequence[str], launches: int) -> Iterator[tuple[str, int]]:
    """Yield the side and the number, from 1, of each launch: A B B A A B B A, and so on for any number of sides."""
    for number in range(1, launches + 1):
        for name in names if number % 2 else reversed(names):
            yield name, number


def measure(
    measured_sides: Sequence[Side],
    cases: Sequence[str],
    launches: int,
    folder: Path,
    show: Show,
    request_flags: Sequence[str] = (),
    bench_flags: Sequence[str] = (),
    in_images: bool = False,
    prepared: Callable[[Collection[str]], None] | None = None,
    keep_open: Sequence[int] = (),
) -> Measured:
    """Measure cases on sides in turn, ``launches`` of each, and return what became of them; results go below ``folder/SIDE``.

    Each side's own code makes the requests, with ``request_flags``, and measures them, with ``bench_flags``. ``in_images`` measures in
    the images of the stacks, which each side's own code builds from its lock where they are missing. A side that fails keeps the others
    from nothing. What an earlier call with the same ``folder`` measured is not measured again.
    ``prepared`` is called before the first launch, with the kinds of the devices that measure.
    ``keep_open`` are file descriptors that each launch inherits, such as that of a lock, which so is held for as long as a launch goes on.
    Raises ``Interrupted`` for a signal; what was measured stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    by_name = {side.name: side for side in measured_sides}
    known = _known(folder, by_name)
    plans = {
        (side.name, case): _prepare(side, case, folder, show, request_flags, bench_flags, in_images)
        for case in cases
        for side in measured_sides
    }
    if prepared is not None:
        prepared({plan.kind for plan in plans.values() if isinstance(plan, _Plan)})
    planned = [(case, name, number) for case in cases for name, number in order(list(by_name), launches)]
    kept = sum(place in known for place in planned)
    if kept:
        show(f"{kept} of {len(planned)} launches were measured before, and stay")
    outcomes: list[Outcome] = []
    left_out: dict[str, int] = {}
    try:
        with signals.as_interrupt():
            for place, (case, name, number) in enumerate(planned):
                before = known.get((case, name, number))
                if before is None and _fails_for_good(outcomes, name, case):
                    left_out[f"{name}, {case}"] = left_out.get(f"{name}, {case}", 0) + 1
                    continue
                if before is None:
                    left = _time_left(outcomes, len(planned) - place)
                    show(f"launch {place + 1} of {len(planned)}: {case}, {name}, {number} of {launches}{left}")
                    before = _launch(plans[name, case], by_name[name], case, number, folder, keep_open)
                    _note(folder, before)
                    if before.error is not None:
                        show(f"{case}, {name}: {before.error}")
                outcomes.append(before)
                if before.error is None:
                    known[_place(before)] = before
    except KeyboardInterrupt:
        measured = sum(each.error is None for each in outcomes)
        raise Interrupted(
            f"Stopped. {measured} of {len(planned)} launches were measured and stay in {folder}. The same command goes on with the"
            " rest, for the same two trees."
        ) from None
    return Measured(
        {name: _gathered(folder / COMPARED / name, outcomes, name) for name in by_name},
        tuple(outcomes),
        {case: plan.kind for (_, case), plan in plans.items() if isinstance(plan, _Plan)},
        (
            *(
                f"measured at a later try: {said(each)}"
                for each in journal(folder)
                if each.error is not None and _place(each) in known
            ),
            *(
                f"{what}: {count} launch{'es' if count > 1 else ''} left out after {MOST_FAILURES} failures"
                for what, count in left_out.items()
            ),
            *(
                f"{case}: operators; a dataset has no call that another launch repeats"
                for case in cases
                if OPERATORS in bench_flags and _is_of_a_dataset(plans, case)
            ),
        ),
        {
            case: {name: plan.request for (name, of), plan in plans.items() if of == case and isinstance(plan, _Plan)}
            for case in cases
        },
    )


def _is_of_a_dataset(plans: Mapping[tuple[str, str], _Plan | KitError], case: str) -> bool:
    of_case = [plan for (_, planned), plan in plans.items() if planned == case]
    return any(isinstance(plan, _Plan) and plan.completes_a_dataset for plan in of_case)


def _gathered(target: Path, outcomes: Sequence[Outcome], side: str) -> Path:
    """Put the results of a side's launches into ``target``, and no others; return ``target``, which is missing where there are none.

    The folder that bench writes into holds more: launches that failed and were tried again, of a larger --launches, and what a killed
    bench left. Raises ``InputError`` where ``target`` cannot be written.
    """
    forget(target)
    results = dict.fromkeys(Path(each.result) for each in outcomes if each.side == side and each.result is not None)
    for path in (part for result in results for part in (result, run_images.beside(result)) if part.is_file()):
        target.mkdir(parents=True, exist_ok=True)
        try:
            (target / path.name).hardlink_to(path)
        # a file system without hard links
        except OSError:
            shutil.copyfile(path, target / path.name)
    return target


@dataclass(frozen=True)
class _Plan:
    """How a side measures a case: the command line of one launch, the kind of the device, and the path of the request.

    ``collect`` is the command line that takes the result out of the log of a container, without the log; None without a container.
    """

    command: list[str]
    kind: str
    request: str
    collect: list[str] | None = None
    completes_a_dataset: bool = False


def _prepare(
    side: Side,
    case: str,
    folder: Path,
    show: Show,
    request_flags: Sequence[str],
    bench_flags: Sequence[str],
    in_images: bool,
) -> _Plan | KitError:
    """Make a side's request of a case, and return how it is measured; or the error that keeps the side from measuring the case."""
    out, results = folder / "requests" / side.name, ["--results", str(folder / side.name), "--json"]
    try:
        if in_images:
            show(f"the image of {case} for {side.name}; one that is missing is built")
            side.run("runner", "image", "--missing", "--cases", case, *request_flags)
        where = [] if in_images else ["--no-image"]
        told = side.run(
            "runner", "request", case, "--launches", "1", *where, "--out", str(out), "--json", *request_flags
        )
        path = _path_in(told, "request")
        if path is None:
            raise InputError(f"{side.name}: `request` wrote no request of {case}.")
        request = read_request(path)
        if in_images:
            command = side.command(
                "runner", "run", path, "--runs", str(folder / "containers" / side.name), "--json", *bench_flags
            )
            return _Plan(command, request.stack.device, path, side.command("runner", "collect", *results))
        python = side.python
        if request.stack.name != OWN_STACK:
            python = environments.of_stack(side.tree, request.stack.name, side.python, show)
    except KitError as problem:
        return problem
    is_of_a_dataset = request.workload.dataset is not None
    # bench refuses to count the operators of a dataset
    flags = [flag for flag in bench_flags if not (is_of_a_dataset and flag == OPERATORS)]
    command = Side(side.name, side.tree, python).command("runner", "bench", path, *results, *flags)
    return _Plan(command, request.stack.device, path, completes_a_dataset=is_of_a_dataset)


def _launch(
    plan: _Plan | KitError, side: Side, case: str, number: int, folder: Path, keep_open: Sequence[int]
) -> Outcome:
    """Make one launch, and return what became of it. Raises ``KeyboardInterrupt`` for a signal, once the launch has ended."""
    load, began_s, started = os.getloadavg()[0], time.time(), time.monotonic()

    def outcome(result: str | None, error: str | None, exit_code: int) -> Outcome:
        duration_s = round(time.monotonic() - started, 3)
        python = str(side.python)
        return Outcome(case, side.name, number, result, error, exit_code, load, round(began_s, 3), duration_s, python)

    if isinstance(plan, KitError):
        return outcome(None, str(plan), plan.exit_code)
    log = folder / "logs" / f"{case}-{side.name}-{number}.log"
    log.parent.mkdir(exist_ok=True)
    process, told = _ran(plan.command, side, log, "wb", keep_open)
    result = _path_in(told, "result")
    if plan.collect is not None and (kept := _path_in(told, "log")) is not None:
        collected, told = _ran([*plan.collect, kept], side, log, "ab", keep_open)
        result = _path_in(told, "result")
        # what went wrong in the container comes before what its log lacks
        process = process if process.returncode else collected
    if process.returncode == Interrupted.exit_code:
        raise KeyboardInterrupt
    if process.returncode or result is None:
        said = sides.last_words(log.read_text(encoding="utf-8", errors="replace"), 500) or "it said nothing"
        by = errors.by_exit_code(process.returncode) if process.returncode > 0 else KitError
        return outcome(
            result, f"{said} (exit code {process.returncode}; {paths.shown(log)})", process.returncode or by.exit_code
        )
    return outcome(result, None, 0)


def _ran(
    command: Sequence[str], side: Side, log: Path, mode: str, keep_open: Sequence[int]
) -> tuple[subprocess.Popen[bytes], str]:
    """Run a command of a side to its end, its standard error into ``log``; return the process and what it printed."""
    with log.open(mode) as words:
        process = subprocess.Popen(
            command,
            cwd=side.tree,
            env=sides.variables(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=words,
            # Ctrl-C of a terminal would reach it beside the signal that it gets from here, and bench keeps its work at the first alone
            start_new_session=True,
            pass_fds=keep_open,
        )
        with process:
            told = _output(process)
    return process, told.decode(errors="replace")


def _output(process: subprocess.Popen[bytes]) -> bytes:
    """Return what a launch prints. At a signal the launch is asked to stop, and waited for: it keeps what it measured."""
    try:
        return process.communicate()[0]
    except KeyboardInterrupt:
        process.terminate()
        with signals.held_back() as came:
            try:
                process.communicate(timeout=_GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
            came.clear()
        raise


def refused_checks(outcome: Outcome) -> frozenset[str]:
    """Return the names of the checks that refused a launch, by its result; none where it has no result that can be read."""
    if outcome.result is None:
        return frozenset()
    try:
        launches = strictjson.read(outcome.result)["launches"]
        checks = [check for launch in launches for check in launch.get("checks", [])]
        return frozenset(check["name"] for check in checks if check["act"] == "refuse" and check["passed"] is False)
    except (KitError, LookupError, TypeError, AttributeError):
        return frozenset()


def _path_in(told: str, word: str) -> str | None:
    """Return the path of the last event of this word that a verb printed with --json."""
    path = None
    for line in told.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and event.get("event") == word and isinstance(event.get("path"), str):
            path = event["path"]
    return path


def _fails_for_good(outcomes: Sequence[Outcome], side: str, case: str) -> bool:
    mine = [each.error is not None for each in outcomes if (each.side, each.case) == (side, case)]
    return len(mine) >= MOST_FAILURES and all(mine[-MOST_FAILURES:])


def _time_left(outcomes: Sequence[Outcome], launches: int) -> str:
    """Return how long the launches that are left may take, behind a comma; no time is known before the first has ended."""
    durations = [each.duration_s for each in outcomes if each.error is None]
    if not durations:
        return "" if outcomes else "; how long all take is told after it"
    left_s = launches * sum(durations) / len(durations)
    return f", about {left_s / 60:.0f} min left" if left_s >= 90 else f", about {left_s:.0f} s left"


def _note(folder: Path, outcome: Outcome) -> None:
    with (folder / JOURNAL).open("a", encoding="utf-8") as journal:
        journal.write(json.dumps(asdict(outcome)) + "\n")
        journal.flush()
        os.fsync(journal.fileno())


def operators(measured_sides: Sequence[Side]) -> list[str]:
    """Return the flag by which ``bench`` records the operators of a call, if the bench of every side knows it."""
    try:
        known = all(OPERATORS in side.run("runner", "bench", "--help") for side in measured_sides)
    # a bench that cannot even say what it takes fails at its first launch, which is then told as such
    except KitError:
        known = False
    return [OPERATORS] if known else []


def forget(folder: Path) -> None:
    """Remove what an earlier run measured. Raises ``InputError`` where it cannot be removed."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as problem:
        raise InputError(
            f"{folder} cannot be removed: {problem.strerror}. Remove it, and run the same again."
        ) from None


def _place(outcome: Outcome) -> tuple[str, str, int]:
    return outcome.case, outcome.side, outcome.number


def _known(folder: Path, by_name: Mapping[str, Side]) -> dict[tuple[str, str, int], Outcome]:
    """Return the launches that an earlier run measured, by case, side and number.

    Their results are still there, and the side has the environment that measured them.
    """
    known = {}
    for outcome in journal(folder):
        side = by_name.get(outcome.side)
        if side is None or outcome.python != str(side.python) or outcome.error is not None:
            continue
        if outcome.result is not None and Path(outcome.result).is_file():
            known[_place(outcome)] = outcome
    return known


def journal(folder: Path) -> list[Outcome]:
    """Return all launches that the journal of a folder tells, failed ones among them; a torn or foreign line tells none."""
    path = folder / JOURNAL
    if not path.exists():
        return []
    told = []
    for line in files.read_bytes(path, _MAX_JOURNAL_BYTES).decode("utf-8", errors="replace").splitlines():
        try:
            told.append(Outcome(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return told


def said(outcome: Outcome) -> str:
    """Return in words which launch failed, and why."""
    return f"{outcome.side}, {outcome.case}, launch {outcome.number}: {printable(outcome.error or 'measured', 600)}"
