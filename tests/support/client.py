"""Runs the verbs with a cluster against the scripted server, and keeps what they said."""

import shlex

import yaml

from runner import __main__ as runner
from runner.host.results import result_files
from tests.support import clusterplay

# Short enough for tests, long enough for a busy machine: what a test waits for on purpose it says itself.
PATIENCE = [
    *("--request-timeout-s", "5", "--passing-timeout-s", "20", "--watch-timeout-s", "1", "--silence-timeout-s", "2"),
    *("--log-timeout-s", "1"),
]
FAST = {
    "submit": [*PATIENCE, "--poll-s", "0.1", "--drain-s", "10"],
    "follow": [*PATIENCE, "--poll-s", "0.1", "--drain-s", "10"],
    "cancel": PATIENCE,
}


class Client:
    def __init__(self, cluster, server, tmp_path, capfd):
        self.cluster, self.server, self.tmp_path, self._capfd = cluster, server, tmp_path, capfd
        self.kubeconfig = server.kubeconfig(tmp_path / "kubeconfig")
        self.runs = tmp_path / "runs"
        self.out = self.err = ""

    def manifests(self, *things):
        folder = self.tmp_path / "manifests"
        folder.mkdir(exist_ok=True)
        things = things or (clusterplay.bench_job(),)
        (folder / "60-bench.yaml").write_text(yaml.safe_dump_all([clusterplay.CONFIG, *things]))
        return str(folder)

    def run(self, verb, *arguments):
        """Run one verb and return its exit code; ``out`` and ``err`` hold what it printed."""
        own = ["--results", str(self.tmp_path / "results")] if verb == "collect" else []
        if verb in FAST:
            named = ["--kubeconfig", self.kubeconfig] if self.kubeconfig else []  # else where kubectl would find one
            own = [*named, "--runs", str(self.runs), *FAST[verb]]
        code = runner.main([verb, *own, *map(str, arguments)])
        if "--detach" in arguments:
            clusterplay.settle()
        self.out, self.err = self._capfd.readouterr()
        return code

    def submit(self, *arguments, things=()):
        return self.run("submit", self.manifests(*things), *arguments)

    def collected(self):
        """Take the results out of the logs whose paths were printed; return their attempts, each as often as it was printed."""
        code = self.run("collect", *self.out.split())
        assert code == 0, self.err
        return [result_files.read_one(path)[0]["attempt"]["id"] for path in self.out.split()]

    def again(self, verb):
        """Return what a printed command starts with: the verb, with the flags that the client was given."""
        where = ["--kubeconfig", self.kubeconfig, "--namespace", "bench", "--runs", str(self.runs)]
        return shlex.join(["python", "-m", "runner", verb, *where])

    def jobs(self, component="bench"):
        return [one for one in self.cluster.all("Job") if clusterplay.component(one) == component]

    @property
    def name(self):
        (job,) = self.jobs()
        return job["metadata"]["name"]
