"""The command line of the steps of workflows: ``python -m tools.workflow VERB``.

Facts for later steps and jobs are appended to the file of GITHUB_OUTPUT where there is one, and printed as NAME=VALUE where there is none.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from runner.contract import patterns
from runner.contract.errors import Changed, InputError, UsageError
from runner.contract.text import printable
from tools import endings
from tools.forge import gitlab
from tools.forge.forges import PullRequest
from tools.workflow import artefacts, base, branch, change, login, report, rows, steps, told

ROOT = Path(__file__).resolve().parents[2]
_ROW = "the row of versions.lock that is bumped, such as cpu/transformers"
_BASE = "the commit that the change applies to, 40 hex digits"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    flags = argparse.ArgumentParser(
        prog="python -m tools.workflow",
        allow_abbrev=False,
        description="What the steps of the workflows call beside make and python -m runner.",
        epilog="Exit codes: 2 command line, 3 a file, 7 a branch could not be pushed, 8 an artefact of another job is not what it must be,"
        " 9 the forge did not answer, 10 git failed, 17 a verdict is FAIL, 130 stopped. step ends with the code of its command.",
    )
    verbs = flags.add_subparsers(dest="verb", required=True)

    choose = verbs.add_parser("rows", help="choose the rows to bump; output: rows, a JSON list for a matrix")
    choose.add_argument("--from", required=True, dest="listing", type=Path, help="what `bump --json` printed")
    choose.add_argument("--row", default="", help="bump this row alone, newer or not")

    step = verbs.add_parser(
        "step", help="run a command, keep its output and exit code for the report, and end with its exit code"
    )
    step.add_argument("--name", required=True, help="what the report calls the step")
    step.add_argument("--notes", required=True, type=Path, metavar="FOLDER", help="where log and exit code are kept")
    step.add_argument("--go-on", action="store_true", help="end with 0: the report tells the exit code")
    step.add_argument("command", nargs="+", help="the command and its words, behind --")

    pack = verbs.add_parser(
        "pack", help="write what the working tree changes; output: sha256, empty where nothing changed"
    )
    pack.add_argument("--row", required=True, help=_ROW)
    pack.add_argument("--base", required=True, metavar="COMMIT", help=_BASE)
    pack.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="where the change goes")
    pack.add_argument("--must-change", action="store_true", help="end with 3 where nothing changed")

    publish = verbs.add_parser(
        "publish",
        help="for GitLab: fetch what the other jobs of the pipeline handed on, push, and open or update the pull request, its comment and"
        " the check run",
    )
    publish.add_argument("--row", required=True, help=_ROW)
    publish.add_argument("--base", required=True, metavar="COMMIT", help=_BASE)
    publish.add_argument(
        "--pipeline", required=True, type=int, metavar="NUMBER", help="the pipeline of this job, CI_PIPELINE_ID"
    )
    publish.add_argument(
        "--into", required=True, metavar="BRANCH", help="the branch that the pull request is to go into"
    )

    compared = verbs.add_parser(
        "base", help="find the commit to compare with, in a clone with its history; output: commit"
    )
    compared.add_argument("--ref", required=True, help="a commit, a tag, or a branch of the remote")
    compared.add_argument(
        "--branch-point", action="store_true", help="the commit where HEAD left the branch, as for a pull request"
    )

    for name, words in (
        ("apply", "check a change of another job, and check out its commit, which no branch has yet"),
        ("push", "check a change of another job, and push it as the branch of its row; outputs: branch, commit, title"),
    ):
        verb = verbs.add_parser(name, help=words)
        verb.add_argument("--row", required=True, help=_ROW)
        verb.add_argument("--base", required=True, metavar="COMMIT", help=_BASE)
        verb.add_argument("--change", required=True, type=Path, metavar="FOLDER", help="what pack wrote")
        verb.add_argument("--sha256", required=True, help="the output of the job that made the change")
        if name == "push":
            verb.add_argument(
                "--out", required=True, type=Path, metavar="FILE", help="where the text of the pull request goes"
            )
            verb.add_argument("--dry-run", action="store_true", help="push nothing")

    write = verbs.add_parser(
        "report", help="write the report of this job: comment.md and verdict.json; outputs: word, conclusion"
    )
    write.add_argument("--title", required=True, help="what the report is of, such as the row")
    write.add_argument(
        "--notes", required=True, type=Path, metavar="FOLDER", help="where the steps of this job are noted"
    )
    write.add_argument(
        "--bump-check",
        type=Path,
        metavar="FOLDER",
        default=ROOT / "build" / "bump-check",
        help="where bump-check left its comment and verdict (default: build/bump-check)",
    )
    write.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="where the report goes")

    take = verbs.add_parser("take", help="check the report of another job and copy it; outputs: word, conclusion")
    take.add_argument("--title", required=True, help="what the report is of, such as the row")
    take.add_argument(
        "--report", required=True, type=Path, metavar="FOLDER", help="a folder that is not there is a FAIL"
    )
    take.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="where the report goes")

    registry = verbs.add_parser("login", help="write the login at a registry, with GITHUB_TOKEN as password")
    registry.add_argument("--registry", required=True, help="its host, such as ghcr.io")
    registry.add_argument("--user", required=True, help="whose token it is")
    registry.add_argument("--file", required=True, type=Path, help="written anew, for its owner alone")

    verdict = verbs.add_parser("verdict", help="end with 17 where a report says FAIL, else with 0")
    verdict.add_argument("--report", required=True, type=Path, metavar="FOLDER", help="what report or take wrote")
    return flags


def run(arguments: list[str], environment: Mapping[str, str], root: Path = ROOT) -> int:
    """Do what the command line asks, and return the exit code. Raises ``KitError``."""
    options = parser().parse_args(arguments)
    if options.verb == "rows":
        chosen = rows.choose([] if options.row else rows.newer(options.listing), options.row)
        for line in chosen.left_out:
            print(f"left out: {line}")
        _put_out({"rows": rows.as_matrix(chosen)}, environment)
    elif options.verb == "step":
        code = steps.run(options.notes, options.name, options.command)
        return 0 if options.go_on else code
    elif options.verb == "pack":
        _commit_form(options.base)
        title, body = told.of(root, options.row, options.base)
        sha256 = change.write(root, options.out, options.row, options.base, title, body)
        if sha256 is None and options.must_change:
            raise InputError(
                f"nothing changed: {printable(options.row, 100)} is at its newest, or is held. Run `make bump` to see what is newer."
            )
        _put_out({"sha256": sha256 or ""}, environment)
    elif options.verb == "base":
        _put_out({"commit": base.commit(root, options.ref, options.branch_point)}, environment)
    elif options.verb == "apply":
        made, _ = _committed(options, root)
        change.git(root, "checkout", "--quiet", "--detach", made)
        print(f"{made} is checked out")
    elif options.verb == "push":
        name = branch.name_of(options.row)
        made, taken = _committed(options, root)
        is_new = branch.push(root, made, name, environment, options.dry_run)
        print(f"{name} is {made}" + ("" if is_new else ", as before"))
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(told.text_of(taken), encoding="utf-8")
        _put_out({"branch": name, "commit": made, "title": taken.title}, environment)
    elif options.verb == "publish":
        _publish(options, environment, root)
    elif options.verb == "report":
        _put_verdict(
            report.write(options.out, options.notes, options.bump_check, printable(options.title, 200)), environment
        )
    elif options.verb == "take":
        _put_verdict(report.take(options.report, options.out, printable(options.title, 200)), environment)
    elif options.verb == "login":
        login.write(options.file, options.registry, options.user, environment)
    else:
        found = report.read(options.report)
        if found.word == "FAIL":
            raise Changed(f"the verdict is FAIL: {'; '.join(found.reasons) or 'no reason is given'}. Read the report.")
        print(found.word)
    return 0


def _publish(options: argparse.Namespace, environment: Mapping[str, str], root: Path) -> None:
    """Do in one step what the job publish does on GitHub in several: on GitLab the steps of a job share no outputs."""
    problem = patterns.problem(patterns.BRANCH, options.into)
    if problem:
        raise UsageError(f"--into {problem}.")
    _commit_form(options.base)
    if options.pipeline < 1:
        raise UsageError("--pipeline must be the number of a pipeline. GitLab sets CI_PIPELINE_ID in every job.")
    name = branch.name_of(options.row)
    forge = gitlab.of_environment(environment, dry_run=False)
    out = root / "build" / "report"
    with tempfile.TemporaryDirectory(prefix="bloomz-bench-") as scratch:
        handed_on = artefacts.fetch(forge, options.pipeline, Path(scratch))
        verdict = report.take(handed_on.report, out, options.row)
        made, taken = branch.commit(root, handed_on.change, handed_on.sha256, options.row, options.base)
    branch.push(root, made, name, environment)
    number = forge.pull_request(PullRequest(name, options.into, taken.title, told.text_of(taken)))
    comment = (out / report.COMMENT).read_text(encoding="utf-8")
    forge.comment(number, "bump", comment)
    forge.check_run("bump", made, report.CONCLUSIONS[verdict.word], verdict.word, comment)
    print(f"{name} is {made}; its pull request is {number}; {verdict.word}")


def _committed(options: argparse.Namespace, root: Path) -> tuple[str, change.Change]:
    _commit_form(options.base)
    if patterns.problem(patterns.SHA256, options.sha256):
        raise UsageError(f"--sha256 {patterns.problem(patterns.SHA256, options.sha256)}.")
    return branch.commit(root, options.change, options.sha256, options.row, options.base)


def _commit_form(text: str) -> None:
    problem = patterns.problem(patterns.COMMIT, text)
    if problem:
        raise UsageError(f"--base {problem}.")


def _put_verdict(verdict: report.Verdict, environment: Mapping[str, str]) -> None:
    _put_out({"word": verdict.word, "conclusion": report.CONCLUSIONS[verdict.word]}, environment)


def _put_out(facts: Mapping[str, str], environment: Mapping[str, str]) -> None:
    lines = []
    for name, value in facts.items():
        # a line break would begin another output
        if re.search(r"[\r\n]", value):
            raise UsageError(f"the output {name} holds a line break. Name a row as `make bump` lists it.")
        lines.append(f"{name}={value}\n")
    path = environment.get("GITHUB_OUTPUT")
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.writelines(lines)
    print("".join(lines), end="")


def main(arguments: list[str]) -> int:
    """Run the command line; return the exit code."""
    return endings.status_of("workflow", lambda: run(arguments, os.environ))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
