"""The commands that bring a person back to runs: the same cluster, the same folder, whatever flags named them."""

import shlex

from runner.host.cluster.runs import FOLDER


def command(verb, cluster, runs):
    """Return the shell command that does ``verb`` with some runs."""
    (folder,) = {run.folder.parent.parent for run in runs} or {FOLDER}
    words = [*cluster.place, "--namespace", cluster.namespace, *(["--runs", str(folder)] if folder != FOLDER else [])]
    return shlex.join(["python", "-m", "runner", verb, *words, *(run.name for run in runs)])
