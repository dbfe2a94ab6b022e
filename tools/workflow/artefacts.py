"""Fetch what the jobs of a pipeline of GitLab handed on, file by file.

GitLab itself would unpack the artefacts of earlier jobs over the whole checkout of a later one, and set variables that they report. Code
that runs in a job has the job's token, and may hand on any file and any variable with it: tools/forge/gitlab.py and PATH among them. So
the job with write rights takes no artefact from GitLab, and fetches the files that it knows by name. No job can hand on files of another.
Source: docs.gitlab.com, "needs:artifacts", "Pass dotenv variables to specific jobs"; gitlab.com/gitlab-org/gitlab, merge request 147558
(such variables come before all others).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from runner.contract.errors import DamagedResult
from tools.forge.gitlab import GitLab
from tools.workflow import change, report

# The jobs of .gitlab/bloomz-bench.yml, and where their artefacts have the files.
CARRY_OUT, CHANGE = "bloomz-bench:carry-out", "build/change"
CHECK, REPORT = "bloomz-bench:check", "build/untrusted"


@dataclass(frozen=True)
class HandedOn:
    """The folder of the change, the sha256 of its ``change.json``, and the folder of the report, which may not be there."""

    change: Path
    sha256: str
    report: Path


def fetch(forge: GitLab, pipeline: int, folder: Path) -> HandedOn:
    """Fetch change and report of a pipeline into ``folder``. Raises ``DamagedResult`` where there is no change, or for a long file."""
    handed_on = folder / "change", folder / "report"
    for job, where, target, names in (
        (CARRY_OUT, CHANGE, handed_on[0], ((change.FACTS, change.MAX_FACTS_BYTES), (change.PATCH, change.MAX_PATCH_BYTES))),
        (CHECK, REPORT, handed_on[1], ((report.VERDICT, report.MAX_VERDICT_BYTES), (report.COMMENT, report.MAX_COMMENT_BYTES))),
    ):  # fmt: skip
        for name, max_bytes in names:
            content = forge.handed_on(pipeline, job, f"{where}/{name}", max_bytes)
            if content is not None:
                target.mkdir(exist_ok=True)
                (target / name).write_bytes(content)
            elif job == CARRY_OUT:
                raise DamagedResult(
                    f"the job {job} of pipeline {pipeline} handed on no {where}/{name}. Run the pipeline again."
                )
    sha256 = hashlib.sha256((handed_on[0] / change.FACTS).read_bytes()).hexdigest()
    return HandedOn(handed_on[0], sha256, handed_on[1])
