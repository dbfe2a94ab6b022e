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
    "a wrong word",
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
        "runner/host/cluster/kubeconfig.py",
        "of {chosen.file}",
        "of {chosen.path}",
    ),
    Slip(
        "an attribute that is not there",
        "runner/contract/unfinished.py",
        "return bool(self.launches or self.rows)",
        "return bool(self.launches or self.row)",
    ),
    Slip(
        "two arguments swapped",
        "runner/host/cluster/kubeconfig.py",
        "return _target(merged, context or current, words)",
        "return _target(context or current, merged, words)",
    ),
    Slip(
        "two arguments swapped",
        "runner/host/writing.py",
        "NotRegular(target, facts.st_mode)",
        "NotRegular(facts.st_mode, target)",
    ),
    Slip(
        "two arguments swapped",
        "runner/bench/rank/worker.py",
        "Shard(rank, ranks), folder, task)",
        "folder, Shard(rank, ranks), task)",
    ),
    Slip(
        "another thing for a record",
        "runner/host/cluster/transport.py",
        "return Connections(",
        "return (",
    ),
    Slip(
        "another thing for a record",
        "runner/host/cluster/credentials.py",
        "    return Credentials(None, *pair)\n",
        "    return None, *pair\n",
    ),
    Slip(
        "another thing for a record",
        "runner/host/diagnosis/pods.py",
        'events_of("FailedAttachVolume", "FailedMount", about=name_of(pod))',
        'events_of("FailedAttachVolume", "FailedMount", about=name_of((pod["kind"], pod)))',
    ),
    Slip(
        "None not thought of",
        "runner/host/cluster/kubeconfig.py",
        "    if chosen is None:\n",
        "    if not contexts:\n",
    ),
    Slip(
        "None not thought of",
        "runner/host/cluster/transport.py",
        "    if proxy is None:\n",
        "    if not options:\n",
    ),
    Slip(
        "None not thought of",
        "runner/host/diagnosis/pods.py",
        '    pod = observed.pod or {}\n    status = pod.get("status", {})\n    reason, message',
        '    pod = observed.pod\n    status = pod.get("status", {})\n    reason, message',
    ),
    Slip(
        "a wrong key or argument name",
        "runner/host/results/attempts.py",
        'unchecked=sum(check["passed"] is None for check in checks),',
        'not_checked=sum(check["passed"] is None for check in checks),',
    ),
    Slip(
        "a wrong key or argument name",
        "runner/contract/unfinished.py",
        'return {"file": name, "rows"',
        'return {"files": name, "rows"',
    ),
    Slip(
        "a wrong word",
        "runner/contract/files.py",
        'return os.fdopen(handle, "rb")',
        'return os.fdopen(handle, "r")',
    ),
    Slip(
        "a wrong word",
        "runner/contract/publish.py",
        '    _create(source, path)\n    return "create"\n',
        '    _create(source, path)\n    return "created"\n',
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
        "    return Manner(by, file_synced, folder_synced)\n",
        "    return by, file_synced, folder_synced\n",
    ),
    Slip(
        "a value of another type",
        "runner/contract/publish.py",
        '    _create(source, path)\n    return "create"\n',
        "    _create(source, path)\n",
    ),
    Slip(
        "a comparison of another meaning",
        "runner/contract/publish.py",
        'if by == "rename":',
        'if by is "rename":',
    ),
)
