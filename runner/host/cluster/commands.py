"""Write the shell commands that lead back to runs: the same cluster and the same folder, whatever flags named them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from runner.host.cluster.client import Cluster
from runner.host.cluster.runs import FOLDER, FollowedRun


def shell_command(verb: str, cluster: Cluster, runs: Iterable[FollowedRun]) -> str:
    """Return the shell command of a verb of this kit for some runs, all of which have their folders below the same one."""
    runs = list(runs)
    (folder,) = {run.folder.parent.parent for run in runs} or {FOLDER}
    flags = [*cluster.kubectl_flags, "--namespace", cluster.namespace]
    flags += ["--runs", str(folder)] if folder != FOLDER else []
    return shlex.join(["python", "-m", "runner", verb, *flags, *(run.name for run in runs)])
