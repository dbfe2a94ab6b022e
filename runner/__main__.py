"""The only entry: ``python -m runner VERB``. Verbs of ``runner.bench`` run in containers too, those of ``runner.host`` never."""

from __future__ import annotations

import sys

try:
    import argparse
    import importlib
    import importlib.util
    import os
    import shlex
    import tempfile
    import traceback
    from pathlib import Path

    from runner import __version__ as version
    from runner.contract import secrets, streams
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

# Each verb's module offers main(arguments) -> exit code. An image holds no runner.host.
VERBS = {
    "request": ("runner.host.verbs.request", "fill in every pin of a case and write its request"),
    "render": ("runner.host.verbs.render", "write the Kubernetes manifests of the cases"),
    "prefetch": ("runner.bench.pods.prefetch", "fetch the weights of requests into a folder"),
    "reach": ("runner.bench.pods.reach", "wait until every host of a hostfile can be spoken to"),
    "sshd": ("runner.bench.pods.sshd", "let the first host of a hostfile start ranks here"),
    "bench": ("runner.bench.parent.bench", "run requests here and write results"),
    "submit": ("runner.host.verbs.submit", "put rendered Jobs into a cluster and follow them to their results"),
    "follow": ("runner.host.verbs.follow", "come back to runs in a cluster"),
    "cancel": ("runner.host.verbs.cancel", "delete runs from a cluster"),
    "frames": ("runner.bench.pods.frames", "print results of a folder into a log, for collect"),
    "collect": ("runner.host.verbs.collect", "take results out of logs"),
    "compare": ("runner.host.verbs.compare", "set results beside the published numbers, or run against run"),
    "claims": ("runner.host.verbs.claims", "print the published numbers and what is known for and against them"),
    "lock": ("runner.host.verbs.lock", "resolve what versions.lock leaves open, or check it"),
    "image": ("runner.host.verbs.image", "build the image of a stack from what versions.lock pins"),
}


def main(arguments: list[str]) -> int:
    """Run one verb and return its exit code; whatever ends the verb becomes one sentence on standard error."""
    with streams.guarded() as (output, errors):
        status = _status_of(arguments)
        output.flush()
        if output.problem is not None:
            lost = OutputLost(
                f"{output.name} could not take all that was printed: {output.problem.strerror}. Run the command again with"
                " another standard output to see the rest."
            )
            print(f"runner: {lost}", file=sys.stderr)
            status = status or lost.exit_code
        errors.flush()
        return status or (OutputLost.exit_code if errors.problem is not None else 0)


def _status_of(arguments: list[str]) -> int:
    try:
        return _run(arguments) or 0
    except KitError as error:
        print(f"runner: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("runner: stopped.", file=sys.stderr)
        return Interrupted.exit_code
    except SystemExit as ending:  # argparse has printed its sentence, or the help
        return ending.code if isinstance(ending.code, int) else UsageError.exit_code
    except ModuleNotFoundError as problem:
        if problem.name is None or problem.name.partition(".")[0] == "runner":
            return _defect(problem)
        print(
            f"runner: the package {problem.name} is not installed for {sys.executable}. Run the command with the kit's own"
            " Python: .venv/bin/python, which `make setup` makes.",
            file=sys.stderr,
        )
        return Unsupported.exit_code
    except ImportError as problem:
        if not problem.path or not _is_of_others(problem.path):
            return _defect(problem)
        print(
            f"runner: Python takes {problem.name} from {printable(problem.path, 200)}, which is not what the kit needs. Remove it,"
            " take its folder off PYTHONPATH, or start in another folder.",
            file=sys.stderr,
        )
        return Unsupported.exit_code
    except Exception as problem:
        return _defect(problem)


def _is_of_others(path: str) -> bool:
    """Return whether a file is neither the kit's, nor of this Python or its environment."""
    own = {Path(folder).resolve() for folder in (Path(__file__).parents[1], sys.prefix, sys.base_prefix)}
    return own.isdisjoint(Path(path).resolve().parents)


def _defect(problem: BaseException) -> int:
    """Say that an exception which nobody expected is a defect of the kit, keep its traceback in a file, and return the exit code."""
    lines = traceback.format_exception(type(problem), problem, problem.__traceback__)
    told = secrets.mask(f"bloomz-bench {version}, Python {sys.version}\n{shlex.join(sys.argv)}\n\n{''.join(lines)}")
    try:
        handle, path = tempfile.mkstemp(prefix="bloomz-bench-defect-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(told)
        kept = f"The traceback is kept in {path}; send it with a report."
    except OSError as refusal:  # a read-only or full disk
        print(told, file=sys.stderr)
        kept = (
            f"The traceback stands above, since no file could be written ({refusal.strerror}); send it with a report."
        )
    print(
        f"runner: this is a defect of the kit: {type(problem).__name__}: {first_line(problem)}. {kept}",
        file=sys.stderr,
    )
    return KitError.exit_code


def _run(arguments):
    parser = argparse.ArgumentParser(
        allow_abbrev=False,
        prog="python -m runner",
        description=importlib.import_module("runner").__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_epilog(),
    )
    parser.add_argument(
        "verb", choices=tuple(VERBS), metavar="VERB", help="one of the verbs below; each has its own --help"
    )
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="...", help="what the verb takes")
    if not arguments:
        parser.print_help()
        return UsageError.exit_code
    options = parser.parse_args(arguments[:1])
    module = VERBS[options.verb][0]
    if module.startswith("runner.host") and importlib.util.find_spec("runner.host") is None:
        raise UsageError(
            f"The verb {options.verb} runs outside the container; this image holds only bench. Run it from the repository."
        )
    for argument in arguments[1:]:
        # argparse of Python 3.8 to 3.12 takes such a value away, and gives an empty list (python/cpython#59317)
        if argument.startswith("--") and argument.endswith("=--"):
            raise UsageError(f"{printable(argument, 100)}: -- is no value. Name one after the =.")
    return importlib.import_module(module).main(arguments[1:])


def _epilog():
    verbs = "\n".join(f"  {verb:<10} {what}" for verb, (_, what) in VERBS.items())
    codes = "\n".join(f"  {kind.exit_code:>3}  {kind.meaning}" for kind in all_errors())
    return f"verbs, in the order of their use:\n{verbs}\n\nexit codes:\n    0  done\n{codes}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
