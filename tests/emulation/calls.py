"""``python -m tests.emulation.calls STACK``: run a stack under its stand-in for the chip, and tell its tokens and its calls as JSON.

A Gaudi stack runs over the stand-in of this folder, cuda-2023 over that of tests/injection. What today's GPUs run, the engine
compiled, runs on the CPU here, as it is; so does the CPU's own stack. What is told holds names and shapes alone, no address, no time:
two runs of one stack print the same bytes. So a byte that differs between two trees is a change, which ``make bump-check`` looks for.
"""

from __future__ import annotations

import argparse
import collections
import importlib.metadata
import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypedDict

from runner.bench import engines
from runner.contract import strictjson
from runner.contract.errors import InputError, KitError, LaunchFailed
from runner.contract.records import JsonObject
from runner.contract.request import ENGINES, Request, read_request
from runner.contract.text import printable
from runner.host.readers import lockfile
from runner.host.results import result_files
from tests.emulation import drive, events, reference, runs
from tests.injection import runs as injected
from tests.stacks import build

SCHEMA = "1"

# New tokens of the call whose operators are told: the prompt's pass, and enough others to see that they are alike.
WATCHED_TOKENS = 8
OPERATORS = Path(__file__).parents[1] / "support" / "operators.py"
PROMPT_TOKENS = 7

# A repeated block of a sequence is looked for up to this length.
LONGEST_BLOCK = 64

SeenBy = Literal["torch's dispatcher", "torch's profiler", "the stand-in for DeepSpeed's kernels"]
Show = Callable[[str], object]


class Tokens(TypedDict):
    """The new tokens of a row: the sha256 of the row's ids, and whether plain greedy decoding gives the same ids."""

    new_tokens: int
    sha256: str
    equal_plain: bool


class Block(TypedDict):
    """Calls in order, and how many times the whole of them comes."""

    times: int
    calls: list[str]


class Operators(TypedDict):
    """The operators of one call of generate that makes ``new_tokens``.

    ``times`` counts each name. ``sequences`` holds the distinct orders of operators within a forward pass, each with the shapes; ``passes``
    names, for what comes before the first pass and for each pass, its place in ``sequences``.
    """

    seen_by: SeenBy
    new_tokens: int
    times: dict[str, int]
    passes: list[int]
    sequences: list[list[str]]


class _Seen(TypedDict):
    """The observed parts of ``Calls``. ``packages`` has each package of the lock's row: what ran, None where none is installed.

    ``engine`` is the kit's, ``engine_observed`` what the launch says that ran. ``forward_calls`` are the passes of one instrumented
    call, ``graph_builds`` the graphs that all calls of generate in one launch made.
    ``first_generate`` and ``generate`` are what rank 0 asked of the device in the first call and in a timed call; empty where nothing
    notes calls to the device.
    """

    engine: str
    engine_observed: str
    python: str
    packages: dict[str, str | None]
    stood_in: dict[str, str]
    tokens: Tokens
    forward_calls: int
    graph_builds: int
    first_generate: list[Block]
    generate: list[Block]
    operators: Operators


class Calls(_Seen):
    """What one stack did."""

    schema: str
    stack: str
    ranks: int


def names() -> list[str]:
    """Return the stacks that can run without their chip, in the order of the lock."""
    return [name for name in lockfile.read().stacks if name in build.names() or name in ("cuda", "cpu")]


def observe(stack: str, ranks: int = 1, engine: str | None = None, show: Show = lambda text: None) -> Calls:
    """Run a stack, with ``ranks`` ranks, and return what it did. ``engine`` is another one than the stack's own, of the CPU alone.

    Raises ``InputError`` for a stack that is not run here, ``Unreachable`` where its environment cannot be built, ``LaunchFailed``
    where it does not run to its end.
    """
    if stack not in names():
        raise InputError(f"{stack} is no stack that runs without its chip. Take one of {', '.join(names())}.")
    if engine is not None and stack != "cpu":
        raise InputError(f"Only the stack cpu runs with several engines. Leave --engine {engine} out for {stack}.")
    if stack in build.names("hpu"):
        seen = _of_gaudi(stack, ranks, show)
    elif stack == injected.STACK:
        seen = _of_2023(ranks, show)
    else:
        seen = _of_here(stack, engine or ("compiled" if stack == "cuda" else "plain"), ranks, show)
    return {
        "schema": SCHEMA,
        "stack": stack,
        "ranks": ranks,
        **seen,
    }


def folded(calls: Sequence[str]) -> list[Block]:
    """Return calls with each repeated run of a block told once; the calls of the blocks, repeated in order, are ``calls`` again."""
    blocks: list[Block] = []
    place = 0
    while place < len(calls):
        best = (1, 1)
        for length in range(1, min(LONGEST_BLOCK, (len(calls) - place) // 2) + 1):
            times = _times(calls, place, length)
            if times > 1 and times * length > best[0] * best[1]:
                best = (times, length)
        times, length = best
        block = list(calls[place : place + length])
        if times == 1 and blocks and blocks[-1]["times"] == 1:
            blocks[-1]["calls"] += block
        else:
            blocks.append({"times": times, "calls": block})
        place += times * length
    return blocks


def _times(calls: Sequence[str], place: int, length: int) -> int:
    """Return how many times the block of ``length`` calls at ``place`` follows upon itself, the first one counted."""
    block, times = calls[place : place + length], 1
    while calls[place + times * length : place + (times + 1) * length] == block:
        times += 1
    return times


def unfolded(blocks: Iterable[Block]) -> list[str]:
    """Return the calls that ``folded`` made blocks of."""
    return [call for block in blocks for _ in range(block["times"]) for call in block["calls"]]


def counted(seen: Calls) -> dict[str, int]:
    """Return how many times each kind of call comes in one generate: what the device was asked for, and the operators of torch.

    A kind is a name without shapes.
    """
    kinds = collections.Counter(f"device::{call.split(' ')[0]}" for call in unfolded(seen["generate"]))
    return {**dict(sorted(kinds.items())), **seen["operators"]["times"]}


def _told(event: JsonObject) -> str:
    """Return an event of the stand-in's trace in one line: its kind, and its facts by name."""
    facts = " ".join(
        f"{name}={json.dumps(value)}" for name, value in sorted(event.items()) if name not in ("event", "in_capture")
    )
    inside = "in-capture-" if event.get("in_capture") else ""
    return f"{inside}{event['event']} {facts}".strip()


def _operators(seen_by: SeenBy, new_tokens: int, passes: Sequence[Sequence[str]]) -> Operators:
    distinct = list(dict.fromkeys(map(tuple, passes)))
    times = collections.Counter(call.split(" [")[0] for one in passes for call in one)
    return {
        "seen_by": seen_by,
        "new_tokens": new_tokens,
        "times": dict(sorted(times.items())),
        "passes": [distinct.index(tuple(one)) for one in passes],
        "sequences": [list(one) for one in distinct],
    }


def _watched(
    interpreter: Path, asked: Request, stand_in: bool, graph_builds: Callable[[int], int]
) -> tuple[Operators, int]:
    """Run operators.py over a request; return what rank 0 saw, and the graphs of the launch."""
    short = replace(asked, workload=replace(asked.workload, output_tokens=WATCHED_TOKENS))
    launcher = engines.load(asked.engine).launcher(asked.stack, asked.devices)
    with tempfile.TemporaryDirectory(prefix="bloomz-bench-") as folder:
        path = Path(folder, "request.json")
        path.write_text(strictjson.pretty(short.to_json()))
        seen = _run(
            asked.stack.name,
            lambda: drive.run(interpreter, OPERATORS, [path], (launcher, asked.devices), stand_in)[0],
        )
    return _operators(seen["seen_by"], WATCHED_TOKENS, seen["passes"]), graph_builds(seen["graphs"])


def _run(stack: str, act: Callable[[], JsonObject]) -> JsonObject:
    """Return what ``act`` returns. Raises ``LaunchFailed`` with the last line of a program that failed."""
    try:
        return act()
    except (AssertionError, subprocess.TimeoutExpired) as problem:
        last = printable(str(problem).strip().splitlines()[-1], 300)
        raise LaunchFailed(
            f"{stack} did not run to its end: {last}. Run `python -m tests.emulation` to see all of it."
        ) from problem


def _tokens(rows: Iterable[Sequence[int]], plain_sha256: str) -> Tokens:
    """Return the first row's tokens, and whether all rows are those of plain greedy decoding."""
    rows = list(rows)
    hashes = [strictjson.sha256_of(row) for row in rows]
    return {"new_tokens": len(rows[0]), "sha256": hashes[0], "equal_plain": set(hashes) == {plain_sha256}}


def _forward_calls(numbers: Iterable[int], stack: str) -> int:
    distinct = sorted(set(numbers))
    if len(distinct) != 1:
        raise LaunchFailed(f"{stack} made {distinct} forward passes in calls that are the same. Run it again.")
    return distinct[0]


def _of_gaudi(stack: str, ranks: int, show: Show) -> _Seen:
    folder = build.make(stack, show)
    noted, interpreter = build.describe(folder), build.python(folder)
    show(f"{stack}: the runner, {ranks} {'rank' if ranks == 1 else 'ranks'}")
    done, result, asked, trace = runs.run(interpreter, stack, ranks)
    if done.returncode != 0 or result is None:
        last = printable((done.stderr.strip().splitlines() or ["it said nothing"])[-1], 300)
        raise LaunchFailed(
            f"{stack} ended with {done.returncode}: {last}. Run `python -m tests.stacks {stack}` and try again."
        )
    (launch,) = result["launches"]
    width = PROMPT_TOKENS + asked.workload.output_tokens
    _, made = events.calls_of(trace, 1, width)
    timed = made[asked.protocol.untimed_calls + asked.protocol.timed_calls - 1]
    # the runner captures one more, for its check of the prompt's logits
    captures = sum(event["event"] == "capture" for call in made for event in call)
    show(f"{stack}: the operators of one call")
    operators, graph_builds = _watched(
        interpreter, asked, stand_in=True, graph_builds=lambda compiled: captures + compiled
    )
    packages = lockfile.read().stacks[stack].packages
    return _Seen(
        engine=asked.engine,
        engine_observed=launch["conditions"]["engine"],
        python=noted["python"],
        packages={name: noted["packages"].get(name) for name in packages},
        stood_in=noted["stand_ins"],
        tokens=_tokens(launch["tokens"]["output_ids"], reference.output_ids_sha256()),
        forward_calls=_forward_calls(launch["instrumented"]["forward_calls"], stack),
        graph_builds=graph_builds,
        first_generate=folded([_told(event) for event in made[0]]),
        generate=folded([_told(event) for event in timed]),
        operators=operators,
    )


def _of_2023(ranks: int, show: Show) -> _Seen:
    folder = build.make(injected.STACK, show)
    noted = build.describe(folder)
    show(f"{injected.STACK}: the GPU script's engine, {ranks} {'rank' if ranks == 1 else 'ranks'}")
    rank = _run(injected.STACK, lambda: injected.run(build.python(folder), ranks, 1)[0])
    (plain,) = rank["plain"]
    called = [f"kernel::{name} {json.dumps(facts)}" for name, *facts in rank["call"]]
    return _Seen(
        engine="kernel-injection",
        engine_observed=rank["raw"]["conditions"]["engine"],
        python=noted["python"],
        packages={name: noted["packages"].get(name) for name in lockfile.read().stacks[injected.STACK].packages},
        stood_in=noted["stand_ins"],
        tokens=_tokens(rank["raw"]["tokens"]["output_ids"], strictjson.sha256_of(plain)),
        forward_calls=_forward_calls(rank["raw"]["instrumented"]["forward_calls"], injected.STACK),
        graph_builds=0,
        first_generate=[],
        generate=[],
        operators=_operators(
            "the stand-in for DeepSpeed's kernels", injected.NEW, _cut(called, "kernel::allocate_workspace")
        ),
    )


def _cut(called: Iterable[str], first: str) -> list[list[str]]:
    """Return calls cut before each one named ``first``, by which a forward pass begins."""
    passes: list[list[str]] = [[]]
    for one in called:
        if one.split(" ")[0] == first:
            passes.append([])
        passes[-1].append(one)
    return passes


def _of_here(stack: str, engine: str, ranks: int, show: Show) -> _Seen:
    """Run the CPU's stack in this Python by the commands that a user gives; ``cuda`` is what its engine does on the CPU."""
    show(f"{stack}: {engine} on the CPU, {ranks} {'rank' if ranks == 1 else 'ranks'}")
    with tempfile.TemporaryDirectory(prefix="bloomz-bench-") as folder:
        case = ["cpu-1"] if ranks == 1 else ["cpu-2", "--devices", str(ranks)]
        (written,) = _runner(stack, "request", *case, "--engine", engine, "--out", folder).split()
        asked = read_request(written)
        (published,) = _runner(stack, "bench", "--results", folder, written).split()
        result, _ = result_files.read_one(Path(published))
    (launch,) = result["launches"]
    show(f"{stack}: the operators of one call")
    operators, graph_builds = _watched(
        Path(sys.executable), asked, stand_in=False, graph_builds=lambda compiled: compiled
    )
    stood_in = {"GPU": "this host's processor, in the Python of the stack cpu, where no graph is replayed"}
    return _Seen(
        engine=asked.engine,
        engine_observed=launch["conditions"]["engine"],
        python=platform.python_version(),
        packages={name: _installed(name) for name in lockfile.read().stacks[stack].packages},
        stood_in=stood_in if stack == "cuda" else {},
        tokens=_tokens(launch["tokens"]["output_ids"], reference.output_ids_sha256()),
        forward_calls=_forward_calls(launch["instrumented"]["forward_calls"], stack),
        graph_builds=graph_builds,
        first_generate=[],
        generate=[],
        operators=operators,
    )


def _runner(stack: str, *arguments: str) -> str:
    """Return what a verb of the runner printed. Raises ``LaunchFailed`` with its last line."""
    command = [sys.executable, "-m", "runner", *arguments]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", cwd=drive.ROOT)
    if done.returncode != 0:
        last = printable((done.stderr.strip().splitlines() or ["it said nothing"])[-1], 300)
        raise LaunchFailed(f"{stack}: `python -m runner {arguments[0]}` ended with {done.returncode}: {last}")
    return done.stdout


def _installed(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what a stack did, as one JSON object; return 0, or the exit code of what went wrong, which standard error says."""
    options = _parser().parse_args(arguments)
    try:
        seen = observe(
            options.stack, options.ranks, options.engine, lambda text: print(text, file=sys.stderr, flush=True)
        )
    except KitError as problem:
        print(problem, file=sys.stderr)
        return problem.exit_code
    print(json.dumps(seen, indent=2))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        allow_abbrev=False,
        prog="python -m tests.emulation.calls",
        description="Run a stack under its stand-in for the chip, and print what ran, its tokens and its calls, as one JSON object."
        " Two runs of one stack print the same bytes. An environment that is not there is built first, which takes minutes.",
        epilog="Exit codes: 0 it ran, whatever its tokens; 3 no such stack; 6 it did not run to its end; 9 it cannot be built.",
    )
    parser.add_argument("stack", metavar="STACK", help=f"one of {', '.join(names())}")
    parser.add_argument(
        "--ranks", type=int, choices=(1, 2), default=1, help="how many ranks share the model (default: 1)"
    )
    parser.add_argument("--engine", choices=ENGINES, help="of the stack cpu: another engine than plain")
    return parser


if __name__ == "__main__":
    sys.exit(main())
