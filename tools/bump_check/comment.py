"""Write what a bump check found: Markdown for the comment of a pull request, and JSON for programs. docs/bumps.md describes both.

Names, reasons and pins come from results and locks that others may have written. Each stands in a code span, where a forge shows no HTML,
makes no link and notifies nobody.
"""

from __future__ import annotations

import json
import platform
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runner.contract.secrets import mask, mask_json
from runner.contract.text import printable
from runner.host import paths
from runner.host.judging.markdown import code as span
from runner.host.judging.run_changes import size
from tools.bump_check import launches, verdicts
from tools.bump_check.bisect import Attribution
from tools.bump_check.emulated import Emulated
from tools.bump_check.launches import Outcome
from tools.bump_check.moved import MovedPin, plural
from tools.bump_check.requests import DifferingField
from tools.bump_check.verdicts import Verdict

# By this line whoever posts the comment finds it again. No forge shows it, and tools.workflow leaves it out for a line of its own.
MARKER = "<!-- bloomz-bench: bump-check -->"

# A forge takes 65,536 characters in a comment.
MOST_CHARACTERS = 60_000

# Characters of a value, and rows of a list, that people read; verdict.json has all.
_VALUE, _MOST_ROWS, _MOST_NAMES = 160, 40, 20

# The lock, the compiled requirements files, and the pages, manifests and workflows that are written from the lock.
_WRITTEN_BY_A_BUMP = re.compile(
    r"versions\.lock\Z|(images/[^/]+|requirements)/[^/]*\.txt\Z|[^/]+\.md\Z|(docs|k8s|\.github|\.gitlab)/"
)

# What is said where both sides are one tree.
SAME_TREE = (
    "base and head are the same tree: nothing moved, and this is a control. What it calls CHANGED comes from the host, and it shows"
    " the smallest change that a bump could show here"
)

# Rises when a key of verdict.json changes its meaning, or goes.
SCHEMA = 1

# What stands at the end of a comment that was cut.
_CUT = "\n\n*(The rest did not fit into a comment. It is in `build/bump-check`.)*\n"


@dataclass(frozen=True)
class Described:
    """A side in words: the ref that was named, None for the working tree; its commit, its tree, and how many files are not committed."""

    ref: str | None
    commit: str | None
    tree: str
    subject: str | None
    uncommitted: int


@dataclass(frozen=True)
class Host:
    """The host that measured: the processor's name, usable cores, and the kinds of devices."""

    processor: str
    cores: int
    system: str
    devices: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """All that a check found. ``changes`` and ``table`` are compare's JSON and Markdown, ``not_measured`` are sentences.

    ``repeat`` are command lines, ``flags`` the words of --fail-on. ``attribution`` is the outcome of --bisect, or the sentence that says
    why there is none; None without --bisect. ``differing`` are fields of the requests, ``changed_files`` all files that differ between the
    two trees, ``uncommitted`` files of the head that no commit holds, and ``request_flags`` the flags that change the cases.
    """

    verdict: Verdict
    base: Described
    head: Described
    cases: tuple[str, ...]
    asked_launches: int
    outcomes: tuple[Outcome, ...]
    moved: tuple[MovedPin, ...]
    changes: tuple[dict[str, Any], ...]
    table: str
    emulated: tuple[Emulated, ...]
    host: Host
    fail_on: str
    not_measured: tuple[str, ...]
    repeat: tuple[tuple[str, ...], ...]
    attribution: Attribution | str | None = None
    differing: tuple[DifferingField, ...] = ()
    changed_files: tuple[str, ...] = ()
    uncommitted: tuple[str, ...] = ()
    request_flags: tuple[str, ...] = ()


def host(devices: Iterable[str], cores: int) -> Host:
    """Return what is known of this host; the processor's name is that which the kernel tells."""
    return Host(
        _processor(),
        cores,
        f"{platform.system()} {platform.release()} {platform.machine()}",
        tuple(sorted(set(devices))),
    )


def markdown(found: Found) -> str:
    """Return the comment: the marker, a line with the word and its first reason, and what it rests on; at most MOST_CHARACTERS."""
    first = found.verdict.reasons[0]
    more = len(found.verdict.reasons) - 1
    head = [
        MARKER,
        f"**{found.verdict.word}**: {code(first, 400)}{f' and {more} more below' if more else ''}",
        "",
        f"`make bump-check` measured {said(found.head)} against {said(found.base)}.",
        "",
        *([f"{SAME_TREE[0].upper()}{SAME_TREE[1:]}.", ""] if found.base.tree == found.head.tree else []),
    ]
    parts = [
        _section("Why", [f"- {code(reason, 600)}" for reason in found.verdict.reasons] if more else []),
        _section("Which pin changed it", list(_attributed(found.attribution))),
        _section("Moved pins", _moved(found.moved)),
        _section("What else differs", list(_differs(found))),
        _section("Measured", [*_changed_cases(found), found.table.strip() or "Nothing could be compared."]),
        _section("Under the emulated chip", [f"- {code(verdicts.said_of(each), 600)}" for each in found.emulated]),
        _section("What these launches would have shown", list(_power(found.changes))),
        _section("Launches", list(_launches(found))),
        _section("Not measured", [f"- {code(each, 600)}" for each in found.not_measured]),
        _section("Repeat it", ["```sh", *(_command(command) for command in found.repeat), "```", *_lacking(found)]),
    ]
    return _bounded("\n".join([*head, *filter(None, parts)]).rstrip() + "\n")


def verdict_json(found: Found) -> str:
    """Return verdict.json as strict JSON, its secrets masked."""
    value = {
        "schema": SCHEMA,
        "word": found.verdict.word,
        "reasons": list(found.verdict.reasons),
        "exit_code": found.verdict.exit_code,
        "fail_on": found.fail_on.split(","),
        "base": asdict(found.base),
        "head": asdict(found.head),
        "cases": list(found.cases),
        "launches": {
            "asked": found.asked_launches,
            "made": [{**asdict(each), "result": each.result and paths.shown(each.result)} for each in found.outcomes],
        },
        "moved": [asdict(pin) for pin in found.moved],
        "differing": [asdict(each) for each in found.differing],
        "changed_files": list(found.changed_files),
        "changes": list(found.changes),
        "emulated": [{**asdict(each), "fails": each.fails} for each in found.emulated],
        "attribution": _attribution_json(found.attribution),
        "host": asdict(found.host),
        "not_measured": list(found.not_measured),
        "repeat": [shlex.join(command) for command in found.repeat],
    }
    return json.dumps(mask_json(value), indent=2, allow_nan=False) + "\n"


def said_of(attribution: Attribution | str) -> str:
    """Return what --bisect found, in sentences."""
    return attribution if isinstance(attribution, str) else attribution.sentence


def _attributed(attribution: Attribution | str | None) -> Iterable[str]:
    """Yield what --bisect found, and a table of the trees that were measured."""
    if attribution is None:
        return
    yield code(said_of(attribution), 2000)
    if isinstance(attribution, str):
        return
    yield from ("", "| from the head | against the base | why |", "| --- | --- | --- |")
    for each in attribution.compared:
        moved = "everything" if each.moved == attribution.parts else code(", ".join(each.moved), 300)
        p = "" if each.p is None else f" p = {each.p:.2g}, {each.adjusted_p:.2g} after Holm;"
        yield f"| {moved} | {each.word} |{p} {code('; '.join(each.reasons), 400)} |"


def _attribution_json(attribution: Attribution | str | None) -> dict[str, Any] | None:
    if attribution is None or isinstance(attribution, str):
        return None if attribution is None else {"sentence": attribution}
    return {"sentence": attribution.sentence, **asdict(attribution)}


def code(text: str, limit: int = _VALUE) -> str:
    """Return foreign text as a code span, as ``compare`` writes one."""
    return span(text, limit)


def _section(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"### {title}", "", *lines, ""]) if lines else ""


def said(side: Described) -> str:
    """Return a side in words, as Markdown shows it."""
    named = "the working tree" if side.ref is None else code(side.ref)
    commit = f" ({code(side.commit[:12])})" if side.commit else ""
    changed = (
        f" with {side.uncommitted} uncommitted file{'s' if side.uncommitted > 1 else ''}" if side.uncommitted else ""
    )
    return f"{named}{commit}{changed}"


def _moved(pins: Sequence[MovedPin]) -> list[str]:
    """Return a table of the pins that people read, and a sentence for those that move with them."""
    if not pins:
        return ["None: the two locks hold the same pins."]
    read = [pin for pin in pins if pin.is_version]
    lines = ["| pin | before | after |", "| --- | --- | --- |"] if read else []
    lines += [f"| {code(pin.where)} | {_value(pin.before)} | {_value(pin.after)} |" for pin in read[:_MOST_ROWS]]
    rest = len(read) - _MOST_ROWS
    told = [f"{rest} more"] if rest > 0 else []
    others = len(pins) - len(read)
    told += [f"{others} {'hashes or digests' if others > 1 else 'hash or digest'} moved too"] if others else []
    return [*lines, *(["", f"{'; '.join(told)}: all are in `verdict.json`."] if told else [])]


def _differs(found: Found) -> Iterable[str]:
    """Yield the fields in which the requests of both sides differ, and the names of the files that differ between the trees."""
    for each in found.differing[:_MOST_NAMES]:
        yield f"- {code(each.case)} asks for another {code(each.field)}: {_value(each.before)} before, {_value(each.after)} after"
    if len(found.differing) > _MOST_NAMES:
        yield f"- {len(found.differing) - _MOST_NAMES} more fields: all are in `verdict.json`"
    # the pins that moved stand above, and a bump writes no code
    others = [name for name in found.changed_files if not _WRITTEN_BY_A_BUMP.match(name)]
    if others:
        yield f"- {plural(len(others), 'changed file')} beside those that a bump writes: {_names(others)}"


def _changed_cases(found: Found) -> list[str]:
    """Return the line that says by which flags the measured cases are not those of the catalog."""
    flags = printable(mask(shlex.join(found.request_flags)), 300)
    return (
        [f"Each case with {code(flags, 300)}, which makes it another case than that of the catalog.", ""]
        if flags
        else []
    )


def _lacking(found: Found) -> list[str]:
    """Return the sentence that says which files of the head a reader of the commands lacks."""
    if not found.uncommitted:
        return []
    files = plural(len(found.uncommitted), "file")
    are = "is" if len(found.uncommitted) == 1 else "are"
    return [
        "",
        f"These commands lack {files} of the head that {are} not committed: {_names(found.uncommitted)}.",
    ]


def _names(names: Sequence[str]) -> str:
    """Return the first names of a list as code, and how many more there are."""
    more = len(names) - _MOST_NAMES
    return ", ".join([*(code(name) for name in names[:_MOST_NAMES]), *([f"{more} more"] if more > 0 else [])])


def _command(command: Sequence[str]) -> str:
    """Return a command line for a block of code, which three backticks would end."""
    return printable(mask(shlex.join(command)), MOST_CHARACTERS).replace("```", "'" * 3)


def _value(value: str | None) -> str:
    return "not there" if value is None else code(value)


def _power(changes: Sequence[dict[str, Any]]) -> Iterable[str]:
    """Yield a line per case: the smallest change that would have been called CHANGED nine times in ten."""
    for change in changes:
        times = change.get("times") or {}
        smallest, judged = times.get("smallest_change"), times.get("word") is not None
        shown = (
            f"a change of time of {size(smallest)} or more"
            if isinstance(smallest, float)
            else f"no change of time ({code(str(times.get('reason')))})"
            if judged
            else "no change of time"
        )
        told = ", nine times in ten" if isinstance(smallest, float) else ""
        counts = "any change of a count that both sides tell"
        yield f"- {code(str(change.get('case')))}: {counts}; {shown}{told}{'' if judged else ' (times are not judged here)'}"


def _launches(found: Found) -> Iterable[str]:
    """Yield the order of the launches, those that failed, and the host."""
    order = [f"{each.side[:1].upper()}" for each in found.outcomes if each.case == found.outcomes[0].case]
    yield f"- {found.asked_launches} of each side and case, in turn (B: base, H: head): `{' '.join(order) or 'none'}`"
    yield from (f"- failed: {code(launches.said(each), 600)}" for each in found.outcomes if each.error is not None)
    loads = [each.load for each in found.outcomes]
    load = f"load average before the launches {min(loads):.1f} to {max(loads):.1f}" if loads else "no launch"
    yield f"- host: {code(found.host.processor)}, {found.host.cores} cores, {code(found.host.system)}, {load}"
    yield f"- devices: {', '.join(map(code, found.host.devices)) or 'none'}; fails on: {code(found.fail_on)}"


def _bounded(text: str) -> str:
    """Return at most MOST_CHARACTERS of a text, cut at the end of a line, and a sentence where it was cut."""
    if len(text) <= MOST_CHARACTERS:
        return text
    kept = text[: MOST_CHARACTERS - len(_CUT) - 8]
    kept = kept[: kept.rfind("\n")]
    # a block of code that is left open would swallow the sentence
    fence = "\n```" if kept.count("```") % 2 else ""
    return f"{kept}{fence}{_CUT}"


def _processor() -> str:
    """Return the name of the processor."""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as facts:
            name = next((line.partition(":")[2].strip() for line in facts if line.startswith("model name")), "")
    except OSError:
        name = ""
    return name or platform.processor() or "an unknown processor"
