"""What people give to the verbs: names, times, manifests, a kubeconfig."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.contract.errors import (
    ClusterRefused,
    InputError,
    Unreachable,
    UsageError,
)
from runner.host.objects.names import DEADLINE, REQUEST_ID
from runner.host.readers import kubeyaml
from tests.support import clusterplay
from tests.support.client import Client
from tests.support.clusterplay import (
    Play,
    bench_job,
)
from tests.support.scriptedcluster import Cluster


@pytest.mark.parametrize("verb", ["follow", "cancel"])
@pytest.mark.parametrize("name", ["../x", "a/b", "", ".", "x\n", "X", "x y", "-", "a" * 254])
def test_a_name_that_no_run_can_have_is_refused(client: Client, cluster: Cluster, verb: str, name: str) -> None:
    assert client.run(verb, "--", name) == UsageError.exit_code
    assert "is no name of a Job: at most 253 lower-case letters, digits, dots and hyphens" in client.err
    assert not cluster.requests


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "1e99", "x", "", "-inf"])
@pytest.mark.parametrize("flag", ["--request-timeout-s", "--drain-s", "--init-s", "--poll-s", "--deadline-s"])
def test_a_time_that_is_none_is_refused(client: Client, cluster: Cluster, flag: str, value: str) -> None:
    assert client.submit(f"{flag}={value}") == UsageError.exit_code
    assert f"argument {flag}: " in client.err and "seconds" in client.err
    assert not cluster.requests


@pytest.mark.parametrize(
    "flag", ["--request-timeout-s", "--watch-timeout-s", "--silence-timeout-s", "--log-timeout-s", "--poll-s"]
)
def test_no_time_at_all_is_too_short_where_nothing_could_be_done_in_it(client: Client, flag: str) -> None:
    assert client.submit(flag, "0") == UsageError.exit_code
    assert f"argument {flag}: 0 seconds are too short for this" in client.err


@pytest.mark.parametrize("namespace", ["Mine", "../x", "a.b", "", "x" * 64])
def test_a_namespace_that_none_can_be_called_is_refused(client: Client, cluster: Cluster, namespace: str) -> None:
    assert client.submit(f"--namespace={namespace}") == UsageError.exit_code
    assert "is no name of a namespace: at most 63 lower-case letters, digits and hyphens" in client.err


POD = ("spec", "template", "spec")


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("kind",), None, "kind is missing"),
        (("metadata",), None, "metadata is missing"),
        (("metadata", "name"), "../x", "metadata.name is the text '../x', and must be at most 253 "),
        (("metadata", "name"), 5, "metadata.name is the number 5, and must be at most 253 "),
        (("metadata", "namespace"), "Mine", "metadata.namespace is the text 'Mine'"),
        (("metadata", "labels"), ["x"], "metadata.labels is a list, not a mapping"),
        (("metadata", "labels", REQUEST_ID), "../x", f"labels.{REQUEST_ID} is the text '../x', and must be the value of a label"),
        (("metadata", "annotations", DEADLINE), 7, f"metadata.annotations.{DEADLINE} is the number 7, not text"),
        (("metadata", "annotations", DEADLINE), "9" * 5000, "no number of seconds"),
        (("spec",), [], "spec is a list, not a mapping"),
        (("spec", "template"), None, "spec.template is missing"),
        (POD, None, "spec.template.spec is missing"),
        ((*POD, "containers"), None, "spec.template.spec.containers is missing"),
        ((*POD, "containers"), [], "spec.template.spec.containers is empty"),
        ((*POD, "containers"), [None], "spec.template.spec.containers[0] is empty, not a mapping"),
        ((*POD, "containers", 0, "name"), "../x", "spec.template.spec.containers[0].name is the text '../x'"),
        ((*POD, "containers", 0, "command"), "sh", "containers[0].command is the text 'sh', not a list"),
        ((*POD, "volumes"), "x", "spec.template.spec.volumes is the text 'x', not a list"),
        ((*POD, "volumes", 1, "persistentVolumeClaim", "claimName"), "a b", "claimName is the text 'a b', and must be at most 253 "),
    ],
)  # fmt: skip
def test_a_manifest_whose_parts_are_not_what_they_should_be(
    client: Client, cluster: Cluster, path: tuple[str | int, ...], value: object, sentence: str
) -> None:
    job = bench_job()
    part: Any = job
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    assert client.submit(things=[job]) == InputError.exit_code
    assert sentence in client.err
    assert not cluster.requests


def test_null_in_a_manifest_is_what_is_not_there(client: Client, cluster: Cluster) -> None:
    job = bench_job()
    job["spec"]["template"]["spec"]["containers"][0].update(resources=None, env=None, args=None)
    job["spec"]["template"]["spec"].update(tolerations=None, hostAliases=None)
    Play(cluster, clusterplay.runs_well)
    assert client.submit(things=[job]) == 0, client.err


NINE_TIMES = "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in itertools.pairwise("abcdefghijklmn")
)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"[" * 100_000, "line 1 lies deeper than 50 levels"),
        (b"{a: " * 100_000, "line 1 lies deeper than 50 levels"),
        (b"a: &a [x, x, x, x, x, x, x, x, x]\n" + NINE_TIMES.encode(), "is beyond the 200,000 values that are read of a file"),
        (b"a: &a {x: 1}\nb: {<<: [*a, *a]}\n", "line 2 merges a mapping (<<)"),
        (b"a: &a [*a]\n", "repeats a, which does not stand before it, or holds it"),
        (b"a: !!python/object/apply:os.system [x]\n", "has the tag tag:yaml.org,2002:python/object/apply:os.system"),
        (b"kind: Job\nkind: Job\n", "line 2 has the key kind a second time"),
        (b"kind: Job\nmetadata: {name: x}\nspec: .inf\n", "line 3 is .inf, which no JSON holds"),
        (b'kind: "\\ud800"\n', "half of a surrogate pair"),
        (b"kind: \xff\n", "character 7 is not text"),
        (b"<!DOCTYPE html><html>", "it is an HTML page"),
        (b"hello", "it is the text 'hello', not a mapping"),
        (b"kind: List\nitems: 5\n", "its items are no list"),
        (b"#" * 5_000_000, "has more than 4194304 bytes"),
    ],
)  # fmt: skip
def test_bytes_that_are_no_manifest(client: Client, cluster: Cluster, content: bytes, sentence: str) -> None:
    path = client.tmp_path / "m.yaml"
    path.write_bytes(content)
    assert client.run("submit", path) == InputError.exit_code
    assert sentence in client.err
    assert not cluster.requests


def test_a_manifest_that_is_no_file(client: Client, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.yaml")
    (tmp_path / "gone.yaml").symlink_to(tmp_path / "nowhere")
    assert client.run("submit", tmp_path / "fifo.yaml") == InputError.exit_code
    assert "it is a FIFO (a named pipe), not a regular file" in client.err
    assert client.run("submit", tmp_path / "gone.yaml") == InputError.exit_code
    assert "it is a link to " in client.err
    assert client.run("submit", tmp_path / "a b; x") == InputError.exit_code
    assert f"`python -m runner render --out '{tmp_path / 'a b; x'}'`" in client.err


def test_a_list_as_kubectl_prints_it_is_taken_with_the_types_that_kubectl_gives(
    client: Client, cluster: Cluster
) -> None:
    job = bench_job()
    text = json.dumps({"kind": "List", "apiVersion": "v1", "items": [clusterplay.CONFIG, job]})
    (client.tmp_path / "list.json").write_text(text)
    Play(cluster, clusterplay.runs_well)
    assert client.run("submit", client.tmp_path / "list.json", "--dry-run") == 0, client.err
    scalars = (
        b"a: 12:30:45\nb: 1e3\nc: yes\nd: 0o17\ne: 017\nf: 1_0\ng: 2026-11-26\nh: '1'\ni: 1.10\nj: ~\nk: 0x1F\n"
        b"l: 99999999999999999999\n"
    )
    (values,) = kubeyaml.documents(scalars)
    assert values == {
        "a": "12:30:45",
        "b": 1000.0,
        "c": True,
        "d": 15,
        "e": 15,
        "f": 10,
        "g": "2026-11-26",
        "h": "1",
        "i": 1.1,
        "k": 31,
        "l": 1e20,
    }


def test_a_dry_run_without_any_kubeconfig_checks_the_manifests_alone_and_says_so(
    client: Client, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(client.tmp_path / "none"))
    client.kubeconfig = None
    assert client.submit("--dry-run") == 0
    assert [manifest["kind"] for manifest in yaml.safe_load_all(client.out)] == ["ConfigMap", "Job"]
    assert client.err.startswith("No cluster was asked, and the manifests alone were checked. ")
    assert len(client.err.splitlines()) == 1
    assert client.submit() == ClusterRefused.exit_code


def test_a_dry_run_on_a_server_that_does_not_answer_prints_and_says_so(client: Client) -> None:
    client.kubeconfig = client.server.kubeconfig(client.tmp_path / "other", server="http://127.0.0.1:9")
    assert client.submit("--dry-run", "--passing-timeout-s", "0.1") == Unreachable.exit_code
    assert [manifest["kind"] for manifest in yaml.safe_load_all(client.out)] == ["ConfigMap", "Job"]
    assert "The manifests alone were checked; what is printed was not shown to the cluster." in client.err


def test_manifests_without_a_benchmark_and_without_anything(client: Client, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert client.run("submit", empty) == UsageError.exit_code
    assert client.run("submit", tmp_path / "none") == InputError.exit_code
    assert "does not exist. Render it" in client.err
    (empty / "a.yaml").write_text("a: [")
    assert client.run("submit", empty) == InputError.exit_code
    assert "is no manifest" in client.err


@pytest.mark.parametrize("text", ["a: [", "- a", "text", "\x00", "clusters: 3\r\n", ""])
def test_a_kubeconfig_that_is_none(client: Client, tmp_path: Path, text: str) -> None:
    (tmp_path / "other").write_text(text)
    assert client.run("submit", client.manifests(), "--kubeconfig", tmp_path / "other") == ClusterRefused.exit_code
    assert "No kubeconfig can be used: " in client.err


@pytest.mark.parametrize("of_pods", [False, True])
def test_a_run_that_lost_the_label_by_which_it_is_found_is_refused(
    client: Client, cluster: Cluster, of_pods: bool
) -> None:
    job = bench_job()
    (job["spec"]["template"] if of_pods else job)["metadata"]["labels"] = {
        "app.kubernetes.io/name": "mine",
        "app.kubernetes.io/component": "bench",
    }
    assert client.submit(things=[job]) == InputError.exit_code
    assert "lost the label app.kubernetes.io/name=bloomz-bench, by which they are found" in client.err
    assert not cluster.requests


def test_manifests_that_were_edited_by_hand(client: Client, cluster: Cluster) -> None:
    job = bench_job()
    job["metadata"]["annotations"]["bloomz-bench.dev/deadline-seconds"] = "4h"
    assert client.submit(things=[job]) == InputError.exit_code
    assert "bloomz-bench.dev/deadline-seconds of bench-cpu-1-v0-1-0 is '4h', no number of seconds." in client.err
    job["metadata"]["annotations"] = None
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other", "labels": None}, "data": {}}
    Play(cluster, clusterplay.runs_well)
    assert client.submit(things=[job, other]) == 0, client.err


def test_a_date_in_a_manifest_is_text_as_to_kubectl(client: Client, cluster: Cluster, tmp_path: Path) -> None:
    job = bench_job()
    job["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "DAY", "value": "DATE"}]
    text = yaml.safe_dump_all([clusterplay.CONFIG, job]).replace("value: DATE", "value: 2026-11-26")
    (tmp_path / "dated.yaml").write_text(text)
    Play(cluster, clusterplay.runs_well)
    assert client.run("submit", tmp_path / "dated.yaml") == 0, client.err
    (container,) = client.jobs()[0]["spec"]["template"]["spec"]["containers"]
    assert container["env"] == [{"name": "DAY", "value": "2026-11-26"}]


def test_a_kubeconfig_that_is_not_there(client: Client, tmp_path: Path) -> None:
    assert client.run("submit", client.manifests(), "--kubeconfig", tmp_path / "none") == ClusterRefused.exit_code
    assert "No kubeconfig can be used: " in client.err and "--kubeconfig or KUBECONFIG" in client.err
