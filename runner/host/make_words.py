"""Run a module with the words of environment variables: ``python -m runner.host.make_words runner request @CASES @ARGS``.

The Makefile calls this module where a variable holds several words. An argument ``@NAME`` becomes the words of the variable NAME,
split as a shell splits them: quotes group, a backslash keeps the next character. No part of a value is run or expanded: `;`, `$(...)`,
`>` and `*` are characters of a word. Arguments behind a lone ``--`` stay as given. ``--lines`` instead of a module prints the words,
one a line.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence

from runner.contract.errors import UsageError


def command(arguments: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Return the arguments with each ``@NAME`` replaced by the words of the variable NAME, which may be unset.

    Raises ``UsageError`` for a value that cannot be split, such as one with an unclosed quotation mark.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    words: list[str] = []
    for argument in arguments[:end]:
        words += _words(argument[1:], environment) if argument.startswith("@") else [argument]
    return [*words, *arguments[end:]]


def _words(name: str, environment: Mapping[str, str]) -> list[str]:
    try:
        return shlex.split(environment.get(name, ""))
    except ValueError as problem:
        raise UsageError(
            f"{name} cannot be taken apart into words ({problem}). Close every quotation mark, and write a backslash before one"
            " that is meant as a character."
        ) from None


# os.execv at the end never returns, which ruff does not know
def main(arguments: Sequence[str]) -> int:  # noqa: RET503
    """Become the module that the arguments name, or print the words; return the exit code if no module was run."""
    try:
        module, *words = command(arguments, os.environ)
    except UsageError as error:
        print(f"make: {error}", file=sys.stderr)
        return error.exit_code
    if module == "--lines":
        print(*words, sep="\n")
        return 0
    # no shell: the words are the program's own arguments
    os.execv(sys.executable, [sys.executable, "-m", module, *words])  # noqa: S606


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
