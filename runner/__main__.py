"""The only entry: ``python -m runner VERB``. Verbs of ``runner.bench`` run in containers too, those of ``runner.host`` never."""

import argparse
import importlib
import importlib.util
import sys

from runner.contract.errors import Interrupted, KitError, UsageError, all_errors

# Each verb's module offers main(arguments) -> exit code. An image holds no runner.host.
VERBS = {
    "request": ("runner.host.request", "fill in every pin of a case and write its request"),
    "render": ("runner.host.render", "write the Kubernetes manifests of the cases"),
    "prefetch": ("runner.bench.prefetch", "fetch the weights of requests into a folder"),
    "reach": ("runner.bench.reach", "wait until every host of a hostfile can be spoken to"),
    "sshd": ("runner.bench.sshd", "let the first host of a hostfile start ranks here"),
    "bench": ("runner.bench.cli", "run requests here and write results"),
    "submit": ("runner.host.submit", "put rendered Jobs into a cluster and follow them to their results"),
    "follow": ("runner.host.follow", "come back to runs in a cluster"),
    "cancel": ("runner.host.cancel", "delete runs from a cluster"),
    "frames": ("runner.bench.frames", "print results of a folder into a log, for collect"),
    "collect": ("runner.host.collect", "take results out of logs"),
    "compare": ("runner.host.compare", "set results beside the published numbers, or run against run"),
    "claims": ("runner.host.claims", "print the published numbers and what is known for and against them"),
    "lock": ("runner.host.lock", "resolve what versions.lock leaves open, or check it"),
    "image": ("runner.host.image", "build the image of a stack from what versions.lock pins"),
}


def main(arguments):
    """Run one verb and return its exit code; a ``KitError`` becomes one sentence on standard error."""
    try:
        return _run(arguments)
    except KitError as error:
        print(f"runner: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("runner: stopped.", file=sys.stderr)
        return Interrupted.exit_code


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
    return importlib.import_module(module).main(arguments[1:])


def _epilog():
    verbs = "\n".join(f"  {verb:<10} {what}" for verb, (_, what) in VERBS.items())
    codes = "\n".join(f"  {kind.exit_code:>3}  {kind.meaning}" for kind in all_errors())
    return f"verbs, in the order of their use:\n{verbs}\n\nexit codes:\n    0  done\n{codes}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
