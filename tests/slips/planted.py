"""The slips that are planted: a file, a text that stands in the file once, and the text that a tired hand would write instead.

The first seven kinds of slips went through the checks when no function was annotated; only ruff sees the last one. Each kind has at
least one row. A row whose text is no longer in its file is an error: give the row another place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal[
    "an attribute that is not there",
    "two arguments swapped",
    "another thing for a record",
    "None not thought of",
    "a wrong key or argument name",
    "a word that is not allowed",
    "a value of another type",
    "a comparison of another meaning",
]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Slip:
    """One slip: in ``file`` the text ``before``, which stands there once, becomes ``after``."""

    kind: Kind
    file: str
    before: str
    after: str


SLIPS = (
    Slip(
        "an attribute that is not there",
        "runner/host/cluster/image_ids.py",
        "found = _REPORTED.fullmatch(self.reported)",
        "found = _REPORTED.fullmatch(self.image_id)",
    ),
    Slip(
        "an attribute that is not there",
        "runner/contract/unfinished.py",
        "return bool(self.launches or self.rows)",
        "return bool(self.launches or self.row)",
    ),
    Slip(
        "two arguments swapped",
        "runner/contract/publish.py",
        "return _named(temporary, path, file_synced)",
        "return _named(temporary, file_synced, path)",
    ),
    Slip(
        "two arguments swapped",
        "runner/host/cluster/kubeconfig.py",
        "return _target(merged, context or current, words)",
        "return _target(context or current, merged, words)",
    ),
    Slip(
        "another thing for a record",
        "runner/host/cluster/image_ids.py",
        'found.append(Started(name_of(pod), one["name"], digests[one["name"]], one["imageID"]))',
        'found.append((name_of(pod), one["name"], digests[one["name"]], one["imageID"]))',
    ),
    Slip(
        "another thing for a record",
        "runner/host/cluster/transport.py",
        "return Connections(_pool(target, given), credentials.impersonation(target))",
        "return _pool(target, given), credentials.impersonation(target)",
    ),
    Slip(
        "None not thought of",
        "runner/host/cluster/kubeconfig.py",
        "    if chosen is None:\n",
        "    if not contexts:\n",
    ),
    Slip(
        "None not thought of",
        "runner/host/cluster/image_ids.py",
        "return found.group(1) if found else None",
        "return found.group(1)",
    ),
    Slip(
        "a wrong key or argument name",
        "runner/host/results/attempts.py",
        'unchecked=sum(check["passed"] is None for check in checks),',
        'not_checked=sum(check["passed"] is None for check in checks),',
    ),
    Slip(
        "a value of another type",
        "runner/contract/unfinished.py",
        'return content[: content.rfind(b"\\n") + 1]',
        'return content[: content.rfind("\\n") + 1]',
    ),
    Slip(
        "a value of another type",
        "runner/contract/publish.py",
        "            _remove(path)\n        raise\n    return Manner(by, file_synced, folder_synced)",
        "            _remove(path)\n        raise\n    return by, file_synced, folder_synced",
    ),
    Slip(
        "a value of another type",
        "runner/contract/publish.py",
        '        else:\n            return by\n    _create(source, path)\n    return "create"',
        "        else:\n            return by\n    _create(source, path)",
    ),
    Slip(
        "a word that is not allowed",
        "runner/bench/inputs/weights.py",
        'int.from_bytes(digest[:8], "little", signed=True)',
        'int.from_bytes(digest[:8], "litle", signed=True)',
    ),
    Slip("a comparison of another meaning", "runner/contract/publish.py", 'if by == "rename":', 'if by is "rename":'),
)
