"""The commands that bring a person back to runs: the same cluster, the same folder, whatever flags named them."""

import shlex

from runner.host.runs import FOLDER


def command(verb, cluster, runs):
    """Return the shell command that does ``verb`` with some runs."""
    (folder,) = {run.folder.parent.parent for run in runs} or {FOLDER}
    flags = {
        "--kubeconfig": cluster.kubeconfig,
        "--context": cluster.context,
        "--namespace": cluster.namespace,
        "--runs": None if folder == FOLDER else folder,
    }
    words = [word for flag, value in flags.items() if value for word in (flag, str(value))]
    return shlex.join(["python", "-m", "runner", verb, *words, *(run.name for run in runs)])
