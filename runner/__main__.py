"""The only entry: ``python -m runner VERB``, installed as ``bloomz-bench VERB``.

Verbs of ``runner.bench`` run in containers too, verbs of ``runner.host`` never.
"""

from __future__ import annotations

import sys

try:
    import argparse
    import contextlib
    import importlib
    import importlib.util
    import json
    import os
    import shlex
    import tempfile
    import traceback
    from pathlib import Path
    from typing import ContextManager, NamedTuple

    from runner import __version__ as version
    from runner.contract import progress, secrets, streams
    from runner.contract.arguments import asks_for_json, program
    from runner.contract.errors import Interrupted, KitError, OutputLost, Unsupported, UsageError, all_errors
    from runner.contract.text import first_line, printable
except ImportError as problem:
    # Python's own library alone is needed here: a random.py in this folder stands before Python's
    sys.stderr.write(
        f"runner: Python's own library cannot be imported: {str(problem)[:300]!a}. Remove the file that it names, take its folder"
        " off PYTHONPATH, or start in another folder.\n"
    )
    # errors.Unsupported, which cannot be imported either
    sys.exit(10)


class Verb(NamedTuple):
    """A verb of the command line: the module whose ``main(arguments) -> exit code`` does the work, and a line for the help."""

    module: str
    summary: str
    group: str


_BEFORE, _HERE, _CLUSTER, _JUDGE = "look first", "measure here", "measure on a cluster", "read and judge"
_PINS, _POD, _SHELL = "pins and images", "inside a pod, called by the manifests", "the command line itself"

# An image holds no runner.host and no runner.completion.
VERBS = {
    "doctor": Verb(
        "runner.host.verbs.doctor", "say what is ready for a run and what is not, and change nothing", _BEFORE
    ),
    "devices": Verb("runner.bench.pods.devices", "say which accelerators this host has", _HERE),
    "request": Verb("runner.host.verbs.request", "fill in every pin of a case and write its request", _HERE),
    "prefetch": Verb("runner.bench.pods.prefetch", "fetch the weights of requests into a folder", _HERE),
    "bench": Verb("runner.bench.parent.bench", "run requests here and write results", _HERE),
    "run": Verb("runner.host.verbs.run", "run requests here in the images of their stacks, by podman or docker", _HERE),
    "prepare": Verb(
        "runner.host.verbs.prepare", "resolve, build, push and record what the Jobs of a set need", _CLUSTER
    ),
    "render": Verb("runner.host.verbs.render", "write the Kubernetes manifests of the cases", _CLUSTER),
    "submit": Verb(
        "runner.host.verbs.submit", "put rendered Jobs into a cluster and follow them to their results", _CLUSTER
    ),
    "follow": Verb("runner.host.verbs.follow", "come back to runs in a cluster", _CLUSTER),
    "cancel": Verb("runner.host.verbs.cancel", "delete runs from a cluster", _CLUSTER),
    "collect": Verb("runner.host.verbs.collect", "take results out of logs", _JUDGE),
    "compare": Verb(
        "runner.host.verbs.compare", "set results beside the published numbers, or run against run", _JUDGE
    ),
    "claims": Verb(
        "runner.host.verbs.claims", "print the published numbers and what is known for and against them", _JUDGE
    ),
    "report": Verb(
        "runner.host.verbs.report", "make one page of results beside the published table, with figures and data", _JUDGE
    ),
    "export": Verb("runner.host.verbs.export", "write results in the formats of other tools", _JUDGE),
    "lock": Verb("runner.host.verbs.lock", "resolve what versions.lock leaves open, or check it", _PINS),
    "bump": Verb("runner.host.verbs.bump", "list what is newer than versions.lock, move its pins, add a stack", _PINS),
    "image": Verb("runner.host.verbs.image", "build the image of a stack from what versions.lock pins", _PINS),
    "packages": Verb("runner.bench.pods.packages", "download what a stack is installed from onto a volume", _POD),
    "install": Verb("runner.bench.pods.install", "install a stack from such a volume, offline", _POD),
    "reach": Verb("runner.bench.pods.reach", "wait until every host of a hostfile can be spoken to", _POD),
    "sshd": Verb("runner.bench.pods.sshd", "let the first host of a hostfile start ranks here", _POD),
    "frames": Verb("runner.bench.pods.frames", "print results of a folder into a log, for collect", _POD),
    "completion": Verb("runner.completion", "print what a shell needs to complete verbs and flags", _SHELL),
}


def console() -> None:
    """Run the command ``bloomz-bench``, which an installation puts on the path, and end the process with its exit code."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: list[str]) -> int:
    """Run one verb and return its exit code; whatever ends the verb becomes one sentence on standard error."""
    with streams.guarded() as (output, errors):
        with _display(errors, arguments):
            status = _status_of(arguments)
        output.flush()
        if output.problem is not None:
            lost = OutputLost(
                f"{output.name} could not take all that was printed: {output.problem.strerror}. Run the command again with"
                " another standard output to see the rest."
            )
            _print_error(lost, asks_for_json(arguments))
            status = status or lost.exit_code
        errors.flush()
        return status or (OutputLost.exit_code if errors.problem is not None else 0)


def _display(errors: streams.Output, arguments: list[str]) -> ContextManager[None]:
    """Have long work drawn as bars where standard error is a terminal and rich is installed; else long work prints lines."""
    if not errors.takes_live_lines(os.environ) or asks_for_json(arguments):
        return contextlib.nullcontext()
    # an image holds no runner.display, and no rich
    if any(importlib.util.find_spec(name) is None for name in ("rich", "runner.display")):
        return contextlib.nullcontext()
    return progress.shown_by(lambda: importlib.import_module("runner.display").opened(errors))


def _status_of(arguments: list[str]) -> int:
    try:
        return _run(arguments) or 0
    except KitError as error:
        return _print_error(error, asks_for_json(arguments))
    except KeyboardInterrupt:
        return _print_error(Interrupted("stopped."), asks_for_json(arguments))
    # argparse has printed its sentence, or the help
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else UsageError.exit_code
    except ModuleNotFoundError as problem:
        if problem.name is None or problem.name.partition(".")[0] == "runner":
            return _defect(problem)
        missing = Unsupported(
            f"the package {problem.name} is not installed for {sys.executable}. Run the command with the kit's own"
            " Python: .venv/bin/python, which `make setup` makes."
        )
        return _print_error(missing, asks_for_json(arguments))
    except ImportError as problem:
        if not problem.path or not _is_of_others(problem.path):
            return _defect(problem)
        foreign = Unsupported(
            f"Python takes {problem.name} from {printable(problem.path, 200)}, which is not what the kit needs. Remove it,"
            " take its folder off PYTHONPATH, or start in another folder."
        )
        return _print_error(foreign, asks_for_json(arguments))
    except Exception as problem:
        return _defect(problem)


def _print_error(error: KitError, as_json: bool) -> int:
    """Print an error on standard error, as a sentence or as a JSON object, and return its exit code."""
    if as_json:
        facts = {"event": "error", "error": type(error).__name__, "exit_code": error.exit_code, "message": str(error)}
        # ASCII alone: a character that no stream may get would stand in a form that is no JSON
        print(json.dumps(secrets.mask_json(facts)), file=sys.stderr)
    else:
        print(f"runner: {error}", file=sys.stderr)
    return error.exit_code


def _is_of_others(path: str) -> bool:
    """Return whether a file is neither the kit's, nor of this Python or its environment."""
    own_folders = {Path(folder).resolve() for folder in (Path(__file__).parents[1], sys.prefix, sys.base_prefix)}
    return own_folders.isdisjoint(Path(path).resolve().parents)


def _defect(problem: BaseException) -> int:
    """Say that an exception which nobody expected is a defect of the kit, keep its traceback in a file, and return the exit code."""
    lines = traceback.format_exception(type(problem), problem, problem.__traceback__)
    report = secrets.mask(f"bloomz-bench {version}, Python {sys.version}\n{shlex.join(sys.argv)}\n\n{''.join(lines)}")
    try:
        handle, path = tempfile.mkstemp(prefix="bloomz-bench-defect-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(report)
        kept = f"The traceback is kept in {path}; send it with a report."
    # a read-only or full disk
    except OSError as refusal:
        print(report, file=sys.stderr)
        kept = (
            f"The traceback stands above, since no file could be written ({refusal.strerror}); send it with a report."
        )
    print(
        f"runner: this is a defect of the kit: {type(problem).__name__}: {first_line(problem)}. {kept}",
        file=sys.stderr,
    )
    return KitError.exit_code


def _run(arguments: list[str]) -> int | None:
    parser = argparse.ArgumentParser(
        allow_abbrev=False,
        prog=program(),
        description="Measure the published inference latencies of BLOOMZ on Gaudi2, Gaudi and A100 again, and say whether they hold.\n"
        "A first look, without an accelerator: `make bench` in a clone. The published numbers: the verb claims.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_epilog(),
    )
    parser.add_argument(
        "verb", choices=tuple(VERBS), metavar="VERB", help="one of the verbs below; each has its own --help"
    )
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="...", help="what the verb takes")
    parser.add_argument("--version", action="version", version=f"bloomz-bench {version}")
    if not arguments:
        parser.print_help()
        return UsageError.exit_code
    options = parser.parse_args(arguments[:1])
    module = VERBS[options.verb].module
    if importlib.util.find_spec(".".join(module.split(".")[:2])) is None:
        raise UsageError(
            f"The verb {options.verb} runs outside the container; this image holds only bench. Run it from the repository."
        )
    for argument in arguments[1:]:
        # argparse of Python 3.8 to 3.12 takes such a value away, and gives an empty list (python/cpython#59317)
        if argument.startswith("--") and argument.endswith("=--"):
            raise UsageError(f"{printable(argument, 100)}: -- is no value. Name one after the =.")
    return importlib.import_module(module).main(arguments[1:])


def _epilog() -> str:
    groups: dict[str, list[str]] = {}
    for name, verb in VERBS.items():
        groups.setdefault(verb.group, []).append(f"    {name:<10} {verb.summary}")
    verbs = "\n".join("\n".join([f"  {group}:", *lines]) for group, lines in groups.items())
    codes = "\n".join(f"  {kind.exit_code:>3}  {kind.meaning}" for kind in all_errors())
    return f"verbs, in the order of their use:\n{verbs}\n\nexit codes:\n    0  done\n{codes}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
