"""Compare the text of a pull request's comment with the file of a test, without what differs from machine to machine and run to run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "data" / "bumps"

# Each rule: what varies, and the word that stands for it in the file.
_RULES = (
    # to the end of what is said, since a long path decides where a comment cuts a reason
    (re.compile(r"(?<=The failed attempt is kept in )[^`\n]*"), "<where>"),
    # which operators a build of torch has differs, and how many names a reason has room for
    (re.compile(r"(?<=operators: )[0-9]+ names.*?(?=; times of|`|$)", re.MULTILINE), "<operators>"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "<sha256>"),
    (re.compile(r"\b[0-9a-f]{40}\b|\b[0-9a-f]{12}\b"), "<commit>"),
    (re.compile(r"^- host: .*$", re.MULTILINE), "- host: <this machine>"),
    (re.compile(r"127\.0\.0\.1:[0-9]+"), "127.0.0.1:<port>"),
    (re.compile(r"\b[0-9]+(?:\.[0-9]+)? (?=s\b|ms\b|min\b)"), "<time> "),
    (re.compile(r"[+-]?[0-9]+\.[0-9]+%"), "<percent>"),
    (re.compile(r"\b[0-9]+ hash(?:es)? or digests? moved too"), "<n> hashes or digests moved too"),
)
# A row of the table of cases: before, after, ratio and the smallest change are times; the flags are this machine's.
_CASE = re.compile(r"^\| `(?P<case>[a-z0-9-]+)` \|(?P<cells>.*)\|$", re.MULTILINE)
_CELLS_THAT_VARY = {0: "<time>", 1: "<time>", 2: "<ratio>", 4: "<percent>", 6: "<flags>"}
# What moves with the row, in the files of all that is locked: the index of that day decides.
_MOVED_WITH_IT = re.compile(r"(?:^\| `[a-z]+/[^`]*\.txt: [^`]*` \|.*\n)+", re.MULTILINE)
_LOG = re.compile(r"(?P<fence>`{3,})text\n(?P<lines>.*?)\n(?P=fence)", re.DOTALL)


def same_each_time(text: str, words: Mapping[str, str], kept: str | None = None) -> str:
    """Return a comment with what varies replaced: ``words`` first, each a text and what stands for it, then the rules above.

    Of a log's last lines only what ``kept`` matches stays, once: an installer words the rest, and long lines are cut.
    """
    for varying, word in sorted(words.items(), key=lambda pair: -len(pair[0])):
        text = text.replace(varying, word)
    text = _CASE.sub(_case, text)
    text = _MOVED_WITH_IT.sub("<what moves with it>\n", text)
    text = _LOG.sub(lambda match: f"{match['fence']}text\n{_lines(match['lines'], kept)}\n{match['fence']}", text)
    for pattern, word in _RULES:
        text = pattern.sub(word, text)
    return text.rstrip() + "\n"


def _case(match: re.Match[str]) -> str:
    cells = [cell.strip() for cell in match["cells"].split("|")]
    return (
        f"| `{match['case']}` | " + " | ".join(_CELLS_THAT_VARY.get(at, cell) for at, cell in enumerate(cells)) + " |"
    )


def _lines(lines: str, kept: str | None) -> str:
    found = [] if kept is None else [match[0] for line in lines.split("\n") if (match := re.search(kept, line))]
    return "\n".join(["<lines of the log>", *dict.fromkeys(found)])


def as_in(name: str, text: str) -> None:
    """Assert that a text is that of ``tests/data/bumps/NAME``.

    Where there is no such file it is written, and the run fails all the same: remove a file to have it written anew, and read it.
    """
    path = FOLDER / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        raise AssertionError(f"{path} was not there and is written now. Read it, and run the test again.")
    assert text == path.read_text(encoding="utf-8"), f"{path} says something else. Remove it to have it written anew."
