"""The command line: ``python -m tools.forge pull-request|comment|check-run|issue``. It prints the number of what it made or updated.

The forge, the project and the token come from the variables that the forge sets for a job: GITHUB_API_URL, GITHUB_REPOSITORY and
GITHUB_TOKEN, or CI_API_V4_URL, CI_PROJECT_ID and BLOOMZ_BENCH_GITLAB_TOKEN.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from runner.contract import files, patterns
from runner.contract.errors import InputError, UsageError
from runner.contract.text import printable, visible
from tools import endings
from tools.forge import forges, here
from tools.forge.forges import PullRequest

# Of a text that is to be published. What a forge takes is less, and is cut there.
MAX_BODY_BYTES = 4 * 1024 * 1024


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    flags = argparse.ArgumentParser(
        prog="python -m tools.forge",
        allow_abbrev=False,
        description="Open or update a pull request, its one comment, a check run or an issue. A second call makes no second one.",
        epilog="Exit codes: 2 command line or variables, 3 a file, 7 the forge refused, 9 the forge did not answer, 130 stopped.",
    )
    flags.add_argument("--dry-run", action="store_true", help="look, and print what would be changed")
    flags.add_argument("--output", metavar="NAME", help="also append NAME=NUMBER to the file of GITHUB_OUTPUT")
    verbs = flags.add_subparsers(dest="verb", required=True)
    pull_request = verbs.add_parser("pull-request", help="open the pull request of a branch, or update the open one")
    pull_request.add_argument("--branch", required=True, help="the branch that is to be merged")
    pull_request.add_argument("--base", required=True, help="the branch that it is to go into")
    pull_request.add_argument("--title", required=True, help="one line")
    pull_request.add_argument("--body-file", required=True, type=Path, help="a file of Markdown")
    comment = verbs.add_parser(
        "comment", help="write the one comment of a pull request that has a marker, or update it"
    )
    comment.add_argument("--number", required=True, type=int, help="the number of the pull request")
    comment.add_argument("--marker", default="bump", help="what tells the kit's comments apart (default: bump)")
    comment.add_argument("--body-file", required=True, type=Path, help="a file of Markdown")
    check_run = verbs.add_parser("check-run", help="say of a commit how a check ended")
    check_run.add_argument("--name", required=True, help="what tells this check apart from others of the commit")
    check_run.add_argument("--commit", required=True, help="40 hex digits")
    check_run.add_argument("--conclusion", required=True, choices=forges.CONCLUSIONS, help="how the check ended")
    check_run.add_argument("--title", help="one line (default: name and conclusion)")
    check_run.add_argument("--summary-file", required=True, type=Path, help="a file of Markdown")
    issue = verbs.add_parser("issue", help="open the one issue that has a marker, or update the open one")
    issue.add_argument("--marker", required=True, help="what tells the kit's issues apart")
    issue.add_argument("--title", required=True, help="one line")
    issue.add_argument("--body-file", required=True, type=Path, help="a file of Markdown")
    return flags


def run(arguments: list[str], environment: Mapping[str, str]) -> int:
    """Do what the command line asks, and return the number of what was made or updated. Raises ``KitError``."""
    options = parser().parse_args(arguments)
    if options.output is not None:
        _of_form(patterns.VARIABLE, options.output, "--output")
        if not environment.get("GITHUB_OUTPUT"):
            raise UsageError("--output needs GITHUB_OUTPUT, which GitHub sets for each step.")
    forge = here.of_environment(environment, options.dry_run)
    if options.verb == "pull-request":
        branch, base = (_of_form(patterns.BRANCH, text, flag) for text, flag in
                        ((options.branch, "--branch"), (options.base, "--base")))  # fmt: skip
        number = forge.pull_request(PullRequest(branch, base, _line(options.title), _body(options.body_file)))
    elif options.verb == "comment":
        if options.number < 1:
            raise UsageError("--number must be the number of a pull request.")
        number = forge.comment(options.number, _marker(options.marker), _body(options.body_file))
    elif options.verb == "check-run":
        commit = _of_form(patterns.COMMIT, options.commit, "--commit")
        title = _line(options.title or f"{options.name}: {options.conclusion}")
        summary = _body(options.summary_file)
        number = forge.check_run(_line(options.name), commit, options.conclusion, title, summary)
    else:
        number = forge.issue(_marker(options.marker), _line(options.title), _body(options.body_file))
    if options.output is not None:
        with Path(environment["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as file:
            file.write(f"{options.output}={number}\n")
    return number


def _of_form(form: patterns.Form | patterns.FreeText, text: str, flag: str) -> str:
    wrong = patterns.problem(form, text)
    if wrong:
        raise UsageError(f"{flag} {wrong}.")
    return text


def _marker(text: str) -> str:
    # -- would end the comment of HTML that the marker stands in
    if "--" in text:
        raise UsageError("--marker must not hold two hyphens in a row.")
    return _of_form(patterns.BRANCH, text, "--marker")


def _line(text: str) -> str:
    return printable(text, forges.MAX_TITLE)


def _body(path: Path) -> str:
    raw = files.read_bytes(path, MAX_BODY_BYTES)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path} is no text in UTF-8. Make it again.") from None
    return visible(text, kept="\n\t")


def main(arguments: list[str]) -> int:
    """Run the command line; return the exit code."""

    def work() -> int:
        print(run(arguments, os.environ))
        return 0

    return endings.status_of("forge", work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
