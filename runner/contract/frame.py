"""Carry a result through a log: lines that say what they belong to, and a checksum that a cut or altered log cannot have.

    @frame begin ATTEMPT bytes=N parts=K sha256=HEX
    @frame part ATTEMPT INDEX BASE64
    @frame end ATTEMPT

A reader takes lines in any order, with anything before the mark (mpirun's rank tags, a log's timestamps) and anything
between them, and repeated lines, as a log that is followed again gives them.
"""

import base64
import binascii
import hashlib
import re
from typing import Dict

from runner.contract import result, strictjson
from runner.contract.errors import DamagedResult

MARK = "@frame "
PART_BYTES = 6000  # 8,000 characters of base64: container runtimes cut longer lines at 16 KiB
MAX_FRAMES = 10_000  # far above what one log holds; each may have strictjson.MAX_BYTES

_BEGIN = re.compile(
    rf"begin ({result.ATTEMPT.pattern}) bytes=([0-9]{{1,12}}) parts=([0-9]{{1,7}}) sha256=([0-9a-f]{{64}})"
)
_PART = re.compile(rf"part ({result.ATTEMPT.pattern}) ([0-9]{{1,7}}) ([A-Za-z0-9+/]{{2,8000}}={{0,2}})")


def write(attempt, content):
    """Return the lines that carry ``content`` (bytes) of the attempt ``attempt``."""
    parts = [content[start : start + PART_BYTES] for start in range(0, len(content), PART_BYTES)]
    begin = f"begin {attempt} bytes={len(content)} parts={len(parts)} sha256={hashlib.sha256(content).hexdigest()}"
    told = [f"part {attempt} {index} {base64.b64encode(part).decode()}" for index, part in enumerate(parts)]
    return [MARK + line for line in (begin, *told, f"end {attempt}")]


def read(lines, where):
    """Return the contents in a log's lines, and a ``DamagedResult`` of each that is not whole there, both by attempt."""
    begins: Dict[str, set] = {}
    parts: Dict[str, Dict[int, set]] = {}
    for line in lines:
        _, mark, told = line.rstrip("\r\n").partition(MARK)
        begin, part = (_BEGIN.fullmatch(told), _PART.fullmatch(told)) if mark else (None, None)
        if begin and len(begins) < MAX_FRAMES:
            _note(begins.setdefault(begin.group(1), set()), tuple(begin.groups()[1:]))
        elif part and len(parts) < MAX_FRAMES:
            found = parts.setdefault(part.group(1), {})
            if len(found) <= strictjson.MAX_BYTES // PART_BYTES:
                _note(found.setdefault(int(part.group(2)), set()), part.group(3))
    whole, problems = {}, {}
    for attempt in sorted({*begins, *parts}):
        try:
            whole[attempt] = _join(begins.get(attempt, set()), parts.get(attempt, {}))
        except ValueError as problem:
            problems[attempt] = DamagedResult(
                f"{where}: the frame of attempt {attempt} {problem}. Fetch the log again, or the file itself."
            )
    return whole, problems


def _note(seen, value):
    """Add a value; two that differ are enough to know that they do."""
    if len(seen) < 2:
        seen.add(value)


def _join(begins, parts):
    """Return the content of one frame; raise ``ValueError`` with what is wrong with it."""
    if len(begins) != 1:
        raise ValueError("lost its first line" if not begins else "begins twice with different content")
    length, count, sha256 = next(iter(begins))
    if int(length) > strictjson.MAX_BYTES:
        raise ValueError(f"says it has {int(length):,} bytes, more than a result can have")
    lost = [index for index in range(int(count)) if index not in parts]
    if lost:
        raise ValueError(f"lost {len(lost)} of its {int(count)} parts, number {lost[0]} first")
    if any(len(parts[index]) != 1 for index in range(int(count))):
        raise ValueError("has a part twice with different content")
    try:
        content = b"".join(base64.b64decode(next(iter(parts[index])), validate=True) for index in range(int(count)))
    except binascii.Error:
        raise ValueError("has a part that is cut") from None
    if len(content) != int(length) or hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError("does not match its own sha256")
    return content
