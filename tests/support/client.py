"""Run the verbs with a cluster against the scripted server, and keep their output."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from runner import __main__ as runner
from runner.contract.records import JsonObject
from runner.host.results import result_files
from tests.support import clusterplay
from tests.support.apiserver import Server
from tests.support.scriptedcluster import Cluster

# Short enough for tests, long enough for a busy machine. A test that waits on purpose names its own times.
TIMEOUTS = [
    *("--request-timeout-s", "5", "--passing-timeout-s", "20", "--watch-timeout-s", "1", "--silence-timeout-s", "2"),
    *("--log-timeout-s", "1"),
]
FAST = {
    "submit": [*TIMEOUTS, "--poll-s", "0.1", "--drain-s", "10"],
    "follow": [*TIMEOUTS, "--poll-s", "0.1", "--drain-s", "10"],
    "cancel": TIMEOUTS,
}


class Client:
    """Runs verbs of the kit in this process. ``out`` and ``err`` hold the output of the last verb.

    ``kubeconfig`` is given to every verb; None leaves the search for a kubeconfig to the kit.
    """

    def __init__(self, cluster: Cluster, server: Server, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.cluster, self.server, self.tmp_path, self._capfd = cluster, server, tmp_path, capfd
        self.kubeconfig: str | None = server.kubeconfig(tmp_path / "kubeconfig")
        self.runs = tmp_path / "runs"
        self.out = self.err = ""

    def manifests(self, *things: JsonObject) -> str:
        """Write a folder with a ConfigMap and some objects, one bench Job where none is given; return the folder's path."""
        folder = self.tmp_path / "manifests"
        folder.mkdir(exist_ok=True)
        objects = things or (clusterplay.bench_job(),)
        (folder / "60-bench.yaml").write_text(yaml.safe_dump_all([clusterplay.CONFIG, *objects]))
        return str(folder)

    def run(self, verb: str, *arguments: object) -> int:
        """Run one verb with the flags that lead to the scripted server, and return its exit code."""
        flags = ["--results", str(self.tmp_path / "results")] if verb == "collect" else []
        if verb in FAST:
            kubeconfig = ["--kubeconfig", self.kubeconfig] if self.kubeconfig else []
            flags = [*kubeconfig, "--runs", str(self.runs), *FAST[verb]]
        code = runner.main([verb, *flags, *map(str, arguments)])
        if "--detach" in arguments:
            clusterplay.settle()
        self.out, self.err = self._capfd.readouterr()
        return code

    def submit(self, *arguments: object, things: Sequence[JsonObject] = ()) -> int:
        """Run ``submit`` with the manifests of some objects, and return its exit code."""
        return self.run("submit", self.manifests(*things), *arguments)

    def collected(self) -> list[str]:
        """Collect the results from the logs whose paths were printed; return the attempts, each as often as it was printed."""
        code = self.run("collect", *self.out.split())
        assert code == 0, self.err
        return [result_files.read_one(path)[0]["attempt"]["id"] for path in self.out.split()]

    def again(self, verb: str) -> str:
        """Return the beginning of a printed command: the verb, with the flags that this client gives."""
        flags = ["--kubeconfig", str(self.kubeconfig), "--namespace", "bench", "--runs", str(self.runs)]
        return shlex.join(["python", "-m", "runner", verb, *flags])

    def jobs(self, component: str = "bench") -> list[JsonObject]:
        return [job for job in self.cluster.all("Job") if clusterplay.component(job) == component]

    def evidence(self) -> JsonObject:
        """Return the evidence of the only run of which some is kept."""
        (path,) = self.runs.rglob("evidence.json")
        evidence: JsonObject = json.loads(path.read_text())
        return evidence

    @property
    def name(self) -> str:
        """Return the name of the only bench Job."""
        (job,) = self.jobs()
        name: str = job["metadata"]["name"]
        return name
