"""The verbs with a cluster print events for programs, and progress for people beside them."""

from __future__ import annotations

from pathlib import Path

from runner.contract.errors import JobFailed
from tests.support import apiserver, clusterplay
from tests.support.client import Client
from tests.support.clusterplay import FIRST, Play, bench_job
from tests.support.json_output import events
from tests.support.scriptedcluster import Cluster


def test_a_run_is_told_from_its_creation_to_its_end(client: Client, cluster: Cluster, tmp_path: Path) -> None:
    Play(cluster, clusterplay.runs_well)
    for arguments in (["submit", client.manifests()], ["follow"]):
        assert client.run(*arguments, "--json") == 0, client.err
        assert f"{client.name}: " in client.err
        log, ended = events(client.out, arguments[0])
        assert (log["event"], log["run"]) == ("log", client.name) and Path(log["path"]).is_file()
        assert ended == {
            "event": "ended",
            "run": client.name,
            "kind": "Job",
            "namespace": apiserver.NAMESPACE,
            "error": None,
            "exit_code": 0,
            "message": None,
        }
    (tmp_path / "printed").write_text(client.out)
    assert client.run("collect", "--from", tmp_path / "printed", "--json") == 0
    (result,) = events(client.out, "collect")
    assert result["attempt"] == FIRST


def test_a_run_that_failed_is_told_with_its_error(client: Client, cluster: Cluster) -> None:
    def fails(play: Play, job: clusterplay.JsonObject) -> None:
        clusterplay.stands(play, job)
        play.end(f"{job['metadata']['name']}-p1", 6, log=["runner: tokens differ. Look."])
        play.finish(job, "Failed", "PodFailurePolicy")

    Play(cluster, fails)
    assert client.submit("--json") == JobFailed.exit_code
    ended = events(client.out, "submit")[-1]
    assert (ended["error"], ended["exit_code"]) == ("JobFailed", JobFailed.exit_code)
    assert "tokens differ. Look." in ended["message"]


def test_what_is_created_and_deleted_is_named(client: Client, cluster: Cluster) -> None:
    Play(cluster, clusterplay.stands)
    assert client.submit("--dry-run", "--json") == 0, client.err
    planned = [event["object"] for event in events(client.out, "submit")]
    assert [manifest["kind"] for manifest in planned][-1] == "Job"
    assert planned[-1]["spec"] and not client.jobs()
    assert client.submit("--detach", "--json", things=[bench_job()]) == 0
    (run,) = events(client.out, "submit")
    assert run == {"event": "run", "run": client.name, "kind": "Job", "namespace": apiserver.NAMESPACE}
    assert client.run("cancel", run["run"], "--json") == 0
    (deleted,) = events(client.out, "cancel")
    assert deleted == {**run, "event": "deleted"}
